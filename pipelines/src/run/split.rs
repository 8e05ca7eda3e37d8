//! `split`: which part of the data a row belongs to.
//!
//! A row's part follows from a seeded hash of the `by:` columns, else of its content
//! without `_*` columns: stable when rows are appended, independent of the order of rows
//! and partitions, and equal rows never straddle unless `by:` lets them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::content_hash::ContentHasher;

/// The column that `split` writes and that training reads.
pub const SPLIT_COLUMN: &str = "_split";

/// Assigns rows to parts.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// Names of the parts and the upper end of each one's share of `[0, 1)`.
    bounds: Vec<(String, f64)>,
    by: ContentHasher,
    /// Watches whole contents, where the parts are chosen by less than that.
    straddle: Option<(ContentHasher, Mutex<HashMap<u64, Seen>>)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    rows: u64,
    first_part: usize,
    straddles: bool,
}

impl Splitter {
    /// `parts` are names and shares that sum to one; `by` names columns of `schema` and is
    /// empty when the whole content decides.
    pub(crate) fn new(schema: &Schema, parts: &[(String, f64)], seed: u64, by: &[String]) -> Self {
        let mut end = 0.0;
        let mut bounds: Vec<(String, f64)> = parts
            .iter()
            .map(|(name, share)| {
                end += share;
                (name.clone(), end)
            })
            .collect();
        if let Some(last) = bounds.last_mut() {
            last.1 = f64::INFINITY;
        }
        let content = ContentHasher::new(schema, seed, |name| !name.starts_with('_'));
        if by.is_empty() {
            return Self {
                bounds,
                by: content,
                straddle: None,
            };
        }
        let chosen = |name: &str| by.iter().any(|column| column.eq_ignore_ascii_case(name));
        Self {
            bounds,
            by: ContentHasher::new(schema, seed, chosen),
            straddle: Some((content, Mutex::default())),
        }
    }

    /// The schema with `_split` at its end.
    pub(crate) fn schema(schema: &Schema) -> Schema {
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(SPLIT_COLUMN, DataType::Utf8, false)));
        Schema::new_with_metadata(fields, schema.metadata().clone())
    }

    /// The `_split` column of a batch.
    pub(crate) fn assign(&self, batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let parts: Vec<usize> = self
            .by
            .hash(batch)?
            .into_iter()
            .map(|hash| self.part_of(hash))
            .collect();
        if let Some((content, seen)) = &self.straddle {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (hash, part) in content.hash(batch)?.into_iter().zip(&parts) {
                let entry = seen.entry(hash).or_insert(Seen {
                    rows: 0,
                    first_part: *part,
                    straddles: false,
                });
                entry.rows += 1;
                entry.straddles |= entry.first_part != *part;
            }
        }
        let names = parts.iter().map(|part| self.bounds[*part].0.as_str());
        Ok(Arc::new(StringArray::from_iter_values(names)))
    }

    /// Rows that have an equal in another part. Known only with `by:` (without it there are
    /// none); takes some 32 bytes of memory for each distinct row.
    pub(crate) fn straddling_rows(&self) -> u64 {
        self.straddle.as_ref().map_or(0, |(_, seen)| {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.values()
                .filter(|entry| entry.straddles)
                .map(|entry| entry.rows)
                .sum()
        })
    }

    fn part_of(&self, hash: u64) -> usize {
        // The upper 53 bits as a number in [0, 1).
        let position = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        self.bounds
            .iter()
            .position(|(_, end)| position < *end)
            .unwrap_or(self.bounds.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};

    use super::*;

    fn parts() -> Vec<(String, f64)> {
        [("train", 0.6), ("validation", 0.2), ("test", 0.2)]
            .map(|(name, share)| (name.to_owned(), share))
            .to_vec()
    }

    fn numbers(values: impl Iterator<Item = i64>) -> RecordBatch {
        let values: Vec<i64> = values.collect();
        let group: Vec<i64> = (0..values.len() as i64).map(|row| row % 2).collect();
        RecordBatch::try_from_iter([
            ("x", Arc::new(Int64Array::from(values)) as ArrayRef),
            ("g", Arc::new(Int64Array::from(group)) as ArrayRef),
        ])
        .unwrap()
    }

    fn assigned(splitter: &Splitter, batch: &RecordBatch) -> Vec<String> {
        let parts = splitter.assign(batch).unwrap();
        parts
            .as_string::<i32>()
            .iter()
            .map(|part| part.unwrap().to_owned())
            .collect()
    }

    #[test]
    fn shares_are_kept_and_a_row_stays_where_it_is() {
        let batch = numbers(0..20_000);
        let splitter = Splitter::new(&batch.schema(), &parts(), 123, &[]);
        let all = assigned(&splitter, &batch);
        for (name, share) in parts() {
            let count = all.iter().filter(|part| **part == name).count() as f64;
            assert!((count / 20_000.0 - share).abs() < 0.015, "{name}: {count}");
        }
        let tail = assigned(&splitter, &batch.slice(19_000, 1_000));
        assert_eq!(all[19_000..], tail[..]);
        assert_eq!(splitter.straddling_rows(), 0);
    }

    #[test]
    fn rows_that_straddle_are_counted_when_chosen_columns_let_them() {
        // Each x stands twice, once in group 0 and once in group 1: contents differ.
        let distinct = numbers((0..100).map(|row| row / 2));
        let by_x = Splitter::new(&distinct.schema(), &parts(), 1, &["X".to_owned()]);
        by_x.assign(&distinct).unwrap();
        assert_eq!(by_x.straddling_rows(), 0);

        // Equal x in all rows and an `_id` that decides: equal contents straddle.
        let rows = RecordBatch::try_from_iter([
            ("x", Arc::new(Int64Array::from(vec![1; 50])) as ArrayRef),
            (
                "_id",
                Arc::new(Int64Array::from_iter_values(0..50)) as ArrayRef,
            ),
        ])
        .unwrap();
        let by_id = Splitter::new(&rows.schema(), &parts(), 1, &["_id".to_owned()]);
        by_id.assign(&rows).unwrap();
        assert_eq!(by_id.straddling_rows(), 50);
    }
}
