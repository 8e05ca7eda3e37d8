//! The plan: a project whose names are resolved, whose types fit and whose edges have no
//! cycle. Only a [`Plan`] can run.
//!
//! [`crate::check`] makes it from a spec; [`crate::run`] carries it out; [`preview`] tells
//! what a run would do.

pub mod contract;
pub(crate) mod definition;
pub mod details;
pub(crate) mod difference;
pub mod fingerprint;
pub(crate) mod forecast;
mod foreseen;
pub(crate) mod freshness;
mod index;
pub(crate) mod intervals;
mod landed;
pub(crate) mod lost;
pub mod maintenance;
pub mod mode;
pub mod origins;
pub(crate) mod owner;
pub mod preview;
pub mod ranges;
pub mod report;
pub mod rules;
pub mod scored;
pub mod test_case;
pub mod tokenizer;
pub(crate) mod training;
pub mod unread;
pub(crate) mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use sluice_lake::TableName;
use sluice_lake::ingest::{FileMemory, IngestError, ReadOptions, SourceFile};
use sluice_lake::registry::{ModelUri, VersionSpec};
use sluice_lake::sql::{Expression, Statement};
use sluice_learn::sweep::SweepSpec;
use sluice_learn::text_fit::BertSpec;
use sluice_learn::{DatasetSpec, EstimatorSpec, Finish, Task};

pub(crate) use index::AssetIndex;
pub use intervals::EventTime;
pub use report::{ByPlan, EvaluatePlan, ProfilePlan, ReportAsset, ReportKind, WorstRows};
pub use rules::{TableExpectation, TableRule};
pub use scored::ScoredAsset;
pub use test_case::{TestCase, TestOutcome};
pub use tokenizer::{TokenizerAsset, TokenizerSource};
pub use unread::UnreadAsset;

use crate::spec::{Otherwise, PipelineDefinitions, Register, SqlText};

/// A project that can run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `pipeline:` name.
    pub pipeline: String,
    /// The lakehouse's folder.
    pub lakehouse: PathBuf,
    /// What the project makes; each after all that it depends on.
    pub assets: Vec<Arc<Asset>>,
    /// For each asset the assets that must be done before it.
    pub depends: Vec<BTreeSet<usize>>,
    /// When it is to be run, if it says so.
    pub schedule: Option<crate::schedule::Schedule>,
    /// Who is told of the end of a run.
    pub hooks: crate::hooks::Hooks,
    /// How long the memory of runs is kept.
    pub retention: maintenance::Retention,
    /// The assets that a run is about; the others are taken as they are.
    pub chosen: BTreeSet<usize>,
    /// The assets that a run makes anew even where they are up to date.
    pub refreshed: BTreeSet<usize>,
    /// Where OpenLineage is told of its runs: a file or the URL of a server.
    pub openlineage: Option<String>,
    /// The columns of every table that it makes or reads, as far as they are known.
    pub schemas: BTreeMap<TableName, SchemaRef>,
    /// What tables are to come to for given rows.
    pub tests: Vec<Arc<TestCase>>,
    /// Where the assets stand.
    pub(crate) index: Arc<AssetIndex>,
    /// Which intervals a run is about, of the tables that are made interval by interval.
    pub event_time: EventTime,
    /// What it was read from.
    pub definitions: Arc<PipelineDefinitions>,
}

impl Plan {
    /// The position of an asset, by its name (case ignored).
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.named(name)
    }

    /// Whether a run makes the asset of this name anew even where it is up to date.
    pub(crate) fn is_refreshed(&self, name: &str) -> bool {
        !self.refreshed.is_empty()
            && self
                .position(name)
                .is_some_and(|position| self.refreshed.contains(&position))
    }

    /// The position of the asset that makes a table.
    pub fn maker_of(&self, table: &TableName) -> Option<usize> {
        self.index.making(table)
    }

    /// The assets whose work decides what an address names; a numbered version never changes,
    /// a bare name follows whatever is registered under it.
    pub fn makers(&self, uri: &ModelUri) -> Vec<usize> {
        let registers = |asset: &Asset| {
            let register = asset.registers();
            register
                .filter(|register| register.name.as_str() == uri.name)
                .cloned()
        };
        let makes = |asset: &Asset| match (&uri.version, &asset.body) {
            (VersionSpec::Number(_) | VersionSpec::AliasAsOf { .. }, _) => false,
            (VersionSpec::Alias(alias), _) => registers(asset)
                .and_then(|register| register.alias)
                .is_some_and(|own| own.as_str() == alias),
            (VersionSpec::Latest, AssetBody::Tokenizer(_)) => asset.name == uri.name,
            (VersionSpec::Latest, _) => registers(asset).is_some(),
        };
        (0..self.assets.len())
            .filter(|position| makes(&self.assets[*position]))
            .collect()
    }
}

