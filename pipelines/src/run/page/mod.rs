//! The page of a training or a sweep, `report.html` among the artifacts of its run.
//!
//! A [`Report`] is plain data about a run. Each file makes one part of the page of it:
//! [`scores`] the metrics and confusion matrices, [`folds`] how they differ between folds,
//! [`curves`] what thresholds and probabilities do, [`residuals`] the errors of a
//! regression, [`features`] what the model looks at, [`rounds`] and [`steps`] how it was fitted,
//! [`champion`] what it was compared with, and [`trials`] the search that found it. Entry
//! points: [`Report::html`], [`conclude`].

mod champion;
pub(super) mod curves;
mod features;
mod folds;
pub(super) mod residuals;
mod rounds;
pub(super) mod scores;
mod steps;
mod trials;

#[cfg(test)]
mod tests;

use sluice_lake::registry::{ModelVersion, moment_text};
use sluice_lake::state::RunId;
use sluice_learn::dataset::Straddling;
use sluice_learn::estimator::FeatureImportance;
use sluice_learn::metric::Evaluation;
use sluice_learn::text_fit::BERT;
use sluice_learn::validate::{FinishedFit, FoldFigures};
use sluice_learn::{FeaturePlan, Settled, Split, Task};
use sluice_report::{Block, Page, Section, Table, Tone, number};

pub(crate) use steps::Steps;
pub(crate) use trials::Search;

use super::context::{RunContext, now_ms};
use super::error::{StageError, blocking};
use super::evidence::Evidence;
use super::promote::{Decision, Scored};
use super::rows::{seed, table_version};
use super::track;
use crate::events::EventKind;
use crate::plan::{Asset, Fit, ModelAsset};

/// The page's name among the artifacts of a run.
pub(crate) const REPORT_FILE: &str = "report.html";

/// What was trained, on what.
pub(crate) struct About {
    pub(crate) asset: String,
    pub(crate) comment: Option<String>,
    pub(crate) pipeline: String,
    pub(crate) run_id: RunId,
    /// When the fit was done, as people read it.
    pub(crate) ended: String,
    pub(crate) estimator: String,
    /// All parameters, defaults included.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) task: Task,
    pub(crate) label: String,
    pub(crate) classes: Vec<String>,
    pub(crate) features: usize,
    /// The column that a text model reads.
    pub(crate) text: Option<String>,
    pub(crate) weight: Option<String>,
    /// The table, and its version.
    pub(crate) table: (String, i64),
    pub(crate) seed: u64,
    pub(crate) straddling: Straddling,
}

impl About {
    /// What a run trains; of a search, with the parameters of its best trial.
    pub(crate) fn of(
        run: &RunContext,
        asset: &Asset,
        model: &ModelAsset,
        run_id: &RunId,
        (plan, straddling): (&FeaturePlan, Straddling),
        search: Option<&Search>,
    ) -> Self {
        let (estimator, params) = match (&model.fit, search.and_then(Search::winner)) {
            (Fit::Train(spec), _) => (spec.name(), spec.params()),
            (Fit::Sweep(spec), Some(best)) => (spec.estimator(), &best.params),
            (Fit::Sweep(spec), None) => (spec.estimator(), &spec.space().fixed),
            (Fit::Text(text), _) => (BERT, text.spec.params()),
        };
        Self {
            asset: asset.name.clone(),
            comment: asset.comment.clone(),
            pipeline: run.plan.pipeline.clone(),
            run_id: run_id.clone(),
            ended: minute(&moment_text(now_ms())),
            estimator: estimator.to_owned(),
            params: track::params(params),
            task: plan.label.task,
            label: plan.label.name.clone(),
            classes: plan.label.classes.iter().map(ToString::to_string).collect(),
            features: plan.features.len(),
            text: match &model.fit {
                Fit::Text(text) => Some(text.text.clone()),
                Fit::Train(_) | Fit::Sweep(_) => None,
            },
            weight: model.data.weight.clone(),
            table: (model.from.to_string(), table_version(run, model)),
            seed: seed(model),
            straddling,
        }
    }
}

