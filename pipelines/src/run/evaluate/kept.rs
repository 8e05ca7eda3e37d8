//! The rows of a table that rank highest, whatever the order in which they come.
//!
//! Memory: the rows that are kept, twice while a batch is looked at, and that batch.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};

use crate::run::error::StageError;

/// What a row is ranked by: its figure, and among equal ones the hash of its content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rank {
    pub(crate) figure: f64,
    pub(crate) key: u64,
}

impl Rank {
    /// The highest first.
    fn order(&self, other: &Self) -> Ordering {
        let figures = other.figure.total_cmp(&self.figure);
        figures.then(self.key.cmp(&other.key))
    }
}

/// The rows that rank highest so far, the highest first.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    most: usize,
    ranks: Vec<Rank>,
    rows: Option<RecordBatch>,
}

impl Kept {
    /// Keeps `most` rows.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Looks at the rows of a batch, of which only those that `ranks` has a figure for count.
    pub(crate) fn offer(
        &mut self,
        batch: &RecordBatch,
        ranks: &[Option<Rank>],
    ) -> Result<(), StageError> {
        let lowest = self.ranks.last().filter(|_| self.ranks.len() >= self.most);
        let rises = |rank: &Rank| lowest.is_none_or(|lowest| rank.order(lowest).is_lt());
        let mut chosen: Vec<(Rank, u32)> = ranks
            .iter()
            .zip(0..)
            .filter_map(|(rank, row)| Some(((*rank)?, row)))
            .filter(|(rank, _)| rises(rank))
            .collect();
        if chosen.is_empty() || self.most == 0 {
            return Ok(());
        }
        chosen.sort_by(|(a, _), (b, _)| a.order(b));
        chosen.truncate(self.most);
        let rows: UInt32Array = chosen.iter().map(|(_, row)| *row).collect();
        let new = owned(&take_record_batch(batch, &rows)?)?;
        let all = match self.rows.take() {
            Some(before) => concat_batches(&new.schema(), [&before, &new])?,
            None => new,
        };
        let mut ranked: Vec<(Rank, u32)> = self.ranks.drain(..).zip(0..).collect();
        let before = ranked.len() as u32;
        ranked.extend(chosen.into_iter().map(|(rank, _)| rank).zip(before..));
        ranked.sort_by(|(a, _), (b, _)| a.order(b));
        ranked.truncate(self.most);
        let order: UInt32Array = ranked.iter().map(|(_, row)| *row).collect();
        self.rows = Some(take_record_batch(&all, &order)?);
        self.ranks = ranked.into_iter().map(|(rank, _)| rank).collect();
        Ok(())
    }

    /// The rows, the highest first; `None` when there are none.
    pub(crate) fn rows(self) -> Option<RecordBatch> {
        self.rows
    }
}

/// The same rows in columns that hold no bytes of others.
fn owned(batch: &RecordBatch) -> Result<RecordBatch, StageError> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8),
            DataType::BinaryView => cast(column, &DataType::Binary),
            _ => Ok(ArrayRef::clone(column)),
        });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| {
            let field = field.as_ref().clone();
            field
                .with_data_type(column.data_type().clone())
                .with_nullable(true)
        })
        .collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn the_highest_are_kept_whatever_the_batches() {
        let batch = |ids: &[i64]| {
            let texts = ids.iter().map(|id| Some(format!("a text of row {id}")));
            RecordBatch::try_from_iter([
                ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef),
                (
                    "text",
                    Arc::new(StringViewArray::from_iter(texts)) as ArrayRef,
                ),
            ])
            .unwrap()
        };
        // Figures come three times each; row 13 does not count.
        let rank = |id: &i64| {
            (*id != 13).then_some(Rank {
                figure: (id % 5) as f64,
                key: *id as u64,
            })
        };
        let mut ids: Vec<i64> = (0..15).collect();
        for size in [1, 4, 15] {
            ids.rotate_left(size);
            let mut kept = Kept::new(4);
            for ids in ids.chunks(size) {
                let ranks: Vec<Option<Rank>> = ids.iter().map(rank).collect();
                kept.offer(&batch(ids), &ranks).unwrap();
            }
            let rows = kept.rows().unwrap();
            let ids = rows.column(0).as_primitive::<Int64Type>().values();
            assert_eq!(ids, &[4, 9, 14, 3]);
            assert_eq!(
                rows.column(1).as_string::<i32>().value(3),
                "a text of row 3"
            );
        }
        let mut none = Kept::new(0);
        none.offer(&batch(&[1]), &[rank(&1)]).unwrap();
        assert!(none.rows().is_none());
    }
}
