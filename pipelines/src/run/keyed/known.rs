//! What is known of a table of keys: its own rows, and those that a rule put into its
//! quarantine.
//!
//! The last rows and the histories of keys are told before rules look at them. A row in
//! quarantine is one of these as much as a row of the table is: it may be the last of its key,
//! it ends the row before it, and it goes when its key does.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::SessionContext;
use sluice_lake::delta::PinnedTable;
use sluice_lake::state::SideRecord;

use super::Keyed;
use crate::plan::{Asset, SqlAsset};
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::split::SPLIT_COLUMN;

/// What there is of a table of keys.
pub(crate) struct Known {
    pub(crate) table: PinnedTable,
    /// The rows in quarantine.
    aside: Option<Arc<dyn TableProvider>>,
    /// Whether the quarantine is as the run left it that made the table's rows.
    pub(crate) is_whole: bool,
}

impl Known {
    /// Looks at a table, and at its quarantine if its rules have one.
    pub(crate) async fn of(
        run: &RunContext,
        asset: &Asset,
        sql: &SqlAsset,
    ) -> Result<Self, StageError> {
        let table = run.catalog.table(&sql.table).await?;
        let table = table.ok_or_else(|| StageError::TableGone(sql.table.to_string()))?;
        let Some(quarantine) = &sql.rows.quarantine else {
            return Ok(Self {
                table,
                aside: None,
                is_whole: true,
            });
        };
        let lakehouse = &run.world.lakehouse;
        let Some(latest) = lakehouse.latest_version(quarantine).await? else {
            return Ok(Self {
                table,
                aside: None,
                is_whole: false,
            });
        };
        // As it is, and not as this run saw it first: an attempt that failed may have left rows.
        let there = lakehouse.load(quarantine, Some(latest)).await?;
        let last = lakehouse.commit_metadata(quarantine, latest).await?;
        let left_by_another = match SideRecord::from_metadata(&last) {
            Some(last) => !run.state.made_version(&asset.name, &last.run_id).await?,
            None => false,
        };
        let has = |name: &String| there.schema.field_with_name(name).is_ok();
        // Rows are put aside before they are split.
        let split = |name: &&String| sql.rows.split.is_some() && *name == SPLIT_COLUMN;
        let names = table.schema.fields().iter().map(|field| field.name());
        let readable = names.filter(|name| !split(name)).all(has);
        Ok(Self {
            table,
            aside: readable.then_some(there.provider),
            is_whole: readable && !left_by_another,
        })
    }

    /// All rows that rules were asked about, and did not drop.
    pub(crate) fn rows(&self, ctx: &SessionContext, keyed: &Keyed) -> Result<DataFrame> {
        let own = ctx
            .read_table(Arc::clone(&self.table.provider))?
            .select(keyed.kept())?;
        let Some(aside) = &self.aside else {
            return Ok(own);
        };
        let fields = own.schema().fields().iter();
        let columns = fields.map(|field| {
            let value = Expr::Column(Column::from_name(field.name()));
            cast(value, field.data_type().clone()).alias(field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        own.union(ctx.read_table(Arc::clone(aside))?.select(columns)?)
    }
}
