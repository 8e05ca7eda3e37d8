//! The tables that rules look at, besides the one that they are rules of.

use sluice_lake::sql::{TableRef, parse_query, table_refs};
use sluice_udfs::models::{encoder_addresses, model_addresses};
use sluice_udfs::text;

use super::edges::{Found, read_table, resolve_table};
use super::{Checker, sql_errors};
use crate::diagnostic::Diagnostic;
use crate::spec::{Relationship, Rule, SqlText, TableSpec};

/// Finds what the rules of the table `own` look at. It has to be made before, and is no input
/// of the rows.
pub(super) fn of_rules(checker: &mut Checker<'_>, own: &str, table: &TableSpec, found: &mut Found) {
    let mut looked_at = Found::default();
    for (_, expectation) in &table.expect {
        match &expectation.rule {
            Rule::Relationships(relationship) => {
                of_relationship(checker, own, relationship, &mut looked_at);
            }
            Rule::Custom(sql) => of_query(checker, own, sql, &mut looked_at),
            _ => {}
        }
    }
    found.edges.append(&mut looked_at.edges);
    found.rule_reads.append(&mut looked_at.reads);
    found.broken |= looked_at.broken;
}

fn of_relationship(
    checker: &mut Checker<'_>,
    own: &str,
    relationship: &Relationship,
    found: &mut Found,
) {
    let to = &relationship.to;
    let Some((table, _)) = relationship.target() else {
        let message = format!("`{to}` names no column of a table");
        let diagnostic = Diagnostic::error("bad_name", message)
            .help("write `layer.table.column`, such as `silver.customers.id`");
        checker.error(diagnostic, to.span);
        found.broken = true;
        return;
    };
    if !table.eq_ignore_ascii_case(own) {
        let at = checker.location(to.span);
        resolve_table(checker, table, at, found);
    }
}

fn of_query(checker: &mut Checker<'_>, own: &str, sql: &SqlText, found: &mut Found) {
    let statement = match parse_query(&sql.text) {
        Ok(statement) => statement,
        Err(error) => {
            let diagnostic = sql_errors::diagnostic(&error, sql);
            checker.diagnostics.push(diagnostic);
            found.broken = true;
            return;
        }
    };
    let models = model_addresses(&statement).is_ok_and(|models| models.is_empty());
    let encoders = encoder_addresses(&statement).is_ok_and(|models| models.is_empty());
    if !models || !encoders || !text::references(&statement).is_ok_and(|calls| calls.is_empty()) {
        let message = "the query of a rule cannot apply a model or a tokenizer";
        let diagnostic = Diagnostic::error("wrong_rule", message)
            .help("make it a column in the table's SQL, and look at that here")
            .at_location(sql.to_source(0..sql.text.trim_end().len()));
        checker.diagnostics.push(diagnostic);
        found.broken = true;
    }
    for table in table_refs(&statement) {
        if !names(&table, own) {
            read_table(checker, sql, &table, found);
        }
    }
}

/// Whether a query means the table `own`.
fn names(table: &TableRef, own: &str) -> bool {
    let written = table.parts.join(".");
    let short = match table.parts.as_slice() {
        [catalog, layer, name] if catalog.eq_ignore_ascii_case("lake") => format!("{layer}.{name}"),
        _ => written,
    };
    short.eq_ignore_ascii_case(own)
}
