//! A fitted model: its folder, and its predictions.
//!
//! A model's folder holds [`MODEL_FILE`], which Python's xgboost loads, and
//! [`FEATURES_FILE`], the feature plan and what was settled on the validation rows: the
//! calibration of probabilities and the threshold. Both are needed to apply it. Python's
//! xgboost knows the trees only, so its probabilities are those before calibration.

mod dart;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use hessboost::error::HessboostError;
use hessboost::model::{BoostedModel, ImportanceType, Iterations, ModelFormat};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dataset::Dataset;
use crate::error::LearnError;
use crate::estimator::FeatureImportance;
use crate::features::{FeatureKind, FeaturePlan, Label, Task};
use crate::finish::Settled;
use crate::forest::Forest;
use crate::metric::{Evaluation, is_positive, most_probable};
use crate::validate::evaluated;

/// The trees, in XGBoost's JSON format.
pub const MODEL_FILE: &str = "model.json";
/// The feature plan.
pub const FEATURES_FILE: &str = "features.json";
/// The version of the layout of [`FEATURES_FILE`].
///
/// 1: binary labels only, without their type. 2: any label. 3: a calibration or a threshold;
/// a model that has neither is still written as 2. 4: a text model
/// ([`crate::fitted_text`]), whose folder holds no trees.
pub(crate) const TEXT_FORMAT: u32 = 4;
/// The newest format of trees.
const FEATURES_FORMAT: u32 = 3;
/// The format of a model that has neither calibration nor threshold.
const PLAIN_FORMAT: u32 = 2;

/// Rows that one thread predicts at a time.
const PART_ROWS: usize = 8192;

/// A fitted model. Cheap to clone and safe to share between threads.
#[derive(Debug, Clone)]
pub struct Model {
    estimator: String,
    plan: Arc<FeaturePlan>,
    booster: Arc<BoostedModel>,
    settled: Arc<Settled>,
    /// Its trees for many rows, made when first needed; `None` when that is not for them.
    forest: Arc<OnceLock<Option<Forest>>>,
}

/// What [`FEATURES_FILE`] holds.
#[derive(Debug, Serialize, Deserialize)]
struct FeaturesFile {
    format: u32,
    estimator: String,
    #[serde(flatten)]
    plan: FeaturePlan,
    #[serde(flatten)]
    settled: Settled,
}

impl Model {
    pub(crate) fn new(estimator: &str, plan: Arc<FeaturePlan>, booster: BoostedModel) -> Self {
        Self {
            estimator: estimator.to_owned(),
            plan,
            booster: Arc::new(booster),
            settled: Arc::default(),
            forest: Arc::default(),
        }
    }

    /// The same model, with what was settled on the validation rows.
    pub(crate) fn with_settled(self, settled: Settled) -> Self {
        Self {
            settled: Arc::new(settled),
            ..self
        }
    }

    /// What was settled on the validation rows: calibration and threshold.
    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    /// The name of the estimator that was fitted.
    pub fn estimator(&self) -> &str {
        &self.estimator
    }

    /// The inputs, in order, and the label.
    pub fn plan(&self) -> &Arc<FeaturePlan> {
        &self.plan
    }

    /// Rounds of boosting, or trees of a forest.
    pub fn iterations(&self) -> usize {
        self.booster.num_boost_rounds()
    }

    /// Trees in all.
    pub fn trees(&self) -> usize {
        self.booster.num_trees()
    }

    /// The predictions for each row of columns in the plan's order (see
    /// [`FeaturePlan::bind`]): the probability of the positive class, the number, or of
    /// several classes the probability of each, row-major `[rows, classes]`. Probabilities
    /// are calibrated if the model is, within `[0, 1]`, and those of several classes sum to 1.
    ///
    /// # Errors
    ///
    /// Columns of the wrong number or type.
    pub fn predict_columns(&self, columns: &[ArrayRef]) -> Result<Vec<f64>, LearnError> {
        let Some(forest) = self.forest() else {
            return self.predict_rows(&self.plan.matrix(columns)?);
        };
        let columns = self.plan.columns(columns)?;
        let rows = columns.first().map_or(0, Vec::len);
        let mut margins = vec![0.0; rows * forest.outputs()];
        forest.margins(&mut margins, |feature, first, values| {
            values.copy_from_slice(&columns[feature][first..first + values.len()]);
        });
        Ok(self.settled.calibrated(self.scores_of(&margins)?))
    }

