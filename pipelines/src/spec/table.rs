//! `tables:`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::contract::{Contract, ContractColumn};
use super::decode::{Check, Context, Decode, Fields, Part, choice, record};
use super::definition_file::DefinitionFile;
use super::expectation::{Expectation, Rule};
use super::ingest::Ingest;
use super::maintain::TableMaintain;
use super::mode::{Mode, Refresh, has_intervals};
use super::name::{ContractNames, Name, Named, PartNames, RuleNames, TagNames};
use super::patience::PatienceSpec;
use super::scalar::Required;
use super::schema::{Definitions, ObjectSchema};
use super::scored::ScoredSpec;
use super::sql_text::SqlText;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// A Delta table that the pipeline makes.
    pub struct TableSpec as "a table" {
        /// What a row is, for people.
        "comment" comment: Option<Spanned<String>>,
        /// Words by which commands can select it, as `tag:nightly`.
        "tags" tags: Vec<Name<TagNames>>,
        /// Assets to make first, for edges that cannot be seen in the SQL.
        "after" after: Vec<Spanned<String>>,
        /// How often it is tried, and how long that may take.
        .. patience: PatienceSpec,
        /// What it is made of: exactly one of these keys.
        .. body: Queried,
        /// How a table of a query is kept up to date: `full` (the default), `append`, or `{merge: ...}`, `{scd2: ...}`, `{interval: ...}`.
        "mode" mode: Option<Spanned<Mode>>,
        /// What happens when the rows that are there do not count any more: `auto` (the default) makes them anew, `strict` fails instead, `full` makes them anew whenever anything changed.
        "refresh" refresh: Option<Spanned<Refresh>>,
        /// How its data files are looked after: written together, sorted, removed when they are old.
        "maintain" maintain: Option<TableMaintain>,
        /// What columns it has, by name: a type such as `bigint`, or more.
        "columns" columns: Named<ContractNames, ContractColumn>,
        /// Whether it may have columns that `columns:` does not list: `strict` (the default) or
        /// `open`. Those whose names begin with `_` need not be listed.
        "contract" contract: Option<Spanned<Contract>>,
        /// Rules that rows or the whole table must keep, by name.
        "expect" expect: Named<RuleNames, Expectation>,
        /// Writes the column `_split`, which says what each row is for.
        "split" split: Option<Split>,
    }
}

choice! {
    /// What a table is made of.
    pub enum TableBody {
        /// Files to read; only new and changed ones are read again.
        "ingest" Ingest(Ingest),
        /// A query; the tables that it names are its inputs.
        "sql" Sql(SqlText),
        /// A file with a query, relative to the pipeline and inside its folder.
        "sql_file" SqlFile(SqlFile),
        /// A registered model applied to the rows of a table; only new and changed rows are scored again.
        "predict" Predict(Box<ScoredSpec>),
    }
}

impl TableSpec {
    /// The table's query, wherever it was written.
    #[must_use]
    pub fn sql(&self) -> Option<&SqlText> {
        match &*self.body {
            TableBody::Ingest(_) | TableBody::Predict(_) => None,
            TableBody::Sql(sql) => Some(sql),
            TableBody::SqlFile(file) => Some(&file.sql),
        }
    }

    /// The variables in its query and in the SQL of its rules, and their values as texts.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let rules = self.expect.iter();
        let rules = rules.filter_map(|(_, expectation)| match &expectation.rule {
            Rule::That(sql) | Rule::Custom(sql) => Some(sql),
            _ => None,
        });
        let texts = self.sql().into_iter().chain(rules);
        texts.flat_map(|sql| sql.variables.clone()).collect()
    }
}

impl Check for TableSpec {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        self.is_queried_where_it_says_how(fields, cx) & self.has_columns_for_its_contract(cx)
    }
}

