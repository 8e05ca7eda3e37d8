//! The loop of a training.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use super::arguments::{IntervalStrategy, TrainingArguments};
use super::checkpoint::{self, BestFigure, Exact, Figures, State};
use super::event::{Ended, TrainEvent, TrainOutcome};
use super::{Examples, LOSS, Trainable, batches};
use crate::deep::device::DeviceChoice;
use crate::deep::error::DeepError;
use crate::deep::layer::Pass;
use crate::deep::optimizer::{AdamW, Gradients, Schedule};
use crate::error::ParamError;
use crate::metric::Goal;
use crate::nearest::nearest;
use crate::parallel::thread_pool;

/// Batches that are prepared while the model computes.
const PREPARED: usize = 2;

/// How a training is run, beside its arguments.
pub struct TrainRun<'a> {
    /// How the training goes.
    pub arguments: &'a TrainingArguments,
    /// Where its checkpoints lie; nothing else may.
    pub output_dir: &'a Path,
    /// Whether to go on from the newest checkpoint there; without one it starts.
    pub resume: bool,
    /// Threads that compute. No result depends on it.
    pub threads: NonZeroUsize,
    /// Set from elsewhere, it ends the training after the current step, with a checkpoint.
    pub cancel: &'a AtomicBool,
    /// Hears what happens.
    pub on_event: &'a mut (dyn FnMut(&TrainEvent) + Send),
}

/// Trains `model` on `train`, judging it by `eval` if there is any.
///
/// # Errors
///
/// Nothing to train or to learn from, an unknown figure to choose by, a checkpoint of
/// another training, a loss or gradient that is not finite, and whatever the model, the
/// rows or the file system refuse. Checkpoints written before stay.
pub fn train<'a, M, E>(
    model: &'a M,
    train: &'a E,
    eval: Option<&'a E>,
    run: TrainRun<'a>,
) -> Result<TrainOutcome, DeepError>
where
    M: Trainable,
    E: Examples<Batch = M::Batch>,
{
    let pool = thread_pool(run.threads)?;
    pool.install(|| Training::new(model, train, eval, run)?.run())
}

struct Training<'a, M, E> {
    model: &'a M,
    train: &'a E,
    eval: Option<&'a E>,
    run: TrainRun<'a>,
    goal: Goal,
    schedule: Schedule,
    optimizer: AdamW,
    state: State,
    window: Window,
    /// The step of the last checkpoint that this run wrote.
    saved: Option<u64>,
}

/// What was seen since the loss was last reported.
#[derive(Debug, Default)]
struct Window {
    losses: f64,
    steps: u64,
    tokens: u64,
    seconds: f64,
}

/// What a step came to.
struct Step {
    loss: f64,
    tokens: u64,
    norm: f64,
    rate: f64,
}

