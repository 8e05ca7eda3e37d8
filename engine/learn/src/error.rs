//! What can go wrong while learning, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use arrow::datatypes::DataType;

use crate::dataset::Split;
use crate::features::Task;
use crate::nearest::{hint, nearest};
use crate::sql_type::SqlType;

/// One parameter of an estimator, a sampler or a search space that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// The parameter as the user wrote it, or the name of the one that is missing.
    pub param: String,
    /// Why it cannot be used, and what would do.
    pub message: String,
    /// Whether there is no parameter of this name.
    pub unknown: bool,
    /// The valid name that was probably meant, where the name is unknown.
    pub nearest: Option<String>,
}

impl ParamError {
    /// An error without a suggested name.
    pub(crate) fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: param.into(),
            message: message.into(),
            unknown: false,
            nearest: None,
        }
    }

    /// A name that is none of `known`; `accepted` are those and their other spellings.
    pub(crate) fn unknown<'a>(
        param: &str,
        known: &[&str],
        accepted: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let nearest = nearest(param, accepted);
        let message = match &nearest {
            Some(_) => "unknown parameter".to_owned(),
            None => format!("unknown parameter; there are {}", known.join(", ")),
        };
        Self {
            param: param.to_owned(),
            message,
            unknown: true,
            nearest,
        }
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`{}`: {}{}",
            self.param,
            self.message,
            hint(self.nearest.as_ref())
        )
    }
}

impl std::error::Error for ParamError {}

