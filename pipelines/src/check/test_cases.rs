//! Looks at tests: whether the tables, columns, values and rules that they name are there.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use sluice_lake::TableName;

use super::edges::{self, Found};
use super::known::Known;
use super::tables::look;
use super::{Checker, Declaration, Declared, quarantine, rule_tables, test_rows, tokenizers};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::{Asset, AssetBody, RowPlan, SqlAsset, TestCase, TestOutcome};
use crate::run::split::SPLIT_COLUMN;
use crate::source::Spanned;
use crate::spec::decode::list;
use crate::spec::{ExpectedError, Otherwise, Outcome, TableSpec, TestSpec};

/// All tests of tables that are not broken. `typed`: the assets, by position.
pub(super) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    typed: &[Option<Asset>],
) -> Vec<Arc<TestCase>> {
    let spec = checker.spec;
    let mut cases = Vec::with_capacity(spec.tests.len());
    for (name, test) in &spec.tests {
        cases.extend(case(checker, known, typed, name, test).await.map(Arc::new));
    }
    cases
}

async fn case(
    checker: &mut Checker<'_>,
    known: &mut Known,
    typed: &[Option<Asset>],
    name: &Spanned<String>,
    test: &TestSpec,
) -> Option<TestCase> {
    let position = under_test(checker, &test.table)?;
    let asset = typed[position].as_ref()?;
    let declaration = checker.assets[position];
    let table: TableName = declaration.name.parse().ok()?;
    let (body, schema) = match &test.variant {
        Some(variant) => varied(checker, known, declaration, variant).await?,
        None => (asset.body.clone(), Arc::clone(known.tables.get(&table)?)),
    };
    let sql = query(checker, &test.table, &body)?;
    let schema = of_query(sql, &schema);
    let given = given(checker, known, &table, sql, test)?;
    let outcome = outcome(checker, &table, &schema, &sql.rows, test)?;
    let position = checker.spec.source.position(name.span.start);
    Some(TestCase {
        name: name.value.clone(),
        comment: test.comment.as_ref().map(|text| text.value.clone()),
        asset: Arc::new(Asset {
            body,
            ..asset.clone()
        }),
        given,
        outcome,
        file: checker.spec.source.path().to_owned(),
        line: position.line,
    })
}

/// The position of the table that a test names.
fn under_test(checker: &mut Checker<'_>, table: &Spanned<String>) -> Option<usize> {
    let found = checker.find(table);
    let position =
        found.filter(|position| matches!(checker.assets[*position].body, Declared::Table(_)));
    if position.is_some() || checker.is_broken_table(table) {
        return position;
    }
    let tables = checker.assets.iter();
    let tables = tables.filter(|asset| matches!(asset.body, Declared::Table(_)));
    let help = match found {
        Some(_) => Some("a test is about a table".to_owned()),
        None => did_you_mean(table, tables.map(|asset| asset.name)),
    };
    let message = format!("the project makes no table `{table}`");
    let diagnostic = Diagnostic::error("unknown_table", message).maybe_help(help);
    checker.error(diagnostic, table.span);
    None
}

/// The table as it is with a test's variables.
async fn varied(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    variant: &TableSpec,
) -> Option<(AssetBody, SchemaRef)> {
    let mut found = Found::default();
    rule_tables::of_rules(checker, declaration.name, variant, &mut found);
    if let Some(sql) = variant.sql() {
        edges::of_query(checker, sql, &mut found).await;
    }
    tokenizers::of_rules(checker, variant, &mut found).await;
    let own: TableName = declaration.name.parse().ok()?;
    let own = [Some(own), quarantine::of_table(declaration.name, variant)];
    let as_it_is = |table: TableName| {
        let schema = Arc::clone(known.tables.get(&table)?);
        Some((table, schema))
    };
    let as_it_is: Vec<_> = own.into_iter().flatten().filter_map(as_it_is).collect();
    let looked = look(checker, known, declaration, variant, &found).await;
    // Other tests are about the table as it is.
    for (table, schema) in as_it_is {
        known.add(&table, schema).ok()?;
    }
    looked
}

/// The query of a table that can be computed in memory, from rows alone.
fn query<'b>(
    checker: &mut Checker<'_>,
    table: &Spanned<String>,
    body: &'b AssetBody,
) -> Option<&'b SqlAsset> {
    let why = match body {
        AssetBody::Sql(sql) if sql.applies.is_empty() && sql.rows.tokenizers.is_empty() => {
            return Some(sql);
        }
        AssetBody::Sql(_) => "it applies a model or a tokenizer of the registry",
        AssetBody::Ingest(_) => "it is made from files",
        _ => "it is made with a model of the registry",
    };
    let message = format!("`{table}` cannot be tested: {why}");
    let diagnostic = Diagnostic::error("not_supported", message).help(
        "a test computes the query of a table (`sql` or `sql_file`) in memory, from given rows",
    );
    checker.error(diagnostic, table.span);
    None
}

