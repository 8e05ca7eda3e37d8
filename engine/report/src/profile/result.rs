//! What a profile says: [`Profile`], plain figures that serialise to JSON and from which the
//! page is drawn.

use arrow::datatypes::DataType;
use serde::Serialize;

use super::cells::{Kind, time_shown};
use super::sample::Equals;
use super::values::{Count, Frequent, ValueCount};
use super::warn::Warning;

/// All that there is to say of a table.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Rows of the table.
    pub rows: u64,
    /// Its columns, in their order, without those whose names begin with `_`.
    pub columns: Vec<Column>,
    /// Columns that were left out for their names, or since their type cannot be read.
    pub left_out: Vec<String>,
    /// The rows that quantiles, histograms, box plots, correlations and predictive power are
    /// computed from.
    pub sample: SampleFacts,
    /// The classes, where a label was given.
    pub classes: Option<Classes>,
    /// The parts of the data by `_split`: `train`, `validation`, `test` first.
    pub splits: Vec<SplitRows>,
    /// Rows that are equal to others.
    pub equals: Equals,
    /// How numbers go together; absent with fewer than two columns that vary.
    pub correlations: Option<Correlations>,
    /// What deserves a look, the gravest first.
    pub warnings: Vec<Warning>,
    /// Some rows, as texts, chosen by a hash of their content.
    pub examples: Vec<Vec<String>>,
}

/// The rows that were looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SampleFacts {
    /// How many.
    pub rows: u64,
    /// Whether these are all.
    pub exact: bool,
}

/// One column.
#[derive(Debug, Clone, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as SQL names it.
    pub type_name: String,
    /// How it was looked at.
    pub kind: Kind,
    /// What it holds, for people; from the column's metadata.
    pub comment: Option<String>,
    /// Rows without a value.
    pub nulls: u64,
    /// Different values, NULL aside.
    pub distinct: Count,
    /// The most frequent values.
    pub frequent: Frequent,
    /// Figures of the values, or of their lengths for text, bytes and lists; absent when
    /// there is no value.
    pub numbers: Option<Numbers>,
    /// How the values, or their lengths, are spread; absent when they do not vary.
    pub histogram: Option<Histogram>,
    /// Quartiles by class (or of all rows, without classes), for numbers and times.
    pub boxes: Vec<BoxPlot>,
    /// How well it predicts the class alone; absent without classes, and for the columns that
    /// the class is made of.
    pub power: Option<Power>,
    /// Whether the class is made of this column.
    pub makes_class: bool,
    #[serde(skip)]
    pub(crate) data_type: DataType,
}

impl Column {
    /// A value on the column's scale as text: a date for dates, else a number.
    #[must_use]
    pub fn shown(&self, value: f64) -> Option<String> {
        let whole = || time_shown(value.round() as i128, &self.data_type);
        (self.kind == Kind::Time && value.is_finite()).then(whole)
    }

    /// Whether its values are floats, which are shown rounded.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.data_type.is_floating()
    }

    /// Seconds in a unit of a time column's scale.
    #[must_use]
    pub fn unit_seconds(&self) -> Option<f64> {
        use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let of = |unit| match unit {
            Second => 1.0,
            Millisecond => 1e-3,
            Microsecond => 1e-6,
            Nanosecond => 1e-9,
        };
        match &self.data_type {
            DataType::Date32 => Some(86_400.0),
            DataType::Date64 => Some(1e-3),
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => {
                Some(of(*unit))
            }
            DataType::Duration(unit) => Some(of(*unit)),
            _ => None,
        }
    }
}