impl<'a, M, E> Training<'a, M, E>
where
    M: Trainable,
    E: Examples<Batch = M::Batch>,
{
    fn new(
        model: &'a M,
        train: &'a E,
        eval: Option<&'a E>,
        run: TrainRun<'a>,
    ) -> Result<Self, DeepError> {
        let arguments = run.arguments;
        let nothing = |reason| Err(DeepError::NothingToTrain { reason });
        if train.is_empty() {
            return nothing("the train split has no row; check the table and its `_split`");
        }
        if model.parameters().trainable().next().is_none() {
            return nothing("every weight of the model is frozen; freeze fewer layers");
        }
        let eval = eval.filter(|eval| !eval.is_empty());
        let steps_an_epoch = train
            .len()
            .div_ceil(arguments.per_device_train_batch_size)
            .div_ceil(arguments.gradient_accumulation_steps) as u64;
        let total_steps = arguments
            .max_steps
            .unwrap_or(arguments.num_train_epochs * steps_an_epoch);
        let goal = goal(model, &arguments.metric_for_best_model)?;
        let mut optimizer = AdamW::new(model.parameters(), arguments.adamw)?;
        let identity = identity(model, train, eval, arguments);
        let found = if run.resume {
            checkpoint::newest(run.output_dir)?
        } else {
            checkpoint::keep_only(run.output_dir, &[])?;
            None
        };
        let state = match found {
            Some(dir) => checkpoint::restore(&dir, &identity, model.parameters(), &mut optimizer)?,
            None => State {
                identity,
                ..State::default()
            },
        };
        Ok(Self {
            model,
            train,
            eval,
            goal,
            schedule: arguments.schedule(total_steps),
            optimizer,
            state,
            run,
            window: Window::default(),
            saved: None,
        })
    }

    fn run(mut self) -> Result<TrainOutcome, DeepError> {
        let (parameters, trainable) = self.model.parameters().count();
        self.tell(&TrainEvent::Started {
            step: self.state.step,
            total_steps: self.schedule.total_steps,
            examples: self.train.len(),
            parameters,
            trainable,
        });
        let mut ended = None;
        while ended.is_none() {
            ended = if self.state.step >= self.schedule.total_steps {
                Some(Ended::Finished)
            } else if self.is_tired() {
                // It was killed between its end and what its caller did with it.
                Some(Ended::EarlyStopped)
            } else {
                self.epoch()?
            };
        }
        let ended = ended.unwrap_or(Ended::Finished);
        if self.run.arguments.load_best_model_at_end
            && !matches!(ended, Ended::Interrupted(_))
            && let Some(best) = &self.state.best
            && best.step != self.state.step
        {
            let dir = checkpoint::folder(self.run.output_dir, best.step);
            checkpoint::restore_weights(&dir, self.model.parameters())?;
        }
        Ok(TrainOutcome {
            ended,
            steps: self.state.step,
            tokens: self.state.tokens,
            history: self.state.history.iter().map(Figures::public).collect(),
            best: self.state.best.as_ref().map(BestFigure::public),
        })
    }

    /// The rest of the current epoch; why the training ended, if it did.
    fn epoch(&mut self) -> Result<Option<Ended>, DeepError> {
        let arguments = self.run.arguments;
        let train = self.train;
        let length = |row: usize| train.length(row);
        let by_length: Option<&dyn Fn(usize) -> usize> = if arguments.group_by_length {
            Some(&length)
        } else {
            None
        };
        let all = batches::of_epoch(
            train.len(),
            arguments.per_device_train_batch_size,
            arguments.seed,
            self.state.epoch,
            by_length,
        );
        let rest = &all[self.state.batch.min(all.len())..];
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(PREPARED);
            scope.spawn(move || {
                for rows in rest {
                    // The receiver is gone when the training ended early.
                    if sender.send(train.batch(rows)).is_err() {
                        break;
                    }
                }
            });
            let sizes = rest
                .chunks(arguments.gradient_accumulation_steps)
                .map(<[_]>::len);
            for size in sizes {
                if let Some(ended) = self.one_step(&receiver, size, all.len())? {
                    return Ok(Some(ended));
                }
            }
            Ok(None)
        })
    }

    /// A step of `size` batches and all that is due after it, in an epoch of `batches`.
    fn one_step(
        &mut self,
        prepared: &Receiver<Result<M::Batch, DeepError>>,
        size: usize,
        batches: usize,
    ) -> Result<Option<Ended>, DeepError> {
        let since = Instant::now();
        let step = self.learn(prepared, size, batches)?;
        self.window.seconds += since.elapsed().as_secs_f64();
        self.state.step += 1;
        self.state.batch += size;
        self.state.tokens += step.tokens;
        let epoch_ends = self.state.batch >= batches;
        if epoch_ends {
            self.state.epoch += 1;
            self.state.batch = 0;
        }
        self.log(&step, batches);
        let ended = self.after_step(epoch_ends)?;
        if ended.is_none() && self.run.cancel.load(Ordering::Relaxed) {
            let path = if self.saved == Some(self.state.step) {
                checkpoint::folder(self.run.output_dir, self.state.step)
            } else {
                self.save()?
            };
            return Ok(Some(Ended::Interrupted(path)));
        }
        Ok(ended)
    }

    /// Learns from the next `size` batches.
    fn learn(
        &mut self,
        prepared: &Receiver<Result<M::Batch, DeepError>>,
        size: usize,
        batches: usize,
    ) -> Result<Step, DeepError> {
        let parameters = self.model.parameters();
        let mut gradients = Gradients::default();
        let (mut losses, mut tokens) = (0.0, 0);
        for part in 0..size {
            let batch = prepared.recv().map_err(|_| {
                let reason = "its rows could not be prepared";
                DeepError::NothingToTrain { reason }
            })??;
            let place = self.state.epoch * batches as u64 + (self.state.batch + part) as u64;
            let arguments = self.run.arguments;
            let mut pass = Pass::training(arguments.seed, place).in_bf16(arguments.bf16);
            let loss = self.model.loss(&batch, &mut pass)?;
            let value = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
            self.finite("loss", value, part)?;
            gradients.add(&mut loss.backward()?, parameters)?;
            losses += value;
            tokens += self.model.tokens(&batch) as u64;
        }
        let share = 1.0 / size as f64;
        let norm = gradients.norm(parameters)? * share;
        self.finite("gradient norm", norm, size - 1)?;
        let clip = match self.run.arguments.max_grad_norm {
            Some(most) => (most / (norm + 1e-6)).min(1.0),
            None => 1.0,
        };
        let rate = self.schedule.rate(self.state.step);
        self.optimizer.step(&gradients, rate, clip * share)?;
        Ok(Step {
            loss: losses * share,
            tokens,
            norm,
            rate,
        })
    }

    fn finite(&self, what: &'static str, value: f64, part: usize) -> Result<(), DeepError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(DeepError::Diverged {
            step: self.state.step + 1,
            epoch: self.state.epoch + 1,
            batch: (self.state.batch + part + 1) as u64,
            what,
            value,
        })
    }

    /// Reports the loss when it is due.
    fn log(&mut self, step: &Step, batches: usize) {
        self.window.losses += step.loss;
        self.window.steps += 1;
        self.window.tokens += step.tokens;
        let last = self.state.step == self.schedule.total_steps;
        if !self
            .state
            .step
            .is_multiple_of(self.run.arguments.logging_steps)
            && !last
        {
            return;
        }
        let event = TrainEvent::Logged {
            step: self.state.step,
            total_steps: self.schedule.total_steps,
            epoch: self.state.epoch as f64 + self.state.batch as f64 / batches as f64,
            loss: self.window.losses / self.window.steps as f64,
            learning_rate: step.rate,
            grad_norm: step.norm,
            tokens_per_second: self.window.tokens as f64 / self.window.seconds.max(1e-9),
        };
        self.tell(&event);
        self.window = Window::default();
    }

    /// Evaluates and saves when it is due, and says whether the training ends of itself.
    fn after_step(&mut self, epoch_ends: bool) -> Result<Option<Ended>, DeepError> {
        let arguments = self.run.arguments;
        let step = self.state.step;
        let due = |strategy, every: u64| match strategy {
            IntervalStrategy::No => false,
            IntervalStrategy::Steps => step.is_multiple_of(every),
            IntervalStrategy::Epoch => epoch_ends || step == self.schedule.total_steps,
        };
        let save = due(arguments.save_strategy, arguments.save_steps);
        let evaluate = due(arguments.eval_strategy, arguments.eval_steps);
        let better = evaluate && self.evaluate()?;
        // Without its checkpoint the best could not be restored.
        if save || (better && arguments.load_best_model_at_end) {
            self.save()?;
        }
        Ok((evaluate && self.is_tired()).then_some(Ended::EarlyStopped))
    }

    /// Whether the figures have been no better for as long as was to be waited.
    fn is_tired(&self) -> bool {
        let patience = self.run.arguments.early_stopping_patience;
        patience.is_some_and(|patience| self.state.without_gain >= patience)
    }

    /// Judges the model; whether it is the best so far.
    fn evaluate(&mut self) -> Result<bool, DeepError> {
        let Some(eval) = self.eval else {
            return Ok(false);
        };
        let arguments = self.run.arguments;
        let size = arguments.per_device_eval_batch_size;
        let order = batches::of_evaluation(eval.len(), size, |row| eval.length(row));
        let mut fetched = order.iter().map(|rows| eval.batch(rows));
        let metrics = self.model.evaluate(&mut fetched)?;
        let figures = Figures {
            step: self.state.step,
            metrics: metrics
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Exact(value)))
                .collect(),
        };
        let name = &arguments.metric_for_best_model;
        let value = figures.public().get(name).unwrap_or(f64::NAN);
        let before = self.state.best.as_ref().map(|best| best.value.0);
        let better = before.is_none_or(|before| self.goal.better(value, before)) && !value.is_nan();
        let gain = before.is_none_or(|before| {
            better && (value - before).abs() > arguments.early_stopping_threshold
        });
        self.state.without_gain = if gain && better {
            0
        } else {
            self.state.without_gain + 1
        };
        if better {
            self.state.best = Some(BestFigure {
                step: self.state.step,
                metric: name.clone(),
                value: Exact(value),
            });
        }
        let event = TrainEvent::Evaluated {
            figures: figures.public(),
            best: better,
        };
        self.state.history.push(figures);
        self.tell(&event);
        Ok(better)
    }

    /// Writes a checkpoint and removes those that are neither it nor the best.
    fn save(&mut self) -> Result<std::path::PathBuf, DeepError> {
        let dir = self.run.output_dir;
        let step = self.state.step;
        self.tell(&TrainEvent::Saving { step });
        let path = checkpoint::write(dir, &self.state, self.model.parameters(), &self.optimizer)?;
        self.saved = Some(step);
        self.tell(&TrainEvent::Saved {
            step,
            path: path.clone(),
        });
        let mut kept = checkpoint::steps(dir)?;
        let limit = self.run.arguments.save_total_limit;
        kept.drain(..kept.len().saturating_sub(limit));
        kept.extend(self.state.best.as_ref().map(|best| best.step));
        checkpoint::keep_only(dir, &kept)?;
        Ok(path)
    }

    fn tell(&mut self, event: &TrainEvent) {
        (self.run.on_event)(event);
    }
}

