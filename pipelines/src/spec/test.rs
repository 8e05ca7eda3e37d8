//! `tests:`: what a table comes to for given rows.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use super::decode::{Check, Context, Decode, Fields, choice, decode_record, record};
use super::fixture::{Expected, Fixture};
use super::load::decode_vars;
use super::name::{Named, TableNames, VariableNames};
use super::pipeline::Variable;
use super::scalar::Required;
use super::schema::Definitions;
use super::table::TableSpec;
use super::value::{Value, ValueKind};
use super::variables::{Variables, as_text};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::{Span, Spanned};
use crate::yaml::{Mapping, Node, NodeKind};

record! {
    /// A test: what a table comes to for given rows of its inputs, computed in memory.
    pub(super) struct TestBody as "a test" {
        /// What it shows, for people.
        "comment" comment: Option<Spanned<String>>,
        /// The table under test, one that a query makes.
        "table" table: Required<Spanned<String>>,
        /// Values of variables in place of those of the pipeline, for this test.
        "vars" vars: TestVars,
        /// Rows of the tables that the query reads; those that are not here are empty.
        "given" given: Named<TableNames, Fixture>,
        /// What comes of it: exactly one of these keys.
        .. outcome: Outcome,
    }
}

impl Check for TestBody {}

choice! {
    /// What comes of a test's rows.
    pub enum Outcome {
        /// The rows of the table: a list of rows, or `rows`, `csv` or `file` and how to compare. Columns that are not named are not compared.
        "expect" Rows(Expected),
        /// The table is not made: which rule fails it, or what the error says.
        "expect_error" Error(ExpectedError),
    }
}

record! {
    /// Why a table is not made.
    pub struct ExpectedError as "an expected error" {
        /// The rule with `otherwise: fail` that is broken.
        "rule" rule: Option<Spanned<String>>,
        /// A part of the error's words.
        "message" message: Option<Spanned<String>>,
    }
}

impl Check for ExpectedError {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let says = self.rule.is_some() || self.message.is_some();
        if !says {
            cx.report(
                Diagnostic::error(
                    "missing_key",
                    "an expected error needs `rule`, `message` or both",
                )
                .help("name the rule with `otherwise: fail`, or a part of what the error says"),
                fields.span,
            );
        }
        says
    }
}

/// A test of the file `tests:`, with the table as it is under the test's variables.
#[derive(Debug, Clone)]
pub struct TestSpec {
    /// What it shows, for people.
    pub comment: Option<Spanned<String>>,
    /// The table under test.
    pub table: Spanned<String>,
    /// The variables that it sets, with their values.
    pub vars: Vec<(Spanned<String>, Value)>,
    /// Rows of the tables that the query reads.
    pub given: Named<TableNames, Fixture>,
    /// What comes of it.
    pub outcome: Outcome,
    /// The table's definition with the test's own variables; `None` where it sets none.
    pub variant: Option<Box<TableSpec>>,
    /// Where it stands.
    pub span: Span,
}

impl Decode for TestSpec {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let changed = match &node.kind {
            NodeKind::Mapping(mapping) => own_vars(mapping, cx)?,
            _ => None,
        };
        let Some(changed) = changed else {
            return Some(Self::new(decode_record(node, cx)?, None));
        };
        let usual = std::mem::replace(&mut cx.variables, changed);
        let body: Option<TestBody> = decode_record(node, cx);
        let variant = body.as_ref().and_then(|body| variant(&body.table, cx));
        cx.variables = usual;
        Some(Self::new(body?, variant))
    }

    fn schema(defs: &mut Definitions) -> Json {
        TestBody::schema(defs)
    }
}

impl TestSpec {
    fn new(body: TestBody, variant: Option<Box<TableSpec>>) -> Self {
        Self {
            comment: body.comment,
            table: Spanned::clone(&body.table),
            vars: body
                .vars
                .0
                .iter()
                .map(|(name, value)| (name.clone(), value.0.clone()))
                .collect(),
            given: body.given,
            outcome: body.outcome,
            variant,
            span: body.span,
        }
    }
}

