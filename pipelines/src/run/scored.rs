//! Makes tables from a model: rows that the table has with the same keys and inputs keep
//! their prediction, the others are scored, and one commit replaces the table.
//!
//! Rows are told by `_row_hash`. What is stored is matched by a join that sorts and spills, so
//! that memory is bounded whatever the tables' size.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Column, JoinType};
use datafusion::dataframe::DataFrame;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, first_value, sum};
use datafusion::logical_expr::{Expr, cast, lit, when};
use sluice_lake::catalog::LakeCatalog;
use sluice_lake::delta::{PinnedTable, WriteMode, Written};
use sluice_lake::registry::{ModelUri, Registry, VersionSpec};
use sluice_lake::session::SessionOptions;
use sluice_learn::features::bind_features;
use sluice_udfs::models::ModelAddress;
use sluice_udfs::session::LakeSession;

use super::context::RunContext;
use super::error::StageError;
use super::row_hash::row_hash;
use super::rules::stopping;
use super::table::{Output, write};
use crate::events::EventKind;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::scored::{MODEL_VERSION_COLUMN, ROW_HASH_COLUMN};
use crate::plan::{Asset, ScoredAsset};

/// What sorts and joins of scored rows hold in memory before they spill, in bytes.
const MEMORY_BYTES: usize = 1 << 30;

/// The hash of a row of the source; of a stored row; and how many rows have it.
const HASH: &str = "__hash";
const STORED_HASH: &str = "__stored_hash";
const ROWS: &str = "__rows";
const STORED_ROWS: &str = "__stored_rows";

/// Makes a table from a model. `anew`: the predictions that the table has do not count.
pub(crate) async fn from_model(
    run: &RunContext,
    asset: &Asset,
    scored: &ScoredAsset,
    fingerprint: &Fingerprint,
    anew: bool,
) -> Result<Written, StageError> {
    let session = run.session_within(Some(MEMORY_BYTES))?;
    let source = run.catalog.table(&scored.from).await?;
    let source = source.ok_or_else(|| StageError::TableGone(scored.from.to_string()))?;
    let stored = match anew {
        true => None,
        false => run.catalog.table(&scored.table).await?,
    };
    let version = settled(scored, fingerprint);
    let scoring = Scoring::new(&session, scored, source, stored, version).await?;
    let counts = stopping(run, scoring.count()).await?;
    run.emit(EventKind::Scoring {
        asset: asset.name.clone(),
        model: scoring.address.clone(),
        scored: counts.scored,
        kept: counts.kept,
        removed: counts.removed,
    });
    write(
        run,
        asset,
        &scored.rows,
        session.context(),
        scoring.rows()?,
        fingerprint,
        Output {
            table: &scored.table,
            mode: WriteMode::Overwrite,
            files: Vec::new(),
            in_parts: false,
            rejects: None,
            window: None,
            outcome: serde_json::Map::new(),
        },
    )
    .await
}

/// What making a table would come to, without making it.
pub(crate) async fn outlook(
    catalog: LakeCatalog,
    registry: Registry,
    scored: &ScoredAsset,
    fingerprint: &Fingerprint,
    anew: bool,
) -> Result<Counts, StageError> {
    let options = SessionOptions {
        memory_limit_bytes: Some(MEMORY_BYTES),
        ..SessionOptions::default()
    };
    let models = Arc::default();
    let session = LakeSession::open(&options, catalog.clone(), None, registry, models)?;
    let source = catalog.table(&scored.from).await?;
    let source = source.ok_or_else(|| StageError::TableGone(scored.from.to_string()))?;
    let stored = match anew {
        true => None,
        false => catalog.table(&scored.table).await?,
    };
    let version = settled(scored, fingerprint);
    let scoring = Scoring::new(&session, scored, source, stored, version).await?;
    scoring.count().await
}

/// The version of the model that the stage was found to need.
fn settled(scored: &ScoredAsset, fingerprint: &Fingerprint) -> Option<i64> {
    let versions = fingerprint.model_versions();
    versions.get(&scored.model.written).copied()
}

