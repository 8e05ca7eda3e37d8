//! Collects batches into the three splits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;

use super::folds::{deal, value_hashes};
use super::label::{Classes, LabelReader};
use super::order::{Content, canonical, content_order, row_hash};
use super::spec::{SelectedColumn, Selection};
use super::{Dataset, DatasetSpec, FoldSpec, Split, Splits, Straddling};
use crate::error::LearnError;
use crate::features::{FeaturePlan, category_texts, numbers};
use crate::nearest::nearest;
use crate::sql_type::SqlType;

/// Takes a table's batches in any order and builds its splits.
#[derive(Debug)]
pub struct DatasetBuilder {
    selection: Selection,
    parts: [Part; 3],
    /// For each feature, its categories in order of arrival (empty unless categorical).
    categories: Vec<Interner>,
    labels: LabelReader,
}

/// The rows of one split, in order of arrival. Categories are numbered by arrival.
#[derive(Debug, Default)]
struct Part {
    values: Vec<f32>,
    labels: Vec<f64>,
    /// Empty unless the table has weights.
    weights: Vec<f32>,
    /// What is equal for rows that stay in one fold; empty unless columns say so.
    groups: Vec<u64>,
}

/// Numbers texts in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Interner {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The text of a number that was given out.
    pub(super) fn text(&self, number: usize) -> &str {
        &self.texts[number]
    }
}

impl DatasetBuilder {
    /// A builder for tables of this schema.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the spec or the columns' types, at once.
    pub fn new(schema: &Schema, spec: &DatasetSpec) -> Result<Self, Vec<LearnError>> {
        let selection = spec.select(schema)?;
        let categories = selection.features.iter().map(|_| Interner::default());
        Ok(Self {
            categories: categories.collect(),
            labels: LabelReader::new(&selection.label.name, selection.target),
            selection,
            parts: Default::default(),
        })
    }

