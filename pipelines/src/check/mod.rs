//! From a spec to a plan: names are resolved, edges found, types checked.
//!
//! [`check`] collects everything that is wrong, except what only follows from something
//! else that is: a query over a table that itself is broken is not planned.
//!
//! [`edges`] finds what each asset depends on, [`graph`] orders them, [`tables`], [`models`],
//! [`text_models`] and [`reports`] look inside.

mod contract;
mod edges;
mod evaluate;
mod finish;
mod graph;
mod ingest;
mod keyed;
mod known;
mod lineage;
mod maintain;
mod models;
pub(crate) mod modes;
mod quarantine;
mod queries;
mod reports;
mod row_rules;
mod rule_tables;
mod schedule;
mod scored;
mod sql_errors;
mod table_rules;
mod tables;
mod test_cases;
mod test_rows;
mod text_models;
mod tokenizers;
mod unread;
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use sluice_lake::TableName;
use sluice_lake::delta::MAX_DESCRIPTION_CHARS;
use sluice_learn::features::Interface;
pub(crate) use world::error_chain;
pub use world::{OUTDATED_STATE, OnlyFiles, World};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hooks::Hooks;
use crate::plan::maintenance::Retention;
use crate::plan::{Asset, AssetIndex, DEFAULT_RETRIES, EventTime, Patience, Plan, TestCase};
use crate::project::Project;
use crate::schedule::Schedule;
use crate::source::{Location, Span};
use crate::spec::{
    Defaults, ModelSpec, Overrides, ReportSpec, Spec, TableSpec, TokenizerSpec, load_sound,
};

/// An asset as written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Declared<'a> {
    Table(&'a TableSpec),
    Tokenizer(&'a TokenizerSpec),
    Model(&'a ModelSpec),
    Report(&'a ReportSpec),
}

/// An asset's name as written, where that is, and what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration<'a> {
    pub(crate) name: &'a str,
    pub(crate) span: Span,
    pub(crate) body: Declared<'a>,
}

/// All assets of a project: tables, then tokenizers, models and reports, in the order of the file.
pub(crate) fn declarations(spec: &Spec) -> Vec<Declaration<'_>> {
    let tables = spec.tables.iter().map(|(name, table)| Declaration {
        name: &name.value,
        span: name.span,
        body: Declared::Table(table),
    });
    let tokenizers = spec.tokenizers.iter().map(|(name, tokenizer)| Declaration {
        name: &name.value,
        span: name.span,
        body: Declared::Tokenizer(tokenizer),
    });
    let models = spec.models.iter().map(|(name, model)| Declaration {
        name: &name.value,
        span: name.span,
        body: Declared::Model(model),
    });
    let reports = spec.reports.iter().map(|(name, report)| Declaration {
        name: &name.value,
        span: name.span,
        body: Declared::Report(report),
    });
    let learned = tokenizers.chain(models);
    tables.chain(learned).chain(reports).collect()
}

/// What a version in the registry takes and gives.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) interface: Interface,
    /// The column that it learned.
    pub(crate) label: String,
}

/// What is shared while a spec is checked.
pub(crate) struct Checker<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) world: &'a World,
    pub(crate) assets: Vec<Declaration<'a>>,
    /// Their positions, by name in lower case.
    by_name: HashMap<String, usize>,
    pub(crate) diagnostics: Diagnostics,
    /// The models that only the registry has, by address as written.
    pub(crate) stored_models: HashMap<String, Stored>,
    /// The files of the tokenizers that only the registry has, by reference as written.
    pub(crate) stored_tokenizers: HashMap<String, PathBuf>,
    /// Whether files that cannot be read are left to the stage that reads them.
    pub(crate) to_run: bool,
}

impl<'a> Checker<'a> {
    /// The asset of this name, ignoring case.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// Whether a table of this name is written wrong.
    pub(crate) fn is_broken_table(&self, name: &str) -> bool {
        let mut broken = self.spec.broken.tables.iter();
        broken.any(|broken| broken.eq_ignore_ascii_case(name))
    }

    /// Whether an asset of this name is written wrong.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        let broken = &self.spec.broken;
        let others = broken.tokenizers.iter().chain(&broken.models);
        let mut others = others.chain(&broken.reports);
        self.is_broken_table(name) || others.any(|broken| broken.eq_ignore_ascii_case(name))
    }

    pub(crate) fn location(&self, span: Span) -> Location {
        Location {
            source: Arc::clone(&self.spec.source),
            span,
        }
    }

    pub(crate) fn error(&mut self, diagnostic: Diagnostic, span: Span) {
        let location = self.location(span);
        self.diagnostics.push(diagnostic.at_location(location));
    }
}

