//! The top of the file.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, Record, record};
use super::definitions::PipelineDefinitions;
use super::expectation::Expectation;
use super::fixture::{ExpectedBody, FixtureBody};
use super::hook::{HookSpec, WebhookSpec};
use super::ingest::{Csv, Ingest, JsonFiles};
use super::maintain::{
    Checkpoint, Keep, Maintain, Optimize, PipelineMaintain, TableMaintain, Vacuum,
};
use super::mode::{Merge, ModeMapping, Scd2};
use super::model::{ModelSpec, Register, Sweep, Train};
use super::name::{
    ModelNames, Name, Named, PipelineNames, ReportNames, TableNames, TokenizerNames, VariableNames,
};
use super::patience::Defaults;
use super::report::ReportSpec;
use super::schedule::{OrWhen, ScheduleSpec};
use super::schema::Definitions;
use super::scored::ScoredSpec;
use super::sound::Broken;
use super::table::{Split, TableSpec};
use super::test::{ExpectedError, TestBody, TestSpec};
use super::test_names::TestNames;
use super::tokenizer::{Bpe, TokenizerSpec, Unigram, WordPiece};
use super::validation::{BestThreshold, Validate};
use super::value::{Value, ValueKind};
use crate::diagnostic::Diagnostic;
use crate::project::Project;
use crate::source::{Location, SourceFile, Span, Spanned};
use crate::yaml::Node;

record! {
    /// A pipeline: what should exist, in no order.
    pub(super) struct PipelineFile as "a pipeline" {
        /// The pipeline's name; one lakehouse can hold the tables of several.
        "pipeline" pipeline: Name<PipelineNames>,
        /// The folder that holds the tables and models, relative to this file; by default `lakehouse`.
        "lakehouse" lakehouse: Option<LakehousePath>,
        /// Values that `${name}` stands for; `--set name=value` overrides them.
        "vars" vars: Vars,
        /// What holds for every asset that does not say otherwise: `retries` and `timeout`.
        "defaults" defaults: Defaults,
        /// How tables, and the memory of runs, are looked after.
        "maintain" maintain: PipelineMaintain,
        /// Tables by name, as `layer.table`.
        "tables" tables: Named<TableNames, TableSpec>,
        /// Tokenizers by name, which they are registered under. No tokenizer has the name of a model.
        "tokenizers" tokenizers: Named<TokenizerNames, TokenizerSpec>,
        /// Models by name.
        "models" models: Named<ModelNames, ModelSpec>,
        /// Reports by name: pages to look at. No report has the name of a model.
        "reports" reports: Named<ReportNames, ReportSpec>,
        /// When `sluice schedule` runs the pipeline.
        "schedule" schedule: Option<ScheduleSpec>,
        /// Who is told when a run failed.
        "on_failure" on_failure: Option<HookSpec>,
        /// Who is told when a run went well.
        "on_success" on_success: Option<HookSpec>,
        /// Where OpenLineage is told of each run: the URL of a server, or a file that gets one event a line.
        "openlineage" openlineage: Option<Spanned<String>>,
        /// Tests by name: what tables come to for given rows. `sluice test` runs them, in memory.
        "tests" tests: Named<TestNames, TestSpec>,
    }
}

impl Check for PipelineFile {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        let spans = |names: &mut dyn Iterator<Item = &Spanned<String>>, what: &'static str| {
            let named = names.map(|name| (name.value.clone(), name.span, what));
            named.collect::<Vec<_>>()
        };
        let models = spans(&mut self.models.iter().map(|(name, _)| name), "model");
        let tokenizers = spans(
            &mut self.tokenizers.iter().map(|(name, _)| name),
            "tokenizer",
        );
        for (name, _) in &self.tokenizers {
            refuse_twice(name, &models, cx);
        }
        for (name, _) in &self.reports {
            refuse_twice(name, &[models.as_slice(), &tokenizers].concat(), cx);
        }
        for (_, model) in &self.models {
            let Some(registered) = model.register.as_ref().map(|register| &register.name) else {
                continue;
            };
            let same = |(name, _, _): &&Taken| name.eq_ignore_ascii_case(registered);
            if let Some((_, span, _)) = tokenizers.iter().find(same) {
                let message = format!("`{registered}` is a tokenizer, which is registered so, too");
                cx.report(
                    Diagnostic::error("duplicate_name", message)
                        .related(other(*span, cx), "the tokenizer")
                        .help("register the model under another name"),
                    registered.span,
                );
            }
        }
        cx.diagnostics.len() == before
    }
}

