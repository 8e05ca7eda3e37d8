//! Makes a table of keys: the whole of it, or what changed.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::delta::{Changes, KeyRows, PinnedTable, WriteMode, Written, without_keys};
use sluice_lake::spool::{SPOOL_MEMORY_BYTES, Spool};
use sluice_lake::sql;
use sluice_udfs::session::LakeSession;

use super::increment::{KeySession, Outcome};
use super::{Keeps, Keyed};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::mode::Mode;
use crate::plan::{Asset, RowExpectation, SqlAsset};
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::over::over;
use crate::run::rules::stopping;
use crate::run::table::{Output, write};
use crate::spec::Otherwise;

/// What taking the difference of rewritten data files holds in memory before it spills, in
/// bytes.
const CHANGES_BYTES: usize = 512 * 1024 * 1024;

/// How a table of keys is made.
pub(crate) enum Way {
    /// From the source alone; what is there does not count.
    Whole,
    /// From the source and the history that is there, key by key: which keys changed cannot be
    /// told.
    AllKeys,
    /// From what changed in the source.
    Changes(Box<Changes>),
}

/// Makes a table. `None`: its rows are what they would be, and nothing was written.
pub(crate) async fn make(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    fingerprint: &Fingerprint,
    way: Way,
) -> Result<Option<Written>, StageError> {
    let stage = Stage::prepare(run, asset, sql, fingerprint).await?;
    let stored = match &way {
        Way::Whole => None,
        _ => run.catalog.table(&sql.table).await?,
    };
    let Some(stored) = stored else {
        let rows = stage.keys.whole(stage.query(), None)?;
        return stage
            .commit(rows, WriteMode::Overwrite, None)
            .await
            .map(Some);
    };
    let provider = Arc::clone(&stored.provider);
    let rows = stage.keys.context().read_table(provider)?;
    let outcome = match way {
        Way::Changes(changes) => stopping(run, stage.outcome(&changes, rows)).await?,
        Way::Whole | Way::AllKeys => {
            let outcome = stage.keys.outcome_of_all(stage.query(), rows);
            stopping(run, async { Ok(outcome.await?) }).await?
        }
    };
    if outcome.keys.is_empty() {
        return Ok(None);
    }
    stage.replace(&stored, outcome).await.map(Some)
}

/// What is needed to make a table.
struct Stage<'a> {
    run: &'a RunContext,
    asset: &'a Asset,
    sql: &'a SqlAsset,
    fingerprint: &'a Fingerprint,
    /// Where the query is computed.
    session: LakeSession,
    /// The query, over its source as it is.
    plan: LogicalPlan,
    keys: KeySession,
}

impl<'a> Stage<'a> {
    async fn prepare(
        run: &'a RunContext,
        asset: &'a Asset,
        sql: &'a SqlAsset,
        fingerprint: &'a Fingerprint,
    ) -> Result<Self, StageError> {
        let session = run.session()?;
        let versions = fingerprint.model_versions();
        let plan = session.plan_with(sql.statement.clone(), &versions).await?;
        let keyed = keyed(&session, asset, sql, &plan)?;
        Ok(Self {
            run,
            asset,
            sql,
            fingerprint,
            session,
            plan,
            keys: KeySession::open(keyed, run.threads.get())?,
        })
    }

    /// The query, over its source as it is.
    fn query(&self) -> DataFrame {
        DataFrame::new(self.session.context().state(), self.plan.clone())
    }

    /// The query, over other rows of its source.
    fn query_over(&self, rows: Arc<dyn TableProvider>) -> Result<DataFrame, StageError> {
        let plan = match self.sql.upkeep.mode.from() {
            Some(from) => over(self.plan.clone(), from, &rows)?,
            None => self.plan.clone(),
        };
        Ok(DataFrame::new(self.session.context().state(), plan))
    }

