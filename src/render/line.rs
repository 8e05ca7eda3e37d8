//! One line an event: the log of a run in a pipe, and what scrolls by on a terminal.

use std::collections::BTreeMap;

use sluice_pipelines::events::EventKind;
use sluice_pipelines::plan::fingerprint::NEVER_MADE;

use super::figures;
use super::screen::{Screen, Tone};

/// Width of the first word of a line.
const VERB_WIDTH: usize = 8;

/// The line that tells of `event`; none for events that only the live display or the
/// summary shows.
pub(crate) fn line(event: &EventKind, screen: Screen) -> Option<String> {
    let (tone, verb, rest) = words(event)?;
    let verb = screen.paint(tone, &format!("{verb:<VERB_WIDTH$}"));
    Some(format!("{verb} {rest}"))
}

/// How many data files there were and are, in words that follow others.
fn files(counts: Option<(u64, u64)>) -> String {
    counts.map_or_else(String::new, |(before, after)| {
        let after = figures::count(after);
        format!(", {} -> {after}", figures::counted(before, "data files"))
    })
}

fn words(event: &EventKind) -> Option<(Tone, &'static str, String)> {
    Some(match event {
        EventKind::RunStarted {
            run_id,
            pipeline,
            lakehouse,
            assets,
        } => (
            Tone::Head,
            "run",
            format!(
                "{pipeline} into {lakehouse}: {} (run {run_id})",
                figures::counted(assets.len() as u64, "assets")
            ),
        ),
        EventKind::StageStarted {
            asset,
            kind,
            reason,
        } => {
            // Of a first run it would stand in each line.
            let why = reason.as_deref().filter(|reason| *reason != NEVER_MADE);
            let why = why.map_or_else(String::new, |reason| format!(": {reason}"));
            (Tone::Plain, "start", format!("{asset} ({kind}){why}"))
        }
        EventKind::Expectation {
            asset,
            name,
            otherwise,
            rows,
            failed,
            found,
            ..
        } if *failed > 0 => (
            if otherwise == "fail" {
                Tone::Bad
            } else {
                Tone::Warning
            },
            "broken",
            format!(
                "{asset}: {}",
                broken_rule(name, otherwise, *rows, *failed, found.as_deref())
            ),
        ),
        EventKind::Registered { .. } => (Tone::Plain, "model", registration(event)?),
        EventKind::Maintained {
            asset,
            operation,
            files_before,
            files_after,
            ..
        } => (
            Tone::Plain,
            "upkeep",
            format!(
                "{asset}: {operation}{}",
                files(files_before.zip(*files_after))
            ),
        ),
        EventKind::Warning { asset, message } => (
            Tone::Warning,
            "warning",
            format!("{asset}: {}", first_line(message)),
        ),
        EventKind::StageSkipped { asset, reason } => (
            Tone::Quiet,
            "skip",
            format!("{asset}: {}", first_line(reason)),
        ),
        EventKind::StageFinished {
            asset,
            rows,
            version,
            seconds,
            metrics,
            ..
        } => (
            Tone::Good,
            "done",
            format!("{asset}: {}", made(*rows, *version, *seconds, metrics)),
        ),
        EventKind::StageRetried {
            asset,
            attempt,
            error,
            fault,
            wait_seconds,
        } => (
            Tone::Warning,
            "retry",
            format!(
                "{asset} in {}: attempt {attempt} failed ({fault}): {}",
                figures::duration(*wait_seconds),
                first_line(error)
            ),
        ),
        EventKind::StageFailed {
            asset,
            error,
            fault,
            attempts,
            seconds,
            ..
        } => {
            let tried = match attempts {
                0 | 1 => String::new(),
                more => format!(" and {more} attempts"),
            };
            (
                Tone::Bad,
                "FAILED",
                format!(
                    "{asset} after {}{tried} ({fault}): {}",
                    figures::duration(*seconds),
                    first_line(error)
                ),
            )
        }
        EventKind::StageBlocked { asset, by } => {
            (Tone::Warning, "blocked", format!("{asset}: needs {by}"))
        }
        EventKind::TrainingReused { asset, reason } => {
            (Tone::Plain, "reuse", format!("{asset}: {reason}"))
        }
        EventKind::Scoring { .. } => (Tone::Plain, "score", scoring(event)?),
        EventKind::SweepResumed { asset, done, total } => (
            Tone::Plain,
            "resume",
            format!("{asset}: {done} of {total} trials are done"),
        ),
        EventKind::TrainingResumed { asset, done, total } => (
            Tone::Plain,
            "resume",
            format!("{asset}: {done} of {total} steps are done"),
        ),
        EventKind::Expectation { .. }
        | EventKind::StageProgress { .. }
        | EventKind::Trial { .. }
        | EventKind::TrainingProgress { .. }
        | EventKind::Leaderboard { .. }
        | EventKind::Report { .. }
        | EventKind::RunFinished { .. } => return None,
    })
}

