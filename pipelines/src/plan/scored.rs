//! Tables that a model makes: `predict:`.

use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_udfs::models::Answer;

use super::fingerprint::Fingerprint;
use super::origins::{ColumnOrigins, Origins, SourceColumn};
use super::{Applied, RowPlan};

/// The column with the number of the version that scored a row.
pub const MODEL_VERSION_COLUMN: &str = "_model_version";
/// The column with the hash of a row's keys and of the model's inputs.
pub const ROW_HASH_COLUMN: &str = "_row_hash";

/// The settings that stored predictions depend on, besides the version of the model.
const DECISIVE: [&str; 4] = ["model", "keys", "answers", "partition_by"];

/// A table from a model and the rows that it scores.
#[derive(Debug, Clone)]
pub struct ScoredAsset {
    /// The table.
    pub table: TableName,
    /// The table whose rows are scored.
    pub from: TableName,
    /// The model.
    pub model: Applied,
    /// The columns of the source that tell rows apart.
    pub keys: Vec<String>,
    /// The columns of the source that the model reads.
    pub inputs: Vec<String>,
    /// The columns of the source that the table has, in its order.
    pub columns: Vec<String>,
    /// What is asked of the model, and the column of each answer.
    pub answers: Vec<(Answer, String)>,
    /// Rules and split.
    pub rows: RowPlan,
}

impl ScoredAsset {
    /// Its columns, with what they are made of.
    pub(crate) fn origins(&self) -> Vec<ColumnOrigins> {
        let of = |columns: &[String], model: bool| {
            let mut origins = Origins::default();
            origins
                .columns
                .extend(columns.iter().map(|column| SourceColumn {
                    table: self.from.to_string(),
                    column: column.clone(),
                }));
            origins
                .models
                .extend(model.then(|| self.model.written.clone()));
            origins
        };
        let mut columns: Vec<(&str, Origins)> = Vec::new();
        for column in &self.columns {
            columns.push((column, of(std::slice::from_ref(column), false)));
        }
        for (_, column) in &self.answers {
            columns.push((column, of(&self.inputs, true)));
        }
        columns.push((MODEL_VERSION_COLUMN, of(&[], true)));
        let hashed = [self.keys.as_slice(), &self.inputs].concat();
        columns.push((ROW_HASH_COLUMN, of(&hashed, false)));
        let named = columns.into_iter();
        named
            .map(|(column, origins)| ColumnOrigins {
                column: column.to_owned(),
                origins,
            })
            .collect()
    }

    /// What its definition says, setting by setting.
    pub(crate) fn settings(&self) -> Value {
        let answers = self.answers.iter();
        let answers = answers.map(|(answer, column)| format!("{} AS {column}", answer.function()));
        json!({
            "model": self.model.written,
            "from": self.from.to_string(),
            "keys": self.keys,
            "columns": self.columns,
            "answers": answers.collect::<Vec<_>>(),
        })
    }

    /// Whether predictions that are stored with `earlier` are those of `now`, for equal rows.
    pub(crate) fn keeps_predictions(now: &Fingerprint, earlier: &Fingerprint) -> bool {
        let same = |setting: &&str| now.settings.get(*setting) == earlier.settings.get(*setting);
        now.kind == earlier.kind
            && now.semantics == earlier.semantics
            && now.models == earlier.models
            && DECISIVE.iter().all(same)
    }

    /// The query that gives the same rows, for people.
    pub(crate) fn as_query(&self) -> String {
        let answers = self.answers.iter().map(|(answer, column)| {
            let (function, address) = (answer.function(), &self.model.written);
            format!("{function}('{address}', *) AS {column}")
        });
        let answers: Vec<String> = answers.collect();
        format!("SELECT *, {} FROM {}", answers.join(", "), self.from)
    }
}
