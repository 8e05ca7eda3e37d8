//! A fitted text model: its folder, and its answers.
//!
//! The folder is one of Hugging Face's (`config.json`, `model.safetensors`,
//! `tokenizer.json`), which transformers' `AutoModelForSequenceClassification` loads, with
//! [`FEATURES_FILE`] beside it: which column it reads, what the label is, how many tokens of
//! a text it looks at, and what was settled on the validation rows. Only Sluice knows the
//! calibration in there: probabilities that Python computes are those before it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::deep::DeepError;
use crate::deep::bert::{CONFIG_FILE, Head, TOKENIZER_FILE, TextModel, TextPredictor};
use crate::deep::tokenizer::TextTokenizer;
use crate::error::LearnError;
use crate::features::{FeatureKind, FeaturePlan, Label, Task, category_texts};
use crate::finish::Settled;
use crate::model::{FEATURES_FILE, TEXT_FORMAT, read, write};

/// Texts that are computed at a time.
const BATCH_ROWS: usize = 32;

/// A fitted text model with its tokenizer. Cheap to clone and safe to share between threads.
#[derive(Debug, Clone)]
pub struct FittedText {
    estimator: String,
    plan: Arc<FeaturePlan>,
    tokenizer: TextTokenizer,
    predictor: TextPredictor,
    max_length: usize,
    settled: Arc<Settled>,
}

/// What [`FEATURES_FILE`] holds of a text model.
#[derive(Debug, Serialize, Deserialize)]
struct TextFile {
    format: u32,
    estimator: String,
    max_length: usize,
    #[serde(flatten)]
    plan: FeaturePlan,
    #[serde(flatten)]
    settled: Settled,
}

impl FittedText {
    /// A model of `plan`, which has one feature, a text, and a label that the model's head
    /// answers. Texts are cut at `max_length` tokens.
    ///
    /// # Errors
    ///
    /// A tokenizer, a length, a head or a plan that does not fit.
    pub fn new(
        estimator: &str,
        plan: Arc<FeaturePlan>,
        model: Arc<TextModel>,
        tokenizer: TextTokenizer,
        max_length: usize,
    ) -> Result<Self, DeepError> {
        if let Some(reason) = misfit(&plan, model.head()) {
            return Err(DeepError::Labels { reason });
        }
        let predictor = TextPredictor::new(model, &tokenizer, max_length, BATCH_ROWS)?;
        Ok(Self {
            estimator: estimator.to_owned(),
            plan,
            tokenizer,
            predictor,
            max_length,
            settled: Arc::default(),
        })
    }

    /// The same model, with what was settled on the validation rows.
    pub fn with_settled(self, settled: Settled) -> Self {
        Self {
            settled: Arc::new(settled),
            ..self
        }
    }

