//! `tables:`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component as PathPart, Path};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::contract::{Contract, ContractColumn};
use super::decode::{Check, Context, Decode, Fields, Part, choice, record};
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
use crate::diagnostic::{Diagnostic, nearest};
use crate::source::{self, SourceFile, Spanned};
use crate::yaml::{Node, TextMap};

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
        let path = Spanned::<String>::decode(node, cx)?;
        let text = match read_definition(&path, cx) {
            Ok(text) => text,
            Err(diagnostic) => {
                cx.report(*diagnostic, path.span);
                return None;
            }
        };
        cx.files.insert(path.value.clone(), text.clone());
        let shown = cx.project.resolve(&path).display().to_string();
        let source = Arc::new(SourceFile::new(shown, text));
        if source.text().trim().is_empty() {
            let message = format!("`{path}` is empty");
            cx.report(Diagnostic::error("missing_value", message), path.span);
            return None;
        }
        let text = source.text();
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let base = TextMap::identity(start, text.len() - start);
        let sql = SqlText::substitute(
            &text[start..],
            &base,
            &source,
            &cx.variables,
            &mut cx.diagnostics,
        )?;
        Some(Self { path, sql })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}

/// Reads a file that belongs to the project's definition and so lies inside its folder.
pub(super) fn read_definition(path: &str, cx: &Context<'_>) -> Result<String, Box<Diagnostic>> {
    if let Some(text) = cx
        .overrides
        .kept
        .as_ref()
        .and_then(|kept| kept.files.get(path))
    {
        return Ok(text.clone());
    }
    let folder = cx.project.folder();
    let outside = || -> Box<Diagnostic> {
        Diagnostic::error(
            "outside_project",
            format!("`{path}` lies outside the project's folder"),
        )
        .help("definitions belong to the project: move the file beside the pipeline")
        .into()
    };
    let relative = Path::new(path);
    let plain = |part: PathPart<'_>| matches!(part, PathPart::Normal(_) | PathPart::CurDir);
    if relative.is_absolute() || path.is_empty() {
        return Err(outside());
    }
    let file = folder.join(relative);
    let unreadable = |error: &std::io::Error| -> Box<Diagnostic> {
        let message = match error.kind() {
            ErrorKind::NotFound => format!("there is no file `{path}`"),
            _ => format!("cannot read `{path}`: {error}"),
        };
        let near = nearest_file(&file).map(|near| relative.with_file_name(near));
        Diagnostic::error("unreadable_file", message)
            .maybe_help(near.map(|near| format!("did you mean `{}`?", near.display())))
            .into()
    };
    // A path with `..` may only be followed when what it names exists inside.
    let real = match file.canonicalize() {
        Ok(real) => real,
        Err(error) if relative.components().all(plain) => return Err(unreadable(&error)),
        Err(_) => return Err(outside()),
    };
    let root = folder.canonicalize().map_err(|error| unreadable(&error))?;
    if !real.starts_with(&root) {
        return Err(outside());
    }
    if real.is_dir() {
        let message = format!("`{path}` is a folder");
        return Err(Diagnostic::error("unreadable_file", message).into());
    }
    let bytes = source::read_definition(&real).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        Diagnostic::error(
            "not_utf8",
            format!("`{path}` is not UTF-8: byte {} on line {line}", at + 1),
        )
        .help("save the file as UTF-8")
        .into()
    })
}

/// The file in the same folder whose name is nearest.
fn nearest_file(missing: &Path) -> Option<String> {
    let wanted = missing.file_name()?.to_str()?;
    let mut names: Vec<String> = std::fs::read_dir(missing.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}
