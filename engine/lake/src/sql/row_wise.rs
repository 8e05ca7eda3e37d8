//! Whether a query can be asked of some rows of a table at a time: whether what it gives for
//! the whole table is what it gives for its parts, put together.
//!
//! The plan decides, since there aliases, CTEs and `USING` are gone; the syntax tree tells
//! where what stands in the way was written.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Union};
use datafusion::sql::sqlparser::ast::{
    self, GroupByExpr, JoinOperator, LimitClause, Query, Select, SetExpr, SetOperator, Spanned,
    TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::statement::Statement;
use crate::name::TableName;

/// What in a query needs more rows of a table than the one it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Aggregate,
    Distinct,
    UnionDistinct,
    Window,
    Limit,
    SetOperation,
    Outer,
    Twice,
    Subquery,
    UnionOther,
    Recursive,
    Other,
}

impl Obstacle {
    /// What it is, and what to do about it besides making the whole table anew.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Aggregate => (
                "aggregates rows",
                "a table of aggregates is made anew from all rows",
            ),
            Self::Distinct => (
                "removes equal rows with DISTINCT",
                "`merge` keeps one row of each key",
            ),
            Self::UnionDistinct => (
                "removes equal rows with UNION",
                "write UNION ALL, or `merge` to keep one row of each key",
            ),
            Self::Window => (
                "looks at other rows in a window function",
                "`merge` keeps the last row of each key",
            ),
            Self::Limit => ("takes only some rows with LIMIT", "leave LIMIT out"),
            Self::SetOperation => (
                "compares rows with EXCEPT or INTERSECT",
                "write a condition, or a join with the other table",
            ),
            Self::Outer => (
                "keeps rows of the other side of an outer join that have no match yet",
                "keep the side of the table that grows, such as `FROM grows LEFT JOIN other`",
            ),
            Self::Twice => (
                "reads it twice, and a new row meets old ones",
                "read it once",
            ),
            Self::Subquery => (
                "reads it in a subquery of a condition or a value",
                "read it in FROM",
            ),
            Self::UnionOther => (
                "adds the rows of another table with UNION ALL, each time again",
                "make two tables, or read the table that grows in every part",
            ),
            Self::Recursive => ("reads it in a recursive query", "read it once"),
            Self::Other => ("needs all its rows at once", "write a simpler query"),
        }
    }
}

/// Refuses a query that cannot be asked of some rows of `table` at a time. Filters,
/// projections, `UNNEST`, `UNION ALL` of parts that all read the table, and joins with other
/// tables that keep rows of `table` only can.
///
/// `plan` is the query's, not optimised.
///
/// # Errors
/// [`SqlErrorKind::Unsupported`], with what stands in the way, where, and what to do.
pub fn row_wise(
    statement: &Statement,
    plan: &LogicalPlan,
    table: &TableName,
) -> Result<(), SqlError> {
    let Err(obstacle) = walk(plan, table) else {
        return Ok(());
    };
    let (what, help) = obstacle.words();
    let place = Finder::of(statement, table, obstacle).place(statement);
    let message = format!("only new rows of {table} are to be read, but the query {what}");
    Err(SqlError::new(SqlErrorKind::Unsupported, message)
        .at(place.or(Some(statement.span())))
        .with_help(Some(format!("{help}; `mode: full` reads all rows"))))
}

fn is_table(scanned: &datafusion::common::TableReference, table: &TableName) -> bool {
    let layer = scanned.schema().unwrap_or_default();
    layer.eq_ignore_ascii_case(table.layer()) && scanned.table().eq_ignore_ascii_case(table.table())
}

/// Whether a plan reads the table, in its expressions' subqueries, too.
fn reads(plan: &LogicalPlan, table: &TableName) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if is_table(&scan.table_name, table));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    found || walked.is_err()
}

