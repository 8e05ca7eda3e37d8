//! `models:`.

use serde_json::{Value as Json, json};
use sluice_learn::Task;
use sluice_learn::calibration::CalibrationMethod;

use super::component::Component;
use super::decode::{Check, Context, Decode, Fields, choice, record};
use super::duration::Length;
use super::metric::Metric;
use super::name::{AliasNames, Name, RegisteredNames, TagNames};
use super::patience::PatienceSpec;
use super::scalar::word;
use super::schema::Definitions;
use super::validation::{Threshold, Validate};
use super::when::When;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// A model that the pipeline fits.
    pub struct ModelSpec as "a model" {
        /// What the model is for, for people.
        "comment" comment: Option<Spanned<String>>,
        /// Words by which commands can select it, as `tag:nightly`.
        "tags" tags: Vec<Name<TagNames>>,
        /// Assets to make first, for edges that cannot be seen.
        "after" after: Vec<Spanned<String>>,
        /// How often it is tried, and how long that may take.
        .. patience: PatienceSpec,
        /// How it is fitted: exactly one of these keys.
        .. body: ModelBody,
        /// Puts the fitted model into the registry.
        "register" register: Option<Register>,
    }
}

choice! {
    /// How a model is fitted.
    pub enum ModelBody {
        /// One fit with the parameters given.
        "train" Train(Box<Train>),
        /// Many fits, of which the best on the validation rows is kept.
        "sweep" Sweep(Box<Sweep>),
    }
}

impl ModelBody {
    /// What the model learns from.
    #[must_use]
    pub fn data(&self) -> &TrainingData {
        match self {
            Self::Train(train) => &train.data,
            Self::Sweep(sweep) => &sweep.data,
        }
    }

    /// What is fitted.
    #[must_use]
    pub fn estimator(&self) -> &Component {
        match self {
            Self::Train(train) => &train.estimator,
            Self::Sweep(sweep) => &sweep.estimator,
        }
    }
}

impl Check for ModelSpec {}

record! {
    /// What a model learns from.
    pub struct TrainingData as "training data" {
        /// The table with the rows; its column `_split` says what each is for.
        "from" from: Spanned<String>,
        /// The column to predict.
        "label" label: Spanned<String>,
        /// The column that a text model (`estimator: {bert: ...}`) reads; it reads no other.
        "text" text: Option<Spanned<String>>,
        /// What is asked of the label: `binary` (the probability of the positive one of two classes), `multiclass` (one of several classes) or `regression` (a number); by default `multiclass` for text, else `binary`.
        "task" task: Option<Spanned<Task>>,
        /// A column that says how much each row counts in the fit; it is no feature.
        "weight" weight: Option<Spanned<String>>,
        /// Columns that are no features.
        "exclude" exclude: Vec<Spanned<String>>,
        /// Text columns that are features, each value a category.
        "categorical" categorical: Vec<Spanned<String>>,
        /// Cross-validation in place of the part `validation`: `{folds: 5}`, and `by:` columns whose rows stay together; a `validation.` metric is then the mean over the folds.
        "validate" validate: Option<Validate>,
        /// Makes probabilities come true as often as they say: `isotonic`, or `sigmoid` (also called `platt`), fitted to rows that the model was not fitted on.
        "calibrate" calibrate: Option<Spanned<CalibrationMethod>>,
        /// From which probability on a row of two classes is positive: a number, or `{maximize: f1}` for the best on the validation rows; by default above 0.5.
        "threshold" threshold: Option<Spanned<Threshold>>,
    }
}

impl Check for TrainingData {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        let lists = self.exclude.iter().chain(&self.categorical);
        for column in lists {
            if column.eq_ignore_ascii_case(&self.label) {
                let message = format!("`{column}` is the label");
                cx.report(
                    Diagnostic::error("conflicting_keys", message)
                        .help("the label is never a feature; take it out of this list"),
                    column.span,
                );
            }
        }
        if let Some(weight) = &self.weight
            && weight.eq_ignore_ascii_case(&self.label)
        {
            let message = format!("`{weight}` is the label");
            cx.error("conflicting_keys", message, weight.span);
        }
        self.check_text(fields, cx);
        for column in &self.categorical {
            let excluded = |other: &&Spanned<String>| other.eq_ignore_ascii_case(column);
            if self.exclude.iter().find(excluded).is_some() {
                let message = format!("`{column}` is both excluded and categorical");
                cx.error("conflicting_keys", message, column.span);
            }
        }
        cx.diagnostics.len() == before
    }
}

impl TrainingData {
    /// Reports keys that mean nothing to a model that reads a text.
    fn check_text(&self, fields: &Fields<'_>, cx: &mut Context<'_>) {
        const IDLE: [(&str, &str); 4] = [
            (
                "exclude",
                "it reads no other column, so there is nothing to exclude",
            ),
            ("categorical", "it reads no other column than its text"),
            (
                "weight",
                "every row counts alike; for classes there is the parameter `class_weight`",
            ),
            (
                "validate",
                "it is judged by the part `validation`; training once a fold is left to trees",
            ),
        ];
        if self.text.is_none() {
            return;
        }
        for (key, why) in IDLE {
            if let Some(entry) = fields.entry(key) {
                let message = format!("`{key}` does not go with `text`: {why}");
                let error = Diagnostic::error("conflicting_keys", message)
                    .help(format!("take out `{key}:`"));
                cx.report(error, entry.key.span);
            }
        }
    }
}

