//! Settles the calls of `predict` in a statement, before it is planned: the model's address
//! becomes that of one version, and the columns, whatever their order in the text, become
//! the model's features in theirs.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    Spanned, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use sluice_lake::nearest::nearest;
use sluice_lake::sql::{
    ScopeColumn, ScopeColumns, SqlError, SqlErrorKind, SqlSpan, Statement, TableSchemas,
    function_calls, string_value, visit_calls_mut,
};
use sluice_learn::features::{Feature, FeatureKind};
use sluice_learn::sql_type::SqlType;

use super::Answer;
use super::address::{ModelAddress, as_of_argument, moment};

/// What a model's address as written stands for.
#[derive(Debug, Clone)]
pub struct BoundModel {
    /// The address of one version, such as `models:/wine_quality/3`.
    pub address: String,
    /// The columns that the version takes, in order.
    pub features: Vec<Feature>,
}

/// The models that a statement applies, and where their addresses stand.
///
/// # Errors
/// A call whose first argument is not a text, or whose `as_of` is not a moment.
pub fn model_addresses(
    statement: &Statement,
) -> Result<Vec<(ModelAddress, Option<SqlSpan>)>, SqlError> {
    addresses_in(statement, &Answer::ALL.map(Answer::function))
}

/// The addresses in the calls of some functions.
pub(super) fn addresses_in(
    statement: &Statement,
    functions: &[&str],
) -> Result<Vec<(ModelAddress, Option<SqlSpan>)>, SqlError> {
    let mut addresses = Vec::new();
    let calls = functions.iter().flat_map(|function| {
        let calls = function_calls(statement, function).into_iter();
        calls.map(|call| (*function, call))
    });
    for (function, call) in calls {
        let Some(written) = call.literal(0) else {
            return Err(no_address(function, call.span));
        };
        let mut as_of_ms = None;
        for argument in &call.arguments {
            if let Some(value) = as_of_argument(argument) {
                let place = SqlSpan::of(statement.text(), value.span()).or(call.span);
                if as_of_ms.is_some() {
                    return Err(
                        SqlError::new(SqlErrorKind::Planning, "`as_of` is given twice").at(place),
                    );
                }
                as_of_ms = Some(moment(value).ok_or_else(|| no_moment(value, place))?);
            }
        }
        let address = ModelAddress {
            written: written.value.clone(),
            as_of_ms,
        };
        addresses.push((address, written.span));
    }
    Ok(addresses)
}

fn no_moment(value: &Expr, place: Option<SqlSpan>) -> SqlError {
    SqlError::new(
        SqlErrorKind::Planning,
        format!("`as_of` must be a moment that is written out, not {value}"),
    )
    .at(place)
    .with_help(Some(
        "write as_of => TIMESTAMP '2026-03-01 12:00:00' (UTC), or with an offset: '2026-03-01T12:00:00+02:00'"
            .to_owned(),
    ))
}

/// Rewrites every call of `predict`, `predict_label` and `predict_scores` to the versions in
/// `models`, which has an entry for each of the statement's [`model_addresses`], by its text.
///
/// # Errors
/// A call whose columns do not fit its model: all those that are missing, the first that
/// has the wrong type or is none of the model's.
pub fn bind(
    statement: &mut Statement,
    schemas: &TableSchemas,
    models: &BTreeMap<String, BoundModel>,
) -> Result<(), SqlError> {
    for answer in Answer::ALL {
        visit_calls_mut(
            statement,
            answer.function(),
            schemas,
            &mut |function, scope| bind_call(answer, function, scope, models),
        )?;
    }
    Ok(())
}

pub(super) fn no_address(function: &str, span: Option<SqlSpan>) -> SqlError {
    SqlError::new(
        SqlErrorKind::Planning,
        format!("the first argument of `{function}` must be a model's address in quotes"),
    )
    .at(span)
    .with_help(Some(format!(
        "write {function}('models:/name@alias', ...) or {function}('models:/name/3', ...)"
    )))
}

