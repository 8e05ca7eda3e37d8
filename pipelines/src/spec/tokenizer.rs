//! `tokenizers:`.

use sluice_learn::deep::tokenizer::{TokenizerKind, TokenizerSpec as Training};

use super::decode::{Check, Context, Fields, choice, record};
use super::name::{Name, TagNames};
use super::patience::PatienceSpec;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

record! {
    /// A tokenizer, which becomes the next version of a registered one of its name.
    pub struct TokenizerSpec as "a tokenizer" {
        /// What the tokenizer is for, for people.
        "comment" comment: Option<Spanned<String>>,
        /// Words by which commands can select it, as `tag:nightly`.
        "tags" tags: Vec<Name<TagNames>>,
        /// Assets to make first, for edges that cannot be seen.
        "after" after: Vec<Spanned<String>>,
        /// How often it is tried, and how long that may take.
        .. patience: PatienceSpec,
        /// Where it comes from: exactly one of these keys.
        .. body: TokenizerBody,
    }
}

impl Check for TokenizerSpec {}

choice! {
    /// Where a tokenizer comes from.
    pub enum TokenizerBody {
        /// A `tokenizer.json`, a folder that holds one, or `hf:org/name`, which `sluice models pull` has fetched.
        "from" From(Spanned<String>),
        /// Texts that it is trained on.
        "train" Train(Box<TokenizerTraining>),
    }
}

record! {
    /// What a tokenizer is trained on.
    pub struct TokenizerTraining as "a tokenizer's training" {
        /// The table with the texts; where it has a column `_split`, only its rows `train` are read.
        "from" from: Spanned<String>,
        /// The column with the texts.
        "column" column: Spanned<String>,
        /// How words are cut into pieces: exactly one of these keys.
        .. kind: TokenizerTrainer,
    }
}

impl Check for TokenizerTraining {}

choice! {
    /// How words are cut into pieces.
    pub enum TokenizerTrainer {
        /// Longest known pieces, as BERT does.
        "wordpiece" WordPiece(WordPiece),
        /// Byte-pair encoding of bytes, as GPT-2 does: it knows every text.
        "bpe" Bpe(Bpe),
        /// The likeliest pieces under a unigram model, as SentencePiece does.
        "unigram" Unigram(Unigram),
    }
}

record! {
    /// The parameters of a WordPiece tokenizer.
    pub struct WordPiece as "`wordpiece`" {
        /// The most tokens that it may know, special ones included.
        "vocab_size" vocab_size: Spanned<u64>,
        /// How often a pair of pieces must occur to become one; by default 2.
        "min_frequency" min_frequency: Option<Spanned<u64>>,
        /// Whether texts are lower-cased and stripped of accents; by default `true`.
        "lowercase" lowercase: Option<Spanned<bool>>,
        /// The most different characters that are known, rarer ones become `[UNK]`; by default 1000.
        "limit_alphabet" limit_alphabet: Option<Spanned<u64>>,
    }
}

record! {
    /// The parameters of a byte-pair tokenizer.
    pub struct Bpe as "`bpe`" {
        /// The most tokens that it may know, special ones included.
        "vocab_size" vocab_size: Spanned<u64>,
        /// How often a pair of pieces must occur to become one; by default 2.
        "min_frequency" min_frequency: Option<Spanned<u64>>,
    }
}

record! {
    /// The parameters of a unigram tokenizer.
    pub struct Unigram as "`unigram`" {
        /// The most tokens that it may know, special ones included.
        "vocab_size" vocab_size: Spanned<u64>,
        /// Whether texts are lower-cased and stripped of accents; by default `true`.
        "lowercase" lowercase: Option<Spanned<bool>>,
        /// The most different characters that are known, rarer ones become `[UNK]`; by default 1000.
        "limit_alphabet" limit_alphabet: Option<Spanned<u64>>,
    }
}

/// More tokens, occurrences or characters than this are taken for a slip.
const MOST: u64 = 10_000_000;

/// Whether a count is at least 1 and no slip.
fn counts(key: &str, count: Option<Spanned<u64>>, cx: &mut Context<'_>) -> bool {
    match count {
        Some(count) if !(1..=MOST).contains(&count.value) => {
            let message = format!("`{key}` must be between 1 and {MOST}");
            cx.report(Diagnostic::error("bad_count", message), count.span);
            false
        }
        _ => true,
    }
}

impl Check for WordPiece {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let vocab = counts("vocab_size", Some(self.vocab_size), cx);
        let frequency = counts("min_frequency", self.min_frequency, cx);
        counts("limit_alphabet", self.limit_alphabet, cx) && frequency && vocab
    }
}

impl Check for Bpe {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let vocab = counts("vocab_size", Some(self.vocab_size), cx);
        counts("min_frequency", self.min_frequency, cx) && vocab
    }
}

impl Check for Unigram {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let vocab = counts("vocab_size", Some(self.vocab_size), cx);
        counts("limit_alphabet", self.limit_alphabet, cx) && vocab
    }
}

impl TokenizerTrainer {
    /// The training that is asked for, with defaults filled in.
    #[must_use]
    pub fn training(&self) -> Training {
        let (kind, vocab_size) = match self {
            Self::WordPiece(options) => (TokenizerKind::WordPiece, options.vocab_size),
            Self::Bpe(options) => (TokenizerKind::Bpe, options.vocab_size),
            Self::Unigram(options) => (TokenizerKind::Unigram, options.vocab_size),
        };
        let (min_frequency, lowercase, limit_alphabet) = match self {
            Self::WordPiece(WordPiece {
                min_frequency,
                lowercase,
                limit_alphabet,
                ..
            }) => (*min_frequency, *lowercase, *limit_alphabet),
            Self::Bpe(Bpe { min_frequency, .. }) => (*min_frequency, None, None),
            Self::Unigram(Unigram {
                lowercase,
                limit_alphabet,
                ..
            }) => (None, *lowercase, *limit_alphabet),
        };
        // No count is larger than `MOST`.
        let small = |count: Spanned<u64>| usize::try_from(count.value).unwrap_or(usize::MAX);
        let mut training = Training::new(kind, small(vocab_size));
        if let Some(count) = min_frequency {
            training.min_frequency = count.value;
        }
        if let Some(lowercase) = lowercase {
            training.lowercase = lowercase.value;
        }
        if let Some(count) = limit_alphabet {
            training.limit_alphabet = small(count);
        }
        training
    }
}
