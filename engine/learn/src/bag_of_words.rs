//! A baseline for models of text: which words occur, weighted by how rare they are, and a
//! linear model over them. What a model with a hundred times its parameters should beat.
//!
//! It is scikit-learn's `TfidfVectorizer()` followed by `LogisticRegression()`, both with
//! their defaults, fitted until nothing moves any more. [`words`] makes the vectors,
//! [`logistic`] fits them. Entry point: [`BagOfWords::fit`].
//!
//! Memory: 12 bytes for each different word of each text, and 20 numbers for each word of the
//! vocabulary and each class.

mod logistic;
mod words;

use logistic::Logistic;
use words::{SparseRows, Vectorizer};

/// Words that the vocabulary holds at most, the most frequent ones (`max_features`).
pub const MAX_WORDS: usize = 50_000;
/// Weights that are fitted at most: with many classes the vocabulary is smaller.
const MAX_WEIGHTS: usize = 1_000_000;
/// The inverse of the regularisation's strength (`C`).
const C: f64 = 1.0;

/// A fitted baseline.
#[derive(Debug, Clone)]
pub struct BagOfWords {
    vectorizer: Vectorizer,
    logistic: Logistic,
    classes: usize,
}

impl BagOfWords {
    /// Fits it to texts with the codes of their classes, of which there are `classes`, two at
    /// least. The order of the texts does not matter. `None` when not a word is in them, or
    /// fewer than two classes.
    pub fn fit(mut texts: Vec<(String, u32)>, classes: usize) -> Option<Self> {
        let known = |code: u32| (code as usize) < classes;
        texts.retain(|(_, code)| known(*code));
        // One order, one sum, one model.
        texts.sort_unstable();
        let first = texts.first()?.1;
        if classes < 2 || texts.iter().all(|(_, code)| *code == first) {
            return None;
        }
        let outputs = if classes == 2 { 1 } else { classes };
        let most = MAX_WORDS.min(MAX_WEIGHTS / outputs);
        let vectorizer = Vectorizer::fit(texts.iter().map(|(text, _)| text.as_str()), most)?;
        let mut rows = SparseRows::default();
        for (text, _) in &texts {
            vectorizer.push(text, &mut rows);
        }
        let codes: Vec<u32> = texts.iter().map(|(_, code)| *code).collect();
        let logistic = Logistic::fit(&rows, vectorizer.len(), &codes, classes, C);
        Some(Self {
            vectorizer,
            logistic,
            classes,
        })
    }

    /// Predictions as a model gives them: of two classes the probability of the second, of
    /// several the probability of each, row-major `[rows, classes]`. A text without a known
    /// word has what the intercepts say, and so has a missing one.
    pub fn predict<'t>(&self, texts: impl IntoIterator<Item = Option<&'t str>>) -> Vec<f64> {
        let mut rows = SparseRows::default();
        for text in texts {
            self.vectorizer.push(text.unwrap_or_default(), &mut rows);
        }
        self.logistic.predict(&rows)
    }

    /// Words of the vocabulary.
    pub fn words(&self) -> usize {
        self.vectorizer.len()
    }

    /// Classes that it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// A word's weight for each output, if it is in the vocabulary.
    pub fn weights(&self, word: &str) -> Option<Vec<f64>> {
        let column = self.vectorizer.column(word)?;
        Some(self.logistic.weights(column))
    }

    /// The intercept of each output.
    pub fn intercepts(&self) -> &[f64] {
        self.logistic.intercepts()
    }

    /// How rare a word is: `ln((1 + texts) / (1 + texts with it)) + 1`.
    pub fn idf(&self, word: &str) -> Option<f64> {
        self.vectorizer.idf(word)
    }
}