fn bind_call(
    answer: Answer,
    function: &mut Function,
    scope: &ScopeColumns,
    models: &BTreeMap<String, BoundModel>,
) -> Result<(), SqlError> {
    let place = scope.place(function.name.span());
    let name = answer.function();
    let FunctionArguments::List(FunctionArgumentList { args, .. }) = &mut function.args else {
        return Err(no_address(name, place));
    };
    // DataFusion knows no named arguments of functions that take any number.
    let as_of_ms = args
        .iter()
        .find_map(|argument| moment(as_of_argument(argument)?));
    args.retain(|argument| as_of_argument(argument).is_none());
    let Some((first, given)) = args.split_first_mut() else {
        return Err(no_address(name, place));
    };
    let (written, literal) = address_of(first).ok_or_else(|| no_address(name, place))?;
    let address = ModelAddress { written, as_of_ms }.to_string();
    let Some(model) = models.get(&address) else {
        return Err(SqlError::new(
            SqlErrorKind::Planning,
            format!("the model `{address}` was not resolved"),
        )
        .at(place));
    };
    *literal = Value::SingleQuotedString(model.address.clone());
    let call = Call {
        address: &address,
        features: &model.features,
        scope,
        place,
    };
    let columns = match given {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => call.expand(scope.columns.iter())?,
        [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => {
            let parts: Vec<&str> = name
                .0
                .iter()
                .filter_map(|part| part.as_ident().map(|ident| ident.value.as_str()))
                .collect();
            let columns = scope.qualified(&parts);
            if columns.is_empty() && scope.complete {
                return Err(call.error(
                    format!("nothing is called `{}` here", parts.join(".")),
                    name.span(),
                ));
            }
            call.expand(columns.into_iter())?
        }
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(text))] if call.takes_a_text() => {
            vec![call.the_text(text)?]
        }
        given => call.by_name(given)?,
    };
    args.truncate(1);
    args.extend(
        columns
            .into_iter()
            .map(|column| FunctionArg::Unnamed(FunctionArgExpr::Expr(column))),
    );
    Ok(())
}

pub(super) fn address_of(argument: &mut FunctionArg) -> Option<(String, &mut Value)> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan { value, .. }))) =
        argument
    else {
        return None;
    };
    let address = string_value(value)?.to_owned();
    Some((address, value))
}

/// One call of `predict`, with what its columns may be.
struct Call<'a> {
    address: &'a str,
    features: &'a [Feature],
    scope: &'a ScopeColumns,
    place: Option<SqlSpan>,
}

