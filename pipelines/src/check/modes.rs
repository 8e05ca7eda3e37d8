//! Looks inside `mode:`: which table is read incrementally, whether the query can be asked
//! of some of its rows, and whether the columns that the mode names are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use sluice_lake::TableName;
use sluice_lake::sql::{self, Statement, fill_placeholders, parse_expression, placeholders};

use super::keyed::{check_key, leaves_names_free};
use super::known::Known;
use super::row_rules::row_condition;
use super::tables::find_column;
use super::{Checker, sql_errors};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::mode::{
    AppendMode, BoundType, END_COLUMN, IntervalMode, MergeMode, Mode, START_COLUMN, Scd2Mode,
    Upkeep,
};
use crate::plan::origins::{ColumnOrigins, Origins};
use crate::source::{Span, Spanned};
use crate::spec::{self, INTERVAL_END, INTERVAL_START, Instant, Refresh, SqlText, TableSpec};

/// A query whose mode is looked at.
pub(super) struct Query<'a> {
    pub(super) name: &'a TableName,
    pub(super) sql: &'a SqlText,
    pub(super) statement: &'a Statement,
    /// Its plan, not optimised.
    pub(super) plan: &'a LogicalPlan,
    /// The stored tables that it reads.
    pub(super) reads: &'a BTreeSet<TableName>,
    /// Its columns.
    pub(super) schema: &'a SchemaRef,
    /// Whether rows of it may go into quarantine.
    pub(super) has_quarantine: bool,
}

/// What `mode:` and `refresh:` come to. `None` after having reported what is wrong.
pub(super) fn check_mode(
    checker: &mut Checker<'_>,
    known: &Known,
    table: &TableSpec,
    query: &Query<'_>,
) -> Option<Upkeep> {
    let refresh = table.refresh.map_or(Refresh::Auto, |refresh| refresh.value);
    let mode = match &table.mode {
        None => Mode::Full,
        Some(written) => resolved(checker, known, written, query)?,
    };
    Some(Upkeep { mode, refresh })
}

fn resolved(
    checker: &mut Checker<'_>,
    known: &Known,
    written: &Spanned<spec::Mode>,
    query: &Query<'_>,
) -> Option<Mode> {
    let span = written.span;
    match &written.value {
        spec::Mode::Full => Some(Mode::Full),
        spec::Mode::Append(append) => {
            let from = source(checker, append.from.as_ref(), "append", span, query)?;
            Some(Mode::Append(AppendMode { from }))
        }
        spec::Mode::Merge(merge) => {
            let from = source(checker, merge.from.as_ref(), "merge", span, query);
            let keys = columns(checker, &merge.keys, query);
            let sequence_by = merge.sequence_by.as_ref();
            let sequence_by =
                sequence_by.map(|by| find_column(checker, query.schema, by, query.name));
            let delete_when = merge.delete_when.as_ref();
            let delete_when = delete_when
                .map(|when| row_condition(checker, known, when, query.name, query.schema));
            let (keys, sequence_by) = (keys?, transposed(sequence_by)?);
            let sequence = merge.sequence_by.as_ref().zip(sequence_by.as_deref());
            let right = check_key(checker, query.schema, &merge.keys, &keys, sequence);
            let delete_when = transposed(delete_when)?;
            right.then_some(Mode::Merge(MergeMode {
                from: from?,
                keys,
                sequence_by,
                delete_when,
            }))
        }
        spec::Mode::Scd2(scd2) => {
            let from = source(checker, scd2.from.as_ref(), "scd2", span, query);
            let keys = columns(checker, &scd2.keys, query);
            let sequence_by = find_column(checker, query.schema, &scd2.sequence_by, query.name);
            let delete_when = scd2.delete_when.as_ref();
            let delete_when = delete_when
                .map(|when| row_condition(checker, known, when, query.name, query.schema));
            let free = leaves_names_free(checker, query.schema, span);
            let (keys, sequence_by) = (keys?, sequence_by?);
            let sequence = Some((&scd2.sequence_by, sequence_by.as_str()));
            let right = check_key(checker, query.schema, &scd2.keys, &keys, sequence);
            let delete_when = transposed(delete_when)?;
            (right && free).then_some(Mode::Scd2(Scd2Mode {
                from: from?,
                keys,
                sequence_by,
                delete_when,
            }))
        }
        spec::Mode::Interval(interval) => intervals(checker, interval, query),
    }
}

/// What was not written is nothing; what was written wrong is no answer.
fn transposed<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(found) => found.map(Some),
    }
}

