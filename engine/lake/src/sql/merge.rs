//! `USING` and `NATURAL`: columns of two tables that become one.
//!
//! The planner knows them, but takes one side's column for the merged one, by
//! the alphabet: in `b LEFT JOIN a USING (id)` it gives `a.id`, which is NULL
//! where there is no partner. Where the columns are known, both are therefore
//! written out: `USING (id)` becomes `ON b.id = a.id`, `id` becomes `b.id`, and
//! `*` a list.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
};

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::mistakes::{help_among, qualified};
use super::scope::{Merged, Relation, Scope, Visible, same};
use super::walk::Walker;

/// Which side of a join gives the value of a merged column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Every row has a left side.
    Left,
    /// Every row has a right side.
    Right,
    /// A row has a left side or a right side.
    Either,
    /// The right side is gone after the join.
    OnlyLeft,
    /// The left side is gone after the join.
    OnlyRight,
}

impl Kept {
    pub(crate) fn by(operator: &JoinOperator) -> Self {
        match operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Self::Right,
            JoinOperator::FullOuter(_) => Self::Either,
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_) => Self::OnlyLeft,
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => Self::OnlyRight,
            _ => Self::Left,
        }
    }
}

impl Merged {
    /// Whether all its columns are of relations before a position.
    pub(crate) fn is_before(&self, position: usize) -> bool {
        self.members.iter().all(|(index, _)| *index < position)
    }
}

impl Walker<'_> {
    /// Gives a subquery without an alias one, so that its columns can be named.
    pub(crate) fn name_subquery(&mut self, factor: &mut TableFactor) {
        if let TableFactor::Derived { alias, .. } = factor
            && alias.is_none()
        {
            *alias = Some(TableAlias {
                explicit: true,
                name: Ident::with_quote('"', format!("_subquery{}", self.subqueries)),
                columns: Vec::new(),
                at: None,
            });
            self.subqueries += 1;
        }
    }

    /// Rewrites `USING` or `NATURAL` of a join whose right side begins at the
    /// relation at `right`.
    pub(crate) fn merge(
        &mut self,
        constraint: &mut JoinConstraint,
        right: usize,
        kept: Kept,
    ) -> Result<(), SqlError> {
        let names = match constraint {
            JoinConstraint::Using(names) => single_names(names),
            JoinConstraint::Natural => Some(self.names_on_both_sides(right)),
            JoinConstraint::On(_) | JoinConstraint::None => None,
        };
        let Some(scope) = self.scopes.last() else {
            return Ok(());
        };
        let (Some(names), true) = (names, scope.is_complete() && self.schemas.is_some()) else {
            if let JoinConstraint::Using(names) = constraint {
                let names: Vec<String> = names.iter().map(ObjectName::to_string).collect();
                let names = names
                    .iter()
                    .map(|name| name.trim_matches(['"', '`']).to_owned());
                if let Some(scope) = self.scopes.last_mut() {
                    scope.left_alone.extend(names);
                }
            }
            return Ok(());
        };
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for name in &names {
            let Some(left_side) = self.side(name, scope.visible_from, right)? else {
                return self.not_on_both_sides(name, right);
            };
            let Some(right_side) = self.side(name, right, scope.relations.len())? else {
                return self.not_on_both_sides(name, right);
            };
            conditions.push(Expr::BinaryOp {
                left: Box::new(scope.merged_expr(&left_side)),
                op: BinaryOperator::Eq,
                right: Box::new(scope.merged_expr(&right_side)),
            });
            merged.push(joined(left_side, right_side, kept));
        }
        *constraint = match conditions.into_iter().reduce(and) {
            Some(condition) => JoinConstraint::On(condition),
            None => JoinConstraint::None,
        };
        if let Some(scope) = self.scopes.last_mut()
            && !matches!(kept, Kept::OnlyLeft | Kept::OnlyRight)
        {
            // A column that was merged before is now part of the new one.
            let is_new = |m: &Merged| merged.iter().any(|new| new.members.contains(&m.members[0]));
            scope.merged.retain(|old| !is_new(old));
            scope.merged.extend(merged);
        }
        Ok(())
    }

    /// The column of that name on one side of a join, merged or not.
    fn side(&self, name: &Ident, from: usize, to: usize) -> Result<Option<Merged>, SqlError> {
        let Some(scope) = self.scopes.last() else {
            return Ok(None);
        };
        let mut found: Vec<(Merged, String)> = Vec::new();
        for (index, relation) in scope.relations.iter().enumerate().take(to).skip(from) {
            for column in relation.columns.matching(&name.value) {
                let alone = (index, column.name.clone());
                let merged = scope.merged_with(index, &column.name).cloned();
                let merged = merged.unwrap_or_else(|| Merged {
                    name: column.name.clone(),
                    sources: vec![alone.clone()],
                    members: vec![alone.clone()],
                });
                if !found
                    .iter()
                    .any(|(other, _)| other.members.contains(&alone))
                {
                    found.push((merged, qualified(relation, column)));
                }
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop().map(|(merged, _)| merged)),
            _ => {
                let candidates: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
                Err(self.ambiguous(name, &candidates))
            }
        }
    }

    fn names_on_both_sides(&self, right: usize) -> Vec<Ident> {
        let Some(scope) = self.scopes.last() else {
            return Vec::new();
        };
        let has = |relations: &[Relation], name: &str| {
            let mut columns = relations.iter().flat_map(|r| &r.columns.named);
            columns.any(|column| same(&column.name, name))
        };
        let left = &scope.relations[scope.visible_from.min(right)..right];
        let left = Scope {
            relations: left.to_vec(),
            ..Scope::default()
        };
        let mut names: Vec<Ident> = Vec::new();
        for name in left.wildcard().iter().map(Visible::name) {
            let known = names.iter().any(|other| same(&other.value, name));
            if !known && has(&scope.relations[right..], name) {
                names.push(Ident::with_quote('"', name));
            }
        }
        names
    }

    fn not_on_both_sides(&mut self, name: &Ident, right: usize) -> Result<(), SqlError> {
        let both = self.names_on_both_sides(right);
        let both: Vec<&str> = both.iter().map(|ident| ident.value.as_str()).collect();
        Err(SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!("the tables do not both have a column `{}`", name.value),
        )
        .at(SqlSpan::of(&self.text, name.span))
        .with_help(help_among(&name.value, &both)))
    }
}

fn single_names(names: &[ObjectName]) -> Option<Vec<Ident>> {
    let single = |name: &ObjectName| match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    };
    names.iter().map(single).collect()
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    }
}

fn joined(left: Merged, right: Merged, kept: Kept) -> Merged {
    let sources = match kept {
        Kept::Right | Kept::OnlyRight => right.sources,
        Kept::Either => [left.sources, right.sources].concat(),
        Kept::Left | Kept::OnlyLeft => left.sources,
    };
    Merged {
        name: left.name,
        sources,
        members: [left.members, right.members].concat(),
    }
}