impl Call<'_> {
    /// The features among the columns of a wildcard.
    fn expand<'c>(
        &self,
        columns: impl Iterator<Item = &'c ScopeColumn>,
    ) -> Result<Vec<Expr>, SqlError> {
        let columns: Vec<&ScopeColumn> = columns.collect();
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(self.features.len());
        for feature in self.features {
            let matching = spelled(&columns, &feature.name);
            match matching.as_slice() {
                [column] => {
                    self.check_type(feature, column.data_type.as_ref(), self.place)?;
                    found.push(column.to_expr());
                }
                // Not all columns are known: planning will tell.
                [] if !self.scope.complete => {
                    found.push(Expr::Identifier(Ident::with_quote('"', &feature.name)));
                }
                [] => missing.push(feature.name.as_str()),
                _ => return Err(self.ambiguous(&feature.name, &matching)),
            }
        }
        self.none_missing(&missing, columns.iter().map(|column| column.name.as_str()))?;
        Ok(found)
    }

    /// Whether the model reads one text and nothing else: what is given is that text then,
    /// whatever it is called.
    fn takes_a_text(&self) -> bool {
        matches!(self.features, [one] if one.kind == FeatureKind::Text)
    }

    /// The only text that is given.
    fn the_text(&self, text: &Expr) -> Result<Expr, SqlError> {
        let place = self.scope.place(text.span()).or(self.place);
        match self.type_of(text) {
            Some(found) if !self.features[0].accepts(found) => {
                let message = format!(
                    "`{}` reads a text, and this is {}",
                    self.address,
                    SqlType(found)
                );
                Err(SqlError::new(SqlErrorKind::Planning, message)
                    .at(place)
                    .with_help(Some(format!("convert it: `CAST({text} AS VARCHAR)`"))))
            }
            _ => Ok(text.clone()),
        }
    }

    /// The features among the columns that are written out, by name.
    fn by_name(&self, given: &[FunctionArg]) -> Result<Vec<Expr>, SqlError> {
        let mut named: Vec<(String, Expr, Span)> = Vec::with_capacity(given.len());
        for argument in given {
            let (name, expr) = self.named(argument)?;
            if let Some((twice, _, _)) = named.iter().find(|(other, _, _)| same(other, &name)) {
                let message = format!("`{twice}` is given twice to `{}`", self.address);
                return Err(self.error(message, expr.span()));
            }
            let span = expr.span();
            named.push((name, expr, span));
        }
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(self.features.len());
        for feature in self.features {
            match named
                .iter()
                .position(|(name, _, _)| same(name, &feature.name))
            {
                Some(position) => {
                    let (_, expr, span) = named.swap_remove(position);
                    self.check_type(feature, self.type_of(&expr), self.scope.place(span))?;
                    found.push(expr);
                }
                None => missing.push(feature.name.as_str()),
            }
        }
        if let Some((name, _, span)) = named.into_iter().next() {
            return Err(self.no_feature(&name, span, &missing));
        }
        self.none_missing(&missing, self.scope.columns.iter().map(|c| c.name.as_str()))?;
        Ok(found)
    }

    fn no_feature(&self, name: &str, span: Span, missing: &[&str]) -> SqlError {
        let message = format!("`{}` has no feature `{name}`", self.address);
        let help = match nearest(name, missing.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let features = self.features.iter().map(|feature| feature.name.as_str());
                format!("leave it out; the model takes {}", listed(features))
            }
        };
        self.error(message, span).with_help(Some(help))
    }

    /// The name that an argument goes by, and its expression.
    fn named(&self, argument: &FunctionArg) -> Result<(String, Expr), SqlError> {
        let (name, expr) = match argument {
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(expr),
                ..
            } => (Some(name.value.clone()), expr),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                ..
            } => (Some(name.value.clone()), expr),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (column_name(expr), expr),
            other => {
                let message = "`predict` takes one `*`, or columns; not both".to_owned();
                return Err(self.error(message, other.span()));
            }
        };
        match name {
            Some(name) => Ok((name, expr.clone())),
            None => Err(self
                .error(
                    "this is not a column, so it is not clear which feature it is".to_owned(),
                    expr.span(),
                )
                .with_help(Some(format!("name it: `alcohol => {expr}`")))),
        }
    }

    fn type_of(&self, expr: &Expr) -> Option<&DataType> {
        let name = column_name(expr)?;
        match self.scope.named(&name).as_slice() {
            [column] => column.data_type.as_ref(),
            _ => None,
        }
    }

    fn check_type(
        &self,
        feature: &Feature,
        found: Option<&DataType>,
        place: Option<SqlSpan>,
    ) -> Result<(), SqlError> {
        match found {
            Some(found) if !feature.accepts(found) => Err(SqlError::new(
                SqlErrorKind::Planning,
                format!(
                    "column `{}` is {}, but `{}` needs {} there",
                    feature.name,
                    SqlType(found),
                    self.address,
                    feature.needs()
                ),
            )
            .at(place)
            .with_help(Some(format!(
                "convert it: `{} => CAST({} AS ...)`",
                feature.name, feature.name
            )))),
            _ => Ok(()),
        }
    }

    fn none_missing<'n>(
        &self,
        missing: &[&str],
        there: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<(), SqlError> {
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let (noun, verb) = if missing.len() == 1 {
            ("column", "is")
        } else {
            ("columns", "are")
        };
        let message = format!(
            "`{}` needs the {noun} {}, which {verb} not here",
            self.address,
            listed(missing.iter().copied())
        );
        let help = nearest(first, there).map(|near| {
            if same(first, near) {
                format!("add `{near}` to the call, or write `predict(model, *)`")
            } else {
                format!("did you mean `{near}`? write `{first} => {near}`")
            }
        });
        Err(SqlError::new(SqlErrorKind::UnknownColumn, message)
            .at(self.place)
            .with_help(help))
    }

    fn ambiguous(&self, feature: &str, columns: &[&ScopeColumn]) -> SqlError {
        let spellings = columns.iter().map(|column| column.to_expr().to_string());
        SqlError::new(
            SqlErrorKind::Ambiguous,
            format!(
                "`{feature}` can be {}",
                spellings.collect::<Vec<_>>().join(" or ")
            ),
        )
        .at(self.place)
        .with_help(Some(format!(
            "say which: `{feature} => ...`, or `predict(model, t.*)`"
        )))
    }

    fn error(&self, message: String, span: Span) -> SqlError {
        SqlError::new(SqlErrorKind::Planning, message).at(self.scope.place(span).or(self.place))
    }
}

/// The name of a column, when an expression is nothing but that.
fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| ident.value.clone()),
        _ => None,
    }
}

fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

/// Columns of this name: those spelled exactly so, else those that differ in case.
fn spelled<'c>(columns: &[&'c ScopeColumn], name: &str) -> Vec<&'c ScopeColumn> {
    let pick = |is: &dyn Fn(&str) -> bool| -> Vec<&'c ScopeColumn> {
        columns
            .iter()
            .copied()
            .filter(|column| is(&column.name))
            .collect()
    };
    let exact = pick(&|other| other == name);
    if exact.is_empty() {
        pick(&|other| same(other, name))
    } else {
        exact
    }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
