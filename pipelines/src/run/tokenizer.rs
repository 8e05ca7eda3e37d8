//! Makes tokenizers: takes them from a file, or trains them on texts, and registers them.
//!
//! A tokenizer's bare name stands for its last version. So a version is taken over only if it
//! is the last one and was made of the same; else there is a new one.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;
use serde_json::{Map, Value};
use sluice_lake::TableName;
use sluice_lake::registry::{
    ColumnType, ModelFormat, ModelVersion, NewVersion, Signature, SignatureColumn, TOKENIZER_FILE,
    TableVersion,
};
use sluice_lake::state::AssetKey;
use sluice_learn::deep::tokenizer::{TextTokenizer, TokenizerTrainer};

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::split::SPLIT_COLUMN;
use crate::events::EventKind;
use crate::plan::fingerprint::{Fingerprint, METADATA_KEY};
use crate::plan::tokenizer::content_hash;
use crate::plan::{Asset, TokenizerAsset, TokenizerSource};

/// Batches that may wait for the trainer.
const BATCHES_AHEAD: usize = 4;

/// Rows between two words on how far the counting is.
const ROWS_TOLD: u64 = 1_000_000;

/// What came of a tokenizer stage.
pub(crate) struct Made {
    pub(crate) version: i64,
    /// Why there is no new version, if so.
    pub(crate) note: Option<String>,
}

/// A tokenizer, and the data that it was trained on.
struct Ready {
    tokenizer: TextTokenizer,
    inputs: Vec<TableVersion>,
}

/// Makes a tokenizer asset.
pub(crate) async fn make(
    run: &RunContext,
    asset: &Asset,
    tokenizer: &TokenizerAsset,
    fingerprint: &Fingerprint,
) -> Result<Made, StageError> {
    let last = run.world.registry.versions(&asset.name).await?.pop();
    let same_key = |last: &ModelVersion| last.key == fingerprint.training_key();
    let anew_asked = run.plan.is_refreshed(&asset.name);
    let (version, note) = match last {
        Some(last) if same_key(&last) && !anew_asked => {
            let note = format!("version {} is made of the same", last.version);
            (last.version, Some(note))
        }
        last => {
            let last = last.filter(|_| !anew_asked);
            anew(run, asset, tokenizer, fingerprint, last).await?
        }
    };
    if let Some(reason) = &note {
        run.emit(EventKind::TrainingReused {
            asset: asset.name.clone(),
            reason: reason.clone(),
        });
    }
    remember(run, asset, fingerprint, version).await?;
    Ok(Made { version, note })
}

/// Reads the file or the texts; registers what came of them, unless `last` is made of the same.
async fn anew(
    run: &RunContext,
    asset: &Asset,
    tokenizer: &TokenizerAsset,
    fingerprint: &Fingerprint,
    last: Option<ModelVersion>,
) -> Result<(i64, Option<String>), StageError> {
    let ready = match &tokenizer.source {
        TokenizerSource::File { path, content } => {
            let file = path.clone();
            let tokenizer = blocking(move || Ok(TextTokenizer::read(&file)?)).await?;
            if content_hash(tokenizer.json()) != *content {
                return Err(StageError::FileChanged(path.display().to_string()));
            }
            Ready {
                tokenizer,
                inputs: Vec::new(),
            }
        }
        TokenizerSource::Train {
            from,
            column,
            training,
            ..
        } => {
            let trainer = TokenizerTrainer::new(training)?;
            let trainer = count(run, asset, (from, column), trainer).await?;
            let digest = trainer.digest();
            let same = |last: &&ModelVersion| {
                let mut inputs = last.inputs.iter();
                last.spec == fingerprint.spec_key()
                    && inputs.any(|input| input.digest.as_ref() == Some(&digest))
            };
            if let Some(last) = last.as_ref().filter(same) {
                let note = format!("version {} was trained on the same texts", last.version);
                return Ok((last.version, Some(note)));
            }
            let pinned = run.catalog.pins().get(from).unwrap_or(0);
            Ready {
                tokenizer: blocking(move || Ok(trainer.finish()?)).await?,
                inputs: vec![TableVersion {
                    name: from.to_string(),
                    version: i64::try_from(pinned).unwrap_or(i64::MAX),
                    digest: Some(digest),
                }],
            }
        }
    };
    if run.cancel.is_cancelled() {
        return Err(StageError::Cancelled);
    }
    let version = register(run, asset, fingerprint, ready).await?;
    run.emit(EventKind::Registered {
        asset: asset.name.clone(),
        model: version.name.clone(),
        version: version.version,
        alias: None,
        moved: false,
        reason: "a tokenizer goes by its name".to_owned(),
    });
    Ok((version.version, None))
}

