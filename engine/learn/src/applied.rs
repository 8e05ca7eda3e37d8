//! A model of any kind, as it is applied: what SQL, HTTP and the registry take.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use serde::Deserialize;

use crate::deep::bert::TOKENIZER_FILE;
use crate::error::LearnError;
use crate::features::{FeaturePlan, Label, Target};
use crate::finish::Settled;
use crate::fitted_text::FittedText;
use crate::model::{FEATURES_FILE, Model, TEXT_FORMAT, classes_of, read};
use crate::text_embedder::TextEmbedder;

/// A fitted model of any kind. Cheap to clone and safe to share between threads.
#[derive(Debug, Clone)]
pub enum AppliedModel {
    /// Trees over numbers, booleans and categories.
    Trees(Model),
    /// An encoder of one text.
    Text(FittedText),
}

impl From<Model> for AppliedModel {
    fn from(model: Model) -> Self {
        Self::Trees(model)
    }
}

impl From<FittedText> for AppliedModel {
    fn from(model: FittedText) -> Self {
        Self::Text(model)
    }
}

impl AppliedModel {
    /// Reads a model from its folder, of the kind that its [`FEATURES_FILE`] says.
    ///
    /// # Errors
    ///
    /// As [`Model::load`] and [`FittedText::load`].
    pub fn load(dir: &Path) -> Result<Self, LearnError> {
        #[derive(Deserialize)]
        struct Kind {
            format: u32,
        }
        let path = dir.join(FEATURES_FILE);
        if !path.is_file() {
            let reason = match TextEmbedder::check(dir) {
                Ok(()) => Some("it is an encoder of texts; `embed` gives its vectors"),
                Err(_) if dir.join(TOKENIZER_FILE).is_file() => Some("it is a tokenizer"),
                Err(_) => None,
            };
            if let Some(reason) = reason {
                let path = dir.to_owned();
                return Err(LearnError::NoLabel { path, reason });
            }
        }
        let kind: Kind =
            serde_json::from_slice(&read(&path)?).map_err(|error| LearnError::ModelFile {
                path,
                reason: error.to_string(),
            })?;
        match kind.format {
            TEXT_FORMAT => Ok(Self::Text(FittedText::load(dir)?)),
            _ => Ok(Self::Trees(Model::load(dir)?)),
        }
    }

    /// Writes the model's files into the existing folder `dir`.
    ///
    /// # Errors
    ///
    /// As [`Model::save`] and [`FittedText::save`].
    pub fn save(&self, dir: &Path) -> Result<(), LearnError> {
        match self {
            Self::Trees(model) => model.save(dir),
            Self::Text(model) => model.save(dir),
        }
    }

    /// The same model, which gives up a long prediction once `stop` is true: a text model does
    /// between two batches, trees are done before it matters.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Self {
        match self {
            Self::Trees(model) => Self::Trees(model),
            Self::Text(model) => Self::Text(model.stopped_by(stop)),
        }
    }

    /// The inputs, in order, and the label.
    pub fn plan(&self) -> &Arc<FeaturePlan> {
        match self {
            Self::Trees(model) => model.plan(),
            Self::Text(model) => model.plan(),
        }
    }

    /// The label.
    pub fn label(&self) -> &Label {
        &self.plan().label
    }

    /// What it predicts.
    pub fn target(&self) -> Target {
        self.label().target()
    }

    /// The name of the estimator that was fitted.
    pub fn estimator(&self) -> &str {
        match self {
            Self::Trees(model) => model.estimator(),
            Self::Text(model) => model.estimator(),
        }
    }

    /// What was settled on the validation rows: calibration and threshold.
    pub fn settled(&self) -> &Settled {
        match self {
            Self::Trees(model) => model.settled(),
            Self::Text(model) => model.settled(),
        }
    }

    /// The trees, if it is those.
    pub fn trees(&self) -> Option<&Model> {
        match self {
            Self::Trees(model) => Some(model),
            Self::Text(_) => None,
        }
    }

    /// The text model, if it is one.
    pub fn text(&self) -> Option<&FittedText> {
        match self {
            Self::Trees(_) => None,
            Self::Text(model) => Some(model),
        }
    }

    /// The predictions for each row of columns in the plan's order (see
    /// [`FeaturePlan::bind`]): the probability of the positive class, the number, or of
    /// several classes the probability of each, row-major `[rows, classes]`. NaN where there
    /// is no answer ([`Self::answered`]).
    ///
    /// # Errors
    ///
    /// Columns of the wrong number or type; texts that a tokenizer refuses.
    pub fn predict_columns(&self, columns: &[ArrayRef]) -> Result<Vec<f64>, LearnError> {
        match self {
            Self::Trees(model) => model.predict_columns(columns),
            Self::Text(model) => model.predict_columns(columns),
        }
    }

    /// The rows that have an answer; `None` when all have. Trees answer every row, whatever
    /// is missing in it; a text model needs its text.
    pub fn answered(&self, columns: &[ArrayRef]) -> Option<NullBuffer> {
        match self {
            Self::Trees(_) => None,
            Self::Text(model) => model.answered(columns),
        }
    }

    /// The class of each row of predictions, as a position among the label's classes: of
    /// two, the positive one from the model's threshold on, without one above a probability
    /// of 0.5; of several, the most probable one (the first among equals). Nothing for a
    /// regression.
    pub fn classes_of(&self, scores: &[f64]) -> Vec<usize> {
        classes_of(self.label(), self.settled(), scores)
    }
}