/// Looks at every node between the scan of the table and the root.
fn walk(plan: &LogicalPlan, table: &TableName) -> Result<(), Obstacle> {
    if subquery_reads(plan, table) {
        return Err(Obstacle::Subquery);
    }
    let on_path: Vec<&LogicalPlan> = plan
        .inputs()
        .into_iter()
        .filter(|input| reads(input, table))
        .collect();
    if on_path.is_empty() {
        return Ok(());
    }
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Unnest(_) => {}
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {}
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => return Err(Obstacle::Limit),
        LogicalPlan::Union(union) => union_of(union, on_path.len())?,
        LogicalPlan::Join(join) => {
            if on_path.len() > 1 {
                return Err(Obstacle::Twice);
            }
            let left = reads(&join.left, table);
            let set_operation = join.null_equality == NullEquality::NullEqualsNull
                && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
            let keeps = match join.join_type {
                _ if set_operation => return Err(Obstacle::SetOperation),
                JoinType::Inner => true,
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    left
                }
                JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark => !left,
                JoinType::Full => false,
            };
            if !keeps {
                return Err(Obstacle::Outer);
            }
        }
        LogicalPlan::Aggregate(_) => return Err(Obstacle::Aggregate),
        LogicalPlan::Window(_) => return Err(Obstacle::Window),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            // INTERSECT and EXCEPT remove equal rows, too.
            return Err(match input.as_ref() {
                LogicalPlan::Union(_) => Obstacle::UnionDistinct,
                _ => match walk(input, table) {
                    Err(Obstacle::SetOperation) => Obstacle::SetOperation,
                    _ => Obstacle::Distinct,
                },
            });
        }
        LogicalPlan::Distinct(Distinct::On(_)) => return Err(Obstacle::Distinct),
        LogicalPlan::RecursiveQuery(_) => return Err(Obstacle::Recursive),
        _ => return Err(Obstacle::Other),
    }
    on_path.into_iter().try_for_each(|input| walk(input, table))
}

fn union_of(union: &Union, on_path: usize) -> Result<(), Obstacle> {
    match on_path == union.inputs.len() {
        true => Ok(()),
        false => Err(Obstacle::UnionOther),
    }
}

