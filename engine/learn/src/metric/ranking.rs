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

/// The ROC AUC of many predictions for the same rows, as boosting asks for it after each
/// round. The counts are whole and half numbers, so the quotient is the very one of [`auc`].
#[derive(Debug, Default)]
pub(crate) struct Auc {
    /// Each row's score and, in the last bit, its label.
    keys: Vec<u32>,
}

impl Auc {
    /// The AUC of `scores`, probabilities, for 0/1 `labels`; 0.5 with one class, as in
    /// XGBoost.
    pub(crate) fn of(&mut self, labels: &[f32], scores: &[f32]) -> f64 {
        self.keys.clear();
        let mut sound = true;
        let keys = scores.iter().zip(labels).map(|(&score, &label)| {
            sound &= score >= 0.0;
            // The bits of floats from 0 up have the order of the floats, and a bit to spare.
            (score + 0.0).to_bits() << 1 | u32::from(label == 1.0)
        });
        self.keys.extend(keys);
        if !sound {
            return f64::NAN;
        }
        self.keys.sort_unstable();
        let (mut hits, mut misses) = (0.0, 0.0);
        // Twice the pairs of a hit above a miss; a pair of equals counts one.
        let mut pairs = 0.0;
        let mut rest = self.keys.as_slice();
        while let Some(&first) = rest.first() {
            let equal = rest.iter().take_while(|&&key| key >> 1 == first >> 1);
            let (count, ones) =
                equal.fold((0, 0), |(count, ones), key| (count + 1, ones + (key & 1)));
            let (own_hits, own_misses) = (f64::from(ones), f64::from(count - ones));
            pairs += own_hits * (2.0 * misses + own_misses);
            hits += own_hits;
            misses += own_misses;
            rest = &rest[count as usize..];
        }
        if hits == 0.0 || misses == 0.0 {
            return 0.5;
        }
        pairs / 2.0 / (hits * misses)
    }
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

#[cfg(test)]
mod tests {
    use super::{Auc, auc};

    #[test]
    fn both_ways_to_an_auc_agree_to_the_bit() {
        let mut state = 1_u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut quick = Auc::default();
        for levels in [1, 3, 50, 1 << 20] {
            for rows in [2, 7, 1000] {
                let mut labels: Vec<f32> = (0..rows).map(|_| (draw() % 2) as f32).collect();
                (labels[0], labels[1]) = (0.0, 1.0);
                let level = |_| (draw() % levels) as f32 / levels as f32;
                let scores: Vec<f32> = (0..rows).map(level).collect();
                let wide: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
                assert_eq!(quick.of(&labels, &scores), auc(&labels, &wide));
            }
        }
        assert_eq!(quick.of(&[1.0, 1.0], &[0.1, 0.2]), 0.5);
        assert!(quick.of(&[1.0, 0.0], &[f32::NAN, 0.2]).is_nan());
        assert_eq!(quick.of(&[1.0, 0.0], &[0.0, -0.0]), 0.5);
    }
}
