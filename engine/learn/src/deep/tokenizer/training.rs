//! Training a tokenizer on texts: the same texts give the same file, byte for byte.
//!
//! The trainers of the `tokenizers` crate count words in maps of random order and number
//! pieces in the order they meet them, so words are counted here, and what the order
//! would decide is fixed before or after them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NFKC};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::Metaspace;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer,
};

use super::TextTokenizer;
use crate::deep::error::DeepError;
use crate::nearest::nearest;
use crate::parallel::thread_pool;

/// What BERT needs beside words, in the order of their numbers.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// What marks a piece within a word.
const PREFIX: &str = "##";

/// How a tokenizer cuts words into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// Longest known pieces, as BERT does.
    WordPiece,
    /// Byte-pair encoding of bytes, as GPT-2 does: it knows every text.
    Bpe,
    /// The likeliest pieces under a unigram model, as SentencePiece does.
    Unigram,
}

impl TokenizerKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::WordPiece, Self::Bpe, Self::Unigram];

    /// Its name in a pipeline file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WordPiece => "wordpiece",
            Self::Bpe => "bpe",
            Self::Unigram => "unigram",
        }
    }

    /// The kind called `name`.
    ///
    /// # Errors
    ///
    /// The name that was probably meant, if any is near.
    pub fn parse(name: &str) -> Result<Self, Option<String>> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| nearest(name, Self::ALL.map(Self::as_str)))
    }
}

/// How a tokenizer is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerSpec {
    /// How it cuts.
    pub kind: TokenizerKind,
    /// The most tokens that it may know, special ones included.
    pub vocab_size: usize,
    /// How often a pair of pieces must occur to become one; not for `unigram`.
    pub min_frequency: u64,
    /// Whether texts are lower-cased and stripped of accents; not for `bpe`.
    pub lowercase: bool,
    /// The most different characters that are known; rarer ones become `[UNK]`. Not for
    /// `bpe`, which knows bytes.
    pub limit_alphabet: usize,
}

impl TokenizerSpec {
    /// A tokenizer of `kind` with up to `vocab_size` tokens, otherwise as Hugging Face's
    /// `BertWordPieceTokenizer` is trained.
    pub fn new(kind: TokenizerKind, vocab_size: usize) -> Self {
        Self {
            kind,
            vocab_size,
            min_frequency: 2,
            lowercase: true,
            limit_alphabet: 1000,
        }
    }

    /// Trains a tokenizer on `texts`.
    ///
    /// # Errors
    ///
    /// As [`TokenizerTrainer::finish`].
    pub fn train<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<TextTokenizer, DeepError> {
        let mut trainer = TokenizerTrainer::new(self)?;
        for text in texts {
            trainer.push(text.as_ref())?;
        }
        trainer.finish()
    }

    /// The tokenizer that knows `words`, built into `tokenizer`, which cut them.
    fn learn(
        &self,
        mut tokenizer: Tokenizer,
        words: BTreeMap<String, u64>,
    ) -> Result<TextTokenizer, DeepError> {
        if words.is_empty() {
            return Err(too_small("the texts hold no word".to_owned()));
        }
        match self.kind {
            TokenizerKind::WordPiece => {
                tokenizer.with_model(self.word_pieces(words)?);
            }
            TokenizerKind::Bpe => {
                tokenizer.with_model(self.byte_pairs(&words)?);
            }
            TokenizerKind::Unigram => {
                tokenizer.with_model(self.unigrams(words)?);
            }
        }
        let special = SPECIAL_TOKENS.map(|token| AddedToken::from(token, true));
        tokenizer.add_special_tokens(special).map_err(failed)?;
        let number = |token: &str| {
            let id = tokenizer.token_to_id(token);
            id.map(|id| (token.to_owned(), id))
                .ok_or_else(|| too_small(format!("{token} found no place in it")))
        };
        let frame = TemplateProcessing::builder()
            .try_single("[CLS]:0 $A:0 [SEP]:0")
            .and_then(|builder| builder.try_pair("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"))
            .map_err(|reason| failed(reason.into()))?
            .special_tokens(vec![number("[CLS]")?, number("[SEP]")?])
            .build()
            .map_err(|error| failed(error.into()))?;
        tokenizer.with_post_processor(Some(frame));
        let json = tokenizer.to_string(true).map_err(failed)?;
        TextTokenizer::parse(json)
    }