/// The line of a trial, for logs that show some of them.
pub(crate) fn trial(event: &EventKind, screen: Screen) -> Option<String> {
    let EventKind::Trial {
        asset,
        number,
        total,
        value,
        pruned,
        best,
        ..
    } = event
    else {
        return None;
    };
    let early = if *pruned { " pruned" } else { "" };
    let shown = |value: &Option<f64>| value.map_or_else(|| "none".to_owned(), figures::metric);
    let verb = screen.paint(Tone::Plain, &format!("{:<VERB_WIDTH$}", "trial"));
    Some(format!(
        "{verb} {asset} {number}/{total}: {}{early}, best {}",
        shown(value),
        shown(best)
    ))
}

/// How far a training in steps is, for logs that show some of it.
pub(crate) fn training(event: &EventKind, screen: Screen) -> Option<String> {
    let EventKind::TrainingProgress {
        asset,
        step,
        total_steps,
        loss,
        tokens_per_second,
        seconds_left,
        ..
    } = event
    else {
        return None;
    };
    let verb = screen.paint(Tone::Plain, &format!("{:<VERB_WIDTH$}", "step"));
    let left = seconds_left.map_or_else(String::new, |left| {
        format!(", {} left", figures::duration_roughly(left))
    });
    Some(format!(
        "{verb} {asset} {}/{}: loss {}, {} tokens/s{left}",
        figures::count(*step),
        figures::count(*total_steps),
        figures::metric(*loss),
        figures::count(tokens_per_second.max(0.0) as u64),
    ))
}

/// `has_alcohol broken by 3 of 1,599 rows (dropped)`; of a rule on the whole table, what was
/// found.
pub(crate) fn broken_rule(
    name: &str,
    otherwise: &str,
    rows: u64,
    failed: u64,
    found: Option<&str>,
) -> String {
    let then = match otherwise {
        "drop" => "dropped",
        "quarantine" => "in quarantine",
        "fail" => "the table was not written",
        _ => "kept",
    };
    if let Some(found) = found {
        return format!("{name} broken: {found} ({then})");
    }
    format!(
        "{name} broken by {} of {} ({then})",
        figures::count(failed),
        figures::counted(rows, "rows"),
    )
}

/// Which rows of a table a model scores, and what becomes of the others.
pub(crate) fn scoring(event: &EventKind) -> Option<String> {
    let EventKind::Scoring {
        asset,
        model,
        scored,
        kept,
        removed,
    } = event
    else {
        return None;
    };
    let mut text = format!(
        "{asset}: {} scored by {model}",
        figures::counted(*scored, "rows")
    );
    for (rows, fate) in [(*kept, "kept"), (*removed, "removed")] {
        if rows > 0 {
            text.push_str(&format!(", {} {fate}", figures::count(rows)));
        }
    }
    Some(text)
}

/// What became of a trained model: version, alias, reason.
pub(crate) fn registration(event: &EventKind) -> Option<String> {
    let EventKind::Registered {
        asset,
        model,
        version,
        alias,
        moved,
        reason,
    } = event
    else {
        return None;
    };
    let fate = match (alias, moved) {
        (None, _) => String::new(),
        (Some(alias), true) => format!(", @{alias} moves to it: {reason}"),
        (Some(alias), false) => format!(", @{alias} stays: {reason}"),
    };
    Some(format!("{asset} is {model} version {version}{fate}"))
}

/// `1,599 rows, version 0, test.auc 0.8123, 0.31 s`.
fn made(
    rows: Option<u64>,
    version: Option<i64>,
    seconds: f64,
    metrics: &BTreeMap<String, f64>,
) -> String {
    let mut parts = Vec::new();
    parts.extend(rows.map(|rows| figures::counted(rows, "rows")));
    parts.extend(version.map(|version| format!("version {version}")));
    parts.push(figures::glance(metrics));
    parts.retain(|part| !part.is_empty());
    parts.push(figures::duration(seconds));
    parts.join(", ")
}

/// The first line of a message that may have many.
pub(crate) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("")
}
