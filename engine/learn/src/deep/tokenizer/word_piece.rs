//! BERT's own way from a text to tokens, many times as fast as the library's.
//!
//! The library follows every character from the text to its token, to tell offsets, and looks
//! each of them up in tables of Unicode again and again. Where only the tokens are wanted, and
//! the tokenizer is BERT's (its normalizer, its pre-tokenizer, WordPiece), what becomes of a
//! character depends on nothing but itself. So [`WordPieceTable`] asks the library once for each
//! character that it meets, remembers the answer, and goes through a text once. What it cannot
//! tell is left to the library, text by text: one that may hold a special token, and characters
//! that change with their neighbours.

use std::sync::OnceLock;

use ahash::{AHashMap, AHashSet};
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

/// Characters of a page, which are looked up together.
const PAGE: usize = 256;
/// Pages of all characters of Unicode.
const PAGES: usize = 0x11_0000 / PAGE;

/// Marks that are written in a fixed order whatever the text's, and are not taken out with the
/// other marks (Unicode: of a combining class, and spacing).
const REORDERED: [std::ops::RangeInclusive<char>; 3] = [
    '\u{302e}'..='\u{302f}',
    '\u{16ff0}'..='\u{16ff1}',
    '\u{1d165}'..='\u{1d172}',
];

/// What becomes of a character.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    /// It belongs to a word, as this: nothing for what is left out.
    Within(Box<str>),
    /// It separates words.
    Space,
    /// It is a word of its own, as this.
    Alone(Box<str>),
    /// The library has to be asked.
    Unknown,
}

/// The tokens that stand around a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    before: Vec<u32>,
    after: Vec<u32>,
}

/// A tokenizer of BERT's, as tables.
#[derive(Debug)]
pub(super) struct WordPieceTable {
    normalizer: NormalizerWrapper,
    pre_tokenizer: PreTokenizerWrapper,
    pages: Box<[OnceLock<Box<[Class]>>]>,
    /// With what tokens begin that are looked for before anything else.
    special: AHashSet<char>,
    /// Pieces that begin a word, and those that go on with one.
    first: AHashMap<Box<[u8]>, u32>,
    rest: AHashMap<Box<[u8]>, u32>,
    /// The longest piece, in bytes.
    longest: usize,
    unknown: u32,
    max_chars: usize,
    frame: Frame,
}

