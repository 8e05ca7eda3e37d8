//! Looks inside `maintain:`: what holds for each table, and whether the columns are there.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use sluice_lake::TableName;
use sluice_lake::delta::LEAST_RETENTION;

use super::tables::find_column;
use super::{Checker, Declaration, Declared};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::maintenance::{Maintenance, OptimizePlan, Retention, VacuumPlan};
use crate::source::Spanned;
use crate::spec::{Optimize, PipelineMaintain, TableMaintain, Vacuum};

/// How often old data files are removed when nobody says.
const VACUUM_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How an asset is looked after: as it says, else as its layer does, else as all tables.
/// `schema`: its columns, where they are known.
pub(super) fn check(
    checker: &mut Checker<'_>,
    declaration: Declaration<'_>,
    schema: Option<&Schema>,
) -> Maintenance {
    let Declared::Table(table) = declaration.body else {
        return Maintenance::default();
    };
    let own = table.maintain.as_ref();
    let pipeline = &checker.spec.maintain;
    let layer = declaration.name.split('.').next().unwrap_or_default();
    let upkeeps = [
        own.map(|own| &own.upkeep),
        pipeline.layers.get(layer).map(|layer| &layer.upkeep),
        Some(&pipeline.tables.upkeep),
    ];
    let upkeeps = || upkeeps.iter().flatten();
    let optimize = upkeeps().find_map(|upkeep| upkeep.optimize.as_ref());
    let vacuum = upkeeps().find_map(|upkeep| upkeep.vacuum.as_ref());
    let checkpoint = upkeeps().find_map(|upkeep| upkeep.checkpoint.as_ref());
    let mut maintenance = Maintenance {
        partition_by: Vec::new(),
        optimize: optimize.map(optimized),
        zorder_by: Vec::new(),
        vacuum: vacuum.map(vacuumed),
        checkpoint: checkpoint.map(|checkpoint| checkpoint.every.value),
    };
    if let (Some(own), Some(schema), Ok(name)) = (own, schema, declaration.name.parse()) {
        maintenance.partition_by = partitioned_by(checker, own, schema, &name);
        maintenance.zorder_by = sorted_by(checker, own, schema, &name);
        refuse_both(checker, own, &maintenance.partition_by);
    }
    if !maintenance.zorder_by.is_empty() {
        maintenance.optimize.get_or_insert_default();
    }
    maintenance
}

fn optimized(optimize: &Optimize) -> OptimizePlan {
    let default = OptimizePlan::default();
    let target = optimize
        .target_size
        .and_then(|size| NonZeroU64::new(size.value.0));
    OptimizePlan {
        target_bytes: target.unwrap_or(default.target_bytes),
        small_files: optimize
            .small_files
            .map_or(default.small_files, |files| files.value),
        every: optimize.every.map(|every| every.value.0),
    }
}

fn vacuumed(vacuum: &Vacuum) -> VacuumPlan {
    VacuumPlan {
        retain: vacuum
            .retain
            .map_or(LEAST_RETENTION, |retain| retain.value.0),
        every: vacuum.every.map_or(VACUUM_EVERY, |every| every.value.0),
    }
}

/// The columns of `partition_by`, as the table spells them.
fn partitioned_by(
    checker: &mut Checker<'_>,
    own: &TableMaintain,
    schema: &Schema,
    table: &TableName,
) -> Vec<String> {
    let found = columns(checker, &own.partition_by, schema, table);
    for (column, name) in &found {
        let data_type = schema.field_with_name(name).map(Field::data_type);
        if let Ok(data_type) = data_type
            && let Some(help) = no_partition(data_type)
        {
            let message =
                format!("`{name}` is {data_type}, and a table cannot be partitioned by it");
            let diagnostic = Diagnostic::error("wrong_type", message).help(help);
            checker.error(diagnostic, column.span);
        }
    }
    if let Some(first) = own.partition_by.first()
        && found.len() == schema.fields().len()
    {
        let message =
            format!("`{table}` has no column left beside those that it is partitioned by");
        checker.error(Diagnostic::error("wrong_partition", message), first.span);
    }
    found.into_iter().map(|(_, name)| name).collect()
}

