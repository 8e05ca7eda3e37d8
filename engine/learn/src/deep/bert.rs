//! BERT (Devlin et al. 2019), MiniLM and DistilBERT, differentiable from the head to the
//! embeddings, in Hugging Face's folders.
//!
//! [`TextModel`] is the entry: an encoder with a [`Head`], opened from a folder for use or
//! for fine-tuning, or drawn from a seed. [`config`] reads `config.json`, [`encoder`] is
//! what the families share, [`head`] what is put on top, [`names`] how each family calls
//! its weights, [`folder`] what a model's folder holds.
//! [`TextTask`] and [`TextExamples`] are what the trainer takes, [`TextPredictor`] what
//! applies a model to many texts.

pub mod config;
pub mod encoder;
pub mod folder;
pub mod head;
mod model;
mod names;
mod predictor;
mod task;

pub use config::{Activation, BertConfig, Family};
pub use encoder::{Encoder, TokenBatch};
pub use folder::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, replace_folder};
pub use head::{Head, LossOptions, Targets};
pub use model::TextModel;
pub use predictor::TextPredictor;
pub use task::{TextBatch, TextExamples, TextTask};
