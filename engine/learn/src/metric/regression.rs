//! Metrics of predicted numbers.

fn errors<'a>(labels: &'a [f32], scores: &'a [f64]) -> impl Iterator<Item = f64> + Clone + 'a {
    labels
        .iter()
        .zip(scores)
        .map(|(&label, &score)| f64::from(label) - score)
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.sum::<f64>() / count as f64
}

/// `1 - part / whole`; where the whole is 0, 1 for no error at all and else 0, as
/// scikit-learn's `force_finite` has it.
fn explained(part: f64, whole: f64) -> f64 {
    if whole == 0.0 {
        if part == 0.0 { 1.0 } else { 0.0 }
    } else {
        1.0 - part / whole
    }
}

fn squares_around_mean(labels: &[f32]) -> f64 {
    let labels = || labels.iter().map(|&label| f64::from(label));
    let count = labels().count();
    let middle = mean(labels(), count);
    labels().map(|label| (label - middle).powi(2)).sum()
}

/// The root of the mean squared error.
pub(super) fn rmse(labels: &[f32], scores: &[f64]) -> f64 {
    mean(
        errors(labels, scores).map(|error| error * error),
        labels.len(),
    )
    .sqrt()
}

/// The mean absolute error.
pub(super) fn mae(labels: &[f32], scores: &[f64]) -> f64 {
    mean(errors(labels, scores).map(f64::abs), labels.len())
}

/// The share of the variance that is explained, bias counted (`r2_score`); NaN for a
/// single row.
pub(super) fn r2(labels: &[f32], scores: &[f64]) -> f64 {
    if labels.len() < 2 {
        return f64::NAN;
    }
    let residual: f64 = errors(labels, scores).map(|error| error * error).sum();
    explained(residual, squares_around_mean(labels))
}

/// The share of the variance that is explained, bias left out.
pub(super) fn explained_variance(labels: &[f32], scores: &[f64]) -> f64 {
    let bias = mean(errors(labels, scores), labels.len());
    let residual: f64 = errors(labels, scores)
        .map(|error| (error - bias).powi(2))
        .sum();
    explained(residual, squares_around_mean(labels))
}

/// The mean of absolute errors relative to the labels, which count as at least
/// `f64::EPSILON` (`mean_absolute_percentage_error`).
pub(super) fn mape(labels: &[f32], scores: &[f64]) -> f64 {
    let relative = errors(labels, scores)
        .zip(labels)
        .map(|(error, &label)| error.abs() / f64::from(label).abs().max(f64::EPSILON));
    mean(relative, labels.len())
}

/// The median of the absolute errors.
pub(super) fn median_absolute_error(labels: &[f32], scores: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = errors(labels, scores).map(f64::abs).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let middle = sizes.len() / 2;
    if sizes.len().is_multiple_of(2) {
        f64::midpoint(sizes[middle - 1], sizes[middle])
    } else {
        sizes[middle]
    }
}

/// The largest absolute error.
pub(super) fn max_error(labels: &[f32], scores: &[f64]) -> f64 {
    errors(labels, scores).map(f64::abs).fold(0.0, f64::max)
}
