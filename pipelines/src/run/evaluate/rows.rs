//! The rows of an evaluation as they come from the query: their labels and what each model
//! says, and the few rows that are shown.
//!
//! Memory: for each row 20 bytes, 8 for each probability of each model and baseline, and 4 for
//! each slice; [`super::kept`] says what the shown rows take.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use sluice_learn::features::Label;
use sluice_learn::judged::LabelCodes;
use sluice_learn::{AppliedModel, LearnError, Task};

use super::kept::{Kept, Rank};
use super::training::{RowKeys, Words, position};
use crate::plan::report::{ANSWER_COLUMNS, WORST_COLUMNS, is_worst_column};
use crate::run::content_hash::ContentHasher;
use crate::run::error::StageError;
use crate::run::feed::Batches;

/// Different values of a slice's column that are told apart; rows are not sliced by one that has
/// more.
pub(crate) const MAX_SLICES: usize = 1_000;
/// The number of a value beyond them.
pub(crate) const OTHER: u32 = u32::MAX;
/// The column of what the compared model says, behind those of the worst rows.
pub(crate) const COMPARED_COLUMN: &str = "_compared";

/// A model whose answers come with the rows.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    pub(crate) model: AppliedModel,
    pub(crate) version: i64,
}

/// What is asked of the rows.
pub(crate) struct Asking {
    pub(crate) label: Label,
    /// The column with what is true.
    pub(crate) label_column: String,
    pub(crate) slices: Vec<String>,
    /// The model, and the one that it is compared with.
    pub(crate) models: Vec<Answering>,
    pub(crate) features: Vec<String>,
    pub(crate) words: Option<Words>,
    /// The rows that the model was trained on.
    pub(crate) trained: HashSet<u64>,
    /// Whether rows that are among those are left out.
    pub(crate) refuses_trained: bool,
    pub(crate) worst_rows: usize,
    /// Rows where the models disagree that are shown.
    pub(crate) disagreeing_rows: usize,
}

/// Rows that were not looked at, and those that deserve a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counted {
    /// Rows that the query gave.
    pub(crate) seen: u64,
    /// Rows without a label, which are left out.
    pub(crate) without_label: u64,
    /// Rows without an answer, such as those without a text, which are left out.
    pub(crate) without_answer: u64,
    /// Rows of a class that neither of two is, which are left out.
    pub(crate) of_other_class: u64,
    /// Rows that the model was trained on: left out, or among the others where that is asked.
    pub(crate) trained: u64,
}

/// The values of a column that slices the rows.
#[derive(Debug, Default)]
pub(crate) struct SliceColumn {
    pub(crate) name: String,
    /// The text of each number; `None` is NULL.
    pub(crate) values: Vec<Option<String>>,
    numbers: HashMap<Option<String>, u32>,
    /// The number of each row's value.
    pub(crate) rows: Vec<u32>,
}

/// On how many rows two models differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Pairs {
    /// Rows of which they say something else.
    pub(crate) disagree: u64,
    /// Rows where only the model is right.
    pub(crate) only_model: u64,
    /// Rows where only the one that it is compared with is right.
    pub(crate) only_compared: u64,
}

/// What is left of the rows.
pub(crate) struct Looked {
    pub(crate) counted: Counted,
    pub(crate) pairs: Pairs,
    /// The classes that occur, those that the model knows first.
    pub(crate) classes: Vec<String>,
    pub(crate) unknown: usize,
    pub(crate) labels: Vec<f32>,
    /// Of each model, as metrics take them.
    pub(crate) scores: Vec<Vec<f64>>,
    /// Of the bag of words.
    pub(crate) words: Option<Vec<f64>>,
    pub(crate) slices: Vec<SliceColumn>,
    pub(crate) worst: Option<RecordBatch>,
    pub(crate) disagreeing: Option<RecordBatch>,
}

/// Looks at all rows.
pub(crate) fn look(
    schema: &SchemaRef,
    asking: Asking,
    batches: Batches,
) -> Result<Looked, StageError> {
    let mut looking = Looking::new(schema, asking)?;
    for batch in batches {
        looking.take(&batch?)?;
    }
    looking.finish()
}

/// Answers to a batch: of each row as many as the model gives, and whether there are any.
struct Answers {
    scores: Vec<f64>,
    there: Vec<bool>,
}

