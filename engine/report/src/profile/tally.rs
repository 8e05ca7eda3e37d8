//! What is counted of one column while its batches pass by: exact, and independent of their
//! order.

use arrow::datatypes::{DataType, Field};

use super::cells::{Cells, Kind, time_shown};
use super::sum::Sum;
use super::values::Values;

/// The counts of one column.
pub(crate) struct Tally {
    pub(crate) kind: Kind,
    pub(crate) data_type: DataType,
    pub(crate) nulls: u64,
    pub(crate) values: Values,
    pub(crate) figures: Figures,
}

impl Tally {
    pub(crate) fn new(field: &Field, kind: Kind, limit: usize) -> Self {
        Self {
            kind,
            data_type: field.data_type().clone(),
            nulls: 0,
            values: Values::new(limit),
            figures: Figures {
                whole: true,
                ..Figures::default()
            },
        }
    }

    pub(crate) fn add(&mut self, cells: &Cells) {
        for row in 0..cells.len() {
            if cells.is_null(row) {
                self.nulls += 1;
                continue;
            }
            self.values.add(cells.hashes[row], || cells.shown(row));
            let exact = cells.whole.as_ref().map(|whole| whole[row]);
            self.figures.add(cells.measures[row], exact);
        }
    }

    /// The smallest or the largest value in full.
    pub(crate) fn extreme_shown(&self, value: f64, exact: Option<i128>) -> String {
        match (&self.data_type, exact) {
            (data_type, Some(whole)) if self.kind == Kind::Time => time_shown(whole, data_type),
            (
                DataType::Decimal32(_, scale)
                | DataType::Decimal64(_, scale)
                | DataType::Decimal128(_, scale),
                Some(whole),
            ) => decimal_shown(whole, *scale),
            (_, Some(whole)) => whole.to_string(),
            (_, None) => format!("{value}"),
        }
    }
}

/// A decimal from its digits and the number of those behind the point.
fn decimal_shown(whole: i128, scale: i8) -> String {
    let Ok(scale) = usize::try_from(scale) else {
        return format!("{whole}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    };
    let digits = format!("{:0>width$}", whole.unsigned_abs(), width = scale + 1);
    let (before, behind) = digits.split_at(digits.len() - scale);
    let sign = if whole < 0 { "-" } else { "" };
    match scale {
        0 => format!("{sign}{before}"),
        _ => format!("{sign}{before}.{behind}"),
    }
}

/// Figures of the finite measures of a column, and the number of the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) finite: u64,
    pub(crate) zeros: u64,
    pub(crate) negative: u64,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
    pub(crate) whole: bool,
    pub(crate) min: Option<(f64, Option<i128>)>,
    pub(crate) max: Option<(f64, Option<i128>)>,
    sum: Sum,
    squares: Sum,
}

impl Figures {
    fn add(&mut self, value: f64, exact: Option<i128>) {
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        if value.is_infinite() {
            self.infinite += 1;
            return;
        }
        self.finite += 1;
        self.zeros += u64::from(value == 0.0);
        self.negative += u64::from(value < 0.0);
        self.whole &= value.fract() == 0.0;
        // Both zeros are one.
        let value = value + 0.0;
        let new = (value, exact);
        let below = |old: (f64, Option<i128>)| (new.0, new.1) < (old.0, old.1);
        if self.min.is_none_or(below) {
            self.min = Some(new);
        }
        let above = |old: (f64, Option<i128>)| (new.0, new.1) > (old.0, old.1);
        if self.max.is_none_or(above) {
            self.max = Some(new);
        }
        self.sum.add(value);
        self.squares.add_square(value);
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum.value() / self.finite as f64
    }

    /// The standard deviation with `n - 1`.
    pub(crate) fn std(&self) -> Option<f64> {
        let n = self.finite as f64;
        let distances = self.sum.squared_distances(self.squares, n);
        let std = (self.finite > 1).then(|| (distances / (n - 1.0)).sqrt());
        std.filter(|std| std.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_shown_in_full() {
        let shown: Vec<String> = [(12_345, 2), (-5, 3), (7, 0), (7, -2), (0, 1)]
            .map(|(whole, scale)| decimal_shown(whole, scale))
            .to_vec();
        assert_eq!(shown, ["123.45", "-0.005", "7", "700", "0.0"]);
    }
}
