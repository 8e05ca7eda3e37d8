//! Makes models that read a text: tokenizes the rows, trains in steps that a later run can go
//! on from, and registers what came of it.
//!
//! Entry point: [`learn`]. [`rows`] streams the table, [`checkpoints`] finds what an earlier
//! run left, [`progress`] records and tells what happens meanwhile, [`memory`] how much memory
//! that takes.

pub(crate) mod checkpoints;
mod memory;
mod progress;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sluice_lake::registry::{ModelUri, ModelVersion, TOKENIZER_FILE, TrainedAs};
use sluice_lake::state::{DatasetUse, RunId, RunKind};
use sluice_lake::tags::NOTE_TAG;
use sluice_learn::dataset::TextSplits;
use sluice_learn::deep::DeepError;
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::text_fit::{self, BERT, FitText, TextFit};
use sluice_learn::validate::evaluated_labels;
use sluice_learn::{LearnError, Seat, Split};

use super::context::RunContext;
use super::data::tell_straddling;
use super::error::{StageError, blocking};
use super::evidence::{Evidence, Scored};
use super::model::{Learned, register};
use super::page::{About, AsFitted, REPORT_FILE, Report};
use super::rows::{Identity, dataset, table_version};
use super::{figures, reuse, track};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::forecast::{self, Forecast};
use crate::plan::training::Trained;
use crate::plan::{Asset, ModelAsset, TextTraining, UsedTokenizer};
use memory::Memory;

/// Takes over a training on the same rows if there was one, else trains; `again`, it trains.
pub(super) async fn learn(
    run: &RunContext,
    asset: &Asset,
    (model, text): (&ModelAsset, &TextTraining),
    fingerprint: &Fingerprint,
    again: bool,
) -> Result<Learned, StageError> {
    let seat = run.budget.join();
    let tokenizer = tokenizer(run, text, fingerprint).await?;
    let splits = rows::read(run, &asset.name, model, text, &tokenizer, &seat).await?;
    tell_of_rows(run, asset, text, &splits);
    let identity = Identity::new(fingerprint, Some(splits.digest.clone()));
    let by_rows = TrainedAs::Rows {
        spec: identity.spec.clone(),
        digest: splits.digest.clone(),
    };
    let (lakehouse, registry) = (&run.world.lakehouse, &run.world.registry);
    if !again && let Some(trained) = Trained::find(lakehouse, registry, model, by_rows).await? {
        let reason = trained.same_rows(&model.from.to_string(), table_version(run, model));
        return Ok(Learned {
            registered: reuse::take(run, asset, model, &trained, &identity).await?,
            reused: Some(reason),
        });
    }
    let run_id = track::start(run, asset, RunKind::Train).await?;
    let training = Training {
        run,
        asset,
        model,
        text,
        fingerprint,
        identity,
        run_id: run_id.clone(),
    };
    let outcome = training.fit_in(tokenizer, splits, seat).await;
    track::finish(run, &run_id, &outcome).await?;
    let (version, metrics, report) = outcome?;
    Ok(Learned {
        registered: (run_id, version, metrics, Some(report)),
        reused: None,
    })
}

/// The tokenizer, read from where it lies: of the registry the version that is part of the key.
async fn tokenizer(
    run: &RunContext,
    text: &TextTraining,
    fingerprint: &Fingerprint,
) -> Result<TextTokenizer, StageError> {
    let path = match &text.tokenizer {
        UsedTokenizer::File(path) => path.clone(),
        UsedTokenizer::Registered(applied) => {
            let settled = fingerprint.model_versions().remove(&applied.written);
            let uri = match settled {
                Some(number) => ModelUri::number(&applied.uri.name, number),
                None => applied.uri.clone(),
            };
            let version = run.world.registry.resolve_tokenizer(&uri).await?;
            version.path.join(TOKENIZER_FILE)
        }
    };
    blocking(move || Ok(TextTokenizer::read(&path).map_err(LearnError::from)?)).await
}

/// What the user should know of the rows.
fn tell_of_rows(run: &RunContext, asset: &Asset, text: &TextTraining, splits: &TextSplits) {
    if splits.without_text > 0 {
        let column = &text.text;
        let words = match splits.without_text {
            1 => format!("1 row is left out, since its `{column}` is NULL"),
            rows => format!("{rows} rows are left out, since their `{column}` is NULL"),
        };
        run.warn(&asset.name, words);
    }
    tell_straddling(run, asset, splits.straddling);
}

/// One training in a run of its own.
struct Training<'a> {
    run: &'a RunContext,
    asset: &'a Asset,
    model: &'a ModelAsset,
    text: &'a TextTraining,
    fingerprint: &'a Fingerprint,
    identity: Identity,
    run_id: RunId,
}

type Fitted = (Option<ModelVersion>, BTreeMap<String, f64>, Box<Report>);

