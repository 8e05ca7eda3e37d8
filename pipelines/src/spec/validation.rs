//! How a model is validated, and what is settled on the rows that it was not fitted on:
//! `validate:`, `calibrate:` and `threshold:`.

use serde_json::{Value as Json, json};
use sluice_learn::calibration::CalibrationMethod;
use sluice_learn::dataset::FOLDS;
use sluice_learn::threshold::{threshold_metric, threshold_metrics};

use super::decode::{Check, Context, Decode, Fields, decode_record, list, record};
use super::scalar::{variable, word};
use super::schema::Definitions;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::Spanned;
use crate::yaml::{Node, NodeKind};

record! {
    /// Cross-validation: the rows of the parts `train` and `validation` are dealt into folds, each of which is predicted by a model of the others.
    pub struct Validate as "`validate`" {
        /// How many folds.
        "folds" folds: Spanned<u64>,
        /// Columns whose rows of equal values stay in one fold; by default equal rows do.
        "by" by: Vec<Spanned<String>>,
        /// Another seed deals otherwise; by default 0.
        "seed" seed: Option<Spanned<u64>>,
    }
}

impl Check for Validate {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let count = usize::try_from(self.folds.value).unwrap_or(usize::MAX);
        if FOLDS.contains(&count) {
            return true;
        }
        let message = format!(
            "`folds` must be between {} and {}",
            FOLDS.start(),
            FOLDS.end()
        );
        cx.error("bad_count", message, self.folds.span);
        false
    }
}

impl Decode for CalibrationMethod {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("calibration", Self::WORDS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        let words = Self::WORDS.iter().map(|(word, _)| word);
        json!({"enum": words.collect::<Vec<_>>()})
    }
}

/// From which probability on a row of two classes is predicted positive.
#[derive(Debug, Clone)]
pub enum Threshold {
    /// This one.
    Fixed(Spanned<f64>),
    /// The best one on the validation rows.
    Best(BestThreshold),
}

impl Decode for Threshold {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Mapping(_) = &node.kind {
            return decode_record(node, cx).map(Self::Best);
        }
        let number = |text: &str| text.contains("${") || text.parse::<f64>().is_ok();
        if !matches!(&node.kind, NodeKind::Scalar(scalar) if scalar.is_plain() && number(&scalar.text))
        {
            cx.wrong_type("a number from 0 to 1, or `{maximize: f1}`", node);
            return None;
        }
        let threshold = Spanned::<f64>::decode(node, cx)?;
        if (0.0..=1.0).contains(&threshold.value) {
            return Some(Self::Fixed(threshold));
        }
        cx.report(
            Diagnostic::error("bad_threshold", "a threshold is a probability, from 0 to 1")
                .help("write such as `threshold: 0.3`, or `threshold: {maximize: f1}`"),
            node.span,
        );
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let best = BestThreshold::schema(defs);
        let variable = variable(defs);
        json!({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, best, variable]})
    }
}

record! {
    /// The best threshold on the validation rows.
    pub struct BestThreshold as "`threshold`" {
        /// The metric that is largest at it.
        "maximize" maximize: Spanned<ThresholdMetric>,
        /// Metrics that must reach a value, as in `{precision: 0.9}`.
        "at_least" at_least: AtLeast,
    }
}

impl Check for BestThreshold {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let name = self.maximize.value.0;
        let (why, other) = match name {
            "recall" => ("every row is predicted positive", "precision"),
            "precision" => ("hardly any row is predicted positive", "recall"),
            _ => return true,
        };
        if !self.at_least.0.is_empty() {
            return true;
        }
        cx.report(
            Diagnostic::error(
                "bad_threshold",
                format!("`{name}` alone is largest where {why}"),
            )
            .help(format!(
                "add `at_least: {{{other}: 0.8}}`, or maximize `f1` or `balanced_accuracy`"
            )),
            self.maximize.span,
        );
        false
    }
}

/// A metric about which a threshold decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdMetric(pub &'static str);

impl ThresholdMetric {
    /// The metric of that name, or a report at `node`'s place.
    fn read(name: &Spanned<String>, cx: &mut Context<'_>) -> Option<Self> {
        if let Ok(metric) = threshold_metric(name) {
            return Some(Self(metric.name));
        }
        let names: Vec<&str> = threshold_metrics().collect();
        let bare = name.rsplit('.').next().unwrap_or_default();
        let message = format!("no threshold decides about `{name}`");
        cx.report(
            Diagnostic::error("bad_metric", message)
                .help(format!("use {}", list(&names)))
                .maybe_help(did_you_mean(bare, names)),
            name.span,
        );
        None
    }
}

impl Decode for ThresholdMetric {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let name = Spanned::<String>::decode(node, cx)?;
        Self::read(&name, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": threshold_metrics().collect::<Vec<_>>()})
    }
}

/// Metrics and what they must reach.
#[derive(Debug, Clone, Default)]
pub struct AtLeast(pub Vec<(ThresholdMetric, Spanned<f64>)>);

impl Decode for AtLeast {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mapping = cx.mapping("metrics with the least that each must be", node)?;
        let mut all = Some(Vec::with_capacity(mapping.entries.len()));
        for entry in &mapping.entries {
            let name = Spanned::new(entry.key.text.clone(), entry.key.span);
            let metric = ThresholdMetric::read(&name, cx);
            let least = Spanned::<f64>::decode(&entry.value, cx).filter(|least| {
                let within = least.value > 0.0 && least.value <= 1.0;
                if !within {
                    let message = format!("`{name}` must reach a number above 0 and at most 1");
                    cx.error("bad_threshold", message, least.span);
                }
                within
            });
            all = all.zip(metric.zip(least)).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        all.map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({
            "type": "object",
            "propertyNames": {"enum": threshold_metrics().collect::<Vec<_>>()},
            "additionalProperties": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        })
    }
}