/// Which values of the figure `name` are better.
fn goal<M: Trainable>(model: &M, name: &str) -> Result<Goal, DeepError> {
    if name == LOSS {
        return Ok(Goal::Minimize);
    }
    let metrics = model.metrics();
    let found = metrics.iter().find(|(metric, _)| *metric == name);
    found.map(|(_, goal)| *goal).ok_or_else(|| {
        let names = metrics.iter().map(|(metric, _)| *metric);
        let names: Vec<&str> = std::iter::once(LOSS).chain(names).collect();
        let mut error = ParamError::new(
            "metric_for_best_model",
            format!(
                "there is no figure `{name}`; there are {}",
                names.join(", ")
            ),
        );
        error.nearest = nearest(name, names);
        DeepError::Params(vec![error])
    })
}

/// What says that a checkpoint is of this training: arguments that change its course, the
/// rows and the model.
fn identity<M: Trainable, E: Examples>(
    model: &M,
    train: &E,
    eval: Option<&E>,
    arguments: &TrainingArguments,
) -> Vec<(String, String)> {
    // When something is reported changes nothing; where it is computed, only rounding.
    let course = TrainingArguments {
        device: DeviceChoice::Auto,
        logging_steps: 0,
        save_strategy: IntervalStrategy::No,
        save_steps: 0,
        save_total_limit: 0,
        ..arguments.clone()
    };
    let mut weights = String::new();
    for parameter in model.parameters().iter() {
        let trains = parameter.var.is_some();
        let dims = parameter.tensor.dims();
        let _ = write!(weights, "{} {dims:?} {trains};", parameter.name);
    }
    let weights = blake3::hash(weights.as_bytes()).to_hex().to_string();
    let judged_by = eval.map_or_else(String::new, Examples::fingerprint);
    [
        ("the arguments", format!("{course:?}")),
        ("the train rows", train.fingerprint()),
        ("the validation rows", judged_by),
        ("the model", weights),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
