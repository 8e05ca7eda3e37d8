//! `sluice replay`: makes a run again as it was, elsewhere, and tells what comes out otherwise.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use serde_json::{Value, json};
use sluice_lake::state::{Run, State, StateError};
use sluice_pipelines::check::World;
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::events::{Event, EventKind, EventSink};
use sluice_pipelines::project::find_project;
use sluice_pipelines::replay::{
    ComparedTable, Replay, ReplayError, ReplayRequest, ReplayVerdict, ReplayedStage, replay,
};
use sluice_pipelines::spec::Environment;
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::{Global, print, project, signal};
use crate::exit::Exit;
use crate::render::figures::{count, counted};
use crate::render::grid::{Column, Grid};
use crate::render::screen::{Screen, Tone};

/// Options of `sluice replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The run, or the beginning of its identifier, or `latest`; the project's last one by default
    run: Option<String>,
    /// The project; the nearest one upward by default. Paths of files are relative to it; what
    /// it says now is not read
    #[arg(short, long, value_name = "PROJECT")]
    project: Option<PathBuf>,
    /// Writes one JSON object a stage, and one that sums up
    #[arg(long)]
    json: bool,
    /// A folder that gets the lakehouse of the replay, and keeps it
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    into: Option<PathBuf>,
    /// Keeps the lakehouse of the replay, and tells where it is
    #[arg(long)]
    keep: bool,
    /// Threads of one query or training; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
}

