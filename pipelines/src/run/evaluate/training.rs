//! The rows that a model was trained on, as far as they can still be read: what baselines
//! learn from, and what tells whether a row is new to the model.
//!
//! Memory: 8 bytes for each training row, and the texts of those that the bag of words learns
//! from, [`MAX_TEXTS`] at most.

use std::collections::{BinaryHeap, HashSet};

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};
use sluice_lake::TableName;
use sluice_lake::registry::ModelVersion;
use sluice_learn::bag_of_words::BagOfWords;
use sluice_learn::features::Label;
use sluice_learn::judged::LabelCodes;
use sluice_learn::{LearnError, Task};

use crate::check::error_chain;
use crate::run::content_hash::ContentHasher;
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::feed::{Batches, feed};
use crate::run::split::SPLIT_COLUMN;

/// Texts that the bag of words learns from, at most: those of the smallest hashes.
pub(crate) const MAX_TEXTS: usize = 100_000;

/// What a model takes and gives, as training rows are read by it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The columns that it takes, in order.
    pub(crate) features: Vec<String>,
    /// The only one of them, if it is a text.
    pub(crate) text: Option<String>,
    pub(crate) label: Label,
}

/// What the training rows tell.
#[derive(Debug)]
pub(crate) struct Training {
    /// The table, and its version.
    pub(crate) table: (String, i64),
    /// Rows that the model learned from.
    pub(crate) rows: u64,
    /// The share of each class, or the mean of the numbers.
    pub(crate) usual: Vec<f64>,
    /// The hashes of their features and labels.
    pub(crate) keys: HashSet<u64>,
    /// A baseline for a model of text.
    pub(crate) words: Option<Words>,
}

/// A baseline for a model of text.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) column: String,
    pub(crate) fitted: BagOfWords,
    /// The texts that it was fitted to.
    pub(crate) texts: usize,
}

/// Reads the rows that a version was trained on; the inner error is why they cannot be told.
pub(crate) async fn read(
    run: &RunContext,
    asset: &str,
    version: &ModelVersion,
    asked: Asked,
) -> Result<Result<Training, String>, StageError> {
    let Some(input) = version.inputs.first() else {
        return Ok(Err(
            "the version does not say what it was trained on".to_owned()
        ));
    };
    let table = (input.name.clone(), input.version);
    let name = input.name.parse::<TableName>();
    let (Ok(name), Ok(number)) = (name, u64::try_from(input.version)) else {
        return Ok(Err(format!("{} is no table of the lakehouse", input.name)));
    };
    let stored = match run.world.lakehouse.load(&name, Some(number)).await {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error_chain(&error))),
    };
    let session = run.session()?;
    let mut rows = session.context().read_table(stored.provider)?;
    let names = stored.schema.fields().iter().map(|field| field.name());
    let mut split = names.filter(|name| name.eq_ignore_ascii_case(SPLIT_COLUMN));
    if let Some(split) = split.next() {
        let is_train = Expr::Column(Column::from_name(split)).eq(lit("train"));
        rows = rows.filter(is_train)?;
    }
    let stream = match rows.execute_stream().await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error_chain(&error))),
    };
    let schema = stream.schema();
    let looked = feed(run, asset, stream, move |batches| {
        Looked::at(&schema, &asked, batches)?.finish(table, &asked)
    });
    match looked.await {
        Ok(training) => Ok(Ok(training)),
        // Files of an old version may be gone.
        Err(StageError::DataFusion(error)) => Ok(Err(error_chain(&error))),
        Err(error) => Err(error),
    }
}

/// Hashes what a model learns of rows: its features and the label, whatever they are called.
#[derive(Debug)]
pub(crate) struct RowKeys {
    features: Vec<usize>,
}

impl RowKeys {
    /// For rows of these columns, which have all of the model's.
    pub(crate) fn new(schema: &Schema, features: &[String]) -> Self {
        let place = |name: &String| position(schema, name);
        Self {
            features: features.iter().filter_map(place).collect(),
        }
    }