/// A name, where it stands, and what it names.
type Taken = (String, Span, &'static str);

fn other(span: Span, cx: &Context<'_>) -> Location {
    Location {
        source: Arc::clone(&cx.source),
        span,
    }
}

/// Reports a name that one of `others` has, too.
fn refuse_twice(name: &Spanned<String>, others: &[Taken], cx: &mut Context<'_>) {
    let same = |(other, _, _): &&Taken| other.eq_ignore_ascii_case(name);
    let Some((_, span, what)) = others.iter().find(same) else {
        return;
    };
    let message = format!("`{name}` is the name of a {what}, too");
    cx.report(
        Diagnostic::error("duplicate_name", message)
            .related(other(*span, cx), format!("the {what}"))
            .help("choose another name, so that `after:` can tell them apart"),
        name.span,
    );
}

/// The mappings of the language that have a key, each with an article.
pub(super) fn records_with(key: &str) -> Vec<&'static str> {
    fn record<T: Record>() -> (&'static str, Vec<&'static str>) {
        (T::WHAT, T::keys())
    }
    let records = [
        record::<PipelineFile>(),
        record::<Defaults>(),
        record::<PipelineMaintain>(),
        record::<TableMaintain>(),
        record::<Maintain>(),
        record::<Optimize>(),
        record::<Vacuum>(),
        record::<Checkpoint>(),
        record::<Keep>(),
        record::<TableSpec>(),
        record::<ScoredSpec>(),
        record::<Ingest>(),
        record::<Csv>(),
        record::<JsonFiles>(),
        record::<Expectation>(),
        record::<Split>(),
        record::<ModeMapping>(),
        record::<Merge>(),
        record::<Scd2>(),
        record::<TokenizerSpec>(),
        record::<WordPiece>(),
        record::<Bpe>(),
        record::<Unigram>(),
        record::<ModelSpec>(),
        record::<Train>(),
        record::<Sweep>(),
        record::<Validate>(),
        record::<BestThreshold>(),
        record::<Register>(),
        record::<ReportSpec>(),
        record::<ScheduleSpec>(),
        record::<OrWhen>(),
        record::<HookSpec>(),
        record::<WebhookSpec>(),
        record::<TestBody>(),
        record::<FixtureBody>(),
        record::<ExpectedBody>(),
        record::<ExpectedError>(),
    ];
    let having = records.into_iter().filter(|(_, keys)| keys.contains(&key));
    having.map(|(what, _)| what).collect()
}

/// The pipeline as written, with the place of every value.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where the project lies.
    pub project: Project,
    /// The pipeline file, which all spans of the spec point into.
    pub source: Arc<SourceFile>,
    /// What a run of it keeps.
    pub definitions: Arc<PipelineDefinitions>,
    /// `pipeline:`
    pub pipeline: Spanned<String>,
    /// `lakehouse:`, or what overrides it.
    pub lakehouse: LakehousePath,
    /// `vars:`, with overrides and the environment filled in.
    pub vars: Vec<(Spanned<String>, Value)>,
    /// `defaults:`
    pub defaults: Defaults,
    /// `maintain:`
    pub maintain: PipelineMaintain,
    /// `tables:`
    pub tables: Named<TableNames, TableSpec>,
    /// `tokenizers:`
    pub tokenizers: Named<TokenizerNames, TokenizerSpec>,
    /// `models:`
    pub models: Named<ModelNames, ModelSpec>,
    /// `reports:`
    pub reports: Named<ReportNames, ReportSpec>,
    /// `schedule:`
    pub schedule: Option<ScheduleSpec>,
    /// `on_failure:`
    pub on_failure: Option<HookSpec>,
    /// `on_success:`
    pub on_success: Option<HookSpec>,
    /// `openlineage:`, a file as it can be opened from here.
    pub openlineage: Option<String>,
    /// `tests:`
    pub tests: Named<TestNames, TestSpec>,
    /// Assets that are written wrong, and so are in none of these; none in a pipeline that loads.
    pub broken: Broken,
}

/// The folder of the lakehouse.
#[derive(Debug, Clone)]
pub struct LakehousePath {
    /// The folder, as it can be opened from here.
    pub path: PathBuf,
    /// Where `lakehouse:` stands; absent when overridden or left out.
    pub span: Option<Span>,
}

impl LakehousePath {
    /// The folder when the file does not say.
    pub(super) fn default_of(project: &Project) -> Self {
        Self {
            path: project.resolve("lakehouse"),
            span: None,
        }
    }
}

/// Why a text cannot be the folder of a lakehouse.
pub(super) fn refuse_lakehouse(text: &str) -> Option<Diagnostic> {
    if let Some((scheme, _)) = text.split_once("://") {
        let message = format!("lakehouses at `{scheme}://` are not supported yet");
        return Some(Diagnostic::error("not_supported", message).help("give the path of a folder"));
    }
    if text.trim().is_empty() {
        return Some(Diagnostic::error(
            "missing_value",
            "the path of the lakehouse is empty",
        ));
    }
    if text == "~" || text.starts_with("~/") {
        return Some(
            Diagnostic::error("not_supported", "`~` is not replaced in paths")
                .help("write `${env:HOME}` for your home folder"),
        );
    }
    None
}

impl Decode for LakehousePath {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = Spanned::<String>::decode(node, cx)?;
        if let Some(diagnostic) = refuse_lakehouse(&text) {
            cx.report(diagnostic, text.span);
            return None;
        }
        Some(Self {
            path: cx.project.resolve(&text.value),
            span: Some(text.span),
        })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}

/// The value of a variable: a single value.
#[derive(Debug, Clone)]
pub(super) struct Variable(pub(super) Value);

impl Decode for Variable {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let value = Value::decode(node, cx)?;
        if let ValueKind::List(_) | ValueKind::Map(_) = value.kind {
            cx.wrong_type("a single value for a variable", node);
            return None;
        }
        Some(Self(value))
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": ["string", "number", "boolean", "null"]})
    }
}

/// All variables with their values. They are needed before the rest, and so are decoded
/// by [`super::load`]; decoding takes what it left in the context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars(pub(super) Vec<(Spanned<String>, Value)>);

impl Decode for Vars {
    fn decode(_node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        cx.vars.take()
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn schema(defs: &mut Definitions) -> Json {
        Named::<VariableNames, Variable>::schema(defs)
    }
}

/// Refuses keys that belong to the language but not to this version.
pub(super) fn refuse_later_keys(fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
    let Some(entry) = fields.entry("state") else {
        return true;
    };
    cx.report(
        Diagnostic::error("not_supported", "`state:` is not supported yet")
            .help("take it out: the state is kept in the lakehouse, in `state.db`"),
        entry.key.span,
    );
    false
}
