//! Looks at the columns that tell rows apart and order them: `keys:` and `sequence_by:`.

use arrow::datatypes::{DataType, Schema};

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::plan::mode::{END_COLUMN, START_COLUMN};
use crate::source::{Span, Spanned};

/// Whether columns can be keys, and another can order the rows of a key; `written` are the keys
/// as they are written, `keys` as the query spells them.
pub(super) fn check_key(
    checker: &mut Checker<'_>,
    schema: &Schema,
    written: &[Spanned<String>],
    keys: &[String],
    sequence: Option<(&Spanned<String>, &str)>,
) -> bool {
    let mut right = true;
    let type_of = |name: &str| schema.field_with_name(name).map(|field| field.data_type());
    for (key, name) in written.iter().zip(keys) {
        let Ok(data_type) = type_of(name) else {
            continue;
        };
        if data_type.is_floating() || data_type.is_nested() {
            right = false;
            let message = format!("`{name}` is {data_type}, and a key must be compared exactly");
            let help = match data_type.is_floating() {
                true => "cast it to DECIMAL or BIGINT in the query, or name another column",
                false => "name the columns that tell rows apart, or make one in the query",
            };
            let diagnostic = Diagnostic::error("wrong_type", message);
            checker.error(diagnostic.help(help), key.span);
        }
    }
    let Some((written, name)) = sequence else {
        return right;
    };
    if keys.iter().any(|key| key == name) {
        let message = format!("`{name}` is a key, and cannot order the rows of one key");
        let diagnostic = Diagnostic::error("wrong_mode", message);
        checker.error(
            diagnostic.help("name the column that says which row is the later"),
            written.span,
        );
        return false;
    }
    match type_of(name) {
        Ok(data_type) if !orders(data_type) => {
            let message = format!("`{name}` is {data_type}, and cannot say which row is the later");
            let help = match data_type.is_floating() {
                true => "cast it to DECIMAL, BIGINT or TIMESTAMP in the query",
                false => "name a column that holds a time or a number",
            };
            let diagnostic = Diagnostic::error("wrong_type", message);
            checker.error(diagnostic.help(help), written.span);
            false
        }
        _ => right,
    }
}

/// Whether values of a type say which comes later. Floating numbers do not: NaN is no time.
fn orders(data_type: &DataType) -> bool {
    !(data_type.is_floating()
        || data_type.is_nested()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        ))
}

/// Whether a query leaves the names free that its history needs.
pub(super) fn leaves_names_free(checker: &mut Checker<'_>, schema: &Schema, span: Span) -> bool {
    let taken = schema.fields().iter().find(|field| {
        let name = field.name();
        name.eq_ignore_ascii_case(START_COLUMN) || name.eq_ignore_ascii_case(END_COLUMN)
    });
    let Some(taken) = taken else {
        return true;
    };
    let message = format!(
        "the query has a column `{}`, and the mode `scd2` adds one of that name",
        taken.name()
    );
    let diagnostic = Diagnostic::error("duplicate_column", message);
    checker.error(
        diagnostic.help("name it otherwise with AS, or leave it out with * EXCEPT (...)"),
        span,
    );
    false
}
