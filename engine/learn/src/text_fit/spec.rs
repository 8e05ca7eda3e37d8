//! `estimator: {bert: ...}`: parameters as users write them.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::deep::DeepError;
use crate::deep::bert::BertConfig;
use crate::deep::trainer::arguments::ARGUMENTS;
use crate::deep::trainer::{LOSS, TrainingArguments};
use crate::error::{LearnError, ParamError};
use crate::estimator::class_weight::ClassWeight;
use crate::estimator::params::{Bounds, Param, Params, canonical};
use crate::features::{Target, Task};
use crate::metric::metrics_of;
use crate::nearest::nearest;

/// The estimator's name.
pub const BERT: &str = "bert";

/// Tokens of a text that are looked at, unless the user or the model says otherwise.
const POSITIONS: usize = 512;

/// The rate of a training from scratch; that of transformers, 5e-5, is one for fine-tuning.
const SCRATCH_LEARNING_RATE: f64 = 5e-4;

const fn param(name: &'static str, doc: &'static str) -> Param {
    Param {
        name,
        aliases: &[],
        doc,
    }
}

/// The parameters beside [`ARGUMENTS`].
static OWN: &[Param] = &[
    param(
        "model",
        "a Hugging Face folder, or hf:org/name, to fine-tune; left out, it is trained from scratch",
    ),
    param(
        "tokenizer",
        "a registered tokenizer, or the folder of one; left out, the model's own",
    ),
    param("max_length", "tokens of a text that are looked at"),
    param(
        "class_weight",
        "how much each class counts: balanced, or a map of classes to numbers",
    ),
    param(
        "freeze",
        "parts of names of weights that do not train, such as [embeddings, layer.0.]",
    ),
    param("hidden_size", "numbers a token"),
    param("num_hidden_layers", "layers"),
    param("num_attention_heads", "heads a layer"),
    param(
        "intermediate_size",
        "numbers a token within the feed-forward part",
    ),
    param("max_position_embeddings", "the most tokens a text"),
    param(
        "hidden_dropout_prob",
        "dropout after embeddings, attention and feed-forward parts",
    ),
    param(
        "attention_probs_dropout_prob",
        "dropout of attention weights",
    ),
    param(
        "classifier_dropout",
        "dropout before the classifier; left out, hidden_dropout_prob",
    ),
    param(
        "initializer_range",
        "the deviation with which weights are drawn",
    ),
];

/// What a model's `config.json` says where there is one.
const SHAPE: [&str; 9] = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "initializer_range",
];

/// Those of the shape that may be set for a model that is fine-tuned, as transformers does.
const DROPOUTS: [&str; 3] = [
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
];

static ALL: LazyLock<Vec<Param>> = LazyLock::new(|| OWN.iter().chain(ARGUMENTS).copied().collect());

/// A model that is fine-tuned, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pretrained(pub String);

