//! What each asset depends on: the tables that its SQL reads, the table that it learns
//! from, the models that it applies, and `after:`.

use std::collections::BTreeSet;
use std::path::Path;

use sluice_lake::TableName;
use sluice_lake::registry::{ModelUri, ModelVersion, VersionSpec};
use sluice_lake::sql::{Statement, TableRef, parse_query, table_refs};
use sluice_learn::TextEmbedder;
use sluice_udfs::models::{ModelAddress, encoder_addresses, model_addresses};
use sluice_udfs::text;

use super::{Checker, Declared, quarantine, rule_tables, sql_errors, text_models, tokenizers};
use crate::diagnostic::{Diagnostic, did_you_mean, nearest};
use crate::plan::Applied;
use crate::run::rejects::SUFFIX;
use crate::source::{Location, Spanned};
use crate::spec::decode::list;
use crate::spec::{ModelSpec, Register, ReportSpec, ScoredSpec, SqlText, TableBody, TokenizerBody};

/// Names that a message lists, at most.
const MAX_LISTED: usize = 8;
/// Names that end so are taken for files.
const FILE_EXTENSIONS: [&str; 6] = ["csv", "tsv", "parquet", "json", "ndjson", "txt"];

/// That an asset must be done before another.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    /// The asset that comes first.
    pub(crate) to: usize,
    /// Where the dependent says so.
    pub(crate) at: Location,
}

/// What is known of an asset once its edges are.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) edges: Vec<Edge>,
    /// The parsed query of a SQL table; absent when it does not parse.
    pub(crate) statement: Option<Statement>,
    /// Stored tables that it reads.
    pub(crate) reads: BTreeSet<TableName>,
    /// Stored tables that its rules look at.
    pub(crate) rule_reads: BTreeSet<TableName>,
    /// Tables of `system` that it reads.
    pub(crate) system: Vec<String>,
    /// Models that it asks for predictions.
    pub(crate) applies: Vec<Applied>,
    /// The registered tokenizer of a text model.
    pub(crate) tokenizer: Option<Applied>,
    /// Tokenizers that it names.
    pub(crate) tokenizers: Vec<Applied>,
    /// Models that it asks for vectors, and where.
    pub(crate) embeds: Vec<(Applied, Location)>,
    /// Whether something in it is wrong already.
    pub(crate) broken: bool,
    /// Whether its `after:` names what there is not, so that an edge is missing.
    pub(crate) misplaced: bool,
}

/// Finds the edges of all assets.
pub(crate) async fn find(checker: &mut Checker<'_>) -> Vec<Found> {
    let mut all = Vec::with_capacity(checker.assets.len());
    for position in 0..checker.assets.len() {
        let mut found = Found::default();
        match checker.assets[position].body {
            Declared::Table(table) => {
                if let Some(sql) = table.sql() {
                    of_query(checker, sql, &mut found).await;
                }
                if let TableBody::Predict(scored) = &*table.body {
                    of_scored(checker, scored, &mut found).await;
                }
                tokenizers::of_rules(checker, table, &mut found).await;
                let own = checker.assets[position].name;
                rule_tables::of_rules(checker, own, table, &mut found);
                after(checker, &table.after, &mut found);
            }
            Declared::Tokenizer(tokenizer) => {
                if let TokenizerBody::Train(train) = &tokenizer.body {
                    let at = checker.location(train.from.span);
                    resolve_table(checker, &train.from.value, at, &mut found);
                }
                after(checker, &tokenizer.after, &mut found);
            }
            Declared::Model(model) => {
                of_model(checker, model, &mut found);
                text_models::refer(checker, model, &mut found).await;
                after(checker, &model.after, &mut found);
            }
            Declared::Report(report) => {
                of_report(checker, report, &mut found).await;
                after(checker, &report.after, &mut found);
            }
        }
        all.push(found);
    }
    all
}

/// A report reads the table that it is about, and applies its models.
async fn of_report(checker: &mut Checker<'_>, report: &ReportSpec, found: &mut Found) {
    reads_written(checker, report.body.table(), found);
    for model in report.body.models() {
        applies_written(checker, model, found).await;
    }
}

/// A table that a model makes reads the table that it scores, and applies the model.
async fn of_scored(checker: &mut Checker<'_>, scored: &ScoredSpec, found: &mut Found) {
    reads_written(checker, &scored.from, found);
    applies_written(checker, &scored.model, found).await;
}

