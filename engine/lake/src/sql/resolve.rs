//! Names are the same in upper and lower case.

use datafusion::sql::sqlparser::ast::Function;

use super::error::SqlError;
use super::schemas::TableSchemas;
use super::scope::ScopeColumns;
use super::statement::Statement;
use super::walk::{CallHook, Walker};

/// Rewrites every name in a statement to the spelling of what it means: tables
/// and columns to that of their schemas, references to aliases, CTEs, windows
/// and columns of subqueries to that of their declaration, quoted or not. Names
/// that nothing known has are left alone.
///
/// `FROM t` becomes `SELECT * FROM t` on the way.
///
/// # Errors
/// A name that can mean two things: `id` of two joined tables, also when they
/// spell it differently.
pub fn resolve_names(statement: &mut Statement, schemas: &TableSchemas) -> Result<(), SqlError> {
    resolve(statement, schemas).map(drop)
}

/// As [`resolve_names`]; returns the names that nothing has though everything
/// in scope is known, the first of the text first.
pub(crate) fn resolve(
    statement: &mut Statement,
    schemas: &TableSchemas,
) -> Result<Vec<SqlError>, SqlError> {
    let mut walker = Walker::new(statement.shared_text());
    walker.schemas = Some(schemas);
    walker.statement(&mut statement.ast)?;
    let mut unresolved = walker.unresolved;
    unresolved.sort_by_key(|error| error.span.map(|span| span.start));
    Ok(unresolved)
}

/// Shows `each` every call of the function `name` (ignoring case), wherever it
/// stands, with the columns that its arguments can see; `each` may rewrite the
/// call. Names in the statement are resolved as by [`resolve_names`], those in
/// a call's arguments after `each` has seen it.
///
/// # Errors
/// Those of [`resolve_names`], and the first error of `each`.
pub fn visit_calls_mut(
    statement: &mut Statement,
    name: &str,
    schemas: &TableSchemas,
    each: &mut dyn FnMut(&mut Function, &ScopeColumns) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let mut walker = Walker::new(statement.shared_text());
    walker.schemas = Some(schemas);
    walker.calls = Some(CallHook { name, each });
    walker.statement(&mut statement.ast)
}