/// What scoring comes to, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// New or changed rows, or all.
    pub(crate) scored: u64,
    /// Rows whose prediction is stored.
    pub(crate) kept: u64,
    /// Stored rows that the source does not have.
    pub(crate) removed: u64,
}

/// A model, the rows that it is to score, and those that it has scored.
pub(crate) struct Scoring<'a> {
    session: &'a LakeSession,
    asset: &'a ScoredAsset,
    /// The model's version, and its address.
    version: i64,
    address: String,
    /// The model's inputs, as the source spells them.
    inputs: Vec<String>,
    /// The types of the answers.
    types: Vec<DataType>,
    source: PinnedTable,
    stored: Option<PinnedTable>,
}

impl<'a> Scoring<'a> {
    /// `stored`: the table as it is, if its predictions count. `version`: the model's, if that
    /// is settled.
    pub(crate) async fn new(
        session: &'a LakeSession,
        asset: &'a ScoredAsset,
        source: PinnedTable,
        stored: Option<PinnedTable>,
        version: Option<i64>,
    ) -> Result<Self, StageError> {
        let address = ModelAddress {
            written: asset.model.written.clone(),
            as_of_ms: None,
        };
        let (address, model) = session.model(&address, version).await?;
        let inputs = bind_features(model.features(), &source.schema);
        let inputs = inputs.map_err(|error| StageError::Unfit {
            model: address.clone(),
            table: asset.from.to_string(),
            source: error,
        })?;
        let inputs = inputs.into_iter();
        let inputs = inputs.map(|position| source.schema.field(position).name().clone());
        let target = model.target();
        let types = asset.answers.iter();
        let types = types.filter_map(|(answer, _)| answer.data_type(target));
        Ok(Self {
            session,
            asset,
            version: version_of(&address),
            address,
            inputs: inputs.collect(),
            types: types.collect(),
            source,
            stored,
        })
    }

    /// How many rows are to be scored, and how many are not.
    pub(crate) async fn count(&self) -> Result<Counts, StageError> {
        let source = self.hashed(&[])?;
        let counted = vec![count(lit(1_i64)).alias(ROWS)];
        let source = source.aggregate(vec![column(HASH)], counted)?;
        let Some(stored) = &self.stored else {
            let all = source.aggregate(vec![], vec![sum(column(ROWS)).alias(ROWS)])?;
            let [scored] = numbers(all).await?;
            return Ok(Counts {
                scored,
                kept: 0,
                removed: 0,
            });
        };
        let counted = vec![count(lit(1_i64)).alias(STORED_ROWS)];
        let stored = self
            .predictions(stored)?
            .aggregate(vec![column(ROW_HASH_COLUMN).alias(STORED_HASH)], counted)?;
        let both = source.join(stored, JoinType::Full, &[HASH], &[STORED_HASH], None)?;
        let or_zero = |name| coalesce(vec![column(name), lit(0_i64)]);
        let (here, there) = (or_zero(ROWS), or_zero(STORED_ROWS));
        let new = when(column(STORED_ROWS).is_null(), here.clone()).otherwise(lit(0_i64))?;
        let kept = when(column(STORED_ROWS).is_null(), lit(0_i64)).otherwise(here.clone())?;
        let fewer = there.clone().gt(here.clone());
        let removed = when(fewer, there - here).otherwise(lit(0_i64))?;
        let sums = [new, kept, removed].into_iter().enumerate();
        let sums = sums.map(|(at, rows)| sum(rows).alias(format!("{ROWS}{at}")));
        let [scored, kept, removed] = numbers(both.aggregate(vec![], sums.collect())?).await?;
        Ok(Counts {
            scored,
            kept,
            removed,
        })
    }

