//! The two kinds of model that a statement can be planned against: one that is loaded,
//! and one that a project only declares.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::ArrayRef;
use sluice_learn::AppliedModel;
use sluice_learn::features::{Feature, Interface, Target};

use super::{Answer, ModelError, Predictor};

/// A model version, loaded from its folder.
#[derive(Debug)]
pub struct LoadedModel {
    model: AppliedModel,
}

impl LoadedModel {
    /// Loads a version's folder. Reads files: call it where blocking is fine.
    ///
    /// # Errors
    /// A folder that lacks a file, or one that is not what its name says.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Ok(Self {
            model: AppliedModel::load(folder)?,
        })
    }

    /// The same model, which gives up a long prediction once `stop` is true.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Self {
        Self {
            model: self.model.stopped_by(stop),
        }
    }

    /// The model itself.
    pub fn model(&self) -> &AppliedModel {
        &self.model
    }
}

impl Predictor for LoadedModel {
    fn features(&self) -> &[Feature] {
        &self.model.plan().features
    }

    fn target(&self) -> Target {
        self.model.target()
    }

    fn predict(
        &self,
        answer: Answer,
        columns: &[ArrayRef],
        _rows: usize,
    ) -> Result<ArrayRef, ModelError> {
        answer.of(&self.model, columns)
    }

    fn loaded(&self) -> Option<&LoadedModel> {
        Some(self)
    }
}

/// A model that a project will train: enough to plan a statement that applies it.
#[derive(Debug)]
pub struct Declared {
    interface: Interface,
}

impl Declared {
    /// A model that takes and gives this.
    pub fn new(interface: Interface) -> Self {
        Self { interface }
    }
}

impl Predictor for Declared {
    fn features(&self) -> &[Feature] {
        &self.interface.features
    }

    fn target(&self) -> Target {
        self.interface.target
    }

    fn predict(
        &self,
        _answer: Answer,
        _columns: &[ArrayRef],
        _rows: usize,
    ) -> Result<ArrayRef, ModelError> {
        Err("the model has not been trained yet".into())
    }
}
