//! Which columns of a table are features, and which one is the label.

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Schema};

use super::{FoldSpec, SPLIT_COLUMN};
use crate::error::LearnError;
use crate::features::{
    Feature, FeatureKind, Interface, LabelType, Target, Task, find_column, is_category, is_number,
    is_text,
};
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
    /// The kind of question; `None` for the one that the label's type suggests: several
    /// classes for text, else two.
    pub task: Option<Task>,
    /// The column that says how much each training row counts; never a feature.
    pub weight: Option<String>,
    /// How the train and validation rows are dealt into folds; `None` to keep the two parts
    /// apart.
    pub folds: Option<FoldSpec>,
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
    pub(super) target: Target,
    pub(super) weight: Option<SelectedColumn>,
    pub(super) split: SelectedColumn,
    pub(super) folds: Option<FoldSpec>,
    /// The columns that say which rows stay in one fold; empty for equal rows.
    pub(super) groups: Vec<SelectedColumn>,
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

    /// What a model of such a table takes and gives; the values of categories, which only
    /// the rows tell, are left empty.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the spec, at once.
    pub fn interface(&self, schema: &Schema) -> Result<Interface, Vec<LearnError>> {
        let selection = self.select(schema)?;
        let features = selection.features.iter();
        Ok(Interface {
            features: features
                .map(|feature| feature.of_values(Vec::new()))
                .collect(),
            target: selection.target,
        })
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
        let weight = self.weight_column(schema, &mut errors);
        let groups = self.group_columns(schema, &mut errors);
        // What a misspelled name probably means is not wrong as well.
        let meant: Vec<String> = errors.iter().filter_map(meant_column).collect();
        let label_position = label;
        let label = label.and_then(|position| self.label_column(schema, position, &mut errors));
        let split = split_column(schema, &mut errors);

        let mut features = Vec::new();
        for (position, field) in schema.fields().iter().enumerate() {
            let is_weight = |weight: &SelectedColumn| weight.position == position;
            let has_a_role =
                label_position == Some(position) || weight.as_ref().is_some_and(is_weight);
            let named_category = categorical.contains(&position);
            if has_a_role
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
            (Some((label, target)), Some(split)) if errors.is_empty() => Ok(Selection {
                features,
                label,
                target,
                weight,
                split,
                folds: self.folds.clone(),
                groups,
            }),
            _ => Err(errors),
        }
    }

    pub(super) fn find(
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

    pub(super) fn label_column(
        &self,
        schema: &Schema,
        position: usize,
        errors: &mut Vec<LearnError>,
    ) -> Option<(SelectedColumn, Target)> {
        let label = selected(schema, position, false);
        let label_type = LabelType::of(&label.data_type);
        let task = self.task.unwrap_or(match label_type {
            Some(LabelType::Text) => Task::Multiclass,
            _ => Task::Binary,
        });
        let fits = match task {
            Task::Binary => label_type != Some(LabelType::Text),
            Task::Multiclass => true,
            Task::Regression => {
                matches!(label_type, Some(LabelType::Integer | LabelType::Float))
            }
        };
        match label_type {
            Some(label_type) if fits => Some((label, Target { task, label_type })),
            _ => {
                errors.push(LearnError::LabelType {
                    column: label.name,
                    data_type: label.data_type,
                    task,
                });
                None
            }
        }
    }

    fn weight_column(
        &self,
        schema: &Schema,
        errors: &mut Vec<LearnError>,
    ) -> Option<SelectedColumn> {
        let written = self.weight.as_ref()?;
        let position = self.find(schema, "weight", written, errors)?;
        let weight = selected(schema, position, false);
        if is_number(&weight.data_type) {
            return Some(weight);
        }
        errors.push(LearnError::WeightType {
            column: weight.name,
            data_type: weight.data_type,
        });
        None
    }

    /// The columns of the folds' `by:`, whose values are compared as text.
    fn group_columns(&self, schema: &Schema, errors: &mut Vec<LearnError>) -> Vec<SelectedColumn> {
        let Some(folds) = &self.folds else {
            return Vec::new();
        };
        let mut groups = Vec::with_capacity(folds.by.len());
        for position in self.find_all(schema, "by", &folds.by, errors) {
            let group = selected(schema, position, false);
            if can_cast_types(&group.data_type, &DataType::Utf8) && !group.data_type.is_nested() {
                groups.push(group);
            } else {
                errors.push(LearnError::GroupType {
                    column: group.name,
                    data_type: group.data_type,
                });
            }
        }
        groups
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

pub(super) fn selected(schema: &Schema, position: usize, category: bool) -> SelectedColumn {
    let field = schema.field(position);
    SelectedColumn {
        position,
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        category,
    }
}

pub(super) fn split_column(
    schema: &Schema,
    errors: &mut Vec<LearnError>,
) -> Option<SelectedColumn> {
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
