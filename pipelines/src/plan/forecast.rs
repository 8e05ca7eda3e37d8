//! How large the training of a text model will be, and how long it will take, before it begins:
//! [`forecast`] counts the train rows, tokenizes some of them, and asks earlier runs of the
//! asset how fast this machine was, or times a few small steps where there was none.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};
use sluice_lake::catalog::LakeCatalog;
use sluice_lake::registry::{Registry, TOKENIZER_FILE};
use sluice_lake::session::SessionOptions;
use sluice_lake::state::{RunKind, RunStatus, State};
use sluice_learn::LearnError;
use sluice_learn::deep::bert::BertConfig;
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::text_fit::{StepTime, TextEstimate, TextSize, pretrained_config};
use sluice_udfs::session::LakeSession;

use super::{Asset, ModelAsset, TextTraining, UsedTokenizer};
use crate::run::error::{StageError, blocking};
use crate::run::split::SPLIT_COLUMN;

/// Texts that are tokenized for it.
const SAMPLE: usize = 1_000;

/// The metric of a run with the number of its model's parameters.
pub(crate) const PARAMETERS: &str = "estimate.parameters";
/// The metric of a run with the steps that its training takes.
pub(crate) const STEPS: &str = "estimate.steps";
/// The metric of a run with its speed, step by step.
const SPEED: &str = "steps.tokens_per_second";
/// Classes that a model is taken to tell apart: only the rows tell, and it matters little.
const OUTPUTS: usize = 2;

/// What a training will be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forecast {
    /// Its size.
    pub(crate) estimate: TextEstimate,
    /// How long the steps will take, unless the model is too large to be tried.
    pub(crate) seconds: Option<f64>,
}

/// Where the answers come from.
pub(crate) struct Sources<'a> {
    pub(crate) catalog: &'a LakeCatalog,
    pub(crate) registry: &'a Registry,
    pub(crate) state: Option<&'a State>,
    pub(crate) project: Option<&'a str>,
}

/// Looks ahead at a training; `None` where there is no train row.
pub(crate) async fn forecast(
    sources: &Sources<'_>,
    asset: &Asset,
    model: &ModelAsset,
    text: &TextTraining,
) -> Result<Option<Forecast>, StageError> {
    let path = match &text.tokenizer {
        UsedTokenizer::File(path) => path.clone(),
        UsedTokenizer::Registered(applied) => {
            let version = sources.registry.resolve_tokenizer(&applied.uri).await?;
            version.path.join(TOKENIZER_FILE)
        }
    };
    let (rows, texts) = sampled(sources, model, text).await?;
    if texts.is_empty() {
        return Ok(None);
    }
    let own = text.clone();
    let (estimate, config) = blocking(move || Ok(of_sample(&own, &path, rows, &texts)?)).await?;
    let seconds = match speed(sources, asset, estimate.size.parameters).await? {
        Some(speed) => Some(estimate.total_tokens() / speed),
        None => timed(text, config, estimate).await?,
    };
    Ok(Some(Forecast { estimate, seconds }))
}

/// How long a training of which there was none yet will take, by a few small steps.
async fn timed(
    text: &TextTraining,
    config: BertConfig,
    estimate: TextEstimate,
) -> Result<Option<f64>, StageError> {
    let spec = text.spec.clone();
    let length = estimate.tokens.div_ceil(estimate.examples.max(1)) as usize;
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let time = blocking(move || Ok(StepTime::measured(&spec, &config, length, threads)?)).await?;
    Ok(time.map(|time| time.seconds(estimate.steps, estimate.total_tokens())))
}

/// How many train rows there are, and some of their texts.
async fn sampled(
    sources: &Sources<'_>,
    model: &ModelAsset,
    text: &TextTraining,
) -> Result<(u64, Vec<String>), StageError> {
    let table = sources.catalog.table(&model.from).await?;
    let table = table.ok_or_else(|| StageError::TableGone(model.from.to_string()))?;
    let session = LakeSession::open(
        &SessionOptions::default(),
        sources.catalog.clone(),
        None,
        sources.registry.clone(),
        Arc::default(),
    )?;
    let column = |wanted: &str| {
        let names = table.schema.fields().iter().map(|field| field.name());
        let mut same = names.filter(|name| name.eq_ignore_ascii_case(wanted));
        Expr::Column(Column::from_name(
            same.next().map_or(wanted, String::as_str),
        ))
    };
    let (text, split) = (column(&text.text), column(SPLIT_COLUMN));
    let rows = session.context().read_table(table.provider)?;
    let rows = rows
        .filter(split.eq(lit("train")))?
        .filter(text.clone().is_not_null())?;
    let count = rows.clone().count().await?;
    let some = rows.select(vec![text])?.limit(0, Some(SAMPLE))?;
    let mut texts = Vec::new();
    for batch in some.collect().await? {
        let column = cast(batch.column(0), &DataType::Utf8)
            .map_err(datafusion::error::DataFusionError::from)?;
        let present = column.as_string::<i32>().iter().flatten();
        texts.extend(present.map(str::to_owned));
    }
    Ok((count as u64, texts))
}

