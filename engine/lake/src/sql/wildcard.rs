//! `*` and `relation.*`, and the lists after them.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, ObjectName, ObjectNamePart, RenameSelectItem,
    WildcardAdditionalOptions,
};

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::mistakes::help_among;
use super::scope::{Column, Columns, Relation, Scope, Visible, same};
use super::walk::{Clause, Walker};

impl Walker<'_> {
    /// Rewrites the qualifier of `qualifier.*` and returns its relation.
    pub(crate) fn qualifier(
        &mut self,
        name: &mut ObjectName,
    ) -> Result<Option<Relation>, SqlError> {
        let prefix: Option<Vec<Ident>> =
            name.0.iter().map(|part| part.as_ident().cloned()).collect();
        let Some(prefix) = prefix else {
            return Ok(None);
        };
        for scope in self.scopes.iter().rev() {
            let Some(relation) = scope.visible().iter().find(|r| r.answers_to(&prefix)) else {
                continue;
            };
            let span = prefix.first().map(|first| first.span);
            // The planner wants all the parts that FROM has.
            let spelled = relation.qualifier.iter().map(|part| {
                let mut ident = Ident::with_quote('"', part);
                ident.span = span.unwrap_or(ident.span);
                ObjectNamePart::Identifier(ident)
            });
            name.0 = spelled.collect();
            return Ok(Some(relation.clone()));
        }
        if self.scopes.iter().all(Scope::is_complete) {
            let error = self.unknown_qualifier(&prefix);
            self.unresolved.push(error);
        }
        Ok(None)
    }

    /// The relation that `qualifier.*` names, after it has been rewritten.
    pub(crate) fn relation_named(&self, name: &ObjectName) -> Option<&Relation> {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        let parts = parts?;
        let scopes = self.scopes.iter().rev();
        scopes.flat_map(|scope| scope.visible()).find(|relation| {
            let mut pairs = relation.qualifier.iter().rev().zip(parts.iter().rev());
            !relation.qualifier.is_empty() && pairs.all(|(own, asked)| *own == asked.value)
        })
    }

    /// Rewrites the lists after `*`, of one relation or of all in scope.
    pub(crate) fn wildcard(
        &mut self,
        relation: Option<Relation>,
        options: &mut WildcardAdditionalOptions,
    ) -> Result<(), SqlError> {
        let columns = match relation {
            Some(relation) => relation.columns,
            None => self
                .scopes
                .last()
                .map_or_else(Columns::unknown, |scope| Columns {
                    named: scope
                        .wildcard()
                        .into_iter()
                        .map(Visible::to_column)
                        .collect(),
                    complete: scope.is_complete(),
                }),
        };
        for ident in listed(options) {
            match columns.matching(&ident.value).as_slice() {
                [column] => ident.value.clone_from(&column.name),
                [] if columns.complete => {
                    let names: Vec<&str> = columns.named.iter().map(|c| c.name.as_str()).collect();
                    let error = SqlError::new(
                        SqlErrorKind::UnknownColumn,
                        format!("unknown column `{}`", ident.value),
                    )
                    .at(SqlSpan::of(&self.text, ident.span))
                    .with_help(help_among(&ident.value, &names));
                    self.unresolved.push(error);
                }
                // The planner finds several itself; unknown ones are left.
                _ => {}
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expressions(&mut item.expr, Clause::Tables)?;
            }
        }
        Ok(())
    }
}

/// Whether the columns of `*` can be told: not those of `* ILIKE 'a%'`.
pub(crate) fn can_be_listed(options: &WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none() && options.opt_rename.is_none()
}

pub(crate) fn extend_with_wildcard(
    output: &mut Columns,
    all: impl Iterator<Item = Column>,
    options: &WildcardAdditionalOptions,
) {
    if !can_be_listed(options) {
        output.complete = false;
        return;
    }
    let excluded = excluded(options);
    let replaced: Vec<&Ident> = options
        .opt_replace
        .iter()
        .flat_map(|replace| replace.items.iter().map(|item| &item.column_name))
        .collect();
    output.named.extend(all.filter_map(|mut column| {
        if excluded.iter().any(|name| same(&name.value, &column.name)) {
            return None;
        }
        if replaced.iter().any(|name| same(&name.value, &column.name)) {
            column.data_type = None;
        }
        Some(column)
    }));
}

/// The names of the columns that `EXCEPT` and `EXCLUDE` leave out.
pub(crate) fn excluded(options: &WildcardAdditionalOptions) -> Vec<Ident> {
    listed(&mut WildcardAdditionalOptions {
        opt_replace: None,
        opt_rename: None,
        ..options.clone()
    })
    .map(|ident| ident.clone())
    .collect()
}

/// Every column named in the lists after a wildcard.
pub(crate) fn listed(options: &mut WildcardAdditionalOptions) -> impl Iterator<Item = &mut Ident> {
    let except = options.opt_except.iter_mut().flat_map(|except| {
        std::iter::once(&mut except.first_element).chain(&mut except.additional_elements)
    });
    let exclude = options
        .opt_exclude
        .iter_mut()
        .flat_map(|exclude| match exclude {
            ExcludeSelectItem::Single(name) => std::slice::from_mut(name).iter_mut(),
            ExcludeSelectItem::Multiple(names) => names.as_mut_slice().iter_mut(),
        });
    let exclude = exclude.filter_map(|name| match name.0.as_mut_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(ident),
        _ => None,
    });
    let replace = options.opt_replace.iter_mut();
    let replace = replace.flat_map(|r| r.items.iter_mut().map(|item| &mut item.column_name));
    let rename = options
        .opt_rename
        .iter_mut()
        .flat_map(|rename| match rename {
            RenameSelectItem::Single(one) => std::slice::from_mut(one).iter_mut(),
            RenameSelectItem::Multiple(several) => several.as_mut_slice().iter_mut(),
        });
    let rename = rename.map(|renamed| &mut renamed.ident);
    except.chain(exclude).chain(replace).chain(rename)
}