/// Something that a project makes.
#[derive(Debug, Clone)]
pub struct Asset {
    /// `layer.table`, or the name of a tokenizer, a model or a report.
    pub name: String,
    /// What it is, for people: a table's description, a training run's note.
    pub comment: Option<String>,
    /// Words by which commands can select it.
    pub tags: Vec<String>,
    /// How often it is tried, and how long that may take.
    pub patience: Patience,
    /// The variables in its SQL, and their values, for people.
    pub variables: BTreeMap<String, String>,
    /// How its table is looked after.
    pub maintenance: maintenance::Maintenance,
    /// How it is made.
    pub body: AssetBody,
}

/// How often an asset is tried, and how long that may take. It does not say what the asset is,
/// and so is no part of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often it is tried again after a failure that passes.
    pub retries: u32,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
}

/// How often an asset is tried again when nobody says.
pub const DEFAULT_RETRIES: u32 = 3;

/// How an asset is made.
#[derive(Debug, Clone)]
pub enum AssetBody {
    /// A table from files.
    Ingest(Box<IngestAsset>),
    /// A table from a query.
    Sql(Box<SqlAsset>),
    /// A table from a model and the rows that it scores.
    Scored(Box<ScoredAsset>),
    /// A tokenizer in the registry.
    Tokenizer(Box<TokenizerAsset>),
    /// A fitted model.
    Model(Box<ModelAsset>),
    /// A page to look at.
    Report(Box<ReportAsset>),
    /// Something that files keep from being looked into, in a plan that is to run all the same.
    Unread(Box<UnreadAsset>),
}

