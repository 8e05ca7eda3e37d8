//! The two kinds of model that a statement can be planned against: one that is loaded,
//! and one that a project only declares.

use std::path::Path;

use arrow::array::ArrayRef;
use sluice_learn::Model;
use sluice_learn::features::Feature;

use super::{ModelError, Predictor};

/// A model version, loaded from its folder.
#[derive(Debug)]
pub struct LoadedModel {
    model: Model,
}

impl LoadedModel {
    /// Loads a version's folder. Reads files: call it where blocking is fine.
    ///
    /// # Errors
    /// A folder that lacks a file, or one that is not what its name says.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Ok(Self {
            model: Model::load(folder)?,
        })
    }
}

impl Predictor for LoadedModel {
    fn features(&self) -> &[Feature] {
        &self.model.plan().features
    }

    fn predict(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<f64>, ModelError> {
        if rows == 0 {
            return Ok(Vec::new());
        }
        Ok(self.model.predict_proba(columns)?)
    }
}

/// A model that a project will train: enough to plan a statement that applies it.
#[derive(Debug)]
pub struct Declared {
    features: Vec<Feature>,
}

impl Declared {
    /// A model of these inputs.
    pub fn new(features: Vec<Feature>) -> Self {
        Self { features }
    }
}

impl Predictor for Declared {
    fn features(&self) -> &[Feature] {
        &self.features
    }

    fn predict(&self, _columns: &[ArrayRef], _rows: usize) -> Result<Vec<f64>, ModelError> {
        Err("the model has not been trained yet".into())
    }
}
