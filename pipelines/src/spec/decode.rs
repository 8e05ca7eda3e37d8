//! From nodes to types: one definition gives decoder, schema and documentation.
//!
//! [`Decode`] is implemented by everything that can be a value. A mapping with fixed keys is
//! defined with [`record!`]; a group of keys of which exactly one must stand, with
//! [`choice!`]; both implement [`Part`], which lets one be made of others. Decoding reports
//! into the [`Context`] and goes on, so that all errors of a file come at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::load::Overrides;
use super::pipeline::Vars;
use super::schema::{Definitions, ObjectSchema};
use super::variables::Variables;
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::project::Project;
use crate::source::{SourceFile, Span};
use crate::yaml::{Entry, Mapping, Node, NodeKind};

/// What decoding needs and fills.
pub(crate) struct Context<'a> {
    /// The pipeline file.
    pub(crate) source: Arc<SourceFile>,
    /// Where the project lies.
    pub(crate) project: &'a Project,
    /// The variables and the environment.
    pub(crate) variables: Variables,
    /// The decoded `vars:`, which come first; `None` when they are wrong.
    pub(crate) vars: Option<Vars>,
    /// What the command line says otherwise than the file.
    pub(crate) overrides: Overrides,
    /// The file's own mapping, where it has tests: they look at tables again.
    pub(crate) pipeline: Option<Arc<Mapping>>,
    /// The files of queries that were read, by their paths as written.
    pub(crate) files: BTreeMap<String, String>,
    /// What is wrong so far.
    pub(crate) diagnostics: Diagnostics,
}

impl Context<'_> {
    /// Reports an error at a span of the pipeline file.
    pub(crate) fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span) {
        self.report(Diagnostic::error(code, message), span);
    }

    /// Reports at a span of the pipeline file.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic, span: Span) {
        self.diagnostics.push(diagnostic.at(&self.source, span));
    }

    /// Reports that something else was expected than what stands at a node.
    pub(crate) fn wrong_type(&mut self, expected: &str, node: &Node) {
        let found = match &node.kind {
            NodeKind::Refused => return,
            NodeKind::Empty => {
                return self.report(
                    Diagnostic::error("missing_value", format!("expected {expected}, found nothing"))
                        .label("a value belongs here")
                        .help("characters that YAML takes for itself (`,` `#` `*` `&` `{` `[` `|`) must be quoted"),
                    node.span,
                );
            }
            NodeKind::Scalar(scalar) if scalar.is_plain() => {
                format!("`{}`", shorten(&scalar.text))
            }
            NodeKind::Scalar(scalar) => format!("the text \"{}\"", shorten(&scalar.text)),
            _ => node.describe().to_owned(),
        };
        self.error(
            "wrong_type",
            format!("expected {expected}, found {found}"),
            self.visible(node),
        );
    }

    /// As [`Context::wrong_type`], for a mapping with fixed keys.
    fn wrong_record(&mut self, what: &str, keys: &[&str], node: &Node) {
        let before = self.diagnostics.len();
        self.wrong_type(&format!("{what} (a mapping)"), node);
        if self.diagnostics.len() > before {
            self.diagnostics
                .help_last(format!("its keys are {}", list(keys)));
        }
    }

    /// The span of a node to show: of a collection only its first line.
    pub(crate) fn visible(&self, node: &Node) -> Span {
        let text = self.source.slice(node.span);
        let len = text.find('\n').unwrap_or(text.len());
        Span {
            start: node.span.start,
            len,
        }
    }

    /// The entries of a mapping, or a report.
    pub(crate) fn mapping<'n>(&mut self, expected: &str, node: &'n Node) -> Option<&'n Mapping> {
        match &node.kind {
            NodeKind::Mapping(mapping) => Some(mapping),
            _ => {
                self.wrong_type(expected, node);
                None
            }
        }
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None if line.len() < text.trim_end().len() => format!("{line}..."),
        None => line.to_owned(),
    }
}

/// A type that a node can be decoded to.
pub(crate) trait Decode: Sized {
    /// The value, or `None` after having reported why not.
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self>;

    /// The value when the key is not there; `None` makes the key required.
    fn absent() -> Option<Self> {
        None
    }

    /// The JSON Schema of the value.
    fn schema(defs: &mut Definitions) -> Json;
}

/// A type that is some of the keys of a mapping.
pub(crate) trait Part: Sized {
    /// All keys that it takes, with what they mean.
    fn keys() -> Vec<&'static str>;

