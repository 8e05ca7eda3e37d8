//! Errors of names: what is not there, and what means two things.

use datafusion::sql::sqlparser::ast::Ident;

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::scope::{Column, Relation, same};
use super::walk::Walker;
use crate::nearest::nearest;

impl Walker<'_> {
    pub(crate) fn place(&self, ident: &Ident) -> Option<SqlSpan> {
        SqlSpan::of(&self.text, ident.span)
    }

    pub(crate) fn ambiguous(&self, ident: &Ident, candidates: &[String]) -> SqlError {
        let candidates: Vec<String> = candidates.iter().map(|c| format!("`{c}`")).collect();
        SqlError::new(
            SqlErrorKind::Ambiguous,
            format!("`{}` is ambiguous", ident.value),
        )
        .at(self.place(ident))
        .with_help(Some(format!("write {}", candidates.join(" or "))))
    }

    pub(crate) fn unknown_column(&self, ident: &Ident) -> SqlError {
        let error = SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!("unknown column `{}`", ident.value),
        )
        .at(self.place(ident));
        let Some(scope) = self.scopes.last() else {
            return error;
        };
        if scope.promised.iter().any(|alias| same(alias, &ident.value)) {
            return error.with_help(Some(format!(
                "`{}` is a name that this SELECT gives: repeat the expression, or use WITH",
                ident.value
            )));
        }
        let scopes = self.scopes.iter().rev();
        let visible = scopes.flat_map(|scope| scope.visible());
        let names: Vec<&str> = visible
            .flat_map(|relation| relation.columns.named.iter().map(|c| c.name.as_str()))
            .collect();
        if names.is_empty() && scope.relations.is_empty() {
            return error.with_help(Some(format!(
                "there is no FROM here; if `{}` is text, write it as '{}'",
                ident.value, ident.value
            )));
        }
        error.with_help(help_among(&ident.value, &names))
    }

    pub(crate) fn column_not_in(&self, ident: &Ident, relation: &Relation) -> SqlError {
        let names: Vec<&str> = relation
            .columns
            .named
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!(
                "`{}` has no column `{}`",
                relation.qualifier.join("."),
                ident.value
            ),
        )
        .at(self.place(ident))
        .with_help(help_among(&ident.value, &names))
    }

    pub(crate) fn unknown_qualifier(&self, parts: &[Ident]) -> SqlError {
        let upto = parts.len().saturating_sub(1).max(1);
        let prefix: Vec<&str> = parts[..upto].iter().map(|p| p.value.as_str()).collect();
        let prefix = prefix.join(".");
        let relations = self.scopes.iter().rev().flat_map(|scope| scope.visible());
        let names: Vec<String> = relations.map(|r| r.declared.join(".")).collect();
        let help = nearest(&prefix, &names)
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| {
                let names: Vec<String> = names
                    .iter()
                    .filter(|name| !name.is_empty())
                    .map(|name| format!("`{name}`"))
                    .collect();
                (!names.is_empty()).then(|| format!("in scope here: {}", names.join(", ")))
            });
        SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!("nothing is called `{prefix}` here"),
        )
        .at(parts.first().and_then(|first| self.place(first)))
        .with_help(help)
    }
}

/// The nearest name, or the names there are, if they are few.
pub(crate) fn help_among(name: &str, names: &[&str]) -> Option<String> {
    if let Some(near) = nearest(name, names.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if names.is_empty() || names.len() > 20 {
        return None;
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("there are {}", names.join(", ")))
}

pub(crate) fn several_spellings(columns: &[&Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.clone()).collect()
}

pub(crate) fn qualified(relation: &Relation, column: &Column) -> String {
    match relation.qualifier.last() {
        Some(last) => format!("{last}.{}", column.name),
        None => column.name.clone(),
    }
}
