//! Looks inside tokenizers, and finds those that others name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::datatypes::DataType;
use serde_json::json;
use sluice_lake::hub;
use sluice_lake::registry::{ModelFormat, ModelUri, RegistryError, TOKENIZER_FILE};
use sluice_lake::sql::{SqlError, parse_expression};
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::sql_type::SqlType;
use sluice_udfs::text::{LoadedTokenizer, TokenizerSet, TokenizerUse, references_in_expression};

use super::edges::{Edge, Found, registering};
use super::known::{Known, load_stored};
use super::tables::find_column;
use super::world::error_chain;
use super::{Checker, Declaration, Declared, sql_errors};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::tokenizer::content_hash;
use crate::plan::{Applied, AssetBody, TokenizerAsset, TokenizerSource};
use crate::source::{Location, Spanned};
use crate::spec::{Rule, SqlText, TableSpec, TokenizerBody, TokenizerSpec, TokenizerTraining};

/// The estimator whose models bring a tokenizer.
const TEXT_ESTIMATOR: &str = "bert";

/// Checks a tokenizer. `None` if it, or the table that it is trained on, is broken.
pub(crate) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    tokenizer: &TokenizerSpec,
    found: &Found,
) -> Option<AssetBody> {
    let free = is_free(checker, declaration).await;
    let asset = match &tokenizer.body {
        TokenizerBody::From(from) => file(checker, from).await,
        TokenizerBody::Train(train) => {
            if found.broken || !load_stored(checker, known, found, declaration.span).await {
                return None;
            }
            training(checker, known, train, found)
        }
    };
    let asset = asset.filter(|_| free)?;
    Some(AssetBody::Tokenizer(Box::new(asset)))
}

/// Whether the tokenizer can be registered under its name: nothing else is.
async fn is_free(checker: &mut Checker<'_>, declaration: Declaration<'_>) -> bool {
    let registry = &checker.world.registry;
    let taken = match registry.list().await {
        Ok(models) => models
            .into_iter()
            .find(|model| model.name.eq_ignore_ascii_case(declaration.name)),
        Err(error) => {
            let diagnostic = Diagnostic::error("unreadable_registry", error_chain(&error));
            checker.error(diagnostic, declaration.span);
            return false;
        }
    };
    let Some(taken) = taken else {
        return true;
    };
    let message = if taken.name == declaration.name {
        let last = registry.resolve(&ModelUri::latest(&taken.name)).await;
        match last {
            Ok(last) if last.format != ModelFormat::Tokenizer => {
                format!("`{}` is a model in the registry", taken.name)
            }
            // A name whose versions are all deleted is free.
            _ => return true,
        }
    } else {
        format!(
            "`{}` is in the registry: names that differ only in case are refused",
            taken.name
        )
    };
    checker.error(
        Diagnostic::error("duplicate_name", message)
            .help("a tokenizer is registered under its name: choose another one"),
        declaration.span,
    );
    false
}

/// A tokenizer that somebody else made.
async fn file(checker: &mut Checker<'_>, from: &Spanned<String>) -> Option<TokenizerAsset> {
    let (project, written) = (checker.spec.project.clone(), from.value.clone());
    let read = tokio::task::spawn_blocking(move || {
        let path = if hub::is_reference(&written) {
            let pulled = hub::resolve(&written).map_err(|error| wrong("not_at_hand", &error))?;
            tokenizer_file(pulled.folder, &written)?
        } else {
            tokenizer_file(project.resolve(&written), &written)?
        };
        match TextTokenizer::read(&path) {
            Ok(tokenizer) => Ok((path, content_hash(tokenizer.json()))),
            Err(error) => Err(wrong("bad_tokenizer", &error)),
        }
    });
    let read = read.await;
    let read = read.unwrap_or_else(|lost| Err(wrong("bad_tokenizer", &lost)));
    match read {
        Ok((path, content)) => Some(TokenizerAsset {
            definition: json!({"content": content}),
            source: TokenizerSource::File { path, content },
        }),
        Err(diagnostic) => {
            checker.error(*diagnostic, from.span);
            None
        }
    }
}

fn wrong(code: &'static str, error: &dyn std::error::Error) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(code, error_chain(error)))
}

