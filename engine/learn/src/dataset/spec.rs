//! Which columns of a table are features, and which one is the label.

use arrow::datatypes::{DataType, Schema};

use super::SPLIT_COLUMN;
use crate::error::LearnError;
use crate::features::{Feature, FeatureKind, find_column, is_category, is_number, is_text};
use crate::nearest::nearest;

/// What a user says about a table to learn from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetSpec {
    /// The column to predict.
    pub label: String,
    /// Columns that are no features.
    pub exclude: Vec<String>,
    /// Text (or integer) columns whose values are categories.
    pub categorical: Vec<String>,
    /// Columns that hold outputs of `predict`: never features, whatever their type.
    pub outputs: Vec<String>,
}

/// A column that a builder reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SelectedColumn {
    pub(super) position: usize,
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) category: bool,
}

impl SelectedColumn {
    /// The feature that this column becomes; `values` are its categories, if it has any.
    pub(super) fn of_values(&self, values: Vec<String>) -> Feature {
        Feature {
            name: self.name.clone(),
            data_type: self.data_type.to_string(),
            kind: match (self.category, &self.data_type) {
                (true, _) => FeatureKind::Category { values },
                (false, DataType::Boolean) => FeatureKind::Boolean,
                (false, _) => FeatureKind::Number,
            },
        }
    }
}

/// The columns that a builder reads.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) features: Vec<SelectedColumn>,
    pub(super) label: SelectedColumn,
    pub(super) split: SelectedColumn,
}

impl DatasetSpec {
    /// Checks the spec against a table's columns without reading a row.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once.
    pub fn check(&self, schema: &Schema) -> Result<(), Vec<LearnError>> {
        self.select(schema).map(|_| ())
    }

    /// The features that a model of such a table has, in order; the values of categories,
    /// which only the rows tell, are left empty.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the spec, at once.
    pub fn features(&self, schema: &Schema) -> Result<Vec<Feature>, Vec<LearnError>> {
        let selection = self.select(schema)?;
        let features = selection.features.iter();
        Ok(features
            .map(|feature| feature.of_values(Vec::new()))
            .collect())
    }

    /// The features and the label among a table's columns.
    pub(super) fn select(&self, schema: &Schema) -> Result<Selection, Vec<LearnError>> {
        let mut errors = Vec::new();
        let label = self.find(schema, "label", &self.label, &mut errors);
        let excluded = self.find_all(schema, "exclude", &self.exclude, &mut errors);
        let categorical = self.find_all(schema, "categorical", &self.categorical, &mut errors);
        let outputs: Vec<usize> = self
            .outputs
            .iter()
            .filter_map(|name| find_column(schema, name))
            .collect();
        // What a misspelled name probably means is not wrong as well.
        let meant: Vec<String> = errors.iter().filter_map(meant_column).collect();
        let label_position = label;
        let label = label.and_then(|position| label_column(schema, position, &mut errors));
        let split = split_column(schema, &mut errors);

        let mut features = Vec::new();
        for (position, field) in schema.fields().iter().enumerate() {
            let is_label = label_position == Some(position);
            let named_category = categorical.contains(&position);
            if is_label
                || excluded.contains(&position)
                || outputs.contains(&position)
                || (field.name().starts_with('_') && !named_category)
            {
                continue;
            }
            match feature_column(schema, position, named_category) {
                Ok(feature) => features.push(feature),
                Err(LearnError::UnsupportedColumn { column, .. }) if meant.contains(&column) => {}
                Err(error) => errors.push(error),
            }
        }
        if features.is_empty() && errors.is_empty() {
            errors.push(LearnError::NoFeatures {
                label: self.label.clone(),
                columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
            });
        }
        match (label, split) {
            (Some(label), Some(split)) if errors.is_empty() => Ok(Selection {
                features,
                label,
                split,
            }),
            _ => Err(errors),
        }
    }

    fn find(
        &self,
        schema: &Schema,
        role: &'static str,
        column: &str,
        errors: &mut Vec<LearnError>,
    ) -> Option<usize> {
        let position = find_column(schema, column);
        if position.is_none() {
            errors.push(LearnError::UnknownColumn {
                role,
                column: column.to_owned(),
                nearest: nearest(column, schema.fields().iter().map(|field| field.name())),
            });
        }
        position
    }

    fn find_all(
        &self,
        schema: &Schema,
        role: &'static str,
        columns: &[String],
        errors: &mut Vec<LearnError>,
    ) -> Vec<usize> {
        columns
            .iter()
            .filter_map(|column| self.find(schema, role, column, errors))
            .collect()
    }
}

/// The column that an unknown name in `exclude:` or `categorical:` was probably meant to be.
fn meant_column(error: &LearnError) -> Option<String> {
    match error {
        LearnError::UnknownColumn { role, nearest, .. } if *role != "label" => nearest.clone(),
        _ => None,
    }
}

fn selected(schema: &Schema, position: usize, category: bool) -> SelectedColumn {
    let field = schema.field(position);
    SelectedColumn {
        position,
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        category,
    }
}

fn label_column(
    schema: &Schema,
    position: usize,
    errors: &mut Vec<LearnError>,
) -> Option<SelectedColumn> {
    let label = selected(schema, position, false);
    if label.data_type == DataType::Boolean || is_number(&label.data_type) {
        return Some(label);
    }
    errors.push(LearnError::LabelType {
        column: label.name,
        data_type: label.data_type,
    });
    None
}

fn split_column(schema: &Schema, errors: &mut Vec<LearnError>) -> Option<SelectedColumn> {
    let Some(position) = find_column(schema, SPLIT_COLUMN) else {
        errors.push(LearnError::MissingSplit);
        return None;
    };
    let split = selected(schema, position, false);
    if is_text(&split.data_type) {
        return Some(split);
    }
    errors.push(LearnError::SplitType {
        data_type: split.data_type,
    });
    None
}

fn feature_column(
    schema: &Schema,
    position: usize,
    named_category: bool,
) -> Result<SelectedColumn, LearnError> {
    let feature = selected(schema, position, named_category);
    let data_type = &feature.data_type;
    if named_category && !is_category(data_type) {
        return Err(LearnError::NotCategorical {
            column: feature.name,
            data_type: feature.data_type,
        });
    }
    if named_category || *data_type == DataType::Boolean || is_number(data_type) {
        return Ok(feature);
    }
    Err(LearnError::UnsupportedColumn {
        column: feature.name,
        text: is_text(data_type),
        data_type: feature.data_type,
    })
}
