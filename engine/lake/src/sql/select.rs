//! `SELECT`: its clauses in the order of meaning, and the columns it gives.

use datafusion::sql::sqlparser::ast::{
    Distinct, GroupByExpr, NamedWindowExpr, OrderBy, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, WildcardAdditionalOptions,
};

use super::error::SqlError;
use super::scope::{Column, Columns, Scope};
use super::walk::{Clause, Walker};
use super::wildcard::extend_with_wildcard;

impl Walker<'_> {
    pub(crate) fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, SqlError> {
        if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) && select.projection.is_empty()
        {
            // `FROM t` is `SELECT * FROM t`, which the planner does not know.
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        select.flavor = SelectFlavor::Standard;
        let windows = select.named_window.iter().map(|w| w.0.clone()).collect();
        self.windows.push(windows);
        self.scopes.push(Scope::default());
        let result = self.select_in_scope(select, order_by);
        self.scopes.pop();
        self.windows.pop();
        result
    }

    fn select_in_scope(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, SqlError> {
        self.from(&mut select.from)?;
        self.expressions(&mut select.selection, Clause::Tables)?;
        self.projection(&mut select.projection)?;
        let columns = self.output(&select.projection);
        if let Some(scope) = self.scopes.last_mut() {
            scope.aliases = aliases_of(&select.projection, &columns);
        }
        for definition in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
                self.expressions(spec, Clause::Tables)?;
            }
        }
        if let Some(Distinct::On(expressions)) = &mut select.distinct {
            self.expressions(expressions, Clause::AliasesThenTables)?;
        }
        if let GroupByExpr::Expressions(expressions, _) = &mut select.group_by {
            self.expressions(expressions, Clause::TablesThenAliases)?;
        }
        self.expressions(&mut select.having, Clause::TablesThenAliases)?;
        self.expressions(&mut select.qualify, Clause::TablesThenAliases)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        Ok(columns)
    }

    fn projection(&mut self, items: &mut [SelectItem]) -> Result<(), SqlError> {
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    self.note_unnamed(expr);
                    self.expressions(expr, Clause::Tables)?;
                }
                SelectItem::ExprWithAlias { expr, .. }
                | SelectItem::ExprWithAliases { expr, .. } => {
                    self.expressions(expr, Clause::Tables)?;
                }
                SelectItem::Wildcard(options) => self.wildcard(None, options)?,
                SelectItem::QualifiedWildcard(kind, options) => match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        let relation = self.qualifier(name)?;
                        self.wildcard(relation, options)?;
                    }
                    SelectItemQualifiedWildcardKind::Expr(expr) => {
                        self.expressions(expr, Clause::Tables)?;
                    }
                },
            }
        }
        Ok(())
    }

    /// The columns that a select list gives.
    fn output(&self, items: &[SelectItem]) -> Columns {
        let mut output = Columns::complete(Vec::new());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => match self.column_of(expr) {
                    Some(column) => output.named.push(column),
                    None => output.complete = false,
                },
                SelectItem::ExprWithAlias { expr, alias } => output.named.push(Column {
                    name: alias.value.clone(),
                    data_type: self.column_of(expr).and_then(|column| column.data_type),
                }),
                SelectItem::ExprWithAliases { .. } => output.complete = false,
                SelectItem::Wildcard(options) => {
                    let scope = self.scopes.last();
                    output.complete &= scope.is_some_and(Scope::is_complete);
                    let all = scope.map(Scope::wildcard).unwrap_or_default();
                    let all = all.into_iter().map(|(_, column)| column.clone());
                    extend_with_wildcard(&mut output, all, options);
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let relation = match kind {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => {
                            self.relation_named(name)
                        }
                        SelectItemQualifiedWildcardKind::Expr(_) => None,
                    };
                    match relation {
                        Some(relation) => {
                            output.complete &= relation.columns.complete;
                            let all = relation.columns.named.clone().into_iter();
                            extend_with_wildcard(&mut output, all, options);
                        }
                        None => output.complete = false,
                    }
                }
            }
        }
        output
    }
}

/// The names that a select list gives with `AS`, and of its plain columns.
fn aliases_of(items: &[SelectItem], output: &Columns) -> Vec<Column> {
    let explicit = items.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        _ => None,
    });
    let explicit: Vec<&String> = explicit.collect();
    let named = output.named.iter();
    named
        .filter(|column| explicit.contains(&&column.name))
        .cloned()
        .collect()
}
