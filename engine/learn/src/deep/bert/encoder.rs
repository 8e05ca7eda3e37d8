//! The encoder that the families share: embeddings, then layers of attention and
//! feed-forward parts.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::config::{Activation, BertConfig};
use super::names::{Names, Part};
use crate::deep::error::DeepError;
use crate::deep::layer::{Embedding, LayerNorm, Linear, Pass};
use crate::deep::op::{self, AttentionShape, BlockPlan, BlockWeights};
use crate::deep::parameters::{Init, ParameterSource};
use crate::deep::tokenizer::Tokens;

/// Some texts as tokens, padded at their ends to the longest.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    batch: usize,
    seq: usize,
    tokens: usize,
    ids: Arc<[u32]>,
    types: Arc<[u32]>,
    positions: Arc<[u32]>,
    mask: Arc<[bool]>,
}

impl TokenBatch {
    /// Pads `texts` with `pad_token_id` to the longest of them.
    pub fn padded<'a>(texts: impl IntoIterator<Item = &'a Tokens>, pad_token_id: u32) -> Self {
        let texts: Vec<&Tokens> = texts.into_iter().collect();
        let seq = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let size = texts.len() * seq;
        let mut ids = Vec::with_capacity(size);
        let mut types = Vec::with_capacity(size);
        let mut mask = Vec::with_capacity(size);
        for text in &texts {
            let padding = seq - text.ids.len();
            ids.extend_from_slice(&text.ids);
            ids.extend(std::iter::repeat_n(pad_token_id, padding));
            types.extend(std::iter::repeat_n(0, text.first));
            types.extend(std::iter::repeat_n(1, text.ids.len() - text.first));
            types.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(true, text.ids.len()));
            mask.extend(std::iter::repeat_n(false, padding));
        }
        let positions = (0..texts.len()).flat_map(|_| 0..seq as u32).collect();
        Self {
            batch: texts.len(),
            seq,
            tokens: texts.iter().map(|text| text.ids.len()).sum(),
            ids: ids.into(),
            types: types.into(),
            positions,
            mask: mask.into(),
        }
    }

    /// Texts.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Tokens a text, padding included.
    pub fn seq(&self) -> usize {
        self.seq
    }

    /// Tokens of all texts, padding not included.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Which tokens are no padding: `[batch * seq]`.
    pub fn mask(&self) -> &Arc<[bool]> {
        &self.mask
    }
}

/// BERT without a head.
#[derive(Debug, Clone)]
pub struct Encoder {
    words: Embedding,
    positions: Embedding,
    types: Option<Embedding>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
    dropout: f64,
}

#[derive(Debug, Clone)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    mixed: Linear,
    mixed_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    outer_norm: LayerNorm,
    activation: Activation,
    dropout: f64,
    attention_dropout: f64,
}

/// Makes layers out of a source's weights.
pub(super) struct Maker<'a> {
    pub(super) source: &'a mut ParameterSource,
    pub(super) names: Names,
    pub(super) deviation: f64,
    pub(super) epsilon: f64,
}

impl Maker<'_> {
    fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
    ) -> std::result::Result<Tensor, DeepError> {
        self.source
            .take(name, &self.names.stored(name), shape, init)
    }

    /// A layer whose weights are called `name("weight")` and `name("bias")`.
    pub(super) fn linear(
        &mut self,
        name: impl Fn(&str) -> String,
        outputs: usize,
        inputs: usize,
    ) -> std::result::Result<Linear, DeepError> {
        let init = Init::Normal(self.deviation);
        Ok(Linear {
            weight: self.take(&name("weight"), &[outputs, inputs], init)?,
            bias: self.take(&name("bias"), &[outputs], Init::Zeros)?,
        })
    }

    /// As [`linear`](Self::linear), drawn whatever the file holds.
    pub(super) fn fresh_linear(
        &mut self,
        name: impl Fn(&str) -> String,
        outputs: usize,
        inputs: usize,
    ) -> std::result::Result<Linear, DeepError> {
        let init = Init::Normal(self.deviation);
        Ok(Linear {
            weight: self
                .source
                .draw(&name("weight"), &[outputs, inputs], init)?,
            bias: self.source.draw(&name("bias"), &[outputs], Init::Zeros)?,
        })
    }

    fn norm(
        &mut self,
        name: impl Fn(&str) -> String,
        width: usize,
    ) -> std::result::Result<LayerNorm, DeepError> {
        Ok(LayerNorm {
            scale: self.take(&name("weight"), &[width], Init::Ones)?,
            shift: self.take(&name("bias"), &[width], Init::Zeros)?,
            epsilon: self.epsilon,
        })
    }

    fn embedding(
        &mut self,
        weight: &str,
        rows: usize,
        width: usize,
    ) -> std::result::Result<Embedding, DeepError> {
        let name = self.names.embeddings(weight);
        let init = Init::Normal(self.deviation);
        Ok(Embedding {
            table: self.take(&name, &[rows, width], init)?,
        })
    }
}

