//! `token_count(text, tokenizer)`: how many tokens a text has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::datatypes::DataType;

use super::options::Options;
use super::parameter::ADD_SPECIAL_TOKENS;
use super::strings::{Strings, takes};
use super::{LoadedTokenizer, TextError, TextFunction};

/// The length of what `tokenize` gives.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "token_count",
    bound: "token_count",
    usage: "token_count(text, 'tokenizer')",
    inputs: &["text"],
    parameters: &[ADD_SPECIAL_TOKENS],
    positional: 0,
    required: 0,
    data_type: |_| DataType::Int32,
    takes,
    apply,
};

fn apply(
    tokenizer: &LoadedTokenizer,
    options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let special = options.add_special_tokens.unwrap_or(false);
    let mut ids: Vec<u32> = Vec::new();
    let count = |text: Option<&str>| -> Result<Option<i32>, TextError> {
        let Some(text) = text else { return Ok(None) };
        ids.clear();
        tokenizer.append_ids(text, special, &mut ids)?;
        Ok(Some(i32::try_from(ids.len())?))
    };
    let counts: Result<Int32Array, TextError> =
        Strings::of(&inputs[0])?.iter().map(count).collect();
    Ok(Arc::new(counts?))
}
