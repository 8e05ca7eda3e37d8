//! What columns are made of.

use std::collections::BTreeSet;

use serde::Serialize;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourceColumn {
    /// `layer.table`, as the query spells it.
    pub table: String,
    /// The column.
    pub column: String,
}

/// What goes into a column's values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// Columns of tables.
    pub columns: BTreeSet<SourceColumn>,
    /// The addresses of models whose answers do.
    pub models: BTreeSet<String>,
}

impl Origins {
    /// Of a column as it is.
    pub(crate) fn of_column(column: SourceColumn) -> Self {
        Self {
            columns: BTreeSet::from([column]),
            models: BTreeSet::new(),
        }
    }

    /// Takes in what goes into something that is a part of it.
    pub(crate) fn add(&mut self, more: Self) {
        self.columns.extend(more.columns);
        self.models.extend(more.models);
    }
}

/// A column of a query, with what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnOrigins {
    /// The column.
    pub column: String,
    /// What it is made of.
    pub origins: Origins,
}