    /// The value, or `None` after having reported why not. Unknown keys are not its concern.
    fn decode_part(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Self>;

    /// Adds its keys to the schema of a mapping.
    fn schema_part(object: &mut ObjectSchema, defs: &mut Definitions);
}

/// A mapping with fixed keys.
pub(crate) trait Record: Part {
    /// What it is, with an article: "a table".
    const WHAT: &'static str;
}

/// What must hold between the keys of a record.
pub(crate) trait Check {
    /// True when it holds; else false, after having reported why.
    fn check(&self, _fields: &Fields<'_>, _cx: &mut Context<'_>) -> bool {
        true
    }
}

/// The mapping that a [`Part`] is decoded from.
pub(crate) struct Fields<'a> {
    /// What the mapping is, with an article: "a table".
    pub(crate) what: &'static str,
    /// Its entries.
    pub(crate) mapping: &'a Mapping,
    /// Where to point when something is missing.
    pub(crate) span: Span,
}

impl Fields<'_> {
    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.mapping
            .entries
            .iter()
            .find(|entry| entry.key.text == key)
    }

    /// Decodes the value of a key, or reports that it is missing.
    pub(crate) fn field<T: Decode>(&self, key: &str, cx: &mut Context<'_>) -> Option<T> {
        if let Some(entry) = self.entry(key) {
            return T::decode(&entry.value, cx);
        }
        let absent = T::absent();
        if absent.is_none() {
            cx.report(
                Diagnostic::error(
                    "missing_key",
                    format!("{} needs the key `{key}`", self.what),
                )
                .label(format!("`{key}:` is missing")),
                self.span,
            );
        }
        absent
    }
}

/// Decodes a mapping whose keys are exactly those of `T`.
pub(crate) fn decode_record<T: Record>(node: &Node, cx: &mut Context<'_>) -> Option<T> {
    let what = T::WHAT;
    let empty = Mapping::default();
    let keys = T::keys();
    let mapping = match &node.kind {
        NodeKind::Empty => &empty,
        NodeKind::Mapping(mapping) => mapping,
        _ => {
            cx.wrong_record(what, &keys, node);
            return None;
        }
    };
    let mut all_known = true;
    for entry in &mapping.entries {
        if cx.diagnostics.is_full() {
            return None;
        }
        if !keys.contains(&entry.key.text.as_str()) {
            all_known = false;
            unknown_key(what, &keys, mapping, entry, cx);
        }
    }
    let span = match mapping.entries.first() {
        Some(first) if !mapping.flow => first.key.span,
        _ => cx.visible(node),
    };
    let fields = Fields {
        what,
        mapping,
        span,
    };
    T::decode_part(&fields, cx).filter(|_| all_known)
}

fn unknown_key(what: &str, keys: &[&str], mapping: &Mapping, entry: &Entry, cx: &mut Context<'_>) {
    let key = &entry.key.text;
    let first = mapping.entries.first() == Some(entry);
    if mapping.flow && !first && entry.value.kind == NodeKind::Empty {
        return cx.report(
            Diagnostic::error(
                "yaml_comma",
                "a comma inside `{...}` ends the value before it",
            )
            .label("read as a key of its own")
            .help(
                "quote the whole value, or write the keys on lines of their own, without `{...}`",
            ),
            entry.key.span,
        );
    }
    let elsewhere = super::pipeline::records_with(key);
    let near = did_you_mean(key, keys.iter().copied());
    let elsewhere = (!elsewhere.is_empty()).then(|| {
        format!(
            "`{key}` is a key of {}; is the indentation right?",
            elsewhere.join(" and ")
        )
    });
    let help = match (near, elsewhere) {
        (Some(near), Some(elsewhere)) => format!("{near} ({elsewhere})"),
        (Some(help), None) | (None, Some(help)) => help,
        (None, None) => format!("the keys of {what} are {}", list(keys)),
    };
    cx.report(
        Diagnostic::error("unknown_key", format!("unknown key `{key}` in {what}")).help(help),
        entry.key.span,
    );
}

/// `a`, `b` and `c`, each in backquotes.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

/// Of a group of keys exactly one must stand: gives that entry, or reports.
pub(crate) fn exactly_one<'f>(
    keys: &[&'static str],
    fields: &'f Fields<'_>,
    cx: &mut Context<'_>,
) -> Option<&'f Entry> {
    let mut found = fields
        .mapping
        .entries
        .iter()
        .filter(|entry| keys.contains(&entry.key.text.as_str()));
    let Some(first) = found.next() else {
        cx.report(
            Diagnostic::error(
                "missing_key",
                format!("{} needs one of the keys {}", fields.what, list(keys)),
            )
            .label("none of them is here"),
            fields.span,
        );
        return None;
    };
    let Some(second) = found.next() else {
        return Some(first);
    };
    let (a, b) = (&first.key, &second.key);
    let source = Arc::clone(&cx.source);
    cx.report(
        Diagnostic::error(
            "conflicting_keys",
            format!("{} has both `{}` and `{}`", fields.what, a.text, b.text),
        )
        .label("only one of the two can stand")
        .related(
            crate::source::Location {
                source,
                span: a.span,
            },
            "the other one",
        ),
        b.span,
    );
    None
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        T::decode(node, cx).map(Self::new)
    }

    fn schema(defs: &mut Definitions) -> Json {
        T::schema(defs)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        T::decode(node, cx).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema(defs: &mut Definitions) -> Json {
        T::schema(defs)
    }
}

