//! From a path to a [`Spec`], or to all that is wrong with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::decode::{Context, Decode, Fields, decode_record};
use super::definitions::{KeptDefinitions, PipelineDefinitions};
use super::name::{Named, VariableNames};
use super::pipeline::{
    LakehousePath, PipelineFile, Spec, Variable, Vars, refuse_lakehouse, refuse_later_keys,
};
use super::sound::Broken;
use super::value::{self, Value, ValueKind};
use super::variables::{Variables, as_text};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::project::Project;
use crate::source::{SourceFile, Span, Spanned};
use crate::yaml::{self, Mapping, Node, NodeKind};

/// What a command line says otherwise than the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--lakehouse DIR`, relative to the working folder.
    pub lakehouse: Option<PathBuf>,
    /// `--set var=value`, in order; the last one for a variable wins.
    pub set: Vec<(String, String)>,
    /// Where `${env:NAME}` comes from.
    pub environment: Environment,
    /// What an earlier run kept, in place of the files that the pipeline names.
    pub kept: Option<KeptDefinitions>,
}

/// Where `${env:NAME}` comes from.
#[derive(Debug, Clone, Default)]
pub enum Environment {
    /// The process's own environment.
    #[default]
    Process,
    /// These, and nothing else.
    Fixed(BTreeMap<String, String>),
}

impl Environment {
    /// The value of a variable of the environment, if it is set and is UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(values) => values.get(name).cloned(),
        }
    }
}

/// Reads the pipeline of a project.
///
/// Warnings come with the spec.
///
/// # Errors
/// Everything that is wrong with the file and the SQL files it names, sorted by place.
pub fn load(project: &Project, overrides: &Overrides) -> Result<(Spec, Diagnostics), Diagnostics> {
    load_source(project, project.read()?, overrides)
}

/// [`load`] with the pipeline file's text at hand.
///
/// # Errors
/// As [`load`].
pub fn load_source(
    project: &Project,
    source: SourceFile,
    overrides: &Overrides,
) -> Result<(Spec, Diagnostics), Diagnostics> {
    let source = Arc::new(source);
    let mut cx = context(project, &source, overrides);
    let Some(mut root) = yaml::parse(&source, &mut cx.diagnostics) else {
        cx.diagnostics.sort();
        return Err(cx.diagnostics);
    };
    if let (Some(kept), NodeKind::Mapping(pipeline)) = (&overrides.kept, &mut root.kind) {
        kept.narrow(pipeline);
    }
    let lakehouse = overridden_lakehouse(overrides, &mut cx);
    let file = decode_file(&root, overrides, &mut cx);
    if let Some(file) = &file
        && file.tables.is_empty()
        && file.tokenizers.is_empty()
        && file.models.is_empty()
        && file.reports.is_empty()
        && cx.diagnostics.is_empty()
    {
        let warning = Diagnostic::warning("empty_pipeline", "this pipeline makes nothing");
        cx.report(warning.help("add tables below `tables:`"), file.span);
    }
    let files = std::mem::take(&mut cx.files);
    let definitions = PipelineDefinitions::of(project, &source, &root, files, overrides);
    let spec = file.map(|file| Spec {
        project: project.clone(),
        source,
        definitions: Arc::new(definitions),
        pipeline: file.pipeline.name,
        lakehouse: lakehouse
            .or(file.lakehouse)
            .unwrap_or_else(|| LakehousePath::default_of(project)),
        vars: file.vars.0,
        tables: file.tables,
        tokenizers: file.tokenizers,
        models: file.models,
        defaults: file.defaults,
        maintain: file.maintain,
        reports: file.reports,
        openlineage: file.openlineage.map(|to| told_to(project, &to)),
        tests: file.tests,
        schedule: file.schedule,
        on_failure: file.on_failure,
        on_success: file.on_success,
        broken: Broken::default(),
    });
    match spec {
        Some(spec) => cx.diagnostics.into_result(spec),
        None => {
            cx.diagnostics.sort();
            Err(cx.diagnostics)
        }
    }
}

/// A URL as it is, a file as it can be opened from here.
fn told_to(project: &Project, written: &str) -> String {
    match written.contains("://") {
        true => written.to_owned(),
        false => project.resolve(written).display().to_string(),
    }
}

/// What decoding a pipeline begins with.
pub(super) fn context<'a>(
    project: &'a Project,
    source: &Arc<SourceFile>,
    overrides: &Overrides,
) -> Context<'a> {
    Context {
        source: Arc::clone(source),
        project,
        variables: Variables {
            environment: overrides.environment.clone(),
            ..Variables::default()
        },
        vars: None,
        overrides: overrides.clone(),
        pipeline: None,
        files: BTreeMap::new(),
        diagnostics: Diagnostics::new(),
    }
}