/// Anything that can stop a data set, a training, a search or a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// A column that `label:`, `text:`, `exclude:`, `categorical:`, `weight:` or `by:` names is not in
    /// the table.
    #[error("`{role}:` names column `{column}`, which the table does not have{}", hint(.nearest.as_ref()))]
    UnknownColumn {
        /// The key that names it: `label`, `text`, `exclude`, `categorical`, `weight` or `by`.
        role: &'static str,
        /// The name as written.
        column: String,
        /// The column that was probably meant.
        nearest: Option<String>,
    },
    /// A column's type cannot be a feature.
    #[error(
        "column `{column}` of type {} cannot be a feature: name it in `exclude:` to leave it out{}",
        SqlType(data_type),
        if *.text { ", or in `categorical:` to learn from its values" } else { ", or turn it into a number or a boolean in the table's SQL" }
    )]
    UnsupportedColumn {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
        /// True when `categorical:` would accept it.
        text: bool,
    },
    /// `categorical:` names a column whose values are no categories.
    #[error(
        "`categorical:` names column `{column}` of type {}: only text and integers can be categorical; leave it out of `categorical:`, or cast it to text in the table's SQL",
        SqlType(data_type)
    )]
    NotCategorical {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// `text:` names a column that holds none.
    #[error(
        "`text:` names column `{column}` of type {}: a text model reads text; {}",
        SqlType(data_type),
        if data_type.is_nested() { "turn it into text in the table's SQL" } else { "write `CAST(... AS VARCHAR)` in the table's SQL" }
    )]
    TextType {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// `text:` and `label:` name the same column.
    #[error(
        "column `{column}` is both `text:` and `label:`: a model cannot learn to read off its answer"
    )]
    TextIsLabel {
        /// The column.
        column: String,
    },
    /// Nothing is left to learn from.
    #[error("no column is left to learn from besides label `{label}`: the table has {}", columns.join(", "))]
    NoFeatures {
        /// The label.
        label: String,
        /// All columns of the table.
        columns: Vec<String>,
    },
    /// The table has no `_split` column.
    #[error(
        "the table has no column `_split`: give it a `split:` (or write `_split` as 'train', 'validation' or 'test' in its SQL)"
    )]
    MissingSplit,
    /// `_split` is not text.
    #[error(
        "column `_split` is of type {}: it must be text ('train', 'validation' or 'test')",
        SqlType(data_type)
    )]
    SplitType {
        /// Its Arrow type.
        data_type: DataType,
    },
    /// A row's `_split` is none of the known ones.
    #[error(
        "column `_split` holds {}: it must be 'train', 'validation' or 'test'{}",
        .value.as_ref().map_or_else(|| "NULL".to_owned(), |value| format!("'{value}'")),
        hint(.nearest.as_ref())
    )]
    UnknownSplit {
        /// The value; `None` for NULL.
        value: Option<String>,
        /// The split that was probably meant.
        nearest: Option<String>,
    },
    /// A split that is needed holds no row.
    #[error("the {split} split is empty: {need}")]
    EmptySplit {
        /// The split.
        split: Split,
        /// What needs it and what to do.
        need: &'static str,
    },
    /// The label's type does not go with the task.
    #[error(
        "label `{column}` is of type {}: {}",
        SqlType(data_type),
        match .task {
            Task::Binary => "for `task: binary` it is a boolean or a number with two values; write a boolean in the table's SQL, or `task: multiclass`",
            Task::Multiclass => "for `task: multiclass` it is text, a number or a boolean; cast it in the table's SQL",
            Task::Regression => "for `task: regression` it is a number; cast it in the table's SQL",
        }
    )]
    LabelType {
        /// The label.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
        /// The task.
        task: Task,
    },
    /// The weight's type is no number.
    #[error(
        "`weight:` names column `{column}` of type {}: a weight is a number",
        SqlType(data_type)
    )]
    WeightType {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// A row's weight cannot be used.
    #[error(
        "weight `{column}` is {value} in some row: a weight is a number from 0 up; mend it in the table's SQL"
    )]
    BadWeight {
        /// The column.
        column: String,
        /// The value as text.
        value: String,
    },
    /// Rows without a label.
    #[error(
        "label `{column}` is NULL or NaN in {rows} of {of} rows: filter them out in the table's SQL"
    )]
    MissingLabels {
        /// The label.
        column: String,
        /// Rows without a label.
        rows: usize,
        /// All rows.
        of: usize,
    },
    /// More different label values than the task takes.
    #[error(
        "label `{column}` has more than {} values ({}, ...): {}",
        .most, examples.join(", "),
        if *.most == 2 {
            format!("write `task: multiclass` or `task: regression`, or a boolean in the table's SQL, for example `{column} >= {}`", examples.last().map_or("1", String::as_str))
        } else {
            "a number to predict is `task: regression`; else merge rare classes in the table's SQL".to_owned()
        }
    )]
    TooManyClasses {
        /// The label.
        column: String,
        /// How many it may have.
        most: usize,
        /// Some of the values, ascending.
        examples: Vec<String>,
    },
    /// A class that no training row has.
    #[error(
        "label `{column}` is {value} in {rows} rows, none of them in the train split: it cannot be learned; filter such rows out or merge rare classes in the table's SQL, or split otherwise"
    )]
    UnseenClass {
        /// The label.
        column: String,
        /// The class.
        value: String,
        /// Rows of the class.
        rows: usize,
    },
    /// Fewer than two different label values.
    #[error(
        "label `{column}` has one class in {place}: every row is {value}; there is nothing to learn, so check the label's expression and the split"
    )]
    OneClass {
        /// The label.
        column: String,
        /// The only value.
        value: String,
        /// Where: `the table` or `the train split`.
        place: &'static str,
    },
    /// A feature holds an infinite number.
    #[error(
        "column `{column}` holds {value}, which no tree can learn from: make it NULL or finite in the table's SQL"
    )]
    NotFinite {
        /// The column.
        column: String,
        /// The value as text.
        value: String,
    },
    /// A batch does not have the columns that the builder was made for.
    #[error(
        "column `{column}` of type {} was announced, but a batch has {found}",
        SqlType(expected)
    )]
    SchemaChanged {
        /// The column.
        column: String,
        /// The type in the announced schema.
        expected: DataType,
        /// What the batch has there.
        found: String,
    },
    /// An estimator's name is unknown.
    #[error("unknown estimator `{name}`{}; there are {}", hint(.nearest.as_ref()), known.join(", "))]
    UnknownEstimator {
        /// The name as written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A sampler's name is unknown.
    #[error("unknown sampler `{name}`{}; there are {}", hint(.nearest.as_ref()), known.join(", "))]
    UnknownSampler {
        /// The name as written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A pruner's name is unknown.
    #[error("unknown pruner `{name}`{}; there are {}", hint(.nearest.as_ref()), known.join(", "))]
    UnknownPruner {
        /// The name as written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A pruner has nothing to look at.
    #[error("`{estimator}` is not fitted in rounds of boosting, so its trials cannot be pruned")]
    NothingToPrune {
        /// The estimator.
        estimator: &'static str,
    },
    /// Trials cannot be taken over into a search that does not look at how they did.
    #[error("the sampler `{sampler}` tries all of its points anyway and takes no warm start")]
    NoWarmStart {
        /// The sampler.
        sampler: &'static str,
    },
    /// A metric's name is unknown.
    #[error("unknown metric `{name}`{}; there are {}", hint(.nearest.as_ref()), known.join(", "))]
    UnknownMetric {
        /// The name as written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A metric about which no threshold decides.
    #[error(
        "`{name}` is {}: use {}",
        if *.known { "not decided by a threshold".to_owned() } else { format!("no metric{}", hint(.nearest.as_ref())) },
        usable.join(", ")
    )]
    NoThresholdMetric {
        /// The name as written.
        name: String,
        /// Whether there is such a metric.
        known: bool,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// Those about which one does.
        usable: Vec<&'static str>,
    },
    /// No threshold reaches what it must.
    #[error(
        "no threshold gives, on the validation rows, {}: ask for less in `at_least:`, or find a better model",
        .wanted.iter().map(|(name, least, most)| format!("{name} at least {least} (at most {most:.4})")).collect::<Vec<_>>().join(" and ")
    )]
    NoThreshold {
        /// Metrics, what they must reach, and the most that each reaches by itself.
        wanted: Vec<(&'static str, f64, f64)>,
    },
    /// A class whose probability cannot be calibrated.
    #[error(
        "label `{column}` is {value} in no validation row (of a weight above 0), so `calibrate:` cannot tell how often it comes true: make the validation part larger, split otherwise, or write `validate: {{folds: 5}}`"
    )]
    NothingToCalibrate {
        /// The label.
        column: String,
        /// The class.
        value: String,
    },
    /// Fewer groups of rows than folds.
    #[error(
        "{groups} groups of rows{} cannot be dealt into {folds} folds: {}",
        .class.as_ref().map_or_else(String::new, |class| format!(" whose label is {class}")),
        if *.by { "ask for fewer folds, or for other columns in `by:`" } else { "ask for fewer folds (equal rows are one group)" }
    )]
    TooFewForFolds {
        /// Groups of rows.
        groups: usize,
        /// The class of which there are so few; `None` when it is about all rows.
        class: Option<String>,
        /// The folds asked for.
        folds: usize,
        /// Whether columns say which rows belong together.
        by: bool,
    },
    /// A column of `by:` whose values cannot be compared as text.
    #[error(
        "`by:` names column `{column}` of type {}: rows are kept together by text, numbers, booleans, dates and times",
        SqlType(data_type)
    )]
    GroupType {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// A pruner and folds.
    #[error(
        "a pruner compares trials round by round on one validation part; with `validate:` each fold has rounds of its own, so leave one of the two out"
    )]
    PrunedFolds,
    /// What a sweep maximizes or minimizes cannot be used.
    #[error("`{written}` cannot select a trial: {reason}")]
    Objective {
        /// The objective as written.
        written: String,
        /// Why, and what would do.
        reason: String,
    },
    /// Parameters that cannot be used; all of them at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Params(Vec<ParamError>),
    /// Columns that a model needs are missing or of the wrong type.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The learner refused.
    #[error("{estimator} could not {action}")]
    Learner {
        /// The estimator.
        estimator: String,
        /// What it was doing: `train`, `predict`, ...
        action: &'static str,
        /// Its own words.
        #[source]
        source: hessboost::error::HessboostError,
    },
    /// No trial of a sweep gave a number.
    #[error("none of {trials} trials gave a value for {metric}; the first one: {first}")]
    NoTrialFinished {
        /// Trials tried.
        trials: usize,
        /// The metric.
        metric: &'static str,
        /// Why the first one failed.
        first: String,
    },
    /// Threads could not be started.
    #[error("could not start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's words.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// Stopped by the user.
    #[error("cancelled")]
    Cancelled,
    /// A model's file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A model's file does not hold what it should.
    #[error("{} is not a model of this program: {reason}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A text is to become a number.
    #[error("column `{column}` is a text, which only a text model reads")]
    NotNumbers {
        /// The column.
        column: String,
    },
    /// A text model, its tokenizer or its training.
    #[error(transparent)]
    Deep(Box<crate::deep::DeepError>),
    /// A folder is asked for vectors of texts, and holds no encoder.
    #[error("{} holds no encoder of texts: {reason}", path.display())]
    NoEncoder {
        /// The folder.
        path: PathBuf,
        /// What it holds instead.
        reason: String,
    },
    /// A folder is asked for predictions, and holds something that has no label.
    #[error("{} predicts nothing: {reason}", path.display())]
    NoLabel {
        /// The folder.
        path: PathBuf,
        /// What it holds instead, and what that is for.
        reason: &'static str,
    },
    /// Arrow refused a conversion.
    #[error("column `{column}` cannot be read as numbers")]
    Arrow {
        /// The column.
        column: String,
        /// Arrow's words.
        #[source]
        source: arrow::error::ArrowError,
    },
}

