//! `maintain:`: how tables, and the memory of runs, are looked after.

use sluice_lake::delta::LEAST_RETENTION;
use sluice_lake::name::{RESERVED_LAYERS, check_part};

use super::byte_size::ByteSize;
use super::decode::{Check, Context, Fields, record};
use super::duration::Length;
use super::name::{NameRule, Named};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

record! {
    /// How a table is looked after; what it does not say, its layer says, or all tables.
    #[derive(Default)]
    pub struct TableMaintain as "`maintain` of a table" {
        /// The columns by whose values the data files lie in folders, so that readers pass over folders: dates, whole numbers or booleans with few values. Another choice makes the table anew.
        "partition_by" partition_by: Vec<Spanned<String>>,
        /// The columns whose near values lie together, so that readers pass over files: all rows are sorted along a curve through them (Z-order).
        "zorder_by" zorder_by: Vec<Spanned<String>>,
        /// What can stand for many tables, too.
        .. upkeep: Upkeep,
    }
}

impl Check for TableMaintain {}

record! {
    /// How some tables are looked after.
    #[derive(Default)]
    pub struct Maintain as "`maintain`" {
        /// What can stand for many tables.
        .. upkeep: Upkeep,
    }
}

impl Check for Maintain {}

record! {
    /// How a table is looked after.
    #[derive(Default)]
    pub struct Upkeep as "`maintain`" {
        /// Writes small data files together.
        "optimize" optimize: Option<Optimize>,
        /// Removes data files that no version needs which is to be read.
        "vacuum" vacuum: Option<Vacuum>,
        /// Writes checkpoints, so that the log need not be read from its beginning.
        "checkpoint" checkpoint: Option<Checkpoint>,
    }
}

impl Check for Upkeep {}

record! {
    /// Writes small data files together (OPTIMIZE).
    pub struct Optimize as "`optimize`" {
        /// How large a data file shall be; those of less than half of it are small. By default `256 MB`.
        "target_size" target_size: Option<Spanned<ByteSize>>,
        /// It is done when there are so many small files; by default 10.
        "small_files" small_files: Option<Spanned<u64>>,
        /// It is done, however few small files there are, when this has passed since the last time.
        "every" every: Option<Spanned<Length>>,
    }
}

impl Check for Optimize {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        at_least("small_files", self.small_files, 2, cx)
    }
}

record! {
    /// Removes data files that no version needs which is to be read (VACUUM).
    pub struct Vacuum as "`vacuum`" {
        /// How long data files stay that are no part of the table any more: so far back it can be read as it was. At least, and by default, `7d`.
        "retain" retain: Option<Spanned<Length>>,
        /// How often it is done; by default `1d`.
        "every" every: Option<Spanned<Length>>,
        /// Lets `retain` be less than `7d`: a query that runs for longer fails.
        "force" force: Option<Spanned<bool>>,
    }
}

impl Check for Vacuum {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let forced = self.force.is_some_and(|force| force.value);
        let Some(retain) = self
            .retain
            .filter(|retain| retain.value.0 < LEAST_RETENTION)
        else {
            return true;
        };
        if forced {
            return true;
        }
        let message = format!(
            "{} is less than the 7d for which readers can rely on files",
            retain.value
        );
        cx.report(
            Diagnostic::error("bad_retention", message)
                .help("write `7d` or more; with `force: true` beside it, a query or another tool that reads the table for longer fails"),
            retain.span,
        );
        false
    }
}

record! {
    /// Writes checkpoints.
    pub struct Checkpoint as "`checkpoint`" {
        /// After so many commits. Without `checkpoint:` one is written every 100.
        "every" every: Spanned<u64>,
    }
}

impl Check for Checkpoint {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        at_least("every", Some(self.every), 1, cx)
    }
}

record! {
    /// How long something is kept.
    pub struct Keep as "what is kept" {
        /// How long after the end of a run.
        "retain" retain: Spanned<Length>,
    }
}

impl Check for Keep {}

record! {
    /// How tables, and the memory of runs, are looked after.
    #[derive(Default)]
    pub struct PipelineMaintain as "`maintain` of a pipeline" {
        /// What holds for every table that does not say otherwise.
        "tables" tables: Maintain,
        /// What holds for the tables of a layer, by its name.
        "layers" layers: Named<LayerNames, Maintain>,
        /// Runs, with their stages, metrics and events, that ended longer ago are forgotten; not those that made what there is now.
        "runs" runs: Option<Keep>,
        /// Files that runs left behind (charts, leaderboards, reports of trainings) go earlier than the runs.
        "artifacts" artifacts: Option<Keep>,
    }
}

impl Check for PipelineMaintain {}

fn at_least(name: &str, number: Option<Spanned<u64>>, least: u64, cx: &mut Context<'_>) -> bool {
    match number.filter(|number| number.value < least) {
        None => true,
        Some(number) => {
            let message = format!("`{name}` must be {least} or more");
            cx.error("bad_count", message, number.span);
            false
        }
    }
}

/// Names of layers.
#[derive(Debug, Clone, Copy)]
pub struct LayerNames;

impl NameRule for LayerNames {
    const WHAT: &'static str = "a layer";
    const FORM: &'static str = "a letter, then letters, digits and `_`";
    const PATTERN: &'static str = "^[A-Za-z][A-Za-z0-9_]*$";

    fn has_form(name: &str) -> bool {
        check_part("layer", name).is_ok()
    }

    fn refuse(name: &str) -> Option<String> {
        RESERVED_LAYERS
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(name))
            .then(|| format!("the layer `{name}` is reserved"))
    }
}
