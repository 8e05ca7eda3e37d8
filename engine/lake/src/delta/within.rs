//! Rows that are to replace others must be of those that are replaced: writing a row again
//! would else leave two of it.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::SchemaRef,
    util::display::array_value_to_string,
};
use datafusion::{
    common::DFSchema, error::DataFusionError, logical_expr::Expr, physical_expr::PhysicalExpr,
    prelude::SessionContext,
};

/// A row lies outside of what is replaced.
#[derive(Debug, thiserror::Error)]
#[error("a row with {row} is not among the rows that are replaced: {replaced}")]
struct Outside {
    row: String,
    replaced: String,
}

/// Looks whether rows are among those that a condition names.
#[derive(Clone)]
pub(super) struct Within {
    condition: Arc<dyn PhysicalExpr>,
    /// The condition in words, and the columns that it looks at.
    replaced: String,
    columns: Vec<String>,
}

impl Within {
    pub(super) fn new(replaced: &Expr, schema: &SchemaRef) -> Result<Self, DataFusionError> {
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        let condition = SessionContext::new().create_physical_expr(replaced.clone(), &columns)?;
        let mut named: Vec<String> = replaced
            .column_refs()
            .into_iter()
            .map(|c| c.name.clone())
            .collect();
        named.sort();
        Ok(Self {
            condition,
            replaced: replaced.human_display().to_string(),
            columns: named,
        })
    }

    /// # Errors
    /// The first row for which the condition is not TRUE.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let flags = self
            .condition
            .evaluate(batch)?
            .into_array(batch.num_rows())?;
        let flags = flags.as_boolean();
        let outside = (0..batch.num_rows())
            .find(|row| arrow::array::Array::is_null(flags, *row) || !flags.value(*row));
        let Some(row) = outside else {
            return Ok(());
        };
        let mut values = Vec::new();
        for name in &self.columns {
            if let Some(column) = batch.column_by_name(name) {
                let value = match column.is_null(row) {
                    true => "NULL".to_owned(),
                    false => array_value_to_string(column, row)?,
                };
                values.push(format!("`{name}` {value}"));
            }
        }
        Err(DataFusionError::External(Box::new(Outside {
            row: values.join(", "),
            replaced: self.replaced.clone(),
        })))
    }
}