/// The parameters of `estimator: {bert: ...}`, checked as far as they can be without a file.
#[derive(Debug, Clone)]
pub struct BertSpec {
    params: Map<String, Value>,
    written: Vec<(&'static str, String)>,
    pretrained: Option<Pretrained>,
    tokenizer: Option<String>,
    max_length: Option<usize>,
    /// Of a model from scratch; its vocabulary follows from the tokenizer.
    shape: BertConfig,
    /// The dropout rates that a fine-tuned model is given.
    dropouts: Vec<(&'static str, f64)>,
    class_weight: ClassWeight,
    freeze: Vec<String>,
    arguments: TrainingArguments,
}

impl BertSpec {
    /// Reads parameters as users write them.
    ///
    /// # Errors
    ///
    /// Every parameter that is unknown, given twice, of the wrong type or out of range.
    pub fn parse(map: &Map<String, Value>) -> Result<Self, LearnError> {
        let mut given = Params::new(map, &ALL);
        let written = given.written();
        let pretrained = text(&mut given, "model").map(Pretrained);
        let tokenizer = text(&mut given, "tokenizer");
        let class_weight = ClassWeight::read(&mut given);
        let freeze = texts(&mut given, "freeze");
        let (shape, dropouts) = shape(&mut given, pretrained.as_ref());
        let max_length = given.value("max_length").map(|_| {
            let most = match pretrained {
                None => shape.max_position_embeddings,
                // The model's file says how many there are.
                Some(_) => 1_000_000,
            };
            given.whole("max_length", 1, 3..=most)
        });
        if pretrained.is_none() && tokenizer.is_none() {
            given.missing(
                "tokenizer",
                "is needed, since there is no `model:` to take it from: name one of `tokenizers:`, or a folder with a tokenizer.json",
            );
        }
        let own = given.finish();
        let arguments = arguments(map, pretrained.is_none());
        let (own, arguments) = match (own, arguments) {
            (Ok(own), Ok(arguments)) => (own, arguments),
            (own, arguments) => {
                let mut errors = own.err().unwrap_or_default();
                errors.extend(arguments.err().unwrap_or_default());
                return Err(LearnError::Params(errors));
            }
        };
        let mut params = own;
        params.extend(arguments.to_map());
        Ok(Self {
            params,
            written,
            pretrained,
            tokenizer,
            max_length,
            shape,
            dropouts,
            class_weight,
            freeze,
            arguments,
        })
    }

    /// All parameters under their own names, defaults included: what a run records.
    pub fn params(&self) -> &Map<String, Value> {
        &self.params
    }

    /// The model that is fine-tuned, as it is written; `None` trains from scratch.
    pub fn pretrained(&self) -> Option<&Pretrained> {
        self.pretrained.as_ref()
    }

    /// The tokenizer, as it is written; `None` for the model's own.
    pub fn tokenizer(&self) -> Option<&str> {
        self.tokenizer.as_deref()
    }

    /// How the training goes.
    pub fn arguments(&self) -> &TrainingArguments {
        &self.arguments
    }

    /// The same training, with other arguments.
    pub fn with_arguments(self, arguments: TrainingArguments) -> Self {
        Self { arguments, ..self }
    }

    /// How much each class counts.
    pub(crate) fn class_weight(&self) -> &ClassWeight {
        &self.class_weight
    }

    /// Parts of names of weights that do not train.
    pub(crate) fn freeze(&self) -> &[String] {
        &self.freeze
    }

    /// Tokens of a text that are looked at, by a model of `positions`.
    ///
    /// # Errors
    ///
    /// More than the model has positions for.
    pub fn max_length(&self, positions: usize) -> Result<usize, LearnError> {
        match self.max_length {
            None => Ok(positions.min(POSITIONS)),
            Some(max_length) if max_length <= positions => Ok(max_length),
            Some(max_length) => {
                let message = format!(
                    "{max_length} is more than the model's {positions} positions: lower it to {positions} or less"
                );
                Err(LearnError::Params(vec![self.param("max_length", message)]))
            }
        }
    }

    /// The shape of a model from scratch with this many tokens.
    pub fn scratch(&self, vocab_size: usize, pad_token_id: u32) -> BertConfig {
        BertConfig {
            vocab_size,
            pad_token_id,
            ..self.shape.clone()
        }
    }

    /// What `config.json` of a fine-tuned model says, with the dropout rates of the user.
    pub fn tuned(&self, mut config: BertConfig) -> BertConfig {
        for (name, rate) in &self.dropouts {
            match *name {
                "hidden_dropout_prob" => config.hidden_dropout_prob = *rate,
                "attention_probs_dropout_prob" => config.attention_probs_dropout_prob = *rate,
                _ => config.classifier_dropout = *rate,
            }
        }
        config
    }

    /// Checks the parameters against what the model is to predict.
    ///
    /// # Errors
    ///
    /// Every parameter that does not go with it, under the name that the user wrote.
    pub fn check(&self, target: Target) -> Result<(), LearnError> {
        let mut errors: Vec<ParamError> = self.class_weight.check(target);
        if target.task == Task::Regression {
            for error in &mut errors {
                // A text model knows no weights of rows to use instead.
                "a number to predict has no classes".clone_into(&mut error.message);
            }
        }
        let wanted = self.arguments.metric_for_best_model.as_str();
        let names: Vec<&str> = std::iter::once(LOSS)
            .chain(metrics_of(target.task))
            .collect();
        if !names.contains(&wanted) {
            let message = format!(
                "there is no figure `{wanted}` of `task: {}`; there are {}",
                target.task,
                names.join(", ")
            );
            let mut error = self.param("metric_for_best_model", message);
            error.nearest = nearest(wanted, names);
            errors.push(error);
        }
        if target.task == Task::Regression && self.arguments.label_smoothing_factor > 0.0 {
            errors.push(self.param(
                "label_smoothing_factor",
                "a number to predict has no classes to spread a share over".to_owned(),
            ));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(LearnError::Params(errors))
        }
    }

    /// An error of a parameter, under the name that the user wrote.
    pub(crate) fn param(&self, name: &'static str, message: String) -> ParamError {
        let written = self.written.iter().find(|(own, _)| *own == name);
        ParamError::new(written.map_or(name, |(_, written)| written), message)
    }
}

/// The arguments among the parameters; from scratch with a default rate of its own.
fn arguments(
    map: &Map<String, Value>,
    scratch: bool,
) -> Result<TrainingArguments, Vec<ParamError>> {
    let mut of_trainer: Map<String, Value> = map
        .iter()
        .filter(|(name, _)| canonical(ARGUMENTS, name).is_ok())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let rated = of_trainer
        .keys()
        .any(|name| canonical(ARGUMENTS, name) == Ok("learning_rate"));
    if scratch && !rated {
        of_trainer.insert("learning_rate".to_owned(), SCRATCH_LEARNING_RATE.into());
    }
    TrainingArguments::parse(&of_trainer).map_err(|error| match error {
        DeepError::Params(errors) => errors,
        other => vec![ParamError::new("arguments", other.to_string())],
    })
}

/// A text, or nothing.
fn text(given: &mut Params<'_>, name: &'static str) -> Option<String> {
    let value = given.value(name)?;
    let found = value.as_str().filter(|text| !text.is_empty());
    if found.is_none() {
        given.reject(name, "a text");
    }
    let found = found.map(str::to_owned);
    given.resolve(name, found.clone());
    found
}

/// A list of texts, or one.
fn texts(given: &mut Params<'_>, name: &'static str) -> Vec<String> {
    let Some(value) = given.value(name) else {
        return Vec::new();
    };
    let one = |value: &Value| value.as_str().map(str::to_owned);
    let read = match value {
        Value::Array(list) => list.iter().map(one).collect::<Option<Vec<_>>>(),
        other => one(other).map(|one| vec![one]),
    };
    let sound = read.filter(|list| list.iter().all(|text| !text.is_empty()));
    if sound.is_none() {
        given.reject(name, "a list of parts of names of weights");
    }
    let list = sound.unwrap_or_default();
    given.resolve(name, list.clone());
    list
}

/// The shape of a model from scratch: small, in the proportions of BERT. For a model that is
/// fine-tuned only rates of dropout may be given.
fn shape(
    given: &mut Params<'_>,
    pretrained: Option<&Pretrained>,
) -> (BertConfig, Vec<(&'static str, f64)>) {
    /// More than any model has of anything.
    const MANY: usize = 1 << 20;
    if pretrained.is_some() {
        for name in SHAPE {
            if !DROPOUTS.contains(&name) && given.value(name).is_some() {
                given.conflict(name, "the model's config.json says it; leave it out, or leave out `model` to train from scratch");
            }
        }
        let mut rates = Vec::new();
        for name in DROPOUTS {
            if given.value(name).is_some() {
                rates.push((name, given.real(name, 0.1, Bounds::Share)));
            }
        }
        return (BertConfig::bert(1, 1, 1, 1, MANY), rates);
    }
    let width = given.whole("hidden_size", 128, 1..=MANY);
    let layers = given.whole("num_hidden_layers", 2, 1..=1000);
    let heads = given.whole("num_attention_heads", 2, 1..=MANY);
    if !width.is_multiple_of(heads) {
        let wrong = format!(
            "{heads} heads cannot share `hidden_size: {width}`, which is no multiple of it"
        );
        given.conflict("num_attention_heads", &wrong);
    }
    let positions = given.whole("max_position_embeddings", POSITIONS, 3..=MANY);
    let mut shape = BertConfig::bert(1, width, layers, heads, positions);
    shape.intermediate_size = given.whole("intermediate_size", 4 * width, 1..=MANY);
    shape.hidden_dropout_prob = given.real("hidden_dropout_prob", 0.1, Bounds::Share);
    shape.attention_probs_dropout_prob =
        given.real("attention_probs_dropout_prob", 0.1, Bounds::Share);
    let dropout = shape.hidden_dropout_prob;
    shape.classifier_dropout = given.real("classifier_dropout", dropout, Bounds::Share);
    shape.initializer_range = given.real("initializer_range", 0.02, Bounds::Positive);
    (shape, Vec::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::BertSpec;
    use crate::error::LearnError;

    #[test]
    fn a_misspelt_parameter_is_not_missing_too() {
        let given = json!({"tokeniser": "movie"});
        match BertSpec::parse(given.as_object().unwrap()) {
            Err(LearnError::Params(errors)) => {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(told[0].contains("did you mean `tokenizer`"), "{told:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}