const TASKS: &[(&str, Task)] = &[
    ("binary", Task::Binary),
    ("multiclass", Task::Multiclass),
    ("regression", Task::Regression),
];

impl Decode for Task {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("task", TASKS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": TASKS.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

record! {
    /// One fit.
    pub struct Train as "`train`" {
        /// What it learns from.
        .. data: TrainingData,
        /// What is fitted: the name of an estimator with its parameters.
        "estimator" estimator: Component,
    }
}

impl Check for Train {}

record! {
    /// A search for good parameters.
    pub struct Sweep as "`sweep`" {
        /// What it learns from.
        .. data: TrainingData,
        /// What is fitted; a parameter such as `{int: [1, 9]}`, `{float: [0, 1]}`, `{log: [0.01, 1]}`, `{choice: [a, b]}` or `{quniform: [0, 1, 0.1]}` is searched.
        "estimator" estimator: Component,
        /// How trials are chosen: `tpe`, `random` or `grid`, with its parameters.
        "sampler" sampler: Component,
        /// How many sets of parameters are tried; only `grid` can do without.
        "trials" trials: Option<Spanned<u64>>,
        /// How many trials are chosen at a time; by default 4.
        "batch" batch: Option<Spanned<u64>>,
        /// What ends trials early that do worse than others did: `median` or `successive_halving`, with its parameters; left out, none.
        "pruner" pruner: Option<Component>,
        /// No trials are begun later than this after the beginning, such as `10m` or `1h30m`; earlier runs of the same sweep count.
        "timeout" timeout: Option<Spanned<Length>>,
        /// How many of the best trials of this model's last sweep are tried first; by default 0.
        "warm_start" warm_start: Option<Spanned<u64>>,
        /// Which trial is best: exactly one of these keys.
        .. goal: Goal,
    }
}

/// Trials in a round, unless `batch:` says otherwise.
const DEFAULT_BATCH: u64 = 4;

/// More trials than this are taken for a slip.
const MAX_TRIALS: u64 = 1_000_000;

impl Sweep {
    /// Trials in a round.
    #[must_use]
    pub fn batch_size(&self) -> u64 {
        self.batch.map_or(DEFAULT_BATCH, |batch| batch.value)
    }
}

impl Check for Sweep {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        for (key, count) in [("trials", self.trials), ("batch", self.batch)] {
            if let Some(count) = count
                && !(1..=MAX_TRIALS).contains(&count.value)
            {
                let message = format!("`{key}` must be between 1 and {MAX_TRIALS}");
                cx.error("bad_count", message, count.span);
            }
        }
        if let Some(count) = self.warm_start
            && count.value > MAX_TRIALS
        {
            let message = format!("`warm_start` must be at most {MAX_TRIALS}");
            cx.error("bad_count", message, count.span);
        }
        if self.trials.is_none() && self.sampler.name.value != "grid" {
            cx.report(
                Diagnostic::error("missing_key", "`sweep` needs the key `trials`")
                    .label("`trials:` is missing")
                    .help("say how many sets of parameters to try, such as `trials: 96`"),
                fields.span,
            );
        }
        let (metric, maximize, key) = match &self.goal {
            Goal::Maximize(metric) => (metric, true, "maximize"),
            Goal::Minimize(metric) => (metric, false, "minimize"),
        };
        if metric.more_is_better() != maximize {
            let (better, other) = if maximize {
                ("smaller", "minimize")
            } else {
                ("larger", "maximize")
            };
            let place = fields
                .entry(key)
                .map_or(metric.span, |entry| entry.key.span);
            let message = format!("a {better} `{}` is better", metric.value);
            cx.report(
                Diagnostic::error("bad_metric", message)
                    .help(format!("write `{other}: {}`", metric.value)),
                place,
            );
        }
        cx.diagnostics.len() == before
    }
}

choice! {
    /// Which trial is best.
    pub enum Goal {
        /// The one with the largest value of a metric on the validation rows.
        "maximize" Maximize(Spanned<Metric>),
        /// The one with the smallest value of a metric on the validation rows.
        "minimize" Minimize(Spanned<Metric>),
    }
}

impl Goal {
    /// The metric.
    #[must_use]
    pub fn metric(&self) -> &Spanned<Metric> {
        match self {
            Self::Maximize(metric) | Self::Minimize(metric) => metric,
        }
    }

    /// True when larger is better.
    #[must_use]
    pub fn maximize(&self) -> bool {
        matches!(self, Self::Maximize(_))
    }
}

record! {
    /// How a fitted model enters the registry.
    pub struct Register as "`register`" {
        /// The registered model's name; each fit becomes its next version.
        "as" name: Name<RegisteredNames>,
        /// A name for the version in use, such as `production`.
        "alias" alias: Option<Name<AliasNames>>,
        /// Whether the alias moves to the new version: `no champion`, or a comparison such as `test.auc > champion.test.auc`; left out, it always does.
        "when" when: Option<When>,
    }
}

impl Check for Register {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let (None, Some(entry)) = (&self.alias, fields.entry("when")) else {
            return true;
        };
        cx.report(
            Diagnostic::error("missing_key", "`when` needs the key `alias`")
                .label("it decides whether an alias moves")
                .help("name the alias: `alias: production`; a version is registered always"),
            entry.key.span,
        );
        false
    }
}
