//! How a table of a query is kept up to date: `mode:` and `refresh:`.

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, choice, decode_record, record};
use super::interval::Interval;
use super::scalar::{AtLeastOne, word};
use super::schema::Definitions;
use super::sql_text::SqlText;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::{Node, NodeKind};

/// How a table is kept up to date when what it reads changes.
#[derive(Debug, Clone)]
pub enum Mode {
    /// All rows are made again.
    Full,
    /// New rows of a table are added, whatever becomes of those that are there.
    Append(Append),
    /// Rows of equal keys replace each other.
    Merge(Merge),
    /// Each state of a key has the time from and to which it was so.
    Scd2(Scd2),
    /// The rows of each interval of time are made once.
    Interval(Interval),
}

/// The modes that may say no more than their name.
const PLAIN: [&str; 2] = ["full", "append"];

/// The modes that need more than their name, each with what to write.
const NEEDY: [(&str, &str); 3] = [
    ("merge", "mode: {merge: {keys: [id]}}"),
    (
        "scd2",
        "mode: {scd2: {keys: [id], sequence_by: updated_at}}",
    ),
    (
        "interval",
        "mode: {interval: {column: day, every: 1d, start: 2026-01-01}}",
    ),
];

impl Decode for Mode {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Mapping(_) = &node.kind {
            let written: ModeMapping = decode_record(node, cx)?;
            return Some(match written.kind {
                ModeKind::Append(append) => Self::Append(append),
                ModeKind::Merge(merge) => Self::Merge(merge),
                ModeKind::Scd2(scd2) => Self::Scd2(scd2),
                ModeKind::Interval(interval) => Self::Interval(interval),
            });
        }
        let NodeKind::Scalar(_) = &node.kind else {
            cx.wrong_type(
                "`full`, `append`, or a mapping such as `{merge: {...}}`",
                node,
            );
            return None;
        };
        let text = String::decode(node, cx)?;
        match text.as_str() {
            "full" => return Some(Self::Full),
            "append" => {
                return Some(Self::Append(Append {
                    from: None,
                    span: node.span,
                }));
            }
            _ => {}
        }
        if let Some((name, example)) = NEEDY.iter().find(|(name, _)| *name == text) {
            cx.report(
                Diagnostic::error("missing_key", format!("the mode `{name}` needs its keys"))
                    .help(format!("write such as `{example}`")),
                node.span,
            );
            return None;
        }
        let names = PLAIN.into_iter().chain(NEEDY.map(|(name, _)| name));
        let names: Vec<(&str, ())> = names.map(|name| (name, ())).collect();
        word("mode", &names, node, cx);
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let mapping = ModeMapping::schema(defs);
        json!({"anyOf": [{"enum": PLAIN}, mapping]})
    }
}

record! {
    /// A mode with its settings.
    pub struct ModeMapping as "`mode`" {
        /// Exactly one of these keys.
        .. kind: ModeKind,
    }
}

impl Check for ModeMapping {}

choice! {
    /// The modes that have settings.
    pub enum ModeKind {
        /// New rows of a table are added, whatever becomes of those that are there.
        "append" Append(Append),
        /// Rows of equal keys replace each other.
        "merge" Merge(Merge),
        /// Each state of a key, with the time from which (`__start_at`) and to which (`__end_at`) it was so.
        "scd2" Scd2(Scd2),
        /// The rows of each interval of time are made once, and replaced whole when made again.
        "interval" Interval(Interval),
    }
}

record! {
    /// Only rows that are new in a table are read.
    pub struct Append as "`append`" {
        /// The table whose new rows are read, where the query reads several; the others are read whole.
        "from" from: Option<Spanned<String>>,
    }
}

impl Check for Append {}

record! {
    /// Rows of equal keys replace each other; updates and deletes of the table that is read arrive, too.
    pub struct Merge as "`merge`" {
        /// The columns that tell rows apart.
        "keys" keys: AtLeastOne<Spanned<String>>,
        /// The column by which of several rows of one key the last is taken.
        "sequence_by" sequence_by: Option<Spanned<String>>,
        /// A condition in SQL on a row of the query; where it is TRUE, the row of that key is removed.
        "delete_when" delete_when: Option<SqlText>,
        /// The table whose changes are read, where the query reads several; the others are read whole.
        "from" from: Option<Spanned<String>>,
    }
}

impl Check for Merge {}

record! {
    /// Slowly changing dimension, type 2: the history of each key.
    pub struct Scd2 as "`scd2`" {
        /// The columns that tell things apart whose history is kept.
        "keys" keys: AtLeastOne<Spanned<String>>,
        /// The column that says since when a row holds; late rows are put where they belong.
        "sequence_by" sequence_by: Spanned<String>,
        /// A condition in SQL on a row of the query; where it is TRUE, the history of that key ends.
        "delete_when" delete_when: Option<SqlText>,
        /// The table whose changes are read, where the query reads several; the others are read whole.
        "from" from: Option<Spanned<String>>,
    }
}

impl Check for Scd2 {}

/// What happens when rows that are there do not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// The table is made anew in full where its definition changed.
    #[default]
    Auto,
    /// The stage fails rather than make the table anew.
    Strict,
    /// The table is made anew in full whenever anything changed.
    Full,
}

const REFRESH: &[(&str, Refresh)] = &[
    ("auto", Refresh::Auto),
    ("strict", Refresh::Strict),
    ("full", Refresh::Full),
];

impl Decode for Refresh {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("refresh", REFRESH, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": REFRESH.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

/// Whether the `mode:` of a table, if there is one, is `interval`, so that its query knows
/// `${start}` and `${end}`; before it is decoded.
pub(super) fn has_intervals(fields: &Fields<'_>) -> bool {
    let entry = fields.entry("mode").map(|entry| &entry.value.kind);
    match entry {
        Some(NodeKind::Mapping(mapping)) => {
            let mut keys = mapping.entries.iter();
            keys.any(|entry| entry.key.text == "interval")
        }
        _ => false,
    }
}
