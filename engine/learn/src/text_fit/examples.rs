//! Tokenized rows as the trainer takes them.

use crate::dataset::StoredTexts;
use crate::deep::DeepError;
use crate::deep::bert::{Targets, TextBatch, TokenBatch};
use crate::deep::tokenizer::Tokens;
use crate::deep::trainer::Examples;
use crate::features::Task;

/// The rows of a split, with what a head of `task` should answer.
pub(super) struct Rows<'a> {
    pub(super) stored: &'a StoredTexts,
    pub(super) task: Task,
    pub(super) pad_token_id: u32,
}

impl Examples for Rows<'_> {
    type Batch = TextBatch;

    fn len(&self) -> usize {
        self.stored.rows()
    }

    fn length(&self, row: usize) -> usize {
        self.stored.length(row)
    }

    fn batch(&self, rows: &[usize]) -> Result<TextBatch, DeepError> {
        let texts = rows.iter().map(|&row| self.stored.read(row));
        let texts = texts.collect::<Result<Vec<Tokens>, _>>()?;
        let labels = rows.iter().map(|&row| self.stored.labels()[row]);
        let targets = match self.task {
            Task::Regression => Targets::Numbers(labels.collect()),
            Task::Binary | Task::Multiclass => {
                Targets::Classes(labels.map(|class| class as u32).collect())
            }
        };
        let tokens = TokenBatch::padded(&texts, self.pad_token_id);
        Ok(TextBatch::new(tokens, targets))
    }

    fn fingerprint(&self) -> String {
        self.stored.fingerprint().to_owned()
    }
}
