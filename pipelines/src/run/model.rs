//! Makes models: reads the data, fits, evaluates, registers, and decides about the alias.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sluice_lake::registry::{
    ColumnType, ModelFormat, ModelVersion, NewVersion, Signature, SignatureColumn, TrainedAs,
};
use sluice_lake::state::{AssetKey, RunId, RunKind};
use sluice_lake::tags::NOTE_TAG;
use sluice_learn::features::LabelType;
use sluice_learn::metric::Metric;
use sluice_learn::validate::{self, FinishedFit};
use sluice_learn::{AppliedModel, EstimatorSpec, FeaturePlan, FitOptions, Seat, Splits, Task};

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::evidence::Evidence;
use super::page::{About, AsFitted, Judged, REPORT_FILE, Report, conclude};
use super::promote::{Decision, decide};
use super::rows::{self, Identity, Rows};
use super::search::search;
use super::{figures, resume, reuse, text, track};
use crate::events::EventKind;
use crate::plan::fingerprint::{Fingerprint, METADATA_KEY};
use crate::plan::training::Trained;
use crate::plan::{Asset, Fit, ModelAsset};

/// What came of a model stage.
pub(crate) struct Outcome {
    pub(crate) version: Option<i64>,
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Why nothing was trained, if so.
    pub(crate) note: Option<String>,
}

