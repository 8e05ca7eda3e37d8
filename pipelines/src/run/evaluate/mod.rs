//! Evaluates a model: scores rows through SQL, holds the figures against those of baselines and
//! of another model, and keeps what it gets most wrong.
//!
//! Entry point: [`evaluate`]. [`training`] reads what the model was trained on, [`rows`] takes
//! the scored rows, [`kept`] those that are shown, [`figures`] computes, [`files`] and [`page`]
//! write, [`worst`] makes the table of the worst rows.

mod figures;
mod files;
mod kept;
mod page;
mod rows;
mod training;
mod worst;

use std::collections::{BTreeMap, HashSet};

use datafusion::dataframe::DataFrame;
use sluice_lake::registry::{ModelUri, ModelVersion};
use sluice_lake::sql::parse_query;
use sluice_lake::state::{DatasetUse, RunId, RunKind};
use sluice_lake::tags::NOTE_TAG;
use sluice_learn::features::{FeatureKind, Label, Target};
use sluice_learn::{AppliedModel, Task};

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::feed::feed;
use super::page::REPORT_FILE;
use super::report::Pages;
use super::track;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::{Asset, EvaluatePlan, ReportAsset};
use figures::{Figures, figures, headline};
use rows::{Answering, Asking, Counted, Looked, look};
use training::{Asked, Training};

/// Rows where two models disagree that the page shows.
const DISAGREEING_ROWS: usize = 20;
/// Worst rows that the page shows; the table may keep more.
const SHOWN_WORST: usize = 20;

/// Why a model cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    #[error("{table} has no {rows} to evaluate: {why}")]
    NoRows {
        table: String,
        /// `test rows`, or `rows` of a table without parts.
        rows: String,
        why: String,
    },
    #[error(
        "{own} tells {} apart and {other} {}: models are compared that tell the same classes apart", .own_classes.join(", "), .other_classes.join(", ")
    )]
    OtherClasses {
        own: String,
        own_classes: Vec<String>,
        other: String,
        other_classes: Vec<String>,
    },
    #[error("{address} was not loaded")]
    NotLoaded { address: String },
}

/// What an evaluation comes to.
pub(crate) struct Made {
    pub(crate) pages: Pages,
    /// All metrics of the model by name.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// The version of the table of worst rows.
    pub(crate) beside: Option<i64>,
}

/// What was evaluated, on what.
pub(crate) struct About {
    pub(crate) title: String,
    pub(crate) comment: Option<String>,
    pub(crate) pipeline: String,
    /// The versions, `models:/wine_quality/3`, and the addresses that named them.
    pub(crate) models: Vec<String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) estimators: Vec<String>,
    /// The table, and its version.
    pub(crate) table: (String, u64),
    /// `test`, `validation`, `train` or `all`.
    pub(crate) part: &'static str,
    /// Whether the table tells its parts apart.
    pub(crate) has_parts: bool,
    pub(crate) includes_training_rows: bool,
    pub(crate) task: Task,
    pub(crate) label: String,
    pub(crate) threshold: Option<f64>,
    /// The table of worst rows.
    pub(crate) worst: Option<String>,
    /// What the model was trained on, or why that cannot be told.
    pub(crate) trained: Result<Trained, String>,
}

/// What a model was trained on.
pub(crate) struct Trained {
    /// The table, and its version.
    pub(crate) table: (String, i64),
    pub(crate) rows: u64,
    /// The column, texts and words of the bag of words.
    pub(crate) words: Option<(String, usize, usize)>,
}

/// All that the page and the files show.
pub(crate) struct Evaluated {
    pub(crate) about: About,
    pub(crate) target: Target,
    pub(crate) looked: Looked,
    pub(crate) figures: Figures,
}

/// Evaluates within a run of its own, which ends as the evaluation does.
pub(crate) async fn evaluate(
    run: &RunContext,
    asset: &Asset,
    report: &ReportAsset,
    plan: &EvaluatePlan,
    fingerprint: &Fingerprint,
) -> Result<Made, StageError> {
    let run_id = track::start(run, asset, RunKind::Evaluate).await?;
    let outcome = evaluate_in(run, asset, (report, plan), fingerprint, &run_id).await;
    track::finish(run, &run_id, &outcome).await?;
    outcome
}