/// Defines a mapping with fixed keys.
///
/// `"key" field: Type` is a key of its own; `.. field: Type` takes the keys of another
/// record or choice. The documentation of a field is the description in the schema.
/// With `#[derive(Default)]` the record itself may be left out.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($also:ident)])?
        $vis:vis struct $name:ident as $what:literal {
            $( $(#[doc = $field_doc:literal])* $($key:literal)? $(..)? $field:ident : $ty:ty ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone $(, $also)?)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $vis $field: $ty, )*
            /// Where it stands.
            $vis span: $crate::source::Span,
        }

        impl $crate::spec::decode::Part for $name {
            fn keys() -> Vec<&'static str> {
                [$( $crate::spec::decode::record!(@keys [$($key)?] $ty) ),*].concat()
            }

            fn decode_part(
                fields: &$crate::spec::decode::Fields<'_>,
                cx: &mut $crate::spec::decode::Context<'_>,
            ) -> Option<Self> {
                $( let $field = $crate::spec::decode::record!(@decode fields cx [$($key)?] $ty); )*
                let record = Self { $( $field: $field?, )* span: fields.span };
                $crate::spec::decode::Check::check(&record, fields, cx).then_some(record)
            }

            fn schema_part(
                object: &mut $crate::spec::schema::ObjectSchema,
                defs: &mut $crate::spec::schema::Definitions,
            ) {
                $( $crate::spec::decode::record!(
                    @schema object defs [$($key)?] $ty, concat!($($field_doc, "\n"),*)
                ); )*
            }
        }

        impl $crate::spec::decode::Record for $name {
            const WHAT: &'static str = $what;
        }

        impl $crate::spec::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node,
                cx: &mut $crate::spec::decode::Context<'_>,
            ) -> Option<Self> {
                $crate::spec::decode::decode_record(node, cx)
            }

            $( fn absent() -> Option<Self> {
                Some(<Self as $also>::default())
            } )?

            fn schema(defs: &mut $crate::spec::schema::Definitions) -> serde_json::Value {
                defs.reference(stringify!($name), |defs| {
                    let mut object = $crate::spec::schema::ObjectSchema::default();
                    <Self as $crate::spec::decode::Part>::schema_part(&mut object, defs);
                    object.into_json(concat!($($doc, "\n"),*))
                })
            }
        }
    };
    (@keys [] $ty:ty) => { <$ty as $crate::spec::decode::Part>::keys() };
    (@keys [$key:literal] $ty:ty) => { vec![$key] };
    (@decode $fields:ident $cx:ident [] $ty:ty) => {
        <$ty as $crate::spec::decode::Part>::decode_part($fields, $cx)
    };
    (@decode $fields:ident $cx:ident [$key:literal] $ty:ty) => { $fields.field::<$ty>($key, $cx) };
    (@schema $object:ident $defs:ident [] $ty:ty, $doc:expr) => {
        <$ty as $crate::spec::decode::Part>::schema_part($object, $defs);
    };
    (@schema $object:ident $defs:ident [$key:literal] $ty:ty, $doc:expr) => {
        let schema = <$ty as $crate::spec::decode::Decode>::schema($defs);
        let required = <$ty as $crate::spec::decode::Decode>::absent().is_none();
        $object.property($key, schema, $doc, required);
    };
}

/// Defines a group of keys of which exactly one must stand.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $key:literal $variant:ident ( $ty:ty ) ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        $vis enum $name {
            $( $(#[doc = $variant_doc])* $variant($ty), )*
        }

        impl $crate::spec::decode::Part for $name {
            fn keys() -> Vec<&'static str> {
                vec![$($key),*]
            }

            fn decode_part(
                fields: &$crate::spec::decode::Fields<'_>,
                cx: &mut $crate::spec::decode::Context<'_>,
            ) -> Option<Self> {
                let keys = [$($key),*];
                let entry = $crate::spec::decode::exactly_one(&keys, fields, cx)?;
                match entry.key.text.as_str() {
                    $( $key => {
                        <$ty as $crate::spec::decode::Decode>::decode(&entry.value, cx)
                            .map(Self::$variant)
                    } )*
                    _ => None,
                }
            }

            fn schema_part(
                object: &mut $crate::spec::schema::ObjectSchema,
                defs: &mut $crate::spec::schema::Definitions,
            ) {
                $( let schema = <$ty as $crate::spec::decode::Decode>::schema(defs);
                object.property($key, schema, concat!($($variant_doc, "\n"),*), false); )*
                object.one_of(&[$($key),*]);
            }
        }
    };
}

pub(crate) use choice;
pub(crate) use record;