/// Makes each stage of the run again that it made, from the same versions, and compares.
///
/// # Errors
/// A run that there is not, or that kept too little; a lakehouse that cannot be read.
pub(super) async fn replay_run(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let path = options.project.as_deref();
    let lakehouse = project::lakehouse_path(path, global)?;
    let world = World::open(&lakehouse)
        .await
        .map_err(|diagnostic| CliError::Unreadable(Diagnostics::from(*diagnostic)))?;
    let state = world.state.as_ref().ok_or(ReplayError::NoHistory)?;
    let run = find(options, global, &world, state).await?;
    let cancel = CancellationToken::new();
    let screen = Screen::stderr();
    let watcher = signal::watch(cancel.clone(), || {});
    let request = ReplayRequest {
        run,
        project: find_project(path).ok(),
        set: global.set.clone(),
        environment: Environment::Process,
        into: options.into.clone(),
        keep: options.keep,
        parallelism: options
            .parallelism
            .or_else(|| available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
    };
    let outcome = replay(request, &world, progress(screen), cancel).await;
    watcher.abort();
    state.close().await;
    let outcome = outcome?;
    let text = match options.json {
        true => json_lines(&outcome)?,
        false => told(&outcome, Screen::stdout()),
    };
    print(&text)?;
    Ok(exit(&outcome))
}

fn exit(replay: &Replay) -> Exit {
    if replay.count(ReplayVerdict::Differs) > 0 {
        Exit::Differs
    } else if replay.count(ReplayVerdict::NotReplayable) > 0 {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

/// The run that is meant.
async fn find(
    options: &Options,
    global: &Global,
    world: &World,
    state: &State,
) -> Result<Run, CliError> {
    if let Some(text) = options.run.as_deref().filter(|text| *text != "latest") {
        return Ok(state.find_run(text).await?);
    }
    let pipeline = pipeline(options.project.as_deref(), global)?;
    let project = world.lakehouse.existing_project_uuid(&pipeline)?;
    let latest = match project {
        Some(project) => state.latest_runs(&project.to_string(), 1).await?,
        None => Vec::new(),
    };
    latest.into_iter().next().ok_or_else(|| {
        CliError::State(StateError::NoSuchRun {
            path: state.path().to_owned(),
            text: "latest".to_owned(),
            reason: "the project has not run yet",
        })
    })
}

fn pipeline(path: Option<&Path>, global: &Global) -> Result<String, CliError> {
    Ok(project::load(path, global)?.pipeline.value)
}

/// Says on a terminal which stage is being made.
fn progress(screen: Screen) -> EventSink {
    Arc::new(move |event: &Event| {
        if let (true, EventKind::StageStarted { asset, .. }) = (screen.redraws, &event.kind) {
            let line = screen.paint(Tone::Quiet, &format!("replaying {asset}"));
            let _closed = std::io::Write::write_all(
                &mut std::io::stderr().lock(),
                format!("{line}\n").as_bytes(),
            );
        }
    })
}

fn json_lines(replay: &Replay) -> Result<String, CliError> {
    let mut text = String::new();
    let mut put = |value: serde_json::Result<String>| {
        let line = value.map_err(|error| CliError::Output(error.into()))?;
        text.push_str(&line);
        text.push('\n');
        Ok::<_, CliError>(())
    };
    for stage in &replay.stages {
        put(serde_json::to_string(stage))?;
    }
    put(serde_json::to_string(&json!({
        "run_id": replay.run_id,
        "pipeline": replay.pipeline,
        "equal": replay.count(ReplayVerdict::Equal),
        "differs": replay.count(ReplayVerdict::Differs),
        "not_replayable": replay.count(ReplayVerdict::NotReplayable),
        "failed_then": replay.count(ReplayVerdict::FailedThen),
        "lakehouse": replay.lakehouse,
    })))?;
    Ok(text)
}

/// The report as a table of stages, with what differs below.
fn told(replay: &Replay, screen: Screen) -> String {
    let mut grid = Grid::new(vec![
        Column::text("asset", 9),
        Column::text("kind", 1),
        Column::text("replay", 8),
        Column::text("what", 7).flexible(),
    ]);
    for stage in &replay.stages {
        let (tone, word) = match stage.verdict {
            ReplayVerdict::Equal => (Tone::Good, "equal"),
            ReplayVerdict::Differs => (Tone::Bad, "differs"),
            ReplayVerdict::NotReplayable => (Tone::Warning, "not replayable"),
            ReplayVerdict::FailedThen => (Tone::Warning, "failed then"),
        };
        grid.row(vec![
            (Tone::Plain, stage.asset.clone()),
            (Tone::Quiet, stage.kind.clone()),
            (tone, word.to_owned()),
            (Tone::Plain, summary(stage)),
        ]);
    }
    let mut lines = match replay.stages.is_empty() {
        true => Vec::new(),
        false => grid.lines(screen, 0),
    };
    let about = replay.stages.iter().map(|stage| (stage, details(stage)));
    for (stage, details) in about.filter(|(_, details)| !details.is_empty()) {
        lines.push(String::new());
        lines.push(format!("{}:", stage.asset));
        lines.extend(details.into_iter().map(|line| format!("  {line}")));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let number = |verdict| count(replay.count(verdict) as u64);
    lines.push(match replay.stages.is_empty() {
        true => format!(
            "Run {} made nothing: there is nothing to replay.",
            replay.run_id
        ),
        false => format!(
            "Run {} of {}: {} equal, {} differ, {} not replayable{}",
            replay.run_id,
            replay.pipeline,
            number(ReplayVerdict::Equal),
            number(ReplayVerdict::Differs),
            number(ReplayVerdict::NotReplayable),
            match replay.count(ReplayVerdict::FailedThen) {
                0 => String::new(),
                failed => format!(", {} failed then", count(failed as u64)),
            },
        ),
    });
    if let Some(lakehouse) = &replay.lakehouse {
        lines.push(format!("The lakehouse of the replay: {lakehouse}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What is to be said of a stage in a cell.
fn summary(stage: &ReplayedStage) -> String {
    if let Some(finding) = stage.findings.first() {
        return match stage.findings.len() {
            1 => finding.clone(),
            more => format!("{finding}, and {} more", more - 1),
        };
    }
    let differs = stage.tables.iter().find(|table| !table.is_equal());
    match differs.or(stage.tables.first()) {
        Some(table) if table.is_equal() => counted(table.rows, "rows"),
        Some(table) => difference(table),
        None => String::new(),
    }
}

fn difference(table: &ComparedTable) -> String {
    let mut words = table.columns.clone();
    if table.missing_rows + table.added_rows > 0 {
        words.push(format!(
            "of {} rows {} missing, {} added",
            count(table.rows),
            count(table.missing_rows),
            count(table.added_rows)
        ));
    }
    words.join("; ")
}

/// What a cell of a narrow terminal shows; what is longer is told below, too.
const CELL_CHARACTERS: usize = 64;

/// What is told below the table of stages.
fn details(stage: &ReplayedStage) -> Vec<String> {
    let mut lines = stage.notes.clone();
    let cut = |finding: &String| finding.chars().count() > CELL_CHARACTERS;
    if stage.findings.len() > 1 || stage.findings.iter().any(cut) {
        lines.extend(stage.findings.iter().cloned());
    }
    for table in stage.tables.iter().filter(|table| !table.is_equal()) {
        lines.push(format!(
            "{} version {}: {}",
            table.table,
            table.version,
            difference(table)
        ));
        let rows = |sign: &'static str, rows: &[Value]| {
            let lines = rows.iter().map(move |row| format!("{sign} {row}"));
            lines.collect::<Vec<_>>()
        };
        lines.extend(rows("-", &table.missing));
        lines.extend(rows("+", &table.added));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(asset: &str, kind: &str, verdict: ReplayVerdict) -> ReplayedStage {
        ReplayedStage {
            asset: asset.to_owned(),
            kind: kind.to_owned(),
            verdict,
            findings: Vec::new(),
            notes: Vec::new(),
            tables: Vec::new(),
        }
    }

    fn table(name: &str, differ: u64) -> ComparedTable {
        let rows = (0..differ.min(2)).map(|row| json!({"id": row, "dice": 0.5}));
        let rows: Vec<Value> = rows.collect();
        ComparedTable {
            table: name.to_owned(),
            version: 3,
            rows: 1200,
            replayed_rows: 1200,
            missing_rows: differ,
            added_rows: differ,
            columns: Vec::new(),
            left_out: Vec::new(),
            missing: rows.clone(),
            added: rows,
        }
    }

    fn example() -> Replay {
        let said = |words: &str| vec![words.to_owned()];
        Replay {
            run_id: "0190c2f600007000800000000000000a".to_owned(),
            pipeline: "wine".to_owned(),
            stages: vec![
                ReplayedStage {
                    findings: said("the file wine.csv is gone: the run read it with the BLAKE3 ab"),
                    ..stage("bronze.wine", "ingest", ReplayVerdict::NotReplayable)
                },
                ReplayedStage {
                    tables: vec![table("silver.wine", 0)],
                    ..stage("silver.wine", "sql", ReplayVerdict::Equal)
                },
                ReplayedStage {
                    notes: said("it calls random(), and so may differ each time"),
                    tables: vec![table("gold.dice", 1100)],
                    ..stage("gold.dice", "sql", ReplayVerdict::Differs)
                },
                ReplayedStage {
                    findings: vec![
                        "model.json differs".to_owned(),
                        "test.auc is 0.8 in the replay, 0.9 in the run".to_owned(),
                    ],
                    ..stage("wine_model", "train", ReplayVerdict::Differs)
                },
                ReplayedStage {
                    findings: said("good_wine: 3 of 1,599 rows break it"),
                    notes: said("it fails again with the same error"),
                    ..stage("gold.good", "sql", ReplayVerdict::FailedThen)
                },
            ],
            lakehouse: Some("/tmp/replayed".to_owned()),
        }
    }

    #[test]
    fn stages_and_what_differs() {
        let text = told(&example(), Screen::plain());
        insta::assert_snapshot!(text);
        assert_eq!(json_lines(&example()).unwrap().lines().count(), 6);
    }

    #[test]
    fn the_exit_code_is_of_the_worst() {
        let mut replay = example();
        assert_eq!(exit(&replay), Exit::Differs);
        replay.stages.truncate(2);
        assert_eq!(exit(&replay), Exit::Failed);
        replay.stages.remove(0);
        assert_eq!(exit(&replay), Exit::Ok);
    }
}
