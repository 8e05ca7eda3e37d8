//! What is settled on the validation rows once a model is fitted, and travels inside it: how
//! its probabilities are calibrated, and from which one on a row is positive.

use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, CalibrationMethod};
use crate::dataset::Split;
use crate::error::LearnError;
use crate::features::{Label, Task};
use crate::threshold::ThresholdSpec;

/// What a user asks to be settled; by default nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finish {
    /// How probabilities are calibrated.
    pub calibrate: Option<CalibrationMethod>,
    /// From which probability on a row of two classes is positive.
    pub threshold: Option<ThresholdSpec>,
}

/// What was settled; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The calibration of the model's probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The probability from which on a row of two classes is predicted positive; without it
    /// that is so above 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

impl Finish {
    /// Whether there is nothing to settle without validation rows.
    pub fn needs_validation(&self) -> bool {
        let chosen = self
            .threshold
            .as_ref()
            .is_some_and(ThresholdSpec::needs_validation);
        self.calibrate.is_some() || chosen
    }

    /// Settles what does not take any rows.
    ///
    /// # Errors
    ///
    /// Something that does.
    pub(crate) fn settle_without_rows(&self) -> Result<Settled, LearnError> {
        match &self.threshold {
            _ if self.needs_validation() => Err(LearnError::EmptySplit {
                split: Split::Validation,
                need: "`calibrate:` and `threshold:` are settled on it; give the table a validation part, or write `validate: {folds: 5}`",
            }),
            Some(ThresholdSpec::Fixed(threshold)) => Ok(Settled {
                calibration: None,
                threshold: Some(*threshold),
            }),
            _ => Ok(Settled::default()),
        }
    }

    /// Settles it on rows that the model was not fitted on: their labels, the probabilities
    /// that it gave, and perhaps their weights, which count for the calibration.
    ///
    /// # Errors
    ///
    /// A class that no row has; a threshold that must reach what none reaches.
    pub(crate) fn settle(
        &self,
        label: &Label,
        labels: &[f32],
        probabilities: &[f64],
        weights: Option<&[f32]>,
    ) -> Result<Settled, LearnError> {
        let calibrate = |method| Calibration::fit(method, label, labels, probabilities, weights);
        let calibration = self.calibrate.map(calibrate).transpose()?;
        let settled = Settled {
            calibration,
            threshold: None,
        };
        let threshold = match &self.threshold {
            None => None,
            Some(spec) => Some(spec.settle(labels, &settled.calibrated(probabilities.to_vec()))?),
        };
        Ok(Settled {
            threshold,
            ..settled
        })
    }
}

impl Settled {
    /// Probabilities as the model gives them, calibrated if it is.
    pub fn calibrated(&self, mut probabilities: Vec<f64>) -> Vec<f64> {
        if let Some(calibration) = &self.calibration {
            calibration.apply(&mut probabilities);
        }
        probabilities
    }

    /// Whether nothing was settled.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Why it does not go with a label, if it does not: a model's file may hold anything.
    pub(crate) fn unsound(&self, label: &Label) -> Option<&'static str> {
        let calibration = self.calibration.as_ref();
        if calibration.is_some_and(|calibration| !calibration.is_sound(label)) {
            return Some("its calibration does not go with its label");
        }
        let threshold = self.threshold?;
        let sound = label.task == Task::Binary && (0.0..=1.0).contains(&threshold);
        (!sound).then_some("its threshold is no probability of a binary label")
    }
}