    /// The predictions for each row of a row-major matrix `[rows, features]`; NaN is
    /// missing.
    ///
    /// # Errors
    ///
    /// A matrix that is not whole rows, or holds infinite values.
    pub fn predict_rows(&self, values: &[f32]) -> Result<Vec<f64>, LearnError> {
        Ok(self.settled.calibrated(self.uncalibrated_rows(values)?))
    }

    /// As [`Self::predict_rows`], before calibration.
    fn uncalibrated_rows(&self, values: &[f32]) -> Result<Vec<f64>, LearnError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let width = self.plan.features.len();
        let sound = values.len().is_multiple_of(width) && !values.iter().any(|v| v.is_infinite());
        if let Some(forest) = self.forest().filter(|_| sound) {
            return self.scores_of(&rows_margins(forest, values, width));
        }
        let scores = self
            .booster
            .predict_rows(values, Iterations::Best)
            .map_err(|source| self.refused("predict", source))?;
        Ok(self.as_told(scores.as_slice()))
    }

    /// Its trees for many rows, if that is for them.
    fn forest(&self) -> Option<&Forest> {
        let forest = self.forest.get_or_init(|| Forest::new(&self.booster));
        forest.as_ref()
    }

    /// The predictions of margins `[rows, outputs]`.
    fn scores_of(&self, margins: &[f32]) -> Result<Vec<f64>, LearnError> {
        let rows = margins.len() / self.booster.n_outputs();
        let mut scores = vec![0.0; rows * self.booster.prediction_width()];
        self.booster
            .transform_margins_into(margins, &mut scores)
            .map_err(|source| self.refused("predict", source))?;
        Ok(self.as_told(&scores))
    }

    fn refused(&self, action: &'static str, source: HessboostError) -> LearnError {
        LearnError::Learner {
            estimator: self.estimator.clone(),
            action,
            source,
        }
    }

    /// The learner's predictions as they are told.
    fn as_told(&self, scores: &[f32]) -> Vec<f64> {
        let scores = scores.iter().map(|&score| f64::from(score));
        // A forest's mean of f32 leaves may leave [0, 1] by a rounding error.
        match self.plan.label.task {
            Task::Regression => scores.collect(),
            Task::Binary => scores.map(|score| score.clamp(0.0, 1.0)).collect(),
            Task::Multiclass => {
                let mut scores: Vec<f64> = scores.map(|score| score.clamp(0.0, 1.0)).collect();
                for row in scores.chunks_exact_mut(self.plan.label.outputs()) {
                    let sum: f64 = row.iter().sum();
                    row.iter_mut().for_each(|score| *score /= sum);
                }
                scores
            }
        }
    }

    /// The predictions for each row of a data set.
    ///
    /// # Errors
    ///
    /// As [`Self::predict_rows`].
    pub fn predict(&self, data: &Dataset) -> Result<Vec<f64>, LearnError> {
        self.predict_rows(data.values())
    }

    /// The predictions for each row of a data set before calibration: what the trees say.
    ///
    /// # Errors
    ///
    /// As [`Self::predict_rows`].
    pub fn predict_uncalibrated(&self, data: &Dataset) -> Result<Vec<f64>, LearnError> {
        self.uncalibrated_rows(data.values())
    }

    /// All metrics of the model's predictions for a data set.
    ///
    /// # Errors
    ///
    /// As [`Self::predict_rows`].
    pub fn evaluate(&self, data: &Dataset) -> Result<Evaluation, LearnError> {
        let raw = self.predict_uncalibrated(data)?;
        Ok(evaluated(data, &self.settled, raw))
    }

    /// The class of each row of predictions, as a position among the label's classes: of
    /// two, the positive one from the model's threshold on, without one above a probability
    /// of 0.5; of several, the most probable one (the first among equals). Nothing for a
    /// regression.
    pub fn classes_of(&self, scores: &[f64]) -> Vec<usize> {
        classes_of(&self.plan.label, &self.settled, scores)
    }

    /// Nodes of all trees.
    pub(crate) fn nodes(&self) -> usize {
        let trees = self.booster.trees().iter();
        trees.map(|tree| tree.num_nodes()).sum()
    }

    pub(crate) fn booster(&self) -> &BoostedModel {
        &self.booster
    }

    /// What each feature contributed, the most important first, ties by position.
    pub fn importance(&self) -> Vec<FeatureImportance> {
        let gains = self.booster.feature_importance(ImportanceType::TotalGain);
        let splits = self.booster.feature_importance(ImportanceType::Weight);
        let total: f64 = gains.values().sum();
        let mut importance: Vec<FeatureImportance> = self
            .plan
            .names()
            .enumerate()
            .map(|(position, name)| FeatureImportance {
                feature: name.to_owned(),
                gain: match gains.get(&position) {
                    Some(gain) if total > 0.0 => gain / total,
                    _ => 0.0,
                },
                splits: splits.get(&position).map_or(0, |&splits| splits as u64),
            })
            .collect();
        importance.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        importance
    }

    /// The bytes of [`MODEL_FILE`]: the same for the same data, parameters and seed.
    ///
    /// # Errors
    ///
    /// A model that XGBoost's format cannot hold.
    pub fn model_json(&self) -> Result<Vec<u8>, LearnError> {
        let refused = |source| self.refused("write its model", source);
        let bytes = self
            .booster
            .encode(ModelFormat::XgboostJson)
            .map_err(refused)?;
        let mut document: Value =
            serde_json::from_slice(&bytes).map_err(|error| refused(HessboostError::Json(error)))?;
        // xgboost before 3.1 reads the newer list form as something else, without a word;
        // all versions read a single number.
        rewrite_base_score(&mut document, |list| {
            let single = list.strip_prefix('[')?.strip_suffix(']')?;
            single.parse::<f32>().is_ok().then(|| single.to_owned())
        });
        dart::to_xgboost(&mut document);
        // The names by which Python tells a data frame's columns apart.
        document["learner"]["feature_names"] = self.plan.names().map(Value::from).collect();
        document["learner"]["feature_types"] = self
            .plan
            .features
            .iter()
            .map(|feature| match feature.kind {
                FeatureKind::Number => json!("float"),
                FeatureKind::Boolean => json!("i"),
                FeatureKind::Category { .. } => json!("c"),
                // No tree has one: see `load`.
                FeatureKind::Text => json!("q"),
            })
            .collect();
        Ok(document.to_string().into_bytes())
    }

    /// The bytes of [`FEATURES_FILE`].
    pub fn features_json(&self) -> Vec<u8> {
        let file = FeaturesFile {
            format: match self.settled.is_nothing() {
                true => PLAIN_FORMAT,
                false => FEATURES_FORMAT,
            },
            estimator: self.estimator.clone(),
            plan: (*self.plan).clone(),
            settled: (*self.settled).clone(),
        };
        let mut text = serde_json::to_string_pretty(&file)
            .expect("a feature plan holds only strings, numbers and booleans");
        text.push('\n');
        text.into_bytes()
    }

    /// Writes [`MODEL_FILE`] and [`FEATURES_FILE`] into the existing folder `dir`.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, named.
    pub fn save(&self, dir: &Path) -> Result<(), LearnError> {
        write(dir.join(MODEL_FILE), &self.model_json()?)?;
        write(dir.join(FEATURES_FILE), &self.features_json())
    }

    /// Reads a model from its folder.
    ///
    /// # Errors
    ///
    /// A file that is missing, damaged, of another version, or that does not go with the
    /// other one.
    pub fn load(dir: &Path) -> Result<Self, LearnError> {
        let features_path = dir.join(FEATURES_FILE);
        let model_path = dir.join(MODEL_FILE);
        let wrong = |path: &PathBuf, reason: String| LearnError::ModelFile {
            path: path.clone(),
            reason,
        };
        let file: FeaturesFile = serde_json::from_slice(&read(&features_path)?)
            .map_err(|error| wrong(&features_path, error.to_string()))?;
        if file.format == TEXT_FORMAT {
            let reason = "it is of a text model, and trees are wanted here".to_owned();
            return Err(wrong(&features_path, reason));
        }
        if !(1..=FEATURES_FORMAT).contains(&file.format) {
            let reason = format!(
                "it has format {}, and this version reads 1 to {FEATURES_FORMAT}",
                file.format
            );
            return Err(wrong(&features_path, reason));
        }
        let label = &file.plan.label;
        if !label.is_sound() {
            let reason = format!(
                "its label has {} classes, which is not {}",
                label.classes.len(),
                label.task
            );
            return Err(wrong(&features_path, reason));
        }
        if let Some(reason) = file.settled.unsound(label) {
            return Err(wrong(&features_path, reason.to_owned()));
        }
        let outputs = label.outputs();
        let mut document: Value = serde_json::from_slice(&read(&model_path)?)
            .map_err(|error| wrong(&model_path, error.to_string()))?;
        // The learner reads the list form only.
        rewrite_base_score(&mut document, |written| {
            (!written.starts_with('[')).then(|| format!("[{written}]"))
        });
        dart::from_xgboost(&mut document);
        let booster = BoostedModel::decode(document.to_string(), ModelFormat::XgboostJson)
            .map_err(|error| wrong(&model_path, error.to_string()))?;
        if booster.n_features() != file.plan.features.len() || booster.n_outputs() != outputs {
            let reason = format!(
                "it reads {} features and gives {} values, but {FEATURES_FILE} names {} features and {outputs} values",
                booster.n_features(),
                booster.n_outputs(),
                file.plan.features.len()
            );
            return Err(wrong(&model_path, reason));
        }
        let model = Self::new(&file.estimator, Arc::new(file.plan), booster);
        Ok(model.with_settled(file.settled))
    }
}

