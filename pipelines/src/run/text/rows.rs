//! A table's texts on their way to a trainer: sorted by the query engine, which spills, and
//! tokenized onto the disk.

use std::fs;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility, create_udf};
use sluice_learn::Seat;
use sluice_learn::dataset::{TextRowsBuilder, TextSplits, text_row_hash};
use sluice_learn::deep::tokenizer::TextTokenizer;

use super::super::context::RunContext;
use super::super::data::{feed, first};
use super::super::error::{StageError, blocking};
use crate::plan::{ModelAsset, TextTraining};
use crate::run::split::SPLIT_COLUMN;

/// Batches that may wait for the tokenizer.
const BATCHES_AHEAD: usize = 4;
/// What the sort may hold before it spills, in bytes.
const SORT_BYTES: usize = 512 << 20;
/// The column that rows are sorted by.
const HASH: &str = "_row_hash";

/// Reads the table that a model learns from into its three parts. Memory: [`SORT_BYTES`], and
/// what [`TextSplits`] keeps a row.
pub(super) async fn read(
    run: &RunContext,
    asset: &str,
    model: &ModelAsset,
    text: &TextTraining,
    tokenizer: &TextTokenizer,
    seat: &Seat,
) -> Result<TextSplits, StageError> {
    let table = run.catalog.table(&model.from).await?;
    let table = table.ok_or_else(|| StageError::TableGone(model.from.to_string()))?;
    let named = |wanted: &str| {
        let names = table.schema.fields().iter().map(|field| field.name());
        let mut same = names.filter(|name| name.eq_ignore_ascii_case(wanted));
        same.next().map_or(wanted, String::as_str).to_owned()
    };
    let columns = [&text.text, &model.data.label, SPLIT_COLUMN].map(named);
    let session = run.session_within(Some(SORT_BYTES))?;
    let column = |name: &String| Expr::Column(Column::from_name(name));
    let [by_text, by_label, _] = &columns;
    let types = [by_text, by_label].map(|name| {
        let field = table.schema.field_with_name(name);
        field.map_or(DataType::Utf8, |field| field.data_type().clone())
    });
    let seed = text.spec.arguments().seed;
    let hash = hash_of(seed, types.to_vec()).call(vec![column(by_text), column(by_label)]);
    let mut selected: Vec<Expr> = columns.iter().map(column).collect();
    selected.push(hash.alias(HASH));
    let order = [&HASH.to_owned(), by_text, by_label].map(|name| column(name).sort(true, false));
    let stream = session
        .context()
        .read_table(table.provider)?
        .select(selected)?
        .sort(order.to_vec())?
        .execute_stream()
        .await?;
    let (tokenizer, max_length) = (tokenizer.clone(), text.max_length);
    let (schema, spec, name) = (stream.schema(), model.data.clone(), text.text.clone());
    let folder = run.world.lakehouse.sluice_path().join("tokens");
    let folder = folder.join(format!("{}-{asset}", run.run_id));
    let threads = seat.lease().threads();
    let (sender, mut batches) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    let built = blocking(move || {
        fs::create_dir_all(&folder).map_err(|source| StageError::Write {
            path: folder.display().to_string(),
            source,
        })?;
        let tokens = (&tokenizer, max_length);
        let builder = TextRowsBuilder::new(&schema, &spec, &name, tokens, &folder);
        // The files have no name any more.
        let _ = fs::remove_dir(&folder);
        let mut builder = builder.map_err(first)?;
        sluice_learn::compute::on_threads(threads, || {
            while let Some(batch) = batches.blocking_recv() {
                builder.push(&batch)?;
            }
            Ok(builder.build()?)
        })?
    });
    let (built, fed) = tokio::join!(built, feed(run, stream, sender));
    fed?;
    built
}

/// The function that gives a row its place.
fn hash_of(seed: u64, types: Vec<DataType>) -> datafusion::logical_expr::ScalarUDF {
    let hash = move |arguments: &[ColumnarValue]| {
        let rows = arguments.iter().find_map(|argument| match argument {
            ColumnarValue::Array(array) => Some(array.len()),
            ColumnarValue::Scalar(_) => None,
        });
        let arrays: Vec<ArrayRef> = arguments
            .iter()
            .map(|argument| argument.to_array(rows.unwrap_or(1)))
            .collect::<Result<_, _>>()?;
        let hashes = text_row_hash(seed, &arrays[0], &arrays[1]);
        let hashes = hashes.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ColumnarValue::Array(Arc::new(hashes) as ArrayRef))
    };
    create_udf(
        HASH,
        types,
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(hash),
    )
}
