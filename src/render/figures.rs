//! Numbers as people read them.

use std::collections::BTreeMap;

use serde_json::Value;
pub(crate) use sluice_report::number::{bytes, count, duration};

/// `1 row`, `1,599 rows`: `unit` is the singular or the plural as events write it.
pub(crate) fn counted(number: u64, unit: &str) -> String {
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    if number == 1 {
        format!("1 {singular}")
    } else {
        format!("{} {singular}s", count(number))
    }
}

/// How many a second, `1,234`; none before there is something to tell.
pub(crate) fn rate(done: u64, seconds: f64) -> Option<String> {
    /// Less than this says nothing about the pace, in seconds.
    const SOON: f64 = 0.1;
    if done == 0 || seconds < SOON {
        return None;
    }
    let rate = done as f64 / seconds;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite and positive; a float casts to an integer by saturating"
    )]
    Some(match rate < 10.0 {
        true => significant(rate, 2),
        false => count(rate.round() as u64),
    })
}

/// A duration that is guessed, without the figures that a guess has not: `7 s`, `2 min`.
pub(crate) fn duration_roughly(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float casts to an integer by saturating; NaN gives 0"
    )]
    let whole = seconds.ceil() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min", whole.div_ceil(60)),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A metric: four decimals, as leaderboards show them.
pub(crate) fn metric(value: f64) -> String {
    if value.is_finite() && (value.abs() >= 100_000.0 || (value != 0.0 && value.abs() < 0.0001)) {
        return format!("{value:.3e}");
    }
    format!("{value:.4}")
}

/// The metrics of a model that fit on a line: those of an evaluation, which are few and of the
/// same rows; of a training the ranking on unseen rows where there is one, else the first few by
/// name. `system.metrics` has them all.
pub(crate) fn glance(metrics: &BTreeMap<String, f64>) -> String {
    const FIRST: [&str; 2] = ["test.auc", "validation.auc"];
    const FEW: usize = 4;
    const OTHERWISE: usize = 3;
    let shown = |name: &str, value: &f64| format!("{name} {}", metric(*value));
    let mut rows: Vec<&str> = metrics
        .keys()
        .filter_map(|name| name.split('.').next())
        .collect();
    rows.dedup();
    if rows.len() == 1 && metrics.len() <= FEW {
        let all: Vec<String> = metrics
            .iter()
            .map(|(name, value)| shown(name, value))
            .collect();
        return all.join(", ");
    }
    let mut parts: Vec<String> = FIRST
        .iter()
        .filter_map(|name| Some(shown(name, metrics.get(*name)?)))
        .collect();
    if parts.is_empty() {
        let some = metrics.iter().take(OTHERWISE);
        parts.extend(some.map(|(name, value)| shown(name, value)));
    }
    parts.join(", ")
}

/// A hyper-parameter: text without quotes, floats with four significant digits.
pub(crate) fn parameter(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(|| number.to_string(), |float| significant(float, 4)),
        other => other.to_string(),
    }
}

/// `value` rounded to `digits` significant digits, without trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // `{:e}` rounds to significant digits; parsing it back gives the shortest text.
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1))
        .parse()
        .unwrap_or(value);
    if rounded.abs() < 0.0001 || rounded.abs() >= 1e9 {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_have_separators() {
        assert_eq!(counted(1, "rows"), "1 row");
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1599, "rows"), "1,599 rows");
    }

    #[test]
    fn an_evaluation_is_shown_whole_and_a_training_by_its_ranking() {
        let metrics = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
        assert_eq!(
            glance(&metrics(&["test.accuracy", "test.auc", "test.f1"])),
            "test.accuracy 0.5000, test.auc 0.5000, test.f1 0.5000"
        );
        assert_eq!(
            glance(&metrics(&["test.accuracy", "test.auc", "train.auc"])),
            "test.auc 0.5000"
        );
    }

    #[test]
    fn metrics_and_parameters_are_short() {
        assert_eq!(metric(0.912_345), "0.9123");
        assert_eq!(metric(1e-9), "1.000e-9");
        assert_eq!(parameter(&json!(0.123_456_789)), "0.1235");
        assert_eq!(parameter(&json!(0.000_012_346)), "1.235e-5");
        assert_eq!(parameter(&json!(17)), "17");
        assert_eq!(parameter(&json!("auto")), "auto");
        assert_eq!(parameter(&json!(null)), "null");
        assert_eq!(parameter(&json!(3.0)), "3");
    }
}