impl Training<'_> {
    async fn fit_in(
        &self,
        tokenizer: TextTokenizer,
        splits: TextSplits,
        seat: Seat,
    ) -> Result<Fitted, StageError> {
        let (run, run_id) = (self.run, &self.run_id);
        self.describe(&splits.digest).await?;
        let forecast = self.forecast().await?;
        let splits = Arc::new(splits);
        let (began, before) = (Instant::now(), Memory::now());
        let (fit, told) = self.train(tokenizer, Arc::clone(&splits), seat).await?;
        let came = (fit.outcome.tokens, began.elapsed().as_secs_f64());
        let off = forecast.filter(|_| !told.went_on());
        let grown = before.zip(Memory::now());
        let grown = grown.and_then(|(before, after)| after.grown_since(before));
        let off = off.map(|forecast| forecast.off(came.0, came.1, grown));
        self.log(off.unwrap_or_default()).await?;
        let about = About::of(
            run,
            self.asset,
            self.model,
            run_id,
            (&splits.plan, splits.straddling),
            None,
        );
        let (fit, figures, report, files) = blocking(move || {
            let settled = fit.model.settled();
            let label = &splits.plan.label;
            let judged = fit.raw.iter().map(|(split, raw)| {
                let labels = splits.get(*split).labels();
                let evaluation = evaluated_labels(label.task, labels, settled, raw.clone());
                (*split, evaluation)
            });
            let figures = figures::of_parts(label, settled, judged.collect(), None);
            let scored = fit.raw.iter().filter(|(split, _)| *split != Split::Train);
            let scored = scored.map(|(split, raw)| Scored {
                split: *split,
                labels: splits.get(*split).labels(),
                raw: raw.clone(),
            });
            let evidence = Evidence::of_scores(label, settled, Vec::new(), scored.collect())?;
            let mut files = evidence.files(label.task);
            files.push(("evaluation.json", figures.json));
            files.push(("steps.csv", told.csv()));
            let report = Report {
                about,
                parts: figures.parts,
                evidence,
                fitted: AsFitted::in_steps(settled),
                judged: None,
                search: None,
                steps: Some(told.steps(&fit)),
            };
            files.push((REPORT_FILE, report.html()));
            Ok((fit, figures.named, Box::new(report), files))
        })
        .await?;
        let metrics = track::metrics(&figures, &[], "");
        run.state.log_metrics(run_id, &metrics).await?;
        track::artifacts(run, run_id, files).await?;
        let version = register(
            run,
            self.asset,
            self.model,
            &self.identity,
            run_id,
            fit.model.into(),
            &figures,
        )
        .await?;
        // What was registered needs no checkpoint any more.
        checkpoints::remove(run, run_id).await?;
        Ok((version, figures, report))
    }

    /// What `plan` would tell of the training, which is recorded to be compared with it.
    async fn forecast(&self) -> Result<Option<Forecast>, StageError> {
        let sources = forecast::Sources {
            catalog: &self.run.catalog,
            registry: &self.run.world.registry,
            state: Some(&self.run.state),
            project: Some(&self.run.project),
        };
        let told = forecast::forecast(&sources, self.asset, self.model, self.text).await?;
        let metrics = told.as_ref().map(Forecast::metrics);
        self.log(metrics.unwrap_or_default()).await?;
        Ok(told)
    }

    async fn log(&self, figures: Vec<(&'static str, f64)>) -> Result<(), StageError> {
        let named = figures.into_iter();
        let named = named
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let metrics = track::metrics(&named, &[], "");
        Ok(self.run.state.log_metrics(&self.run_id, &metrics).await?)
    }

    /// What the run is told before it begins.
    async fn describe(&self, digest: &str) -> Result<(), StageError> {
        let (run, run_id) = (self.run, &self.run_id);
        let used: [DatasetUse; 1] = [dataset(run, self.model, digest)];
        run.state.log_datasets(run_id, &used).await?;
        if let Some(comment) = &self.asset.comment {
            run.state.set_tag(run_id, NOTE_TAG, comment).await?;
        }
        run.state.set_tag(run_id, "estimator", BERT).await?;
        let mut params = track::params(self.text.spec.params());
        params.retain(|(name, _)| name != "max_length");
        params.push(("max_length".to_owned(), self.text.max_length.to_string()));
        params.push(("text".to_owned(), self.text.text.clone()));
        params.extend(figures::params(self.model));
        Ok(run.state.log_params(run_id, &params).await?)
    }

    /// Trains, from an earlier run's checkpoint if there is one.
    async fn train(
        &self,
        tokenizer: TextTokenizer,
        splits: Arc<TextSplits>,
        seat: Seat,
    ) -> Result<(TextFit, progress::Told), StageError> {
        let (run, run_id) = (self.run, &self.run_id);
        let of = (self.model, self.fingerprint);
        let found = checkpoints::take_over(run, run_id, &self.identity, of).await?;
        let folder = checkpoints::folder(run, run_id);
        let (recorder, events) = progress::recorder(run, self.asset, run_id, found.before);
        let (text, finish) = (self.text.clone(), self.model.finish.clone());
        let fitting = run.compute(move |cancel| {
            let lease = seat.lease();
            let how = FitText {
                tokenizer: &tokenizer,
                max_length: text.max_length,
                pretrained: text.pretrained.as_deref(),
                finish: &finish,
                threads: lease.threads(),
                cancel,
                checkpoints: &folder,
                on_event: &mut |event| events.send(event),
            };
            Ok(text_fit::fit(&text.spec, &splits, how)?)
        });
        let (fitted, told) = tokio::join!(fitting, recorder.record());
        if let Err(StageError::Learn(LearnError::Deep(error))) = &fitted
            && matches!(**error, DeepError::Diverged { .. })
        {
            // Gone on from there it would only diverge again.
            checkpoints::remove(run, run_id).await?;
        }
        Ok((fitted?, told?))
    }
}
