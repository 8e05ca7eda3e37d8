//! The place of a row on a Z-order curve through several columns.
//!
//! A value counts by its rank among a sample of the column's values, so that columns of any type
//! and range share the curve evenly; the bits of the ranks are interleaved (G. M. Morton, "A
//! computer oriented geodetic data base", 1966).

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, UInt64Array},
    datatypes::{DataType, Schema},
    row::{OwnedRow, RowConverter, SortField},
};
use datafusion::{
    common::Column,
    error::DataFusionError,
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
    },
    prelude::DataFrame,
};
use futures::TryStreamExt;

/// So many values of a column are compared with at most.
const SAMPLED: usize = 4096;
/// Bits of a rank: as many as it takes to count [`SAMPLED`].
const RANK_BITS: u32 = 12;
/// The most columns whose ranks fit into the 64 bits of a key.
const MOST_COLUMNS: usize = (u64::BITS / RANK_BITS) as usize;

/// What to sort `rows` by, so that rows with near values in all of `columns` lie together. Reads
/// these columns once. Of more than five columns the first five count.
pub(super) async fn key(rows: &DataFrame, columns: &[String]) -> Result<Expr, DataFusionError> {
    let columns = &columns[..columns.len().min(MOST_COLUMNS)];
    let columns = columns
        .iter()
        .map(|column| Expr::Column(Column::from_name(column)));
    let columns: Vec<Expr> = columns.collect();
    let sampled = rows.clone().select(columns.clone())?;
    let ranks = Ranks::sample(sampled).await?;
    let curve = ScalarUDF::from(ZOrderKey::new(ranks));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(curve),
        columns,
    )))
}

/// The values of each column that others are compared with, in order.
#[derive(Debug)]
struct Ranks {
    columns: Vec<(RowConverter, Vec<OwnedRow>)>,
}

impl Ranks {
    /// Every row while they are few; then every second, fourth and so on.
    async fn sample(rows: DataFrame) -> Result<Self, DataFusionError> {
        let schema: Schema = rows.schema().as_arrow().clone();
        let fields = schema.fields().iter();
        let converter = |ty: &DataType| RowConverter::new(vec![SortField::new(ty.clone())]);
        let columns: Result<Vec<_>, _> = fields
            .map(|field| converter(field.data_type()).map(|converter| (converter, Vec::new())))
            .collect();
        let mut ranks = Self { columns: columns? };
        let mut batches = rows.execute_stream().await?;
        let (mut seen, mut step) = (0_usize, 1_usize);
        while let Some(batch) = batches.try_next().await? {
            let first = (step - seen % step) % step;
            let taken: Vec<usize> = (first..batch.num_rows()).step_by(step).collect();
            seen += batch.num_rows();
            for ((converter, values), array) in ranks.columns.iter_mut().zip(batch.columns()) {
                let all = converter.convert_columns(&[Arc::clone(array)])?;
                values.extend(taken.iter().map(|at| all.row(*at).owned()));
            }
            while ranks.len() > SAMPLED {
                step *= 2;
                for (_, values) in &mut ranks.columns {
                    let mut number = 0;
                    values.retain(|_| {
                        number += 1;
                        number % 2 == 1
                    });
                }
            }
        }
        for (_, values) in &mut ranks.columns {
            values.sort_unstable();
            values.dedup();
        }
        Ok(ranks)
    }

    fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// The rank of each value of a column, spread over all bits.
    fn of(&self, column: usize, values: &ArrayRef) -> Result<Vec<u64>, DataFusionError> {
        let (converter, sorted) = &self.columns[column];
        let rows = converter.convert_columns(&[Arc::clone(values)])?;
        let most = sorted.len().max(1) as u64;
        let rank = |row: arrow::row::Row<'_>| {
            let below = sorted.partition_point(|value| value.row() < row) as u64;
            // Few different values shall count as much as many.
            ((below << RANK_BITS) / most).min((1 << RANK_BITS) - 1)
        };
        Ok(rows.iter().map(rank).collect())
    }
}