    /// The rows of the table: those with a stored prediction and those that are scored.
    pub(crate) fn rows(&self) -> Result<DataFrame, StageError> {
        let source = self.hashed(&self.asset.columns)?;
        let inputs = self.inputs.iter().map(|name| column(name));
        let inputs: Vec<Expr> = inputs.collect();
        let answers = self.asset.answers.iter();
        let predicted = answers.map(|(answer, _)| {
            let session = self.session;
            session.answer(*answer, &self.address, inputs.clone())
        });
        let Some(stored) = &self.stored else {
            return self.finished(source, predicted);
        };
        let stored = self.answered(stored)?;
        let on = (&[HASH], &[STORED_HASH]);
        let new = source
            .clone()
            .join(stored.clone(), JoinType::LeftAnti, on.0, on.1, None)?;
        let old = source.join(stored, JoinType::Inner, on.0, on.1, None)?;
        let kept = self.types.iter().enumerate();
        let kept = kept.map(|(at, data_type)| cast(column(&answer_column(at)), data_type.clone()));
        let (new, old) = (self.finished(new, predicted)?, self.finished(old, kept)?);
        Ok(old.union(new)?)
    }

    /// The columns of the table, from rows of the source and the answers for them.
    fn finished(
        &self,
        rows: DataFrame,
        answers: impl Iterator<Item = Expr>,
    ) -> Result<DataFrame, StageError> {
        let carried = self.asset.columns.iter();
        let mut columns: Vec<Expr> = carried.map(|name| column(name).alias(name)).collect();
        let named = answers.zip(&self.asset.answers);
        columns.extend(named.map(|(answer, (_, name))| answer.alias(name)));
        columns.push(lit(self.version).alias(MODEL_VERSION_COLUMN));
        columns.push(column(HASH).alias(ROW_HASH_COLUMN));
        Ok(rows.select(columns)?)
    }

    /// The rows of the source with their hash, the model's inputs and the columns `carried`.
    fn hashed(&self, carried: &[String]) -> Result<DataFrame, StageError> {
        let source = self.session.context();
        let source = source.read_table(Arc::clone(&self.source.provider))?;
        let keys = self.asset.keys.iter().chain(&self.inputs);
        let hash = row_hash(keys.map(|name| column(name)).collect());
        let mut names: Vec<&String> = carried.iter().collect();
        if !carried.is_empty() {
            let inputs = self.inputs.iter();
            names.extend(inputs.filter(|input| !carried.contains(input)));
        }
        let mut columns: Vec<Expr> = names.into_iter().map(|name| column(name)).collect();
        columns.push(hash.alias(HASH));
        Ok(source.select(columns)?)
    }

    /// The stored rows that this version of the model has scored.
    fn predictions(&self, stored: &PinnedTable) -> Result<DataFrame, StageError> {
        let context = self.session.context();
        let rows = context.read_table(Arc::clone(&stored.provider))?;
        let same = column(MODEL_VERSION_COLUMN).eq(lit(self.version));
        Ok(rows.filter(same)?)
    }

    /// The stored answers, once for each hash: equal rows have equal answers.
    fn answered(&self, stored: &PinnedTable) -> Result<DataFrame, StageError> {
        let answers = self.asset.answers.iter().enumerate();
        let answers = answers
            .map(|(at, (_, name))| first_value(column(name), vec![]).alias(answer_column(at)));
        let hash = column(ROW_HASH_COLUMN).alias(STORED_HASH);
        let rows = self.predictions(stored)?;
        Ok(rows.aggregate(vec![hash], answers.collect())?)
    }
}

/// A column, whatever the case of its name.
fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// The number in the address of a version.
fn version_of(address: &str) -> i64 {
    match address.parse::<ModelUri>().map(|uri| uri.version) {
        Ok(VersionSpec::Number(number)) => number,
        _ => unreachable!("a loaded model has the address of one version: {address}"),
    }
}

/// The numbers of the only row of a query; those that are NULL are 0.
async fn numbers<const N: usize>(rows: DataFrame) -> Result<[u64; N], StageError> {
    let collected = rows.collect().await?;
    let mut numbers = [0; N];
    for batch in collected.iter().filter(|batch| batch.num_rows() > 0) {
        for (number, values) in numbers.iter_mut().zip(batch.columns()) {
            let values = values.as_primitive::<Int64Type>();
            if values.is_valid(0) {
                *number = u64::try_from(values.value(0)).unwrap_or(0);
            }
        }
    }
    Ok(numbers)
}

fn answer_column(at: usize) -> String {
    format!("__answer_{at}")
}
