//! From numbers to places on a drawing, and the ticks in between.

use crate::number::{grouped_fixed, significant};

/// What an axis shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    pub(crate) label: String,
    pub(crate) log: bool,
    pub(crate) domain: Option<(f64, f64)>,
    pub(crate) zero: bool,
    pub(crate) whole: bool,
    pub(crate) named: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis over the values that there are.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis; what is not positive has no place on it.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// From one number to another, whatever values there are.
    #[must_use]
    pub fn between(mut self, low: f64, high: f64) -> Self {
        self.domain = Some((low, high));
        self
    }

    /// Of whole numbers: ticks are at whole numbers only.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Of names, by position: the first is at 0.
    #[must_use]
    pub fn names(mut self, names: Vec<String>) -> Self {
        self.domain = Some((-0.5, names.len().max(1) as f64 - 0.5));
        let places = names.into_iter().enumerate();
        self.named = places.map(|(at, name)| (at as f64, name)).collect();
        self
    }

    /// With these ticks and no others: for what is no number to people, such as dates.
    #[must_use]
    pub fn named(mut self, ticks: Vec<(f64, String)>) -> Self {
        self.named = ticks;
        self
    }

    /// Zero is on the axis.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.zero = true;
        self
    }
}

/// A tick: where it is, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

/// From a domain of numbers to a range of the drawing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    named: Vec<(f64, String)>,
    whole: bool,
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale over the finite ones of `values`, widened to round numbers where the axis does
    /// not say its ends, from the places `from` to `to`.
    pub(crate) fn new(
        axis: &Axis,
        values: impl IntoIterator<Item = f64>,
        (from, to): (f64, f64),
    ) -> Self {
        let usable = |value: &f64| value.is_finite() && (!axis.log || *value > 0.0);
        let found = values.into_iter().filter(usable).fold(None, |range, v| {
            let (low, high) = range.unwrap_or((v, v));
            Some((v.min(low), v.max(high)))
        });
        let fixed = axis
            .domain
            .filter(|(low, high)| usable(low) && usable(high) && low < high);
        let (low, high) = fixed.unwrap_or_else(|| {
            let (low, high) = found.unwrap_or(if axis.log { (1.0, 10.0) } else { (0.0, 1.0) });
            let (low, high) = match axis.zero && !axis.log {
                true => (low.min(0.0), high.max(0.0)),
                false => (low, high),
            };
            widened(low, high, axis)
        });
        let mut scale = Self {
            named: axis.named.clone(),
            whole: axis.whole,
            log: axis.log,
            low,
            high,
            from,
            to,
        };
        if fixed.is_none() && !axis.log {
            scale.round_ends();
        }
        scale
    }

    /// Without widening: from `low` to `high` as they are.
    pub(crate) fn exact(low: f64, high: f64, (from, to): (f64, f64)) -> Self {
        let axis = Axis::default().between(low, high);
        Self::new(&axis, [low, high], (from, to))
    }

    /// The place of a value; `None` for what has none.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let share = self.share(value);
        Some(self.from + share.clamp(-1.0, 2.0) * (self.to - self.from))
    }

    /// The first and the last value.
    pub(crate) fn domain(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Whether a value is within the domain.
    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn share(&self, value: f64) -> f64 {
        let (value, low, high) = if self.log {
            (value.ln(), self.low.ln(), self.high.ln())
        } else {
            // Halves, since the distance of two numbers may be beyond all numbers.
            (value / 2.0, self.low / 2.0, self.high / 2.0)
        };
        let share = (value - low) / (high - low);
        if share.is_finite() { share } else { 0.0 }
    }

    /// The ends become multiples of the ticks' distance.
    fn round_ends(&mut self) {
        const ABOUT: usize = 5;
        let step = self.step(ABOUT);
        let low = (self.low / step).floor() * step;
        let high = (self.high / step).ceil() * step;
        if low.is_finite() && high.is_finite() && low < high {
            (self.low, self.high) = (low, high);
        }
    }

    /// About `most` ticks, in order of their values.
    pub(crate) fn ticks(&self, most: usize) -> Vec<Tick> {
        if !self.named.is_empty() {
            let ticks = self.named.iter().filter_map(|(value, label)| {
                Some(Tick {
                    at: self.place(*value)?,
                    label: label.clone(),
                })
            });
            return ticks.collect();
        }
        let values = if self.log {
            self.log_values(most)
        } else {
            Vec::new()
        };
        let (values, label): (Vec<f64>, Box<dyn Fn(f64) -> String>) = if values.len() >= 2 {
            (values, Box::new(|value| significant(value, 3)))
        } else {
            let step = self.step(most);
            let largest = self.low.abs().max(self.high.abs());
            let label = move |value| tick_label(value, step, largest);
            (self.linear_values(step, most), Box::new(label))
        };
        let ticks = values.into_iter().filter_map(|value| {
            Some(Tick {
                at: self.place(value)?,
                label: label(value),
            })
        });
        let ends = (self.from.min(self.to) - 0.5, self.from.max(self.to) + 0.5);
        let within = |tick: &Tick| (ends.0..=ends.1).contains(&tick.at);
        let mut ticks: Vec<Tick> = ticks.filter(within).collect();
        ticks.dedup_by(|a, b| a.label == b.label || (a.at - b.at).abs() < 0.5);
        ticks
    }

    fn step(&self, most: usize) -> f64 {
        let step = step(self.low, self.high, most);
        if self.whole { step.max(1.0) } else { step }
    }

    fn linear_values(&self, step: f64, most: usize) -> Vec<f64> {
        let first = (self.low / step - 1e-9).ceil();
        let values = (0..=2 * most).map(|at| (first + at as f64) * step);
        values
            .take_while(|value| *value <= self.high + step * 1e-9)
            .collect()
    }

    /// Powers of ten; with few of them, the numbers between them that begin with 2 and 5.
    fn log_values(&self, most: usize) -> Vec<f64> {
        let (low, high) = (self.low.log10(), self.high.log10());
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let decades = high - low;
        let every = ((decades / most as f64).ceil() as i32).max(1);
        let within: &[f64] = match decades {
            decades if decades * 3.0 <= most as f64 + 0.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let slack = 1e-9;
        (first..=last)
            .filter(|power| power.rem_euclid(every) == 0)
            .flat_map(|power| within.iter().map(move |part| part * 10_f64.powi(power)))
            .filter(|value| (low - slack..=high + slack).contains(&value.log10()))
            .collect()
    }
}

/// Two different ends.
fn widened(low: f64, high: f64, axis: &Axis) -> (f64, f64) {
    if low < high {
        return (low, high);
    }
    if axis.whole {
        return (low - 1.0, high + 1.0);
    }
    if axis.log {
        return (low / 2.0, (high * 2.0).min(f64::MAX));
    }
    let half = if low == 0.0 { 0.5 } else { low.abs() * 0.05 };
    (low - half, high + half)
}

/// A distance of ticks that is 1, 2 or 5 times a power of ten, for about `most` of them.
fn step(low: f64, high: f64, most: usize) -> f64 {
    let raw = (high / 2.0 - low / 2.0) / most.max(1) as f64 * 2.0;
    let power = 10_f64.powf(raw.log10().floor());
    if !power.is_normal() || !raw.is_finite() {
        let span = high / 2.0 - low / 2.0;
        return if span.is_normal() { span } else { 1.0 };
    }
    let part = raw / power;
    // The borders are the geometric means of neighbours.
    let part = match part {
        part if part < 1.414 => 1.0,
        part if part < 3.162 => 2.0,
        part if part < 7.071 => 5.0,
        _ => 10.0,
    };
    part * power
}

/// What a tick says, with as many decimals as neighbours need to differ.
fn tick_label(value: f64, step: f64, largest: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")];
    // What is nearer to zero than ticks to each other is a rounding error.
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    if largest >= 1e15 || step < 1e-5 {
        return significant(value, 4);
    }
    let unit = UNITS.iter().find(|(size, _)| largest >= *size);
    let (size, suffix) = match unit {
        Some((_, "k")) => (1e3, "k"),
        Some((size, suffix)) => (*size, *suffix),
        None => (1.0, ""),
    };
    let decimals = (-(step / size).log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize;
    format!("{}{suffix}", grouped_fixed(value / size, decimals))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let scale = Scale::new(axis, values.iter().copied(), (0.0, 100.0));
        scale.ticks(5).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        let plain = Axis::new("");
        assert_eq!(
            labels(&plain, &[0.0, 1.0]),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&plain, &[-13.0, 14.0]),
            ["-15", "-10", "-5", "0", "5", "10", "15"]
        );
        assert_eq!(
            labels(&plain, &[0.0, 5_200_000.0]),
            ["0", "1M", "2M", "3M", "4M", "5M", "6M"]
        );
        assert_eq!(
            labels(&plain, &[0.0, 52_000.0]),
            ["0", "10k", "20k", "30k", "40k", "50k", "60k"]
        );
        assert_eq!(
            labels(&plain, &[]),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&plain.clone().between(0.0, 0.5), &[9.0]),
            ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
        );
    }

    #[test]
    fn ticks_of_whole_numbers_are_whole() {
        let whole = Axis::new("").whole();
        assert_eq!(labels(&whole, &[2.0, 3.0]), ["2", "3"]);
        assert_eq!(labels(&whole, &[1.0]), ["0", "1", "2"]);
        assert_eq!(
            labels(&whole, &[1.0, 96.0]),
            ["0", "20", "40", "60", "80", "100"]
        );
    }

    #[test]
    fn names_stand_at_their_positions() {
        let axis = Axis::new("").names(vec!["a".to_owned(), "b".to_owned()]);
        let scale = Scale::new(&axis, [0.0, 1.0], (0.0, 100.0));
        let ticks: Vec<(f64, String)> = scale
            .ticks(5)
            .into_iter()
            .map(|tick| (tick.at, tick.label))
            .collect();
        assert_eq!(ticks, [(25.0, "a".to_owned()), (75.0, "b".to_owned())]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten_or_few_between() {
        let log = Axis::new("").log();
        assert_eq!(
            labels(&log, &[1e-5, 0.1]),
            ["1e-5", "0.0001", "0.001", "0.01", "0.1"]
        );
        assert_eq!(
            labels(&log, &[0.05, 1.0]),
            ["0.05", "0.1", "0.2", "0.5", "1"]
        );
        assert_eq!(
            labels(&log, &[1e-30, 1e30]),
            ["1e-24", "1e-12", "1", "1e12", "1e24"]
        );
        assert_eq!(labels(&log, &[0.0, -4.0]), ["1", "2", "5", "10"]);
        let near = labels(&log, &[0.31, 0.37]);
        assert!(near.len() >= 3, "{near:?}");
    }

    proptest! {
        #[test]
        fn any_numbers_have_finite_places_and_few_ticks(
            values in proptest::collection::vec(any::<f64>(), 0..6),
            log in any::<bool>(),
            zero in any::<bool>(),
            domain in proptest::option::of(any::<(f64, f64)>()),
        ) {
            let axis = Axis { log, zero, domain, ..Axis::default() };
            let scale = Scale::new(&axis, values.iter().copied(), (10.0, 90.0));
            for value in &values {
                prop_assert!(scale.place(*value).is_none_or(f64::is_finite));
                if domain.is_none() && value.is_finite() && (!log || *value > 0.0) {
                    let place = scale.place(*value).unwrap();
                    prop_assert!((9.99..=90.01).contains(&place), "{value} at {place}");
                }
            }
            let ticks = scale.ticks(5);
            prop_assert!(ticks.len() <= 14, "{ticks:?}");
            for tick in &ticks {
                prop_assert!((9.0..=91.0).contains(&tick.at), "{ticks:?}");
                prop_assert!(!tick.label.contains("NaN") && !tick.label.contains("inf"));
            }
        }
    }
}
