//! What the functions that apply a model give back.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, MapArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
use sluice_learn::features::{Label, Target};
use sluice_learn::{AppliedModel, Task};

use super::ModelError;

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// `predict`: the number, the probability of the positive class of two, or the most
    /// probable of several classes.
    Value,
    /// `predict_label`: the class.
    Label,
    /// `predict_scores`: the probability of each class.
    Scores,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Value, Self::Label, Self::Scores];

    /// The function's name in SQL.
    pub fn function(self) -> &'static str {
        match self {
            Self::Value => "predict",
            Self::Label => "predict_label",
            Self::Scores => "predict_scores",
        }
    }

    /// Whether a function of that name applies a model.
    pub fn is_function(name: &str) -> bool {
        Self::ALL.iter().any(|answer| answer.function() == name)
    }

    /// The type of the answer of a model with this target; `None` for the classes of a
    /// regression, which has none.
    pub fn data_type(self, target: Target) -> Option<DataType> {
        match (self, target.task) {
            (Self::Value, Task::Binary | Task::Regression) => Some(DataType::Float64),
            (_, Task::Regression) => None,
            (Self::Value | Self::Label, _) => Some(target.label_type.arrow()),
            (Self::Scores, _) => Some(DataType::Map(Arc::new(entries(target)), false)),
        }
    }

    /// The answers for columns in the model's order, one a row; NULL where the model has none.
    ///
    /// # Errors
    /// Values that the model cannot take, or classes of a regression.
    pub fn of(self, model: &AppliedModel, columns: &[ArrayRef]) -> Result<ArrayRef, ModelError> {
        let label = model.label();
        let scores = model.predict_columns(columns)?;
        let nulls = model.answered(columns);
        match (self, label.task) {
            (Self::Value, Task::Binary | Task::Regression) => {
                Ok(Arc::new(Float64Array::new(scores.into(), nulls)))
            }
            (_, Task::Regression) => Err(no_classes(self).into()),
            (Self::Value | Self::Label, _) => {
                let classes = label.label_type.array(label.classes.iter());
                let chosen = model.classes_of(&scores);
                let chosen = chosen.iter().map(|&at| at as u32).collect::<Vec<_>>();
                let chosen = UInt32Array::new(chosen.into(), nulls);
                Ok(take(&classes, &chosen, None)?)
            }
            (Self::Scores, _) => Ok(Arc::new(score_maps(label, &scores, nulls)?)),
        }
    }
}

/// Why a function cannot be applied to a regression.
pub(super) fn no_classes(answer: Answer) -> String {
    format!(
        "{} needs a model of classes, and this one predicts a number: use predict",
        answer.function()
    )
}

fn entries(target: Target) -> Field {
    let key = Field::new("key", target.label_type.arrow(), false);
    let value = Field::new("value", DataType::Float64, false);
    Field::new("entries", DataType::Struct(vec![key, value].into()), false)
}

/// For each row a map of all classes, in their order, to their probabilities; nothing is in
/// the map of a row without an answer, for those that look into it all the same.
fn score_maps(
    label: &Label,
    scores: &[f64],
    nulls: Option<NullBuffer>,
) -> Result<MapArray, ModelError> {
    let mut probabilities: Vec<f64> = match label.task {
        Task::Binary => scores.iter().flat_map(|&p| [1.0 - p, p]).collect(),
        Task::Multiclass | Task::Regression => scores.to_vec(),
    };
    let classes = label.classes.len();
    let all = probabilities.len() / classes;
    let is_answered = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    if nulls.is_some() {
        let answered = probabilities.chunks_exact(classes).enumerate();
        let answered = answered.filter(|(row, _)| is_answered(*row));
        probabilities = answered.flat_map(|(_, values)| values).copied().collect();
    }
    let rows = probabilities.len() / classes;
    let names = label.label_type.array(label.classes.iter());
    let cycle = UInt32Array::from_iter_values((0..rows).flat_map(|_| 0..classes as u32));
    let keys = take(&names, &cycle, None)?;
    let entries = entries(label.target());
    let DataType::Struct(fields) = entries.data_type() else {
        return Err("a map's entries are structs".into());
    };
    let fields: Fields = fields.clone();
    let pairs = StructArray::try_new(
        fields,
        vec![keys, Arc::new(Float64Array::from(probabilities))],
        None,
    )?;
    let lengths = (0..all).map(|row| if is_answered(row) { classes } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(MapArray::try_new(
        Arc::new(entries),
        offsets,
        pairs,
        nulls,
        false,
    )?)
}
