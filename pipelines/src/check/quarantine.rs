//! The table of rows that break a rule with `otherwise: quarantine`.

use arrow::datatypes::Schema;
use sluice_lake::TableName;

use super::Checker;
use super::known::Known;
use super::world::error_chain;
use crate::diagnostic::Diagnostic;
use crate::run::quarantine::{added, schema_of, table_of};
use crate::source::{Span, Spanned};
use crate::spec::{Mode, Otherwise, TableSpec};

/// What is wrong is told.
pub(super) struct Told;

/// Where a table first says that rows go into quarantine.
fn asked(table: &TableSpec) -> Option<Span> {
    let mut rules = table.expect.iter();
    rules.find_map(|(_, rule)| {
        let otherwise: Spanned<Otherwise> = rule.otherwise?;
        (otherwise.value == Otherwise::Quarantine).then_some(otherwise.span)
    })
}

/// Whether rows of a table may go into quarantine.
pub(super) fn has_quarantine(table: &TableSpec) -> bool {
    asked(table).is_some()
}

/// The quarantine of a table, if it has one that can be.
pub(super) fn of_table(name: &str, table: &TableSpec) -> Option<TableName> {
    asked(table)?;
    table_of(&name.parse().ok()?).ok()
}

/// Checks the quarantine of a table with these columns, and makes it known.
pub(super) fn check_quarantine(
    checker: &mut Checker<'_>,
    known: &mut Known,
    table: &TableSpec,
    name: &TableName,
    schema: &Schema,
) -> Result<Option<TableName>, Told> {
    let Some(span) = asked(table) else {
        return Ok(None);
    };
    let by_interval = matches!(
        table.mode.as_ref().map(|mode| &mode.value),
        Some(Mode::Interval(_))
    );
    let taken = |quarantine: &TableName| {
        let message = format!("`{quarantine}` is where the rows of `{name}` in quarantine go");
        Diagnostic::error("reserved_name", message).help("give one of the two another name")
    };
    let wrong = match table_of(name) {
        Err(error) => Diagnostic::error("reserved_name", error_chain(&error)),
        Ok(quarantine) if checker.find(&quarantine.to_string()).is_some() => taken(&quarantine),
        Ok(quarantine) => {
            let mut fields = schema.fields().iter();
            let clash = fields.find(|field| {
                let name = field.name();
                added(by_interval)
                    .iter()
                    .any(|added| added.eq_ignore_ascii_case(name))
            });
            match clash {
                None => {
                    let added = known.add(&quarantine, schema_of(schema, by_interval));
                    return added.map(|()| Some(quarantine)).map_err(|_| Told);
                }
                Some(column) => {
                    let column = column.name();
                    let message = format!(
                        "`{name}` has a column `{column}`, which its quarantine writes itself"
                    );
                    let help = "name the column otherwise, or let the rule `drop` the row";
                    Diagnostic::error("reserved_name", message).help(help)
                }
            }
        }
    };
    checker.error(wrong, span);
    Err(Told)
}
