//! `detokenize(ids, tokenizer)`: the text of tokens.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use sluice_learn::sql_type::SqlType;

use super::ids::element;
use super::options::Options;
use super::parameter::SKIP_SPECIAL_TOKENS;
use super::{LoadedTokenizer, TextError, TextFunction};

/// As Python's `tokenizer.decode(ids, skip_special_tokens=True)`.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "detokenize",
    bound: "detokenize",
    usage: "detokenize(ids, 'tokenizer')",
    inputs: &["ids"],
    parameters: &[SKIP_SPECIAL_TOKENS],
    positional: 0,
    required: 0,
    data_type: |_| DataType::Utf8,
    takes,
    apply,
};

fn takes(data_type: &DataType) -> Result<(), String> {
    match data_type {
        DataType::Null => Ok(()),
        DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _)
            if of.data_type().is_integer() || of.data_type().is_null() =>
        {
            Ok(())
        }
        other => Err(format!(
            "needs a list of the numbers of tokens, as `tokenize` gives, and this is {}",
            SqlType(other)
        )),
    }
}

fn apply(
    tokenizer: &LoadedTokenizer,
    options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let skip = options.skip_special_tokens.unwrap_or(true);
    let lists = cast(&inputs[0], &DataType::List(element(DataType::Int64)))?;
    let lists = lists.as_list::<i32>();
    let numbers = lists.values().as_primitive::<Int64Type>();
    let tokenizer = tokenizer.plain();
    let mut texts = StringBuilder::with_capacity(lists.len(), 0);
    let mut ids: Vec<u32> = Vec::new();
    for row in 0..lists.len() {
        let of_row = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
        let has_null = numbers.slice(of_row.start, of_row.len()).null_count() > 0;
        if lists.is_null(row) || has_null {
            texts.append_null();
            continue;
        }
        ids.clear();
        for &number in &numbers.values()[of_row] {
            let id =
                u32::try_from(number).map_err(|_| format!("{number} is no number of a token"))?;
            ids.push(id);
        }
        texts.append_value(tokenizer.decode(&ids, skip)?);
    }
    Ok(Arc::new(texts.finish()))
}