/// Makes a model asset: fits it, unless the very same training was done before, then decides
/// about its alias.
pub(crate) async fn make(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Outcome, StageError> {
    // Of two assets with the same training one trains, and the other waits for it.
    let turn = run.turns.take(&fingerprint.training_key()).await;
    let learned = learn(run, asset, model, fingerprint).await?;
    drop(turn);
    let Learned {
        registered: (run_id, version, metrics, report),
        reused,
    } = learned;
    if let Some(reason) = &reused {
        run.emit(EventKind::TrainingReused {
            asset: asset.name.clone(),
            reason: reason.clone(),
        });
    }
    let decision = match &version {
        Some(version) => {
            let known = run.state.asset_key(&run.project, &asset.name).await?;
            let known_before = reused.is_some() && known.is_none();
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
    Ok(Outcome {
        version: number,
        metrics,
        note: reused,
    })
}

/// A model; if it is an earlier training's, why it is the same, in words.
pub(super) struct Learned {
    pub(super) registered: Registered,
    pub(super) reused: Option<String>,
}

/// Takes over the same training if it was done before, else trains.
async fn learn(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Learned, StageError> {
    let (lakehouse, registry) = (&run.world.lakehouse, &run.world.registry);
    // Who asks for a refresh wants to see it trained.
    let again = run.plan.is_refreshed(&asset.name);
    let by_key = TrainedAs::Key(fingerprint.training_key());
    if !again && let Some(trained) = Trained::find(lakehouse, registry, model, by_key).await? {
        let identity = Identity::new(fingerprint, reuse::digest(model, &trained));
        return Ok(Learned {
            registered: reuse::take(run, asset, model, &trained, &identity).await?,
            reused: Some(trained.why_not_again()),
        });
    }
    if let Fit::Text(text) = &model.fit {
        return text::learn(run, asset, (model, text), fingerprint, again).await;
    }
    // Before the rows are read, so that fits which begin together share from the start.
    let seat = run.budget.join();
    let rows = rows::read(run, asset, model).await?;
    let identity = Identity::new(fingerprint, Some(rows.digest.clone()));
    let by_rows = TrainedAs::Rows {
        spec: identity.spec.clone(),
        digest: rows.digest.clone(),
    };
    if !again && let Some(trained) = Trained::find(lakehouse, registry, model, by_rows).await? {
        let reason = trained.same_rows(&model.from.to_string(), rows::table_version(run, model));
        return Ok(Learned {
            registered: reuse::take(run, asset, model, &trained, &identity).await?,
            reused: Some(reason),
        });
    }
    Ok(Learned {
        registered: fit_and_register(run, asset, model, fingerprint, rows, seat).await?,
        reused: None,
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
    rows: Rows,
    seat: Seat,
) -> Result<Registered, StageError> {
    let kind = match model.fit {
        Fit::Train(_) | Fit::Text(_) => RunKind::Train,
        Fit::Sweep(_) => RunKind::Sweep,
    };
    let run_id = track::start(run, asset, kind).await?;
    let outcome = fit_in(run, asset, model, fingerprint, (rows, seat), &run_id).await;
    track::finish(run, &run_id, &outcome).await?;
    let (version, metrics, report) = outcome?;
    Ok((run_id, version, metrics, Some(report)))
}

async fn fit_in(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
    (rows, seat): (Rows, Seat),
    run_id: &RunId,
) -> Result<(Option<ModelVersion>, BTreeMap<String, f64>, Box<Report>), StageError> {
    let Rows { splits, digest } = rows;
    run.state
        .log_datasets(run_id, &[rows::dataset(run, model, &digest)])
        .await?;
    if let Some(comment) = &asset.comment {
        run.state.set_tag(run_id, NOTE_TAG, comment).await?;
    }
    let (fit, watched, searched) = match &model.fit {
        Fit::Train(spec) => (
            train(run, asset, (spec, model), &splits, seat, run_id).await?,
            model.task.default_metric(),
            None,
        ),
        Fit::Sweep(spec) => {
            let identity = resume::Identity::new(model, fingerprint, &digest);
            let found = search(run, asset, spec, &identity, &splits, seat, run_id).await?;
            (found.0, spec.objective().metric.name, Some(found.1))
        }
        Fit::Text(_) => unreachable!("a text model is learned by `text::learn`"),
    };
    let watched = format!("validation.{watched}");
    let about = About::of(
        run,
        asset,
        model,
        run_id,
        (splits.train.plan(), splits.straddling),
        searched.as_ref(),
    );
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
            steps: None,
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
        &Identity::new(fingerprint, Some(digest)),
        run_id,
        fit.fitted.model.into(),
        &figures,
    )
    .await?;
    Ok((version, figures, report))
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
                let kind = EventKind::StageProgress {
                    asset: name.clone(),
                    done,
                    total,
                    unit: "rounds",
                };
                sink(&crate::events::Event::new(super::context::now_ms(), kind));
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

/// Registers a model, or keeps it among the artifacts of its run.
pub(super) async fn register(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    identity: &Identity,
    run_id: &RunId,
    made: AppliedModel,
    figures: &BTreeMap<String, f64>,
) -> Result<Option<ModelVersion>, StageError> {
    let registry = &run.world.registry;
    let staging = match &model.register {
        Some(register) => registry.stage(register.name.as_str(), run_id).await?,
        None => registry.stage_unregistered(&asset.name, run_id).await?,
    };
    let folder = staging.path().to_owned();
    let signature = signature(made.plan());
    blocking(move || Ok(made.save(&folder)?)).await?;
    let new = new_version(run, asset, model, identity, signature, figures);
    if model.register.is_none() {
        registry
            .keep_model(&run.world.lakehouse, staging, new)
            .await?;
        return Ok(None);
    }
    Ok(Some(registry.create_version(staging, new).await?))
}

/// What the registry is told of a version besides its files.
pub(crate) fn new_version(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    identity: &Identity,
    signature: Signature,
    figures: &BTreeMap<String, f64>,
) -> NewVersion {
    NewVersion {
        project: run.project.clone(),
        asset: asset.name.clone(),
        key: identity.key.clone(),
        spec: identity.spec.clone(),
        format: match model.fit {
            Fit::Text(_) => ModelFormat::HuggingFace,
            Fit::Train(_) | Fit::Sweep(_) => ModelFormat::XgboostJson,
        },
        signature,
        metrics: figures.clone(),
        inputs: vec![rows::input(run, model, identity.digest.clone())],
    }
}

/// What goes into a model and what comes out.
pub(crate) fn signature(plan: &FeaturePlan) -> Signature {
    let column_type = |word: &str| match word {
        "boolean" => ColumnType::Boolean,
        "integer" => ColumnType::Integer,
        "long" => ColumnType::Long,
        "float" => ColumnType::Float,
        "string" => ColumnType::String,
        _ => ColumnType::Double,
    };
    let label = &plan.label;
    let features = plan.features.iter();
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