async fn evaluate_in(
    run: &RunContext,
    asset: &Asset,
    (report, plan): (&ReportAsset, &EvaluatePlan),
    fingerprint: &Fingerprint,
    run_id: &RunId,
) -> Result<Made, StageError> {
    let table = run.catalog.table(&report.of).await?;
    let table = table.ok_or_else(|| StageError::TableGone(report.of.to_string()))?;
    let versions = versions(run, plan, fingerprint).await?;
    let session = run.session()?;
    let statement = parse_query(&plan.query(&report.of))?;
    let numbers = fingerprint.model_versions();
    let query = session.plan_with(statement, &numbers).await?;
    let models = answering(run, &versions)?;
    let label = models.first().map(|model| model.model.label().clone());
    let (Some(label), Some(version)) = (label, versions.first()) else {
        return Err(StageError::Panicked);
    };
    log(
        run,
        asset,
        (report, plan),
        (table.version, &versions),
        run_id,
    )
    .await?;
    let asked = asked(&models[0].model, &label);
    let training = training::read(run, &asset.name, version, asked.clone()).await?;
    let mut about = About::of((asset, report, plan), table.version, &versions, &models);
    let (asking, usual) = asking(plan, (asked, label.clone()), &models, training, &mut about);
    let stream = DataFrame::new(session.context().state(), query);
    let stream = stream.execute_stream().await?;
    let schema = stream.schema();
    let looked = feed(run, &asset.name, stream, move |batches| {
        look(&schema, asking, batches)
    });
    let looked = looked.await?;
    if looked.labels.is_empty() {
        return Err(no_rows(&about, &looked.counted).into());
    }
    let evaluated = blocking(move || {
        let figures = figures(about.part, &label, &models, &looked, usual.as_deref())?;
        Ok(Evaluated {
            about,
            target: label.target(),
            looked,
            figures,
        })
    })
    .await?;
    warn(run, asset, &evaluated);
    let beside = match &plan.worst {
        Some(worst) => worst::write(run, asset, worst, (report, &evaluated), fingerprint).await?,
        None => None,
    };
    conclude(run, evaluated, beside, run_id).await
}

/// The versions that the fingerprint settled.
async fn versions(
    run: &RunContext,
    plan: &EvaluatePlan,
    fingerprint: &Fingerprint,
) -> Result<Vec<ModelVersion>, StageError> {
    let numbers = fingerprint.model_versions();
    let mut versions = Vec::with_capacity(plan.applies.len());
    for applied in &plan.applies {
        let uri = match numbers.get(&applied.written) {
            Some(number) => ModelUri::number(&applied.uri.name, *number),
            None => applied.uri.clone(),
        };
        versions.push(run.world.registry.resolve(&uri).await?);
    }
    Ok(versions)
}