impl From<crate::deep::DeepError> for LearnError {
    fn from(error: crate::deep::DeepError) -> Self {
        match error {
            crate::deep::DeepError::Learn(error) => error,
            other => Self::Deep(Box::new(other)),
        }
    }
}

/// A column that a model needs and that is there with another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistyped {
    /// The model's feature.
    pub feature: String,
    /// What the model needs: `a number`, `a boolean` or `text`.
    pub needs: &'static str,
    /// The type that was given.
    pub found: DataType,
}

/// Why a model cannot be applied to a relation: every missing and every mistyped column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BindError {
    /// Features that no column matches, each with the nearest column.
    pub missing: Vec<(String, Option<String>)>,
    /// Features whose column has another type.
    pub mistyped: Vec<Mistyped>,
    /// Set when columns are given by position and their number is wrong: (needed, given).
    pub count: Option<(usize, usize)>,
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some((needed, given)) = self.count {
            parts.push(format!("it takes {needed} columns and got {given}"));
        }
        for (feature, nearest) in &self.missing {
            parts.push(format!(
                "column `{feature}` is missing{}",
                hint(nearest.as_ref())
            ));
        }
        for Mistyped {
            feature,
            needs,
            found,
        } in &self.mistyped
        {
            let found = SqlType(found);
            parts.push(format!("column `{feature}` must be {needs}, not {found}"));
        }
        write!(out, "the model cannot be applied: {}", parts.join("; "))
    }
}

impl std::error::Error for BindError {}