impl TableSpec {
    fn is_queried_where_it_says_how(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        if self.sql().is_some() {
            return true;
        }
        let mut fits = true;
        for key in ["mode", "refresh"] {
            if let Some(entry) = fields.entry(key) {
                fits = false;
                let help = match *self.body {
                    TableBody::Ingest(_) => {
                        "`ingest:` reads new and changed files only, whatever stands here"
                    }
                    _ => "`predict:` scores new and changed rows only, whatever stands here",
                };
                cx.report(
                    Diagnostic::error(
                        "conflicting_keys",
                        format!("`{key}` is for tables of a query: `sql` or `sql_file`"),
                    )
                    .help(help),
                    entry.key.span,
                );
            }
        }
        fits
    }

    fn has_columns_for_its_contract(&self, cx: &mut Context<'_>) -> bool {
        let (Some(contract), true) = (self.contract, self.columns.is_empty()) else {
            return true;
        };
        let message = "`contract` says nothing without `columns`";
        let diagnostic = Diagnostic::error("missing_key", message)
            .help("list the columns: `columns: {id: bigint, name: string}`");
        cx.report(diagnostic, contract.span);
        false
    }
}

/// What a table is made of; a query knows `${start}` and `${end}` where the table's mode is
/// `interval`.
#[derive(Debug, Clone)]
pub struct Queried(pub TableBody);

impl std::ops::Deref for Queried {
    type Target = TableBody;
    fn deref(&self) -> &TableBody {
        &self.0
    }
}

impl Part for Queried {
    fn keys() -> Vec<&'static str> {
        TableBody::keys()
    }

    fn decode_part(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
        cx.variables.of_interval = has_intervals(fields);
        let body = TableBody::decode_part(fields, cx);
        cx.variables.of_interval = false;
        body.map(Self)
    }

    fn schema_part(object: &mut ObjectSchema, defs: &mut Definitions) {
        TableBody::schema_part(object, defs);
    }
}

record! {
    /// Deals rows into parts by a seeded hash: equal rows stay together, and stay where they are.
    pub struct Split as "a split" {
        /// The share of each part: `train`, `validation`, `test`; together 1.
        "parts" parts: Required<Named<PartNames, Spanned<f64>>>,
        /// Another seed deals otherwise; by default 0.
        "seed" seed: Option<Spanned<u64>>,
        /// Columns whose rows stay together; by default the row's whole content.
        "by" by: Vec<Spanned<String>>,
    }
}

/// How far from 1 the shares may add up.
const SHARE_TOLERANCE: f64 = 1e-9;

impl Check for Split {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        for (name, share) in self.parts.iter() {
            if !(share.value > 0.0 && share.value <= 1.0) {
                let message = format!("the share of `{name}` must be above 0 and at most 1");
                cx.error("bad_split", message, share.span);
            }
        }
        if cx.diagnostics.len() > before {
            return false;
        }
        let place = fields
            .entry("parts")
            .map_or(fields.span, |parts| parts.key.span);
        if self.parts.get("train").is_none() {
            cx.error("bad_split", "a split needs the part `train`", place);
            return false;
        }
        let sum: f64 = self.parts.iter().map(|(_, share)| share.value).sum();
        if (sum - 1.0).abs() > SHARE_TOLERANCE {
            let sum = (sum * 1e9).round() / 1e9;
            cx.error(
                "bad_split",
                format!("the parts add up to {sum}, not to 1"),
                place,
            );
            return false;
        }
        true
    }
}

/// A query in a file of its own.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// The path, as written in the pipeline.
    pub path: Spanned<String>,
    /// What the file says.
    pub sql: SqlText,
}

impl Decode for SqlFile {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let file = DefinitionFile::decode(node, cx)?;
        let (path, whole) = (&file.path, file.source.text());
        cx.files.insert(path.value.clone(), whole.to_owned());
        if whole.trim().is_empty() {
            let message = format!("`{path}` is empty");
            cx.report(Diagnostic::error("missing_value", message), path.span);
            return None;
        }
        let (text, base) = file.content();
        let sql = SqlText::substitute(
            text,
            &base,
            &file.source,
            &cx.variables,
            &mut cx.diagnostics,
        )?;
        Some(Self {
            path: file.path,
            sql,
        })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}
