//! `sluice runs show`: all that is known of one run.

use std::collections::BTreeMap;
use std::path::Path;

use sluice_lake::Lakehouse;
use sluice_lake::registry::moment_text;
use sluice_lake::state::{Metric, Run, RunId, State};
use sluice_lake::tags::NOTE_TAG;

use crate::cli::error::CliError;
use crate::cli::pairs::write_fields;
use crate::results::Format;

/// Shows a run: a line for each thing that is known of it.
pub(super) async fn show(lakehouse: &Lakehouse, run: &str, format: Format) -> Result<(), CliError> {
    let (state, run) = reading(&lakehouse.state_path(), run).await?;
    let id = &run.run_id;
    let mut tags = tags(&state, id).await?;
    let mut rows = facts(&run);
    if let Some(note) = tags.remove(NOTE_TAG) {
        rows.push(("note".to_owned(), note));
    }
    for dataset in state.datasets(id).await? {
        let digest = dataset
            .digest
            .map_or_else(String::new, |digest| format!(", rows {digest}"));
        let value = format!("{} version {}{digest}", dataset.name, dataset.version);
        rows.push((format!("dataset.{}", dataset.context), value));
    }
    for (name, version) in state.versions_trained_in(id).await? {
        rows.push(("model".to_owned(), format!("models:/{name}/{version}")));
    }
    let params = state.params(id).await?;
    rows.extend(named("params", params));
    rows.extend(histories(state.metrics(id).await?));
    rows.extend(named("tags", tags));
    for artifact in state.artifacts(id).await? {
        let path = lakehouse.artifacts_path(id.as_str()).join(&artifact.path);
        let value = format!("{} ({} bytes)", path.display(), artifact.bytes);
        rows.push((format!("artifacts.{}", artifact.path), value));
    }
    for child in state.children(id).await? {
        let value = format!("{} {}", child.run_id, child.status);
        rows.push((format!("children.{}", child.name), value));
    }
    write_fields(&rows, format)
}

/// The store, and the run that `text` begins the identifier of.
pub(super) async fn reading(path: &Path, text: &str) -> Result<(State, Run), CliError> {
    match State::open_read_only(path).await? {
        Some(state) => {
            let run = state.find_run(text).await?;
            Ok((state, run))
        }
        None => Err(sluice_lake::state::StateError::NoSuchRun {
            path: path.to_owned(),
            text: text.to_owned(),
            reason: "nothing has run in this lakehouse yet",
        }
        .into()),
    }
}

/// The tags of a run, by name.
pub(super) async fn tags(state: &State, run: &RunId) -> Result<BTreeMap<String, String>, CliError> {
    Ok(state.tags(run).await?.into_iter().collect())
}

fn facts(run: &Run) -> Vec<(String, String)> {
    let mut facts = vec![
        ("run_id", run.run_id.to_string()),
        ("run_name", run.name.clone()),
        ("kind", run.kind.to_string()),
        ("status", run.status.to_string()),
        ("pipeline", run.pipeline.clone()),
    ];
    if let Some(parent) = &run.parent {
        facts.push(("parent_run_id", parent.to_string()));
    }
    facts.push(("start_time", moment_text(run.start_time_ms)));
    if let Some(end_time_ms) = run.end_time_ms {
        let milliseconds = end_time_ms - run.start_time_ms;
        facts.push(("end_time", moment_text(end_time_ms)));
        facts.push((
            "seconds",
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000),
        ));
    }
    if let Some(error) = &run.error {
        facts.push(("error", error.clone()));
    }
    let named = facts.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn named(what: &str, pairs: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| (format!("{what}.{key}"), value))
        .collect()
}

/// A line a metric: its latest value, and what its history was where it has steps. The
/// values come by key, step and time.
fn histories(metrics: Vec<Metric>) -> Vec<(String, String)> {
    let mut by_key: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    for metric in metrics {
        by_key.entry(metric.key.clone()).or_default().push(metric);
    }
    let history =
        |(key, values): (String, Vec<Metric>)| (format!("metrics.{key}"), history(&values));
    by_key.into_iter().map(history).collect()
}

fn history(values: &[Metric]) -> String {
    let [.., last] = values else {
        return String::new();
    };
    let number = |value: f64| match value.is_nan() {
        true => "undefined".to_owned(),
        false => value.to_string(),
    };
    if values.len() == 1 {
        return number(last.value);
    }
    let finite = || values.iter().filter(|metric| !metric.value.is_nan());
    let least = finite().min_by(|a, b| a.value.total_cmp(&b.value));
    let most = finite().max_by(|a, b| a.value.total_cmp(&b.value));
    let place = |metric: Option<&Metric>| {
        metric.map_or_else(
            || "undefined".to_owned(),
            |metric| format!("{} at step {}", metric.value, metric.step),
        )
    };
    format!(
        "{} at step {} ({} values; least {}, most {})",
        number(last.value),
        last.step,
        values.len(),
        place(least),
        place(most),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_told_by_its_ends() {
        let metric = |step: i64, value: f64| Metric {
            key: "auc".to_owned(),
            value,
            step,
            timestamp_ms: 0,
        };
        let of = |values: &[f64]| {
            let metrics: Vec<Metric> = (0..)
                .zip(values)
                .map(|(at, value)| metric(at, *value))
                .collect();
            history(&metrics)
        };
        assert_eq!(of(&[0.5]), "0.5");
        assert_eq!(of(&[f64::NAN]), "undefined");
        assert_eq!(
            of(&[0.5, 0.75, f64::NAN, 0.625]),
            "0.625 at step 3 (4 values; least 0.5 at step 0, most 0.75 at step 1)"
        );
        assert_eq!(
            of(&[f64::NAN, f64::NAN]),
            "undefined at step 1 (2 values; least undefined, most undefined)"
        );
    }
}
