//! Texts with their labels as a trainer takes them: tokens on disk, the rest in memory.
//!
//! Rows are fed in the order of [`text_row_hash`], then of text and label, which a query
//! engine sorts by without holding them all; the order of files and partitions then changes
//! nothing. What stays in memory is 12 bytes a row (and 24 while rows arrive); the tokens,
//! 4 bytes each, lie in a file that is gone with its [`StoredTexts`].

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::datatypes::Schema;

use super::builder::read_splits;
use super::label::{Classes, LabelReader};
use super::spec::{SelectedColumn, selected, split_column};
use super::{DatasetSpec, Split, Straddling};
use crate::deep::DeepError;
use crate::deep::tokenizer::{TextEncoder, TextTokenizer, Tokens};
use crate::error::LearnError;
use crate::features::{
    Feature, FeatureKind, FeaturePlan, Interface, Target, category_texts, is_text,
};

/// Texts that are tokenized at a time.
const TOKENIZED: usize = 1024;

/// The columns that a text model reads.
#[derive(Debug, Clone)]
struct TextSelection {
    text: SelectedColumn,
    label: SelectedColumn,
    target: Target,
    split: SelectedColumn,
}

impl TextSelection {
    fn feature(&self) -> Feature {
        Feature {
            name: self.text.name.clone(),
            data_type: self.text.data_type.to_string(),
            kind: FeatureKind::Text,
        }
    }
}

impl DatasetSpec {
    /// What a model that reads the column `text` of such a table takes and gives. Only the
    /// label and the task of the spec count.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the columns, at once.
    pub fn text_interface(
        &self,
        text: &str,
        schema: &Schema,
    ) -> Result<Interface, Vec<LearnError>> {
        let selection = self.select_text(text, schema)?;
        Ok(Interface {
            features: vec![selection.feature()],
            target: selection.target,
        })
    }

    fn select_text(&self, text: &str, schema: &Schema) -> Result<TextSelection, Vec<LearnError>> {
        let mut errors = Vec::new();
        let position = self.find(schema, "text", text, &mut errors);
        let label = self.find(schema, "label", &self.label, &mut errors);
        if position.is_some() && position == label {
            errors.push(LearnError::TextIsLabel {
                column: self.label.clone(),
            });
        }
        let label = label.and_then(|position| self.label_column(schema, position, &mut errors));
        let split = split_column(schema, &mut errors);
        let text = position.map(|position| selected(schema, position, false));
        let text = text.filter(|text| {
            let fits = is_text(&text.data_type);
            if !fits {
                errors.push(LearnError::TextType {
                    column: text.name.clone(),
                    data_type: text.data_type.clone(),
                });
            }
            fits
        });
        match (text, label, split) {
            (Some(text), Some((label, target)), Some(split)) if errors.is_empty() => {
                Ok(TextSelection {
                    text,
                    label,
                    target,
                    split,
                })
            }
            _ => Err(errors),
        }
    }
}

/// The seeded hash of each row: the first 64 bits of BLAKE3 over the seed, the text and the
/// label. Rows are learned in its order.
///
/// # Errors
///
/// Columns that Arrow cannot turn into text.
pub fn text_row_hash(
    seed: u64,
    text: &ArrayRef,
    label: &ArrayRef,
) -> Result<UInt64Array, LearnError> {
    let texts = category_texts("text", text)?;
    let labels = category_texts("label", label)?;
    let rows = texts.iter().zip(labels.iter());
    let hashes = rows.map(|(text, label)| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        put(&mut hasher, text);
        put(&mut hasher, label);
        let mut first = [0_u8; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    });
    Ok(UInt64Array::from_iter_values(hashes))
}

