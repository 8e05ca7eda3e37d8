//! Makes models: reads the data, fits, evaluates, registers, and decides about the alias.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sluice_lake::registry::{
    ColumnType, ModelFormat, ModelVersion, NewVersion, Signature, SignatureColumn, TableVersion,
};
use sluice_lake::state::{AssetKey, RunId, RunKind, RunStatus};
use sluice_learn::features::LabelType;
use sluice_learn::metric::Metric;
use sluice_learn::validate::{self, FinishedFit};
use sluice_learn::{EstimatorSpec, FitOptions, Fitted, Model, Seat, Splits, Task};

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::evidence::Evidence;
use super::page::{About, AsFitted, Judged, REPORT_FILE, Report, conclude};
use super::promote::{Decision, decide};
use super::search::search;
use super::{data, figures, resume, reuse, track};
use crate::check::error_chain;
use crate::events::EventKind;
use crate::plan::fingerprint::{Fingerprint, METADATA_KEY};
use crate::plan::training::{MODEL_FOLDER, TRAINING_TAG, Trained};
use crate::plan::{Asset, Fit, ModelAsset};

/// The tag that MLflow shows as a run's description.
const NOTE_TAG: &str = "mlflow.note.content";

/// What came of a model stage.
pub(crate) struct Made {
    pub(crate) version: Option<i64>,
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// Makes a model asset: fits it, unless the very same training was done before, then decides
/// about its alias.
pub(crate) async fn make(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Made, StageError> {
    let training = fingerprint.training_key();
    // Of two assets with the same training one trains, and the other waits for it.
    let turn = run.turns.take(&training).await;
    let (lakehouse, registry) = (&run.world.lakehouse, &run.world.registry);
    let trained = Trained::find(lakehouse, registry, Some(&run.state), model, &training).await?;
    let adopted = matches!(trained, Some(Trained::Here(_)));
    let (run_id, version, metrics, report) = match trained {
        Some(trained) => reuse::take(run, asset, model, trained, &training).await?,
        None => fit_and_register(run, asset, model, fingerprint).await?,
    };
    drop(turn);
    let decision = match &version {
        Some(version) => {
            let known = run.state.asset_key(&run.project, &asset.name).await?;
            let known_before = adopted && known.is_none();
            Some(promote(run, asset, model, version, &metrics, known_before).await?)
        }
        None => None,
    };
    if let Some(report) = report {
        let judged = version.as_ref().zip(decision.as_ref());
        let judged = judged.and_then(|(version, decision)| Judged::of(model, version, decision));
        conclude(run, asset, *report, judged).await?;
    }
    let number = version.as_ref().map(|version| version.version);
    let mut outcome = Map::new();
    outcome.insert("run_id".to_owned(), run_id.as_str().into());
    outcome.insert("version".to_owned(), number.into());
    outcome.insert(
        METADATA_KEY.to_owned(),
        serde_json::to_value(fingerprint).unwrap_or_default(),
    );
    if let Some(decision) = &decision {
        outcome.insert("alias_moved".to_owned(), decision.moved.into());
        outcome.insert("reason".to_owned(), decision.reason.clone().into());
    }
    let record = AssetKey {
        key: fingerprint.key(),
        semantics: i64::from(asset.semantics()),
        outcome: Value::Object(outcome),
        run_id: run.run_id.clone(),
    };
    run.state
        .put_asset_key(&run.project, &asset.name, &record)
        .await?;
    Ok(Made {
        version: number,
        metrics,
    })
}

/// The run that trained a model, its version if it is registered, its metrics, and its report
/// if it was trained just now.
pub(crate) type Registered = (
    RunId,
    Option<ModelVersion>,
    BTreeMap<String, f64>,
    Option<Box<Report>>,
);

/// Fits within a run of its own, which ends as the fit does.
async fn fit_and_register(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Registered, StageError> {
    let kind = match model.fit {
        Fit::Train(_) => RunKind::Train,
        Fit::Sweep(_) => RunKind::Sweep,
    };
    let run_id = track::start(run, asset, kind).await?;
    let outcome = fit_in(run, asset, model, fingerprint, &run_id).await;
    if outcome.is_ok() {
        let training = fingerprint.training_key();
        run.state.set_tag(&run_id, TRAINING_TAG, &training).await?;
    }
    let (status, error) = match &outcome {
        Ok(_) => (RunStatus::Finished, None),
        Err(StageError::Cancelled) => (RunStatus::Killed, Some("stopped".to_owned())),
        Err(error) => (RunStatus::Failed, Some(error_chain(error))),
    };
    run.state
        .finish_run(&run_id, status, error.as_deref())
        .await?;
    let (version, metrics, report) = outcome?;
    Ok((run_id, version, metrics, Some(report)))
}

async fn fit_in(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
    run_id: &RunId,
) -> Result<(Option<ModelVersion>, BTreeMap<String, f64>, Box<Report>), StageError> {
    // Before the rows are read, so that fits which begin together share from the start.
    let seat = run.budget.join();
    run.state
        .log_datasets(run_id, &[track::dataset(run, model)])
        .await?;
    if let Some(comment) = &asset.comment {
        run.state.set_tag(run_id, NOTE_TAG, comment).await?;
    }
    let splits = Arc::new(data::splits(run, asset, model, seed(model)).await?);
    let (fit, watched, searched) = match &model.fit {
        Fit::Train(spec) => (
            train(run, asset, (spec, model), &splits, seat, run_id).await?,
            model.task.default_metric(),
            None,
        ),
        Fit::Sweep(spec) => {
            let key = resume::key(model, fingerprint);
            let found = search(run, asset, spec, &key, &splits, seat, run_id).await?;
            (found.0, spec.objective().metric.name, Some(found.1))
        }
    };
    let watched = format!("validation.{watched}");
    let about = About::of(run, asset, model, run_id, &splits, searched.as_ref());
    let (fit, figures, report, more) = blocking(move || {
        let figures = figures::figures(&fit, &splits)?;
        let evidence = Evidence::of(&fit, &splits)?;
        let mut files = evidence.files(splits.train.task());
        files.push(("evaluation.json", figures.json));
        let report = Report {
            about,
            parts: figures.parts,
            evidence,
            fitted: AsFitted::of(&fit, watched),
            judged: None,
            search: searched,
        };
        files.push((REPORT_FILE, report.html()));
        Ok((fit, figures.named, Box::new(report), files))
    })
    .await?;
    let watched = &report.fitted.watched;
    let mut metrics = track::metrics(&figures, &fit.fitted.history, watched);
    metrics.extend(figures::of_folds(fit.cross_validation.as_ref()));
    run.state.log_metrics(run_id, &metrics).await?;
    run.state
        .log_params(run_id, &figures::params(model))
        .await?;
    let mut files = vec![("importance.csv", track::importance_csv(&fit.fitted))];
    files.extend(more);
    track::artifacts(run, run_id, files).await?;
    let version = register(
        run,
        asset,
        model,
        &fingerprint.training_key(),
        run_id,
        fit.fitted,
        &figures,
    )
    .await?;
    Ok((version, figures, report))
}

/// The seed of the estimator, which also orders the rows.
pub(crate) fn seed(model: &ModelAsset) -> u64 {
    let params = match &model.fit {
        Fit::Train(spec) => spec.params(),
        Fit::Sweep(spec) => &spec.space().fixed,
    };
    params.get("seed").and_then(Value::as_u64).unwrap_or(0)
}

async fn train(
    run: &RunContext,
    asset: &Asset,
    (spec, model): (&EstimatorSpec, &ModelAsset),
    splits: &Arc<Splits>,
    seat: Seat,
    run_id: &RunId,
) -> Result<FinishedFit, StageError> {
    run.state
        .log_params(run_id, &track::params(spec.params()))
        .await?;
    run.state.set_tag(run_id, "estimator", spec.name()).await?;
    let (spec, splits) = (spec.clone(), Arc::clone(splits));
    let (task, finish) = (model.task, model.finish.clone());
    let (sink, name) = (Arc::clone(&run.sink), asset.name.clone());
    let total = spec.params().get("rounds").and_then(Value::as_u64);
    // Each fold, and once all rows.
    let fits = model.data.folds.as_ref().map_or(1, |folds| folds.count + 1);
    let total = total.map(|total| total * fits as u64);
    run.compute(move |cancel| {
        let told = std::sync::atomic::AtomicU64::new(0);
        let on_round = |_score| {
            let done = told.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            if done.is_multiple_of(50) {
                sink(&crate::events::Event {
                    time_ms: super::context::now_ms(),
                    kind: EventKind::StageProgress {
                        asset: name.clone(),
                        done,
                        total,
                        unit: "rounds",
                    },
                });
            }
            std::ops::ControlFlow::Continue(())
        };
        let lease = seat.lease();
        let options = FitOptions {
            threads: lease.threads(),
            cancel,
            metric: Metric::find(task.default_metric())?,
            on_round: Some(&on_round),
        };
        Ok(validate::fit(&spec, &splits, &finish, &options)?)
    })
    .await
}

async fn register(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    key: &str,
    run_id: &RunId,
    fitted: Fitted,
    figures: &BTreeMap<String, f64>,
) -> Result<Option<ModelVersion>, StageError> {
    let Some(register) = &model.register else {
        let folder = run
            .world
            .lakehouse
            .artifacts_path(run_id.as_str())
            .join(MODEL_FOLDER);
        blocking(move || {
            std::fs::create_dir_all(&folder).map_err(|source| StageError::Write {
                path: folder.display().to_string(),
                source,
            })?;
            Ok(fitted.model.save(&folder)?)
        })
        .await?;
        return Ok(None);
    };
    let registry = &run.world.registry;
    let staging = registry.stage(register.name.as_str(), run_id).await?;
    let folder = staging.path().to_owned();
    let signature = signature(&fitted.model);
    blocking(move || Ok(fitted.model.save(&folder)?)).await?;
    let new = new_version(run, asset, model, key, signature, figures);
    Ok(Some(registry.create_version(staging, new).await?))
}

/// What the registry is told of a version besides its files.
pub(crate) fn new_version(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    key: &str,
    signature: Signature,
    figures: &BTreeMap<String, f64>,
) -> NewVersion {
    let dataset = track::dataset(run, model);
    NewVersion {
        project: run.project.clone(),
        asset: asset.name.clone(),
        key: key.to_owned(),
        format: ModelFormat::XgboostJson,
        signature,
        metrics: figures.clone(),
        inputs: vec![TableVersion {
            name: dataset.name,
            version: dataset.version,
        }],
    }
}

/// What goes into a model and what comes out.
pub(crate) fn signature(model: &Model) -> Signature {
    let column_type = |word: &str| match word {
        "boolean" => ColumnType::Boolean,
        "integer" => ColumnType::Integer,
        "long" => ColumnType::Long,
        "float" => ColumnType::Float,
        "string" => ColumnType::String,
        _ => ColumnType::Double,
    };
    let label = &model.plan().label;
    let features = model.plan().features.iter();
    Signature {
        inputs: features
            .map(|feature| SignatureColumn {
                name: Some(feature.name.clone()),
                column_type: column_type(feature.mlflow_type()),
                required: true,
            })
            .collect(),
        outputs: vec![SignatureColumn {
            name: None,
            column_type: match (label.task, label.label_type) {
                (Task::Binary | Task::Regression, _) | (_, LabelType::Float) => ColumnType::Double,
                (_, LabelType::Boolean) => ColumnType::Boolean,
                (_, LabelType::Integer) => ColumnType::Long,
                (_, LabelType::Text) => ColumnType::String,
            },
            required: true,
        }],
    }
}

/// Decides whether the alias moves to a version, moves it, and tells.
async fn promote(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    version: &ModelVersion,
    metrics: &BTreeMap<String, f64>,
    known_before: bool,
) -> Result<Decision, StageError> {
    let decision = decide(run, asset, model, version, metrics, known_before).await?;
    let register = model.register.as_ref();
    run.emit(EventKind::Registered {
        asset: asset.name.clone(),
        model: version.name.clone(),
        version: version.version,
        alias: register.and_then(|r| r.alias.as_ref().map(|alias| alias.to_string())),
        moved: decision.moved,
        reason: decision.reason.clone(),
    });
    let tags = [
        ("register.model".to_owned(), version.name.clone()),
        ("register.version".to_owned(), version.version.to_string()),
        ("register.moved".to_owned(), decision.moved.to_string()),
        ("register.reason".to_owned(), decision.reason.clone()),
    ];
    // The history of an adopted version's run may be lost with the state store.
    if run.state.run(&version.run_id).await?.is_some() {
        run.state.set_tags(&version.run_id, &tags).await?;
    }
    Ok(decision)
}
