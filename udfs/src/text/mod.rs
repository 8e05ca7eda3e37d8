//! Texts as tokens: `tokenize`, `encode`, `token_count`, `detokenize`, `normalize`, `chunk`.
//!
//! Each function is a [`TextFunction`] in a file of its own and a line in [`FUNCTIONS`].
//! [`references`](bind::references) tells which tokenizers a statement names;
//! [`Tokenizers`] loads them and settles its calls before planning: the tokenizer's name becomes the
//! address of one version, whose [`LoadedTokenizer`] lies in a [`TokenizerSet`], and what was
//! said by name becomes [`Options`]. [`function`] executes the calls.

pub mod bind;
mod call;
mod chunk;
mod configured;
mod detokenize;
mod encode;
pub mod function;
mod ids;
mod loaded;
mod normalize;
mod options;
mod parameter;
mod settle;
mod strings;
mod token_count;
mod tokenize;

pub use bind::{TokenizerUse, bind, bind_expression, references, references_in_expression};
pub use loaded::{LoadedTokenizer, TokenizerSet};
pub use options::{Options, Padding, Truncation};
pub use settle::Tokenizers;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use parameter::Parameter;

/// Every function on texts: a new one is a line here.
pub(crate) const FUNCTIONS: &[&TextFunction] = &[
    &tokenize::FUNCTION,
    &encode::FUNCTION,
    &token_count::FUNCTION,
    &detokenize::FUNCTION,
    &normalize::FUNCTION,
    &chunk::FUNCTION,
];

/// An error from inside a tokenizer, with its cause.
pub type TextError = Box<dyn std::error::Error + Send + Sync>;

/// A function that applies a tokenizer.
#[derive(Debug)]
pub(crate) struct TextFunction {
    /// Its name in SQL.
    pub(crate) name: &'static str,
    /// The name that a settled call has: another one where SQL has a function of this name.
    pub(crate) bound: &'static str,
    /// How it is written, for messages.
    pub(crate) usage: &'static str,
    /// The names of what may stand before the tokenizer: one, and a second that may be
    /// left out.
    pub(crate) inputs: &'static [&'static str],
    /// What may be said besides.
    pub(crate) parameters: &'static [Parameter],
    /// How many of the first parameters may stand behind the tokenizer without a name, and
    /// how many of them must be said.
    pub(crate) positional: usize,
    pub(crate) required: usize,
    /// The type of the answer.
    pub(crate) data_type: fn(&Options) -> DataType,
    /// Whether an input may have a type; otherwise what is needed, in words that follow the
    /// function's name.
    pub(crate) takes: fn(&DataType) -> Result<(), String>,
    /// The answers: one a row. The inputs have the type of [`strings`] or of [`ids`].
    pub(crate) apply: fn(&LoadedTokenizer, &Options, &[ArrayRef]) -> Result<ArrayRef, TextError>,
}