    /// One hash a row.
    pub(crate) fn of(&self, batch: &RecordBatch, codes: &[f32]) -> Result<Vec<u64>, StageError> {
        let columns = self
            .features
            .iter()
            .map(|at| ArrayRef::clone(batch.column(*at)));
        let codes = std::iter::once(std::sync::Arc::new(Float32Array::from(codes.to_vec())) as _);
        // Names that keep the order.
        let named = columns.chain(codes).enumerate();
        let named = named.map(|(at, column)| (format!("{at:06}"), column));
        let rows = RecordBatch::try_from_iter_with_nullable(
            named.map(|(name, column)| (name, column, true)),
        )?;
        Ok(ContentHasher::new(&rows.schema(), 0, |_| true).hash(&rows)?)
    }
}

/// The position of a column, whatever the case of its name.
pub(crate) fn position(schema: &Schema, name: &str) -> Option<usize> {
    let fields = schema.fields();
    let exact = fields.iter().position(|field| field.name() == name);
    exact.or_else(|| {
        fields
            .iter()
            .position(|field| field.name().eq_ignore_ascii_case(name))
    })
}

/// What is gathered while the rows go by.
struct Looked {
    rows: u64,
    /// Rows of each class, or the sum of the numbers.
    counts: Vec<f64>,
    keys: HashSet<u64>,
    /// The texts of the smallest hashes, the largest of them on top.
    texts: BinaryHeap<(u64, String, u32)>,
}

impl Looked {
    fn at(schema: &Schema, asked: &Asked, batches: Batches) -> Result<Self, StageError> {
        let keys = RowKeys::new(schema, &asked.features);
        let mut codes = LabelCodes::new(&asked.label);
        let text = asked.text.as_ref().and_then(|name| position(schema, name));
        let label = &asked.label.name;
        let place = position(schema, label).ok_or_else(|| LearnError::UnknownColumn {
            role: "label",
            column: label.clone(),
            nearest: None,
        })?;
        let mut looked = Self {
            rows: 0,
            counts: vec![0.0; asked.label.classes.len().max(1)],
            keys: HashSet::new(),
            texts: BinaryHeap::new(),
        };
        for batch in batches {
            let batch = batch?;
            let labels = codes.read(label, batch.column(place))?;
            let hashes = keys.of(&batch, &labels)?;
            looked.rows += batch.num_rows() as u64;
            for &label in &labels {
                match asked.label.task {
                    Task::Regression => looked.counts[0] += f64::from(label),
                    Task::Binary | Task::Multiclass => {
                        if let Some(count) = looked.counts.get_mut(label as usize) {
                            *count += 1.0;
                        }
                    }
                }
            }
            if let Some(text) = text {
                looked.take_texts(batch.column(text), &labels, &hashes)?;
            }
            looked.keys.extend(hashes);
        }
        Ok(looked)
    }

    fn take_texts(
        &mut self,
        column: &ArrayRef,
        labels: &[f32],
        hashes: &[u64],
    ) -> Result<(), StageError> {
        let texts = cast(column, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter();
        for ((text, &label), &hash) in texts.zip(labels).zip(hashes) {
            let Some(text) = text else { continue };
            let full = self.texts.len() >= MAX_TEXTS;
            if full
                && self
                    .texts
                    .peek()
                    .is_some_and(|(largest, ..)| hash > *largest)
            {
                continue;
            }
            self.texts.push((hash, text.to_owned(), label as u32));
            if full {
                self.texts.pop();
            }
        }
        Ok(())
    }

    fn finish(self, table: (String, i64), asked: &Asked) -> Result<Training, StageError> {
        let rows = self.rows.max(1) as f64;
        let texts = self.texts.into_iter();
        let texts: Vec<(String, u32)> = texts.map(|(_, text, code)| (text, code)).collect();
        let count = texts.len();
        let words = match (&asked.text, asked.label.task) {
            (Some(column), Task::Binary | Task::Multiclass) => {
                BagOfWords::fit(texts, asked.label.classes.len()).map(|fitted| Words {
                    column: column.clone(),
                    fitted,
                    texts: count,
                })
            }
            _ => None,
        };
        Ok(Training {
            table,
            rows: self.rows,
            usual: self.counts.iter().map(|count| count / rows).collect(),
            keys: self.keys,
            words,
        })
    }
}