/// A text that may be missing, so that no two rows spell the same.
fn put(hasher: &mut blake3::Hasher, text: Option<&str>) {
    match text {
        None => {
            hasher.update(&[0]);
        }
        Some(text) => {
            hasher.update(&[1]);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
}

/// Takes a table's rows in their order and builds its splits.
#[derive(Debug)]
pub struct TextRowsBuilder {
    selection: TextSelection,
    labels: LabelReader,
    encoder: TextEncoder,
    parts: [Part; 3],
    group: Group,
    straddling: Straddling,
    without_text: usize,
    digest: blake3::Hasher,
}

/// Equal rows, which arrive one after the other.
#[derive(Debug, Default)]
struct Group {
    text: String,
    label: f64,
    rows: [usize; 3],
}

impl TextRowsBuilder {
    /// A builder for tables of this schema, whose texts are cut at so many tokens; tokens are
    /// kept in files of the existing folder `dir`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the columns, at once; files that cannot be made.
    pub fn new(
        schema: &Schema,
        spec: &DatasetSpec,
        text: &str,
        (tokenizer, max_length): (&TextTokenizer, usize),
        dir: &Path,
    ) -> Result<Self, Vec<LearnError>> {
        let selection = spec.select_text(text, schema)?;
        let encoder = tokenizer.encoder(Some(max_length));
        let encoder = encoder.map_err(|error| vec![error.into()])?;
        let mut digest = blake3::Hasher::new();
        put(&mut digest, Some(tokenizer.json()));
        let part = |split: Split| Part::create(dir, split).map_err(|error| vec![error.into()]);
        Ok(Self {
            labels: LabelReader::new(&selection.label.name, selection.target),
            encoder,
            parts: [
                part(Split::Train)?,
                part(Split::Validation)?,
                part(Split::Test)?,
            ],
            group: Group::default(),
            straddling: Straddling::default(),
            without_text: 0,
            digest,
            selection,
        })
    }

    /// Takes a batch that holds the columns by name, on the threads of rayon's current pool.
    ///
    /// # Errors
    ///
    /// An unknown `_split`, a text that the tokenizer refuses, files that cannot be written.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), LearnError> {
        let texts = self.column(batch, &self.selection.text)?;
        let present = is_not_null(texts).map_err(|source| LearnError::Arrow {
            column: self.selection.text.name.clone(),
            source,
        })?;
        let missing = batch.num_rows() - present.true_count();
        self.without_text += missing;
        let filtered = filter_record_batch(batch, &present);
        let batch = filtered.map_err(|source| LearnError::Arrow {
            column: self.selection.text.name.clone(),
            source,
        })?;
        let splits = read_splits(self.column(&batch, &self.selection.split)?)?;
        let labels = self
            .labels
            .read(self.column(&batch, &self.selection.label)?)?;
        let texts = category_texts(
            &self.selection.text.name,
            self.column(&batch, &self.selection.text)?,
        )?;
        let texts: Vec<&str> = texts.iter().flatten().collect();
        for from in (0..texts.len()).step_by(TOKENIZED) {
            let to = texts.len().min(from + TOKENIZED);
            let tokens = self.encoder.encode(&texts[from..to])?;
            for (row, tokens) in (from..to).zip(&tokens) {
                let split = splits[row];
                self.count(split, texts[row], labels[row]);
                self.parts[split as usize].push(tokens, labels[row])?;
            }
        }
        Ok(())
    }

    fn column<'b>(
        &self,
        batch: &'b RecordBatch,
        wanted: &SelectedColumn,
    ) -> Result<&'b ArrayRef, LearnError> {
        batch
            .column_by_name(&wanted.name)
            .ok_or_else(|| LearnError::UnknownColumn {
                role: "from",
                column: wanted.name.clone(),
                nearest: None,
            })
    }

    /// Takes a row into the digest, and into its group of equal rows.
    fn count(&mut self, split: Split, text: &str, label: f64) {
        self.digest.update(&[split as u8]);
        put(&mut self.digest, Some(text));
        let class = (!label.is_nan()).then(|| self.labels.class(label).to_string());
        put(&mut self.digest, class.as_deref());
        let same = self.group.text == text && self.group.label.to_bits() == label.to_bits();
        if !same {
            self.end_group();
            text.clone_into(&mut self.group.text);
            self.group.label = label;
        }
        self.group.rows[split as usize] += 1;
    }

    fn end_group(&mut self) {
        let [train, validation, test] = std::mem::take(&mut self.group.rows);
        if train > 0 {
            self.straddling.validation += validation;
            self.straddling.test += test;
        }
    }

    /// The splits.
    ///
    /// # Errors
    ///
    /// No training row, missing labels, too few or too many classes, or one that no training
    /// row has; files that cannot be written.
    pub fn build(mut self) -> Result<TextSplits, LearnError> {
        self.end_group();
        let no_rows = self.parts.iter().all(|part| part.labels.is_empty());
        let train = &self.parts[Split::Train as usize].labels;
        if train.is_empty() {
            let need = match (no_rows, self.without_text) {
                (true, 0) => "the table has no rows at all",
                (true, _) => "the text is NULL in all rows of the table",
                _ => "models are fitted on it, so check the table's split and filters",
            };
            return Err(LearnError::EmptySplit {
                split: Split::Train,
                need,
            });
        }
        let classes = self.labels.finish(train)?;
        let plan = FeaturePlan {
            features: vec![self.selection.feature()],
            label: classes.label.clone(),
        };
        let json = serde_json::to_vec(&plan).expect("names and types have a JSON form");
        self.digest.update(&json);
        let [train, validation, test] = self.parts;
        Ok(TextSplits {
            plan: Arc::new(plan),
            train: train.finish(&classes)?,
            validation: validation.finish(&classes)?,
            test: test.finish(&classes)?,
            straddling: self.straddling,
            without_text: self.without_text,
            digest: self.digest.finalize().to_hex()[..32].to_owned(),
        })
    }
}

