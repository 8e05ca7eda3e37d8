//! What scikit-learn's `classification_report` tells: precision, recall and F1 of each class,
//! and their means.

use serde::Serialize;

use super::multiclass::{OneClass, mean_over};
use super::{Confusion, ConfusionMatrix};

/// Precision, recall and F1; 0 where nothing is there to divide by (`zero_division=0`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The share of the rows predicted so that are.
    pub precision: f64,
    /// The share of the rows that are so which are predicted so.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

/// The figures of one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReportedClass {
    /// Its figures.
    #[serde(flatten)]
    pub figures: ClassFigures,
    /// Rows that are of it (`support`).
    pub rows: u64,
    /// Rows that are predicted to be of it.
    pub predicted: u64,
}

/// The figures of all classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// One for each class, in the order of their codes.
    pub classes: Vec<ReportedClass>,
    /// The plain means over the classes that occur or are predicted (`macro avg`).
    pub macro_average: ClassFigures,
    /// The means over classes, each weighted by its rows (`weighted avg`).
    pub weighted_average: ClassFigures,
}

impl ConfusionMatrix {
    /// A row of counts for each actual class, a count for each predicted one.
    pub fn counts(&self) -> Vec<Vec<u64>> {
        match self {
            Self::Binary(Confusion {
                true_negatives,
                false_positives,
                false_negatives,
                true_positives,
            }) => vec![
                vec![*true_negatives, *false_positives],
                vec![*false_negatives, *true_positives],
            ],
            Self::Classes(counts) => counts.clone(),
        }
    }

    /// The figures of its classes.
    pub fn report(&self) -> ClassReport {
        let counts = self.counts();
        let classes = 0..counts.len();
        let classes: Vec<OneClass> = classes.map(|class| OneClass::of(&counts, class)).collect();
        let of = |class: &OneClass| ReportedClass {
            figures: ClassFigures {
                precision: class.precision(),
                recall: class.recall(),
                f1: class.f1(),
            },
            rows: class.actual,
            predicted: class.predicted,
        };
        let rows: u64 = classes.iter().map(|class| class.actual).sum();
        let weighted = |figure: fn(&OneClass) -> f64| {
            let sum: f64 = classes.iter().map(|c| figure(c) * c.actual as f64).sum();
            sum / rows as f64
        };
        let plain = |figure: fn(&OneClass) -> f64| mean_over(&classes, OneClass::occurs, figure);
        ClassReport {
            classes: classes.iter().map(of).collect(),
            macro_average: ClassFigures {
                precision: plain(OneClass::precision),
                recall: plain(OneClass::recall),
                f1: plain(OneClass::f1),
            },
            weighted_average: ClassFigures {
                precision: weighted(OneClass::precision),
                recall: weighted(OneClass::recall),
                f1: weighted(OneClass::f1),
            },
        }
    }
}