/// Bits of the ranks in turn, the highest first.
fn interleave(ranks: &[u64]) -> u64 {
    let mut key = 0;
    for bit in (0..RANK_BITS).rev() {
        for rank in ranks {
            key = (key << 1) | ((rank >> bit) & 1);
        }
    }
    key
}

/// The function that gives a row its place.
#[derive(Debug)]
struct ZOrderKey {
    signature: Signature,
    ranks: Ranks,
    /// Tells this function from that of other rows.
    id: uuid::Uuid,
}

impl ZOrderKey {
    fn new(ranks: Ranks) -> Self {
        Self {
            signature: Signature::variadic_any(Volatility::Immutable),
            ranks,
            id: uuid::Uuid::now_v7(),
        }
    }
}

impl PartialEq for ZOrderKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ZOrderKey {}

impl std::hash::Hash for ZOrderKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl ScalarUDFImpl for ZOrderKey {
    fn name(&self) -> &str {
        "zorder_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> Result<ColumnarValue, DataFusionError> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let columns = columns.iter().enumerate();
        let ranks: Result<Vec<Vec<u64>>, _> = columns
            .map(|(column, values)| self.ranks.of(column, values))
            .collect();
        let ranks = ranks?;
        let rows = ranks.first().map_or(0, Vec::len);
        let mut row = vec![0; ranks.len()];
        let keys = (0..rows).map(|at| {
            for (rank, column) in row.iter_mut().zip(&ranks) {
                *rank = column[at];
            }
            interleave(&row)
        });
        let keys: UInt64Array = keys.collect();
        Ok(ColumnarValue::Array(Arc::new(keys)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Int64Array, RecordBatch, StringArray},
        datatypes::Field,
    };
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn bits_take_turns() {
        let top = 1 << (RANK_BITS - 1);
        assert_eq!(interleave(&[top, 0]), 1 << (2 * RANK_BITS - 1));
        assert_eq!(interleave(&[0, top]), 1 << (2 * RANK_BITS - 2));
        assert_eq!(interleave(&[1, 1]), 0b11);
        assert_eq!(interleave(&[5]), 5);
    }

    #[tokio::test]
    async fn near_values_of_both_columns_lie_together() {
        // A grid of 64 by 64, one side of it in numbers a million apart, the other in texts.
        let points = (0..4096_i64).map(|at| (at / 64, at * 37 % 64));
        let (xs, ys): (Vec<i64>, Vec<i64>) = points.unzip();
        let schema = Schema::new(vec![
            Field::new("x", DataType::Int64, true),
            Field::new("y", DataType::Utf8, true),
        ]);
        let texts = ys.iter().map(|y| Some(format!("place {y:03}")));
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from_iter(xs.iter().map(|x| x * 1_000_000))),
                Arc::new(texts.collect::<StringArray>()),
            ],
        );
        let rows = SessionContext::new().read_batch(batch.unwrap()).unwrap();
        let by = ["x".to_owned(), "y".to_owned()];
        let key = key(&rows, &by).await.unwrap();
        let sorted = rows.sort(vec![key.sort(true, true)]).unwrap();
        let sorted = sorted.collect().await.unwrap();
        let sorted = arrow::compute::concat_batches(&sorted[0].schema(), &sorted).unwrap();
        // A sixteenth of the rows spans about a quarter of each side, and not all of one.
        for part in 0..16 {
            let part = sorted.slice(part * 256, 256);
            let x = part
                .column(0)
                .as_any()
                .downcast_ref::<Int64Array>()
                .unwrap();
            let x = x.values().iter().map(|x| x / 1_000_000);
            let y = part
                .column(1)
                .as_any()
                .downcast_ref::<StringArray>()
                .unwrap();
            let y = y.iter().map(|y| y.unwrap()[6..].parse::<i64>().unwrap());
            for values in [x.collect::<Vec<_>>(), y.collect()] {
                let span = values.iter().max().unwrap() - values.iter().min().unwrap();
                assert!(span < 34, "{span}");
            }
        }
    }
}
