//! `SELECT`: its clauses in the order of meaning, and the columns it gives.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, NamedWindowExpr, OrderBy, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, WildcardAdditionalOptions,
};

use super::error::SqlError;
use super::scope::{Column, Columns, Scope, Visible, column_expr, same};
use super::walk::{Clause, Walker};
use super::wildcard::{can_be_listed, excluded, extend_with_wildcard};

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
        if let Some(scope) = self.scopes.last_mut() {
            scope.promised = explicit_aliases(&select.projection).cloned().collect();
        }
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

    fn projection(&mut self, items: &mut Vec<SelectItem>) -> Result<(), SqlError> {
        let written = std::mem::take(items);
        for item in written {
            match item {
                SelectItem::UnnamedExpr(mut expr) => {
                    self.note_unnamed(&expr);
                    let merged = match &expr {
                        Expr::Identifier(ident) => self.merged_name(ident),
                        _ => None,
                    };
                    self.expressions(&mut expr, Clause::Tables)?;
                    items.push(match merged {
                        Some(name) => named(expr, &name),
                        None => SelectItem::UnnamedExpr(expr),
                    });
                }
                SelectItem::Wildcard(mut options) => {
                    let mistakes = self.unresolved.len();
                    self.wildcard(None, &mut options)?;
                    let right = self.unresolved.len() == mistakes;
                    match self.expanded(&options).filter(|_| right) {
                        Some(columns) => items.extend(columns),
                        None => items.push(SelectItem::Wildcard(options)),
                    }
                }
                mut other => {
                    self.item(&mut other)?;
                    items.push(other);
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &mut SelectItem) -> Result<(), SqlError> {
        match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => self.expressions(expr, Clause::Tables),
            SelectItem::Wildcard(options) => self.wildcard(None, options),
            SelectItem::QualifiedWildcard(kind, options) => match kind {
                SelectItemQualifiedWildcardKind::ObjectName(name) => {
                    let relation = self.qualifier(name)?;
                    self.wildcard(relation, options)
                }
                SelectItemQualifiedWildcardKind::Expr(expr) => {
                    self.expressions(expr, Clause::Tables)
                }
            },
        }
    }

    /// `*` as a list, where a join has merged columns: the planner would take
    /// the wrong ones.
    fn expanded(&self, options: &WildcardAdditionalOptions) -> Option<Vec<SelectItem>> {
        let scope = self.scopes.last()?;
        if scope.merged.is_empty() || !scope.is_complete() || !can_be_listed(options) {
            return None;
        }
        let excluded = excluded(options);
        let mut items = Vec::new();
        for visible in scope.wildcard() {
            let name = visible.name();
            if excluded.iter().any(|other| same(&other.value, name)) {
                continue;
            }
            let replacement = options
                .opt_replace
                .iter()
                .flat_map(|replace| &replace.items);
            let mut replacement = replacement.filter(|item| same(&item.column_name.value, name));
            let expr = match (replacement.next(), visible.merged) {
                (Some(item), _) => item.expr.clone(),
                (None, Some(merged)) => scope.merged_expr(merged),
                (None, None) => column_expr(&visible.relation.qualifier, name),
            };
            items.push(named(expr, name));
        }
        Some(items)
    }

    /// The columns that a select list gives.
    fn output(&self, items: &[SelectItem]) -> Columns {
        if self.renaming.is_some() {
            return Columns::unknown();
        }
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
                    let all = all.into_iter().map(Visible::to_column);
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

fn explicit_aliases(items: &[SelectItem]) -> impl Iterator<Item = &String> {
    items.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        _ => None,
    })
}

/// The columns that a select list gives a name with `AS`.
fn aliases_of(items: &[SelectItem], output: &Columns) -> Vec<Column> {
    let aliases: HashSet<&String> = explicit_aliases(items).collect();
    let named = output.named.iter();
    named
        .filter(|column| aliases.contains(&column.name))
        .cloned()
        .collect()
}

/// The expression as a column of that name.
fn named(expr: Expr, name: &str) -> SelectItem {
    let own = match &expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    if own.is_some_and(|own| own.value == name) {
        return SelectItem::UnnamedExpr(expr);
    }
    SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    }
}