/// The table's definition as it is with the variables that count now. What is wrong with it
/// whatever they are is told where it stands among the tables, so that it is not told here.
fn variant(table: &str, cx: &mut Context<'_>) -> Option<Box<TableSpec>> {
    let pipeline = cx.pipeline.clone()?;
    let NodeKind::Mapping(tables) = &pipeline.get("tables")?.kind else {
        return None;
    };
    let mut tables = tables.entries.iter();
    let node = tables.find(|entry| entry.key.text.eq_ignore_ascii_case(table))?;
    let before = cx.diagnostics.len();
    let decoded = TableSpec::decode(&node.value, cx);
    if decoded.is_none() {
        cx.diagnostics.truncate(before);
    }
    decoded.map(Box::new)
}

/// The pipeline's variables with those of a test in place of theirs: inner `None` where it
/// sets none, outer where they are wrong.
fn own_vars(test: &Mapping, cx: &mut Context<'_>) -> Option<Option<Variables>> {
    let (Some(node), Some(pipeline)) = (test.get("vars"), cx.pipeline.clone()) else {
        return Some(None);
    };
    let vars = TestVars::decode(node, cx)?.0;
    let mut overrides = cx.overrides.clone();
    let mut sound = true;
    for (name, value) in vars.iter() {
        match cx.variables.values.get(&name.value) {
            // The pipeline's own is wrong, which is told.
            Some(None) => return None,
            Some(Some(declared)) if fits(declared, &value.0.kind) => {
                let text = as_text(&value.0.kind);
                overrides.set.push((name.value.clone(), text));
            }
            Some(Some(declared)) => {
                sound = false;
                let message = format!("the variable `{name}` is {}", kind(declared));
                let found = format!("not {}", kind(&value.0.kind));
                let diagnostic = Diagnostic::error("wrong_type", message).label(found);
                cx.report(diagnostic, value.0.span);
            }
            None => {
                sound = false;
                let names = cx.variables.values.keys().map(String::as_str);
                let help = did_you_mean(name, names)
                    .unwrap_or_else(|| "declare it under `vars:` of the pipeline".to_owned());
                let message = format!("the pipeline has no variable `{name}`");
                let diagnostic = Diagnostic::error("unknown_variable", message).help(help);
                cx.report(diagnostic, name.span);
            }
        }
    }
    if !sound {
        return None;
    }
    let fresh = Variables {
        environment: cx.variables.environment.clone(),
        filled_bytes: Rc::clone(&cx.variables.filled_bytes),
        ..Variables::default()
    };
    let usual = std::mem::replace(&mut cx.variables, fresh);
    let before = cx.diagnostics.len();
    let complete = decode_vars(&pipeline, &overrides, cx).is_some();
    // What is wrong with the pipeline's own is told already.
    cx.diagnostics.truncate(before);
    let changed = std::mem::replace(&mut cx.variables, usual);
    complete.then_some(Some(changed))
}

fn fits(declared: &ValueKind, value: &ValueKind) -> bool {
    matches!(declared, ValueKind::Null) || kind(declared) == kind(value)
}

fn kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::Null => "nothing",
        ValueKind::Bool(_) => "`true` or `false`",
        ValueKind::Number(_) => "a number",
        ValueKind::Text(_) => "a text",
        ValueKind::List(_) | ValueKind::Map(_) => "no single value",
    }
}

/// The variables that a test sets.
#[derive(Debug, Clone, Default)]
pub(super) struct TestVars(Arc<[(Spanned<String>, TestVar)]>);

/// The value that a test gives a variable.
#[derive(Debug, Clone)]
struct TestVar(Value);

impl Decode for TestVar {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        Variable::decode(node, cx).map(|variable| Self(variable.0))
    }

    fn schema(defs: &mut Definitions) -> Json {
        Variable::schema(defs)
    }
}

impl Decode for TestVars {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let vars = Named::<VariableNames, TestVar>::decode(node, cx)?;
        Some(Self(vars.iter().cloned().collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn schema(defs: &mut Definitions) -> Json {
        Named::<VariableNames, TestVar>::schema(defs)
    }
}