impl Encoder {
    pub(super) fn build(
        config: &BertConfig,
        maker: &mut Maker<'_>,
    ) -> std::result::Result<Self, DeepError> {
        let width = config.hidden_size;
        let names = maker.names;
        Ok(Self {
            words: maker.embedding("word_embeddings.weight", config.vocab_size, width)?,
            positions: maker.embedding(
                "position_embeddings.weight",
                config.max_position_embeddings,
                width,
            )?,
            types: match config.type_vocab_size {
                0 => None,
                kinds => Some(maker.embedding("token_type_embeddings.weight", kinds, width)?),
            },
            norm: maker.norm(
                |weight| names.embeddings(&format!("LayerNorm.{weight}")),
                width,
            )?,
            layers: (0..config.num_hidden_layers)
                .map(|number| Layer::build(config, number, maker))
                .collect::<std::result::Result<_, _>>()?,
            heads: config.num_attention_heads,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// The last layer's output for each token: `[batch * seq, hidden]`.
    ///
    /// # Errors
    ///
    /// Tokens or positions that the model has no embedding for.
    pub fn forward(&self, batch: &TokenBatch, pass: &mut Pass) -> Result<Tensor> {
        let mut sum =
            (self.words.forward(&batch.ids)? + self.positions.forward(&batch.positions)?)?;
        if let Some(types) = &self.types {
            sum = (sum + types.forward(&batch.types)?)?;
        }
        let normal = self.norm.forward(&sum, None)?;
        let dropped = pass.dropout(&normal, self.dropout)?;
        let mut hidden = pass.enter(&dropped)?;
        let shape = AttentionShape {
            batch: batch.batch,
            seq: batch.seq,
            heads: self.heads,
            size: hidden.dim(1)? / self.heads,
        };
        for layer in &self.layers {
            hidden = layer.forward(&hidden, shape, &batch.mask, pass)?;
        }
        hidden.to_dtype(normal.dtype())
    }
}

impl Layer {
    fn build(
        config: &BertConfig,
        number: usize,
        maker: &mut Maker<'_>,
    ) -> std::result::Result<Self, DeepError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let names = maker.names;
        let name = |part| move |weight: &str| names.layer(number, part, weight);
        Ok(Self {
            query: maker.linear(name(Part::Query), width, width)?,
            key: maker.linear(name(Part::Key), width, width)?,
            value: maker.linear(name(Part::Value), width, width)?,
            mixed: maker.linear(name(Part::Mixed), width, width)?,
            mixed_norm: maker.norm(name(Part::MixedNorm), width)?,
            inner: maker.linear(name(Part::Inner), inner, width)?,
            outer: maker.linear(name(Part::Outer), width, inner)?,
            outer_norm: maker.norm(name(Part::OuterNorm), width)?,
            activation: config.hidden_act,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        shape: AttentionShape,
        mask: &Arc<[bool]>,
        pass: &mut Pass,
    ) -> Result<Tensor> {
        if x.device().is_cpu() && x.dtype() != DType::BF16 {
            return self.forward_at_once(x, shape, mask, pass);
        }
        let (q, k, v) = (
            self.query.forward(x)?,
            self.key.forward(x)?,
            self.value.forward(x)?,
        );
        let keep = pass.keep(self.attention_dropout);
        let mixed = self
            .mixed
            .forward(&op::attention(&q, &k, &v, shape, mask, keep)?)?;
        let x = self
            .mixed_norm
            .forward(&pass.dropout(&mixed, self.dropout)?, Some(x))?;
        let inner = self.inner.forward(&x)?;
        let inner = match self.activation {
            Activation::Gelu => op::gelu(&inner)?,
            Activation::Relu => inner.relu()?,
        };
        let outer = self.outer.forward(&inner)?;
        self.outer_norm
            .forward(&pass.dropout(&outer, self.dropout)?, Some(&x))
    }

    /// The same as one operation.
    fn forward_at_once(
        &self,
        x: &Tensor,
        shape: AttentionShape,
        mask: &Arc<[bool]>,
        pass: &mut Pass,
    ) -> Result<Tensor> {
        let plan = BlockPlan {
            shape,
            mask: Arc::clone(mask),
            activation: self.activation,
            epsilon: self.mixed_norm.epsilon,
            attention_keep: pass.keep(self.attention_dropout),
            mixed_keep: pass.keep(self.dropout),
            outer_keep: pass.keep(self.dropout),
        };
        let weights = BlockWeights {
            query: self.query.parts(),
            key: self.key.parts(),
            value: self.value.parts(),
            mixed: self.mixed.parts(),
            mixed_norm: self.mixed_norm.parts(),
            inner: self.inner.parts(),
            outer: self.outer.parts(),
            outer_norm: self.outer_norm.parts(),
        };
        op::block(x, &weights, plan)
    }
}