/// Why values of a type are no good as names of folders, or what to do instead.
fn no_partition(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Timestamp(..) => Some(
            "nearly every row would lie in a folder of its own: make a DATE of it in the query",
        ),
        DataType::Boolean | DataType::Date32 => None,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => None,
        DataType::Dictionary(_, values) => no_partition(values),
        other if other.is_integer() => None,
        _ => Some(
            "name a column with few values that is a text, a DATE, a whole number or a BOOLEAN",
        ),
    }
}

/// Refuses to sort by what is the same in all rows of a partition.
fn refuse_both(checker: &mut Checker<'_>, own: &TableMaintain, partition_by: &[String]) {
    for column in &own.zorder_by {
        let same = |name: &String| name.eq_ignore_ascii_case(column);
        if partition_by.iter().any(same) {
            let message = format!(
                "the table is partitioned by `{column}`: it is the same in all rows that are sorted"
            );
            let diagnostic = Diagnostic::error("wrong_partition", message);
            checker.error(diagnostic.help("take it out of `zorder_by`"), column.span);
        }
    }
}

/// The columns of `zorder_by`, as the table spells them.
fn sorted_by(
    checker: &mut Checker<'_>,
    own: &TableMaintain,
    schema: &Schema,
    table: &TableName,
) -> Vec<String> {
    let found = columns(checker, &own.zorder_by, schema, table);
    for (column, name) in &found {
        let data_type = schema.field_with_name(name).map(Field::data_type);
        if let Ok(data_type) = data_type
            && data_type.is_nested()
        {
            let message = format!("`{name}` is {data_type}, and rows cannot be sorted by it");
            let help = "name columns that hold numbers, texts or times";
            let diagnostic = Diagnostic::error("wrong_type", message).help(help);
            checker.error(diagnostic, column.span);
        }
    }
    found.into_iter().map(|(_, name)| name).collect()
}

/// Columns as they are written, and as the table spells them; each once.
fn columns<'w>(
    checker: &mut Checker<'_>,
    written: &'w [Spanned<String>],
    schema: &Schema,
    table: &TableName,
) -> Vec<(&'w Spanned<String>, String)> {
    let mut found: Vec<(&Spanned<String>, String)> = Vec::new();
    for column in written {
        let Some(name) = find_column(checker, schema, column, table) else {
            continue;
        };
        if found.iter().any(|(_, other)| *other == name) {
            let message = format!("`{name}` stands here twice");
            checker.error(Diagnostic::error("duplicate_column", message), column.span);
            continue;
        }
        found.push((column, name));
    }
    found
}

/// How long the memory of runs is kept; layers that no table is in are wrong.
pub(super) fn check_pipeline(checker: &mut Checker<'_>) -> Retention {
    let spec = checker.spec;
    let maintain: &PipelineMaintain = &spec.maintain;
    let names = spec.tables.iter().map(|(name, _)| name.value.as_str());
    let broken = spec.broken.tables.iter().map(String::as_str);
    let layers: BTreeSet<&str> = names
        .chain(broken)
        .filter_map(|name| name.split('.').next())
        .collect();
    for (layer, _) in &maintain.layers {
        if layers.iter().any(|known| known.eq_ignore_ascii_case(layer)) {
            continue;
        }
        let message = format!("no table of the pipeline is in the layer `{layer}`");
        let help = did_you_mean(layer, layers.iter().copied());
        checker.error(
            Diagnostic::error("unknown_layer", message).maybe_help(help),
            layer.span,
        );
    }
    Retention {
        runs: maintain.runs.as_ref().map(|keep| keep.retain.value.0),
        artifacts: maintain.artifacts.as_ref().map(|keep| keep.retain.value.0),
    }
}