impl Asset {
    /// `ingest`, `sql`, `predict`, `tokenizer`, `train`, `sweep`, or the kind of a report,
    /// such as `profile`.
    pub fn kind(&self) -> &'static str {
        match &self.body {
            AssetBody::Ingest(_) => "ingest",
            AssetBody::Sql(_) => "sql",
            AssetBody::Scored(_) => "predict",
            AssetBody::Tokenizer(_) => "tokenizer",
            AssetBody::Model(model) => match model.fit {
                Fit::Train(_) | Fit::Text(_) => "train",
                Fit::Sweep(_) => "sweep",
            },
            AssetBody::Report(report) => report.kind.name(),
            AssetBody::Unread(unread) => unread.kind,
        }
    }

    /// The table that it makes, if it is one.
    pub fn table(&self) -> Option<&TableName> {
        match &self.body {
            AssetBody::Ingest(ingest) => Some(&ingest.table),
            AssetBody::Sql(sql) => Some(&sql.table),
            AssetBody::Scored(scored) => Some(&scored.table),
            AssetBody::Unread(unread) => unread.table.as_ref(),
            AssetBody::Tokenizer(_) | AssetBody::Model(_) | AssetBody::Report(_) => None,
        }
    }

    /// The stored tables that it is made from.
    pub fn reads(&self) -> Vec<&TableName> {
        match &self.body {
            AssetBody::Ingest(_) => Vec::new(),
            AssetBody::Sql(sql) => sql.reads.iter().collect(),
            AssetBody::Scored(scored) => vec![&scored.from],
            AssetBody::Tokenizer(tokenizer) => tokenizer.table().into_iter().collect(),
            AssetBody::Model(model) => vec![&model.from],
            AssetBody::Report(report) => vec![&report.of],
            AssetBody::Unread(unread) => unread.reads.iter().collect(),
        }
    }

    /// What happens to its rows before they are written, if it is a table.
    pub fn rows(&self) -> Option<&RowPlan> {
        match &self.body {
            AssetBody::Ingest(ingest) => Some(&ingest.rows),
            AssetBody::Sql(sql) => Some(&sql.rows),
            AssetBody::Scored(scored) => Some(&scored.rows),
            AssetBody::Tokenizer(_)
            | AssetBody::Model(_)
            | AssetBody::Report(_)
            | AssetBody::Unread(_) => None,
        }
    }

    /// The stored tables that its rules look at.
    pub fn rule_reads(&self) -> impl Iterator<Item = &TableName> {
        self.rows().into_iter().flat_map(|rows| &rows.rule_reads)
    }

    /// The tokenizers that its query and its rules name.
    pub fn tokenizers(&self) -> &[Applied] {
        match &self.body {
            AssetBody::Ingest(ingest) => &ingest.rows.tokenizers,
            AssetBody::Sql(sql) => &sql.rows.tokenizers,
            AssetBody::Scored(scored) => &scored.rows.tokenizers,
            AssetBody::Tokenizer(_)
            | AssetBody::Model(_)
            | AssetBody::Report(_)
            | AssetBody::Unread(_) => &[],
        }
    }

    /// What of the registry its rows are made with: models, then tokenizers.
    pub fn uses(&self) -> impl Iterator<Item = &Applied> {
        self.applies().iter().chain(self.tokenizers())
    }

    /// Raised when a release makes the same definition mean something else.
    pub fn semantics(&self) -> u32 {
        match self.body {
            // 2: boosting of small tables grows its own trees.
            AssetBody::Model(_) => 2,
            AssetBody::Ingest(_)
            | AssetBody::Sql(_)
            | AssetBody::Scored(_)
            | AssetBody::Tokenizer(_)
            | AssetBody::Report(_)
            | AssetBody::Unread(_) => 1,
        }
    }

    /// The versions of the registry that it is made with: models that its rows are made with,
    /// the tokenizer of a text model.
    pub fn applies(&self) -> &[Applied] {
        match &self.body {
            AssetBody::Sql(sql) => &sql.applies,
            AssetBody::Scored(scored) => std::slice::from_ref(&scored.model),
            AssetBody::Report(report) => report.applies(),
            AssetBody::Model(model) => match &model.fit {
                Fit::Text(text) => match &text.tokenizer {
                    UsedTokenizer::Registered(applied) => std::slice::from_ref(applied),
                    UsedTokenizer::File(_) => &[],
                },
                Fit::Train(_) | Fit::Sweep(_) => &[],
            },
            AssetBody::Ingest(_) | AssetBody::Tokenizer(_) | AssetBody::Unread(_) => &[],
        }
    }

    /// All tables that it makes, side tables included.
    pub fn makes(&self) -> impl Iterator<Item = &TableName> {
        let beside = match &self.body {
            AssetBody::Report(report) => report.makes(),
            _ => self.rows().and_then(|rows| rows.quarantine.as_ref()),
        };
        self.table().into_iter().chain(beside)
    }

    /// Where a model goes when it is fitted.
    pub fn registers(&self) -> Option<&Register> {
        match &self.body {
            AssetBody::Model(model) => model.register.as_ref(),
            AssetBody::Unread(unread) => unread.register.as_ref(),
            _ => None,
        }
    }
}

/// A table from files.
#[derive(Debug, Clone)]
pub struct IngestAsset {
    /// The table.
    pub table: TableName,
    /// The folder that relative patterns start from.
    pub folder: PathBuf,
    /// Globs.
    pub patterns: Vec<String>,
    /// How the files are written.
    pub options: ReadOptions,
    /// The files that count, of those that the globs name, where not all do: the path at which a
    /// file lies, to the name by which the table knows it.
    pub only: Option<Arc<BTreeMap<String, String>>>,
    /// The files as they were when the project was checked.
    pub files: Arc<[SourceFile]>,
    /// What earlier runs remember of the files.
    pub memory: Arc<FileMemory>,
    /// The columns that the files have, all of them read together; those of the table where they
    /// cannot be read.
    pub columns: SchemaRef,
    /// Why the files cannot be read, in a plan that is to run all the same.
    pub unread: Option<IngestError>,
    /// Rules and split.
    pub rows: RowPlan,
}

/// A table from a query.
#[derive(Debug, Clone)]
pub struct SqlAsset {
    /// The table.
    pub table: TableName,
    /// The text, which knows where it was written.
    pub sql: SqlText,
    /// The parsed query.
    pub statement: Statement,
    /// The stored tables that it reads, as they are spelled.
    pub reads: BTreeSet<TableName>,
    /// The models that it applies.
    pub applies: Vec<Applied>,
    /// Its columns, with what they are made of.
    pub columns: Vec<origins::ColumnOrigins>,
    /// The columns of the stored table.
    pub schema: SchemaRef,
    /// How it is kept up to date.
    pub upkeep: mode::Upkeep,
    /// Why equal inputs do not prove equal rows, if so: `it calls random()`.
    pub volatile: Option<String>,
    /// Rules and split.
    pub rows: RowPlan,
}

