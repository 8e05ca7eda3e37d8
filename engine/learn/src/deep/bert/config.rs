//! A model's `config.json`, read with all its errors at once and written with all that was
//! in it.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::deep::error::DeepError;
pub use crate::deep::op::Activation;
use crate::nearest::{hint, nearest};

/// Whose names for weights and settings a model uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT itself, and all that share its `model_type`, such as MiniLM.
    Bert,
    /// DistilBERT: no token types, no pooler.
    DistilBert,
}

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::Bert, Self::DistilBert];

    /// The `model_type` in `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::DistilBert => "distilbert",
        }
    }

    /// The start of Hugging Face's class names.
    pub(super) fn class_prefix(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::DistilBert => "DistilBert",
        }
    }

    fn keys(self) -> &'static Keys {
        match self {
            Self::Bert => &BERT,
            Self::DistilBert => &DISTILBERT,
        }
    }
}

/// What a family calls its settings.
struct Keys {
    width: &'static str,
    layers: &'static str,
    heads: &'static str,
    inner: &'static str,
    activation: &'static str,
    dropout: &'static str,
    attention_dropout: &'static str,
    classifier_dropout: &'static str,
}

static BERT: Keys = Keys {
    width: "hidden_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    inner: "intermediate_size",
    activation: "hidden_act",
    dropout: "hidden_dropout_prob",
    attention_dropout: "attention_probs_dropout_prob",
    classifier_dropout: "classifier_dropout",
};

static DISTILBERT: Keys = Keys {
    width: "dim",
    layers: "n_layers",
    heads: "n_heads",
    inner: "hidden_dim",
    activation: "activation",
    dropout: "dropout",
    attention_dropout: "attention_dropout",
    classifier_dropout: "seq_classif_dropout",
};

impl Activation {
    const ALL: [Self; 2] = [Self::Gelu, Self::Relu];

    fn as_str(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::Relu => "relu",
        }
    }
}

/// A model's shape and rates of dropout, by BERT's names.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Whose names the file uses.
    pub family: Family,
    /// Rows of the table of token embeddings.
    pub vocab_size: usize,
    /// Numbers a token.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads a layer; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Numbers a token within the feed-forward part.
    pub intermediate_size: usize,
    /// Between the halves of that part.
    pub hidden_act: Activation,
    /// Dropout after embeddings, attention and feed-forward parts.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f64,
    /// Dropout before the classifier.
    pub classifier_dropout: f64,
    /// The most tokens a text.
    pub max_position_embeddings: usize,
    /// Kinds of tokens (first and second text of a pair); 0 for DistilBERT.
    pub type_vocab_size: usize,
    /// The deviation with which weights are drawn.
    pub initializer_range: f64,
    /// Added to the variance in layer normalisation.
    pub layer_norm_eps: f64,
    /// The token that pads.
    pub pad_token_id: u32,
    /// The file as it was read: what is not listed here is kept when it is written.
    pub raw: Map<String, Value>,
}

impl BertConfig {
    /// A BERT of a shape, otherwise as Hugging Face's `BertConfig()` has it.
    pub fn bert(
        vocab_size: usize,
        hidden_size: usize,
        num_hidden_layers: usize,
        num_attention_heads: usize,
        max_position_embeddings: usize,
    ) -> Self {
        Self {
            family: Family::Bert,
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: 4 * hidden_size,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: 0.1,
            max_position_embeddings,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            raw: Map::new(),
        }
    }

