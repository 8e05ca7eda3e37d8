//! The `FROM` clause: which relations it brings into scope.

use datafusion::sql::sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::error::SqlError;
use super::merge::Kept;
use super::scope::{Columns, Relation, Scope, Visible};
use super::walk::{Clause, NamedTable, Walker};

impl Walker<'_> {
    /// Brings the relations of a `FROM` clause into the innermost scope.
    pub(crate) fn from(&mut self, from: &mut [TableWithJoins]) -> Result<(), SqlError> {
        for tables in from {
            self.tables(tables)?;
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.visible_from = 0;
        }
        Ok(())
    }

    fn tables(&mut self, tables: &mut TableWithJoins) -> Result<(), SqlError> {
        let start = self.scopes.last().map_or(0, |scope| scope.relations.len());
        let merges = tables.joins.iter().any(|join| merges(&join.join_operator));
        if merges && self.schemas.is_some() {
            self.name_subquery(&mut tables.relation);
            for join in &mut tables.joins {
                self.name_subquery(&mut join.relation);
            }
        }
        self.factor(&mut tables.relation)?;
        for join in &mut tables.joins {
            self.join(join, start)?;
        }
        Ok(())
    }

    fn join(&mut self, join: &mut Join, start: usize) -> Result<(), SqlError> {
        let right = self.scopes.last().map_or(0, |scope| scope.relations.len());
        self.factor(&mut join.relation)?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.visible_from = start;
        }
        if let JoinOperator::AsOf {
            match_condition, ..
        } = &mut join.join_operator
        {
            self.expressions(match_condition, Clause::Tables)?;
        }
        let kept = Kept::by(&join.join_operator);
        if let Some(constraint) = constraint_of(&mut join.join_operator) {
            match constraint {
                JoinConstraint::On(expr) => self.expressions(expr, Clause::Tables)?,
                JoinConstraint::Using(_) | JoinConstraint::Natural => {
                    self.merge(constraint, right, kept)?;
                }
                JoinConstraint::None => {}
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.visible_from = 0;
            match kept {
                Kept::OnlyLeft => scope.relations.truncate(right),
                Kept::OnlyRight => {
                    scope.relations.drain(start..right);
                    scope.merged.retain(|merged| merged.is_before(start));
                }
                Kept::Left | Kept::Right | Kept::Either => {}
            }
        }
        Ok(())
    }

    /// Walks through a subquery that does not see its neighbours in `FROM`.
    fn apart<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let neighbours = self.scopes.pop();
        let result = walk(self);
        self.scopes.extend(neighbours);
        result
    }

    fn factor(&mut self, factor: &mut TableFactor) -> Result<(), SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let NamedTable { columns, cte } = self.table(name);
                self.bring(Some(name), alias.as_mut(), columns, cte);
                Ok(())
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                ..
            } => {
                self.expressions(&mut args.args, Clause::Tables)?;
                self.bring(Some(name), alias.as_mut(), Columns::unknown(), None);
                Ok(())
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => {
                let columns = if *lateral {
                    self.query(subquery)?
                } else {
                    self.apart(|walker| walker.query(subquery))?
                };
                self.bring(None, alias.as_mut(), columns, None);
                Ok(())
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.tables(table_with_joins),
            TableFactor::NestedJoin {
                table_with_joins,
                alias: Some(alias),
            } => {
                let columns = self.nested_join(table_with_joins)?;
                self.bring(None, Some(alias), columns, None);
                Ok(())
            }
            TableFactor::UNNEST {
                alias, array_exprs, ..
            } => {
                self.expressions(array_exprs, Clause::Tables)?;
                self.bring(None, alias.as_mut(), Columns::unknown(), None);
                Ok(())
            }
            TableFactor::Function {
                name, args, alias, ..
            } => {
                self.expressions(args, Clause::Tables)?;
                self.bring(Some(name), alias.as_mut(), Columns::unknown(), None);
                Ok(())
            }
            // Refused before planning; what they read is still found.
            other => {
                self.expressions(other, Clause::Tables)?;
                self.bring(None, None, Columns::unknown(), None);
                Ok(())
            }
        }
    }

    /// A join in parentheses with an alias: one relation to what is around it.
    fn nested_join(&mut self, tables: &mut TableWithJoins) -> Result<Columns, SqlError> {
        self.scopes.push(Scope::default());
        let result = self.tables(tables);
        let inner = self.scopes.pop().unwrap_or_default();
        result?;
        Ok(Columns {
            named: inner
                .wildcard()
                .into_iter()
                .map(Visible::to_column)
                .collect(),
            complete: inner.is_complete(),
        })
    }

    /// Adds a relation to the innermost scope.
    fn bring(
        &mut self,
        name: Option<&ObjectName>,
        alias: Option<&mut TableAlias>,
        columns: Columns,
        cte: Option<String>,
    ) {
        // Aliases are renamed by their text alone, whatever the tables have.
        let columns = |names: &[&Ident]| match &self.renaming {
            Some(_) => Columns::unknown(),
            None => columns.renamed(names),
        };
        let relation = match alias {
            Some(alias) => {
                let names: Vec<Ident> = alias.columns.iter().map(|c| c.name.clone()).collect();
                let names: Vec<&Ident> = names.iter().collect();
                let columns = columns(&names);
                let declared = alias.name.value.clone();
                let written = self.alias(&mut alias.name);
                Relation {
                    declared: vec![declared],
                    qualifier: vec![written],
                    columns,
                    aliased: true,
                }
            }
            None => {
                let parts = name.map(|name| name.0.iter().filter_map(|part| part.as_ident()));
                let qualifier: Vec<String> = parts
                    .map(|parts| parts.map(|ident| ident.value.clone()).collect())
                    .unwrap_or_default();
                Relation {
                    aliased: cte.is_some(),
                    declared: cte.map_or_else(|| qualifier.clone(), |cte| vec![cte]),
                    qualifier,
                    columns: columns(&[]),
                }
            }
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.relations.push(relation);
        }
    }
}

fn merges(operator: &JoinOperator) -> bool {
    let mut operator = operator.clone();
    matches!(
        constraint_of(&mut operator),
        Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
    )
}

pub(crate) fn constraint_of(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint)
        | JoinOperator::StraightJoin(constraint)
        | JoinOperator::AsOf { constraint, .. } => Some(constraint),
        JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}