/// The file at a path that may be its folder.
fn tokenizer_file(path: PathBuf, written: &str) -> Result<PathBuf, Box<Diagnostic>> {
    if path.is_dir() {
        let file = path.join(TOKENIZER_FILE);
        if file.is_file() {
            return Ok(file);
        }
        let message = format!("there is no {TOKENIZER_FILE} in {}", path.display());
        let help = "only tokenizers of the library `tokenizers` (\"fast\" ones) can be read: save yours with `save_pretrained`";
        return Err(Box::new(
            Diagnostic::error("missing_file", message).help(help),
        ));
    }
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("there is no file or folder {}", path.display());
    let mut help = "a path is relative to the pipeline file".to_owned();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let is_file = extension.chars().any(|c| c.is_ascii_alphabetic());
    if written.matches('/').count() == 1 && !written.starts_with('.') && !is_file {
        help = format!("{help}; a tokenizer of the hub of Hugging Face is `hf:{written}`");
    }
    Err(Box::new(
        Diagnostic::error("missing_file", message).help(help),
    ))
}

/// A tokenizer that is trained on a column of texts.
fn training(
    checker: &mut Checker<'_>,
    known: &Known,
    train: &TokenizerTraining,
    found: &Found,
) -> Option<TokenizerAsset> {
    let from = found.reads.first()?;
    let schema = known.tables.get(from)?.clone();
    let column = find_column(checker, &schema, &train.column, from)?;
    let data_type = schema.field_with_name(&column).ok()?.data_type();
    if !is_text(data_type) {
        let message = format!(
            "a tokenizer is trained on text, and `{column}` is {}",
            SqlType(data_type)
        );
        let help = match data_type {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                "make it text in the table's SQL: `CAST(... AS STRING)`".to_owned()
            }
            _ => {
                let texts = schema.fields().iter();
                let texts = texts.filter(|field| is_text(field.data_type()));
                let texts: Vec<&str> = texts.map(|field| field.name().as_str()).collect();
                match texts.is_empty() {
                    true => format!("`{from}` has no column of text"),
                    false => format!(
                        "the columns of text are {}",
                        crate::spec::decode::list(&texts)
                    ),
                }
            }
        };
        checker.error(
            Diagnostic::error("wrong_type", message).help(help),
            train.column.span,
        );
        return None;
    }
    let training = train.kind.training();
    let mut settings = json!({"vocab_size": training.vocab_size});
    use sluice_learn::deep::tokenizer::TokenizerKind::{Bpe, Unigram, WordPiece};
    if let WordPiece | Bpe = training.kind {
        settings["min_frequency"] = training.min_frequency.into();
    }
    if let WordPiece | Unigram = training.kind {
        settings["lowercase"] = training.lowercase.into();
        settings["limit_alphabet"] = training.limit_alphabet.into();
    }
    Some(TokenizerAsset {
        definition: json!({
            "from": from.to_string().to_lowercase(),
            "column": column.to_lowercase(),
            training.kind.as_str(): settings,
        }),
        source: TokenizerSource::Train {
            from: from.clone(),
            column,
            training,
        },
    })
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether texts can be tokenized with what an asset registers.
pub(super) fn brings_tokenizer(declared: Declared<'_>) -> bool {
    match declared {
        Declared::Tokenizer(_) => true,
        Declared::Model(model) => model.body.estimator().name.value == TEXT_ESTIMATOR,
        Declared::Table(_) | Declared::Report(_) => false,
    }
}

/// Finds the tokenizer that a reference names (a bare name, or an address of the registry):
/// assets of the project that it waits for from now on, else a version in the registry. Tells
/// what is wrong with it otherwise; `None` then.
pub(crate) async fn refer(
    checker: &mut Checker<'_>,
    written: &str,
    at: Location,
    found: &mut Found,
) -> Option<Applied> {
    let uri = match ModelUri::reference(written) {
        Ok(uri) => uri,
        Err(error) => {
            let diagnostic = Diagnostic::error("bad_tokenizer", error_chain(&error));
            let help = "write the name of a tokenizer, `models:/name/3` or `models:/name@alias`";
            checker
                .diagnostics
                .push(diagnostic.help(help).at_location(at));
            found.broken = true;
            return None;
        }
    };
    let makers = registering(checker, &uri);
    let makers: Vec<usize> = makers
        .into_iter()
        .filter(|maker| brings_tokenizer(checker.assets[*maker].body))
        .collect();
    if makers.is_empty() {
        let broken = &checker.spec.broken;
        if !broken.tokenizers.is_empty() || !broken.models.is_empty() {
            // One of these may be it.
            found.broken = true;
            return None;
        }
        match checker.world.registry.resolve_tokenizer(&uri).await {
            Ok(version) => {
                let file = version.path.join(TOKENIZER_FILE);
                checker.stored_tokenizers.insert(written.to_owned(), file);
            }
            Err(error) => {
                let diagnostic = unknown(checker, error).at_location(at);
                checker.diagnostics.push(diagnostic);
                found.broken = true;
                return None;
            }
        }
    }
    for to in makers {
        found.edges.push(Edge { to, at: at.clone() });
    }
    Some(Applied {
        written: written.to_owned(),
        uri,
    })
}

