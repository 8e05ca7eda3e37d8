//! `sluice test`: runs the tests of a project in memory, and tells what differs.

mod json;
mod junit;
mod show;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use globset::GlobSet;
use sluice_lake::glob::{self, Matching};
use sluice_pipelines::plan::{Plan, TestCase};
use sluice_pipelines::select::SelectError;
use sluice_pipelines::testing::run_tests;

use super::check::checked;
use super::error::CliError;
use super::selection::Selected;
use super::{Global, print};
use crate::exit::Exit;
use crate::render::screen::Screen;

/// Options of `sluice test`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
    #[command(flatten)]
    selected: Selected,
    /// Only tests called so, with `*` and `?`; may be repeated
    #[arg(long, value_name = "PATTERN")]
    name: Vec<String>,
    /// Writes one test a line, as JSON
    #[arg(long)]
    json: bool,
    /// Writes the results to this file as well, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Tests that run side by side; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
}

/// Runs the tests of the selected tables.
///
/// # Errors
/// All that is wrong with the project; a pattern that no test's name fits; a file that cannot be
/// written. A test that fails is told by the exit code.
pub(super) async fn test(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = checked(options.project.as_deref(), global).await?;
    options.selected.narrow(&mut plan, &world).await?;
    let cases = chosen(&plan, &options.name)?;
    let parallelism = options
        .parallelism
        .or_else(|| available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let started = std::time::Instant::now();
    let results = run_tests(&cases, parallelism).await;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &options.junit {
        let text = junit::junit(&plan.pipeline, &results, seconds);
        std::fs::write(path, text).map_err(|source| CliError::Write {
            path: path.clone(),
            source,
        })?;
    }
    let text = match options.json {
        true => json::lines(&results),
        false => show::text(&plan.pipeline, &results, seconds, Screen::stdout()),
    };
    print(&text)?;
    Ok(match results.iter().all(|result| result.passed()) {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

/// The tests of the tables that a plan is about, whose names fit one of the patterns.
fn chosen(plan: &Plan, patterns: &[String]) -> Result<Vec<Arc<TestCase>>, CliError> {
    let mut matchers: Vec<GlobSet> = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        let matcher = glob::compile(pattern, Matching::Names);
        let matcher = matcher.map_err(|reason| unknown(pattern, &reason))?;
        if !plan.tests.iter().any(|case| matcher.is_match(&case.name)) {
            let names = plan.tests.iter().map(|case| case.name.as_str());
            let near = sluice_lake::nearest::nearest(pattern, names);
            let near = near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            return Err(unknown(pattern, &format!("no test is called so{near}")));
        }
        matchers.push(matcher);
    }
    let called = |case: &TestCase| {
        matchers.is_empty() || matchers.iter().any(|matcher| matcher.is_match(&case.name))
    };
    let about = |case: &TestCase| {
        let position = plan.position(&case.asset.name);
        position.is_some_and(|position| plan.chosen.contains(&position))
    };
    let cases = plan.tests.iter();
    let cases = cases.filter(|case| called(case) && about(case));
    Ok(cases.cloned().collect())
}

fn unknown(pattern: &str, reason: &str) -> CliError {
    CliError::Select(SelectError::Nothing {
        written: format!("--name {pattern}"),
        reason: Some(reason.to_owned()),
    })
}
