//! What features contribute to single predictions (SHAP values), summed up.

use hessboost::data::DMatrix;
use hessboost::model::Iterations;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::LearnError;
use crate::estimator::feature_types;
use crate::model::Model;

/// Node visits that an explanation may take, about: bounds its rows.
const WORK: usize = 500_000_000;
/// Rows that are explained at most, and at least (where there are so many).
const ROWS: std::ops::RangeInclusive<usize> = 50..=1_000;

/// How much a feature moves predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShapImportance {
    /// The feature's name.
    pub feature: String,
    /// The mean over rows (and classes) of the absolute SHAP value: log-odds of a boosted
    /// class, else units of the prediction.
    pub mean_abs_shap: f64,
}

/// The features of a model by their mean absolute SHAP value over the first rows of a data
/// set (whose order is that of a hash, so that they are a sample), the largest first.
///
/// # Errors
///
/// A model whose trees cannot be explained.
pub fn shap_importance(model: &Model, data: &Dataset) -> Result<Vec<ShapImportance>, LearnError> {
    let plan = model.plan();
    let width = plan.features.len();
    let affordable = WORK / model.nodes().max(1);
    let rows = affordable
        .clamp(*ROWS.start(), *ROWS.end())
        .min(data.rows());
    let refused = |source| LearnError::Learner {
        estimator: model.estimator().to_owned(),
        action: "explain its predictions",
        source,
    };
    let mut sums = vec![0.0_f64; width];
    let mut terms = 0_usize;
    if rows > 0 {
        let sample = DMatrix::from_dense(&data.values()[..rows * width], rows, width);
        let sample = sample
            .and_then(|sample| sample.with_feature_types(&feature_types(plan)))
            .map_err(refused)?;
        let values = model
            .booster()
            .predict_contribs(&sample, Iterations::Best)
            .map_err(refused)?;
        for row in 0..values.n_rows() {
            for output in 0..values.n_outputs() {
                let Some(contributions) = values.get(row, output) else {
                    continue;
                };
                terms += 1;
                for (sum, value) in sums.iter_mut().zip(contributions) {
                    *sum += f64::from(value.abs());
                }
            }
        }
    }
    let mut importance: Vec<ShapImportance> = plan
        .names()
        .zip(sums)
        .map(|(feature, sum)| ShapImportance {
            feature: feature.to_owned(),
            mean_abs_shap: if terms == 0 { 0.0 } else { sum / terms as f64 },
        })
        .collect();
    importance.sort_by(|a, b| b.mean_abs_shap.total_cmp(&a.mean_abs_shap));
    Ok(importance)
}
