//! Names of metrics: `<split>.<metric>`.

use std::fmt;

use serde_json::{Value as Json, json};
use sluice_learn::metric::{Goal, METRICS, metric_names};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::Spanned;
use crate::yaml::Node;

/// A part of the rows, as `split:` makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SplitPart {
    /// The rows that are learned from.
    Train,
    /// The rows that choices are made by.
    Validation,
    /// The rows that are looked at once, at the end.
    Test,
}

impl SplitPart {
    /// The name, as in the column `_split`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

const SPLITS: [SplitPart; 3] = [SplitPart::Train, SplitPart::Validation, SplitPart::Test];

/// A metric on a part of the rows, such as `test.auc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The rows.
    pub split: SplitPart,
    /// The metric: one of [`METRICS`].
    pub name: &'static str,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.split.name(), self.name)
    }
}

impl Metric {
    /// True when a larger value is better.
    #[must_use]
    pub fn more_is_better(&self) -> bool {
        METRICS
            .iter()
            .any(|metric| metric.name == self.name && metric.goal == Goal::Maximize)
    }

    /// Reads `<split>.<metric>`; the error is a diagnostic without a place.
    pub(super) fn parse(text: &str) -> Result<Self, Box<Diagnostic>> {
        let unknown = |message: String| Diagnostic::error("unknown_metric", message);
        let Some((split, name)) = text.split_once('.') else {
            let help = match METRICS.iter().find(|metric| metric.name == text) {
                Some(_) => format!("say on which rows: `validation.{text}` or `test.{text}`"),
                None => "write a split and a metric, such as `validation.auc`".to_owned(),
            };
            return Err(unknown(format!("`{text}` is no metric")).help(help).into());
        };
        let Some(split) = SPLITS.into_iter().find(|known| known.name() == split) else {
            let help = did_you_mean(split, SPLITS.map(SplitPart::name));
            return Err(unknown(format!("`{split}` is no split"))
                .help("the splits are `train`, `validation` and `test`")
                .maybe_help(help)
                .into());
        };
        let Some(metric) = METRICS.iter().find(|metric| metric.name == name) else {
            let names: Vec<&str> = metric_names().collect();
            let help = did_you_mean(name, names.iter().copied());
            return Err(unknown(format!("`{name}` is no metric"))
                .help(format!("the metrics are {}", super::decode::list(&names)))
                .maybe_help(help)
                .into());
        };
        Ok(Self {
            split,
            name: metric.name,
        })
    }
}

/// A metric that a search chooses by: on the validation rows.
impl Decode for Metric {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = Spanned::<String>::decode(node, cx)?;
        let problem = match Metric::parse(&text) {
            Ok(metric) if metric.split == SplitPart::Validation => return Some(metric),
            Ok(metric) => Diagnostic::error(
                "bad_metric",
                format!("a sweep chooses by validation rows, not by `{metric}`"),
            )
            .help(format!("write `validation.{}`", metric.name)),
            Err(problem) => *problem,
        };
        cx.report(problem, node.span);
        None
    }

    fn schema(_defs: &mut Definitions) -> Json {
        let names: Vec<String> = metric_names()
            .map(|name| format!("validation.{name}"))
            .collect();
        json!({"enum": names})
    }
}