impl WordPieceTable {
    /// The tables of `tokenizer`; `None` where it is none of BERT's.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let normalizer = tokenizer.get_normalizer()?.clone();
        let pre_tokenizer = tokenizer.get_pre_tokenizer()?.clone();
        let (
            NormalizerWrapper::BertNormalizer(_),
            PreTokenizerWrapper::BertPreTokenizer(_),
            ModelWrapper::WordPiece(model),
        ) = (&normalizer, &pre_tokenizer, tokenizer.get_model())
        else {
            return None;
        };
        let mut special = AHashSet::new();
        for token in tokenizer.get_added_tokens_decoder().into_values() {
            // One that is looked for in the normalized text may begin with anything.
            if token.normalized {
                return None;
            }
            special.insert(token.content.chars().next()?);
        }
        let vocabulary = tokenizers::Model::get_vocab(model);
        let unknown = *vocabulary.get(&model.unk_token)?;
        let prefix = model.continuing_subword_prefix.as_bytes();
        let (mut first, mut rest, mut longest) = (AHashMap::new(), AHashMap::new(), 0);
        for (piece, id) in vocabulary {
            let bytes = piece.as_bytes();
            longest = longest.max(bytes.len());
            if let Some(bytes) = bytes.strip_prefix(prefix) {
                rest.insert(bytes.into(), id);
            }
            first.insert(bytes.into(), id);
        }
        Some(Self {
            frame: Frame::of(tokenizer)?,
            normalizer,
            pre_tokenizer,
            pages: (0..PAGES).map(|_| OnceLock::new()).collect(),
            special,
            first,
            rest,
            longest,
            unknown,
            max_chars: model.max_input_chars_per_word,
        })
    }

    /// Appends the tokens of `text` to `ids`, with special tokens around them if it is `framed`,
    /// and no more than `max_length` in all. False where the library has to be asked: nothing
    /// is appended then.
    pub(super) fn encode(
        &self,
        text: &str,
        framed: bool,
        max_length: Option<usize>,
        ids: &mut Vec<u32>,
    ) -> bool {
        let begin = ids.len();
        let (before, after): (&[u32], &[u32]) = match framed {
            true => (&self.frame.before, &self.frame.after),
            false => (&[], &[]),
        };
        ids.extend_from_slice(before);
        if !self.words(text, ids) {
            ids.truncate(begin);
            return false;
        }
        if let Some(max_length) = max_length {
            let room = max_length.saturating_sub(after.len());
            ids.truncate(begin + room);
        }
        ids.extend_from_slice(after);
        true
    }

    fn words(&self, text: &str, ids: &mut Vec<u32>) -> bool {
        let mut word = Word::default();
        for character in text.chars() {
            if self.special.contains(&character) {
                return false;
            }
            match self.class(character) {
                Class::Within(as_this) => word.push(as_this),
                Class::Space => self.end(&mut word, ids),
                Class::Alone(as_this) => {
                    self.end(&mut word, ids);
                    word.push(as_this);
                    self.end(&mut word, ids);
                }
                Class::Unknown => return false,
            }
        }
        self.end(&mut word, ids);
        true
    }

    /// Cuts a word into the longest pieces that there are, from its beginning; one that does
    /// not go into pieces is unknown as a whole.
    fn end(&self, word: &mut Word, ids: &mut Vec<u32>) {
        let (bytes, begin) = (word.text.as_bytes(), ids.len());
        let mut from = 0;
        while from < bytes.len() {
            let pieces = if from == 0 { &self.first } else { &self.rest };
            let most = bytes.len().min(from + self.longest);
            let lengths = (from + 1..=most).rev();
            // A piece is whole characters, so that none ends within one.
            let found = lengths
                .map(|to| (to, pieces.get(&bytes[from..to])))
                .find_map(|(to, id)| Some((to, *id?)));
            match found {
                Some((to, id)) if word.chars <= self.max_chars => {
                    ids.push(id);
                    from = to;
                }
                _ => {
                    ids.truncate(begin);
                    ids.push(self.unknown);
                    break;
                }
            }
        }
        word.clear();
    }

    fn class(&self, character: char) -> &Class {
        let code = character as usize;
        let page = self.pages[code / PAGE].get_or_init(|| self.page(code / PAGE));
        &page[code % PAGE]
    }

    fn page(&self, page: usize) -> Box<[Class]> {
        let codes = page * PAGE..(page + 1) * PAGE;
        let characters = codes.map(|code| char::from_u32(u32::try_from(code).ok()?));
        let classes = characters.map(|character| {
            let known = character.filter(|character| {
                let mut reordered = REORDERED.iter();
                !reordered.any(|range| range.contains(character))
            });
            known
                .and_then(|character| self.asked(character))
                .unwrap_or(Class::Unknown)
        });
        classes.collect()
    }

    /// What the library makes of a character between two letters.
    fn asked(&self, character: char) -> Option<Class> {
        let mut text = NormalizedString::from(format!("a{character}b"));
        self.normalizer.normalize(&mut text).ok()?;
        let mut cut = PreTokenizedString::from(text);
        self.pre_tokenizer.pre_tokenize(&mut cut).ok()?;
        let splits = cut.get_splits(OffsetReferential::Normalized, OffsetType::None);
        let words: Vec<&str> = splits.into_iter().map(|(word, _, _)| word).collect();
        match words[..] {
            [word] => {
                let within = word.strip_prefix('a')?.strip_suffix('b')?;
                Some(Class::Within(within.into()))
            }
            ["a", "b"] => Some(Class::Space),
            ["a", alone, "b"] => Some(Class::Alone(alone.into())),
            _ => None,
        }
    }
}

/// The word that is being read.
#[derive(Debug, Default)]
struct Word {
    text: String,
    chars: usize,
}

impl Word {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.chars += match text.len() {
            0 | 1 => text.len(),
            _ => text.chars().count(),
        };
    }

    fn clear(&mut self) {
        self.text.clear();
        self.chars = 0;
    }
}

