//! Metrics of the order that scores give: ROC AUC and average precision.

/// The score, and the cumulative counts (true positives, false positives), after each group
/// of equal scores, from the highest score down.
pub(crate) fn cumulative_counts(labels: &[f32], scores: &[f64]) -> Vec<(f64, f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut counts = Vec::new();
    let (mut hits, mut misses) = (0.0, 0.0);
    for (position, &row) in order.iter().enumerate() {
        if labels[row] == 1.0 {
            hits += 1.0;
        } else {
            misses += 1.0;
        }
        let next = order.get(position + 1);
        if next.is_none_or(|&next| scores[next] != scores[row]) {
            counts.push((scores[row], hits, misses));
        }
    }
    counts
}

/// The area under the ROC curve by the trapezoidal rule over tied groups
/// (`sklearn.metrics.roc_auc_score`); NaN with one class.
pub(super) fn auc(labels: &[f32], scores: &[f64]) -> f64 {
    let counts = cumulative_counts(labels, scores);
    let Some(&(_, positives, negatives)) = counts.last() else {
        return f64::NAN;
    };
    if positives == 0.0 || negatives == 0.0 {
        return f64::NAN;
    }
    let mut area = 0.0;
    let (mut last_hits, mut last_misses) = (0.0, 0.0);
    for (_, hits, misses) in counts {
        area += (misses - last_misses) * (hits + last_hits) / 2.0;
        (last_hits, last_misses) = (hits, misses);
    }
    area / (positives * negatives)
}

/// The mean of precisions weighted by the increase in recall, without interpolation
/// (`sklearn.metrics.average_precision_score`); NaN without a positive row.
pub(super) fn average_precision(labels: &[f32], scores: &[f64]) -> f64 {
    let counts = cumulative_counts(labels, scores);
    let Some(&(_, positives, _)) = counts.last() else {
        return f64::NAN;
    };
    if positives == 0.0 {
        return f64::NAN;
    }
    let mut sum = 0.0;
    let mut last_hits = 0.0;
    for (_, hits, misses) in counts {
        sum += (hits - last_hits) / positives * (hits / (hits + misses));
        last_hits = hits;
    }
    sum
}