/// `2026-03-01 12:00 UTC` of `2026-03-01T12:00:00.000Z`.
fn minute(moment: &str) -> String {
    match moment.get(..16).and_then(|text| text.split_once('T')) {
        Some((day, time)) => format!("{day} {time} UTC"),
        None => moment.to_owned(),
    }
}

/// How a model came to be.
pub(crate) struct AsFitted {
    pub(crate) importance: Vec<FeatureImportance>,
    /// The metric that was watched, as `validation.auc`, and its value after each round.
    pub(crate) watched: String,
    pub(crate) history: Vec<f64>,
    pub(crate) best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model keeps.
    pub(crate) kept: usize,
    /// How folds did, where there were any.
    pub(crate) folds: Vec<FoldFigures>,
    /// From which probability on a row of two classes is positive, where that was settled.
    pub(crate) threshold: Option<f64>,
    /// How probabilities are calibrated.
    pub(crate) calibration: Option<&'static str>,
}

impl AsFitted {
    /// A training in steps, of which [`Steps`] tell the rest.
    pub(crate) fn in_steps(settled: &Settled) -> Self {
        Self {
            importance: Vec::new(),
            watched: String::new(),
            history: Vec::new(),
            best_iteration: None,
            kept: 0,
            folds: Vec::new(),
            threshold: settled.threshold,
            calibration: settled.calibration.as_ref().map(|c| c.method().as_str()),
        }
    }

    /// What a fit came to.
    pub(crate) fn of(fit: &FinishedFit, watched: String) -> Self {
        let (fitted, settled) = (&fit.fitted, fit.fitted.model.settled());
        let folds = fit.cross_validation.as_ref();
        Self {
            importance: fitted.importance.clone(),
            watched,
            history: fitted.history.clone(),
            best_iteration: fitted.best_iteration,
            kept: fitted.iterations,
            folds: folds.map_or_else(Vec::new, |folds| folds.folds.clone()),
            threshold: settled.threshold,
            calibration: settled.calibration.as_ref().map(|c| c.method().as_str()),
        }
    }
}

/// What a version was compared with, and what came of it.
pub(crate) struct Judged {
    pub(crate) model: String,
    pub(crate) version: i64,
    pub(crate) alias: String,
    pub(crate) champion: Scored,
    pub(crate) moved: bool,
    pub(crate) reason: String,
}

impl Judged {
    /// What a decision says of a version, if a champion was scored for it.
    pub(crate) fn of(
        model: &ModelAsset,
        version: &ModelVersion,
        decision: &Decision,
    ) -> Option<Self> {
        let alias = model.register.as_ref()?.alias.as_ref()?;
        Some(Self {
            model: version.name.clone(),
            version: version.version,
            alias: alias.to_string(),
            champion: decision.champion.clone()?,
            moved: decision.moved,
            reason: decision.reason.clone(),
        })
    }
}

/// A training or a sweep, as its page shows it.
pub(crate) struct Report {
    pub(crate) about: About,
    /// The figures of each split that has rows.
    pub(crate) parts: Vec<(Split, Evaluation)>,
    pub(crate) evidence: Evidence,
    pub(crate) fitted: AsFitted,
    pub(crate) judged: Option<Judged>,
    /// The search, of a sweep.
    pub(crate) search: Option<Search>,
    /// The steps, of a training in steps.
    pub(crate) steps: Option<Steps>,
}

impl Report {
    /// The page's text.
    pub(crate) fn html(&self) -> String {
        self.page().render()
    }

    fn page(&self) -> Page {
        let about = &self.about;
        let kind = match self.search {
            Some(_) => "Sweep",
            None => "Training",
        };
        let mut page = Page::new(kind, &about.asset)
            .lead(self.lead())
            .fact(
                "Data",
                format!("{}, version {}", about.table.0, about.table.1),
            )
            .fact("Rows", self.rows_told())
            .fact("Seed", about.seed.to_string())
            .fact("Pipeline", &about.pipeline)
            .fact("Run", about.run_id.as_str())
            .fact("Made", &about.ended);
        for tile in self.tiles() {
            page = page.tile(tile);
        }
        if let Some(search) = &self.search {
            page = page.section(search.section()).section(search.leaderboard());
        }
        page.section(self.scores())
            .section(self.folds())
            .section(self.champion())
            .section(self.confusion())
            .section(self.curves())
            .section(self.probabilities())
            .section(self.residuals())
            .section(self.features())
            .section(self.training())
            .section(self.fit())
    }