/// Reads a table that a key of the file names.
fn reads_written(checker: &mut Checker<'_>, table: &Spanned<String>, found: &mut Found) {
    let at = checker.location(table.span);
    resolve_table(checker, &table.value, at, found);
}

/// Applies a model that a key of the file names.
async fn applies_written(checker: &mut Checker<'_>, model: &Spanned<String>, found: &mut Found) {
    let address = ModelAddress {
        written: model.value.clone(),
        as_of_ms: None,
    };
    let at = checker.location(model.span);
    apply_model(checker, Asked::Predictions, &address, at, found).await;
}

/// What a query depends on.
pub(super) async fn of_query(checker: &mut Checker<'_>, sql: &SqlText, found: &mut Found) {
    let statement = match parse_query(&sql.text) {
        Ok(statement) => statement,
        Err(error) => {
            checker
                .diagnostics
                .push(sql_errors::diagnostic(&error, sql));
            found.broken = true;
            return;
        }
    };
    for table in table_refs(&statement) {
        read_table(checker, sql, &table, found);
    }
    let asked = [
        (Asked::Predictions, model_addresses(&statement)),
        (Asked::Vectors, encoder_addresses(&statement)),
    ];
    for (asked, addresses) in asked {
        match addresses {
            Ok(addresses) => {
                for (address, span) in addresses {
                    let at = sql.to_source(span.map_or(0..0, |span| span.range()));
                    apply_model(checker, asked, &address, at, found).await;
                }
            }
            Err(error) => {
                checker
                    .diagnostics
                    .push(sql_errors::diagnostic(&error, sql));
                found.broken = true;
            }
        }
    }
    tokenizers::of_calls(checker, text::references(&statement), sql, found).await;
    found.statement = Some(statement);
}

pub(super) fn read_table(
    checker: &mut Checker<'_>,
    sql: &SqlText,
    table: &TableRef,
    found: &mut Found,
) {
    let at = sql.to_source(table.span.map_or(0..sql.text.len(), |span| span.range()));
    let parts: Vec<&str> = table.parts.iter().map(String::as_str).collect();
    let (layer, name) =
        match parts.as_slice() {
            [layer, name] => (*layer, *name),
            [catalog, layer, name] if catalog.eq_ignore_ascii_case("lake") => (*layer, *name),
            other => {
                let written = other.join(".");
                let diagnostic =
                    Diagnostic::error("unknown_table", format!("there is no table `{written}`"))
                        .maybe_help(nearest_table(checker, &written).or_else(|| {
                            Some("write `layer.table`, such as `silver.wine`".to_owned())
                        }));
                checker.diagnostics.push(diagnostic.at_location(at));
                found.broken = true;
                return;
            }
        };
    if layer.eq_ignore_ascii_case("system") {
        found.system.push(format!("system.{name}"));
        return;
    }
    if layer.eq_ignore_ascii_case("information_schema") {
        found.system.push(format!("information_schema.{name}"));
        return;
    }
    resolve_table(checker, &format!("{layer}.{name}"), at, found);
}

/// Finds a table among the project's, then among those of the lakehouse.
pub(super) fn resolve_table(
    checker: &mut Checker<'_>,
    written: &str,
    at: Location,
    found: &mut Found,
) {
    if let Some(to) = checker.find(written)
        && matches!(checker.assets[to].body, Declared::Table(_))
        && let Ok(name) = checker.assets[to].name.parse::<TableName>()
    {
        found.reads.insert(name);
        found.edges.push(Edge { to, at });
        return;
    }
    if checker.is_broken_table(written) {
        found.broken = true;
        return;
    }
    if let Some((to, name)) = made_beside(checker, written) {
        found.reads.insert(name);
        found.edges.push(Edge { to, at });
        return;
    }
    let stored = written
        .parse::<TableName>()
        .ok()
        .and_then(|name| checker.world.lakehouse.find_table(&name).ok().flatten());
    match stored {
        Some(name) => {
            // Rejected records are written by the ingest that they are missing from.
            let ingest = written
                .strip_suffix(SUFFIX)
                .and_then(|name| checker.find(name));
            found.edges.extend(ingest.map(|to| Edge { to, at }));
            found.reads.insert(name);
        }
        None => {
            let help = nearest_table(checker, written);
            let diagnostic =
                Diagnostic::error("unknown_table", format!("there is no table `{written}`"))
                    .maybe_help(help)
                    .at_location(at);
            checker.diagnostics.push(diagnostic);
            found.broken = true;
        }
    }
}

