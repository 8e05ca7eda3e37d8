//! `tokenize(text, tokenizer)`: the numbers of a text's tokens.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int32Type};

use super::ids::{Ends, element, lists};
use super::options::Options;
use super::parameter::ADD_SPECIAL_TOKENS;
use super::strings::{Strings, takes};
use super::{LoadedTokenizer, TextError, TextFunction};

/// As Python's `tokenizer.encode(text, add_special_tokens=False).ids`.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "tokenize",
    bound: "tokenize",
    usage: "tokenize(text, 'tokenizer')",
    inputs: &["text"],
    parameters: &[ADD_SPECIAL_TOKENS],
    positional: 0,
    required: 0,
    data_type: |_| DataType::List(element(DataType::Int32)),
    takes,
    apply,
};

fn apply(
    tokenizer: &LoadedTokenizer,
    options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let special = options.add_special_tokens.unwrap_or(false);
    let texts = Strings::of(&inputs[0])?;
    let (mut ids, mut of_text): (Vec<i32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut ends = Ends::with_capacity(texts.len());
    for text in texts.iter() {
        if let Some(text) = text {
            of_text.clear();
            tokenizer.append_ids(text, special, &mut of_text)?;
            ids.extend(of_text.iter().map(|id| id.cast_signed()));
        }
        ends.end(ids.len(), text.is_some())?;
    }
    let (ends, nulls) = ends.finish();
    Ok(lists::<Int32Type>(ids, ends, nulls))
}
