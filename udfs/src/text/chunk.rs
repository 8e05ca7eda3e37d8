//! `chunk(text, tokenizer, size, stride)`: a text in pieces of so many tokens, as retrieval
//! (RAG) takes them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, ListArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};

use super::ids::{Ends, element};
use super::options::Options;
use super::parameter::{SIZE, STRIDE};
use super::strings::{Strings, takes};
use super::{LoadedTokenizer, TextError, TextFunction};

/// Each chunk is a piece of the text itself, from the beginning of its first token to the end
/// of its last. As with `stride` of Hugging Face's tokenizers, neighbours share so many
/// tokens. A text without tokens has no chunk.
pub(super) const FUNCTION: TextFunction = TextFunction {
    name: "chunk",
    bound: "chunk",
    usage: "chunk(text, 'tokenizer', size, stride), such as chunk(text, 'movie', 256, 32)",
    inputs: &["text"],
    parameters: &[SIZE, STRIDE],
    positional: 2,
    required: 1,
    data_type: |_| DataType::List(element(DataType::Struct(fields()))),
    takes,
    apply,
};

/// `start` and `end` count characters of the text; `end` is exclusive.
fn fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("start", DataType::Int32, true),
        Field::new("end", DataType::Int32, true),
        Field::new("token_count", DataType::Int32, true),
    ])
}

/// The tokens of each chunk: `from..to` of `tokens`. All but the last have `size`, each begins
/// `size - stride` behind the one before, and none holds only what the one before has.
fn pieces(tokens: usize, size: usize, stride: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = size.saturating_sub(stride).max(1);
    let mut next = (tokens > 0).then_some(0);
    std::iter::from_fn(move || {
        let from = next?;
        let to = (from + size).min(tokens);
        next = (to < tokens).then_some(from + step);
        Some((from, to))
    })
}

/// Counts the characters before a byte of a text; quick where bytes come in order.
struct Characters<'a> {
    text: &'a str,
    byte: usize,
    before: usize,
}

impl<'a> Characters<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            byte: 0,
            before: 0,
        }
    }

    fn before(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            (self.byte, self.before) = (0, 0);
        }
        self.before += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.before
    }
}

/// The nearest beginning of a character at or before a byte.
fn floor(text: &str, mut byte: usize) -> usize {
    byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// The nearest beginning of a character at or behind a byte.
fn ceil(text: &str, mut byte: usize) -> usize {
    byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte += 1;
    }
    byte
}

fn apply(
    tokenizer: &LoadedTokenizer,
    options: &Options,
    inputs: &[ArrayRef],
) -> Result<ArrayRef, TextError> {
    let size = options.size.ok_or("`chunk` needs `size`")?;
    let stride = options.stride.unwrap_or(0);
    let texts = Strings::of(&inputs[0])?;
    let tokenizer = tokenizer.plain();
    let mut ends = Ends::with_capacity(texts.len());
    let mut chunks = StringBuilder::new();
    let (mut from, mut to, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts.iter() {
        if let Some(text) = text {
            let encoding = tokenizer.encode(text, false)?;
            let places = encoding.get_offsets();
            let (mut starts, mut stops) = (Characters::of(text), Characters::of(text));
            for (first, behind) in pieces(places.len(), size, stride) {
                let of_chunk = &places[first..behind];
                // Tokens stand in order, but a normalizer may move one.
                let start = of_chunk.iter().map(|(start, _)| *start).min();
                let stop = of_chunk.iter().map(|(_, stop)| *stop).max();
                let start = floor(text, start.unwrap_or(0));
                let stop = ceil(text, stop.unwrap_or(0)).max(start);
                chunks.append_value(&text[start..stop]);
                from.push(i32::try_from(starts.before(start))?);
                to.push(i32::try_from(stops.before(stop))?);
                counts.push(i32::try_from(behind - first)?);
            }
        }
        ends.end(counts.len(), text.is_some())?;
    }
    let (ends, nulls) = ends.finish();
    let numbers = |values: Vec<i32>| Arc::new(Int32Array::from(values)) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(chunks.finish()),
        numbers(from),
        numbers(to),
        numbers(counts),
    ];
    let chunks = StructArray::new(fields(), columns, None);
    let of = element(chunks.data_type().clone());
    Ok(Arc::new(ListArray::new(of, ends, Arc::new(chunks), nulls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_in_a_chunk_and_neighbours_share_the_stride() {
        for tokens in 0..30 {
            for size in 1..9 {
                for stride in 0..size {
                    let all: Vec<(usize, usize)> = pieces(tokens, size, stride).collect();
                    assert_eq!(all.is_empty(), tokens == 0);
                    let mut covered = 0;
                    for (at, (from, to)) in all.iter().enumerate() {
                        let last = at + 1 == all.len();
                        assert!(to - from == size || (last && to - from <= size && from < to));
                        assert!(
                            *from <= covered && *to > covered,
                            "{tokens} {size} {stride}"
                        );
                        if at > 0 {
                            assert_eq!(all[at - 1].1 - from, stride);
                        }
                        covered = *to;
                    }
                    assert_eq!(covered, tokens);
                }
            }
        }
    }

    #[test]
    fn characters_are_counted_forwards_and_backwards() {
        let text = "äö€x😀y";
        let mut characters = Characters::of(text);
        for (count, (byte, _)) in text.char_indices().enumerate() {
            assert_eq!(characters.before(byte), count);
        }
        assert_eq!(characters.before(2), 1);
        assert_eq!(
            (floor(text, 1), ceil(text, 1), ceil(text, 99)),
            (0, 2, text.len())
        );
    }
}
