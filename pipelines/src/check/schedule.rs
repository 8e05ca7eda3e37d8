//! `schedule:`: times that come, and tables that are there.

use std::time::Duration;

use sluice_lake::TableName;

use super::{Checker, Declared};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::schedule::beat::BeatError;
use crate::schedule::{Beat, Schedule, Trigger};
use crate::source::Spanned;
use crate::spec::{self, ScheduleSpec, TableBody};

/// Checks the schedule. `None` if there is none, or it is wrong.
pub(super) fn check(checker: &mut Checker<'_>) -> Option<Schedule> {
    let written = checker.spec.schedule.as_ref()?;
    let before = checker.diagnostics.len();
    let beat = beat(checker, written);
    let trigger = match written.or_when.as_ref().map(|or_when| &or_when.news) {
        None => None,
        Some(spec::Trigger::NewFiles(table)) => new_files(checker, table).map(Trigger::NewFiles),
        Some(spec::Trigger::Table(table)) => foreign_table(checker, table).map(Trigger::Table),
    };
    let jitter = written.jitter.as_ref();
    (checker.diagnostics.len() == before).then(|| Schedule {
        beat,
        trigger,
        catch_up: written.catch_up.map(|word| word.value).unwrap_or_default(),
        jitter: jitter.map_or(Duration::ZERO, |jitter| jitter.value.0),
    })
}

fn beat(checker: &mut Checker<'_>, written: &ScheduleSpec) -> Option<Beat> {
    if let Some(every) = &written.every {
        return Some(Beat::every(every.value.0));
    }
    let cron = written.cron.as_ref()?;
    let zone = written.timezone.as_ref();
    let error = match Beat::cron(cron, zone.map(|zone| zone.value.as_str())) {
        Ok(beat) => return Some(beat),
        Err(error) => error,
    };
    let (code, span, help) = match &error {
        BeatError::Zone { nearest, .. } => {
            let help = match nearest {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write an IANA name, such as `Europe/Helsinki`".to_owned(),
            };
            (
                "unknown_timezone",
                zone.map_or(cron.span, |zone| zone.span),
                help,
            )
        }
        BeatError::Pattern { .. } | BeatError::Never { .. } => (
            "bad_cron",
            cron.span,
            "write such as \"0 6 * * MON-FRI\": minute, hour, day of month, month, day of week"
                .to_owned(),
        ),
    };
    checker.error(Diagnostic::error(code, error.to_string()).help(help), span);
    None
}

/// A table of the project that reads files.
fn new_files(checker: &mut Checker<'_>, table: &Spanned<String>) -> Option<TableName> {
    let ingests = |declared: &Declared<'_>| match declared {
        Declared::Table(table) => matches!(*table.body, TableBody::Ingest(_)),
        _ => false,
    };
    let found = checker.find(table).map(|position| checker.assets[position]);
    match found {
        Some(asset) if ingests(&asset.body) => asset.name.parse().ok(),
        Some(_) => {
            let message = format!("`{table}` reads no files");
            let help = "name a table with `ingest:`; for another one write `or_when: {table: ...}`";
            checker.error(
                Diagnostic::error("bad_trigger", message).help(help),
                table.span,
            );
            None
        }
        None if checker.is_broken_table(table) => None,
        None => {
            let assets = checker.assets.iter();
            let reading = assets.filter(|asset| ingests(&asset.body));
            let help = did_you_mean(table, reading.map(|asset| asset.name));
            let message = format!("this pipeline has no table `{table}`");
            let diagnostic = Diagnostic::error("unknown_table", message).maybe_help(help);
            checker.error(diagnostic, table.span);
            None
        }
    }
}

/// A table that is there and that the project does not make.
fn foreign_table(checker: &mut Checker<'_>, table: &Spanned<String>) -> Option<TableName> {
    if checker.find(table).is_some() || checker.is_broken_table(table) {
        let message = format!("`{table}` is made by this pipeline: each run would begin the next");
        let help =
            "name a table that another pipeline makes, or `new_files:` of one that reads files";
        checker.error(
            Diagnostic::error("bad_trigger", message).help(help),
            table.span,
        );
        return None;
    }
    let name = match table.parse::<TableName>() {
        Ok(name) => name,
        Err(error) => {
            checker.error(Diagnostic::error("bad_name", error.to_string()), table.span);
            return None;
        }
    };
    match checker.world.lakehouse.find_table(&name) {
        Ok(Some(stored)) => Some(stored),
        _ => {
            let message = format!("there is no table `{table}` in the lakehouse");
            let help = "its pipeline must have made it once";
            checker.error(
                Diagnostic::error("unknown_table", message).help(help),
                table.span,
            );
            None
        }
    }
}