/// Figures of a column's values or lengths. Those of all rows: counts, extremes, mean and
/// standard deviation. Those of the sample: quantiles, skewness and kurtosis.
#[derive(Debug, Clone, Serialize)]
pub struct Numbers {
    /// What the numbers count, when they are lengths: `characters`, `bytes` or `items`.
    pub unit: Option<&'static str>,
    /// The arithmetic mean of the finite values.
    pub mean: f64,
    /// Their standard deviation, with `n - 1`; absent for a single value.
    pub std: Option<f64>,
    /// The smallest finite value.
    pub min: f64,
    /// The largest finite value.
    pub max: f64,
    /// The smallest, in full.
    pub min_shown: String,
    /// The largest, in full.
    pub max_shown: String,
    /// Values that are zero.
    pub zeros: u64,
    /// Values below zero.
    pub negative: u64,
    /// Values that are no number (NaN).
    pub nan: u64,
    /// Values that are infinite.
    pub infinite: u64,
    /// Whether all values are whole numbers.
    pub whole: bool,
    /// Quantiles by linear interpolation, as (part, value), the parts rising.
    pub quantiles: Vec<(f64, f64)>,
    /// The third standardised moment, population form (`scipy.stats.skew`).
    pub skewness: Option<f64>,
    /// The fourth standardised moment less 3, population form (`scipy.stats.kurtosis`).
    pub kurtosis: Option<f64>,
}

impl Numbers {
    /// The quantile of a part, if it was computed.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let mut known = self.quantiles.iter();
        known
            .find(|(known, _)| *known == part)
            .map(|(_, value)| *value)
    }
}

/// Rows in bins of equal width.
#[derive(Debug, Clone, Serialize)]
pub struct Histogram {
    /// The bins' edges, rising: one more than bins. The last bin has its upper edge, too.
    pub edges: Vec<f64>,
    /// Rows of the sample in each bin: `[bins]`.
    pub rows: Vec<u64>,
    /// The same by class, in the order of [`Classes::classes`]: `[classes][bins]`; empty
    /// without classes.
    pub by_class: Vec<Vec<u64>>,
    /// Whether each bin is one whole number, in its middle.
    pub discrete: bool,
}

/// A box plot in Tukey's form.
#[derive(Debug, Clone, Serialize)]
pub struct BoxPlot {
    /// The class, by its place in [`Classes::classes`]; absent when there are none.
    pub class: Option<usize>,
    /// Rows of the sample with a value.
    pub rows: u64,
    /// The smallest value within 1.5 interquartile ranges of the box.
    pub low: f64,
    /// The first quartile.
    pub q1: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub q3: f64,
    /// The largest value within 1.5 interquartile ranges of the box.
    pub high: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The smallest value of all.
    pub min: f64,
    /// The largest value of all.
    pub max: f64,
    /// Rows beyond the whiskers.
    pub outliers: u64,
    /// Values of these, all of them or some between the outermost.
    pub beyond: Vec<f64>,
}

/// The classes of a label.
#[derive(Debug, Clone, Serialize)]
pub struct Classes {
    /// The label, as it was written.
    pub by: String,
    /// The most frequent classes, in the order of their values; the last one stands for all
    /// others when there are more.
    pub classes: Vec<ValueCount>,
    /// How many there are in all, NULL aside.
    pub distinct: Count,
    /// Whether the last of [`Classes::classes`] stands for several.
    pub has_others: bool,
}

/// One part of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitRows {
    /// Its name in `_split`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
}

/// How well one column alone tells the classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// The area under the ROC curve: 0.5 tells nothing, 1 tells all; the mean over the
    /// classes, each against the rest.
    pub auc: f64,
}

/// Correlations between columns of numbers and booleans.
#[derive(Debug, Clone, Serialize)]
pub struct Correlations {
    /// The columns, by their places in [`Profile::columns`].
    pub columns: Vec<usize>,
    /// Pearson's coefficients over the rows where both have a value: `[columns][columns]`;
    /// absent where one does not vary.
    pub pearson: Vec<Vec<Option<f64>>>,
    /// Spearman's, the same of the ranks (equal values share the mean of theirs).
    pub spearman: Vec<Vec<Option<f64>>>,
    /// Columns that could have been here, but there is a limit.
    pub left_out: u64,
}
