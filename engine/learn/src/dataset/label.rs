//! Reads labels and gives classes their codes.

use std::collections::HashMap;

use arrow::array::ArrayRef;

use super::builder::Interner;
use crate::error::LearnError;
use crate::features::{Class, Label, LabelType, Target, Task, category_texts, numbers};

/// Classes that a model may tell apart.
pub(crate) const MAX_CLASSES: usize = 1_000;

/// Takes the values of a label column; each stands for itself until all are known. A text
/// stands as its number of arrival.
#[derive(Debug)]
pub(super) struct LabelReader {
    name: String,
    target: Target,
    texts: Interner,
    /// Rows of each different value, by its bits; at most one value too many.
    seen: HashMap<u64, usize>,
    missing: usize,
    rows: usize,
}

/// The classes in the order of their codes, and the values that they had while reading.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) label: Label,
    codes: HashMap<u64, f32>,
}

impl LabelReader {
    pub(super) fn new(name: &str, target: Target) -> Self {
        Self {
            name: name.to_owned(),
            target,
            texts: Interner::default(),
            seen: HashMap::new(),
            missing: 0,
            rows: 0,
        }
    }

    /// Each row's value; NaN where it is missing, which [`Self::finish`] refuses.
    pub(super) fn read(&mut self, column: &ArrayRef) -> Result<Vec<f64>, LearnError> {
        let values: Vec<f64> = if self.target.label_type == LabelType::Text {
            let texts = category_texts(&self.name, column)?;
            let interner = &mut self.texts;
            texts
                .iter()
                .map(|text| text.map_or(f64::NAN, |text| f64::from(interner.number(text))))
                .collect()
        } else {
            let numbers = numbers(&self.name, column)?;
            // -0 becomes 0.
            numbers.iter().map(|value| value + 0.0).collect()
        };
        self.rows += values.len();
        let most = self.most_values();
        for &value in &values {
            if value.is_nan() {
                self.missing += 1;
            } else if self.target.task == Task::Regression {
                if (value as f32).is_infinite() {
                    return Err(LearnError::NotFinite {
                        column: self.name.clone(),
                        value: value.to_string(),
                    });
                }
            } else if let Some(rows) = self.seen.get_mut(&value.to_bits()) {
                *rows += 1;
            } else if self.seen.len() <= most {
                self.seen.insert(value.to_bits(), 1);
            }
        }
        Ok(values)
    }

    fn most_values(&self) -> usize {
        match self.target.task {
            Task::Binary => 2,
            Task::Multiclass | Task::Regression => MAX_CLASSES,
        }
    }

    /// A value as the column spells it.
    pub(super) fn class(&self, value: f64) -> Class {
        match self.target.label_type {
            LabelType::Boolean => Class::Boolean(value != 0.0),
            LabelType::Integer | LabelType::Float => Class::Number(value),
            LabelType::Text => Class::Text(self.texts.text(value as usize).to_owned()),
        }
    }

    /// The label with its classes, ascending.
    ///
    /// # Errors
    ///
    /// Missing labels, no row, too few or too many classes, or one that `train`, the
    /// values of the train split, lacks.
    pub(super) fn finish(self, train: &[f64]) -> Result<Classes, LearnError> {
        if self.missing > 0 {
            return Err(LearnError::MissingLabels {
                column: self.name,
                rows: self.missing,
                of: self.rows,
            });
        }
        let mut classes: Vec<(f64, Class)> = self
            .seen
            .keys()
            .map(|&bits| f64::from_bits(bits))
            .map(|value| (value, self.class(value)))
            .collect();
        classes.sort_unstable_by(|(a, one), (b, other)| match (one, other) {
            (Class::Text(one), Class::Text(other)) => one.cmp(other),
            _ => a.total_cmp(b),
        });
        if self.target.task != Task::Regression {
            self.check_classes(&classes, train)?;
        }
        let codes = classes.iter().enumerate();
        Ok(Classes {
            codes: codes
                .map(|(code, (value, _))| (value.to_bits(), code as f32))
                .collect(),
            label: Label {
                name: self.name,
                task: self.target.task,
                label_type: self.target.label_type,
                classes: classes.into_iter().map(|(_, class)| class).collect(),
            },
        })
    }

    fn check_classes(&self, classes: &[(f64, Class)], train: &[f64]) -> Result<(), LearnError> {
        let column = self.name.clone();
        let most = self.most_values();
        if let [(_, only)] = classes {
            return Err(LearnError::OneClass {
                column,
                value: only.to_string(),
                place: "the table",
            });
        }
        if classes.len() > most {
            let examples = classes.iter().take(3);
            return Err(LearnError::TooManyClasses {
                column,
                most,
                examples: examples.map(|(_, class)| class.to_string()).collect(),
            });
        }
        if let Some(first) = train.first()
            && train.iter().all(|value| value == first)
        {
            return Err(LearnError::OneClass {
                column,
                value: self.class(*first).to_string(),
                place: "the train split",
            });
        }
        let learned: std::collections::HashSet<u64> =
            train.iter().map(|value| value.to_bits()).collect();
        match classes
            .iter()
            .find(|(value, _)| !learned.contains(&value.to_bits()))
        {
            Some((value, class)) if !train.is_empty() => Err(LearnError::UnseenClass {
                column,
                value: class.to_string(),
                rows: self.seen[&value.to_bits()],
            }),
            _ => Ok(()),
        }
    }
}

impl Classes {
    /// What learners see of a value that was read: the number to predict, or the class's
    /// code.
    pub(super) fn code(&self, value: f64) -> f32 {
        match self.label.task {
            Task::Regression => value as f32,
            Task::Binary | Task::Multiclass => self
                .codes
                .get(&value.to_bits())
                .copied()
                .unwrap_or(f32::NAN),
        }
    }
}