    /// What the table is to be changed to, from what changed in its source.
    async fn outcome(&self, changes: &Changes, stored: DataFrame) -> Result<Outcome, StageError> {
        let (added, removed) = self.changed(changes).await?;
        let added = self.query_over(added)?;
        let removed = removed.map(|rows| self.query_over(rows)).transpose()?;
        let change = self.keys.change(added, removed, stored).await?;
        let keys = self.keys.to_look_up(&change).await?;
        let looked_up = (!keys.is_empty()).then(|| self.query());
        Ok(self.keys.outcome(&change, &keys, looked_up).await?)
    }

    /// The rows of the source that came, and those that went, if any may have.
    async fn changed(
        &self,
        changes: &Changes,
    ) -> Result<(Arc<dyn TableProvider>, Option<Arc<dyn TableProvider>>), StageError> {
        if changes.first_rewrite().is_none() {
            let net = changes.net(self.session.context()).await?;
            return Ok((net.inserts.into_view(), None));
        }
        // The difference is taken once, and within bounded memory.
        let session = self.run.session_within(Some(CHANGES_BYTES))?;
        let env = session.context().runtime_env();
        let net = changes.net(session.context()).await?;
        let spool = async |rows: DataFrame| {
            let rows = rows.execute_stream().await?;
            Spool::fill(rows, &env, SPOOL_MEMORY_BYTES).await?.table()
        };
        let added = spool(net.inserts).await?;
        let removed = match net.deletes {
            Some(rows) => Some(spool(rows).await?),
            None => None,
        };
        Ok((added, removed))
    }

    /// Writes the keys whose rows differ.
    async fn replace(&self, stored: &PinnedTable, outcome: Outcome) -> Result<Written, StageError> {
        let ctx = self.keys.context();
        let keys = outcome.keys.table()?;
        let columns = self.keys.keyed.keys.clone();
        let rows = ctx.read_table(Arc::clone(&stored.provider))?;
        let staying = without_keys(ctx, &columns, Arc::clone(&keys), rows)?;
        let mode = WriteMode::ReplaceKeys(KeyRows {
            columns,
            keys,
            keys_bytes: outcome.keys.bytes(),
            read_at: stored.version,
        });
        let rows = ctx.read_table(outcome.rows.table()?)?;
        self.commit(rows, mode, Some(staying)).await
    }

    async fn commit(
        &self,
        rows: DataFrame,
        mode: WriteMode,
        staying: Option<DataFrame>,
    ) -> Result<Written, StageError> {
        let output = Output {
            table: &self.sql.table,
            mode,
            files: Vec::new(),
            staying,
            in_parts: false,
            rejects: None,
        };
        write(
            self.run,
            self.asset,
            &self.sql.rows,
            self.session.context(),
            rows,
            self.fingerprint,
            output,
        )
        .await
    }
}

/// What tells the rows of a table apart.
fn keyed(
    session: &LakeSession,
    asset: &Asset,
    sql: &SqlAsset,
    plan: &LogicalPlan,
) -> Result<Keyed, StageError> {
    let (keeps, keys, sequence, delete_when) = match &sql.upkeep.mode {
        Mode::Merge(merge) => (
            Keeps::Latest,
            &merge.keys,
            merge.sequence_by.clone(),
            &merge.delete_when,
        ),
        Mode::Scd2(scd2) => (
            Keeps::History,
            &scd2.keys,
            Some(scd2.sequence_by.clone()),
            &scd2.delete_when,
        ),
        other => return Err(StageError::NoKeys(other.name())),
    };
    let schema = sql::output_schema(plan);
    let delete_when = match delete_when {
        None => None,
        Some(when) => {
            let planned = sql::plan_expression(session.context(), when, &asset.name, &schema)?;
            Some(unnormalize_col(planned))
        }
    };
    let drops = |rule: &RowExpectation| rule.otherwise == Otherwise::Drop;
    Ok(Keyed {
        keeps,
        columns: delta_schema(&sql.table, &schema)?,
        keys: keys.clone(),
        sequence,
        delete_when,
        drops_rows: sql.rows.rules.iter().any(drops),
    })
}
