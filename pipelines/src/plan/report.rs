//! Reports: pages to look at.
//!
//! A kind of report is a struct of its own here, one variant of [`ReportKind`], and one file
//! in each of `spec`, `check` and `run`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::sql::{Expression, normalise_expression};
use sluice_learn::Task;
use sluice_learn::features::Target;
use sluice_udfs::models::Answer;

use super::Applied;
use super::scored::MODEL_VERSION_COLUMN;
use crate::spec::EvaluatedPart;

/// A page to look at.
#[derive(Debug, Clone)]
pub struct ReportAsset {
    /// The pipeline, below whose name the page is found.
    pub pipeline: String,
    /// The page's heading, if it is not the report's name.
    pub title: Option<String>,
    /// The table that it is about.
    pub of: TableName,
    /// What it shows.
    pub kind: ReportKind,
}

/// What a report shows.
#[derive(Debug, Clone)]
pub enum ReportKind {
    /// What is in the table's columns.
    Profile(Box<ProfilePlan>),
    /// How well a model does on the table's rows.
    Evaluate(EvaluatePlan),
}

impl ReportKind {
    /// The key in the language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Profile(_) => "profile",
            Self::Evaluate(_) => "evaluate",
        }
    }
}

impl ReportAsset {
    /// What identifies the definition: all that the page depends on, besides the data.
    pub fn definition(&self) -> Value {
        let of = self.of.to_string().to_lowercase();
        let mut definition = match &self.kind {
            ReportKind::Profile(profile) => profile.definition(&of),
            ReportKind::Evaluate(evaluate) => evaluate.definition(&of),
        };
        definition["title"] = json!(self.title);
        definition
    }

    /// The same as it is told to people: SQL as it was written.
    pub fn settings(&self) -> Value {
        let mut settings = self.definition();
        if let ReportKind::Profile(profile) = &self.kind
            && let Some(by) = &profile.by
        {
            settings["by"] = json!(by.written);
        }
        settings
    }

    /// The models that it applies.
    pub fn applies(&self) -> &[Applied] {
        match &self.kind {
            ReportKind::Profile(_) => &[],
            ReportKind::Evaluate(evaluate) => &evaluate.applies,
        }
    }

    /// The table that it makes beside its page.
    pub fn makes(&self) -> Option<&TableName> {
        match &self.kind {
            ReportKind::Profile(_) => None,
            ReportKind::Evaluate(evaluate) => evaluate.worst.as_ref().map(|worst| &worst.table),
        }
    }
}

/// A profile of a table.
#[derive(Debug, Clone)]
pub struct ProfilePlan {
    /// What gives each row its class.
    pub by: Option<ByPlan>,
    /// Columns that are left out, as the table spells them.
    pub exclude: Vec<String>,
    /// Rows of the sample.
    pub sample_rows: usize,
}

/// What gives each row its class.
#[derive(Debug, Clone)]
pub struct ByPlan {
    /// As it was written.
    pub written: String,
    /// The same, parsed.
    pub expression: Expression,
    /// The columns that it reads, as the table spells them.
    pub made_of: Vec<String>,
}

impl ProfilePlan {
    fn definition(&self, of: &str) -> Value {
        let by = self.by.as_ref();
        json!({
            "profile": of,
            "by": by.map(|by| normalise_expression(&by.expression)),
            "exclude": self.exclude,
            "sample_rows": self.sample_rows,
        })
    }
}

/// An evaluation of a model.
#[derive(Debug, Clone)]
pub struct EvaluatePlan {
    /// The model, and behind it the one that it is compared with.
    pub applies: Vec<Applied>,
    /// The question that they answer.
    pub task: Task,
    /// The column with what is true, as the table spells it.
    pub label: String,
    /// The rows that are looked at.
    pub part: EvaluatedPart,
    /// The column that tells parts apart, as the table spells it; absent when all rows are
    /// looked at.
    pub split_column: Option<String>,
    /// Whether rows that the model was trained on are taken too.
    pub include_training_rows: bool,
    /// Columns by whose values figures are told apart, as the table spells them.
    pub slices: Vec<String>,
    /// Where the rows go that the model gets most wrong.
    pub worst: Option<WorstRows>,
}

/// The rows that a model gets most wrong, as a table.
#[derive(Debug, Clone)]
pub struct WorstRows {
    /// The table.
    pub table: TableName,
    /// Rows that are kept.
    pub rows: usize,
}

/// Columns that a table of worst rows has behind those of the rows: what the model says, the
/// probability that it gives to that, its loss, and the version that said so.
pub const WORST_COLUMNS: [&str; 4] = ["_prediction", "_score", "_loss", MODEL_VERSION_COLUMN];

/// The columns of a table of worst rows: those of the rows, then [`WORST_COLUMNS`]; a
/// regression's has no `_score`. Columns of the rows that are called so are left out.
pub(crate) fn worst_schema(of: &Schema, target: Target) -> SchemaRef {
    let own = of
        .fields()
        .iter()
        .filter(|field| !is_worst_column(field.name()));
    let mut fields: Vec<Field> = own.map(|field| field.as_ref().clone()).collect();
    let [prediction, score, loss, version] = WORST_COLUMNS;
    fields.push(Field::new(prediction, target.label_type.arrow(), true));
    if target.task != Task::Regression {
        fields.push(Field::new(score, DataType::Float64, true));
    }
    fields.push(Field::new(loss, DataType::Float64, true));
    fields.push(Field::new(version, DataType::Int64, true));
    Arc::new(Schema::new(fields))
}

/// Whether a column is one that a table of worst rows adds.
pub(crate) fn is_worst_column(name: &str) -> bool {
    let mut added = WORST_COLUMNS.iter();
    added.any(|added| added.eq_ignore_ascii_case(name))
}

/// The column of a model's answers in [`EvaluatePlan::query`], and that of the model which it
/// is compared with; no column of a table is called so.
pub(crate) const ANSWER_COLUMNS: [&str; 2] = ["__sluice_answers", "__sluice_compared"];

impl EvaluatePlan {
    /// The query that gives the rows of `of` which are looked at, with the answers of each
    /// model behind them.
    pub(crate) fn query(&self, of: &TableName) -> String {
        let function = match self.task {
            Task::Regression => Answer::Value,
            Task::Binary | Task::Multiclass => Answer::Scores,
        };
        let answers = self.applies.iter().zip(ANSWER_COLUMNS);
        let answers: String = answers
            .map(|(applied, column)| {
                let address = applied.written.replace('\'', "''");
                format!(", {}('{address}', *) AS {column}", function.function())
            })
            .collect();
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let rows = match (&self.split_column, self.part) {
            (Some(column), EvaluatedPart::Part(part)) => {
                format!(" WHERE {} = '{}'", quoted(column), part.name())
            }
            _ => String::new(),
        };
        let (layer, table) = (quoted(of.layer()), quoted(of.table()));
        format!("SELECT *{answers} FROM {layer}.{table}{rows}")
    }

    fn definition(&self, of: &str) -> Value {
        let address = |at: usize| self.applies.get(at).map(|applied| applied.written.as_str());
        let worst = self.worst.as_ref();
        json!({
            "evaluate": address(0),
            "from": of,
            "label": self.label,
            "split": self.part.name(),
            "include_training_rows": self.include_training_rows,
            "compare": address(1),
            "slices": self.slices,
            "worst": worst.map(|worst| worst.table.to_string().to_lowercase()),
            "worst_rows": worst.map(|worst| worst.rows),
        })
    }
}