/// A table's three splits, as a text model learns from them.
#[derive(Debug)]
pub struct TextSplits {
    /// The text's column, and the label with its classes.
    pub plan: Arc<FeaturePlan>,
    /// What models are fitted on; every class occurs.
    pub train: StoredTexts,
    /// What the best weights are chosen by.
    pub validation: StoredTexts,
    /// What the result is judged by.
    pub test: StoredTexts,
    /// Rows that other splits share with the train split.
    pub straddling: Straddling,
    /// Rows without a text, which are left out.
    pub without_text: usize,
    /// What identifies the rows: 32 hexadecimal digits of BLAKE3 over the tokenizer, and the
    /// texts and labels of each split, whatever files they come from.
    pub digest: String,
}

impl TextSplits {
    /// One of the splits.
    pub fn get(&self, split: Split) -> &StoredTexts {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}

/// Tokenized texts of one split while they arrive.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: BufWriter<File>,
    /// Where each row's tokens end, in tokens.
    ends: Vec<u64>,
    labels: Vec<f64>,
    digest: blake3::Hasher,
}

impl Part {
    fn create(dir: &Path, split: Split) -> Result<Self, DeepError> {
        let path = dir.join(format!("{split}.tokens"));
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = opened.map_err(DeepError::io("make", &path))?;
        // Open files need no name where the system is a Unix, and then nothing is left
        // behind by a process that is killed; elsewhere it is removed at the end.
        let _ = fs::remove_file(&path);
        Ok(Self {
            path,
            file: BufWriter::new(file),
            ends: Vec::new(),
            labels: Vec::new(),
            digest: blake3::Hasher::new(),
        })
    }

    fn push(&mut self, tokens: &Tokens, label: f64) -> Result<(), DeepError> {
        let bytes: Vec<u8> = tokens.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        self.digest.update(&(tokens.ids.len() as u64).to_le_bytes());
        self.digest.update(&bytes);
        let written = self.file.write_all(&bytes);
        written.map_err(DeepError::io("write", &self.path))?;
        let end = self.ends.last().copied().unwrap_or(0) + tokens.ids.len() as u64;
        self.ends.push(end);
        self.labels.push(label);
        Ok(())
    }

    fn finish(mut self, classes: &Classes) -> Result<StoredTexts, DeepError> {
        let labels: Vec<f32> = self.labels.iter().map(|&v| classes.code(v)).collect();
        for label in &labels {
            self.digest.update(&label.to_bits().to_le_bytes());
        }
        let path = self.path;
        let file = self.file.into_inner();
        let file = file.map_err(|error| DeepError::io("write", &path)(error.into_error()))?;
        Ok(StoredTexts {
            file: Mutex::new(file),
            path,
            ends: self.ends,
            labels,
            fingerprint: self.digest.finalize().to_hex().to_string(),
        })
    }
}

/// Tokenized texts of one split, with what they should be answered with.
#[derive(Debug)]
pub struct StoredTexts {
    file: Mutex<File>,
    path: PathBuf,
    ends: Vec<u64>,
    labels: Vec<f32>,
    fingerprint: String,
}

impl StoredTexts {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Tokens of all rows, special ones included.
    pub fn tokens(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The labels `[rows]`: the number to predict, or the position of the row's class among
    /// those of the label.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// Tokens of a row.
    pub fn length(&self, row: usize) -> usize {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        (self.ends[row] - start) as usize
    }

    /// Tokens of the longest row.
    pub fn longest(&self) -> usize {
        (0..self.rows())
            .map(|row| self.length(row))
            .max()
            .unwrap_or(0)
    }

    /// What says that these are the same rows as another time.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A row's tokens.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn read(&self, row: usize) -> Result<Tokens, DeepError> {
        let length = self.length(row);
        let mut bytes = vec![0_u8; length * 4];
        let start = (self.ends[row] - length as u64) * 4;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(DeepError::io("read", &self.path))?;
        let (ids, _) = bytes.as_chunks::<4>();
        Ok(Tokens {
            ids: ids.iter().map(|id| u32::from_le_bytes(*id)).collect(),
            first: length,
        })
    }
}

impl Drop for StoredTexts {
    fn drop(&mut self) {
        // Mostly it has lost its name already.
        let _ = fs::remove_file(&self.path);
    }
}
