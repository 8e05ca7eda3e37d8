//! Texts as sparse vectors of their words: scikit-learn's `TfidfVectorizer` with its defaults.

use std::collections::{BTreeMap, HashMap};

/// Rows of a sparse matrix (CSR).
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRows {
    /// Where each row ends in the two others.
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl SparseRows {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The columns and values of each row.
    pub(super) fn iter(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, f64)> + Clone> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| {
            let columns = self.columns[start..end].iter();
            let values = self.values[start..end].iter();
            columns.zip(values).map(|(&c, &v)| (c as usize, v))
        })
    }

    /// Adds a row whose values are scaled to a length of 1.
    fn push(&mut self, row: &BTreeMap<u32, f64>) {
        let length = row.values().map(|value| value * value).sum::<f64>().sqrt();
        let length = if length > 0.0 { length } else { 1.0 };
        self.columns.extend(row.keys());
        self.values.extend(row.values().map(|value| value / length));
        self.ends.push(self.columns.len());
    }
}

/// What makes vectors of texts: the columns of words and their weights.
#[derive(Debug, Clone)]
pub(super) struct Vectorizer {
    columns: HashMap<String, u32>,
    /// By column: `ln((1 + texts) / (1 + texts with the word)) + 1` (`smooth_idf`).
    idf: Vec<f64>,
}

impl Vectorizer {
    /// Learns the words of texts, `most` at most: the most frequent ones, of equally frequent
    /// ones the first in the order of their characters. `None` when there is none.
    pub(super) fn fit<'t>(texts: impl Iterator<Item = &'t str>, most: usize) -> Option<Self> {
        /// How often a word occurs, and in how many texts; the last of them.
        #[derive(Default)]
        struct Seen {
            times: u64,
            texts: u64,
            last: u64,
        }
        let mut seen: HashMap<String, Seen> = HashMap::new();
        let mut count = 0_u64;
        for text in texts {
            count += 1;
            each_word(text, |word| {
                // Looked up before it is owned: most words are known.
                if !seen.contains_key(word) {
                    seen.insert(word.to_owned(), Seen::default());
                }
                let Some(seen) = seen.get_mut(word) else {
                    return;
                };
                seen.times += 1;
                if seen.last != count {
                    seen.last = count;
                    seen.texts += 1;
                }
            });
        }
        let mut words: Vec<(String, Seen)> = seen.into_iter().collect();
        words.sort_unstable_by(|(a, one), (b, other)| {
            other.times.cmp(&one.times).then_with(|| a.cmp(b))
        });
        words.truncate(most);
        words.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if words.is_empty() {
            return None;
        }
        let idf = |seen: &Seen| ((1 + count) as f64 / (1 + seen.texts) as f64).ln() + 1.0;
        Some(Self {
            idf: words.iter().map(|(_, seen)| idf(seen)).collect(),
            columns: words.into_iter().map(|(word, _)| word).zip(0..).collect(),
        })
    }

    /// Words that are known.
    pub(super) fn len(&self) -> usize {
        self.idf.len()
    }

    pub(super) fn column(&self, word: &str) -> Option<usize> {
        self.columns.get(word).map(|&column| column as usize)
    }

    pub(super) fn idf(&self, word: &str) -> Option<f64> {
        Some(self.idf[self.column(word)?])
    }

    /// Adds a text's vector: how often each known word occurs, by how rare the word is.
    pub(super) fn push(&self, text: &str, rows: &mut SparseRows) {
        let mut row: BTreeMap<u32, f64> = BTreeMap::new();
        each_word(text, |word| {
            if let Some(&column) = self.columns.get(word) {
                *row.entry(column).or_default() += 1.0;
            }
        });
        for (&column, value) in &mut row {
            *value *= self.idf[column as usize];
        }
        rows.push(&row);
    }
}

/// Calls for each word of a text in lower case: two or more letters, digits or `_` in a row
/// (`(?u)\b\w\w+\b`; what a letter is, Unicode's `Alphabetic` says here).
fn each_word(text: &str, mut call: impl FnMut(&str)) {
    let lower = text.to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    for word in lower.split(|c: char| !is_part(c)) {
        if word.chars().nth(1).is_some() {
            call(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_two_characters_or_more_in_lower_case() {
        let mut words = Vec::new();
        each_word("It's GOOD: 10/10, naïve_é a b.", |word| {
            words.push(word.to_owned());
        });
        assert_eq!(words, ["it", "good", "10", "10", "naïve_é"]);
    }

    #[test]
    fn the_most_frequent_words_are_kept() {
        let texts = ["bb aa", "cc bb", "dd"];
        let two = Vectorizer::fit(texts.into_iter(), 2).unwrap();
        assert_eq!(
            two.column("aa"),
            Some(0),
            "the first of those that occur once"
        );
        assert_eq!(two.column("bb"), Some(1));
        assert_eq!(two.column("cc"), None);
        assert!(Vectorizer::fit(["a", "!"].into_iter(), 9).is_none());
    }

    #[test]
    fn a_text_without_a_known_word_is_a_row_of_nothing() {
        let known = Vectorizer::fit(["good film"].into_iter(), 9).unwrap();
        let mut rows = SparseRows::default();
        known.push("", &mut rows);
        known.push("good good", &mut rows);
        let rows: Vec<Vec<(usize, f64)>> = rows.iter().map(Iterator::collect).collect();
        assert_eq!(rows, [vec![], vec![(1, 1.0)]]);
    }
}