/// The columns that a query gives, and `_split`: the stored table may have more.
fn of_query(sql: &SqlAsset, stored: &SchemaRef) -> SchemaRef {
    let names = sql.columns.iter().map(|column| column.column.as_str());
    let names: Vec<&str> = names.chain([SPLIT_COLUMN]).collect();
    let fields = stored.fields().iter();
    let fields = fields.filter(|field| names.contains(&field.name().as_str()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

/// The rows of every table that a query reads.
fn given(
    checker: &mut Checker<'_>,
    known: &Known,
    table: &TableName,
    sql: &SqlAsset,
    test: &TestSpec,
) -> Option<Vec<(TableName, RecordBatch)>> {
    let before = checker.diagnostics.len();
    let mut given = Vec::with_capacity(sql.reads.len());
    for (name, _) in &test.given {
        if sql.reads.iter().any(|read| same(read, name)) {
            continue;
        }
        let reads: Vec<String> = sql.reads.iter().map(ToString::to_string).collect();
        let reads: Vec<&str> = reads.iter().map(String::as_str).collect();
        let help =
            did_you_mean(name, reads.iter().copied()).unwrap_or_else(|| match reads.is_empty() {
                true => "it reads no table".to_owned(),
                false => format!("it reads {}", list(&reads)),
            });
        let message = format!("`{table}` does not read `{name}`");
        checker.error(
            Diagnostic::error("unknown_table", message).help(help),
            name.span,
        );
    }
    for read in &sql.reads {
        let schema = known.tables.get(read)?;
        let fixture = test.given.iter().find(|(name, _)| same(read, name));
        let rows = match fixture {
            Some((name, fixture)) => test_rows::whole(checker, name, schema, fixture),
            None => Some(RecordBatch::new_empty(Arc::clone(schema))),
        };
        given.extend(rows.map(|rows| (read.clone(), rows)));
    }
    (checker.diagnostics.len() == before).then_some(given)
}

fn same(table: &TableName, written: &str) -> bool {
    table.to_string().eq_ignore_ascii_case(written)
}

fn outcome(
    checker: &mut Checker<'_>,
    table: &TableName,
    schema: &SchemaRef,
    rules: &RowPlan,
    test: &TestSpec,
) -> Option<TestOutcome> {
    match &test.outcome {
        Outcome::Rows(expected) => Some(TestOutcome::Rows {
            rows: test_rows::named(checker, &table.to_string(), schema, &expected.rows)?,
            ordered: expected.ordered,
            tolerance: expected.tolerance,
        }),
        Outcome::Error(expected) => expected_error(checker, table, rules, expected),
    }
}

fn expected_error(
    checker: &mut Checker<'_>,
    table: &TableName,
    rules: &RowPlan,
    expected: &ExpectedError,
) -> Option<TestOutcome> {
    let rule = match &expected.rule {
        Some(rule) => Some(failing_rule(checker, table, rules, rule)?),
        None => None,
    };
    Some(TestOutcome::Error {
        rule,
        message: expected.message.as_ref().map(|part| part.value.clone()),
    })
}

/// The rule of this name, which has to be one that fails the table.
fn failing_rule(
    checker: &mut Checker<'_>,
    table: &TableName,
    rules: &RowPlan,
    rule: &Spanned<String>,
) -> Option<String> {
    let all: Vec<(&str, Otherwise)> = rules.consequences().collect();
    let (message, help) = match all.iter().find(|(name, _)| name.eq_ignore_ascii_case(rule)) {
        Some((name, Otherwise::Fail)) => return Some((*name).to_owned()),
        Some((name, otherwise)) => (
            format!(
                "the rule `{name}` of `{table}` does not fail it: `otherwise: {}`",
                otherwise.name()
            ),
            Some("expect rows: those that the rule keeps".to_owned()),
        ),
        None => (
            format!("`{table}` has no rule `{rule}`"),
            did_you_mean(rule, all.iter().map(|(name, _)| *name)),
        ),
    };
    let diagnostic = Diagnostic::error("unknown_rule", message).maybe_help(help);
    checker.error(diagnostic, rule.span);
    None
}