struct Looking {
    asking: Asking,
    codes: LabelCodes,
    /// The columns of the table.
    own: Vec<usize>,
    label: usize,
    answers: Vec<usize>,
    text: Option<usize>,
    slice_places: Vec<usize>,
    content: ContentHasher,
    row_keys: RowKeys,
    keys: Vec<u64>,
    labels: Vec<f32>,
    scores: Vec<Vec<f64>>,
    words: Vec<f64>,
    slices: Vec<SliceColumn>,
    counted: Counted,
    pairs: Pairs,
    worst: Kept,
    disagreeing: Kept,
}

impl Looking {
    fn new(schema: &SchemaRef, asking: Asking) -> Result<Self, StageError> {
        let gone = |role: &'static str, column: &str| LearnError::UnknownColumn {
            role,
            column: column.to_owned(),
            nearest: None,
        };
        let is_own = |name: &str| !ANSWER_COLUMNS.contains(&name);
        let label = position(schema, &asking.label_column);
        let label = label.ok_or_else(|| gone("label", &asking.label_column))?;
        let answers = ANSWER_COLUMNS.iter().take(asking.models.len());
        let answers = answers.filter_map(|name| position(schema, name)).collect();
        let places = asking.slices.iter();
        let places = places.map(|name| position(schema, name).ok_or_else(|| gone("slice", name)));
        let words = asking.words.as_ref();
        Ok(Self {
            codes: LabelCodes::new(&asking.label),
            own: (0..schema.fields().len())
                .filter(|at| is_own(schema.field(*at).name()))
                .collect(),
            label,
            answers,
            text: words.and_then(|words| position(schema, &words.column)),
            slice_places: places.collect::<Result<_, _>>()?,
            content: ContentHasher::new(schema, 0, is_own),
            row_keys: RowKeys::new(schema, &asking.features),
            keys: Vec::new(),
            labels: Vec::new(),
            scores: vec![Vec::new(); asking.models.len()],
            words: Vec::new(),
            slices: asking
                .slices
                .iter()
                .map(|name| SliceColumn {
                    name: name.clone(),
                    ..SliceColumn::default()
                })
                .collect(),
            counted: Counted::default(),
            pairs: Pairs::default(),
            worst: Kept::new(asking.worst_rows),
            disagreeing: Kept::new(asking.disagreeing_rows),
            asking,
        })
    }

    fn width(&self) -> usize {
        self.asking.label.outputs()
    }

    /// Looks at a batch; rows that are left out are counted.
    fn take(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let name = &self.asking.label_column;
        let codes = self.codes.read(name, batch.column(self.label))?;
        let answers: Vec<Answers> = self
            .answers
            .iter()
            .map(|at| answers(batch.column(*at), &self.asking.label))
            .collect();
        let trained = self.row_keys.of(batch, &codes)?;
        let binary = self.asking.label.task == Task::Binary;
        let mut stays = Vec::with_capacity(codes.len());
        let counted = &mut self.counted;
        counted.seen += codes.len() as u64;
        for (row, code) in codes.iter().enumerate() {
            let known = self.asking.trained.contains(&trained[row]);
            let left_out = if code.is_nan() {
                Some(&mut counted.without_label)
            } else if answers.iter().any(|answers| !answers.there[row]) {
                Some(&mut counted.without_answer)
            } else if binary && *code > 1.0 {
                Some(&mut counted.of_other_class)
            } else if known {
                counted.trained += 1;
                stays.push(!self.asking.refuses_trained);
                continue;
            } else {
                None
            };
            stays.push(left_out.is_none());
            if let Some(count) = left_out {
                *count += 1;
            }
        }
        let kept = |row: &usize| stays[*row];
        let rows: Vec<usize> = (0..codes.len()).filter(kept).collect();
        let labels: Vec<f32> = rows.iter().map(|row| codes[*row]).collect();
        let width = self.width();
        let scores = answers.iter().map(|answers| {
            let of_row = |row: &usize| &answers.scores[row * width..(row + 1) * width];
            rows.iter().flat_map(of_row).copied().collect()
        });
        let scores: Vec<Vec<f64>> = scores.collect();
        let batch = filter_record_batch(batch, &BooleanArray::from(stays))?;
        self.add(&batch, labels, scores)
    }

    /// Adds rows that are looked at, with their labels and what each model says.
    fn add(
        &mut self,
        batch: &RecordBatch,
        labels: Vec<f32>,
        scores: Vec<Vec<f64>>,
    ) -> Result<(), StageError> {
        let keys = self.content.hash(batch)?;
        for (slice, place) in self.slices.iter_mut().zip(&self.slice_places) {
            slice.take(batch.column(*place))?;
        }
        if let (Some(words), Some(text)) = (&self.asking.words, self.text) {
            let texts = cast(batch.column(text), &DataType::Utf8)?;
            let said = words.fitted.predict(texts.as_string::<i32>().iter());
            self.words.extend(said);
        }
        self.show(batch, &keys, &labels, &scores)?;
        self.keys.extend(keys);
        self.labels.extend(labels);
        for (all, scores) in self.scores.iter_mut().zip(scores) {
            all.extend(scores);
        }
        Ok(())
    }

    /// Keeps the rows that are shown.
    fn show(
        &mut self,
        batch: &RecordBatch,
        keys: &[u64],
        labels: &[f32],
        scores: &[Vec<f64>],
    ) -> Result<(), StageError> {
        let said: Vec<Said> = scores
            .iter()
            .zip(&self.asking.models)
            .map(|(scores, model)| Said::of(model, labels, scores))
            .collect();
        let Some(own) = said.first() else {
            return Ok(());
        };
        let ranked = |figures: &mut dyn Iterator<Item = Option<f64>>| -> Vec<Option<Rank>> {
            let ranks = figures.zip(keys);
            ranks
                .map(|(figure, &key)| {
                    Some(Rank {
                        figure: figure?,
                        key,
                    })
                })
                .collect()
        };
        let shown = self.shown(batch, own)?;
        let losses = ranked(&mut own.losses.iter().map(|loss| Some(*loss)));
        self.worst.offer(&shown, &losses)?;
        let [_, other] = &said[..] else {
            return Ok(());
        };
        for (row, label) in labels.iter().enumerate() {
            let right = |said: &Said| said.classes.get(row).map(|class| *class as f32 == *label);
            self.pairs.disagree += u64::from(own.differs(other, row));
            match (right(own), right(other)) {
                (Some(true), Some(false)) => self.pairs.only_model += 1,
                (Some(false), Some(true)) => self.pairs.only_compared += 1,
                _ => {}
            }
        }
        let apart = own.losses.iter().zip(&other.losses).enumerate();
        let apart = apart.map(|(row, (a, b))| own.differs(other, row).then(|| (a - b).abs()));
        let apart = ranked(&mut apart.into_iter());
        let compared = with_column(
            &shown,
            COMPARED_COLUMN,
            other.predictions(&self.asking.label)?,
        )?;
        self.disagreeing.offer(&compared, &apart)
    }

    /// The table's columns, and what the model says.
    fn shown(&self, batch: &RecordBatch, said: &Said) -> Result<RecordBatch, StageError> {
        let schema = batch.schema();
        let places: Vec<usize> = self.own.clone();
        let own = places
            .into_iter()
            .filter(|at| !is_worst_column(schema.field(*at).name()));
        let mut shown = batch.project(&own.collect::<Vec<_>>())?;
        let [prediction, score, loss, version] = WORST_COLUMNS;
        shown = with_column(&shown, prediction, said.predictions(&self.asking.label)?)?;
        if self.asking.label.task != Task::Regression {
            let confidence = Float64Array::from(said.confidence.clone());
            shown = with_column(&shown, score, Arc::new(confidence))?;
        }
        shown = with_column(
            &shown,
            loss,
            Arc::new(Float64Array::from(said.losses.clone())),
        )?;
        let number = self.asking.models.first().map_or(0, |model| model.version);
        let numbers = Int64Array::from(vec![number; batch.num_rows()]);
        with_column(&shown, version, Arc::new(numbers))
    }

    /// Puts the rows into an order that does not depend on how they came, so that sums and
    /// resamples are the same each time.
    fn finish(self) -> Result<Looked, StageError> {
        let width = self.width();
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by(|&a, &b| {
            let of = |row: usize| (self.keys[row], self.labels[row].to_bits());
            of(a).cmp(&of(b))
        });
        let ordered = |scores: &[f64]| -> Vec<f64> {
            let of_row = |row: &usize| &scores[row * width..(row + 1) * width];
            order.iter().flat_map(of_row).copied().collect()
        };
        let label = &self.asking.label;
        let known: Vec<String> = label.classes.iter().map(ToString::to_string).collect();
        let unknown = match label.task {
            Task::Multiclass => self.codes.unknown().to_vec(),
            Task::Binary | Task::Regression => Vec::new(),
        };
        // Classes that the model does not know have probability 0.
        let widened = |scores: Vec<f64>| -> Vec<f64> {
            if unknown.is_empty() {
                return scores;
            }
            let zeros = || std::iter::repeat_n(0.0, unknown.len());
            let rows = scores.chunks_exact(width);
            rows.flat_map(|row| row.iter().copied().chain(zeros()))
                .collect()
        };
        let told = |scores: &Vec<f64>| widened(ordered(scores));
        let slices = self.slices.into_iter().map(|slice| SliceColumn {
            rows: order.iter().map(|row| slice.rows[*row]).collect(),
            ..slice
        });
        Ok(Looked {
            counted: self.counted,
            pairs: self.pairs,
            labels: order.iter().map(|row| self.labels[*row]).collect(),
            scores: self.scores.iter().map(told).collect(),
            words: self.asking.words.as_ref().map(|_| told(&self.words)),
            slices: slices.collect(),
            worst: self.worst.rows(),
            disagreeing: self.disagreeing.rows(),
            unknown: unknown.len(),
            classes: [known, unknown.clone()].concat(),
        })
    }
}