/// The margins of a row-major matrix of `width` columns, on all threads of the current pool
/// where there are rows enough.
fn rows_margins(forest: &Forest, values: &[f32], width: usize) -> Vec<f32> {
    let rows = values.len() / width;
    let mut margins = vec![0.0; rows * forest.outputs()];
    let part = |(part, margins): (usize, &mut [f32])| {
        forest.margins(margins, |feature, first, column| {
            let first = (part * PART_ROWS + first) * width + feature;
            let strided = values[first..].iter().step_by(width);
            for (place, value) in column.iter_mut().zip(strided) {
                *place = *value;
            }
        });
    };
    let size = PART_ROWS * forest.outputs();
    if rows <= PART_ROWS {
        part((0, &mut margins));
    } else {
        margins.par_chunks_mut(size).enumerate().for_each(part);
    }
    margins
}

/// Changes how an XGBoost document spells its intercept.
fn rewrite_base_score(document: &mut Value, rewrite: impl Fn(&str) -> Option<String>) {
    let place = document.pointer_mut("/learner/learner_model_param/base_score");
    if let Some(place) = place
        && let Some(other) = place.as_str().and_then(rewrite)
    {
        *place = Value::from(other);
    }
}

/// The class of each row of predictions: see [`Model::classes_of`].
pub(crate) fn classes_of(label: &Label, settled: &Settled, scores: &[f64]) -> Vec<usize> {
    match label.task {
        Task::Regression => Vec::new(),
        Task::Binary => scores
            .iter()
            .map(|&score| usize::from(is_positive(score, settled.threshold)))
            .collect(),
        Task::Multiclass => scores
            .chunks_exact(label.outputs())
            .map(most_probable)
            .collect(),
    }
}

pub(crate) fn write(path: PathBuf, bytes: &[u8]) -> Result<(), LearnError> {
    fs::write(&path, bytes).map_err(|source| LearnError::Io {
        action: "write",
        path,
        source,
    })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LearnError> {
    fs::read(path).map_err(|source| LearnError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}
