//! Registered models as SQL functions.
//!
//! A [`ModelSet`] holds the models that a session applies, by the address of one version
//! (`models:/wine_quality/3`). [`bind`] settles the calls of a statement; [`predict`]
//! executes them. Encoders of texts, which [`embed`] asks, are kept beside.

mod address;
mod answer;
mod bind;
pub(crate) mod embed;
mod loaded;
pub mod predict;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::ArrayRef;
use sluice_learn::TextEmbedder;
use sluice_learn::features::{Feature, Target};

use crate::text::TokenizerSet;

pub use address::ModelAddress;
pub use answer::Answer;
pub use bind::{BoundModel, bind, model_addresses};
pub use embed::{bind_encoders, encoder_addresses};
pub use loaded::{Declared, LoadedModel};

/// An error from inside a model, with its cause.
pub type ModelError = Box<dyn std::error::Error + Send + Sync>;

/// A model that rows can be put through.
pub trait Predictor: fmt::Debug + Send + Sync {
    /// The columns it takes, in order.
    fn features(&self) -> &[Feature];

    /// What it predicts.
    fn target(&self) -> Target;

    /// One value a row of the answer's type, from one array a feature, each of `rows`
    /// values.
    ///
    /// # Errors
    /// Values that the model cannot take, or a model that has not been trained yet.
    fn predict(
        &self,
        answer: Answer,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<ArrayRef, ModelError>;

    /// The model itself; `None` of one that is only declared.
    fn loaded(&self) -> Option<&LoadedModel> {
        None
    }
}

/// The models that a session applies: loaded once, shared by all queries and partitions.
#[derive(Default)]
pub struct ModelSet {
    models: RwLock<HashMap<String, Arc<dyn Predictor>>>,
    encoders: RwLock<HashMap<String, Arc<TextEmbedder>>>,
    stop: Arc<AtomicBool>,
    tokenizers: TokenizerSet,
}

impl fmt::Debug for ModelSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        out.debug_set().entries(models.keys()).finish()
    }
}

impl ModelSet {
    /// The tokenizers that the session applies beside its models.
    pub fn tokenizers(&self) -> &TokenizerSet {
        &self.tokenizers
    }

    /// The model at an address of one version, if it is here.
    pub fn get(&self, address: &str) -> Option<Arc<dyn Predictor>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.get(address).cloned()
    }

    /// Adds a model, or keeps the one that is already at that address.
    pub fn insert(&self, address: &str, model: Arc<dyn Predictor>) -> Arc<dyn Predictor> {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry(address.to_owned()).or_insert(model))
    }

    /// Makes whatever is being predicted give up, or not any more. What computes holds a thread,
    /// and a query that is dropped would wait for it.
    pub fn stop(&self, stop: bool) {
        self.stop.store(stop, Ordering::Relaxed);
    }

    /// What a model of this set looks at while it predicts.
    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// The encoder at an address of one version, if it is here.
    pub fn encoder(&self, address: &str) -> Option<Arc<TextEmbedder>> {
        let encoders = self.encoders.read().unwrap_or_else(PoisonError::into_inner);
        encoders.get(address).cloned()
    }

    /// Adds an encoder, or keeps the one that is already at that address.
    pub fn insert_encoder(&self, address: &str, encoder: TextEmbedder) -> Arc<TextEmbedder> {
        let mut encoders = self
            .encoders
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = encoders.entry(address.to_owned());
        Arc::clone(entry.or_insert_with(|| Arc::new(encoder)))
    }
}
