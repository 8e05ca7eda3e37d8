//! `feature_weights`: how likely each feature is among those that a tree, a level or a split
//! looks at.

use hessboost::data::DMatrix;
use hessboost::error::HessboostError;

use super::constraints::{find, no_feature};
use super::params::Params;
use crate::error::ParamError;
use crate::features::Feature;

const NAME: &str = "feature_weights";

/// Weights of features, by the names of their columns; 1 for the others.
#[derive(Debug, Default)]
pub(super) struct FeatureWeights {
    given: Vec<(String, f64)>,
}

impl FeatureWeights {
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let Some(value) = params.value(NAME) else {
            return Self::default();
        };
        let weights = value.as_object().and_then(|map| {
            let weights = map.iter().map(|(column, weight)| {
                let weight = weight.as_f64().filter(|w| w.is_finite() && *w >= 0.0)?;
                Some((column.clone(), weight))
            });
            weights.collect::<Option<Vec<_>>>()
        });
        params.resolve(NAME, value.clone());
        let given = weights.unwrap_or_else(|| {
            params.reject(
                NAME,
                "a map of columns to numbers from 0 up, as in {alcohol: 2, pH: 0.5}",
            );
            Vec::new()
        });
        Self { given }
    }

    /// The columns that are no features, weights of which none is above 0, and weights where
    /// nothing is drawn.
    pub(super) fn check(&self, features: &[Feature], draws: bool) -> Vec<ParamError> {
        if self.given.is_empty() {
            return Vec::new();
        }
        let names = self.given.iter().map(|(name, _)| name);
        let mut errors: Vec<ParamError> = names
            .filter(|name| find(features, name).is_none())
            .map(|name| no_feature(NAME, name, features))
            .collect();
        if !draws {
            let message = "goes with `colsample_bytree`, `colsample_bylevel` or `colsample_bynode` below 1: without them every feature is looked at";
            errors.push(ParamError::new(NAME, message));
        }
        if self.of(features).iter().all(|weight| *weight == 0.0) {
            errors.push(ParamError::new(NAME, "some weight must be above 0"));
        }
        errors
    }

    /// A matrix whose features are drawn so.
    pub(super) fn weigh(
        &self,
        matrix: DMatrix,
        features: &[Feature],
    ) -> Result<DMatrix, HessboostError> {
        if self.given.is_empty() {
            return Ok(matrix);
        }
        matrix.with_feature_weights(&self.of(features))
    }

    fn of(&self, features: &[Feature]) -> Vec<f32> {
        let mut weights = vec![1.0; features.len()];
        for (name, weight) in &self.given {
            if let Some(position) = find(features, name) {
                weights[position] = *weight as f32;
            }
        }
        weights
    }
}
