//! Collects batches into the three splits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};

use super::order::{canonical, content_order, row_hash};
use super::spec::{SelectedColumn, Selection};
use super::{Dataset, DatasetSpec, Split, Splits, Straddling};
use crate::error::LearnError;
use crate::features::{Class, FeaturePlan, Label, category_texts, numbers};
use crate::nearest::nearest;

/// Different label values that are remembered: two, and one that makes them too many.
const LABELS_KEPT: usize = 3;

/// Takes a table's batches in any order and builds its splits.
#[derive(Debug)]
pub struct DatasetBuilder {
    selection: Selection,
    parts: [Part; 3],
    /// For each feature, its categories in order of arrival (empty unless categorical).
    categories: Vec<Interner>,
    /// The different label values so far, at most [`LABELS_KEPT`].
    label_values: Vec<f64>,
    missing_labels: usize,
    rows: usize,
}

/// The rows of one split, in order of arrival. Categories are numbered by arrival.
#[derive(Debug, Default)]
struct Part {
    values: Vec<f32>,
    labels: Vec<f64>,
}

/// Numbers texts in order of arrival.
#[derive(Debug, Default)]
struct Interner {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Interner {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
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
            selection,
            parts: Default::default(),
            label_values: Vec::new(),
            missing_labels: 0,
            rows: 0,
        })
    }

    /// The columns that are read: the features, the label and `_split`. Nothing else need
    /// be fetched.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let features = self.selection.features.iter();
        features
            .chain([&self.selection.label, &self.selection.split])
            .map(|column| column.name.as_str())
    }

    /// Takes a batch that has at least the columns of [`Self::columns`], by name.
    ///
    /// # Errors
    ///
    /// A batch of another shape, an unknown `_split`, or an infinite feature.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), LearnError> {
        let splits = self.read_splits(batch)?;
        let labels = self.read_labels(batch)?;
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
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The splits, each ordered by the hash of its rows' content seeded with `seed`.
    ///
    /// # Errors
    ///
    /// Missing labels, other than two classes, no training row, or a train split with
    /// one class.
    pub fn build(self, seed: u64) -> Result<Splits, LearnError> {
        let [negative, positive] = self.two_label_values()?;
        let train_part = &self.parts[Split::Train as usize];
        if train_part.labels.is_empty() {
            return Err(LearnError::EmptySplit {
                split: Split::Train,
                need: "models are fitted on it, so check the table's split and filters",
            });
        }
        if let Some(&only) = train_part.labels.first()
            && train_part.labels.iter().all(|&label| label == only)
        {
            return Err(LearnError::OneClass {
                column: self.selection.label.name.clone(),
                value: self.class(only).to_string(),
                place: "the train split",
            });
        }
        let known = self.train_categories();
        let plan = Arc::new(self.plan(&known, [negative, positive]));
        let codes = self.category_codes(&known);
        let mut hashes = Vec::with_capacity(3);
        let mut sets = Vec::with_capacity(3);
        for part in self.parts {
            let (set, hash) = part.into_dataset(&plan, &codes, positive, seed);
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
        })
    }

    /// Each row's split.
    fn read_splits(&self, batch: &RecordBatch) -> Result<Vec<Split>, LearnError> {
        let column = checked_column(batch, &self.selection.split)?;
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

    /// Each row's label as a number; a boolean is 0 or 1.
    fn read_labels(&mut self, batch: &RecordBatch) -> Result<Vec<f64>, LearnError> {
        let label = &self.selection.label;
        let column = checked_column(batch, label)?;
        let values: Vec<f64> = numbers(&label.name, column)?
            .iter()
            .map(|value| value + 0.0)
            .collect();
        for &value in &values {
            if value.is_nan() {
                self.missing_labels += 1;
            } else if self.label_values.len() < LABELS_KEPT && !self.label_values.contains(&value) {
                self.label_values.push(value);
            }
        }
        Ok(values)
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

    /// A label value as the column spells it.
    fn class(&self, value: f64) -> Class {
        if self.selection.label.data_type == DataType::Boolean {
            Class::Boolean(value != 0.0)
        } else {
            Class::Number(value)
        }
    }

    /// The two label values, ascending.
    fn two_label_values(&self) -> Result<[f64; 2], LearnError> {
        let column = self.selection.label.name.clone();
        if self.missing_labels > 0 {
            return Err(LearnError::MissingLabels {
                column,
                rows: self.missing_labels,
                of: self.rows,
            });
        }
        let mut values = self.label_values.clone();
        values.sort_unstable_by(f64::total_cmp);
        match values.as_slice() {
            [] => Err(LearnError::EmptySplit {
                split: Split::Train,
                need: "the table has no rows at all",
            }),
            [only] => Err(LearnError::OneClass {
                column,
                value: self.class(*only).to_string(),
                place: "the table",
            }),
            [negative, positive] => Ok([*negative, *positive]),
            more => Err(LearnError::TooManyClasses {
                column,
                examples: more.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// For each feature, the categories of the train split, ascending: nothing fitted may
    /// see the other splits.
    fn train_categories(&self) -> Vec<Vec<String>> {
        let width = self.selection.features.len();
        let train = &self.parts[Split::Train as usize];
        let features = self.selection.features.iter().zip(&self.categories);
        features
            .enumerate()
            .map(|(position, (feature, interner))| {
                if !feature.category {
                    return Vec::new();
                }
                let column = train.values.iter().skip(position).step_by(width);
                let seen: BTreeSet<&str> = column
                    .filter(|number| !number.is_nan())
                    .map(|&number| interner.texts[number as usize].as_str())
                    .collect();
                seen.into_iter().map(str::to_owned).collect()
            })
            .collect()
    }

    /// For each feature, the final code of each category by its number of arrival: its
    /// position among the known ones, or missing.
    fn category_codes(&self, known: &[Vec<String>]) -> Vec<Vec<f32>> {
        self.categories
            .iter()
            .zip(known)
            .map(|(interner, known)| {
                let code = |text: &String| known.binary_search(text).map_or(f32::NAN, |i| i as f32);
                interner.texts.iter().map(code).collect()
            })
            .collect()
    }

    fn plan(&self, known: &[Vec<String>], [negative, positive]: [f64; 2]) -> FeaturePlan {
        let features = self.selection.features.iter().zip(known);
        FeaturePlan {
            features: features
                .map(|(feature, known)| feature.of_values(known.clone()))
                .collect(),
            label: Label {
                name: self.selection.label.name.clone(),
                classes: [self.class(negative), self.class(positive)],
            },
        }
    }
}

impl Part {
    /// The rows in the order of their content, and their hashes in some order.
    fn into_dataset(
        mut self,
        plan: &Arc<FeaturePlan>,
        codes: &[Vec<f32>],
        positive: f64,
        seed: u64,
    ) -> (Dataset, Vec<u64>) {
        let width = codes.len();
        for (position, codes) in codes.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            for value in self.values.iter_mut().skip(position).step_by(width) {
                if !value.is_nan() {
                    *value = codes[*value as usize];
                }
            }
        }
        let labels: Vec<f32> = self
            .labels
            .iter()
            .map(|&label| f32::from(u8::from(label == positive)))
            .collect();
        let rows = self.values.chunks_exact(width).zip(&labels);
        let hashes: Vec<u64> = rows
            .map(|(row, &label)| row_hash(seed, row, label))
            .collect();
        let order = content_order(width, &self.values, &labels, &hashes);
        let mut values = Vec::with_capacity(self.values.len());
        for &row in &order {
            values.extend_from_slice(&self.values[row * width..(row + 1) * width]);
        }
        let labels = order.iter().map(|&row| labels[row]).collect();
        (Dataset::new(Arc::clone(plan), values, labels), hashes)
    }
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
        Err(changed(format!("type {}", column.data_type())))
    }
}
