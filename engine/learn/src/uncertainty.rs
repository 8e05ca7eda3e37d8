//! How far figures can be trusted: intervals, and tests of two models on the same rows.
//!
//! Everything is at 95 %. A share of rows has [`wilson`]'s interval; any other metric is
//! computed again on resamples of the rows ([`Bootstrap`]); whether two classifiers are right
//! on different rows by more than chance is [`mcnemar`]'s question.

use crate::features::Task;
use crate::metric::Metric;
use crate::random::SplitMix64;

/// The two-sided quantile of the normal distribution at 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// The share of resamples left out at each end.
const TAIL: f64 = 0.025;
/// Resamples of few rows.
const RESAMPLES: usize = 1_000;
/// Fewer resamples than this say nothing about the tails.
const FEWEST: usize = 100;
/// Rows that are looked at over all resamples of a metric, at most.
const WORK: usize = 20_000_000;

/// Where a figure of all rows there could be is expected, at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Wilson's score interval of a share (`statsmodels`' `proportion_confint(method="wilson")`);
/// `None` of no rows.
pub fn wilson(hits: u64, rows: u64) -> Option<Interval> {
    if rows == 0 {
        return None;
    }
    let (rows, share) = (rows as f64, hits as f64 / rows as f64);
    let scale = 1.0 + Z * Z / rows;
    let middle = (share + Z * Z / (2.0 * rows)) / scale;
    let spread = share * (1.0 - share) / rows + Z * Z / (4.0 * rows * rows);
    let half = Z * spread.sqrt() / scale;
    Some(Interval {
        low: (middle - half).max(0.0),
        high: (middle + half).min(1.0),
    })
}

/// The probability that two classifiers which are equally often right differ as much as these:
/// one alone is right on `only_one` rows, the other alone on `only_other` rows. McNemar's
/// exact two-sided test (`statsmodels`' `mcnemar(exact=True)`): 1 where they never differ.
pub fn mcnemar(only_one: u64, only_other: u64) -> f64 {
    let (few, all) = (only_one.min(only_other), only_one + only_other);
    if all == 0 {
        return 1.0;
    }
    // The logarithms of the binomial probabilities of 0, 1, ... heads of `all` fair coins.
    let mut log = all as f64 * 0.5_f64.ln();
    let mut tail = log.exp();
    for heads in 1..=few {
        log += ((all - heads + 1) as f64 / heads as f64).ln();
        tail += log.exp();
    }
    (2.0 * tail).min(1.0)
}

/// Labels `[rows]` with predictions as [`Metric::compute`] takes them.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// The kind of question.
    pub task: Task,
    /// From which probability on a row of two classes is positive.
    pub threshold: Option<f64>,
    /// The labels, `[rows]`.
    pub labels: &'a [f32],
    /// The predictions, `[rows]` or `[rows, classes]`.
    pub scores: &'a [f64],
}

impl Predicted<'_> {
    /// A metric over all rows.
    pub fn figure(&self, metric: &Metric) -> f64 {
        metric.compute_at(self.threshold, self.task, self.labels, self.scores)
    }

    fn width(&self) -> usize {
        self.scores.len() / self.labels.len().max(1)
    }

    /// The rows ordered by their first score, so that sorting a resample finds it sorted.
    fn order(&self) -> Vec<usize> {
        let width = self.width();
        let first = |row: &usize| self.scores[row * width];
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by(|a, b| first(a).total_cmp(&first(b)));
        order
    }

    /// A metric over rows, of which some may occur more than once.
    fn figure_of(&self, rows: &[usize], metric: &Metric, place: &mut Resample) -> f64 {
        let width = self.width();
        place.labels.clear();
        place.scores.clear();
        for &row in rows {
            place.labels.push(self.labels[row]);
            let scores = &self.scores[row * width..(row + 1) * width];
            place.scores.extend_from_slice(scores);
        }
        metric.compute_at(self.threshold, self.task, &place.labels, &place.scores)
    }
}

/// Where a resample is put.
#[derive(Default)]
struct Resample {
    labels: Vec<f32>,
    scores: Vec<f64>,
}

/// By how much one model is above another on the same rows.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Difference {
    /// On all rows.
    pub value: f64,
    /// Where it is expected.
    pub interval: Interval,
    /// How likely a difference as large is if there is none: twice the share of the resamples
    /// on the other side of 0, at least one over their number.
    pub p_value: f64,
}

/// The percentile bootstrap: as many rows as there are, drawn with replacement, again and
/// again (`scipy.stats.bootstrap(method="percentile")`). A seed gives one result.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    resamples: usize,
    seed: u64,
}

impl Bootstrap {
    /// As many resamples as `rows` allow in little time; `None` of so many rows that few would
    /// be, whose figures are hardly in doubt, and of fewer than two.
    pub fn for_rows(rows: usize, seed: u64) -> Option<Self> {
        let resamples = RESAMPLES.min(WORK / rows.max(1));
        (rows > 1 && resamples >= FEWEST).then_some(Self { resamples, seed })
    }

    /// Resamples that are drawn.
    pub fn resamples(&self) -> usize {
        self.resamples
    }

    /// The interval of a metric; `None` where it is not defined on some resample.
    pub fn interval(&self, rows: &Predicted<'_>, metric: &Metric) -> Option<Interval> {
        let mut place = Resample::default();
        let figures = self.over(rows, |drawn| rows.figure_of(drawn, metric, &mut place));
        percentiles(figures)
    }

    /// The difference of a metric between two models of the same rows, which are resampled
    /// together; `None` where it is not defined on some resample.
    pub fn difference(
        &self,
        one: &Predicted<'_>,
        other: &Predicted<'_>,
        metric: &Metric,
    ) -> Option<Difference> {
        let mut place = Resample::default();
        let differences = self.over(one, |drawn| {
            let own = one.figure_of(drawn, metric, &mut place);
            own - other.figure_of(drawn, metric, &mut place)
        });
        let share = |side: fn(f64) -> bool| {
            let there = differences.iter().filter(|value| side(**value)).count();
            there as f64 / differences.len() as f64
        };
        let (below, above) = (share(|value| value <= 0.0), share(|value| value >= 0.0));
        let least = 1.0 / self.resamples as f64;
        Some(Difference {
            value: one.figure(metric) - other.figure(metric),
            p_value: (2.0 * below.min(above)).clamp(least, 1.0),
            interval: percentiles(differences)?,
        })
    }

    fn over(&self, rows: &Predicted<'_>, mut figure: impl FnMut(&[usize]) -> f64) -> Vec<f64> {
        let order = rows.order();
        let draw = |resample: usize| {
            let mut random = SplitMix64::stream(self.seed, resample as u64);
            let drawn = random.with_replacement(order.len(), order.len());
            let drawn: Vec<usize> = drawn.into_iter().map(|at| order[at]).collect();
            figure(&drawn)
        };
        (0..self.resamples).map(draw).collect()
    }
}

/// The middle 95 % of figures, with linear interpolation as numpy has it.
fn percentiles(mut figures: Vec<f64>) -> Option<Interval> {
    if figures.iter().any(|figure| figure.is_nan()) {
        return None;
    }
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    let quantile = |share: f64| {
        let place = share * last as f64;
        let below = place.floor() as usize;
        let part = place - below as f64;
        figures[below] + (figures[(below + 1).min(last)] - figures[below]) * part
    };
    Some(Interval {
        low: quantile(TAIL),
        high: quantile(1.0 - TAIL),
    })
}