/// The asset that makes a table beside what it is for, and the table: a report beside its page,
/// a table beside its rows.
pub(super) fn made_beside(checker: &Checker<'_>, written: &str) -> Option<(usize, TableName)> {
    let mut assets = checker.assets.iter().enumerate();
    assets.find_map(|(position, asset)| {
        let made = match asset.body {
            Declared::Report(report) => report.body.makes()?.value.parse::<TableName>().ok()?,
            Declared::Table(table) => quarantine::of_table(asset.name, table)?,
            Declared::Tokenizer(_) | Declared::Model(_) => return None,
        };
        let same = made.to_string().eq_ignore_ascii_case(written);
        same.then_some((position, made))
    })
}

/// What to write instead of a table that there is not.
fn nearest_table(checker: &Checker<'_>, written: &str) -> Option<String> {
    if let Some(extension) = Path::new(written).extension()
        && FILE_EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    {
        return Some("queries read tables: let one `ingest:` the file".to_owned());
    }
    let mut names: Vec<String> = checker
        .assets
        .iter()
        .filter(|asset| matches!(asset.body, Declared::Table(_)))
        .map(|asset| asset.name.to_owned())
        .collect();
    names.extend(checker.spec.broken.tables.iter().cloned());
    let stored = checker.world.lakehouse.list_tables().unwrap_or_default();
    names.extend(stored.iter().map(ToString::to_string));
    let names = sorted(&names);
    let in_layer = |name: &&&str| {
        let (_, table) = name.split_once('.').unwrap_or_default();
        table.eq_ignore_ascii_case(written)
    };
    if let Some(name) = names.iter().find(in_layer) {
        return Some(format!("did you mean `{name}`?"));
    }
    did_you_mean(written, names.iter().copied()).or_else(|| match names.len() {
        0 => None,
        1..=MAX_LISTED => Some(format!("the tables are {}", list(&names))),
        more => {
            let shown = list(&names[..MAX_LISTED]);
            Some(format!(
                "the tables are {shown} and {} more",
                more - MAX_LISTED
            ))
        }
    })
}

fn sorted(names: &[String]) -> Vec<&str> {
    let unique: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    unique.into_iter().collect()
}

/// What a query wants of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Predictions,
    Vectors,
}

/// Finds the model that a call of `predict` or `embed` names: versions that the project registers, else
/// what is in the registry.
async fn apply_model(
    checker: &mut Checker<'_>,
    asked: Asked,
    address: &ModelAddress,
    at: Location,
    found: &mut Found,
) {
    let written = address.to_string();
    let uri = match address.uri() {
        Ok(uri) => uri,
        Err(error) => {
            let diagnostic =
                Diagnostic::error("bad_model_address", super::world::error_chain(&error));
            checker.diagnostics.push(diagnostic.at_location(at));
            found.broken = true;
            return;
        }
    };
    let makers = registering(checker, &uri);
    if makers.is_empty() && !checker.spec.broken.models.is_empty() {
        // One of these may register it.
        found.broken = true;
        return;
    }
    if makers.is_empty()
        && let Err(words) = stored_model(checker, asked, &written, &uri).await
    {
        let diagnostic = unknown_model(checker, &uri, words).at_location(at);
        checker.diagnostics.push(diagnostic);
        found.broken = true;
        return;
    }
    for to in makers {
        found.edges.push(Edge { to, at: at.clone() });
    }
    let applied = Applied { written, uri };
    match asked {
        Asked::Vectors => found.embeds.push((applied, at)),
        Asked::Predictions if !found.applies.contains(&applied) => found.applies.push(applied),
        Asked::Predictions => {}
    }
}

/// Remembers what a model of the registry takes and gives.
async fn stored_model(
    checker: &mut Checker<'_>,
    asked: Asked,
    written: &str,
    uri: &ModelUri,
) -> Result<(), String> {
    let resolved = checker.world.registry.resolve(uri).await;
    let resolved = resolved.and_then(ModelVersion::as_model);
    let version = resolved.map_err(|error| super::world::error_chain(&error))?;
    if asked == Asked::Vectors {
        return TextEmbedder::check(&version.path)
            .map_err(|error| super::world::error_chain(&error));
    }
    let stored = super::queries::stored_version(&version.path)?;
    checker.stored_models.insert(written.to_owned(), stored);
    Ok(())
}

