//! A table as it would be: rows that are written and not yet committed, beside those that
//! stay. Rules look at it before anybody else can.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    catalog::TableProvider,
    common::{Column, ScalarValue},
    error::DataFusionError,
    logical_expr::{Expr, cast, lit},
    prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext},
};
use deltalake::{DeltaTable, kernel::Add};
use url::Url;

use super::scan::{scan, spelled};

/// The data files of a table that a commit leaves as they are, as the log spells them.
pub(super) struct Staying(Option<(DeltaTable, Vec<String>)>);

impl Staying {
    /// None of them: a new table, or one that is replaced.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    /// Those whose path is not refused by `goes`.
    pub(super) fn of(
        table: &DeltaTable,
        goes: impl Fn(&str) -> bool,
    ) -> Result<Self, deltalake::DeltaTableError> {
        let log = table.snapshot()?.log_data();
        let staying = log.iter().filter(|view| !goes(&view.path()));
        let paths: Vec<String> = staying.map(|view| spelled(&view.path())).collect();
        Ok(match paths.is_empty() {
            true => Self(None),
            false => Self(Some((table.clone(), paths))),
        })
    }
}

/// A table as a commit that is still to come would leave it.
pub struct Draft {
    schema: SchemaRef,
    /// The new data files, by the values of the partition columns.
    added: BTreeMap<Vec<(String, Option<String>)>, Vec<String>>,
    staying: Staying,
    judged: Arc<AtomicBool>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("schema", &self.schema)
            .field("added", &self.added)
            .finish_non_exhaustive()
    }
}

impl Draft {
    pub(super) fn new(root: &Url, schema: &SchemaRef, adds: &[Add], staying: Staying) -> Self {
        let mut added: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut folder = root.clone();
        if !folder.path().ends_with('/') {
            folder.set_path(&format!("{}/", root.path()));
        }
        for add in adds {
            let values = add.partition_values.iter();
            let mut values: Vec<_> = values
                .map(|(column, value)| (column.clone(), value.clone()))
                .collect();
            values.sort();
            let path = spelled(&add.path);
            let place = folder.join(&path);
            let place = place.map_or(path, |place| place.to_string());
            added.entry(values).or_default().push(place);
        }
        Self {
            schema: Arc::clone(schema),
            added,
            staying,
            judged: Arc::default(),
        }
    }

    /// Becomes `true` when the rows are looked at.
    pub(super) fn judged(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.judged)
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows, for DataFusion: read from the data files each time, so that memory holds a
    /// few batches of them.
    ///
    /// # Errors
    /// A data file that is not there any more.
    pub async fn rows(&self) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        self.judged.store(true, Ordering::Relaxed);
        let context = SessionContext::new_with_config(SessionConfig::new().set_bool(
            "datafusion.execution.parquet.schema_force_view_types",
            false,
        ));
        let mut rows: Option<DataFrame> = None;
        for (values, places) in &self.added {
            let new = self.read(&context, values, places.clone()).await?;
            rows = Some(match rows {
                Some(rows) => rows.union(new)?,
                None => new,
            });
        }
        if let Staying(Some((table, paths))) = &self.staying {
            let provider = scan(table, &context.state())?.with_file_paths(paths.clone());
            let columns = self.schema.fields().iter();
            let columns = columns
                .map(|field| column(field.name()))
                .collect::<Vec<_>>();
            let staying = context.read_table(Arc::new(provider))?.select(columns)?;
            rows = Some(match rows {
                Some(rows) => rows.union(staying)?,
                None => staying,
            });
        }
        Ok(match rows {
            Some(rows) => rows.into_view(),
            None => Arc::new(datafusion::datasource::empty::EmptyTable::new(Arc::clone(
                &self.schema,
            ))),
        })
    }

    /// The rows of new data files, whose partition columns have these values.
    async fn read(
        &self,
        context: &SessionContext,
        values: &[(String, Option<String>)],
        places: Vec<String>,
    ) -> Result<DataFrame, DataFusionError> {
        let value_of = |field: &Field| values.iter().find(|(name, _)| name == field.name());
        let stored = self.schema.fields().iter();
        let stored = stored.filter(|field| value_of(field).is_none());
        let stored = Schema::new(stored.cloned().collect::<Vec<_>>());
        let options = ParquetReadOptions::default().schema(&stored);
        let rows = context.read_parquet(places, options).await?;
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| match value_of(field) {
                None => column(field.name()),
                Some((name, value)) => {
                    let value = lit(ScalarValue::Utf8(value.clone()));
                    cast(value, field.data_type().clone()).alias(name)
                }
            });
        rows.select(columns.collect::<Vec<_>>())
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}
