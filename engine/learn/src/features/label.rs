//! What a model predicts: the task, the label's type and its classes.

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Feature, is_number, is_text};

/// The kind of question that a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Which of two classes: the probability of the positive one.
    Binary,
    /// Which of several classes: a probability for each.
    Multiclass,
    /// How much: a number.
    Regression,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Binary, Self::Multiclass, Self::Regression];

    /// Its name in a pipeline file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
            Self::Regression => "regression",
        }
    }

    /// The task of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.as_str() == name)
    }

    /// The metric that a fit watches on the validation rows.
    pub fn default_metric(self) -> &'static str {
        match self {
            Self::Binary => "auc",
            Self::Multiclass => "log_loss",
            Self::Regression => "rmse",
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The type in which SQL gives a label back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelType {
    /// BOOLEAN
    Boolean,
    /// BIGINT
    Integer,
    /// DOUBLE
    Float,
    /// VARCHAR
    Text,
}

impl LabelType {
    /// The type for a label column, unless such a column cannot be a label.
    pub fn of(column: &DataType) -> Option<Self> {
        match column {
            DataType::Boolean => Some(Self::Boolean),
            other if other.is_integer() => Some(Self::Integer),
            other if is_number(other) => Some(Self::Float),
            other if is_text(other) => Some(Self::Text),
            _ => None,
        }
    }

    /// Its Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
        }
    }

    /// Classes as an Arrow array of [`Self::arrow`].
    pub fn array<'c>(self, classes: impl Iterator<Item = &'c Class>) -> ArrayRef {
        match self {
            Self::Boolean => Arc::new(BooleanArray::from_iter(
                classes.map(|class| Some(class.number() != 0.0)),
            )),
            Self::Integer => Arc::new(Int64Array::from_iter_values(
                classes.map(|class| class.number() as i64),
            )),
            Self::Float => Arc::new(Float64Array::from_iter_values(classes.map(Class::number))),
            Self::Text => Arc::new(StringArray::from_iter_values(
                classes.map(ToString::to_string),
            )),
        }
    }
}

/// What a model predicts, as far as it is known before a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The kind of question.
    pub task: Task,
    /// The label's type.
    pub label_type: LabelType,
}

/// What a model takes and gives, as far as it is known before a row is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// The inputs, in order; the values of categories, which only rows tell, may be empty.
    pub features: Vec<Feature>,
    /// What it predicts.
    pub target: Target,
}

/// A class as the label column spells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Class {
    /// A value of a boolean label.
    Boolean(bool),
    /// A value of a numeric label.
    Number(f64),
    /// A value of a text label.
    Text(String),
}

impl Class {
    /// A boolean or a number as a number; NaN for a text.
    pub fn number(&self) -> f64 {
        match self {
            Self::Boolean(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::Text(_) => f64::NAN,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(value) => write!(out, "{value}"),
            Self::Number(value) => write!(out, "{value}"),
            Self::Text(value) => out.write_str(value),
        }
    }
}

/// What a model predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "LabelFile")]
pub struct Label {
    /// The label's column.
    pub name: String,
    /// The kind of question.
    pub task: Task,
    /// The label's type.
    #[serde(rename = "type")]
    pub label_type: LabelType,
    /// The classes in the order of their codes: ascending. Of two classes the second is
    /// the positive one, whose probability is predicted (TRUE, or the larger number). None
    /// for a regression.
    pub classes: Vec<Class>,
}

/// A label as files hold it; the first format had binary labels only.
#[derive(Deserialize)]
struct LabelFile {
    name: String,
    task: Option<Task>,
    #[serde(rename = "type")]
    label_type: Option<LabelType>,
    classes: Vec<Class>,
}

impl From<LabelFile> for Label {
    fn from(file: LabelFile) -> Self {
        let whole = |class: &Class| class.number().fract() == 0.0;
        let guessed = match file.classes.first() {
            Some(Class::Boolean(_)) => LabelType::Boolean,
            Some(Class::Text(_)) => LabelType::Text,
            Some(Class::Number(_)) if file.classes.iter().all(whole) => LabelType::Integer,
            Some(Class::Number(_)) | None => LabelType::Float,
        };
        Self {
            name: file.name,
            task: file.task.unwrap_or(Task::Binary),
            label_type: file.label_type.unwrap_or(guessed),
            classes: file.classes,
        }
    }
}

impl Label {
    /// The task and the type.
    pub fn target(&self) -> Target {
        Target {
            task: self.task,
            label_type: self.label_type,
        }
    }

    /// Values that a model of this label gives for each row.
    pub fn outputs(&self) -> usize {
        match self.task {
            Task::Binary | Task::Regression => 1,
            Task::Multiclass => self.classes.len(),
        }
    }

    /// Whether the number of classes goes with the task.
    pub(crate) fn is_sound(&self) -> bool {
        match self.task {
            Task::Binary => self.classes.len() == 2,
            Task::Multiclass => self.classes.len() >= 2,
            Task::Regression => self.classes.is_empty(),
        }
    }
}
