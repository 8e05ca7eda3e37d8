//! Profiles: what is in a table, computed in one pass and bounded memory.
//!
//! Entry point: [`Profiler`], which takes a table batch by batch and ends in a [`Profile`];
//! [`page`] draws it. `cells` reads Arrow columns, `tally` and `values` count, `sketch` and
//! `sum` are what they count with, `sample` chooses rows, `frame` (on polars), `correlate` and
//! `power` compute from these, `warn` judges.
//!
//! **What is exact.** Rows, NULLs, extremes, means, standard deviations, zeros and the rows of
//! classes and splits always are. Different values, most frequent values and equal rows are,
//! up to a limit, and say so when they are estimates beyond it. Quantiles, moments, histograms,
//! box plots, correlations and predictive power are computed from a sample of whole rows, which
//! is the table itself up to [`ProfileSpec::sample_rows`] rows.
//!
//! **Memory.** At most some 3 MB a column for its values (20,000 different ones with up to 60
//! characters each; beyond, sketches of 1 MB); for each row of the sample 40 bytes a column (60
//! for texts, which are represented by hash and length), at the end when it is turned into
//! columns, and 150 more; and 5 MB. A table of 30 columns of numbers needs some 250 MB with the
//! default of 100,000 rows, whether it has a million rows or a billion.
//!
//! **Same rows, same profile.** Nothing depends on the order of rows or the size of batches:
//! rows are sampled by a hash of their content, sums are exact before they are rounded, and
//! sketches keep what any order would.

mod cells;
mod correlate;
mod frame;
mod hash;
pub mod page;
mod power;
mod result;
mod sample;
mod sketch;
mod sum;
mod tally;
mod values;
mod warn;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use polars::error::PolarsError;

pub use cells::Kind;
pub use result::{
    BoxPlot, Classes, Column, Correlations, Histogram, Numbers, Power, Profile, SampleFacts,
    SplitRows,
};
pub use sample::{Equals, Straddling};
pub use values::{Count, Frequent, ValueCount};
pub use warn::{LEAK_AUC, Severity, Warning, WarningKind};

use cells::{Cells, type_name};
use frame::Frame;
use hash::mix;
use power::Bins;
use sample::{RowSample, Sampled};
use tally::Tally;
use values::Values;

