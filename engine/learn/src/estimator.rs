//! Estimators: what can be fitted, under which names and with which parameters.
//!
//! Adding an estimator is one file that exports an [`Entry`], and one line in
//! [`ESTIMATORS`].

mod booster;
pub(crate) mod class_weight;
mod constraints;
mod feature_weights;
mod gradient_boosting;
mod objective;
pub(crate) mod params;
mod random_forest;
mod training;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use training::feature_types;
pub use training::{FeatureImportance, FitOptions, Fitted, RoundScore, TrainingSet};

use crate::dataset::Dataset;
use crate::error::{LearnError, ParamError};
use crate::features::{Feature, Target};
use crate::nearest::nearest;
use crate::parallel::thread_pool;
pub use params::Param;
use params::Params;

/// A configured learner.
pub trait Estimator: fmt::Debug + Send + Sync {
    /// Fits a model. Runs on the current rayon pool; the model's bytes do not depend on
    /// how many threads that has.
    ///
    /// # Errors
    ///
    /// A refused parameter or data set, a missing validation split, cancellation.
    fn fit(&self, data: &TrainingSet, options: &FitOptions<'_>) -> Result<Fitted, LearnError>;

    /// Fits a model of so many rounds of boosting without looking at a validation split. What
    /// has no rounds is fitted as ever.
    ///
    /// # Errors
    ///
    /// As [`Self::fit`].
    fn fit_rounds(
        &self,
        data: &TrainingSet,
        _rounds: usize,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        self.fit(data, options)
    }

    /// The parameters that do not go with what a model takes and gives.
    fn check(&self, features: &[Feature], target: Target) -> Vec<ParamError>;

    /// Whether it stops early and therefore cannot do without a validation split.
    fn needs_validation(&self) -> bool {
        false
    }
}

/// An estimator's entry in the registry.
#[derive(Debug)]
pub struct Entry {
    /// Its name in a pipeline file.
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    build: fn(&mut Params<'_>) -> Box<dyn Estimator>,
}

/// All estimators.
pub static ESTIMATORS: &[&Entry] = &[&random_forest::ENTRY, &gradient_boosting::ENTRY];

/// The names of all estimators.
pub fn estimator_names() -> impl Iterator<Item = &'static str> {
    ESTIMATORS.iter().map(|entry| entry.name)
}

impl Entry {
    /// Whether it is fitted in rounds of boosting, each scored on the validation split.
    pub fn has_rounds(&self) -> bool {
        self.params.iter().any(|param| param.name == "rounds")
    }

    /// The estimator called `name`.
    ///
    /// # Errors
    ///
    /// An unknown name, with the nearest one.
    pub fn find(name: &str) -> Result<&'static Self, LearnError> {
        let found = ESTIMATORS.iter().find(|entry| entry.name == name);
        found.copied().ok_or_else(|| LearnError::UnknownEstimator {
            name: name.to_owned(),
            nearest: nearest(name, estimator_names()),
            known: estimator_names().collect(),
        })
    }
}

/// An estimator with checked parameters, ready to fit.
#[derive(Debug, Clone)]
pub struct EstimatorSpec {
    entry: &'static Entry,
    params: Map<String, Value>,
    /// The parameters that the user gave: own name, written name.
    written: Vec<(&'static str, String)>,
    estimator: Arc<dyn Estimator>,
}

impl EstimatorSpec {
    /// The estimator called `name` with the parameters in `map`, under any of their
    /// accepted names.
    ///
    /// # Errors
    ///
    /// An unknown estimator, or every parameter that is unknown, given twice, of the
    /// wrong type or out of range.
    pub fn parse(name: &str, map: &Map<String, Value>) -> Result<Self, LearnError> {
        let entry = Entry::find(name)?;
        let mut params = Params::new(map, entry.params);
        let estimator = (entry.build)(&mut params);
        let written = params.written();
        let params = params.finish().map_err(LearnError::Params)?;
        Ok(Self {
            entry,
            params,
            written,
            estimator: Arc::from(estimator),
        })
    }

    /// The estimator's name.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// All parameters under their own names, defaults included: what a run records.
    pub fn params(&self) -> &Map<String, Value> {
        &self.params
    }

    /// Checks the parameters against what a model will take and give.
    ///
    /// # Errors
    ///
    /// Every parameter that does not go with it, under the name that the user wrote.
    pub fn check(&self, features: &[Feature], target: Target) -> Result<(), LearnError> {
        let mut errors = self.estimator.check(features, target);
        for error in &mut errors {
            let written = self.written.iter().find(|(own, _)| *own == error.param);
            if let Some((_, written)) = written {
                error.param.clone_from(written);
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(LearnError::Params(errors))
        }
    }

    /// Whether fitting needs a validation split.
    pub fn needs_validation(&self) -> bool {
        self.estimator.needs_validation()
    }

    /// Fits a model to `train` on `options.threads` threads. `validation` is scored after
    /// each round and stops a boosting early where its parameters say so.
    ///
    /// # Errors
    ///
    /// As [`Estimator::fit`], and threads that cannot be started.
    pub fn fit(
        &self,
        train: &Dataset,
        validation: Option<&Dataset>,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        let data = TrainingSet::new(train, validation)?;
        thread_pool(options.threads)?.install(|| self.fit_shared(&data, options))
    }

    /// Fits a model on the current rayon pool to data that other fits share.
    ///
    /// # Errors
    ///
    /// As [`Estimator::fit`].
    pub fn fit_shared(
        &self,
        data: &TrainingSet,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        let plan = data.plan();
        self.check(&plan.features, plan.label.target())?;
        self.estimator.fit(data, options)
    }

    /// As [`Estimator::fit_rounds`], on the current rayon pool.
    ///
    /// # Errors
    ///
    /// As [`Estimator::fit`].
    pub(crate) fn fit_rounds_shared(
        &self,
        data: &TrainingSet,
        rounds: usize,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        self.estimator.fit_rounds(data, rounds, options)
    }
}

/// The parameter `written` as one of the estimator's own names.
///
/// # Errors
///
/// An unknown parameter, with the nearest one.
pub(crate) fn canonical_param(
    entry: &'static Entry,
    written: &str,
) -> Result<&'static str, ParamError> {
    params::canonical(entry.params, written)
}
