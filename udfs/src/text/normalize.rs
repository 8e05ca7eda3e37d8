//! `normalize(text, tokenizer)`: a text as the tokenizer sees it before it cuts.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use tokenizers::{NormalizedString, Normalizer};

use super::options::Options;
use super::strings::{Strings, takes};
use super::{LoadedTokenizer, TextError, TextFunction};

/// As Python's `tokenizer.normalizer.normalize_str(text)`; without a normalizer the text itself.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "normalize",
    bound: "normalize",
    usage: "normalize(text, 'tokenizer')",
    inputs: &["text"],
    parameters: &[],
    positional: 0,
    required: 0,
    data_type: |_| DataType::Utf8,
    takes,
    apply,
};

fn apply(
    tokenizer: &LoadedTokenizer,
    _options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let texts = Strings::of(&inputs[0])?;
    let normalizer = tokenizer.plain().get_normalizer();
    let mut normal = StringBuilder::with_capacity(texts.len(), 0);
    for text in texts.iter() {
        match (text, normalizer) {
            (Some(text), Some(normalizer)) => {
                let mut string = NormalizedString::from(text);
                normalizer.normalize(&mut string)?;
                normal.append_value(string.get());
            }
            (text, None) => normal.append_option(text),
            (None, _) => normal.append_null(),
        }
    }
    Ok(Arc::new(normal.finish()))
}
