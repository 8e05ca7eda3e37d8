//! SQL that parses, and that the planner would silently do without.
//!
//! `SELECT * FROM t TABLESAMPLE (10 PERCENT)` would read all of `t`: better an
//! error than a wrong answer.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, GroupByExpr, Query, Select, Spanned, TableFactor, Value, ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{SqlError, SqlErrorKind, SqlSpan};

/// Refuses what would be ignored.
pub(crate) fn check_supported(node: &impl Visit, text: &str) -> Result<(), SqlError> {
    match node.visit(&mut Refuse { text }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Refuse<'a> {
    text: &'a str,
}

impl Refuse<'_> {
    fn refuse(&self, what: &str, help: &str, span: Span) -> ControlFlow<Box<SqlError>> {
        let error = SqlError::new(
            SqlErrorKind::Unsupported,
            format!("{what} is not supported"),
        )
        .at(SqlSpan::of(self.text, span))
        .with_help((!help.is_empty()).then(|| help.to_owned()));
        ControlFlow::Break(Box::new(error))
    }
}

impl Visitor for Refuse<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let refused = [
            (query.fetch.is_some(), "FETCH", "write LIMIT"),
            (!query.locks.is_empty(), "FOR UPDATE", ""),
            (query.for_clause.is_some(), "FOR XML and FOR JSON", ""),
            (query.settings.is_some(), "SETTINGS", ""),
            (query.format_clause.is_some(), "FORMAT", ""),
        ];
        match refused.into_iter().find(|(found, ..)| *found) {
            Some((_, what, help)) => self.refuse(what, help, query.span()),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let modified = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => {
                !modifiers.is_empty()
            }
        };
        let refused = [
            (select.top.is_some(), "TOP", "write LIMIT at the end"),
            (!select.sort_by.is_empty(), "SORT BY", "write ORDER BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY", ""),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY", ""),
            (
                !select.lateral_views.is_empty(),
                "LATERAL VIEW",
                "use unnest(...)",
            ),
            (select.prewhere.is_some(), "PREWHERE", "write WHERE"),
            (
                !select.connect_by.is_empty(),
                "CONNECT BY",
                "use WITH RECURSIVE",
            ),
            (
                select.select_modifiers.is_some(),
                "a modifier of SELECT",
                "",
            ),
            (select.value_table_mode.is_some(), "SELECT AS", ""),
            (
                select.exclude.is_some(),
                "EXCLUDE after the select list",
                "write it after the *",
            ),
            (
                modified,
                "WITH after GROUP BY",
                "write GROUP BY ROLLUP (...)",
            ),
        ];
        match refused.into_iter().find(|(found, ..)| *found) {
            Some((_, what, help)) => self.refuse(what, help, select.select_token.0.span),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        let (what, help) = match factor {
            TableFactor::Table {
                sample: Some(_), ..
            }
            | TableFactor::Derived {
                sample: Some(_), ..
            } => ("TABLESAMPLE", "filter on a hash of a column instead"),
            TableFactor::Table {
                version: Some(_), ..
            } => ("reading a table as of a version", ""),
            TableFactor::Table {
                with_ordinality: true,
                ..
            } => ("WITH ORDINALITY", "use row_number() OVER ()"),
            TableFactor::Table { with_hints, .. } if !with_hints.is_empty() => ("a table hint", ""),
            TableFactor::Table {
                partitions,
                index_hints,
                json_path,
                ..
            } if !partitions.is_empty() || !index_hints.is_empty() || json_path.is_some() => {
                ("a table option", "")
            }
            TableFactor::Pivot { .. } => ("PIVOT", "use aggregates with FILTER (WHERE ...)"),
            TableFactor::Unpivot { .. } => ("UNPIVOT", "use UNION ALL"),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. } => return ControlFlow::Continue(()),
            _ => ("this kind of table", ""),
        };
        self.refuse(what, help, factor.span())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Self::Break> {
        match &value.value {
            Value::Placeholder(_) => self.refuse(
                "a placeholder",
                "nothing gives it a value; in a pipeline write ${name} and declare it in vars",
                value.span,
            ),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        match expr {
            ast::Expr::MatchAgainst { .. } => self.refuse("MATCH AGAINST", "", expr.span()),
            ast::Expr::Function(function) if function.uses_odbc_syntax => {
                self.refuse("{fn ...}", "write the function alone", expr.span())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