/// The models as the query has loaded them.
fn answering(run: &RunContext, versions: &[ModelVersion]) -> Result<Vec<Answering>, StageError> {
    let mut models: Vec<Answering> = Vec::with_capacity(versions.len());
    for version in versions {
        let address = version.uri().to_string();
        let predictor = run.models.get(&address);
        let loaded = predictor.as_ref().and_then(|predictor| predictor.loaded());
        let model = loaded.map(|loaded| loaded.model().clone());
        let model = model.ok_or_else(|| EvaluateError::NotLoaded {
            address: address.clone(),
        })?;
        let classes = |model: &AppliedModel| -> Vec<String> {
            model
                .label()
                .classes
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        if let Some(own) = models.first()
            && classes(&own.model) != classes(&model)
        {
            return Err(EvaluateError::OtherClasses {
                own: versions[0].uri().to_string(),
                own_classes: classes(&own.model),
                other: address,
                other_classes: classes(&model),
            }
            .into());
        }
        models.push(Answering {
            model,
            version: version.version,
        });
    }
    Ok(models)
}

/// What is read of the rows that the model was trained on.
fn asked(model: &AppliedModel, label: &Label) -> Asked {
    let plan = model.plan();
    let text = match &plan.features[..] {
        [only] if only.kind == FeatureKind::Text => Some(only.name.clone()),
        _ => None,
    };
    Asked {
        features: plan.names().map(str::to_owned).collect(),
        text,
        label: label.clone(),
    }
}

/// What is asked of the rows, and what is usual among the training rows.
fn asking(
    plan: &EvaluatePlan,
    (asked, label): (Asked, Label),
    models: &[Answering],
    training: Result<Training, String>,
    about: &mut About,
) -> (Asking, Option<Vec<f64>>) {
    let (mut trained, mut words, mut usual) = (HashSet::new(), None, None);
    about.trained = match training {
        Ok(training) => {
            trained = training.keys;
            words = training.words;
            usual = Some(training.usual);
            let words = words.as_ref();
            Ok(Trained {
                table: training.table,
                rows: training.rows,
                words: words.map(|w| (w.column.clone(), w.texts, w.fitted.words())),
            })
        }
        Err(why) => Err(why),
    };
    let asking = Asking {
        label,
        label_column: plan.label.clone(),
        slices: plan.slices.clone(),
        models: models.to_vec(),
        features: asked.features,
        words,
        trained,
        // Where the table says which rows are for training, it is taken at its word.
        refuses_trained: !about.has_parts && !plan.include_training_rows,
        worst_rows: plan
            .worst
            .as_ref()
            .map_or(SHOWN_WORST, |worst| worst.rows.max(SHOWN_WORST)),
        disagreeing_rows: DISAGREEING_ROWS,
    };
    (asking, usual)
}

impl About {
    fn of(
        (asset, report, plan): (&Asset, &ReportAsset, &EvaluatePlan),
        table_version: u64,
        versions: &[ModelVersion],
        models: &[Answering],
    ) -> Self {
        let estimators = models
            .iter()
            .map(|model| model.model.estimator().to_owned());
        let threshold = models
            .first()
            .and_then(|model| model.model.settled().threshold);
        let addresses = plan.applies.iter().map(|applied| applied.written.clone());
        Self {
            title: report.title.clone().unwrap_or_else(|| asset.name.clone()),
            comment: asset.comment.clone(),
            pipeline: report.pipeline.clone(),
            models: versions
                .iter()
                .map(|version| version.uri().to_string())
                .collect(),
            addresses: addresses.collect(),
            estimators: estimators.collect(),
            table: (report.of.to_string(), table_version),
            part: plan.part.name(),
            has_parts: plan.split_column.is_some(),
            includes_training_rows: plan.include_training_rows,
            task: plan.task,
            label: plan.label.clone(),
            threshold,
            worst: plan.worst.as_ref().map(|worst| worst.table.to_string()),
            trained: Err(String::new()),
        }
    }
}

impl About {
    /// ` test rows`, or ` rows` of a table without parts.
    fn rows(&self) -> String {
        match self.part {
            "all" => " rows".to_owned(),
            part => format!(" {part} rows"),
        }
    }
}

fn no_rows(about: &About, counted: &Counted) -> EvaluateError {
    let refuses = !about.has_parts && !about.includes_training_rows;
    let why = match left_out(counted, refuses) {
        told if told.is_empty() => "there are none".to_owned(),
        told => format!("what there is, is left out: {}", told.join(", ")),
    };
    EvaluateError::NoRows {
        table: about.table.0.clone(),
        rows: about.rows().trim_start().to_owned(),
        why,
    }
}

/// Rows that were left out, in words.
pub(crate) fn left_out(counted: &Counted, refuses_trained: bool) -> Vec<String> {
    let trained = if refuses_trained { counted.trained } else { 0 };
    let told = [
        (counted.without_label, "without a label"),
        (
            counted.without_answer,
            "without an answer, since what the model reads is NULL",
        ),
        (
            counted.of_other_class,
            "of a class that the model does not know",
        ),
        (trained, "that the model was trained on"),
    ];
    let told = told.iter().filter(|(rows, _)| *rows > 0);
    told.map(|(rows, why)| {
        let rows = match rows {
            1 => "1 row".to_owned(),
            rows => format!("{} rows", sluice_report::number::count(*rows)),
        };
        format!("{rows} {why}")
    })
    .collect()
}

/// What the user should know of the figures, besides what they are.
pub(crate) fn cautions(evaluated: &Evaluated) -> Vec<String> {
    let (about, looked) = (&evaluated.about, &evaluated.looked);
    let refuses = !about.has_parts && !about.includes_training_rows;
    let mut cautions = Vec::new();
    let left_out = left_out(&looked.counted, refuses);
    if !left_out.is_empty() {
        cautions.push(format!("left out: {}", left_out.join(", ")));
    }
    if looked.counted.trained > 0 && !refuses {
        let rows = sluice_report::number::count(looked.counted.trained);
        cautions.push(format!(
            "{rows}{} are also rows that the model was trained on: the figures flatter it",
            about.rows()
        ));
    }
    if looked.unknown > 0 {
        let known = looked.classes.len() - looked.unknown;
        let unknown = looked.classes[known..].join(", ");
        cautions.push(format!(
            "the model does not know the classes {unknown}, and is wrong on all their rows"
        ));
    }
    if let Some(class) = &evaluated.figures.only_class {
        cautions.push(format!(
            "all rows are of the class {class}: figures that need another one are not defined"
        ));
    }
    if let Err(why) = &about.trained {
        cautions.push(format!(
            "the rows that the model was trained on cannot be read, so there are no baselines and nothing tells whether it knows these rows: {why}"
        ));
    }
    cautions
}

fn warn(run: &RunContext, asset: &Asset, evaluated: &Evaluated) {
    for caution in cautions(evaluated) {
        run.warn(&asset.name, caution);
    }
}

/// Tells the tracking store what is evaluated.
async fn log(
    run: &RunContext,
    asset: &Asset,
    (report, plan): (&ReportAsset, &EvaluatePlan),
    (table_version, versions): (u64, &[ModelVersion]),
    run_id: &RunId,
) -> Result<(), StageError> {
    let dataset = DatasetUse {
        name: report.of.to_string(),
        version: i64::try_from(table_version).unwrap_or(i64::MAX),
        context: "evaluation".to_owned(),
        digest: None,
    };
    run.state.log_datasets(run_id, &[dataset]).await?;
    let named = ["model", "compare"].into_iter().zip(versions);
    let mut params: Vec<(String, String)> = named
        .map(|(name, version)| (name.to_owned(), version.uri().to_string()))
        .collect();
    params.push(("label".to_owned(), plan.label.clone()));
    params.push(("split".to_owned(), plan.part.name().to_owned()));
    run.state.log_params(run_id, &params).await?;
    let mut tags: Vec<(String, String)> = Vec::new();
    if let Some(version) = versions.first() {
        tags.push(("evaluate.model".to_owned(), version.name.clone()));
        tags.push(("evaluate.version".to_owned(), version.version.to_string()));
    }
    if let Some(comment) = &asset.comment {
        tags.push((NOTE_TAG.to_owned(), comment.clone()));
    }
    Ok(run.state.set_tags(run_id, &tags).await?)
}

/// Writes page and files, and logs the metrics.
async fn conclude(
    run: &RunContext,
    evaluated: Evaluated,
    beside: Option<i64>,
    run_id: &RunId,
) -> Result<Made, StageError> {
    let named = evaluated.figures.named(evaluated.about.part);
    let metrics = track::metrics(&named, &[], "");
    run.state.log_metrics(run_id, &metrics).await?;
    let part = evaluated.about.part;
    let glance = headline(evaluated.about.task).iter().filter_map(|name| {
        let name = format!("{part}.{name}");
        let value = *named.get(&name)?;
        Some((name, value))
    });
    let glance = glance.collect();
    let (pages, files) = blocking(move || {
        let json = files::json(&evaluated);
        let html = page::page(&evaluated).render();
        let mut kept = files::tables(&evaluated);
        kept.push(("evaluation.json", json.clone()));
        kept.push((REPORT_FILE, html.clone()));
        Ok((Pages { html, json }, kept))
    })
    .await?;
    track::artifacts(run, run_id, files).await?;
    Ok(Made {
        pages,
        metrics: glance,
        beside,
    })
}