    /// The columns that are read: the features, the label, `_split`, the weight and what keeps
    /// rows together in a fold. Nothing else need be fetched.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let features = self.selection.features.iter();
        features
            .chain([&self.selection.label, &self.selection.split])
            .chain(&self.selection.weight)
            .chain(&self.selection.groups)
            .map(|column| column.name.as_str())
    }

    /// Takes a batch that has at least the columns of [`Self::columns`], by name.
    ///
    /// # Errors
    ///
    /// A batch of another shape, an unknown `_split`, an infinite feature, or a weight that
    /// is none.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), LearnError> {
        let splits = read_splits(checked_column(batch, &self.selection.split)?)?;
        let labels = self
            .labels
            .read(checked_column(batch, &self.selection.label)?)?;
        let weights = self.read_weights(batch)?;
        let groups = self.read_groups(batch)?;
        let width = self.selection.features.len();
        let mut matrix = vec![f32::NAN; batch.num_rows() * width];
        for position in 0..width {
            self.read_feature(batch, position, &mut matrix)?;
        }
        for (row, (split, label)) in splits.into_iter().zip(labels).enumerate() {
            let part = &mut self.parts[split as usize];
            part.values
                .extend_from_slice(&matrix[row * width..(row + 1) * width]);
            part.labels.push(label);
            part.weights.extend(weights.get(row));
            part.groups.extend(groups.get(row));
        }
        Ok(())
    }

    /// The splits, each ordered by the hash of its rows' content seeded with `seed`.
    ///
    /// # Errors
    ///
    /// No training row, missing labels, too few or too many classes, one that no training
    /// row has, or fewer groups of rows than folds.
    pub fn build(mut self, seed: u64) -> Result<Splits, LearnError> {
        if self.selection.folds.is_some() {
            let validation = std::mem::take(&mut self.parts[Split::Validation as usize]);
            self.parts[Split::Train as usize].append(validation);
        }
        let no_rows = self.parts.iter().all(|part| part.labels.is_empty());
        let train = &self.parts[Split::Train as usize].labels;
        if train.is_empty() {
            let need = if no_rows {
                "the table has no rows at all"
            } else {
                "models are fitted on it, so check the table's split and filters"
            };
            return Err(LearnError::EmptySplit {
                split: Split::Train,
                need,
            });
        }
        let classes = self.labels.finish(train)?;
        let known = train_categories(&self.selection, &self.categories, &self.parts);
        let codes = category_codes(&self.categories, &known);
        let features = self.selection.features.iter().zip(known);
        let plan = Arc::new(FeaturePlan {
            features: features
                .map(|(feature, known)| feature.of_values(known))
                .collect(),
            label: classes.label.clone(),
        });
        let weighted = self.selection.weight.is_some();
        let mut hashes = Vec::with_capacity(3);
        let mut sets = Vec::with_capacity(3);
        let mut folds = None;
        for (split, part) in Split::ALL.into_iter().zip(self.parts) {
            let (set, hash, groups) = part.into_dataset(&plan, &codes, &classes, weighted, seed);
            if let Some(spec) = &self.selection.folds
                && split == Split::Train
            {
                let groups = groups_of(&set, groups, spec);
                folds = Some(deal(&groups, &set, spec)?);
            }
            sets.push(set);
            hashes.push(hash);
        }
        let in_train: HashSet<u64> = hashes[0].iter().copied().collect();
        let shared = |hashes: &[u64]| hashes.iter().filter(|hash| in_train.contains(hash)).count();
        let straddling = Straddling {
            validation: shared(&hashes[1]),
            test: shared(&hashes[2]),
        };
        let [train, validation, test] = <[Dataset; 3]>::try_from(sets)
            .unwrap_or_else(|_| unreachable!("one data set was pushed for each of three parts"));
        Ok(Splits {
            train,
            validation,
            test,
            straddling,
            folds,
        })
    }

    /// What is equal for rows that stay in one fold; nothing unless columns say so.
    fn read_groups(&self, batch: &RecordBatch) -> Result<Vec<u64>, LearnError> {
        let (columns, Some(spec)) = (&self.selection.groups, &self.selection.folds) else {
            return Ok(Vec::new());
        };
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let texts = columns.iter().map(|column| {
            let values = checked_column(batch, column)?;
            category_texts(&column.name, values)
        });
        let texts = texts.collect::<Result<Vec<_>, LearnError>>()?;
        Ok(value_hashes(&texts, spec.seed))
    }

    /// Each row's weight; nothing when the table has none.
    fn read_weights(&self, batch: &RecordBatch) -> Result<Vec<f32>, LearnError> {
        let Some(weight) = &self.selection.weight else {
            return Ok(Vec::new());
        };
        let values = numbers(&weight.name, checked_column(batch, weight)?)?;
        values
            .iter()
            .map(|value| {
                let narrow = value as f32;
                if narrow.is_finite() && narrow >= 0.0 {
                    Ok(canonical(narrow))
                } else {
                    Err(LearnError::BadWeight {
                        column: weight.name.clone(),
                        value: if value.is_nan() {
                            "NULL or NaN".to_owned()
                        } else {
                            value.to_string()
                        },
                    })
                }
            })
            .collect()
    }

    /// Fills one column of the row-major `matrix`.
    fn read_feature(
        &mut self,
        batch: &RecordBatch,
        position: usize,
        matrix: &mut [f32],
    ) -> Result<(), LearnError> {
        let feature = &self.selection.features[position];
        let column = checked_column(batch, feature)?;
        let width = self.selection.features.len();
        let targets = matrix.iter_mut().skip(position).step_by(width);
        if feature.category {
            let texts = category_texts(&feature.name, column)?;
            let interner = &mut self.categories[position];
            for (target, text) in targets.zip(texts.iter()) {
                *target = text.map_or(f32::NAN, |text| interner.number(text) as f32);
            }
            return Ok(());
        }
        for (target, value) in targets.zip(numbers(&feature.name, column)?.iter()) {
            let narrow = value as f32;
            if narrow.is_infinite() {
                return Err(LearnError::NotFinite {
                    column: feature.name.clone(),
                    value: value.to_string(),
                });
            }
            *target = canonical(narrow);
        }
        Ok(())
    }
}

/// For each feature, the categories of the train split, ascending: nothing fitted may see
/// the other splits.
fn train_categories(
    selection: &Selection,
    categories: &[Interner],
    parts: &[Part; 3],
) -> Vec<Vec<String>> {
    let width = selection.features.len();
    let train = &parts[Split::Train as usize];
    let features = selection.features.iter().zip(categories);
    features
        .enumerate()
        .map(|(position, (feature, interner))| {
            if !feature.category {
                return Vec::new();
            }
            let column = train.values.iter().skip(position).step_by(width);
            let seen: BTreeSet<&str> = column
                .filter(|number| !number.is_nan())
                .map(|&number| interner.text(number as usize))
                .collect();
            seen.into_iter().map(str::to_owned).collect()
        })
        .collect()
}