/// What a model says of rows: a class or a number, how sure it is, and how wrong.
struct Said {
    /// Positions among the label's classes; nothing of a regression.
    classes: Vec<usize>,
    /// The probability of that class, or the number.
    confidence: Vec<f64>,
    losses: Vec<f64>,
}

impl Said {
    fn of(answering: &Answering, labels: &[f32], scores: &[f64]) -> Self {
        let model = &answering.model;
        let (task, width) = (model.label().task, model.label().outputs());
        let classes = model.classes_of(scores);
        let rows = scores.chunks_exact(width).zip(labels).enumerate();
        let told = rows.map(|(row, (scores, &code))| match task {
            Task::Regression => (scores[0], (f64::from(code) - scores[0]).powi(2)),
            Task::Binary => {
                let of = |positive: bool| if positive { scores[0] } else { 1.0 - scores[0] };
                (of(classes[row] == 1), log_loss(of(code == 1.0)))
            }
            Task::Multiclass => {
                // A class that the model does not know has no chance.
                let actual = scores.get(code as usize).copied().unwrap_or(0.0);
                (scores[classes[row]], log_loss(actual))
            }
        });
        let (confidence, losses) = told.unzip();
        Self {
            classes,
            confidence,
            losses,
        }
    }

    /// Whether another model says something else of a row.
    fn differs(&self, other: &Self, row: usize) -> bool {
        match (self.classes.get(row), other.classes.get(row)) {
            (Some(own), Some(other)) => own != other,
            _ => self.confidence[row] != other.confidence[row],
        }
    }