/// The columns that a mode names, as the query spells them; each once.
fn columns(
    checker: &mut Checker<'_>,
    written: &[Spanned<String>],
    query: &Query<'_>,
) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let mut right = true;
    for column in written {
        match find_column(checker, query.schema, column, query.name) {
            None => right = false,
            Some(name) if found.contains(&name) => {
                right = false;
                let message = format!("`{name}` stands here twice");
                checker.error(Diagnostic::error("duplicate_column", message), column.span);
            }
            Some(name) => found.push(name),
        }
    }
    right.then_some(found)
}

/// The table whose changes are read: the only one, or the one that is named.
fn source(
    checker: &mut Checker<'_>,
    from: Option<&Spanned<String>>,
    mode: &str,
    span: Span,
    query: &Query<'_>,
) -> Option<TableName> {
    let tables: Vec<&TableName> = query.reads.iter().collect();
    let from = match (from, tables.as_slice()) {
        (None, [only]) => (*only).clone(),
        (None, []) => {
            let message = format!(
                "the mode `{mode}` reads what is new in a stored table, and the query reads none"
            );
            let diagnostic = Diagnostic::error("wrong_mode", message);
            checker.error(diagnostic.help("leave `mode:` out"), span);
            return None;
        }
        (None, [first, ..]) => {
            let names: Vec<String> = tables.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "the query reads {}: say in which of them new rows are looked for",
                names.join(", ")
            );
            let diagnostic = Diagnostic::error("wrong_mode", message).help(format!(
                "write such as `mode: {{{mode}: {{from: {first}}}}}`; the others are read whole"
            ));
            checker.error(diagnostic, span);
            return None;
        }
        (Some(from), tables) => {
            let same = |name: &&&TableName| name.to_string().eq_ignore_ascii_case(from);
            match tables.iter().find(same) {
                Some(table) => (**table).clone(),
                None => {
                    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
                    let message = format!("the query does not read `{from}`");
                    let help = did_you_mean(from, names.iter().map(String::as_str));
                    let diagnostic = Diagnostic::error("unknown_table", message);
                    checker.error(diagnostic.maybe_help(help), from.span);
                    return None;
                }
            }
        }
    };
    match sql::row_wise(query.statement, query.plan, &from) {
        Ok(()) => Some(from),
        Err(error) => {
            checker.diagnostics.push(
                sql_errors::diagnostic(&error, query.sql)
                    .related(checker.location(span), format!("the mode is `{mode}`")),
            );
            None
        }
    }
}

fn intervals(
    checker: &mut Checker<'_>,
    interval: &spec::Interval,
    query: &Query<'_>,
) -> Option<Mode> {
    if placeholders(query.statement).is_empty() {
        let diagnostic = Diagnostic::error(
            "wrong_mode",
            "the query gives the same rows for every interval: it uses neither `${start}` nor `${end}`",
        )
        .help(format!(
            "filter by them, such as `WHERE {column} >= ${{start}} AND {column} < ${{end}}`",
            column = interval.column
        ))
        .at_location(query.sql.to_source(0..query.sql.text.trim_end().len()));
        checker.diagnostics.push(diagnostic);
        return None;
    }
    let column = find_column(checker, query.schema, &interval.column, query.name)?;
    let bounds = bound_type(query.schema, &column);
    let Some(bounds) = bounds else {
        let found = query
            .schema
            .field_with_name(&column)
            .map(|field| field.data_type().to_string());
        let message = format!(
            "`{column}` is {}, not a date or a timestamp",
            found.unwrap_or_default()
        );
        let diagnostic = Diagnostic::error("wrong_type", message)
            .help("name the column that says when a row happened, or make one with CAST");
        checker.error(diagnostic, interval.column.span);
        return None;
    };
    if bounds == BoundType::Date && !whole_days(interval) {
        let diagnostic = Diagnostic::error(
            "wrong_mode",
            format!(
                "`{column}` is a date, and intervals of {} are not whole days",
                interval.every.value
            ),
        )
        .help("use a timestamp, or whole days from a midnight on");
        checker.error(diagnostic, interval.every.span);
        return None;
    }
    Some(Mode::Interval(IntervalMode {
        column,
        bounds,
        every: interval.every.value,
        start: interval.start.value,
        lookback: interval.lookback.map_or(0, |count| count.value),
        batch_size: batch_size(checker, interval, query),
        concurrency: interval.concurrency.map_or(1, |count| count.value),
    }))
}