/// Resolves and checks a project against what exists in its lakehouse.
///
/// Reads the lakehouse and the files that are to be ingested; writes nothing.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub async fn check(spec: &Spec, world: &World) -> Result<(Plan, Diagnostics), Diagnostics> {
    resolve(spec, world, false).await
}

/// As [`check`], for a plan that is to run: files that cannot be read are no error. The stage that
/// reads them fails with it, what depends on that stage is blocked, and all else is made.
///
/// # Errors
/// As [`check`], without what is wrong with files.
pub async fn check_to_run(spec: &Spec, world: &World) -> Result<(Plan, Diagnostics), Diagnostics> {
    resolve(spec, world, true).await
}

async fn resolve(
    spec: &Spec,
    world: &World,
    to_run: bool,
) -> Result<(Plan, Diagnostics), Diagnostics> {
    let assets = declarations(spec);
    let mut by_name = HashMap::with_capacity(assets.len());
    for (position, asset) in assets.iter().enumerate() {
        let name = asset.name.to_ascii_lowercase();
        by_name.entry(name).or_insert(position);
    }
    let mut checker = Checker {
        spec,
        world,
        assets,
        by_name,
        diagnostics: Diagnostics::new(),
        stored_models: HashMap::new(),
        stored_tokenizers: HashMap::new(),
        to_run,
    };
    let found = edges::find(&mut checker).await;
    let order = graph::order(&mut checker, &found);
    let (typed, (schemas, tests)) = type_in_order(&mut checker, &found, &order.positions).await;
    let schedule = schedule::check(&mut checker);
    let retention = maintain::check_pipeline(&mut checker);
    checker.diagnostics.sort();
    let plan = order.runs.then_some(order.positions);
    let plan = plan.and_then(|order| assemble(spec, &found, &order, typed, schedule));
    let plan = plan.map(|plan| Plan {
        retention,
        schemas,
        tests,
        ..plan
    });
    match plan {
        Some(plan) => checker.diagnostics.into_result(plan),
        None => Err(checker.diagnostics),
    }
}

/// What else is wrong with a project that does not load: what can be told of the assets that
/// are written right. Nothing, if too little of it is.
pub async fn also_wrong(project: &Project, overrides: &Overrides) -> Diagnostics {
    let Some(spec) = load_sound(project, overrides) else {
        return Diagnostics::new();
    };
    let Ok(world) = World::open(&spec.lakehouse.path).await else {
        return Diagnostics::new();
    };
    match check(&spec, &world).await {
        Ok(_) => Diagnostics::new(),
        Err(wrong) => wrong,
    }
}

/// The columns of tables, and the tests.
type Beside = (BTreeMap<TableName, SchemaRef>, Vec<Arc<TestCase>>);

/// Checks every asset after those that it depends on, `None` for the broken ones; then the
/// tests of those that are not.
async fn type_in_order(
    checker: &mut Checker<'_>,
    found: &[edges::Found],
    order: &[usize],
) -> (Vec<Option<Asset>>, Beside) {
    let mut known = match known::Known::new(checker) {
        Ok(known) => known,
        Err(diagnostic) => {
            checker.diagnostics.push(*diagnostic);
            return (Vec::new(), Beside::default());
        }
    };
    let mut typed: Vec<Option<Asset>> = found.iter().map(|_| None).collect();
    for position in order {
        let declaration = checker.assets[*position];
        let body = match declaration.body {
            Declared::Table(table) => {
                tables::check(checker, &mut known, declaration, table, &found[*position]).await
            }
            Declared::Tokenizer(tokenizer) => {
                let read = &found[*position];
                tokenizers::check(checker, &mut known, declaration, tokenizer, read).await
            }
            Declared::Model(model) => {
                if !found[*position].broken {
                    // What is wrong with it is told; what is missing then, the check knows.
                    let (read, span) = (&found[*position], declaration.span);
                    known::load_stored(checker, &mut known, read, span).await;
                }
                let read = &found[*position];
                if text_models::reads_text(model) {
                    text_models::check(checker, &mut known, declaration, model, read).await
                } else {
                    models::check(checker, &mut known, declaration, model, read)
                }
            }
            Declared::Report(report) => {
                reports::check(checker, &mut known, declaration, report, &found[*position]).await
            }
        };
        let body = body.or_else(|| unread::of(declaration, &found[*position], &typed));
        let columns = declaration.name.parse::<TableName>().ok();
        let columns = columns.and_then(|name| known.tables.get(&name));
        let columns = columns.filter(|_| body.is_some());
        let maintenance = maintain::check(checker, declaration, columns.map(AsRef::as_ref));
        typed[*position] = body.map(|body| Asset {
            name: declaration.name.to_owned(),
            comment: comment(checker, declaration.body),
            tags: tags(declaration.body),
            patience: patience(&checker.spec.defaults, declaration.body),
            variables: match declaration.body {
                Declared::Table(table) => table.variables(),
                _ => BTreeMap::new(),
            },
            maintenance,
            body,
        });
    }
    let tests = test_cases::check(checker, &mut known, &typed).await;
    (typed, (known.tables, tests))
}

