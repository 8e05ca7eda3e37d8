//! What every fit takes and gives.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hessboost::data::{DMatrix, FeatureType};
use hessboost::error::HessboostError;
use serde::{Deserialize, Serialize};

use crate::boost::{BinCache, Binned};
use crate::dataset::Dataset;
use crate::error::LearnError;
use crate::features::{FeatureKind, FeaturePlan};
use crate::metric::Metric;
use crate::model::Model;

/// A round of boosting, scored on the validation split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundScore {
    /// The round, from 0.
    pub round: usize,
    /// The metric's value; `None` without a validation split.
    pub value: Option<f64>,
}

/// How to fit.
#[derive(Clone, Copy)]
pub struct FitOptions<'a> {
    /// How many threads may compute.
    pub threads: NonZeroUsize,
    /// Looked at once a round or tree; true ends the fit with [`LearnError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// What early stopping watches on the validation split.
    pub metric: &'static Metric,
    /// Told about each round; a break ends a boosting there with what it has.
    pub on_round: Option<&'a (dyn Fn(RoundScore) -> ControlFlow<()> + Send + Sync)>,
}

impl FitOptions<'_> {
    pub(crate) fn check_cancelled(&self) -> Result<(), LearnError> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(LearnError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// How much a feature contributed to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureImportance {
    /// The feature's name.
    pub feature: String,
    /// Its share of the loss reduction of all splits; the shares of all features sum
    /// to 1 (XGBoost's `total_gain`, scikit-learn's `feature_importances_`).
    pub gain: f64,
    /// Splits on it (XGBoost's `weight`).
    pub splits: u64,
}

/// A fitted model and how it came to be.
#[derive(Debug)]
pub struct Fitted {
    /// The model, cut back to its best round.
    pub model: Model,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model keeps.
    pub iterations: usize,
    /// The watched metric on the validation split after each round that was run; empty
    /// for a forest, which has no rounds, and without a validation split.
    pub history: Vec<f64>,
    /// All features, the most important first.
    pub importance: Vec<FeatureImportance>,
}

/// Row-major values `[rows, features]`.
type Values = Arc<Vec<f32>>;

/// The matrices of a train and a validation split, which any number of fits share: the
/// values are borrowed from the data set, and are binned once.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    plan: Arc<FeaturePlan>,
    train: DMatrix,
    validation: Option<DMatrix>,
    /// The values of both; `None` where the train split is some rows of others.
    values: Option<(Values, Option<Values>)>,
    bins: Arc<BinCache>,
}

impl TrainingSet {
    /// The matrices of `train` and, unless it is empty, `validation`.
    ///
    /// # Errors
    ///
    /// Values that the learner refuses.
    pub fn new(train: &Dataset, validation: Option<&Dataset>) -> Result<Self, LearnError> {
        let refused = |source| LearnError::Learner {
            estimator: "the learner".to_owned(),
            action: "take the data",
            source,
        };
        let validation = validation.filter(|data| !data.is_empty());
        Ok(Self {
            plan: Arc::clone(train.plan()),
            values: Some((
                train.shared_values(),
                validation.map(Dataset::shared_values),
            )),
            bins: Arc::default(),
            train: matrix(train, train.weights()).map_err(refused)?,
            // Metrics count all rows alike.
            validation: validation
                .map(|data| matrix(data, None))
                .transpose()
                .map_err(refused)?,
        })
    }

    /// The matrices of some rows of this set's train split, which share its values, and of
    /// `validation`. The learner bins only these rows, so that it knows nothing of the others.
    ///
    /// # Errors
    ///
    /// No row.
    pub(crate) fn of_rows(&self, rows: &[usize], validation: &Dataset) -> Result<Self, LearnError> {
        let refused = |source| LearnError::Learner {
            estimator: "the learner".to_owned(),
            action: "take a fold of the data",
            source,
        };
        Ok(Self {
            plan: Arc::clone(&self.plan),
            values: None,
            bins: Arc::default(),
            train: self.train.select_rows(rows).map_err(refused)?,
            validation: Some(matrix(validation, None).map_err(refused)?),
        })
    }

    pub(crate) fn plan(&self) -> &Arc<FeaturePlan> {
        &self.plan
    }

    pub(crate) fn train(&self) -> &DMatrix {
        &self.train
    }

    pub(crate) fn validation(&self) -> Option<&DMatrix> {
        self.validation.as_ref()
    }

    /// The rows of both splits in at most `max_bin` bins a feature; `None` when a table is too
    /// wide for that, or its rows are spread among others. Made once for all fits.
    pub(crate) fn binned(&self, max_bin: usize) -> Option<(Binned, Option<Binned>)> {
        self.bins.get(max_bin, || {
            let (train, validation) = self.values.as_ref()?;
            let binned = Binned::new(train, self.plan.features.len(), max_bin)?;
            let others = validation.as_ref().map(|values| binned.others(values));
            Some((binned, others))
        })
    }
}

/// Which features are categories, for the learner.
pub(crate) fn feature_types(plan: &FeaturePlan) -> Vec<FeatureType> {
    let features = plan.features.iter();
    features
        .map(|feature| match feature.kind {
            FeatureKind::Category { .. } => FeatureType::Categorical,
            FeatureKind::Number | FeatureKind::Boolean | FeatureKind::Text => {
                FeatureType::Numerical
            }
        })
        .collect()
}

fn matrix(data: &Dataset, weights: Option<&[f32]>) -> Result<DMatrix, HessboostError> {
    let matrix = DMatrix::from_dense_shared(
        data.shared_values(),
        data.rows(),
        data.plan().features.len(),
        f32::NAN,
    )?
    .with_labels(data.labels())?
    .with_feature_types(&feature_types(data.plan()))?;
    match weights {
        Some(weights) => matrix.with_weights(weights),
        None => Ok(matrix),
    }
}
