//! Metrics of several classes: labels are the classes' codes, and each row has a probability
//! for each class. Where a figure is a mean over classes it is the plain mean
//! (scikit-learn's `macro`) unless its name says otherwise.

/// Probabilities `[rows, classes]`, row-major.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassScores<'s> {
    values: &'s [f64],
    classes: usize,
}

impl<'s> ClassScores<'s> {
    pub(super) fn new(values: &'s [f64], classes: usize) -> Self {
        Self { values, classes }
    }

    fn rows(self) -> impl Iterator<Item = &'s [f64]> {
        self.values.chunks_exact(self.classes)
    }

    /// For each actual class the rows by predicted class: the most probable one, the first
    /// among equals.
    pub(super) fn confusion(self, labels: &[f32]) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (&label, row) in labels.iter().zip(self.rows()) {
            if let Some(count) = counts
                .get_mut(label as usize)
                .and_then(|actual| actual.get_mut(most_probable(row)))
            {
                *count += 1;
            }
        }
        counts
    }
}

/// The position of the largest probability, the first among equals.
pub(crate) fn most_probable(row: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = class;
        }
    }
    best
}

/// The counts of one class against all others.
pub(super) struct OneClass {
    right: u64,
    pub(super) actual: u64,
    pub(super) predicted: u64,
}

impl OneClass {
    pub(super) fn of(confusion: &[Vec<u64>], class: usize) -> Self {
        Self {
            right: confusion[class][class],
            actual: confusion[class].iter().sum(),
            predicted: confusion.iter().map(|row| row[class]).sum(),
        }
    }

    pub(super) fn precision(&self) -> f64 {
        ratio(self.right, self.predicted)
    }

    pub(super) fn recall(&self) -> f64 {
        ratio(self.right, self.actual)
    }

    pub(super) fn f1(&self) -> f64 {
        ratio(2 * self.right, self.actual + self.predicted)
    }

    /// Whether it is there or was predicted: other classes are left out of means.
    pub(super) fn occurs(&self) -> bool {
        self.actual + self.predicted > 0
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn classes(labels: &[f32], scores: ClassScores<'_>) -> Vec<OneClass> {
    let confusion = scores.confusion(labels);
    (0..scores.classes)
        .map(|class| OneClass::of(&confusion, class))
        .collect()
}

pub(super) fn mean_over(
    classes: &[OneClass],
    counts: impl Fn(&OneClass) -> bool,
    figure: impl Fn(&OneClass) -> f64,
) -> f64 {
    let chosen: Vec<f64> = classes.iter().filter(|c| counts(c)).map(figure).collect();
    chosen.iter().sum::<f64>() / chosen.len() as f64
}

/// The share of rows whose class is predicted right.
pub(super) fn accuracy(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    let classes = classes(labels, scores);
    ratio(classes.iter().map(|c| c.right).sum(), labels.len() as u64)
}

/// The mean of the classes' precisions.
pub(super) fn precision(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    mean_over(
        &classes(labels, scores),
        OneClass::occurs,
        OneClass::precision,
    )
}

/// The mean of the classes' recalls.
pub(super) fn recall(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    mean_over(&classes(labels, scores), OneClass::occurs, OneClass::recall)
}

/// The mean of the classes' F1 scores.
pub(super) fn f1(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    mean_over(&classes(labels, scores), OneClass::occurs, OneClass::f1)
}

/// The mean of the classes' F1 scores, each weighted by its rows.
pub(super) fn f1_weighted(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    let classes = classes(labels, scores);
    let sum: f64 = classes.iter().map(|c| c.f1() * c.actual as f64).sum();
    sum / labels.len() as f64
}

/// The mean recall of the classes that are there.
pub(super) fn balanced_accuracy(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    mean_over(&classes(labels, scores), |c| c.actual > 0, OneClass::recall)
}

/// Matthews' correlation coefficient of predicted and actual classes.
pub(super) fn mcc(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    correlation(&scores.confusion(labels))
}

/// The correlation of a confusion matrix's rows and columns; 0 where either is constant.
pub(super) fn correlation(confusion: &[Vec<u64>]) -> f64 {
    let classes: Vec<OneClass> = (0..confusion.len())
        .map(|class| OneClass::of(confusion, class))
        .collect();
    let total: f64 = classes.iter().map(|c| c.actual as f64).sum();
    let right: f64 = classes.iter().map(|c| c.right as f64).sum();
    let sum = |figure: &dyn Fn(&OneClass) -> f64| -> f64 { classes.iter().map(figure).sum() };
    let both = sum(&|c| c.actual as f64 * c.predicted as f64);
    let actual = sum(&|c| (c.actual as f64).powi(2));
    let predicted = sum(&|c| (c.predicted as f64).powi(2));
    let spread = (total * total - predicted) * (total * total - actual);
    if spread == 0.0 {
        0.0
    } else {
        (right * total - both) / spread.sqrt()
    }
}

/// The mean negative log-likelihood of the actual classes, with probabilities clipped to
/// `[f64::EPSILON, 1 - f64::EPSILON]`.
pub(super) fn log_loss(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    let sum: f64 = labels
        .iter()
        .zip(scores.rows())
        .map(|(&label, row)| {
            let score = row.get(label as usize).copied().unwrap_or(0.0);
            -score.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        })
        .sum();
    sum / labels.len() as f64
}

/// The mean over rows of the squared distance of the probabilities from the actual class
/// (`brier_score_loss` without scaling).
pub(super) fn brier(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    let sum: f64 = labels
        .iter()
        .zip(scores.rows())
        .map(|(&label, row)| {
            let classes = row.iter().enumerate();
            classes
                .map(|(class, score)| {
                    let actual = f64::from(u8::from(class == label as usize));
                    (score - actual).powi(2)
                })
                .sum::<f64>()
        })
        .sum();
    sum / labels.len() as f64
}

/// The mean over classes of the ROC AUC of one class against the rest
/// (`roc_auc_score(multi_class="ovr")`); NaN unless every class is there.
pub(super) fn auc(labels: &[f32], scores: ClassScores<'_>) -> f64 {
    let sum: f64 = (0..scores.classes)
        .map(|class| {
            let one: Vec<f32> = labels
                .iter()
                .map(|&label| f32::from(u8::from(label as usize == class)))
                .collect();
            let column: Vec<f64> = scores.rows().map(|row| row[class]).collect();
            super::ranking::auc(&one, &column)
        })
        .sum();
    sum / scores.classes as f64
}