    /// The same model, which gives up between two batches of texts once `stop` is true.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Self {
        Self {
            predictor: self.predictor.stopped_by(stop),
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

    /// The column that it reads, and the label.
    pub fn plan(&self) -> &Arc<FeaturePlan> {
        &self.plan
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// The encoder with its head.
    pub fn model(&self) -> &TextModel {
        self.predictor.model()
    }

    /// What computes its answers.
    pub fn predictor(&self) -> &TextPredictor {
        &self.predictor
    }

    /// Tokens of a text that it looks at, special ones included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The answers for each row of its column, as
    /// [`AppliedModel::predict_columns`](crate::AppliedModel::predict_columns) gives them: NaN
    /// where the text is missing.
    ///
    /// # Errors
    ///
    /// Columns of the wrong number or type; a text that the tokenizer refuses.
    pub fn predict_columns(&self, columns: &[ArrayRef]) -> Result<Vec<f64>, LearnError> {
        let types: Vec<_> = columns.iter().map(|c| c.data_type().clone()).collect();
        self.plan.check_types(&types)?;
        let texts = category_texts(&self.plan.features[0].name, &columns[0])?;
        let present: Vec<&str> = texts.iter().flatten().collect();
        let raw = self.predictor.predict(&present)?;
        let answers = self.settled.calibrated(self.as_told(raw));
        if present.len() == texts.len() {
            return Ok(answers);
        }
        let width = self.plan.label.outputs();
        let mut answers = answers.chunks_exact(width);
        let mut all = Vec::with_capacity(texts.len() * width);
        for row in 0..texts.len() {
            let answer = texts.is_valid(row).then(|| answers.next()).flatten();
            match answer {
                Some(answer) => all.extend_from_slice(answer),
                None => all.extend(std::iter::repeat_n(f64::NAN, width)),
            }
        }
        Ok(all)
    }

    /// The rows that have an answer; `None` when all have.
    pub fn answered(&self, columns: &[ArrayRef]) -> Option<NullBuffer> {
        columns.first()?.logical_nulls()
    }

    /// Answers of the head as they are told: of two classes the second's probability alone.
    pub(crate) fn as_told(&self, scores: Vec<f64>) -> Vec<f64> {
        match self.plan.label.task {
            Task::Binary => scores.into_iter().skip(1).step_by(2).collect(),
            Task::Multiclass | Task::Regression => scores,
        }
    }

    /// Writes all its files into the existing folder `dir`.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, named.
    pub fn save(&self, dir: &Path) -> Result<(), LearnError> {
        self.model().write_into(dir, Some(&self.tokenizer))?;
        let file = TextFile {
            format: TEXT_FORMAT,
            estimator: self.estimator.clone(),
            max_length: self.max_length,
            plan: (*self.plan).clone(),
            settled: (*self.settled).clone(),
        };
        let mut text = serde_json::to_string_pretty(&file)
            .expect("a feature plan holds only strings, numbers and booleans");
        text.push('\n');
        write(dir.join(FEATURES_FILE), text.as_bytes())
    }

    /// Reads a model from its folder.
    ///
    /// # Errors
    ///
    /// A file that is missing, damaged, of another version, or that does not go with the
    /// others.
    pub fn load(dir: &Path) -> Result<Self, LearnError> {
        let path = dir.join(FEATURES_FILE);
        let wrong = |reason: String| LearnError::ModelFile {
            path: path.clone(),
            reason,
        };
        let file: TextFile =
            serde_json::from_slice(&read(&path)?).map_err(|error| wrong(error.to_string()))?;
        if file.format != TEXT_FORMAT {
            let found = file.format;
            let reason = format!(
                "it has format {found}, and text models of this version have {TEXT_FORMAT}"
            );
            return Err(wrong(reason));
        }
        if let Some(reason) = file.settled.unsound(&file.plan.label) {
            return Err(wrong(reason.to_owned()));
        }
        let model = TextModel::open(dir, &Device::Cpu)?;
        if let Some(reason) = misfit(&file.plan, model.head()) {
            return Err(wrong(format!("{reason} ({CONFIG_FILE})")));
        }
        let tokenizer = TextTokenizer::read(&dir.join(TOKENIZER_FILE))?;
        let (plan, model) = (Arc::new(file.plan), Arc::new(model));
        let fitted = Self::new(&file.estimator, plan, model, tokenizer, file.max_length)?;
        Ok(fitted.with_settled(file.settled))
    }
}

/// The head that answers a label.
pub fn head_of(label: &Label) -> Head {
    match label.task {
        Task::Regression => Head::Regression,
        Task::Binary | Task::Multiclass => {
            Head::Classes(label.classes.iter().map(ToString::to_string).collect())
        }
    }
}

/// Why a plan is not that of a text model with this head, if so.
fn misfit(plan: &FeaturePlan, head: &Head) -> Option<String> {
    let one_text = matches!(&plan.features[..], [one] if one.kind == FeatureKind::Text);
    if !one_text {
        return Some("it must read one column, a text".to_owned());
    }
    let label = &plan.label;
    let answers = match head {
        Head::Regression => 0,
        Head::Classes(classes) => classes.len(),
        Head::MultiLabel(_) | Head::Embedding => usize::MAX,
    };
    (!label.is_sound() || answers != label.classes.len()).then(|| {
        format!(
            "its label `{}` has {} classes and is {}, which is not what the head answers",
            label.name,
            label.classes.len(),
            label.task
        )
    })
}
