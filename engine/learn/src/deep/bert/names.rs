//! How each family calls its weights in a file.

use super::config::Family;

/// Names of one family, with or without the encoder's prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    family: Family,
    /// Whether the encoder's names start with `bert.` or `distilbert.`, as they do in a
    /// model with a head.
    prefixed: bool,
}

/// The parts of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    Key,
    Value,
    Mixed,
    MixedNorm,
    Inner,
    Outer,
    OuterNorm,
}

impl Names {
    pub(super) fn new(family: Family, prefixed: bool) -> Self {
        Self { family, prefixed }
    }

    /// A weight of the encoder's embeddings: `word_embeddings.weight`, ...
    pub(super) fn embeddings(self, weight: &str) -> String {
        self.encoder(&format!("embeddings.{weight}"))
    }

    /// A weight of layer `number`; `weight` is `weight` or `bias`.
    pub(super) fn layer(self, number: usize, part: Part, weight: &str) -> String {
        let (layers, part) = match self.family {
            Family::Bert => (
                "encoder.layer",
                match part {
                    Part::Query => "attention.self.query",
                    Part::Key => "attention.self.key",
                    Part::Value => "attention.self.value",
                    Part::Mixed => "attention.output.dense",
                    Part::MixedNorm => "attention.output.LayerNorm",
                    Part::Inner => "intermediate.dense",
                    Part::Outer => "output.dense",
                    Part::OuterNorm => "output.LayerNorm",
                },
            ),
            Family::DistilBert => (
                "transformer.layer",
                match part {
                    Part::Query => "attention.q_lin",
                    Part::Key => "attention.k_lin",
                    Part::Value => "attention.v_lin",
                    Part::Mixed => "attention.out_lin",
                    Part::MixedNorm => "sa_layer_norm",
                    Part::Inner => "ffn.lin1",
                    Part::Outer => "ffn.lin2",
                    Part::OuterNorm => "output_layer_norm",
                },
            ),
        };
        self.encoder(&format!("{layers}.{number}.{part}.{weight}"))
    }

    /// The layer before the classifier: BERT's pooler (part of the encoder), DistilBERT's
    /// `pre_classifier`.
    pub(super) fn before_classifier(self, weight: &str) -> String {
        match self.family {
            Family::Bert => self.encoder(&format!("pooler.dense.{weight}")),
            Family::DistilBert => format!("pre_classifier.{weight}"),
        }
    }

    pub(super) fn classifier(self, weight: &str) -> String {
        format!("classifier.{weight}")
    }

    fn encoder(self, rest: &str) -> String {
        if self.prefixed {
            format!("{}.{rest}", self.family.as_str())
        } else {
            rest.to_owned()
        }
    }

    /// All names under which a file may hold what we call `name`: with the prefix, without,
    /// and TensorFlow's `gamma` and `beta` of layer normalisation, as old files have them.
    pub(super) fn stored(self, name: &str) -> Vec<String> {
        let prefix = format!("{}.", self.family.as_str());
        let other = match name.strip_prefix(&prefix) {
            Some(rest) => rest.to_owned(),
            None => format!("{prefix}{name}"),
        };
        let mut names = vec![name.to_owned(), other];
        if name.contains("LayerNorm") {
            for i in 0..2 {
                let old = names[i]
                    .replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta");
                names.push(old);
            }
        }
        names
    }
}