    /// Puts what goes before and after the model around it.
    fn around(&self, mut tokenizer: Tokenizer) -> Result<Tokenizer, DeepError> {
        match self.kind {
            TokenizerKind::WordPiece => {
                let normalizer = BertNormalizer::new(true, true, None, self.lowercase);
                tokenizer
                    .with_normalizer(Some(normalizer))
                    .map_err(failed)?;
                tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
                tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
            }
            TokenizerKind::Bpe => {
                tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
                tokenizer.with_decoder(Some(ByteLevel::default()));
            }
            TokenizerKind::Unigram => {
                if self.lowercase {
                    let normalizer = BertNormalizer::new(true, false, None, true);
                    tokenizer
                        .with_normalizer(Some(normalizer))
                        .map_err(failed)?;
                } else {
                    tokenizer.with_normalizer(Some(NFKC)).map_err(failed)?;
                }
                tokenizer.with_pre_tokenizer(Some(Metaspace::default()));
                tokenizer.with_decoder(Some(Metaspace::default()));
            }
        }
        Ok(tokenizer)
    }

    fn word_pieces(&self, words: BTreeMap<String, u64>) -> Result<WordPiece, DeepError> {
        let words = self.limit(words);
        let starts: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
        let within: BTreeSet<char> = words.keys().flat_map(|w| w.chars().skip(1)).collect();
        let least = SPECIAL_TOKENS.len() + starts.len() + within.len();
        self.check_room(least)?;
        // What the trainer takes for special tokens it numbers first and in this order.
        let mut first: Vec<AddedToken> = SPECIAL_TOKENS
            .iter()
            .map(|token| AddedToken::from(*token, true))
            .collect();
        first.extend(
            within
                .iter()
                .map(|c| AddedToken::from(format!("{PREFIX}{c}"), false)),
        );
        let trainer = BpeTrainer::builder()
            .vocab_size(self.vocab_size)
            .min_frequency(self.min_frequency)
            .show_progress(false)
            .continuing_subword_prefix(PREFIX.to_owned())
            .special_tokens(first)
            .build();
        let mut pairs = BPE::default();
        let words = words
            .iter()
            .map(|(word, count)| (word.as_str().into(), *count));
        trainer
            .do_train(&words.collect(), &mut pairs)
            .map_err(failed)?;
        Ok(WordPiece::from_bpe(&pairs))
    }

    fn byte_pairs(&self, words: &BTreeMap<String, u64>) -> Result<BPE, DeepError> {
        self.check_room(SPECIAL_TOKENS.len() + 256)?;
        let trainer = BpeTrainer::builder()
            .vocab_size(self.vocab_size)
            .min_frequency(self.min_frequency)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(
                SPECIAL_TOKENS
                    .iter()
                    .map(|token| AddedToken::from(*token, true))
                    .collect(),
            )
            .build();
        let mut model = BPE::default();
        let words = words
            .iter()
            .map(|(word, count)| (word.as_str().into(), *count));
        trainer
            .do_train(&words.collect(), &mut model)
            .map_err(failed)?;
        Ok(model)
    }

    fn unigrams(&self, words: BTreeMap<String, u64>) -> Result<Unigram, DeepError> {
        let words = self.limit(words);
        let characters: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
        self.check_room(SPECIAL_TOKENS.len() + characters.len())?;
        let vocab_size = u32::try_from(self.vocab_size)
            .map_err(|_| too_small(format!("`vocab_size: {}` is too large", self.vocab_size)))?;
        let trainer = UnigramTrainer::builder()
            .vocab_size(vocab_size)
            .show_progress(false)
            .unk_token(Some("[UNK]".to_owned()))
            .special_tokens(
                SPECIAL_TOKENS
                    .iter()
                    .map(|token| AddedToken::from(*token, true))
                    .collect(),
            )
            .build()
            .map_err(|error| failed(error.to_string().into()))?;
        let sentences: Vec<(String, u32)> = words
            .into_iter()
            .map(|(word, count)| (word, u32::try_from(count).unwrap_or(u32::MAX)))
            .collect();
        // Its sums depend on how the sentences are shared out among threads.
        let pool = thread_pool(NonZeroUsize::MIN)?;
        let model = pool.install(|| {
            let mut model = Unigram::default();
            trainer.do_train(sentences, &mut model).map(|_| model)
        });
        canonical(&model.map_err(failed)?)
    }