impl Frame {
    /// What `tokenizer` puts around a text; `None` where it does not leave the text as it is.
    fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let inner = tokenizer.encode_fast("a", false).ok()?;
        let whole = tokenizer.encode_fast("a", true).ok()?;
        let special = whole.get_special_tokens_mask();
        let before = special.iter().take_while(|mask| **mask == 1).count();
        let after = special.iter().rev().take_while(|mask| **mask == 1).count();
        let ids = whole.get_ids();
        let to = ids.len().checked_sub(after)?;
        let same = ids.get(before..to)? == inner.get_ids();
        let one_type = whole.get_type_ids().iter().all(|kind| *kind == 0);
        (same && one_type).then(|| Self {
            before: ids[..before].to_vec(),
            after: ids[to..].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use tokenizers::Tokenizer;

    use super::WordPieceTable;
    use crate::deep::tokenizer::{TextTokenizer, TokenizerKind, TokenizerSpec};

    const LEARNED: [&str; 4] = [
        "the cat sat on the mat, the dog sat on the log; playing, played, player",
        "der Bär läuft über die Straße, naïve café Ünïcödé ångström été",
        "人人生而自由 在尊严和权利上一律平等 すべての人間は 모든 인간은",
        "don't stop-me now! 3.14 (or 2,718) [x] <y> #tag @you $5 50% ½ ™ …",
    ];

    /// One that lower-cases, and one that does not.
    static TOKENIZERS: LazyLock<[TextTokenizer; 2]> = LazyLock::new(|| {
        [true, false].map(|lowercase| {
            let spec = TokenizerSpec {
                lowercase,
                min_frequency: 1,
                ..TokenizerSpec::new(TokenizerKind::WordPiece, 160)
            };
            spec.train(LEARNED).unwrap()
        })
    });

    /// What the table gives, and the library; `None` where the table leaves it to the library.
    fn both(
        table: &WordPieceTable,
        library: &Tokenizer,
        text: &str,
        framed: bool,
    ) -> Option<(Vec<u32>, Vec<u32>)> {
        let mut ids = vec![7];
        let cut = library.get_truncation().map(|cut| cut.max_length);
        if !table.encode(text, framed, cut, &mut ids) {
            assert_eq!(ids, [7]);
            return None;
        }
        let expected = library.encode_fast(text, framed).unwrap();
        Some((ids.split_off(1), expected.get_ids().to_vec()))
    }

    fn assert_same(text: &str) {
        for tokenizer in &*TOKENIZERS {
            let table = tokenizer.table.as_ref().unwrap();
            for max_length in [None, Some(5), Some(12)] {
                let encoder = tokenizer.encoder(max_length).unwrap();
                for framed in [true, false] {
                    if let Some((ids, expected)) = both(table, &encoder.inner, text, framed) {
                        assert_eq!(ids, expected, "{text:?} cut at {max_length:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn texts_of_all_kinds_are_the_librarys() {
        let mut texts: Vec<String> = LEARNED.map(str::to_owned).to_vec();
        let more = [
            "",
            "   ",
            "tab\tnew\nline\r\u{b}\u{c}",
            "a\u{0}b\u{1}c\u{7f}d\u{fffd}e",
            "İstanbul ΣΊΣΥΦΟΣ ﬁne Å e\u{301}\u{323} a\u{34f}b",
            "emoji 👩‍👩‍👧 🇫🇮 zero\u{200b}width \u{202e}rtl",
            "한국어 각각 \u{1100}\u{1161}\u{11a8}",
            "x\u{302e}\u{301}y \u{1d165}\u{1d16e}",
        ];
        texts.extend(more.map(str::to_owned));
        texts.push("a".repeat(100));
        texts.push("ä".repeat(101));
        texts.push("é".repeat(101));
        texts.iter().for_each(|text| assert_same(text));
    }

    #[test]
    fn every_character_alone_and_between_letters_is_the_librarys() {
        for tokenizer in &*TOKENIZERS {
            let table = tokenizer.table.as_ref().unwrap();
            let mut told = 0;
            // A prime step visits characters of all kinds in little time.
            for code in (0..0x11_0000).step_by(37) {
                let Some(character) = char::from_u32(code) else {
                    continue;
                };
                for text in [character.to_string(), format!("the{character}cat")] {
                    if let Some((ids, expected)) = both(table, tokenizer.inner(), &text, true) {
                        assert_eq!(ids, expected, "{text:?}");
                        told += 1;
                    }
                }
            }
            assert!(told > 50_000, "{told}");
        }
    }

    #[test]
    fn a_text_with_a_special_token_is_left_to_the_library() {
        let tokenizer = &TOKENIZERS[0];
        let table = tokenizer.table.as_ref().unwrap();
        assert!(!table.encode("a [SEP] b", true, None, &mut Vec::new()));
        let tokens = tokenizer
            .encoder(None)
            .unwrap()
            .encode(&["a [SEP] b", "a b"]);
        let sep = tokenizer.id("[SEP]").unwrap();
        let tokens = tokens.unwrap();
        let count = |ids: &[u32]| ids.iter().filter(|id| **id == sep).count();
        assert_eq!((count(&tokens[0].ids), count(&tokens[1].ids)), (2, 1));
    }

    #[test]
    fn other_tokenizers_have_no_table() {
        for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram] {
            let spec = TokenizerSpec::new(kind, 300);
            let tokenizer = spec.train(LEARNED).unwrap();
            assert!(WordPieceTable::of(tokenizer.inner()).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_the_librarys(text in "[a-eB -~ßäÉ\u{301}中ア한 \\t]{0,40}|\\PC{0,20}") {
            assert_same(&text);
        }
    }
}
