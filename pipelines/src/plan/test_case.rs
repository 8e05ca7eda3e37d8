//! What a table is to come to for given rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use sluice_lake::TableName;

use super::Asset;

/// A test of a table, with rows that have the types of their tables.
#[derive(Debug, Clone)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// What it shows, for people.
    pub comment: Option<String>,
    /// The table under test, as it is with the test's variables: an [`super::AssetBody::Sql`].
    pub asset: Arc<Asset>,
    /// The rows of every table that the query reads.
    pub given: Vec<(TableName, RecordBatch)>,
    /// What is to come of them.
    pub outcome: TestOutcome,
    /// The file that it is written in.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// What is to come of a test's rows.
#[derive(Debug, Clone)]
pub enum TestOutcome {
    /// Rows of the table.
    Rows {
        /// The rows, with the columns that are compared.
        rows: RecordBatch,
        /// Whether their order counts.
        ordered: bool,
        /// How far apart two floating-point numbers may be and still be equal.
        tolerance: f64,
    },
    /// The table is not made.
    Error {
        /// The rule that is broken, if it matters.
        rule: Option<String>,
        /// A part of the error's words, if they matter.
        message: Option<String>,
    },
}