    /// Words without their rare characters.
    fn limit(&self, words: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        for (word, count) in &words {
            for c in word.chars() {
                *counts.entry(c).or_default() += count;
            }
        }
        if counts.len() <= self.limit_alphabet {
            return words;
        }
        let mut ranked: Vec<(u64, char)> = counts.into_iter().map(|(c, n)| (n, c)).collect();
        // The most frequent first; among equals, the smaller character.
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let kept: BTreeSet<char> = ranked
            .iter()
            .take(self.limit_alphabet)
            .map(|(_, c)| *c)
            .collect();
        let mut limited = BTreeMap::new();
        for (word, count) in words {
            let word: String = word.chars().filter(|c| kept.contains(c)).collect();
            if !word.is_empty() {
                *limited.entry(word).or_default() += count;
            }
        }
        limited
    }

    fn check_room(&self, least: usize) -> Result<(), DeepError> {
        if self.vocab_size >= least {
            return Ok(());
        }
        let (characters, or) = match self.kind {
            TokenizerKind::Bpe => ("bytes", ""),
            _ => ("characters", ", or lower `limit_alphabet`"),
        };
        Err(too_small(format!(
            "`vocab_size: {}` has no room for the special tokens and single {characters} alone: set it to {least} or more{or}",
            self.vocab_size
        )))
    }
}

/// Takes texts one at a time, in whatever order, and trains on all of them at the end.
///
/// It holds each different word once, with its count.
pub struct TokenizerTrainer {
    spec: TokenizerSpec,
    /// Its model is a placeholder: only what stands before it is used to cut words.
    cutter: Tokenizer,
    words: BTreeMap<String, u64>,
}

impl TokenizerTrainer {
    /// A trainer that has seen no text.
    ///
    /// # Errors
    ///
    /// A normalizer that cannot be built.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, DeepError> {
        Ok(Self {
            cutter: spec.around(Tokenizer::new(BPE::default()))?,
            spec: spec.clone(),
            words: BTreeMap::new(),
        })
    }

    /// Counts the words of a text, after normalisation.
    ///
    /// # Errors
    ///
    /// A text that the normalizer refuses.
    pub fn push(&mut self, text: &str) -> Result<(), DeepError> {
        let mut normal = tokenizers::NormalizedString::from(text);
        if let Some(normalizer) = self.cutter.get_normalizer() {
            normalizer.normalize(&mut normal).map_err(failed)?;
        }
        let mut pieces = PreTokenizedString::from(normal);
        if let Some(pre_tokenizer) = self.cutter.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(failed)?;
        }
        for (word, _, _) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if word.is_empty() {
                continue;
            }
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    self.words.insert(word.to_owned(), 1);
                }
            }
        }
        Ok(())
    }

    /// What identifies the words and their counts: equal for the same texts in any order.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (word, count) in &self.words {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
            hasher.update(&count.to_le_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Trains on what was pushed.
    ///
    /// # Errors
    ///
    /// No words in the texts, or a vocabulary too small for their characters.
    pub fn finish(self) -> Result<TextTokenizer, DeepError> {
        self.spec.learn(self.cutter, self.words)
    }
}

/// The model with the scores that the trainer dealt out in random order dealt out in the
/// order of the characters.
///
/// Characters that lost their piece get it back at the end, with the lowest score, the
/// lowest plus 0.0001, and so on, in the order of a hash set.
fn canonical(model: &Unigram) -> Result<Unigram, DeepError> {
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    let (special, words) = pieces.split_at_mut(SPECIAL_TOKENS.len());
    let lowest = words.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    let mut penalty = 0.0;
    let mut dealt: Vec<usize> = Vec::new();
    loop {
        let before = dealt.len();
        dealt.extend(words.iter().enumerate().filter_map(|(i, (piece, score))| {
            (*score == lowest + penalty && piece.chars().count() == 1).then_some(i)
        }));
        if dealt.len() == before {
            break;
        }
        penalty += 0.0001;
    }
    let mut names: Vec<String> = dealt.iter().map(|&i| words[i].0.clone()).collect();
    names.sort_unstable();
    for (&place, name) in dealt.iter().zip(names) {
        words[place].0 = name;
    }
    words.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let unknown = special.iter().position(|(token, _)| token == "[UNK]");
    Unigram::from(pieces, unknown, model.byte_fallback()).map_err(failed)
}

fn failed(source: tokenizers::Error) -> DeepError {
    DeepError::Tokenizer {
        action: "be trained".to_owned(),
        source,
    }
}

fn too_small(reason: String) -> DeepError {
    DeepError::TokenizerTraining { reason }
}