/// The column that says which part of the data a row belongs to.
const SPLIT_COLUMN: &str = "_split";
/// Columns with such names are technical.
const TECHNICAL: char = '_';
/// Where Delta keeps a column's comment.
const COMMENT_KEY: &str = "comment";
/// Most frequent values that are told of a column.
const FREQUENT: usize = 10;
/// Classes that are told apart; more are one.
const MAX_CLASSES: usize = 8;
/// Parts of the data that are told apart; more are one.
const MAX_SPLITS: usize = 16;
/// Rows that are shown.
const EXAMPLES: usize = 5;
/// What the values of further classes and splits are called.
const OTHERS: &str = "other";
/// Chooses the sample.
const SEED: u64 = 0x736c_7569_6365;
/// The hash that stands for a class of NULL.
const NULL_CLASS: u64 = 0;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No column is left to look at.
    #[error("there is no column to profile: those that begin with `_` are technical")]
    NoColumns,
    /// The column of the classes is not there, or cannot hold classes.
    #[error("the column `{column}` cannot give classes")]
    NoClass {
        /// The column.
        column: String,
    },
    /// A batch does not have the columns that the profile was begun with.
    #[error("a batch has other columns than the table")]
    OtherColumns,
    /// Values that Arrow cannot turn into what is counted.
    #[error("the column `{column}` cannot be read")]
    Unreadable {
        /// The column.
        column: String,
        /// What Arrow says.
        #[source]
        source: ArrowError,
    },
    /// The figures of the sample could not be computed.
    #[error("the sample cannot be computed with")]
    Frame(#[from] PolarsError),
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct ProfileSpec {
    /// Where the classes are.
    pub class: Option<ClassColumn>,
    /// Rows of the sample.
    pub sample_rows: usize,
    /// Different values of a column that are counted exactly.
    pub exact_values: usize,
}

/// Rows of the sample, unless something else is asked for.
pub const SAMPLE_ROWS: usize = 100_000;

impl Default for ProfileSpec {
    fn default() -> Self {
        Self {
            class: None,
            sample_rows: SAMPLE_ROWS,
            exact_values: 20_000,
        }
    }
}

/// The column whose values are the classes of the rows.
#[derive(Debug, Clone)]
pub struct ClassColumn {
    /// Its name in the batches; a technical one is not profiled itself.
    pub column: String,
    /// The label as it was written, such as `quality >= 7`.
    pub by: String,
    /// The columns that it is made of: that these predict it is no news.
    pub made_of: Vec<String>,
}

/// A table as its batches pass by.
pub struct Profiler {
    spec: ProfileSpec,
    /// Places in the batches, names and comments of the columns that are looked at.
    columns: Vec<(usize, String, Option<String>)>,
    left_out: Vec<String>,
    class: Option<(usize, Kind)>,
    split: Option<usize>,
    width: usize,
    rows: u64,
    tallies: Vec<Tally>,
    classes: Values,
    null_class: u64,
    splits: Vec<(String, u64)>,
    sample: RowSample,
    examples: BTreeMap<u64, Vec<String>>,
}

impl Profiler {
    /// Begins with a table of these columns.
    ///
    /// # Errors
    /// [`ProfileError::NoColumns`], [`ProfileError::NoClass`].
    pub fn new(schema: &Schema, spec: ProfileSpec) -> Result<Self, ProfileError> {
        let (mut columns, mut left_out, mut tallies) = (Vec::new(), Vec::new(), Vec::new());
        let (mut class, mut split, mut words) = (None, None, 1);
        let names = schema.fields().iter().enumerate();
        for (at, field) in names {
            let kind = Kind::of(field.data_type());
            let name = field.name();
            if spec
                .class
                .as_ref()
                .is_some_and(|class| class.column == *name)
            {
                class = kind.map(|kind| (at, kind));
                if name.starts_with(TECHNICAL) {
                    continue;
                }
            }
            if name == SPLIT_COLUMN && kind == Some(Kind::Text) {
                split = Some(at);
            }
            match kind.filter(|_| !name.starts_with(TECHNICAL)) {
                Some(kind) => {
                    words += if kind.is_numeric() { 1 } else { 2 };
                    let comment = field.metadata().get(COMMENT_KEY).cloned();
                    columns.push((at, name.clone(), comment));
                    tallies.push(Tally::new(field, kind, spec.exact_values));
                }
                None => left_out.push(name.clone()),
            }
        }
        if columns.is_empty() {
            return Err(ProfileError::NoColumns);
        }
        if let Some(wanted) = &spec.class
            && class.is_none()
        {
            let column = wanted.column.clone();
            return Err(ProfileError::NoClass { column });
        }
        Ok(Self {
            sample: RowSample::new(spec.sample_rows, words),
            classes: Values::new(spec.exact_values),
            spec,
            columns,
            left_out,
            class,
            split,
            width: words,
            rows: 0,
            tallies,
            null_class: 0,
            splits: Vec::new(),
            examples: BTreeMap::new(),
        })
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Looks at some more rows. Computes: call it where that is fine.
    ///
    /// # Errors
    /// [`ProfileError::OtherColumns`], [`ProfileError::Unreadable`].
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ProfileError> {
        let read = |at: usize, kind: Kind| {
            let array = batch.columns().get(at).ok_or(ProfileError::OtherColumns)?;
            Cells::read(array, kind).map_err(|source| ProfileError::Unreadable {
                column: batch.schema_ref().field(at).name().clone(),
                source,
            })
        };
        let mut cells = Vec::with_capacity(self.columns.len());
        for ((at, ..), tally) in self.columns.iter().zip(&mut self.tallies) {
            let column = read(*at, tally.kind)?;
            tally.add(&column);
            cells.push(column);
        }
        let class = self.class.map(|(at, kind)| read(at, kind)).transpose()?;
        let splits = self.split.map(|at| read(at, Kind::Text)).transpose()?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let class = class
                .as_ref()
                .map_or(NULL_CLASS, |class| self.class_of(class, row));
            let split = splits
                .as_ref()
                .map_or(0, |splits| self.split_of(splits.shown(row)));
            let mut content = mix(SEED ^ class);
            for column in &cells {
                content = mix(content ^ column.hashes[row]);
            }
            self.sample.add(content, split, |words| {
                for column in &cells {
                    words.push(column.measures[row].to_bits());
                    if column.has_lengths() {
                        words.push(column.hashes[row]);
                    }
                }
                words.push(class);
            });
            self.keep_example(content, &cells, row);
        }
        Ok(())
    }

    fn class_of(&mut self, class: &Cells, row: usize) -> u64 {
        if class.is_null(row) {
            self.null_class += 1;
            return NULL_CLASS;
        }
        let hash = class.hashes[row].max(1);
        self.classes.add(hash, || class.shown(row));
        hash
    }

    fn split_of(&mut self, name: String) -> usize {
        let known = self.splits.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            if self.splits.len() < MAX_SPLITS {
                self.splits.push((name, 0));
            }
            self.splits.len() - 1
        });
        self.splits[at].1 += 1;
        at
    }

    fn keep_example(&mut self, content: u64, cells: &[Cells], row: usize) {
        let full = self.examples.len() >= EXAMPLES;
        let largest = self.examples.last_key_value().map(|(hash, _)| *hash);
        if full && largest.is_some_and(|largest| content >= largest) {
            return;
        }
        let shown = || cells.iter().map(|column| column.shown(row)).collect();
        self.examples.entry(content).or_insert_with(shown);
        if self.examples.len() > EXAMPLES {
            self.examples.pop_last();
        }
    }

    /// What there is to say. Computes: call it where that is fine.
    ///
    /// # Errors
    /// [`ProfileError::Frame`].
    pub fn finish(mut self) -> Result<Profile, ProfileError> {
        let splits = self.ordered_splits();
        let sample = std::mem::replace(&mut self.sample, RowSample::new(1, 1));
        let sampled = sample.finish(&splits);
        let classes = self.class_list();
        let (frame, hashes) = self.frame(&sampled, classes.as_ref())?;
        let mut columns = self.finish_columns(&frame, &hashes, &sampled, classes.is_some())?;
        let boxed: Vec<usize> = (0..columns.len())
            .filter(|at| matches!(columns[*at].kind, Kind::Number | Kind::Time))
            .collect();
        for (at, boxes) in boxed.iter().zip(frame.boxes(&boxed)?) {
            columns[*at].boxes = boxes;
        }
        let mut profile = Profile {
            rows: self.rows,
            left_out: self.left_out,
            sample: SampleFacts {
                rows: frame.rows() as u64,
                exact: sampled.exact,
            },
            classes,
            splits: splits
                .iter()
                .map(|(name, at)| SplitRows {
                    name: name.clone(),
                    rows: self.splits[*at].1,
                })
                .collect(),
            equals: sampled.equals,
            correlations: correlations(&columns, &frame),
            columns,
            warnings: Vec::new(),
            examples: self.examples.into_values().collect(),
        };
        profile.warnings = warn::warnings(&profile);
        Ok(profile)
    }

    /// The parts of the data with their numbers: `train`, `validation`, `test`, then by name.
    fn ordered_splits(&self) -> Vec<(String, usize)> {
        let place = |name: &str| match name {
            "train" => 0,
            "validation" => 1,
            "test" => 2,
            _ => 3,
        };
        let named = self.splits.iter().enumerate();
        let mut splits: Vec<(String, usize)> =
            named.map(|(at, (name, _))| (name.clone(), at)).collect();
        splits.sort_by(|a, b| (place(&a.0), &a.0).cmp(&(place(&b.0), &b.0)));
        splits
    }

    fn class_list(&mut self) -> Option<Classes> {
        let by = self.spec.class.as_ref()?.by.clone();
        let values = std::mem::replace(&mut self.classes, Values::new(1));
        let (distinct, frequent) = values.finish(MAX_CLASSES);
        let mut classes = frequent.values;
        let has_others = distinct.count > classes.len() as u64;
        if has_others {
            classes.truncate(MAX_CLASSES - 1);
        }
        let number = |class: &ValueCount| class.value.parse::<f64>().ok();
        classes.sort_by(|a, b| match (number(a), number(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => a.value.cmp(&b.value),
        });
        if self.null_class > 0 {
            classes.push(ValueCount {
                value: "NULL".to_owned(),
                count: self.null_class,
                hash: NULL_CLASS,
            });
        }
        if has_others {
            let told: u64 = classes.iter().map(|class| class.count).sum();
            classes.push(ValueCount {
                value: OTHERS.to_owned(),
                count: self.rows.saturating_sub(told),
                hash: u64::MAX,
            });
        }
        Some(Classes {
            by,
            classes,
            distinct,
            has_others,
        })
    }

    /// The sample as columns: a frame of measures, and hashes of what has no number.
    fn frame(
        &self,
        sampled: &Sampled,
        classes: Option<&Classes>,
    ) -> Result<(Frame, Vec<Vec<u64>>), ProfileError> {
        let rows = sampled.contents.len();
        let (mut measures, mut hashes) = (Vec::new(), Vec::new());
        let mut word = 0;
        let column =
            |word: usize| (0..rows).map(move |row| sampled.values[row * self.width + word]);
        for tally in &self.tallies {
            measures.push(column(word).map(f64::from_bits).collect::<Vec<f64>>());
            word += 1;
            hashes.push(match tally.kind.is_numeric() {
                true => Vec::new(),
                false => {
                    word += 1;
                    column(word - 1).collect()
                }
            });
        }
        let codes: Vec<u32> = match classes {
            None => Vec::new(),
            Some(classes) => {
                let last = classes.classes.len().saturating_sub(1);
                let place = |hash: u64| {
                    let known = classes.classes.iter().position(|class| class.hash == hash);
                    known.unwrap_or(last) as u32
                };
                column(word).map(place).collect()
            }
        };
        let count = classes.map_or(0, |classes| classes.classes.len());
        Ok((Frame::new(measures, codes, count)?, hashes))
    }

    fn finish_columns(
        &mut self,
        frame: &Frame,
        hashes: &[Vec<u64>],
        sampled: &Sampled,
        classified: bool,
    ) -> Result<Vec<Column>, ProfileError> {
        let mut spreads = frame.spreads()?.into_iter();
        let tallies = std::mem::take(&mut self.tallies);
        let mut columns = Vec::with_capacity(tallies.len());
        for (at, tally) in tallies.into_iter().enumerate() {
            let (_, name, comment) = self.columns[at].clone();
            let spread = spreads.next();
            let numbers = spread.as_ref().and_then(|spread| numbers(&tally, spread));
            let histogram = match (&numbers, &spread) {
                (Some(numbers), Some(spread)) if tally.kind != Kind::Boolean => {
                    let range = (numbers.min, numbers.max);
                    frame.histogram(at, range, numbers.whole, spread)?
                }
                _ => None,
            };
            let makes_class = self.spec.class.as_ref().is_some_and(|class| {
                let same = |other: &String| other.eq_ignore_ascii_case(&name);
                same(&class.column) || class.made_of.iter().any(same)
            });
            let power = match classified && !makes_class {
                true => power_of(frame, at, &hashes[at], &sampled.contents),
                false => None,
            };
            let type_name = type_name(&tally.data_type);
            let (distinct, frequent) = tally.values.finish(FREQUENT);
            columns.push(Column {
                name,
                type_name,
                kind: tally.kind,
                comment,
                nulls: tally.nulls,
                distinct,
                frequent,
                numbers,
                histogram,
                boxes: Vec::new(),
                power,
                makes_class,
                data_type: tally.data_type,
            });
        }
        Ok(columns)
    }
}

