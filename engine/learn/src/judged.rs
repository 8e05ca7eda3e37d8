//! A model's figures on rows that it was not made with: how a champion is compared with its
//! challenger. [`LabelCodes`] reads the labels of any table as a model knows its classes.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, RecordBatch};

use crate::applied::AppliedModel;
use crate::dataset::MAX_CLASSES;
use crate::error::LearnError;
use crate::features::{
    Label, LabelType, Task, category_texts, find_column, is_number, is_text, numbers,
};
use crate::metric::Metric;

/// The codes of labels of any table, as a model knows its classes.
#[derive(Debug, Clone)]
pub struct LabelCodes {
    label: Label,
    /// The code of each class, by its text.
    codes: HashMap<String, f32>,
    /// The classes that the model does not know, in the order of their codes.
    unknown: Vec<String>,
}

impl LabelCodes {
    /// The codes of a model's label.
    pub fn new(label: &Label) -> Self {
        let classes = label.classes.iter().enumerate();
        Self {
            codes: classes
                .map(|(code, class)| (class.to_string(), code as f32))
                .collect(),
            label: label.clone(),
            unknown: Vec::new(),
        }
    }

    /// The classes that occurred and the model does not know; their codes follow those of its
    /// own.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Classes that have a code.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether no class has a code: of a regression.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Each row's number, or the code of its class; NaN where it is missing. A class that the
    /// model does not know gets a code of its own.
    ///
    /// # Errors
    ///
    /// A column that cannot be read as labels; more classes than models can tell apart.
    pub fn read(&mut self, name: &str, column: &ArrayRef) -> Result<Vec<f32>, LearnError> {
        if self.label.task == Task::Regression && is_number(column.data_type()) {
            return Ok(numbers(name, column)?.iter().map(|v| v as f32).collect());
        }
        if is_text(column.data_type()) {
            let texts = category_texts(name, column)?;
            let codes = texts.iter().map(|text| self.code(name, text));
            return codes.collect();
        }
        let boolean = self.label.label_type == LabelType::Boolean;
        let numbers = numbers(name, column)?;
        let codes = numbers.iter().map(|value| {
            if value.is_nan() {
                return Ok(f32::NAN);
            }
            let text = match boolean {
                true => (value != 0.0).to_string(),
                false => (value + 0.0).to_string(),
            };
            self.code(name, Some(&text))
        });
        codes.collect()
    }

    fn code(&mut self, name: &str, class: Option<&str>) -> Result<f32, LearnError> {
        let Some(class) = class else {
            return Ok(f32::NAN);
        };
        if let Some(&code) = self.codes.get(class) {
            return Ok(code);
        }
        let next = self.codes.len();
        if self.unknown.len() >= MAX_CLASSES {
            return Err(LearnError::TooManyClasses {
                column: name.to_owned(),
                most: MAX_CLASSES,
                examples: self.unknown.iter().take(3).cloned().collect(),
            });
        }
        self.codes.insert(class.to_owned(), next as f32);
        self.unknown.push(class.to_owned());
        Ok(next as f32)
    }
}

/// Rows with their labels and a model's predictions for them.
#[derive(Debug)]
pub struct Judged<'m> {
    model: &'m AppliedModel,
    codes: LabelCodes,
    labels: Vec<f32>,
    scores: Vec<f64>,
}

impl<'m> Judged<'m> {
    /// No rows yet.
    pub fn new(model: &'m AppliedModel) -> Self {
        Self {
            model,
            codes: LabelCodes::new(&model.plan().label),
            labels: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Takes a batch that has the model's features and the column `label`.
    ///
    /// # Errors
    ///
    /// [`LearnError::Bind`] when columns are missing or of another type; values that the
    /// model cannot take.
    pub fn push(&mut self, batch: &RecordBatch, label: &str) -> Result<(), LearnError> {
        let schema = batch.schema();
        let positions = self.model.plan().bind(&schema)?;
        let position = find_column(&schema, label).ok_or_else(|| LearnError::UnknownColumn {
            role: "label",
            column: label.to_owned(),
            nearest: None,
        })?;
        let columns: Vec<ArrayRef> = positions
            .iter()
            .map(|position| batch.column(*position).clone())
            .collect();
        let labels = self.codes.read(label, batch.column(position))?;
        self.scores.extend(self.model.predict_columns(&columns)?);
        let binary = self.model.plan().label.task == Task::Binary;
        // With two classes all but the positive one are the other.
        let labels = labels.into_iter().map(|code| match binary {
            true => f32::from(u8::from(code == 1.0)),
            false => code,
        });
        self.labels.extend(labels);
        Ok(())
    }

    /// A metric of the model over all rows.
    pub fn figure(&self, metric: &Metric) -> f64 {
        let label = &self.model.plan().label;
        let (known, seen) = (label.outputs(), self.codes.len());
        if label.task != Task::Multiclass || seen == known {
            let threshold = self.model.settled().threshold;
            return metric.compute_at(threshold, label.task, &self.labels, &self.scores);
        }
        // Classes that the model does not know have probability 0.
        let mut scores = Vec::with_capacity(self.labels.len() * seen);
        for row in self.scores.chunks_exact(known) {
            scores.extend_from_slice(row);
            scores.extend(std::iter::repeat_n(0.0, seen - known));
        }
        metric.compute(label.task, &self.labels, &scores)
    }
}