    fn predictions(&self, label: &Label) -> Result<ArrayRef, StageError> {
        if label.task == Task::Regression {
            return Ok(Arc::new(Float64Array::from(self.confidence.clone())));
        }
        let classes = label.label_type.array(label.classes.iter());
        let chosen: UInt32Array = self.classes.iter().map(|&class| class as u32).collect();
        Ok(take(&classes, &chosen, None)?)
    }
}

/// The loss of a row whose class has this probability, clipped as the metric is.
fn log_loss(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

fn with_column(
    batch: &RecordBatch,
    name: &str,
    column: ArrayRef,
) -> Result<RecordBatch, StageError> {
    let schema = batch.schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
    let mut columns = batch.columns().to_vec();
    columns.push(column);
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The numbers, the probabilities of the second of two classes, or those of all classes.
fn answers(column: &ArrayRef, label: &Label) -> Answers {
    let there = |array: &dyn Array| -> Vec<bool> {
        (0..array.len()).map(|row| !array.is_null(row)).collect()
    };
    let width = label.outputs();
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        return Answers {
            scores: numbers.iter().map(number).collect(),
            there: there(numbers),
        };
    }
    let maps = column.as_map();
    let values = maps.values().as_primitive::<Float64Type>().values();
    let mut scores = vec![f64::NAN; maps.len() * width];
    for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
        let range = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
        let all = &values[range];
        // Of two classes the second one is told.
        let told = &all[all.len().saturating_sub(width)..];
        if told.len() == width {
            scores.copy_from_slice(told);
        }
    }
    Answers {
        scores,
        there: there(maps),
    }
}

impl SliceColumn {
    fn take(&mut self, column: &ArrayRef) -> Result<(), StageError> {
        let texts = cast(column, &DataType::Utf8)?;
        for text in texts.as_string::<i32>() {
            let text = text.map(str::to_owned);
            let number = match self.numbers.get(&text) {
                Some(number) => *number,
                None if self.values.len() >= MAX_SLICES => OTHER,
                None => {
                    let number = self.values.len() as u32;
                    self.numbers.insert(text.clone(), number);
                    self.values.push(text);
                    number
                }
            };
            self.rows.push(number);
        }
        Ok(())
    }
}