/// Whether an expression of this node has a subquery that reads the table.
fn subquery_reads(plan: &LogicalPlan, table: &TableName) -> bool {
    let mut found = false;
    let walked = plan.apply_expressions(|expr| {
        expr.apply(|part| {
            let inner = match part {
                Expr::ScalarSubquery(query) => Some(&query.subquery),
                Expr::Exists(exists) => Some(&exists.subquery.subquery),
                Expr::InSubquery(query) => Some(&query.subquery.subquery),
                Expr::SetComparison(query) => Some(&query.subquery.subquery),
                _ => None,
            };
            found |= inner.is_some_and(|inner| reads(inner, table));
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || walked.is_err()
}

/// Finds where an obstacle was written, among the parts of a statement that read the table.
struct Finder<'a> {
    table: &'a TableName,
    obstacle: Obstacle,
    /// The names of CTEs that read the table.
    tainted: Vec<String>,
    /// Where the table is named, in the order of the text.
    named: Vec<Span>,
    found: Option<Span>,
}

impl<'a> Finder<'a> {
    fn of(statement: &Statement, table: &'a TableName, obstacle: Obstacle) -> Self {
        let mut finder = Self {
            table,
            obstacle,
            tainted: Vec::new(),
            named: Vec::new(),
            found: None,
        };
        // Left early where it was found.
        let _found_or_not = statement.ast().visit(&mut finder);
        finder
    }

    fn place(self, statement: &Statement) -> Option<SqlSpan> {
        let twice = matches!(self.obstacle, Obstacle::Twice);
        let span = match twice {
            true => self.named.get(1).copied(),
            false => self.found,
        };
        statement.place(span?)
    }

    fn names(&self, name: &ast::ObjectName) -> bool {
        let parts: Vec<&str> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident().map(|ident| ident.value.as_str()))
            .collect();
        match parts.as_slice() {
            [only] => self
                .tainted
                .iter()
                .any(|cte| cte.eq_ignore_ascii_case(only)),
            [.., layer, table] => {
                layer.eq_ignore_ascii_case(self.table.layer())
                    && table.eq_ignore_ascii_case(self.table.table())
            }
            [] => false,
        }
    }

    /// Whether a part of the statement names the table, or a CTE that does.
    fn mentions(&self, node: &impl Visit) -> bool {
        ast::visit_relations(node, |name| match self.names(name) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
        .is_break()
    }

    fn at(&mut self, span: Span) -> ControlFlow<()> {
        self.found = Some(span);
        ControlFlow::Break(())
    }

    fn set_expr(&mut self, body: &SetExpr) -> ControlFlow<()> {
        let SetExpr::SetOperation {
            left, op, right, ..
        } = body
        else {
            return ControlFlow::Continue(());
        };
        self.set_expr(left)?;
        self.set_expr(right)?;
        let sides = (self.mentions(left.as_ref()), self.mentions(right.as_ref()));
        let wanted = match self.obstacle {
            Obstacle::SetOperation => *op != SetOperator::Union && (sides.0 || sides.1),
            Obstacle::UnionDistinct => *op == SetOperator::Union && (sides.0 || sides.1),
            Obstacle::UnionOther => *op == SetOperator::Union && sides.0 != sides.1,
            _ => false,
        };
        match (wanted, self.obstacle, sides.0) {
            (false, ..) => ControlFlow::Continue(()),
            (true, Obstacle::UnionOther, false) => self.at(left.span()),
            (true, ..) => self.at(right.span()),
        }
    }

    fn joins(&mut self, select: &Select) -> ControlFlow<()> {
        for from in &select.from {
            let mut before = self.mentions(&from.relation);
            for join in &from.joins {
                let here = self.mentions(&join.relation);
                let keeps = match &join.join_operator {
                    JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => before || !here,
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) => here || !before,
                    JoinOperator::FullOuter(_) => !(before || here),
                    _ => true,
                };
                if !keeps {
                    return self.at(join.relation.span());
                }
                before |= here;
            }
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            if self.mentions(cte.query.as_ref()) {
                self.tainted.push(cte.alias.name.value.clone());
            }
        }
        self.set_expr(&query.body)?;
        if self.obstacle == Obstacle::Limit
            && let Some(limit) = &query.limit_clause
            && self.mentions(query)
        {
            let span = match limit {
                LimitClause::LimitOffset { limit, offset, .. } => {
                    let offset = offset.as_ref().map(|offset| &offset.value);
                    limit.as_ref().or(offset).map(Spanned::span)
                }
                LimitClause::OffsetCommaLimit { limit, .. } => Some(limit.span()),
            };
            if let Some(span) = span {
                return self.at(span);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if !self.mentions(&select.from) {
            return ControlFlow::Continue(());
        }
        match self.obstacle {
            Obstacle::Aggregate => {
                if let GroupByExpr::Expressions(keys, _) = &select.group_by
                    && let Some(first) = keys.first()
                {
                    return self.at(first.span());
                }
                let first = select.projection.first().map(Spanned::span);
                let grouped = matches!(select.group_by, GroupByExpr::All(_));
                let calls = select.projection.iter().any(has_call);
                match first.filter(|_| grouped || calls || select.having.is_some()) {
                    Some(first) => self.at(first),
                    None => ControlFlow::Continue(()),
                }
            }
            Obstacle::Distinct if select.distinct.is_some() => self.at(select.select_token.0.span),
            Obstacle::Outer => self.joins(select),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match (self.obstacle, expr) {
            (Obstacle::Window, ast::Expr::Function(call)) if call.over.is_some() => {
                self.at(expr.span())
            }
            (
                Obstacle::Subquery,
                ast::Expr::Subquery(query)
                | ast::Expr::InSubquery {
                    subquery: query, ..
                }
                | ast::Expr::Exists {
                    subquery: query, ..
                },
            ) if self.mentions(query.as_ref()) => self.at(query.span()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && self.names(name)
        {
            self.named.push(name.span());
        }
        ControlFlow::Continue(())
    }
}

/// Whether an item of a select list calls a function, which may be an aggregate.
fn has_call(item: &ast::SelectItem) -> bool {
    ast::visit_expressions(item, |expr| match expr {
        ast::Expr::Function(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}