/// A model or a tokenizer that a query applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The address as written, with the moment at which it is read if one is given.
    pub written: String,
    /// The same, parsed.
    pub uri: ModelUri,
}

/// What happens to a table's rows before they are written.
#[derive(Debug, Clone, Default)]
pub struct RowPlan {
    /// The tokenizers that the rules name, and the query before them.
    pub tokenizers: Vec<Applied>,
    /// Rules on single rows.
    pub rules: Vec<RowExpectation>,
    /// Rules on the whole table.
    pub table_rules: Vec<TableExpectation>,
    /// Stored tables that the rules look at.
    pub rule_reads: BTreeSet<TableName>,
    /// What is promised of the columns.
    pub contract: contract::ContractPlan,
    /// Where rows go that break a rule with `otherwise: quarantine`.
    pub quarantine: Option<TableName>,
    /// How rows are dealt into parts.
    pub split: Option<SplitPlan>,
}

impl RowPlan {
    /// All rules by name, with what happens when one is broken.
    pub(crate) fn consequences(&self) -> impl Iterator<Item = (&str, Otherwise)> {
        let rows = self.rules.iter();
        let rows = rows.map(|rule| (rule.name.as_str(), rule.otherwise));
        let tables = self.table_rules.iter();
        rows.chain(tables.map(|rule| (rule.name.as_str(), rule.otherwise)))
    }
}

/// A rule on single rows.
#[derive(Debug, Clone)]
pub struct RowExpectation {
    /// Its name.
    pub name: String,
    /// The condition, as SQL.
    pub that: Expression,
    /// What happens to a row that breaks it.
    pub otherwise: Otherwise,
    /// Whether it is of the table's contract: then only rows count that no other rule keeps
    /// out of the table.
    pub of_contract: bool,
}

/// How rows are dealt into parts.
#[derive(Debug, Clone)]
pub struct SplitPlan {
    /// Names and shares; the shares sum to one.
    pub parts: Vec<(String, f64)>,
    /// The seed of the hash.
    pub seed: u64,
    /// The columns that decide; empty: the whole content.
    pub by: Vec<String>,
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct ModelAsset {
    /// The table that it learns from.
    pub from: TableName,
    /// Label and features.
    pub data: DatasetSpec,
    /// The columns that it learns from, in the model's order.
    pub features: Vec<String>,
    /// The kind of question that the label asks.
    pub task: Task,
    /// What is fitted.
    pub fit: Fit,
    /// What is settled on its validation rows.
    pub finish: Finish,
    /// Where the model goes.
    pub register: Option<Register>,
    /// The definition as JSON, without comments, edges and `register:`: what identifies
    /// the training.
    pub definition: serde_json::Value,
}

/// What is fitted.
#[derive(Debug, Clone)]
pub enum Fit {
    /// One set of parameters.
    Train(EstimatorSpec),
    /// Many, of which the best on the validation rows is kept.
    Sweep(Box<SweepSpec>),
    /// An encoder that reads a text.
    Text(Box<TextTraining>),
}

/// An encoder that reads a text. It is no [`EstimatorSpec`]: it learns from tokens instead of
/// a matrix, in steps that can be gone on from, so that it shares a report and a registry with
/// trees and nothing of how it is fitted.
#[derive(Debug, Clone)]
pub struct TextTraining {
    /// Its parameters.
    pub spec: BertSpec,
    /// The column that it reads.
    pub text: String,
    /// Tokens of a text that are looked at.
    pub max_length: usize,
    /// The folder of the model that is fine-tuned; `None` trains from scratch.
    pub pretrained: Option<PathBuf>,
    /// What makes tokens of texts.
    pub tokenizer: UsedTokenizer,
}

/// A tokenizer that somebody else made.
#[derive(Debug, Clone)]
pub enum UsedTokenizer {
    /// A `tokenizer.json`.
    File(PathBuf),
    /// One of the registry.
    Registered(Applied),
}