/// For each feature, the final code of each category by its number of arrival: its position
/// among the known ones, or missing.
fn category_codes(categories: &[Interner], known: &[Vec<String>]) -> Vec<Vec<f32>> {
    let pairs = categories.iter().zip(known);
    pairs
        .map(|(interner, known)| {
            let code = |text: &String| known.binary_search(text).map_or(f32::NAN, |i| i as f32);
            interner.texts.iter().map(code).collect()
        })
        .collect()
}

/// What is equal for rows of a data set that stay in one fold: what columns said, else what
/// learners see of a row.
fn groups_of(rows: &Dataset, by_columns: Vec<u64>, spec: &FoldSpec) -> Vec<u64> {
    if !by_columns.is_empty() {
        return by_columns;
    }
    let hash = |row: usize| {
        let content = Content {
            values: rows.row(row),
            label: rows.labels()[row],
            weight: None,
        };
        row_hash(spec.seed, &content)
    };
    (0..rows.rows()).map(hash).collect()
}

impl Part {
    /// Takes over the rows of another part.
    fn append(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
        self.labels.append(&mut other.labels);
        self.weights.append(&mut other.weights);
        self.groups.append(&mut other.groups);
    }

    /// The rows in the order of their content, their hashes in some order, and in the order
    /// of the rows what columns said keeps them together.
    fn into_dataset(
        mut self,
        plan: &Arc<FeaturePlan>,
        codes: &[Vec<f32>],
        classes: &Classes,
        weighted: bool,
        seed: u64,
    ) -> (Dataset, Vec<u64>, Vec<u64>) {
        let width = codes.len();
        for (position, codes) in codes.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            for value in self.values.iter_mut().skip(position).step_by(width) {
                if !value.is_nan() {
                    *value = codes[*value as usize];
                }
            }
        }
        let labels: Vec<f32> = self.labels.iter().map(|&l| classes.code(l)).collect();
        let row = |row: usize| Content {
            values: &self.values[row * width..(row + 1) * width],
            label: labels[row],
            weight: self.weights.get(row).copied(),
        };
        let hashes: Vec<u64> = (0..labels.len())
            .map(|at| row_hash(seed, &row(at)))
            .collect();
        let order = content_order(&hashes, row);
        let mut values = Vec::with_capacity(self.values.len());
        for &row in &order {
            values.extend_from_slice(&self.values[row * width..(row + 1) * width]);
        }
        let sorted = |of: &[f32]| -> Vec<f32> { order.iter().map(|&row| of[row]).collect() };
        let weights = weighted.then(|| sorted(&self.weights));
        let dataset = Dataset::new(Arc::clone(plan), values, sorted(&labels), weights);
        let groups = match self.groups.is_empty() {
            true => Vec::new(),
            false => order.iter().map(|&row| self.groups[row]).collect(),
        };
        (dataset, hashes, groups)
    }
}

/// Each row's split.
pub(super) fn read_splits(column: &ArrayRef) -> Result<Vec<Split>, LearnError> {
    let texts = category_texts(super::SPLIT_COLUMN, column)?;
    texts
        .iter()
        .map(|text| {
            text.and_then(Split::parse)
                .ok_or_else(|| LearnError::UnknownSplit {
                    value: text.map(str::to_owned),
                    nearest: text.and_then(|text| {
                        nearest(text, Split::ALL.iter().map(|split| split.as_str()))
                    }),
                })
        })
        .collect()
}

/// The batch's column of a selected name, if it still has the announced type.
fn checked_column<'b>(
    batch: &'b RecordBatch,
    selected: &SelectedColumn,
) -> Result<&'b arrow::array::ArrayRef, LearnError> {
    let changed = |found: String| LearnError::SchemaChanged {
        column: selected.name.clone(),
        expected: selected.data_type.clone(),
        found,
    };
    let column = batch
        .column_by_name(&selected.name)
        .ok_or_else(|| changed("no such column".to_owned()))?;
    if *column.data_type() == selected.data_type {
        Ok(column)
    } else {
        Err(changed(format!("type {}", SqlType(column.data_type()))))
    }
}
