//! A model's figures on rows that it was not made with: how a champion is compared with its
//! challenger.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch};

use crate::applied::AppliedModel;
use crate::error::LearnError;
use crate::features::{LabelType, Task, category_texts, find_column, is_number, is_text, numbers};
use crate::metric::Metric;

/// Rows with their labels and a model's predictions for them.
#[derive(Debug)]
pub struct Judged<'m> {
    model: &'m AppliedModel,
    /// The code of each class, by its text.
    codes: HashMap<String, f32>,
    labels: Vec<f32>,
    scores: Vec<f64>,
}

impl<'m> Judged<'m> {
    /// No rows yet.
    pub fn new(model: &'m AppliedModel) -> Self {
        let classes = model.plan().label.classes.iter().enumerate();
        Self {
            model,
            codes: classes
                .map(|(code, class)| (class.to_string(), code as f32))
                .collect(),
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
        let labels = self.read_labels(label, batch.column(position))?;
        self.scores.extend(self.model.predict_columns(&columns)?);
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

    /// Each row's number, or the code of its class. A class that the model does not know
    /// gets a code of its own; with two classes all but the positive one are the other.
    fn read_labels(&mut self, name: &str, column: &ArrayRef) -> Result<Vec<f32>, LearnError> {
        let label = &self.model.plan().label;
        if label.task == Task::Regression && is_number(column.data_type()) {
            return Ok(numbers(name, column)?.iter().map(|v| v as f32).collect());
        }
        let texts: Vec<String> = if is_text(column.data_type()) {
            let texts = category_texts(name, column)?;
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            texts.iter().map(text).collect()
        } else {
            let boolean = label.label_type == LabelType::Boolean;
            let spelled = |value: f64| match boolean {
                true => (value != 0.0).to_string(),
                false => (value + 0.0).to_string(),
            };
            numbers(name, column)?.iter().map(spelled).collect()
        };
        let codes = texts.into_iter().map(|text| {
            if label.task == Task::Multiclass {
                let next = self.codes.len() as f32;
                *self.codes.entry(text).or_insert(next)
            } else {
                f32::from(u8::from(self.codes.get(&text) == Some(&1.0)))
            }
        });
        Ok(codes.collect())
    }
}