/// How many intervals are asked for at once: a row in quarantine is of the interval that was
/// asked for, and its own time need not tell which of several that was.
fn batch_size(checker: &mut Checker<'_>, interval: &spec::Interval, query: &Query<'_>) -> u64 {
    let Some(size) = interval.batch_size.filter(|size| size.value > 1) else {
        return 1;
    };
    if !query.has_quarantine {
        return size.value;
    }
    let message = "a table with rows in quarantine is asked for one interval at a time";
    let warning = Diagnostic::warning("unused_key", message)
        .help("leave `batch_size` out; `concurrency` asks for several intervals side by side");
    checker.error(warning, size.span);
    1
}

fn whole_days(interval: &spec::Interval) -> bool {
    const DAY_MS: i64 = 86_400_000;
    let midnight = interval.start.value.0.rem_euclid(DAY_MS) == 0;
    match interval.every.value {
        spec::Every::Month => midnight,
        spec::Every::Fixed(ms) => midnight && ms % DAY_MS == 0,
    }
}

fn bound_type(schema: &Schema, column: &str) -> Option<BoundType> {
    match schema.field_with_name(column).ok()?.data_type() {
        DataType::Date32 | DataType::Date64 => Some(BoundType::Date),
        DataType::Timestamp(_, None) => Some(BoundType::Timestamp),
        DataType::Timestamp(_, Some(_)) => Some(BoundType::TimestampUtc),
        _ => None,
    }
}

/// The query with bounds, so that it can be planned: those of a moment, of the type that the
/// column has. The type is not known before the query is planned once.
pub(super) fn with_bounds(
    statement: &Statement,
    schema: Option<&Schema>,
    column: &str,
) -> Statement {
    let names = schema.iter().flat_map(|schema| schema.fields());
    let mut names = names.map(|field| field.name().as_str());
    let spelled = names.find(|name| name.eq_ignore_ascii_case(column));
    let bounds = schema.zip(spelled);
    let bounds = bounds.and_then(|(schema, column)| bound_type(schema, column));
    let bounds = bounds.unwrap_or(BoundType::Timestamp);
    let epoch = Instant(0);
    bounded(statement, bounds, (epoch, epoch))
}

/// The query for the time from one moment (inclusive) to another (exclusive).
pub(crate) fn bounded(
    statement: &Statement,
    bounds: BoundType,
    (start, end): (Instant, Instant),
) -> Statement {
    let mut statement = statement.clone();
    fill_placeholders(&mut statement, |name| match name {
        INTERVAL_START => literal(bounds, start),
        INTERVAL_END => literal(bounds, end),
        _ => None,
    });
    statement
}

fn literal(bounds: BoundType, moment: Instant) -> Option<sql::Expression> {
    let text = match bounds {
        BoundType::Date => format!("DATE '{}'", moment.day()),
        BoundType::Timestamp => {
            format!(
                "arrow_cast('{}', 'Timestamp(Microsecond, None)')",
                moment.rfc3339()
            )
        }
        BoundType::TimestampUtc => format!(
            "arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')",
            moment.rfc3339()
        ),
    };
    // The text is ours: it is an expression.
    parse_expression(&text).ok()
}

/// The columns of the stored table, which may have more than the query gives.
pub(super) fn stored_schema(mode: &Mode, query: &SchemaRef) -> SchemaRef {
    let Mode::Scd2(scd2) = mode else {
        return Arc::clone(query);
    };
    let sequence = query.field_with_name(&scd2.sequence_by);
    let sequence = sequence.map_or(DataType::Null, |field| field.data_type().clone());
    let mut fields: Vec<FieldRef> = query.fields().iter().cloned().collect();
    for name in [START_COLUMN, END_COLUMN] {
        fields.push(Arc::new(Field::new(name, sequence.clone(), true)));
    }
    Arc::new(Schema::new_with_metadata(fields, query.metadata().clone()))
}

/// What the columns of the stored table are made of.
pub(super) fn stored_origins(mode: &Mode, query: Vec<ColumnOrigins>) -> Vec<ColumnOrigins> {
    let mut columns = query;
    let Mode::Scd2(scd2) = mode else {
        return columns;
    };
    let mut known = columns.iter();
    let sequence = known.find(|known| known.column == scd2.sequence_by);
    let origins = sequence.map_or_else(Origins::default, |known| known.origins.clone());
    for name in [START_COLUMN, END_COLUMN] {
        columns.push(ColumnOrigins {
            column: name.to_owned(),
            origins: origins.clone(),
        });
    }
    columns
}
