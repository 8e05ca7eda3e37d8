//! Pearson's and Spearman's correlation of pairs of columns.

use super::frame::Frame;
use super::result::Correlations;

/// Columns that are correlated with one another, at most.
pub(crate) const MAX_COLUMNS: usize = 40;

/// Correlates these columns of the sample, of `possible` that could be.
pub(crate) fn correlations(frame: &Frame, columns: &[usize], possible: usize) -> Correlations {
    let values: Vec<&[f64]> = columns.iter().map(|column| frame.column(*column)).collect();
    let complete: Vec<bool> = values
        .iter()
        .map(|v| v.iter().all(|x| !x.is_nan()))
        .collect();
    let ranked: Vec<Vec<f64>> = values.iter().map(|values| ranks(values)).collect();
    let size = columns.len();
    let mut pearson = vec![vec![None; size]; size];
    let mut spearman = vec![vec![None; size]; size];
    for a in 0..size {
        for b in a..size {
            let (linear, ranked) = if complete[a] && complete[b] {
                (
                    coefficient(values[a], values[b]),
                    coefficient(&ranked[a], &ranked[b]),
                )
            } else {
                let (x, y) = both(values[a], values[b]);
                (coefficient(&x, &y), coefficient(&ranks(&x), &ranks(&y)))
            };
            (pearson[a][b], pearson[b][a]) = (linear, linear);
            (spearman[a][b], spearman[b][a]) = (ranked, ranked);
        }
    }
    Correlations {
        columns: columns.to_vec(),
        pearson,
        spearman,
        left_out: (possible - size) as u64,
    }
}

/// The rows where both have a value.
fn both(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows = x.iter().zip(y);
    rows.filter(|(x, y)| !x.is_nan() && !y.is_nan())
        .map(|(x, y)| (*x, *y))
        .unzip()
}

/// Pearson's coefficient; `None` when one of the two does not vary.
fn coefficient(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    let spread = (xx * yy).sqrt();
    (x.len() > 1 && spread > 0.0).then(|| (xy / spread).clamp(-1.0, 1.0))
}

/// The ranks of values, from 1; equal ones share the mean of theirs. NaN keeps NaN.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len())
        .filter(|at| !values[*at].is_nan())
        .collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![f64::NAN; values.len()];
    let mut start = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for at in equal {
            ranks[*at] = rank;
        }
        start += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_rank() {
        let ranks = ranks(&[3.0, 1.0, f64::NAN, 3.0, 2.0]);
        assert_eq!(ranks[..2], [3.5, 1.0]);
        assert!(ranks[2].is_nan());
        assert_eq!(ranks[3..], [3.5, 2.0]);
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert_eq!(coefficient(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(coefficient(&[], &[]), None);
        assert_eq!(coefficient(&[1.0, 2.0, 3.0], &[6.0, 4.0, 2.0]), Some(-1.0));
    }
}
