//! Calibration: probabilities that come true as often as they say.
//!
//! A [`Calibration`] is fitted on the probabilities that a model gives for rows that it was
//! not fitted on, and then stands between the model and everybody who asks it. Of two
//! classes the probability of the positive one is calibrated; of several, each class against
//! the rest, after which a row's probabilities are divided by their sum
//! (`sklearn.calibration.CalibratedClassifierCV`). Both methods take the probability, not the
//! margin: so does scikit-learn with classifiers that have `predict_proba` only, as Python's
//! `XGBClassifier` and forests.

mod isotonic;
mod sigmoid;

use serde::{Deserialize, Serialize};

use crate::error::LearnError;
use crate::features::{Label, Task};
use isotonic::Isotonic;
use sigmoid::Sigmoid;

/// How probabilities are calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMethod {
    /// The best rising step function, joined by straight lines: any shape, but it takes many
    /// rows (about 1,000).
    Isotonic,
    /// Platt's method: a logistic curve, which few rows determine.
    Sigmoid,
}

impl CalibrationMethod {
    /// The words for it in a pipeline file.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("isotonic", Self::Isotonic),
        ("sigmoid", Self::Sigmoid),
        ("platt", Self::Sigmoid),
    ];

    /// Its name, as scikit-learn has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Isotonic => "isotonic",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// A fitted calibration: a curve for each value that the model gives for a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "curves", rename_all = "snake_case")]
pub enum Calibration {
    /// Rising steps, joined by straight lines.
    Isotonic(Vec<Isotonic>),
    /// Logistic curves.
    Sigmoid(Vec<Sigmoid>),
}

/// One curve.
trait Curve {
    /// The calibrated probability for one that the model gave.
    fn at(&self, probability: f64) -> f64;
}

impl Calibration {
    /// Fits a calibration to the probabilities `[rows]`, or `[rows, classes]` row-major for
    /// several classes, that a model gave for rows with these labels and perhaps weights.
    ///
    /// # Errors
    ///
    /// A class that no row (of a weight above 0) has.
    pub fn fit(
        method: CalibrationMethod,
        label: &Label,
        labels: &[f32],
        probabilities: &[f64],
        weights: Option<&[f32]>,
    ) -> Result<Self, LearnError> {
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let mut rows_of = vec![0_usize; label.classes.len()];
        for (row, &code) in labels.iter().enumerate() {
            if weight(row) > 0.0 {
                rows_of[code as usize] += 1;
            }
        }
        if let Some(class) = rows_of.iter().position(|&rows| rows == 0) {
            return Err(LearnError::NothingToCalibrate {
                column: label.name.clone(),
                value: label.classes[class].to_string(),
            });
        }
        let width = label.outputs();
        let points = |output: usize| -> Vec<Point> {
            let class = if width == 1 { 1 } else { output };
            let rows = labels.iter().enumerate();
            rows.map(|(row, &code)| Point {
                probability: probabilities[row * width + output],
                is: f64::from(u8::from(code as usize == class)),
                weight: weight(row),
            })
            .collect()
        };
        let outputs = 0..width;
        Ok(match method {
            CalibrationMethod::Isotonic => {
                Self::Isotonic(outputs.map(|at| Isotonic::fit(points(at))).collect())
            }
            CalibrationMethod::Sigmoid => {
                Self::Sigmoid(outputs.map(|at| Sigmoid::fit(&points(at))).collect())
            }
        })
    }

    /// How it was fitted.
    pub fn method(&self) -> CalibrationMethod {
        match self {
            Self::Isotonic(_) => CalibrationMethod::Isotonic,
            Self::Sigmoid(_) => CalibrationMethod::Sigmoid,
        }
    }

    /// Calibrates probabilities `[rows]`, or `[rows, classes]` row-major, in place. Those of
    /// several classes sum to 1 afterwards; where every curve gives 0 they are all alike.
    pub fn apply(&self, probabilities: &mut [f64]) {
        match self {
            Self::Isotonic(curves) => apply(curves, probabilities),
            Self::Sigmoid(curves) => apply(curves, probabilities),
        }
    }

    /// Whether it goes with a label: a model's file may hold anything.
    pub(crate) fn is_sound(&self, label: &Label) -> bool {
        let (count, sound) = match self {
            Self::Isotonic(curves) => (curves.len(), curves.iter().all(Isotonic::is_sound)),
            Self::Sigmoid(curves) => (curves.len(), curves.iter().all(Sigmoid::is_sound)),
        };
        sound && count == label.outputs() && label.task != Task::Regression
    }
}

fn apply<C: Curve>(curves: &[C], probabilities: &mut [f64]) {
    let classes = curves.len();
    for row in probabilities.chunks_exact_mut(classes) {
        for (probability, curve) in row.iter_mut().zip(curves) {
            *probability = curve.at(*probability).clamp(0.0, 1.0);
        }
        if classes > 1 {
            let sum: f64 = row.iter().sum();
            for probability in row {
                *probability = if sum > 0.0 {
                    *probability / sum
                } else {
                    1.0 / classes as f64
                };
            }
        }
    }
}

/// A row as a curve is fitted to it.
#[derive(Debug, Clone, Copy)]
struct Point {
    probability: f64,
    /// 1 for a row of the class, 0 for another.
    is: f64,
    weight: f64,
}
