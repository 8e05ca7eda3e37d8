//! The feature plan: which columns a model reads, in which order, and how.
//!
//! A plan is made while a data set is built and travels inside the model as
//! `features.json`. It turns Arrow columns into the learner's matrix wherever the model
//! is applied, so that training, SQL and HTTP cannot disagree.

mod columns;
mod label;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};

use crate::error::{BindError, LearnError, Mistyped};
use crate::nearest::nearest;

pub(crate) use columns::{category_texts, numbers};
pub use label::{Class, Interface, Label, LabelType, Target, Task};

/// How a feature's values become numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeatureKind {
    /// A number, as it is (rounded to `f32`).
    Number,
    /// A boolean: 0 or 1.
    Boolean,
    /// A category: its position among `values`; any other value counts as missing.
    Category {
        /// The categories of the train split, ascending.
        values: Vec<String>,
    },
    /// A text, which a text model reads token by token; no other model has one.
    Text,
}

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// Its Arrow type in the table that the model was trained on, as text.
    pub data_type: String,
    /// How its values become numbers.
    #[serde(flatten)]
    pub kind: FeatureKind,
}

impl Feature {
    /// The type's name in an MLflow signature: `double`, `long`, `boolean` or `string`.
    pub fn mlflow_type(&self) -> &'static str {
        match (&self.kind, self.data_type.as_str()) {
            (FeatureKind::Boolean, _) => "boolean",
            (FeatureKind::Text, _) => "string",
            (FeatureKind::Category { .. }, "Utf8" | "LargeUtf8" | "Utf8View") => "string",
            (FeatureKind::Category { .. }, data_type) if data_type.starts_with("Dictionary") => {
                "string"
            }
            (_, "Int8" | "Int16" | "Int32" | "UInt8" | "UInt16") => "integer",
            (_, "Int64" | "UInt32" | "UInt64") => "long",
            (_, "Float16" | "Float32") => "float",
            _ => "double",
        }
    }

    /// What the feature needs, in words.
    pub fn needs(&self) -> &'static str {
        match self.kind {
            FeatureKind::Number => "a number",
            FeatureKind::Boolean => "a boolean",
            FeatureKind::Category { .. } => "text or an integer",
            FeatureKind::Text => "text",
        }
    }

    /// Whether a column of this type can be this feature. A column of type Null (all
    /// values missing) can be any feature.
    pub fn accepts(&self, data_type: &DataType) -> bool {
        match self.kind {
            _ if data_type.is_null() => true,
            FeatureKind::Number => is_number(data_type),
            FeatureKind::Boolean => *data_type == DataType::Boolean,
            FeatureKind::Category { .. } => is_category(data_type),
            FeatureKind::Text => is_text(data_type),
        }
    }
}

/// Whether a column of this type is a number to the learners.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(
            data_type,
            DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
        )
}

/// Whether a column of this type is text, dictionary-encoded or not.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether `categorical:` may name a column of this type.
pub(crate) fn is_category(data_type: &DataType) -> bool {
    is_text(data_type) || data_type.is_integer()
}

/// The ordered, typed inputs of a model, and what it predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeaturePlan {
    /// The inputs, in the order of the matrix's columns.
    pub features: Vec<Feature>,
    /// The label.
    pub label: Label,
}