fn tags(declared: Declared<'_>) -> Vec<String> {
    let tags = match declared {
        Declared::Table(table) => &table.tags,
        Declared::Tokenizer(tokenizer) => &tokenizer.tags,
        Declared::Model(model) => &model.tags,
        Declared::Report(report) => &report.tags,
    };
    tags.iter().map(|tag| tag.value.clone()).collect()
}

/// How often an asset is tried, and how long that may take: as it says, else as all do.
fn patience(defaults: &Defaults, declared: Declared<'_>) -> Patience {
    let own = match declared {
        Declared::Table(table) => &table.patience,
        Declared::Tokenizer(tokenizer) => &tokenizer.patience,
        Declared::Model(model) => &model.patience,
        Declared::Report(report) => &report.patience,
    };
    let retries = own.retries.or(defaults.patience.retries);
    let timeout = own.timeout.or(defaults.patience.timeout);
    Patience {
        retries: retries.map_or(DEFAULT_RETRIES, |retries| {
            u32::try_from(retries.value).unwrap_or(u32::MAX)
        }),
        timeout: timeout.map(|timeout| timeout.value.0),
    }
}

/// An asset's comment, which has to fit a Delta table's description.
fn comment(checker: &mut Checker<'_>, declared: Declared<'_>) -> Option<String> {
    let comment = match declared {
        Declared::Table(table) => table.comment.as_ref(),
        Declared::Tokenizer(tokenizer) => tokenizer.comment.as_ref(),
        Declared::Model(model) => model.comment.as_ref(),
        Declared::Report(report) => report.comment.as_ref(),
    }?;
    if comment.value.chars().count() > MAX_DESCRIPTION_CHARS {
        let message = format!("a comment can have {MAX_DESCRIPTION_CHARS} characters at most");
        checker.error(Diagnostic::error("long_comment", message), comment.span);
    }
    Some(comment.value.trim().to_owned())
}

/// The plan, when no asset is broken.
fn assemble(
    spec: &Spec,
    found: &[edges::Found],
    order: &[usize],
    typed: Vec<Option<Asset>>,
    schedule: Option<Schedule>,
) -> Option<Plan> {
    let mut typed: Vec<Option<Asset>> = typed;
    let mut assets = Vec::with_capacity(order.len());
    let mut depends = Vec::with_capacity(order.len());
    let mut places: Vec<Option<usize>> = vec![None; found.len()];
    for (place, position) in order.iter().enumerate() {
        places[*position] = Some(place);
    }
    for position in order {
        assets.push(Arc::new(typed.get_mut(*position)?.take()?));
        let edges = found[*position].edges.iter();
        let before: Option<BTreeSet<usize>> = edges.map(|edge| places[edge.to]).collect();
        depends.push(before?);
    }
    Some(Plan {
        pipeline: spec.pipeline.value.clone(),
        lakehouse: spec.lakehouse.path.clone(),
        schedule,
        hooks: Hooks::of(spec),
        retention: Retention::default(),
        chosen: (0..assets.len()).collect(),
        refreshed: BTreeSet::new(),
        openlineage: spec.openlineage.clone(),
        schemas: BTreeMap::new(),
        tests: Vec::new(),
        index: Arc::new(AssetIndex::of(&assets)),
        event_time: EventTime::default(),
        definitions: Arc::clone(&spec.definitions),
        assets,
        depends,
    })
}
