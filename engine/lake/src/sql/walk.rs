//! A walk through a statement that knows what every name means.
//!
//! sqlparser's visitors see a select list before the `FROM` that gives it its
//! names, and know no scopes. [`Walker`] goes through a statement in the order
//! of meaning instead: CTEs, then `FROM`, then the expressions. On the way it
//! rewrites names to the spelling of what they mean (`bind.rs`), lists the
//! tables that are read, offers calls of one function to a caller, and, for
//! the canonical text, renames aliases and CTEs.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Function, Ident, LimitClause, ObjectName, OrderBy, OrderByKind, Query, SetExpr, VisitMut,
    VisitorMut, With,
};

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::references::TableRef;
use super::schemas::TableSchemas;
use super::scope::{Column, Columns, Relation, Scope, ScopeColumns, same};

/// Part of a `SELECT`: it decides whether names of the select list are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    /// Sees the tables only: `WHERE`, the select list, `ON`.
    Tables,
    /// Sees the tables, then the select list: `GROUP BY`, `HAVING`, `QUALIFY`.
    TablesThenAliases,
    /// Sees the select list, then the tables: `ORDER BY`, `DISTINCT ON`.
    AliasesThenTables,
}

/// A CTE in scope.
#[derive(Debug, Clone)]
struct Cte {
    /// The name as the user wrote it.
    declared: String,
    /// The name that references are rewritten to.
    written: String,
    columns: Columns,
}

/// What a name in a `FROM` clause means.
#[derive(Debug, Default)]
pub(crate) struct NamedTable {
    pub(crate) columns: Columns,
    /// The declared name of the CTE, if it is one.
    pub(crate) cte: Option<String>,
}

/// What is done with each call of one function, before its arguments are read.
pub(crate) struct CallHook<'a> {
    pub(crate) name: &'a str,
    pub(crate) each: &'a mut dyn FnMut(&mut Function, &ScopeColumns) -> Result<(), SqlError>,
}

/// Fresh names for aliases and CTEs.
#[derive(Debug)]
pub(crate) struct Renaming {
    /// What every fresh name begins with; no name in the statement does.
    pub(crate) prefix: String,
    pub(crate) count: usize,
    /// Set when a column without an alias gets a name from the planner that
    /// would contain a renamed alias: the renaming must then be dropped.
    pub(crate) shows_in_names: bool,
}

impl Renaming {
    fn next(&mut self) -> String {
        let name = format!("{}{}", self.prefix, self.count);
        self.count += 1;
        name
    }
}

/// See the module.
pub(crate) struct Walker<'a> {
    pub(crate) text: Arc<str>,
    pub(crate) schemas: Option<&'a TableSchemas>,
    pub(crate) calls: Option<CallHook<'a>>,
    pub(crate) renaming: Option<Renaming>,
    /// The tables that were read, CTEs excluded.
    pub(crate) found: Vec<TableRef>,
    /// Columns that no scope has, though all its columns are known: errors to
    /// report if the planner fails, which knows more names but fewer places.
    pub(crate) unresolved: Vec<SqlError>,
    pub(crate) scopes: Vec<Scope>,
    /// The windows that the `SELECT`s around name.
    pub(crate) windows: Vec<Vec<Ident>>,
    /// How many subqueries have been given an alias.
    pub(crate) subqueries: usize,
    ctes: Vec<Cte>,
}

impl<'a> Walker<'a> {
    /// A walk that only lists tables; set the fields for more.
    pub(crate) fn new(text: Arc<str>) -> Self {
        Self {
            text,
            schemas: None,
            calls: None,
            renaming: None,
            found: Vec::new(),
            unresolved: Vec::new(),
            scopes: Vec::new(),
            windows: Vec::new(),
            subqueries: 0,
            ctes: Vec::new(),
        }
    }

    /// Walks through a statement.
    ///
    /// # Errors
    /// Ambiguous names, and whatever the caller's hook returns.
    pub(crate) fn statement(&mut self, statement: &mut ast::Statement) -> Result<(), SqlError> {
        match statement {
            ast::Statement::Query(query) => self.query(query).map(drop),
            ast::Statement::Explain { statement, .. } => self.statement(statement),
            ast::Statement::ExplainTable { table_name, .. } => {
                self.table(table_name);
                Ok(())
            }
            ast::Statement::ShowColumns { show_options, .. } => {
                if let Some(show_in) = &mut show_options.show_in
                    && let Some(name) = &mut show_in.parent_name
                {
                    self.table(name);
                }
                Ok(())
            }
            // Nothing else is planned; its queries still tell what they read.
            other => self.expressions(other, Clause::Tables),
        }
    }