impl FeaturePlan {
    /// The names of the inputs, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.features.iter().map(|feature| feature.name.as_str())
    }

    /// For each feature, the position of its column in `schema`, by name: the exact name
    /// first, else the only one that differs in case.
    ///
    /// # Errors
    ///
    /// All missing and all mistyped columns at once.
    pub fn bind(&self, schema: &Schema) -> Result<Vec<usize>, BindError> {
        bind_features(&self.features, schema)
    }

    /// Whether columns of these types, given by position, can be the features.
    ///
    /// # Errors
    ///
    /// A wrong number of columns, or every mistyped one.
    pub fn check_types(&self, data_types: &[DataType]) -> Result<(), BindError> {
        let mut error = BindError::default();
        if data_types.len() != self.features.len() {
            error.count = Some((self.features.len(), data_types.len()));
            return Err(error);
        }
        for (feature, data_type) in self.features.iter().zip(data_types) {
            if !feature.accepts(data_type) {
                error.mistyped.push(mistyped(feature, data_type));
            }
        }
        if error.mistyped.is_empty() {
            Ok(())
        } else {
            Err(error)
        }
    }

    /// The learner's matrix `[rows, features]`, row-major, of columns in the plan's order,
    /// with the values of [`Self::columns`].
    ///
    /// # Errors
    ///
    /// Columns of the wrong number or type.
    pub fn matrix(&self, columns: &[ArrayRef]) -> Result<Vec<f32>, LearnError> {
        let columns = self.columns(columns)?;
        let rows = columns.first().map_or(0, Vec::len);
        let width = columns.len();
        let mut matrix = vec![f32::NAN; rows * width];
        for (position, column) in columns.iter().enumerate() {
            let target = matrix.iter_mut().skip(position).step_by(width);
            for (target, value) in target.zip(column) {
                *target = *value;
            }
        }
        Ok(matrix)
    }

    /// The learner's numbers `[features][rows]` of columns in the plan's order. NULL, NaN and
    /// unknown categories are missing (NaN). A number beyond the range of `f32` counts as the
    /// largest finite one: every tree decides as it would.
    ///
    /// # Errors
    ///
    /// Columns of the wrong number or type; the plan of a text model, which has no numbers.
    pub fn columns(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<f32>>, LearnError> {
        let data_types: Vec<DataType> = columns
            .iter()
            .map(|column| column.data_type().clone())
            .collect();
        self.check_types(&data_types)?;
        let features = self.features.iter().zip(columns);
        features
            .map(|(feature, column)| match &feature.kind {
                FeatureKind::Number | FeatureKind::Boolean => {
                    Ok(numbers(&feature.name, column)?.singles())
                }
                FeatureKind::Category { values: known } => {
                    let texts = category_texts(&feature.name, column)?;
                    let codes = texts.iter().map(|text| category_code(known, text));
                    Ok(codes.collect())
                }
                FeatureKind::Text => Err(LearnError::NotNumbers {
                    column: feature.name.clone(),
                }),
            })
            .collect()
    }
}

/// For each feature, the position of its column in `schema`, by name: the exact name first,
/// else the only one that differs in case.
///
/// # Errors
///
/// All missing and all mistyped columns at once.
pub fn bind_features(features: &[Feature], schema: &Schema) -> Result<Vec<usize>, BindError> {
    let mut error = BindError::default();
    let mut positions = Vec::with_capacity(features.len());
    for feature in features {
        let Some(position) = find_column(schema, &feature.name) else {
            let names = schema.fields().iter().map(|field| field.name());
            let near = nearest(&feature.name, names);
            error.missing.push((feature.name.clone(), near));
            continue;
        };
        let data_type = schema.field(position).data_type();
        if feature.accepts(data_type) {
            positions.push(position);
        } else {
            error.mistyped.push(mistyped(feature, data_type));
        }
    }
    if error == BindError::default() {
        Ok(positions)
    } else {
        Err(error)
    }
}

/// The position of `text` among the ascending `known` categories; NaN when it is missing
/// or unknown.
fn category_code(known: &[String], text: Option<&str>) -> f32 {
    text.and_then(|text| {
        known
            .binary_search_by(|value| value.as_str().cmp(text))
            .ok()
    })
    .map_or(f32::NAN, |code| code as f32)
}

fn mistyped(feature: &Feature, found: &DataType) -> Mistyped {
    Mistyped {
        feature: feature.name.clone(),
        needs: feature.needs(),
        found: found.clone(),
    }
}

/// The position of a column: its exact name, else the only name that differs in case.
pub(crate) fn find_column(schema: &Schema, name: &str) -> Option<usize> {
    let fields = schema.fields();
    if let Some(position) = fields.iter().position(|field| field.name() == name) {
        return Some(position);
    }
    let lower = name.to_lowercase();
    let mut matches = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.name().to_lowercase() == lower);
    match (matches.next(), matches.next()) {
        (Some((position, _)), None) => Some(position),
        _ => None,
    }
}
