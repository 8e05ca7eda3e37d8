//! Looks inside rules on whole tables: their columns, types and queries.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use sluice_lake::TableName;
use sluice_lake::sql::parse_query;
use sluice_learn::sql_type::SqlType;

use super::known::Known;
use super::queries::plan_query;
use super::tables::find_column;
use super::{Checker, sql_errors};
use crate::diagnostic::Diagnostic;
use crate::plan::{TableExpectation, TableRule};
use crate::source::Spanned;
use crate::spec::{Accepted, AcceptedValues, Freshness, Relationship, Rule, SqlText, TableSpec};

/// The rules of a table on the whole of it; `known` has its columns. `None` when one is wrong.
pub(super) async fn check_table_rules(
    checker: &mut Checker<'_>,
    known: &Known,
    table: &TableSpec,
    name: &TableName,
    schema: &Schema,
) -> Option<Vec<TableExpectation>> {
    let before = checker.diagnostics.len();
    let mut rules = Vec::new();
    for (rule_name, expectation) in &table.expect {
        let own = Own { name, schema };
        let rule = match &expectation.rule {
            Rule::That(_) => continue,
            Rule::Unique(columns) => own.columns(checker, columns).map(TableRule::Unique),
            Rule::NotNull(columns) => own.columns(checker, columns).map(TableRule::NotNull),
            Rule::AcceptedValues(accepted) => own.accepted(checker, accepted),
            Rule::Relationships(relationship) => own.relationship(checker, known, relationship),
            Rule::RowCount(count) => Some(TableRule::RowCount {
                min: count.min.map(|min| min.value),
                max: count.max.map(|max| max.value),
            }),
            Rule::Freshness(freshness) => own.freshness(checker, freshness),
            Rule::Custom(sql) => custom(checker, known, sql).await,
        };
        rules.extend(rule.map(|rule| TableExpectation {
            name: rule_name.value.clone(),
            rule,
            otherwise: expectation.otherwise(),
        }));
    }
    (checker.diagnostics.len() == before).then_some(rules)
}

/// The table that the rules are of.
#[derive(Clone, Copy)]
struct Own<'a> {
    name: &'a TableName,
    schema: &'a Schema,
}

impl Own<'_> {
    fn columns(
        self,
        checker: &mut Checker<'_>,
        columns: &[Spanned<String>],
    ) -> Option<Vec<String>> {
        let found = columns
            .iter()
            .map(|column| find_column(checker, self.schema, column, self.name));
        let found: Vec<Option<String>> = found.collect();
        found.into_iter().collect()
    }

    /// A column's spelling and type.
    fn column(
        self,
        checker: &mut Checker<'_>,
        column: &Spanned<String>,
    ) -> Option<(String, DataType)> {
        typed(checker, self.schema, column, self.name)
    }

    fn accepted(self, checker: &mut Checker<'_>, rule: &AcceptedValues) -> Option<TableRule> {
        let (column, data_type) = self.column(checker, &rule.column)?;
        let mut values = Vec::new();
        for accepted in rule.values.iter() {
            match value(&accepted.value, &data_type) {
                Some(value) => values.push(value),
                None => {
                    let (shown, what) = match &accepted.value {
                        Accepted::Text(text) => (format!("\"{text}\""), "no value"),
                        Accepted::Number(number) => (number.clone(), "a number"),
                        Accepted::Bool(value) => (value.to_string(), "a boolean"),
                    };
                    let message = format!(
                        "`{column}` is {}, and {shown} is {what}{}",
                        SqlType(&data_type),
                        if what == "no value" { " of it" } else { "" }
                    );
                    let quoted = matches!(data_type, DataType::Utf8).then_some("quote it");
                    let diagnostic = Diagnostic::error("wrong_type", message)
                        .maybe_help(quoted.map(str::to_owned));
                    checker.error(diagnostic, accepted.span);
                }
            }
        }
        Some(TableRule::AcceptedValues { column, values })
    }

    fn relationship(
        self,
        checker: &mut Checker<'_>,
        known: &Known,
        rule: &Relationship,
    ) -> Option<TableRule> {
        let (column, data_type) = self.column(checker, &rule.column)?;
        let (table, to_column) = rule.target()?;
        let to_column = Spanned::new(to_column.to_owned(), rule.to.span);
        let to: TableName = table.parse().ok()?;
        let (to, schema) = match to.matches(self.name) {
            true => (self.name.clone(), self.schema.clone()),
            false => {
                let mut tables = known.tables.iter();
                let (name, schema) = tables.find(|(name, _)| name.matches(&to))?;
                (name.clone(), schema.as_ref().clone())
            }
        };
        let (to_column, to_type) = typed(checker, &schema, &to_column, &to)?;
        let numbers = data_type.is_numeric() && to_type.is_numeric();
        if data_type != to_type && !numbers {
            let message = format!(
                "`{column}` is {}, and `{to_column}` of `{to}` is {}",
                SqlType(&data_type),
                SqlType(&to_type)
            );
            let diagnostic = Diagnostic::error("wrong_type", message)
                .help("convert one of them in its table's SQL, with CAST(... AS ...)");
            checker.error(diagnostic, rule.to.span);
            return None;
        }
        Some(TableRule::Relationship {
            column,
            to,
            to_column,
        })
    }

    fn freshness(self, checker: &mut Checker<'_>, rule: &Freshness) -> Option<TableRule> {
        let (column, data_type) = self.column(checker, &rule.column)?;
        if !matches!(
            data_type,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
        ) {
            let message = format!(
                "`{column}` is {}, and freshness needs a DATE or a TIMESTAMP",
                SqlType(&data_type)
            );
            checker.error(Diagnostic::error("wrong_type", message), rule.column.span);
            return None;
        }
        Some(TableRule::Freshness {
            column,
            within: rule.within.0,
        })
    }
}

fn typed(
    checker: &mut Checker<'_>,
    schema: &Schema,
    column: &Spanned<String>,
    table: &TableName,
) -> Option<(String, DataType)> {
    let column = find_column(checker, schema, column, table)?;
    let field = schema.field_with_name(&column).ok()?;
    let data_type = match field.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    Some((column, data_type))
}

/// A written value in a column's type, if it is one.
fn value(accepted: &Accepted, data_type: &DataType) -> Option<ScalarValue> {
    let fits = match accepted {
        Accepted::Number(_) => data_type.is_numeric(),
        Accepted::Bool(_) => *data_type == DataType::Boolean,
        Accepted::Text(_) => matches!(
            data_type,
            DataType::Utf8 | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
        ),
    };
    let text = match accepted {
        Accepted::Number(text) | Accepted::Text(text) => text.clone(),
        Accepted::Bool(value) => value.to_string(),
    };
    let value = ScalarValue::try_from_string(text, data_type).ok()?;
    (fits && !value.is_null()).then_some(value)
}

async fn custom(checker: &mut Checker<'_>, known: &Known, sql: &SqlText) -> Option<TableRule> {
    // One that does not parse is told already.
    let query = parse_query(&sql.text).ok()?;
    let none = BTreeMap::new();
    match plan_query(known, query.clone(), &none, &BTreeMap::new()).await {
        Ok(_) => Some(TableRule::Custom {
            query: Box::new(query),
            text: sql.text.clone(),
        }),
        Err(error) => {
            let diagnostic = sql_errors::diagnostic(&error, sql);
            checker.diagnostics.push(diagnostic);
            None
        }
    }
}
