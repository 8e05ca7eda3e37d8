//! Mistakes in SQL, shown where the SQL was written.

use sluice_lake::sql::{SqlError, SqlErrorKind};

use crate::diagnostic::Diagnostic;
use crate::spec::SqlText;

/// The diagnostic of a mistake in a pipeline's SQL.
pub(crate) fn diagnostic(error: &SqlError, sql: &SqlText) -> Diagnostic {
    let location = match error.span {
        Some(span) => sql.to_source(span.range()),
        None => sql.to_source(0..sql.text.trim_end().len()),
    };
    Diagnostic::error(code(error.kind), error.message.clone())
        .at_location(location)
        .maybe_help(error.help.clone())
}

fn code(kind: SqlErrorKind) -> &'static str {
    match kind {
        SqlErrorKind::Syntax => "sql_syntax",
        SqlErrorKind::NotReadOnly => "sql_not_a_query",
        SqlErrorKind::Unsupported => "sql_unsupported",
        SqlErrorKind::UnknownTable => "unknown_table",
        SqlErrorKind::UnknownColumn => "unknown_column",
        SqlErrorKind::UnknownFunction => "unknown_function",
        SqlErrorKind::Ambiguous => "ambiguous_name",
        SqlErrorKind::Catalog => "unreadable_table",
        _ => "sql_planning",
    }
}