fn of_sample(
    text: &TextTraining,
    tokenizer: &std::path::Path,
    rows: u64,
    texts: &[String],
) -> Result<(TextEstimate, BertConfig), LearnError> {
    let tokenizer = TextTokenizer::read(tokenizer)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = tokenizer.encoder(Some(text.max_length))?.encode(&texts)?;
    let lengths = || tokens.iter().map(|tokens| tokens.ids.len() as u64);
    let mean = lengths().sum::<u64>() as f64 / texts.len() as f64;
    let config = match &text.pretrained {
        Some(folder) => pretrained_config(&text.spec, folder)?,
        None => text.spec.scratch(tokenizer.last_id() as usize + 1, 0),
    };
    let estimate = TextEstimate::new(
        TextSize::of_shape(&config, OUTPUTS),
        text.spec.arguments(),
        rows,
        (mean * rows as f64).round() as u64,
        lengths().max().unwrap_or(0),
    );
    Ok((estimate, config))
}

/// Tokens a second of the last training of the asset that ended well: a model of other size
/// goes at another speed, in proportion.
async fn speed(
    sources: &Sources<'_>,
    asset: &Asset,
    parameters: u64,
) -> Result<Option<f64>, StageError> {
    let (Some(state), Some(project)) = (sources.state, sources.project) else {
        return Ok(None);
    };
    let runs = state.named_runs(project, RunKind::Train, &asset.name);
    let runs = runs.await?.into_iter().rev();
    let Some(run) = runs
        .into_iter()
        .find(|run| run.status == RunStatus::Finished)
    else {
        return Ok(None);
    };
    let metrics = state.metrics(&run.run_id).await?;
    let of = |key: &str| -> Vec<f64> {
        let named = metrics.iter().filter(|metric| metric.key == key);
        named.map(|metric| metric.value).collect()
    };
    let (speeds, before) = (of(SPEED), of(PARAMETERS));
    let (Some(before), false) = (before.last(), speeds.is_empty()) else {
        return Ok(None);
    };
    let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
    let speed = mean * before / parameters.max(1) as f64;
    Ok((speed > 0.0).then_some(speed))
}

impl Forecast {
    /// The same as metrics of the run.
    pub(crate) fn metrics(&self) -> Vec<(&'static str, f64)> {
        let estimate = &self.estimate;
        let mut metrics = vec![
            (PARAMETERS, estimate.size.parameters as f64),
            ("estimate.examples", estimate.examples as f64),
            ("estimate.tokens", estimate.total_tokens()),
            (STEPS, estimate.steps as f64),
            ("estimate.memory_bytes", estimate.memory_bytes() as f64),
        ];
        metrics.extend(self.seconds.map(|seconds| ("estimate.seconds", seconds)));
        metrics
    }

    /// How far off it was: the share by which what came about is more. `memory_bytes`: what
    /// the process came to hold, where that is known.
    pub(crate) fn off(
        &self,
        tokens: u64,
        seconds: f64,
        memory_bytes: Option<u64>,
    ) -> Vec<(&'static str, f64)> {
        let off = |came: f64, told: f64| came / told - 1.0;
        let mut metrics = vec![
            ("training.tokens", tokens as f64),
            ("training.seconds", seconds),
            (
                "estimate.tokens_off",
                off(tokens as f64, self.estimate.total_tokens()),
            ),
        ];
        metrics.extend(
            self.seconds
                .map(|told| ("estimate.seconds_off", off(seconds, told))),
        );
        if let Some(bytes) = memory_bytes {
            let told = self.estimate.memory_bytes() as f64;
            metrics.push(("training.memory_bytes", bytes as f64));
            metrics.push(("estimate.memory_off", off(bytes as f64, told)));
        }
        metrics
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.estimate)?;
        match self.seconds {
            None => Ok(()),
            Some(seconds) if seconds < 90.0 => write!(out, ", about {seconds:.0} s"),
            Some(seconds) if seconds < 5_400.0 => write!(out, ", about {:.0} min", seconds / 60.0),
            Some(seconds) => write!(out, ", about {:.1} h", seconds / 3_600.0),
        }
    }
}