    /// Reads a `config.json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no JSON, or describes no model of these families.
    pub fn read(path: &Path) -> Result<Self, DeepError> {
        let bytes = fs::read(path).map_err(DeepError::io("read", path))?;
        let raw: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|source| DeepError::Json {
                path: path.to_owned(),
                source,
            })?;
        Self::parse(raw).map_err(|problems| DeepError::Config {
            path: path.to_owned(),
            problems,
        })
    }

    /// Reads the settings of `raw`, the content of a `config.json`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(raw: Map<String, Value>) -> Result<Self, Vec<String>> {
        let family = family_of(&raw).map_err(|problem| vec![problem])?;
        let keys = family.keys();
        let mut file = Settings {
            raw: &raw,
            problems: Vec::new(),
        };
        let dropout = file.rate(keys.dropout, Some(0.1));
        // BERT's own rate stands in for a classifier's that is null or absent;
        // DistilBERT has another default.
        let before_classifier = match family {
            Family::Bert => dropout,
            Family::DistilBert => 0.2,
        };
        let mut config = Self {
            family,
            vocab_size: file.count("vocab_size", Some(30_522)),
            hidden_size: file.count(keys.width, Some(768)),
            num_hidden_layers: file.count(keys.layers, None),
            num_attention_heads: file.count(keys.heads, Some(12)),
            intermediate_size: file.count(keys.inner, Some(3_072)),
            hidden_act: file.activation(keys.activation),
            hidden_dropout_prob: dropout,
            attention_probs_dropout_prob: file.rate(keys.attention_dropout, Some(0.1)),
            classifier_dropout: file.rate(keys.classifier_dropout, Some(before_classifier)),
            max_position_embeddings: file.count("max_position_embeddings", Some(512)),
            type_vocab_size: match family {
                Family::Bert => file.count("type_vocab_size", Some(2)),
                Family::DistilBert => 0,
            },
            initializer_range: file.number("initializer_range", 0.02),
            layer_norm_eps: file.number("layer_norm_eps", 1e-12),
            pad_token_id: 0,
            raw: Map::new(),
        };
        config.pad_token_id = file.pad_token(config.vocab_size);
        file.refuse_other_positions();
        let mut problems = file.problems;
        problems.extend(config.contradictions(keys));
        config.raw = raw;
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// What cannot be of one model.
    fn contradictions(&self, keys: &Keys) -> Option<String> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        (heads > 0 && !width.is_multiple_of(heads)).then(|| {
            format!(
                "`{}: {width}` cannot be shared among `{}: {heads}`: {width} is no multiple of {heads}",
                keys.width, keys.heads
            )
        })
    }

    /// Checks a configuration that was built and not read.
    ///
    /// # Errors
    ///
    /// Everything that cannot be, under the path that it would be written to.
    pub fn check(&self) -> Result<(), DeepError> {
        Self::parse(self.to_json())
            .map(drop)
            .map_err(|problems| DeepError::Config {
                path: super::CONFIG_FILE.into(),
                problems,
            })
    }

    /// The content of `config.json`: what was read, with the settings as they are now.
    pub fn to_json(&self) -> Map<String, Value> {
        let keys = self.family.keys();
        let mut file = self.raw.clone();
        let settings = [
            ("model_type", json!(self.family.as_str())),
            ("vocab_size", json!(self.vocab_size)),
            (keys.width, json!(self.hidden_size)),
            (keys.layers, json!(self.num_hidden_layers)),
            (keys.heads, json!(self.num_attention_heads)),
            (keys.inner, json!(self.intermediate_size)),
            (keys.activation, json!(self.hidden_act.as_str())),
            (keys.dropout, json!(self.hidden_dropout_prob)),
            (
                keys.attention_dropout,
                json!(self.attention_probs_dropout_prob),
            ),
            (keys.classifier_dropout, json!(self.classifier_dropout)),
            (
                "max_position_embeddings",
                json!(self.max_position_embeddings),
            ),
            ("initializer_range", json!(self.initializer_range)),
            ("pad_token_id", json!(self.pad_token_id)),
        ];
        for (key, value) in settings {
            file.insert(key.to_owned(), value);
        }
        if self.family == Family::Bert {
            file.insert("type_vocab_size".to_owned(), json!(self.type_vocab_size));
            file.insert("layer_norm_eps".to_owned(), json!(self.layer_norm_eps));
        }
        file
    }
}

fn family_of(raw: &Map<String, Value>) -> Result<Family, String> {
    let known = Family::ALL.map(Family::as_str);
    let Some(written) = raw.get("model_type").and_then(Value::as_str) else {
        return Err(format!(
            "`model_type` is missing; there are {}",
            known.join(", ")
        ));
    };
    let found = Family::ALL
        .into_iter()
        .find(|family| family.as_str() == written);
    found.ok_or_else(|| {
        format!(
            "`model_type: {written}` is not supported{}; there are {}",
            hint(nearest(written, known).as_ref()),
            known.join(", ")
        )
    })
}

/// The file, and what was wrong with it so far.
struct Settings<'a> {
    raw: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl Settings<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.raw.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, key: &str, needs: &str) {
        let found = self.value(key).map_or_else(
            || format!("`{key}` is missing: it is {needs}"),
            |value| format!("`{key}` must be {needs}, not {value}"),
        );
        self.problems.push(found);
    }

    /// A whole number from 1 up.
    fn count(&mut self, key: &str, default: Option<usize>) -> usize {
        /// More than any model has of anything; products of two stay within 64 bits.
        const MOST: u64 = 1 << 31;
        let value = self.value(key).map_or_else(
            || default.map(|default| default as u64),
            |value| value.as_u64().filter(|&value| value > 0 && value < MOST),
        );
        value.map_or_else(
            || {
                self.wrong(key, "a whole number from 1 up");
                1
            },
            |value| value as usize,
        )
    }

    /// A number above 0.
    fn number(&mut self, key: &str, default: f64) -> f64 {
        let value = self.value(key).map_or(Some(default), Value::as_f64);
        value.filter(|value| *value > 0.0).unwrap_or_else(|| {
            self.wrong(key, "a number above 0");
            default
        })
    }

    /// A rate of dropout.
    fn rate(&mut self, key: &str, default: Option<f64>) -> f64 {
        let value = self.value(key).map_or(default, Value::as_f64);
        value
            .filter(|value| (0.0..1.0).contains(value))
            .unwrap_or_else(|| {
                self.wrong(key, "a number from 0 to below 1");
                0.0
            })
    }

    fn activation(&mut self, key: &str) -> Activation {
        let written = self.value(key).map_or(Some("gelu"), Value::as_str);
        let found = Activation::ALL
            .into_iter()
            .find(|activation| Some(activation.as_str()) == written);
        found.unwrap_or_else(|| {
            self.wrong(key, "`gelu` or `relu`");
            Activation::Gelu
        })
    }

    fn pad_token(&mut self, vocab_size: usize) -> u32 {
        let value = self
            .value("pad_token_id")
            .map_or(Some(0), Value::as_u64)
            .filter(|&id| id < vocab_size as u64)
            .and_then(|id| u32::try_from(id).ok());
        value.unwrap_or_else(|| {
            self.wrong("pad_token_id", "a token's number, below `vocab_size`");
            0
        })
    }

    fn refuse_other_positions(&mut self) {
        if let Some(kind) = self.value("position_embedding_type")
            && kind != "absolute"
        {
            self.wrong("position_embedding_type", "`absolute`");
        }
    }
}