fn numbers(tally: &Tally, spread: &frame::Spread) -> Option<Numbers> {
    let figures = &tally.figures;
    let ((min, exact_min), (max, exact_max)) = (figures.min?, figures.max?);
    Some(Numbers {
        unit: tally.kind.unit(),
        mean: figures.mean(),
        std: figures.std(),
        min,
        max,
        min_shown: tally.extreme_shown(min, exact_min),
        max_shown: tally.extreme_shown(max, exact_max),
        zeros: figures.zeros,
        negative: figures.negative,
        nan: figures.nan,
        infinite: figures.infinite,
        whole: figures.whole,
        quantiles: spread.quantiles.clone(),
        skewness: spread.skewness,
        kurtosis: spread.kurtosis,
    })
}

fn power_of(frame: &Frame, column: usize, hashes: &[u64], contents: &[u64]) -> Option<Power> {
    let measures = frame.column(column);
    let values: Vec<Option<u64>>;
    let bins = if !hashes.is_empty() {
        let both = hashes.iter().zip(measures);
        values = both
            .map(|(hash, measure)| (!measure.is_nan()).then_some(*hash))
            .collect();
        Bins::Values(&values)
    } else if power::is_discrete(measures) {
        let bits = |value: &f64| (!value.is_nan()).then_some(value.to_bits());
        values = measures.iter().map(bits).collect();
        Bins::Values(&values)
    } else {
        Bins::Ordered(measures)
    };
    power::power(&bins, &frame.classes, frame.class_count, contents)
}

fn correlations(columns: &[Column], frame: &Frame) -> Option<Correlations> {
    let varies = |column: &Column| {
        let numbers = column.numbers.as_ref();
        matches!(column.kind, Kind::Number | Kind::Boolean)
            && numbers.is_some_and(|numbers| numbers.min < numbers.max)
    };
    let mut places: Vec<usize> = (0..columns.len())
        .filter(|at| varies(&columns[*at]))
        .collect();
    let possible = places.len();
    places.truncate(correlate::MAX_COLUMNS);
    (possible > 1).then(|| correlate::correlations(frame, &places, possible))
}