/// `words`: what the registry says of a model that this project does not make.
fn unknown_model(checker: &Checker<'_>, uri: &ModelUri, words: String) -> Diagnostic {
    let registers: Vec<&Register> = checker.assets.iter().filter_map(registers).collect();
    let ours = |register: &&&Register| register.name.as_str() == uri.name;
    let same: Vec<&Register> = registers.iter().filter(ours).copied().collect();
    if same.is_empty() {
        let names = registers.iter().map(|register| register.name.as_str());
        let help = did_you_mean(&uri.name, names);
        return Diagnostic::error("unknown_model", words).maybe_help(help);
    }
    let aliases: BTreeSet<&str> = same
        .iter()
        .filter_map(|register| register.alias.as_ref().map(|alias| alias.as_str()))
        .collect();
    let address = |alias: &str| format!("`models:/{}@{alias}`", uri.name);
    let (message, help) = match &uri.version {
        VersionSpec::Alias(alias) => (
            format!("nothing registers `{}` as `{alias}`", uri.name),
            nearest(alias, aliases.iter().copied())
                .map(|near| format!("did you mean {}?", address(near))),
        ),
        VersionSpec::Number(number) => {
            (format!("`{}` has no version {number} yet", uri.name), None)
        }
        // The past of an alias is the registry's alone; no model goes by its name alone.
        VersionSpec::AliasAsOf { .. } | VersionSpec::Latest => {
            return Diagnostic::error("unknown_model", words);
        }
    };
    let listed = || {
        aliases
            .iter()
            .map(|alias| address(alias))
            .collect::<Vec<_>>()
    };
    let all = (!aliases.is_empty()).then(|| format!("this project makes {}", listed().join(", ")));
    Diagnostic::error("unknown_model", message).maybe_help(help.or(all))
}

fn registers<'a>(asset: &super::Declaration<'a>) -> Option<&'a Register> {
    match asset.body {
        Declared::Model(model) => model.register.as_ref(),
        Declared::Table(_) | Declared::Tokenizer(_) | Declared::Report(_) => None,
    }
}

/// The assets whose work decides what an address names. A numbered version never changes; a
/// bare name follows whatever is registered under it.
pub(super) fn registering(checker: &Checker<'_>, uri: &ModelUri) -> Vec<usize> {
    let makes = |asset: &super::Declaration<'_>| match &uri.version {
        VersionSpec::Number(_) | VersionSpec::AliasAsOf { .. } => false,
        VersionSpec::Alias(alias) => registers(asset).is_some_and(|register| {
            let own = register.alias.as_ref();
            register.name.as_str() == uri.name && own.is_some_and(|own| own.as_str() == alias)
        }),
        VersionSpec::Latest => match asset.body {
            Declared::Tokenizer(_) => asset.name == uri.name,
            _ => registers(asset).is_some_and(|register| register.name.as_str() == uri.name),
        },
    };
    let assets = checker.assets.iter().enumerate();
    assets
        .filter(|(_, asset)| makes(asset))
        .map(|(position, _)| position)
        .collect()
}

fn of_model(checker: &mut Checker<'_>, model: &ModelSpec, found: &mut Found) {
    let from = &model.body.data().from;
    let at = checker.location(from.span);
    resolve_table(checker, &from.value, at, found);
}

fn after(checker: &mut Checker<'_>, names: &[Spanned<String>], found: &mut Found) {
    for name in names {
        let at = checker.location(name.span);
        match checker.find(&name.value) {
            Some(to) => found.edges.push(Edge { to, at }),
            None if checker.is_broken(&name.value) => found.misplaced = true,
            None => {
                let broken = &checker.spec.broken;
                let learned = broken.tokenizers.iter().chain(&broken.models);
                let broken = broken.tables.iter().chain(learned).chain(&broken.reports);
                let known = checker.assets.iter().map(|asset| asset.name);
                let known = known.chain(broken.map(String::as_str));
                let help = did_you_mean(&name.value, known);
                let message = format!("`after` names `{name}`, which this project does not make");
                let diagnostic = Diagnostic::error("unknown_asset", message).maybe_help(help);
                checker.error(diagnostic, name.span);
                found.misplaced = true;
            }
        }
    }
}