fn decode_file(root: &Node, overrides: &Overrides, cx: &mut Context<'_>) -> Option<PipelineFile> {
    if root.kind == NodeKind::Empty {
        cx.report(
            Diagnostic::error("missing_value", "this pipeline is empty")
                .help("begin with `pipeline: NAME`, then `tables:`"),
            Span::point(0),
        );
        return None;
    }
    let mapping = cx.mapping("a pipeline (a mapping)", root)?;
    cx.vars = decode_vars(mapping, overrides, cx);
    if mapping.get("tests").is_some() {
        cx.pipeline = Some(Arc::new(mapping.clone()));
    }
    let fields = Fields {
        what: "a pipeline",
        mapping,
        span: root.span,
    };
    let supported = refuse_later_keys(&fields, cx);
    // What was refused is not unknown as well.
    let mut known = mapping.clone();
    known.entries.retain(|entry| entry.key.text != "state");
    let known = Node {
        span: root.span,
        kind: NodeKind::Mapping(known),
    };
    decode_record::<PipelineFile>(&known, cx).filter(|_| supported)
}

/// Decodes `vars:` from top to bottom, so that each can use those above it.
pub(super) fn decode_vars(
    mapping: &Mapping,
    overrides: &Overrides,
    cx: &mut Context<'_>,
) -> Option<Vars> {
    let mut vars = Vec::new();
    let mut complete = true;
    if let Some(node) = mapping.get("vars") {
        let empty = Mapping::default();
        let declared = match &node.kind {
            NodeKind::Mapping(mapping) => mapping,
            NodeKind::Empty => &empty,
            _ => {
                cx.wrong_type("names, each of a variable", node);
                return None;
            }
        };
        cx.variables.declared_later = declared
            .entries
            .iter()
            .map(|entry| entry.key.text.clone())
            .collect();
        for entry in &declared.entries {
            if cx.diagnostics.is_full() {
                return None;
            }
            let name = Spanned::new(entry.key.text.clone(), entry.key.span);
            let value = decode_var(&name, &entry.value, overrides, cx);
            complete &= value.is_some();
            cx.variables.declared_later.remove(&name.value);
            let kind = value.as_ref().map(|value| value.kind.clone());
            cx.variables.values.insert(name.value.clone(), kind);
            vars.extend(value.map(|value| (name, value)));
        }
        // Names are checked as those of any mapping; the values are known by now.
        complete &= check_names(node, cx);
    }
    for (name, _) in &overrides.set {
        if !cx.variables.values.contains_key(name) {
            complete = false;
            let names = cx.variables.values.keys().map(String::as_str);
            let help = did_you_mean(name, names)
                .unwrap_or_else(|| "declare it under `vars:` in the pipeline".to_owned());
            let message = format!("--set {name}: the pipeline has no such variable");
            cx.diagnostics
                .push(Diagnostic::error("unknown_variable", message).help(help));
        }
    }
    complete.then_some(Vars(vars))
}

/// Any value, unread.
struct Unread;

impl Decode for Unread {
    fn decode(_node: &Node, _cx: &mut Context<'_>) -> Option<Self> {
        Some(Self)
    }

    fn schema(_defs: &mut super::schema::Definitions) -> serde_json::Value {
        serde_json::Value::Bool(true)
    }
}

fn check_names(node: &Node, cx: &mut Context<'_>) -> bool {
    Named::<VariableNames, Unread>::decode(node, cx).is_some()
}

/// The value of a variable: what `--set` says in the type that the file declares, else what
/// the file says. What is overridden may stand for nothing, such as a missing `${env:NAME}`.
fn decode_var(
    name: &str,
    node: &Node,
    overrides: &Overrides,
    cx: &mut Context<'_>,
) -> Option<Value> {
    let before = cx.diagnostics.len();
    let declared = Variable::decode(node, cx).map(|declared| declared.0);
    let Some((_, text)) = overrides.set.iter().rev().find(|(set, _)| set == name) else {
        return declared;
    };
    cx.diagnostics.truncate(before);
    let declared = declared.unwrap_or(Value {
        kind: ValueKind::Null,
        span: node.span,
    });
    override_value(name, text, declared, cx)
}

fn override_value(name: &str, text: &str, declared: Value, cx: &mut Context<'_>) -> Option<Value> {
    let read = value::plain(text).unwrap_or_else(|_| ValueKind::Text(text.to_owned()));
    let (kind, expected) = match (&declared.kind, read) {
        (ValueKind::Text(_), _) => (Some(ValueKind::Text(text.to_owned())), "a text"),
        (ValueKind::Number(_), read @ ValueKind::Number(_)) => (Some(read), "a number"),
        (ValueKind::Number(_), _) => (None, "a number"),
        (ValueKind::Bool(_), read @ ValueKind::Bool(_)) => (Some(read), "`true` or `false`"),
        (ValueKind::Bool(_), _) => (None, "`true` or `false`"),
        (_, read) => (Some(read), "a value"),
    };
    let Some(kind) = kind else {
        let message = format!("--set {name}={text}: this variable is {expected}");
        cx.report(
            Diagnostic::error("wrong_type", message)
                .label(format!("declared here as {}", as_text(&declared.kind))),
            declared.span,
        );
        return None;
    };
    Some(Value { kind, ..declared })
}

fn overridden_lakehouse(overrides: &Overrides, cx: &mut Context<'_>) -> Option<LakehousePath> {
    let path = overrides.lakehouse.clone()?;
    if let Some(mut diagnostic) = path.to_str().and_then(refuse_lakehouse) {
        diagnostic.message = format!("--lakehouse: {}", diagnostic.message);
        cx.diagnostics.push(diagnostic);
    }
    Some(LakehousePath { path, span: None })
}
