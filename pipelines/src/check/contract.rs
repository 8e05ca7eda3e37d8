//! `columns:`: what a table promises, against the columns that it has.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use sluice_lake::TableName;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::sql::parse_expression;
use sluice_learn::sql_type::SqlType;

use super::Checker;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::contract::ContractPlan;
use crate::plan::{RowExpectation, TableExpectation, TableRule};
use crate::run::split::SPLIT_COLUMN;
use crate::source::Spanned;
use crate::spec::{ColumnSpec, Contract, Otherwise, TableBody, TableSpec};

/// The name of the rule that a primary key is.
const PRIMARY_KEY: &str = "primary_key";

/// What a contract comes to.
#[derive(Default)]
pub(super) struct Agreed {
    pub(super) plan: ContractPlan,
    /// That columns have a value in each row.
    pub(super) rules: Vec<RowExpectation>,
    /// That rows differ in the primary key.
    pub(super) key: Option<TableExpectation>,
}

/// Checks a table's contract against the columns that it has; `None` when they differ.
pub(super) fn check_contract(
    checker: &mut Checker<'_>,
    table: &TableSpec,
    name: &TableName,
    schema: &SchemaRef,
) -> Option<Agreed> {
    let before = checker.diagnostics.len();
    let stored = delta_schema(name, schema).ok()?;
    let mut plan = ContractPlan::default();
    let (mut rules, mut key) = (Vec::new(), Vec::new());
    for (column, spec) in &table.columns {
        let spec = &spec.0;
        let Some(field) = find(checker, name, &stored, column) else {
            continue;
        };
        compare(checker, table, column, spec, field);
        if spec.is_required() {
            plan.required.insert(field.name().clone());
            // A split is in every row, and is not there yet when rules on rows are.
            if table.split.is_none() || field.name() != SPLIT_COLUMN {
                rules.extend(not_null(checker, table, column, field.name()));
            }
        }
        if spec.is_key() {
            key.push(field.name().clone());
        }
        if let Some(comment) = &spec.comment {
            let comment = comment.value.trim().to_owned();
            plan.comments.insert(field.name().clone(), comment);
        }
    }
    refuse_others(checker, table, name, &stored);
    let key = (!key.is_empty()).then(|| {
        free(checker, table, PRIMARY_KEY);
        TableExpectation {
            name: PRIMARY_KEY.to_owned(),
            rule: TableRule::Unique(key),
            otherwise: Otherwise::Fail,
        }
    });
    (checker.diagnostics.len() == before).then_some(Agreed { plan, rules, key })
}

/// The column of a table that a contract lists.
fn find<'s>(
    checker: &mut Checker<'_>,
    name: &TableName,
    stored: &'s Schema,
    column: &Spanned<String>,
) -> Option<&'s Arc<Field>> {
    let same = |field: &&Arc<Field>| field.name().eq_ignore_ascii_case(column);
    let found = stored.fields().iter().find(same);
    if found.is_none() {
        let message = format!("`{name}` has no column `{column}`, which its contract lists");
        let names = stored.fields().iter().map(|field| field.name().as_str());
        let help = did_you_mean(column, names);
        let diagnostic = Diagnostic::error("contract", message).maybe_help(help);
        checker.error(diagnostic, column.span);
    }
    found
}

/// Reports a column that has another type than its contract says.
fn compare(
    checker: &mut Checker<'_>,
    table: &TableSpec,
    column: &Spanned<String>,
    spec: &ColumnSpec,
    field: &Field,
) {
    let Some(wanted) = &spec.data_type else {
        return;
    };
    let (is, wanted, span) = (field.data_type(), wanted.data_type(), wanted.span);
    if *is == wanted {
        return;
    }
    let (is, wanted) = (SqlType(is), SqlType(&wanted));
    let message = format!("`{column}` is {is}, and the contract says {wanted}");
    let help = match &*table.body {
        TableBody::Ingest(_) => {
            format!("say how to read it: `csv: {{columns: {{{column}: {wanted}}}}}`, or `json:`")
        }
        TableBody::Predict(_) => "the model decides: change the contract".to_owned(),
        TableBody::Sql(_) | TableBody::SqlFile(_) => {
            format!("convert it in the SQL: `CAST({column} AS {wanted})`")
        }
    };
    checker.error(Diagnostic::error("contract", message).help(help), span);
}

/// Reports columns that a strict contract does not list.
fn refuse_others(checker: &mut Checker<'_>, table: &TableSpec, name: &TableName, stored: &Schema) {
    let open = table
        .contract
        .is_some_and(|contract| contract.value == Contract::Open);
    let Some((first, _)) = table.columns.iter().next().filter(|_| !open) else {
        return;
    };
    let others = stored.fields().iter().filter(|field| {
        let column = field.name();
        !column.starts_with('_') && table.columns.get(column).is_none()
    });
    let others: Vec<String> = others
        .map(|field| format!("`{}` ({})", field.name(), SqlType(field.data_type())))
        .collect();
    if others.is_empty() {
        return;
    }
    let message = match others.len() {
        1 => format!(
            "`{name}` has a column that its contract does not list: {}",
            others[0]
        ),
        _ => format!(
            "`{name}` has columns that its contract does not list: {}",
            others.join(", ")
        ),
    };
    let diagnostic = Diagnostic::error("contract", message).help(
        "list what is meant to be there, leave the rest out of the table, or say `contract: open`",
    );
    checker.error(diagnostic, first.span);
}

/// The rule that a column has a value in each row.
fn not_null(
    checker: &mut Checker<'_>,
    table: &TableSpec,
    column: &Spanned<String>,
    field: &str,
) -> Option<RowExpectation> {
    let quoted = field.replace('"', "\"\"");
    let that = parse_expression(&format!("\"{quoted}\" IS NOT NULL")).ok()?;
    let name = format!("{column}_not_null");
    free(checker, table, &name);
    Some(RowExpectation {
        name,
        that,
        otherwise: Otherwise::Fail,
        of_contract: true,
    })
}

/// Reports a rule that goes by the name of one of the contract.
fn free(checker: &mut Checker<'_>, table: &TableSpec, name: &str) {
    let mut rules = table.expect.iter();
    if let Some((taken, _)) = rules.find(|(rule, _)| rule.eq_ignore_ascii_case(name)) {
        let message = format!("the contract has a rule `{name}` already");
        let diagnostic =
            Diagnostic::error("duplicate_name", message).help("give this rule another name");
        checker.error(diagnostic, taken.span);
    }
}