/// Finds the tokenizers that the calls in a piece of SQL name.
pub(super) async fn of_calls(
    checker: &mut Checker<'_>,
    calls: Result<Vec<TokenizerUse>, SqlError>,
    sql: &SqlText,
    found: &mut Found,
) {
    let uses = match calls {
        Ok(uses) => uses,
        Err(error) => {
            let diagnostic = sql_errors::diagnostic(&error, sql);
            checker.diagnostics.push(diagnostic);
            found.broken = true;
            return;
        }
    };
    for one in uses {
        let at = sql.to_source(one.place.map_or(0..0, |place| place.range()));
        let applied = refer(checker, &one.written, at, found).await;
        let applied = applied.filter(|applied| !found.tokenizers.contains(applied));
        found.tokenizers.extend(applied);
    }
}

/// Finds the tokenizers that a table's rules name. Rules that do not parse are told of later.
pub(super) async fn of_rules(checker: &mut Checker<'_>, table: &TableSpec, found: &mut Found) {
    for (_, expectation) in &table.expect {
        if let Rule::That(text) = &expectation.rule
            && let Ok(rule) = parse_expression(&text.text)
        {
            of_calls(checker, references_in_expression(&rule), text, found).await;
        }
    }
}

/// What a query's calls are settled to while it is checked: the references as they are
/// written. The tokenizers that the registry has are loaded, so that what is asked of them can
/// be checked.
pub(super) async fn settled(
    checker: &mut Checker<'_>,
    tokenizers: &[Applied],
    set: &TokenizerSet,
) -> BTreeMap<String, String> {
    let mut settled = BTreeMap::new();
    for Applied { written, .. } in tokenizers {
        settled.insert(written.clone(), written.clone());
        if let Some(file) = checker.stored_tokenizers.get(written).cloned()
            && set.get(written).is_none()
        {
            // What cannot be loaded is told when it is to be used.
            let opened = tokio::task::spawn_blocking(move || LoadedTokenizer::open(&file)).await;
            if let Ok(Ok(opened)) = opened {
                set.insert(written, opened);
            }
        }
    }
    settled
}

/// `error`: what the registry says of a tokenizer that this project does not make.
fn unknown(checker: &Checker<'_>, error: RegistryError) -> Diagnostic {
    let code = match error {
        RegistryError::NoTokenizer { .. } => "bad_tokenizer",
        _ => "unknown_tokenizer",
    };
    if let RegistryError::UnknownModel { name, .. } | RegistryError::UnknownAlias { name, .. } =
        &error
        && checker.spec.tokenizers.get(name).is_some()
    {
        let message = format!("`{name}` has no such version yet");
        let help = format!("`'{name}'` alone stands for what this project makes");
        return Diagnostic::error(code, message).help(help);
    }
    let RegistryError::UnknownTokenizer {
        name, mut known, ..
    } = error
    else {
        return Diagnostic::error(code, error_chain(&error));
    };
    let declared = checker.assets.iter();
    let declared = declared.filter(|asset| matches!(asset.body, Declared::Tokenizer(_)));
    known.extend(declared.map(|asset| asset.name.to_owned()));
    known.sort();
    known.dedup();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help =
        did_you_mean(&name, names.iter().copied()).unwrap_or_else(|| match names.is_empty() {
            true => "declare it below `tokenizers:`".to_owned(),
            false => format!("the tokenizers are {}", crate::spec::decode::list(&names)),
        });
    Diagnostic::error(code, format!("there is no tokenizer `{name}`")).help(help)
}
