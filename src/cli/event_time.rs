//! `--event-time-start` and `--event-time-end`: which intervals a command is about.

use sluice_pipelines::plan::mode::Mode;
use sluice_pipelines::plan::{Asset, AssetBody, Plan};
use sluice_pipelines::select::SelectError;
use sluice_pipelines::spec::Instant;

use super::error::CliError;

/// The options of commands that make tables interval by interval.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct EventWindow {
    /// Makes the intervals from this time (UTC) to `--event-time-end`, made already or not,
    /// of tables with `mode: {interval: ...}`; and no others of theirs
    #[arg(long, value_name = "TIME", requires = "event_time_end", value_parser = moment)]
    event_time_start: Option<Instant>,
    /// The end of that time, not included
    #[arg(long, value_name = "TIME", requires = "event_time_start", value_parser = moment)]
    event_time_end: Option<Instant>,
}

fn moment(text: &str) -> Result<Instant, String> {
    Instant::parse(text)
        .ok_or_else(|| "write such as 2026-01-01 or 2026-01-01T06:00:00Z".to_owned())
}

impl EventWindow {
    /// Restricts a plan to these intervals.
    ///
    /// # Errors
    /// A time that ends before it starts; no selected table that is made interval by interval.
    pub(super) fn mark(&self, plan: &mut Plan) -> Result<(), CliError> {
        let (Some(start), Some(end)) = (self.event_time_start, self.event_time_end) else {
            return Ok(());
        };
        let nothing = |reason: &str| {
            CliError::Select(SelectError::Nothing {
                written: format!("--event-time-start {start} --event-time-end {end}"),
                reason: Some(reason.to_owned()),
            })
        };
        if start >= end {
            return Err(nothing("the time ends before it starts"));
        }
        let by_interval = |asset: &Asset| matches!(&asset.body, AssetBody::Sql(sql) if matches!(sql.upkeep.mode, Mode::Interval(_)));
        let mut chosen = plan.chosen.iter();
        if !chosen.any(|position| by_interval(&plan.assets[*position])) {
            return Err(nothing("no selected table has `mode: {interval: ...}`"));
        }
        plan.event_time.window = Some((start, end));
        Ok(())
    }
}