    /// Walks through a query and returns the columns that it gives.
    pub(crate) fn query(&mut self, query: &mut Query) -> Result<Columns, SqlError> {
        let outer_ctes = self.ctes.len();
        if let Some(with) = &mut query.with {
            self.with(with)?;
        }
        let columns = match query.body.as_mut() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_mut())?,
            body => {
                let columns = self.set_expression(body)?;
                if let Some(order_by) = &mut query.order_by {
                    self.order_by_output(order_by, &columns)?;
                }
                columns
            }
        };
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                self.expressions(limit, Clause::Tables)?;
                self.expressions(offset, Clause::Tables)?;
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.expressions(offset, Clause::Tables)?;
                self.expressions(limit, Clause::Tables)?;
            }
            None => {}
        }
        self.ctes.truncate(outer_ctes);
        Ok(columns)
    }

    fn with(&mut self, with: &mut With) -> Result<(), SqlError> {
        let first = self.ctes.len();
        for cte in &mut with.cte_tables {
            let declared = cte.alias.name.value.clone();
            if self.ctes[first..]
                .iter()
                .any(|c| same(&c.declared, &declared))
            {
                return Err(SqlError::new(
                    SqlErrorKind::Ambiguous,
                    format!("WITH names `{declared}` twice"),
                )
                .at(SqlSpan::of(&self.text, cte.alias.name.span)));
            }
            if let Some(renaming) = &mut self.renaming {
                cte.alias.name.value = renaming.next();
            } else {
                cte.alias.name.value = self.name_not_shadowing(&declared);
            }
            let written = cte.alias.name.value.clone();
            let aliases: Vec<Ident> = cte.alias.columns.iter().map(|c| c.name.clone()).collect();
            let aliases: Vec<&Ident> = aliases.iter().collect();
            let columns = if with.recursive {
                self.recursive_cte(&mut cte.query, &declared, &written, &aliases)?
            } else {
                self.query(&mut cte.query)?
            };
            self.ctes.push(Cte {
                declared,
                written,
                columns: columns.renamed(&aliases),
            });
        }
        Ok(())
    }

    /// A CTE may have the name of one around it, but not for the planner.
    fn name_not_shadowing(&self, declared: &str) -> String {
        let taken = |name: &str| self.ctes.iter().any(|cte| same(&cte.written, name));
        let mut name = declared.to_owned();
        let mut count = 1;
        while taken(&name) {
            count += 1;
            name = format!("{declared}_{count}");
        }
        name
    }

    /// The part before UNION is read without the CTE's own name; its columns
    /// are what the part after it sees under that name.
    fn recursive_cte(
        &mut self,
        query: &mut Query,
        declared: &str,
        written: &str,
        aliases: &[&Ident],
    ) -> Result<Columns, SqlError> {
        let itself = |columns: Columns| Cte {
            declared: declared.to_owned(),
            written: written.to_owned(),
            columns,
        };
        if query.with.is_none()
            && let SetExpr::SetOperation { left, right, .. } = query.body.as_mut()
        {
            let columns = self.set_expression(left)?;
            self.ctes.push(itself(columns.clone().renamed(aliases)));
            let recursive = self.set_expression(right);
            self.ctes.pop();
            recursive?;
            if let Some(order_by) = &mut query.order_by {
                self.order_by_output(order_by, &columns)?;
            }
            return Ok(columns);
        }
        self.ctes.push(itself(Columns::unknown()));
        let columns = self.query(query);
        self.ctes.pop();
        columns
    }

    fn set_expression(&mut self, body: &mut SetExpr) -> Result<Columns, SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                let columns = self.set_expression(left)?;
                self.set_expression(right)?;
                Ok(columns)
            }
            SetExpr::Values(values) => {
                for row in &mut values.rows {
                    self.expressions(&mut row.content, Clause::Tables)?;
                }
                let width = values.rows.first().map_or(0, |row| row.content.len());
                let column = |index| Column {
                    name: format!("column{index}"),
                    data_type: None,
                };
                Ok(Columns::complete((1..=width).map(column).collect()))
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => {
                self.statement(statement)?;
                Ok(Columns::unknown())
            }
            SetExpr::Table(_) => Ok(Columns::unknown()),
        }
    }

    /// `ORDER BY` after UNION and the like sees the columns of the result.
    fn order_by_output(
        &mut self,
        order_by: &mut OrderBy,
        output: &Columns,
    ) -> Result<(), SqlError> {
        self.scopes.push(Scope {
            relations: vec![Relation {
                declared: Vec::new(),
                qualifier: Vec::new(),
                columns: output.clone(),
                aliased: false,
            }],
            ..Scope::default()
        });
        let result = self.order_by(order_by);
        self.scopes.pop();
        result
    }

    pub(crate) fn order_by(&mut self, order_by: &mut OrderBy) -> Result<(), SqlError> {
        match &mut order_by.kind {
            OrderByKind::Expressions(expressions) => {
                self.expressions(expressions, Clause::AliasesThenTables)
            }
            OrderByKind::All(_) => Ok(()),
        }
    }

    /// Reads the name of a table in a `FROM` clause: a CTE in scope, or a table
    /// whose name is rewritten to its spelling.
    pub(crate) fn table(&mut self, name: &mut ObjectName) -> NamedTable {
        if let [part] = name.0.as_mut_slice()
            && let ast::ObjectNamePart::Identifier(ident) = part
            && let Some(cte) = self
                .ctes
                .iter()
                .rev()
                .find(|c| same(&c.declared, &ident.value))
        {
            ident.value.clone_from(&cte.written);
            return NamedTable {
                columns: cte.columns.clone(),
                cte: Some(cte.declared.clone()),
            };
        }
        let Some(reference) = TableRef::new(name, &self.text) else {
            return NamedTable::default();
        };
        let parts: Vec<&str> = reference.parts.iter().map(String::as_str).collect();
        let known = self.schemas.and_then(|schemas| schemas.get(&parts));
        let columns = known.map_or_else(Columns::unknown, |(_, schema)| Columns::of_schema(schema));
        if let Some((spelled, _)) = known {
            for (part, spelled) in name.0.iter_mut().zip(spelled) {
                if let ast::ObjectNamePart::Identifier(ident) = part {
                    ident.value.clone_from(spelled);
                }
            }
        }
        self.found.push(reference);
        NamedTable { columns, cte: None }
    }

    /// The name that an alias gets: its own, or a fresh one.
    pub(crate) fn alias(&mut self, alias: &mut Ident) -> String {
        if let Some(renaming) = &mut self.renaming {
            alias.value = renaming.next();
        }
        alias.value.clone()
    }

    /// Walks through the expressions of any node; its subqueries are walked in
    /// the present scope.
    pub(crate) fn expressions(
        &mut self,
        node: &mut impl VisitMut,
        clause: Clause,
    ) -> Result<(), SqlError> {
        let mut visitor = ExpressionVisitor {
            walker: self,
            clause,
            subqueries: 0,
            fields: Vec::new(),
        };
        match node.visit(&mut visitor) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(*error),
        }
    }
}

/// Drives sqlparser's visitor through one expression tree. Subqueries are
/// walked with their own scope when they are met, and then skipped.
struct ExpressionVisitor<'w, 'a> {
    walker: &'w mut Walker<'a>,
    clause: Clause,
    subqueries: usize,
    /// The addresses of identifiers that are names of fields, not of columns:
    /// `c` in `a['b'].c`. They are met after the expression that holds them.
    fields: Vec<usize>,
}

impl VisitorMut for ExpressionVisitor<'_, '_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        if self.subqueries == 0
            && let Err(error) = self.walker.query(query)
        {
            return ControlFlow::Break(Box::new(error));
        }
        self.subqueries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.subqueries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Self::Break> {
        if self.subqueries > 0 {
            return ControlFlow::Continue(());
        }
        let address = std::ptr::from_ref(expr).addr();
        if let Some(index) = self.fields.iter().position(|field| *field == address) {
            self.fields.swap_remove(index);
            return ControlFlow::Continue(());
        }
        match self.walker.expression(expr, self.clause, &mut self.fields) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}
