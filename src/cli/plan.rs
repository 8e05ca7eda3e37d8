//! `sluice plan`: what a run would make, and why.

use std::path::PathBuf;

use sluice_pipelines::plan::details::{DetailedStep, detailed};
use sluice_pipelines::plan::preview::{Action, Step, preview};

use super::check::checked;
use super::error::CliError;
use super::event_time::EventWindow;
use super::selection::{Refresh, Selected};
use super::{Global, print};
use crate::exit::Exit;
use crate::render::figures::count;
use crate::render::grid::{Column, Grid};
use crate::render::screen::{Screen, Tone};

/// Options of `sluice plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
    /// Writes one JSON object an asset
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selected: Selected,
    #[command(flatten)]
    refresh: Refresh,
    #[command(flatten)]
    event_time: EventWindow,
}

/// Tells what a run would do with each asset; makes nothing.
///
/// # Errors
/// All that is wrong with the project.
pub(super) async fn plan(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = checked(options.project.as_deref(), global).await?;
    options.selected.narrow(&mut plan, &world).await?;
    options.refresh.mark(&mut plan, &world).await?;
    options.event_time.mark(&mut plan)?;
    let text = if options.json {
        json(&detailed(&plan, &world).await)?
    } else {
        let steps = preview(&plan, &world).await;
        table(&plan.pipeline, &steps, Screen::stdout().uncut())
    };
    print(&text)?;
    Ok(Exit::Ok)
}

fn json(steps: &[DetailedStep]) -> Result<String, CliError> {
    let mut text = String::new();
    for step in steps {
        let line = serde_json::to_string(step).map_err(|error| CliError::Output(error.into()))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn table(pipeline: &str, steps: &[Step], screen: Screen) -> String {
    let mut grid = Grid::new(vec![
        Column::text("asset", 9),
        Column::text("kind", 1),
        Column::text("action", 8),
        Column::text("why", 7).flexible(),
    ]);
    for step in steps {
        let (tone, action) = match step.action {
            Action::Run => (Tone::Good, "make"),
            Action::Skip => (Tone::Quiet, "skip"),
            Action::Maybe => (Tone::Warning, "may make"),
            Action::Refuse => (Tone::Bad, "refuse"),
        };
        grid.row(vec![
            (Tone::Plain, step.asset.clone()),
            (Tone::Quiet, step.kind.to_owned()),
            (tone, action.to_owned()),
            (Tone::Plain, step.reason.clone()),
        ]);
    }
    let mut lines = grid.lines(screen, 0);
    let number = |action| count(steps.iter().filter(|step| step.action == action).count() as u64);
    lines.push(String::new());
    lines.push(format!(
        "{pipeline}: {} to make, {} perhaps, {} to skip",
        number(Action::Run),
        number(Action::Maybe),
        number(Action::Skip),
    ));
    if steps.iter().any(|step| step.action == Action::Refuse) {
        lines.push(format!(
            "{} refused: a run fails there",
            number(Action::Refuse)
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(asset: &str, kind: &'static str, action: Action, reason: &str) -> Step {
        Step {
            asset: asset.to_owned(),
            kind,
            action,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn a_table_of_steps() {
        let steps = [
            step(
                "bronze.wine",
                "ingest",
                Action::Skip,
                "unchanged since version 0",
            ),
            step(
                "gold.wine",
                "sql",
                Action::Run,
                "the value of good_from changed",
            ),
            step(
                "wine_search",
                "sweep",
                Action::Run,
                "gold.wine will be made",
            ),
            step(
                "gold.wine_scored",
                "sql",
                Action::Maybe,
                "wine_search may move models:/wine_quality@production",
            ),
        ];
        let wide = table("wine", &steps, Screen::plain());
        let narrow = Screen {
            width: 50,
            ..Screen::plain()
        };
        insta::assert_snapshot!(format!("{wide}----\n{}", table("wine", &steps, narrow)));
        let detailed: Vec<DetailedStep> = steps
            .iter()
            .map(|step| DetailedStep {
                step: step.clone(),
                columns: Vec::new(),
                rows: Some(7),
                bytes: None,
                reads: Vec::new(),
                files: None,
            })
            .collect();
        for (line, step) in json(&detailed).unwrap().lines().zip(&steps) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["asset"], step.asset.as_str());
            assert_eq!(value["rows"], 7);
        }
    }
}
