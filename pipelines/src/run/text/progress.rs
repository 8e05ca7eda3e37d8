//! What a training tells while it goes: metrics by step in the store, events for people.

use std::fmt::Write as _;
use std::time::Instant;

use sluice_lake::fail_points::{self, Moment};
use sluice_lake::state::{Metric, RunId};
use sluice_learn::deep::trainer::{Ended, TrainEvent};
use sluice_learn::text_fit::TextFit;
use tokio::sync::mpsc::{Receiver, Sender};

use super::super::context::{RunContext, now_ms};
use super::super::error::StageError;
use super::super::page::Steps;
use super::super::track::quoted;
use super::memory::Memory;
use crate::events::EventKind;
use crate::plan::Asset;

/// What the names of metrics of single steps start with.
pub(super) const PREFIX: &str = "steps.";
/// Events that may wait to be recorded.
const WAITING: usize = 64;

/// Sends a training's events to its recorder.
pub(super) struct Events(Sender<TrainEvent>);

impl Events {
    /// Sends an event, waiting if the store is slow; without a recorder, which has failed then,
    /// it is lost and the stage fails.
    pub(super) fn send(&self, event: &TrainEvent) {
        match event {
            TrainEvent::Saving { .. } => fail_points::pass(Moment::Before, "write a checkpoint"),
            TrainEvent::Saved { .. } => fail_points::pass(Moment::After, "write a checkpoint"),
            _ => {}
        }
        let _ = self.0.blocking_send(event.clone());
    }
}

/// Records and tells a training's events.
pub(super) struct Recorder<'a> {
    run: &'a RunContext,
    asset: &'a Asset,
    run_id: &'a RunId,
    events: Receiver<TrainEvent>,
    told: Told,
    /// When training began in this run, and after which step.
    began: Option<(Instant, u64)>,
}

/// A recorder, and where its events come from. `before`: what an earlier attempt recorded.
pub(super) fn recorder<'a>(
    run: &'a RunContext,
    asset: &'a Asset,
    run_id: &'a RunId,
    before: Vec<Metric>,
) -> (Recorder<'a>, Events) {
    let (sender, events) = tokio::sync::mpsc::channel(WAITING);
    let recorder = Recorder {
        run,
        asset,
        run_id,
        events,
        told: Told {
            went_on: !before.is_empty(),
            metrics: before,
        },
        began: None,
    };
    (recorder, Events(sender))
}

/// What a training told, over all its attempts.
pub(super) struct Told {
    metrics: Vec<Metric>,
    went_on: bool,
}

impl Recorder<'_> {
    /// Records until the training is over.
    pub(super) async fn record(mut self) -> Result<Told, StageError> {
        let mut waiting = Vec::with_capacity(WAITING);
        while self.events.recv_many(&mut waiting, WAITING).await > 0 {
            let metrics: Vec<Metric> = waiting
                .iter()
                .flat_map(|event| self.metrics_of(event))
                .collect();
            // What has been told is stored, however the process ends.
            if !metrics.is_empty() {
                self.run.state.log_metrics(self.run_id, &metrics).await?;
                self.told.metrics.extend(metrics);
            }
            for event in waiting.drain(..) {
                self.tell(&event);
            }
        }
        Ok(self.told)
    }

    fn metrics_of(&self, event: &TrainEvent) -> Vec<Metric> {
        let timestamp_ms = now_ms();
        let metric = |name: &str, value: f64, step: u64| Metric {
            key: format!("{PREFIX}{name}"),
            value,
            step: i64::try_from(step).unwrap_or(i64::MAX),
            timestamp_ms,
        };
        match event {
            TrainEvent::Logged {
                step,
                loss,
                learning_rate,
                grad_norm,
                tokens_per_second,
                ..
            } => {
                let mut metrics = vec![
                    metric("train.loss", *loss, *step),
                    metric("learning_rate", *learning_rate, *step),
                    metric("grad_norm", *grad_norm, *step),
                    metric("tokens_per_second", *tokens_per_second, *step),
                ];
                metrics.extend(
                    Memory::now()
                        .map(|memory| metric("memory_bytes", memory.resident_bytes as f64, *step)),
                );
                metrics
            }
            TrainEvent::Evaluated { figures, .. } => {
                let figures_of = figures.metrics.iter();
                figures_of
                    .map(|(name, value)| {
                        metric(&format!("validation.{name}"), *value, figures.step)
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn tell(&mut self, event: &TrainEvent) {
        let asset = self.asset.name.clone();
        match event {
            TrainEvent::Started {
                step, total_steps, ..
            } => {
                self.began = Some((Instant::now(), *step));
                if *step > 0 {
                    self.run.emit(EventKind::TrainingResumed {
                        asset,
                        done: *step,
                        total: *total_steps,
                    });
                }
            }
            TrainEvent::Logged {
                step,
                total_steps,
                epoch,
                loss,
                tokens_per_second,
                ..
            } => {
                let left = total_steps.saturating_sub(*step) as f64;
                let seconds_left = self.began.and_then(|(began, before)| {
                    let done = step.checked_sub(before).filter(|done| *done > 0)?;
                    Some(began.elapsed().as_secs_f64() / done as f64 * left)
                });
                self.run.emit(EventKind::TrainingProgress {
                    asset,
                    step: *step,
                    total_steps: *total_steps,
                    epoch: *epoch,
                    loss: *loss,
                    tokens_per_second: *tokens_per_second,
                    seconds_left,
                });
            }
            _ => {}
        }
    }
}

impl Told {
    /// Whether it went on from an earlier attempt, so that this one's time is not the whole.
    pub(super) fn went_on(&self) -> bool {
        self.went_on
    }

    /// All metrics by step as CSV.
    pub(super) fn csv(&self) -> String {
        let mut text = "metric,step,value\n".to_owned();
        for metric in &self.metrics {
            let name = metric.key.strip_prefix(PREFIX).unwrap_or(&metric.key);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{},{},{}", quoted(name), metric.step, metric.value);
        }
        text
    }

    /// The same for the report.
    pub(super) fn steps(&self, fit: &TextFit) -> Steps {
        let mut curves = std::collections::BTreeMap::new();
        for metric in &self.metrics {
            let name = metric.key.strip_prefix(PREFIX).unwrap_or(&metric.key);
            let curve: &mut Vec<(f64, f64)> = curves.entry(name.to_owned()).or_default();
            curve.push((metric.step as f64, metric.value));
        }
        Steps {
            curves,
            steps: fit.outcome.steps,
            tokens: fit.outcome.tokens,
            stopped_early: fit.outcome.ended == Ended::EarlyStopped,
            best: fit.outcome.best.clone(),
            fresh: fit.fresh.clone(),
        }
    }
}
