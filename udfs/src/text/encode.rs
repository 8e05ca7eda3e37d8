//! `encode(text [, pair], tokenizer [, max_length])`: what a model of texts takes in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, ListArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int8Type, Int32Type};
use tokenizers::{EncodeInput, Encoding, Tokenizer};

use super::ids::{Ends, element, lists};
use super::options::Options;
use super::parameter::{ADD_SPECIAL_TOKENS, MAX_LENGTH, OFFSETS, PADDING, TRUNCATION};
use super::strings::{Strings, takes};
use super::{LoadedTokenizer, TextError, TextFunction};

/// As Python's `tokenizer(text, pair, max_length=..., truncation=..., padding=...)` of
/// `transformers`. Offsets count characters, as there; `end` is exclusive.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "encode",
    // SQL's own `encode(bytes, 'hex')` goes on as it was.
    bound: "encode_text",
    usage: "encode(text, 'tokenizer'), encode(text, pair, 'tokenizer') or encode(text, 'tokenizer', 64); encode(bytes, 'hex') and encode(bytes, 'base64') encode bytes",
    inputs: &["text", "pair"],
    parameters: &[MAX_LENGTH, TRUNCATION, PADDING, OFFSETS, ADD_SPECIAL_TOKENS],
    positional: 1,
    required: 0,
    data_type: |options| DataType::Struct(fields(wants_offsets(options))),
    takes,
    apply,
};

fn wants_offsets(options: &Options) -> bool {
    options.offsets.unwrap_or(false)
}

fn fields(offsets: bool) -> Fields {
    let list = |name: &str, of: DataType| Field::new(name, DataType::List(element(of)), true);
    let mut fields = vec![
        list("input_ids", DataType::Int32),
        list("attention_mask", DataType::Int8),
        list("token_type_ids", DataType::Int8),
    ];
    if offsets {
        fields.push(list("offsets", DataType::Struct(place())));
    }
    Fields::from(fields)
}

/// Where a token stands in its text, in characters.
fn place() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Int32, true);
    Fields::from(vec![number("start"), number("end")])
}

/// What has been encoded so far, all rows one behind the other.
#[derive(Default)]
struct Columns {
    ids: Vec<i32>,
    mask: Vec<i8>,
    types: Vec<i8>,
    starts: Vec<i32>,
    ends: Vec<i32>,
}

impl Columns {
    /// The tokens of one text, none of which is padding.
    fn push_ids(&mut self, ids: &[u32]) {
        self.ids.extend(ids.iter().map(|id| id.cast_signed()));
        self.mask.resize(self.ids.len(), 1);
        self.types.resize(self.ids.len(), 0);
    }

    fn push(&mut self, encoding: &Encoding, offsets: bool) -> Result<(), TextError> {
        let small = |number: &u32| i8::try_from(*number).unwrap_or(i8::MAX);
        self.ids
            .extend(encoding.get_ids().iter().map(|id| id.cast_signed()));
        self.mask
            .extend(encoding.get_attention_mask().iter().map(small));
        self.types.extend(encoding.get_type_ids().iter().map(small));
        if offsets {
            for (start, end) in encoding.get_offsets() {
                self.starts.push(i32::try_from(*start)?);
                self.ends.push(i32::try_from(*end)?);
            }
        }
        Ok(())
    }
}

fn encode(
    tokenizer: &Tokenizer,
    input: EncodeInput<'_>,
    offsets: bool,
    special: bool,
) -> Result<Encoding, TextError> {
    Ok(match offsets {
        true => tokenizer.encode_char_offsets(input, special)?,
        false => tokenizer.encode_fast(input, special)?,
    })
}

fn apply(
    loaded: &LoadedTokenizer,
    options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let offsets = wants_offsets(options);
    let special = options.add_special_tokens.unwrap_or(true);
    let tokenizer = loaded.with_lengths(options, inputs.len() > 1)?;
    // The library cuts each text of a pair at `max_length` before it weighs which of them is
    // the longer one. To cut as Python does, a pair's texts are tokenized whole.
    let cuts_pairs = inputs.len() > 1 && tokenizer.get_truncation().is_some();
    let whole = match cuts_pairs {
        true => loaded.unframed(),
        false => Arc::clone(&tokenizer),
    };
    let texts = Strings::of(&inputs[0])?;
    let pairs = inputs.get(1).map(Strings::of).transpose()?;
    let mut columns = Columns::default();
    let mut ends = Ends::with_capacity(texts.len());
    let mut quick: Vec<u32> = Vec::new();
    for row in 0..texts.len() {
        if let (None, false, Some(text)) = (&pairs, offsets, texts.get(row)) {
            quick.clear();
            if loaded.quick_ids(&tokenizer, text, special, &mut quick) {
                columns.push_ids(&quick);
                ends.end(columns.ids.len(), true)?;
                continue;
            }
        }
        let input: Option<EncodeInput<'_>> = match (&pairs, texts.get(row)) {
            (_, None) => None,
            (None, Some(text)) => Some(text.into()),
            (Some(pairs), Some(text)) => pairs.get(row).map(|pair| (text, pair).into()),
        };
        let valid = input.is_some();
        if let Some(input) = input {
            let encoding = match input {
                EncodeInput::Dual(first, second) if cuts_pairs => {
                    let first = encode(&whole, EncodeInput::Single(first), offsets, false)?;
                    let mut second = encode(&whole, EncodeInput::Single(second), offsets, false)?;
                    second.set_type_ids(vec![1; second.len()]);
                    tokenizer.post_process(first, Some(second), special)?
                }
                input => encode(&tokenizer, input, offsets, special)?,
            };
            columns.push(&encoding, offsets)?;
        }
        ends.end(columns.ids.len(), valid)?;
    }
    let (ends, nulls) = ends.finish();
    let mut lists_of: Vec<ArrayRef> = vec![
        lists::<Int32Type>(columns.ids, ends.clone(), nulls.clone()),
        lists::<Int8Type>(columns.mask, ends.clone(), nulls.clone()),
        lists::<Int8Type>(columns.types, ends.clone(), nulls.clone()),
    ];
    if offsets {
        let numbers = |values: Vec<i32>| Arc::new(Int32Array::from(values)) as ArrayRef;
        let places = vec![numbers(columns.starts), numbers(columns.ends)];
        let places = StructArray::new(place(), places, None);
        let of = element(places.data_type().clone());
        let places = ListArray::new(of, ends, Arc::new(places), nulls.clone());
        lists_of.push(Arc::new(places));
    }
    Ok(Arc::new(StructArray::new(fields(offsets), lists_of, nulls)))
}