/// Counts the words of a table's texts: those of the train split, where there is one.
async fn count(
    run: &RunContext,
    asset: &Asset,
    (from, column): (&TableName, &str),
    mut trainer: TokenizerTrainer,
) -> Result<TokenizerTrainer, StageError> {
    let table = run.catalog.table(from).await?;
    let table = table.ok_or_else(|| StageError::TableGone(from.to_string()))?;
    let mut fields = table.schema.fields().iter().map(|field| field.name());
    let split = fields.find(|name| name.eq_ignore_ascii_case(SPLIT_COLUMN));
    let split = split.cloned();
    let session = run.session()?;
    let mut rows: DataFrame = session.context().read_table(table.provider)?;
    let named = |name: &str| Expr::Column(Column::from_name(name));
    if let Some(split) = split {
        rows = rows.filter(named(&split).eq(lit("train")))?;
    }
    let mut stream = rows.select(vec![named(column)])?.execute_stream().await?;
    let (sender, mut batches) = tokio::sync::mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
    let counted = blocking(move || {
        while let Some(batch) = batches.blocking_recv() {
            let texts = cast(batch.column(0), &DataType::Utf8)
                .map_err(datafusion::error::DataFusionError::from)?;
            for text in texts.as_string::<i32>().iter().flatten() {
                trainer.push(text)?;
            }
        }
        Ok(trainer)
    });
    let feed = async {
        let (mut rows, mut told) = (0_u64, 0_u64);
        while let Some(batch) = stream.next().await {
            if run.cancel.is_cancelled() {
                return Err(StageError::Cancelled);
            }
            let batch = batch?;
            rows += batch.num_rows() as u64;
            if sender.send(batch).await.is_err() {
                // The trainer refused a text: its error is the one to tell.
                break;
            }
            if rows - told >= ROWS_TOLD {
                told = rows;
                run.emit(EventKind::StageProgress {
                    asset: asset.name.clone(),
                    done: rows,
                    total: None,
                    unit: "rows",
                });
            }
        }
        drop(sender);
        Ok(())
    };
    let (counted, fed) = tokio::join!(counted, feed);
    fed?;
    counted
}

async fn register(
    run: &RunContext,
    asset: &Asset,
    fingerprint: &Fingerprint,
    ready: Ready,
) -> Result<ModelVersion, StageError> {
    let registry = &run.world.registry;
    let staging = registry.stage(&asset.name, &run.run_id).await?;
    let file = staging.path().join(TOKENIZER_FILE);
    let Ready { tokenizer, inputs } = ready;
    let tokens = tokenizer.vocab_size() as f64;
    blocking(move || {
        std::fs::write(&file, tokenizer.json()).map_err(|source| StageError::Write {
            path: file.display().to_string(),
            source,
        })
    })
    .await?;
    let new = NewVersion {
        project: run.project.clone(),
        asset: asset.name.clone(),
        key: fingerprint.training_key(),
        spec: fingerprint.spec_key(),
        format: ModelFormat::Tokenizer,
        signature: signature(),
        metrics: BTreeMap::from([("vocab_size".to_owned(), tokens)]),
        inputs,
    };
    Ok(registry.create_version(staging, new).await?)
}

/// Text goes in, and the numbers of its tokens come out.
fn signature() -> Signature {
    let column = |name: &str, column_type| SignatureColumn {
        name: Some(name.to_owned()),
        column_type,
        required: true,
    };
    Signature {
        inputs: vec![column("text", ColumnType::String)],
        outputs: vec![column("input_ids", ColumnType::Integer)],
    }
}

async fn remember(
    run: &RunContext,
    asset: &Asset,
    fingerprint: &Fingerprint,
    version: i64,
) -> Result<(), StageError> {
    let outcome = Map::from_iter([
        ("version".to_owned(), version.into()),
        (
            METADATA_KEY.to_owned(),
            serde_json::to_value(fingerprint).unwrap_or_default(),
        ),
    ]);
    let record = AssetKey {
        key: fingerprint.key(),
        semantics: i64::from(asset.semantics()),
        outcome: Value::Object(outcome),
        run_id: run.run_id.clone(),
    };
    run.state
        .put_asset_key(&run.project, &asset.name, &record)
        .await?;
    Ok(())
}
