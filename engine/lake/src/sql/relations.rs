//! The `FROM` clause: which relations it brings into scope.

use datafusion::sql::sqlparser::ast::{
    self, Ident, Join, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::scope::{Columns, Relation, Scope, same};
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
        match &mut join.join_operator {
            JoinOperator::AsOf {
                match_condition,
                constraint,
            } => {
                self.expressions(match_condition, Clause::Tables)?;
                self.join_constraint(constraint, right)?;
            }
            other => {
                if let Some(constraint) = constraint_of(other) {
                    self.join_constraint(constraint, right)?;
                }
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.visible_from = 0;
            match &join.join_operator {
                JoinOperator::LeftSemi(_)
                | JoinOperator::LeftAnti(_)
                | JoinOperator::Semi(_)
                | JoinOperator::Anti(_) => scope.relations.truncate(right),
                JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => {
                    scope.relations.drain(start..right);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn join_constraint(
        &mut self,
        constraint: &mut ast::JoinConstraint,
        right: usize,
    ) -> Result<(), SqlError> {
        self.right_side.push(right);
        let result = self.constraint(constraint);
        self.right_side.pop();
        result
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
                self.scopes.push(Scope::default());
                let result = self.tables(table_with_joins);
                let inner = self.scopes.pop().unwrap_or_default();
                result?;
                let columns = Columns {
                    named: inner
                        .wildcard()
                        .into_iter()
                        .map(|(_, c)| c.clone())
                        .collect(),
                    complete: inner.is_complete(),
                };
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

    /// Adds a relation to the innermost scope.
    fn bring(
        &mut self,
        name: Option<&ObjectName>,
        alias: Option<&mut TableAlias>,
        columns: Columns,
        cte: Option<String>,
    ) {
        let relation = match alias {
            Some(alias) => {
                let names: Vec<Ident> = alias.columns.iter().map(|c| c.name.clone()).collect();
                let names: Vec<&Ident> = names.iter().collect();
                let declared = alias.name.value.clone();
                let written = self.alias(&mut alias.name);
                Relation {
                    declared: vec![declared],
                    qualifier: vec![written],
                    columns: columns.renamed(&names),
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
                    columns,
                }
            }
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.relations.push(relation);
        }
    }

    /// `USING (a, b)`: each name becomes the spelling that both sides share.
    pub(crate) fn using(&mut self, names: &mut [ObjectName]) -> Result<(), SqlError> {
        for name in names {
            let Some(ast::ObjectNamePart::Identifier(ident)) = name.0.first_mut() else {
                continue;
            };
            if let Some(spelled) = self.common_spelling(&ident.value, ident)? {
                ident.value = spelled;
            }
            let merged = ident.value.clone();
            if let Some(scope) = self.scopes.last_mut() {
                scope.merged.push(merged);
            }
        }
        Ok(())
    }

    /// `NATURAL`: the columns that both sides have become one.
    pub(crate) fn natural(&mut self) -> Result<(), SqlError> {
        let nowhere = Ident::new("NATURAL");
        for name in self.names_on_both_sides() {
            let spelled = self.common_spelling(&name, &nowhere)?.unwrap_or(name);
            if let Some(scope) = self.scopes.last_mut() {
                scope.merged.push(spelled);
            }
        }
        Ok(())
    }

    fn sides(&self) -> Option<(&[Relation], &[Relation])> {
        let scope = self.scopes.last()?;
        let right = self.right_side.last()?.saturating_sub(scope.visible_from);
        let visible = scope.visible();
        Some(visible.split_at(right.min(visible.len())))
    }

    fn names_on_both_sides(&self) -> Vec<String> {
        let Some((left, right)) = self.sides() else {
            return Vec::new();
        };
        let columns = left.iter().flat_map(|r| &r.columns.named);
        let both = columns.filter(|column| {
            let mut others = right.iter().flat_map(|r| &r.columns.named);
            others.any(|other| same(&other.name, &column.name))
        });
        both.map(|column| column.name.clone()).collect()
    }

    /// The planner joins columns of one spelling only.
    fn common_spelling(&self, name: &str, at: &Ident) -> Result<Option<String>, SqlError> {
        let Some((left, right)) = self.sides() else {
            return Ok(None);
        };
        let find = |side: &[Relation]| -> Option<String> {
            let mut columns = side.iter().flat_map(|r| r.columns.matching(name));
            columns.next().map(|column| column.name.clone())
        };
        match (find(left), find(right)) {
            (Some(left), Some(right)) if left != right => Err(SqlError::new(
                SqlErrorKind::Ambiguous,
                format!(
                    "the two sides of the join spell a column differently: `{left}` and `{right}`"
                ),
            )
            .at(SqlSpan::of(&self.text, at.span))
            .with_help(Some(format!(
                "join ON left.\"{left}\" = right.\"{right}\" instead"
            )))),
            (left, right) => Ok(left.or(right)),
        }
    }
}

pub(crate) fn constraint_of(operator: &mut JoinOperator) -> Option<&mut ast::JoinConstraint> {
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
        | JoinOperator::StraightJoin(constraint) => Some(constraint),
        JoinOperator::AsOf { .. }
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}