    fn lead(&self) -> String {
        let about = &self.about;
        let what = match (about.task, &about.classes[..]) {
            (Task::Binary, [_, positive]) => {
                format!("the probability that {} is {positive}", about.label)
            }
            (Task::Multiclass, classes) => {
                format!("which of {} classes {} is", classes.len(), about.label)
            }
            _ => about.label.clone(),
        };
        let made = match &self.search {
            Some(search) => format!(
                "The best of {} of {}",
                counted(search.trials.len(), "trial"),
                about.estimator
            ),
            None => format!("A {}", about.estimator),
        };
        let columns = match &about.text {
            Some(text) => format!("the column {text} alone"),
            None => counted(about.features, "column"),
        };
        let comment = about.comment.as_ref();
        let comment = comment.map_or_else(String::new, |words| format!("{words} "));
        format!("{comment}{made}, which predicts {what} from {columns}.")
    }

    fn rows_told(&self) -> String {
        let folds = self.fitted.folds.len();
        let told: Vec<String> = self
            .parts
            .iter()
            .filter(|(split, _)| folds == 0 || *split != Split::Validation)
            .map(|(split, part)| {
                let dealt = match split {
                    Split::Train if folds > 0 => format!(" in {folds} folds"),
                    _ => String::new(),
                };
                format!("{} {split}{dealt}", number::count(part.rows as u64))
            })
            .collect();
        told.join(", ")
    }

    /// How the fit was done: parameters, and the metric after each round.
    fn fit(&self) -> Section {
        let about = &self.about;
        let title = match self.search {
            Some(_) => "Fit of the best trial",
            None => "Fit",
        };
        let mut table = Table::new("Parameters").column("parameter").column("value");
        for (name, value) in &about.params {
            table.row([name.clone(), value.clone()]);
        }
        let mut section = Section::new(title).text(self.fit_told());
        let charts: Vec<_> = self.round_chart().into_iter().collect();
        if !charts.is_empty() {
            section = section.charts(charts);
        }
        section.block(Block::Details(
            counted(about.params.len(), "parameter"),
            vec![Block::Table(table)],
        ))
    }

    fn fit_told(&self) -> String {
        let weight = self.about.weight.as_ref();
        let weight = weight.map_or_else(String::new, |column| {
            format!(" Rows counted as {column} says.")
        });
        let told = match &self.steps {
            // The section about the training tells.
            Some(_) => String::new(),
            None => self.rounds_told(),
        };
        format!("{told}{weight}")
    }

    /// Rows that flatter the figures.
    fn straddling(&self) -> Option<Block> {
        let straddling = &self.about.straddling;
        let told: Vec<String> = [
            ("validation", straddling.validation),
            ("test", straddling.test),
        ]
        .iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(split, rows)| format!("{} {split} rows", number::count(*rows as u64)))
        .collect();
        (!told.is_empty()).then(|| {
            let told = told.join(" and ");
            let words =
                format!("{told} occur among the train rows too: figures flatter the model.");
            Block::Notice(Tone::Warning, words)
        })
    }
}

/// `1 trial`, `1,000 trials`.
fn counted(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        many => format!("{} {one}s", number::count(many as u64)),
    }
}

/// Tells where the page of a run is. Where a champion was judged, the page is written once
/// more, with what came of it.
pub(crate) async fn conclude(
    run: &RunContext,
    asset: &Asset,
    mut report: Report,
    judged: Option<Judged>,
) -> Result<(), StageError> {
    let run_id = report.about.run_id.clone();
    if judged.is_some() {
        report.judged = judged;
        let html = blocking(move || Ok(report.html())).await?;
        track::artifacts(run, &run_id, vec![(REPORT_FILE, html)]).await?;
    }
    let folder = run.world.lakehouse.artifacts_path(run_id.as_str());
    run.emit(EventKind::Report {
        asset: asset.name.clone(),
        path: run.spelled(&folder.join(REPORT_FILE)),
    });
    Ok(())
}
