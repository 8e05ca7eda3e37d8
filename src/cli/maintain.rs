//! `sluice maintain`: looks after tables and the memory of runs, as `maintain:` says.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_pipelines::run::{self, MaintainOptions, Work, WorkOutcome};
use tokio_util::sync::CancellationToken;

use super::check::checked_to_run;
use super::error::CliError;
use super::selection::Selected;
use super::{Global, print, signal};
use crate::exit::Exit;
use crate::render::figures::{bytes, count, duration};
use crate::render::grid::{Column, Grid};
use crate::render::screen::{Screen, Tone};

/// Options of `sluice maintain`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
    #[command(flatten)]
    selected: Selected,
    /// Tells what is due, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Does all that there is to do, due or not
    #[arg(long)]
    now: bool,
    /// Writes one JSON object for each thing that is done
    #[arg(long)]
    json: bool,
    /// Data files written side by side; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
    /// Waits for a run of the project that is under way, rather than to end with code 3
    #[arg(long)]
    wait: bool,
}

/// Does what is due, and tells what was done.
///
/// # Errors
/// All that is wrong with the project; a run of it at work; a lakehouse that cannot be written.
/// What cannot be done for one table is told by the exit code.
pub(super) async fn maintain(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = checked_to_run(options.project.as_deref(), global).await?;
    options.selected.narrow(&mut plan, &world).await?;
    let how = MaintainOptions {
        wait: options.wait,
        now: options.now,
        threads: options
            .parallelism
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    };
    let cancel = CancellationToken::new();
    let done = match options.dry_run {
        true => run::due(&plan, &world, how).await?,
        false => {
            if let Some(state) = &world.state {
                state.close().await;
            }
            let watcher = signal::watch(cancel.clone(), || {});
            let done = run::maintain(&plan, how, &cancel).await;
            watcher.abort();
            done?
        }
    };
    print(&match options.json {
        true => json_lines(&done),
        false => table(&plan.pipeline, &done, options.dry_run, Screen::stdout()),
    })?;
    let failed = |work: &Work| matches!(work.outcome, WorkOutcome::Failed(_));
    Ok(match () {
        () if done.iter().any(failed) => Exit::Failed,
        () if cancel.is_cancelled() => Exit::Cancelled,
        () => Exit::Ok,
    })
}

fn json_lines(all: &[Work]) -> String {
    let line = |work: &Work| {
        let mut line = json!({
            "asset": work.asset,
            "operation": work.operation.as_str(),
            "reason": work.reason,
        });
        let (action, more) = match &work.outcome {
            WorkOutcome::Due => ("due", json!({})),
            WorkOutcome::Failed(error) => ("failed", json!({"error": error})),
            WorkOutcome::Done(done, seconds) => {
                let before = |pair: Option<(i64, i64)>| pair.map(|(before, _)| before);
                let after = |pair: Option<(i64, i64)>| pair.map(|(_, after)| after);
                let more = json!({
                    "version": done.version,
                    "files_before": before(done.files),
                    "files_after": after(done.files),
                    "bytes_before": before(done.bytes),
                    "bytes_after": after(done.bytes),
                    "details": done.details,
                    "seconds": seconds,
                });
                ("done", more)
            }
        };
        line["action"] = action.into();
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        format!("{line}\n")
    };
    all.iter().map(line).collect()
}

fn table(pipeline: &str, all: &[Work], dry_run: bool, screen: Screen) -> String {
    let mut grid = Grid::new(vec![
        Column::text("asset", 9),
        Column::text("operation", 8),
        Column::text("outcome", 7).flexible(),
        Column::text("why", 1).flexible(),
    ]);
    for work in all {
        let (tone, outcome) = match &work.outcome {
            WorkOutcome::Due => (Tone::Plain, "due".to_owned()),
            WorkOutcome::Failed(_) => (Tone::Bad, "failed".to_owned()),
            WorkOutcome::Done(done, seconds) => {
                let number = |number: i64| u64::try_from(number).unwrap_or(0);
                let files = done.files.map(|(before, after)| {
                    format!(
                        "{} -> {} files, ",
                        count(number(before)),
                        count(number(after))
                    )
                });
                let size = done.bytes.map(|(before, after)| {
                    format!("{} -> {}, ", bytes(number(before)), bytes(number(after)))
                });
                let words = format!(
                    "{}{}{}",
                    files.unwrap_or_default(),
                    size.unwrap_or_default(),
                    duration(*seconds)
                );
                (Tone::Good, words)
            }
        };
        grid.row(vec![
            (Tone::Plain, work.asset.clone()),
            (Tone::Quiet, work.operation.to_string()),
            (tone, outcome),
            (Tone::Plain, work.reason.clone()),
        ]);
    }
    let number = |wanted: fn(&WorkOutcome) -> bool| {
        count(all.iter().filter(|work| wanted(&work.outcome)).count() as u64)
    };
    let end = match dry_run {
        true => format!("{} due", number(|outcome| *outcome == WorkOutcome::Due)),
        false => format!(
            "{} done, {} failed",
            number(|outcome| matches!(outcome, WorkOutcome::Done(..))),
            number(|outcome| matches!(outcome, WorkOutcome::Failed(_))),
        ),
    };
    let mut lines = match all {
        [] => Vec::new(),
        _ => grid.lines(screen, 0),
    };
    for work in all {
        if let WorkOutcome::Failed(error) = &work.outcome {
            let error = format!("{}: {} failed: {error}", work.asset, work.operation);
            lines.push(screen.paint(Tone::Bad, &error));
        }
    }
    if !all.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!("{pipeline}: {end}"));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use sluice_lake::state::{Maintained, Operation};

    use super::*;

    #[test]
    fn what_was_done_is_told() {
        let done = |table: &str, operation, files, bytes| Maintained {
            table: table.to_owned(),
            operation,
            time_ms: 0,
            version: Some(7),
            files,
            bytes,
            details: json!({}),
        };
        let work = |asset: &str, operation, reason: &str, outcome| Work {
            asset: asset.to_owned(),
            operation,
            reason: reason.to_owned(),
            outcome,
        };
        let optimized = done(
            "silver.visits",
            Operation::Optimize,
            Some((48, 2)),
            Some((31_000_000, 30_000_000)),
        );
        let all = [
            work(
                "silver.visits",
                Operation::Optimize,
                "46 data files are small",
                WorkOutcome::Done(optimized, 1.25),
            ),
            work(
                "silver.visits",
                Operation::Checkpoint,
                "12 commits since the last one",
                WorkOutcome::Done(done("", Operation::Checkpoint, None, None), 0.01),
            ),
            work(
                "gold.daily",
                Operation::Vacuum,
                "",
                WorkOutcome::Failed("cannot read gold/daily: permission denied".to_owned()),
            ),
            work(
                "shop",
                Operation::Runs,
                "3 runs ended more than 90d ago",
                WorkOutcome::Due,
            ),
        ];
        let shown = table("shop", &all, false, Screen::plain());
        let json = json_lines(&all);
        insta::assert_snapshot!(format!("{shown}----\n{json}"));
        assert_eq!(table("shop", &[], true, Screen::plain()), "shop: 0 due\n");
    }
}
