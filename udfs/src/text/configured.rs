//! Lengths: how a call's `max_length`, `truncation` and `padding` and the tokenizer's own
//! file come together.

use tokenizers::{
    PaddingParams, PaddingStrategy, PostProcessor, Tokenizer, TruncationDirection,
    TruncationParams, TruncationStrategy,
};

use super::TextError;
use super::loaded::OwnLengths;
use super::options::{Options, Padding, Truncation};

/// Tokens that texts are filled up with where the tokenizer's file names none.
const PAD_TOKENS: [&str; 4] = ["[PAD]", "<pad>", "<|endoftext|>", "</s>"];

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Length {
    max_length: Option<usize>,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    special: bool,
    pair: bool,
}

impl Length {
    pub(super) fn asked(options: &Options, pair: bool) -> Self {
        Self {
            max_length: options.max_length,
            truncation: options.truncation,
            padding: options.padding,
            special: options.add_special_tokens.unwrap_or(true),
            pair,
        }
    }

    /// Whether nothing is cut or filled up.
    pub(super) fn is_none(&self) -> bool {
        self.max_length.is_none() && self.truncation.is_none() && self.padding.is_none()
    }
}

/// The tokenizer with these lengths.
///
/// # Errors
/// What cannot be, in words.
pub(super) fn configure(
    plain: &Tokenizer,
    own: &OwnLengths,
    length: &Length,
) -> Result<Tokenizer, TextError> {
    let mut tokenizer = plain.clone();
    if let Some(cut) = truncation(plain, own, length)? {
        tokenizer.with_truncation(Some(cut))?;
    }
    tokenizer.with_padding(padding(plain, own, length)?);
    Ok(tokenizer)
}

fn truncation(
    plain: &Tokenizer,
    own: &OwnLengths,
    length: &Length,
) -> Result<Option<TruncationParams>, TextError> {
    let own = own.truncation.as_ref();
    let (strategy, max_length) = match (length.truncation, length.max_length) {
        (Some(Truncation::DoNotTruncate), _) | (None, None) => return Ok(None),
        (None, Some(max_length)) => (Truncation::LongestFirst, max_length),
        (Some(strategy), Some(max_length)) => (strategy, max_length),
        (Some(strategy), None) => match own {
            Some(own) => (strategy, own.max_length),
            None => {
                return Err(
                    "the tokenizer's file does not say where to cut: give `max_length`, too".into(),
                );
            }
        },
    };
    let strategy = match strategy {
        Truncation::OnlyFirst => TruncationStrategy::OnlyFirst,
        Truncation::OnlySecond if !length.pair => {
            return Err("`truncation => 'only_second'` goes with a pair of texts".into());
        }
        Truncation::OnlySecond => TruncationStrategy::OnlySecond,
        Truncation::LongestFirst | Truncation::DoNotTruncate => TruncationStrategy::LongestFirst,
    };
    let added = match length.special {
        true => plain
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(length.pair)),
        false => 0,
    };
    if max_length <= added {
        return Err(format!(
            "the tokenizer adds {added} special tokens, so `max_length` must be {} or more, not {max_length}",
            added + 1
        )
        .into());
    }
    Ok(Some(TruncationParams {
        max_length,
        strategy,
        stride: 0,
        direction: own.map_or(TruncationDirection::Right, |own| own.direction),
    }))
}

fn padding(
    plain: &Tokenizer,
    own: &OwnLengths,
    length: &Length,
) -> Result<Option<PaddingParams>, TextError> {
    let Some(Padding::MaxLength) = length.padding else {
        return Ok(None);
    };
    let size = length.max_length.or_else(|| {
        let fixed = own.padding.as_ref().and_then(|own| match own.strategy {
            PaddingStrategy::Fixed(size) => Some(size),
            PaddingStrategy::BatchLongest => None,
        });
        fixed.or_else(|| own.truncation.as_ref().map(|own| own.max_length))
    });
    let Some(size) = size else {
        return Err(
            "the tokenizer's file names no length to pad to: give `max_length`, too".into(),
        );
    };
    let strategy = PaddingStrategy::Fixed(size);
    if let Some(own) = &own.padding {
        return Ok(Some(PaddingParams {
            strategy,
            ..own.clone()
        }));
    }
    let known = PAD_TOKENS
        .iter()
        .find_map(|token| Some((*token, plain.token_to_id(token)?)));
    let Some((token, pad_id)) = known else {
        return Err("the tokenizer has no token to pad with, such as [PAD]".into());
    };
    Ok(Some(PaddingParams {
        strategy,
        pad_id,
        pad_token: token.to_owned(),
        ..PaddingParams::default()
    }))
}
