//! Looks inside models that read a text: columns, parameters, tokenizer and what is fine-tuned.

use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;
use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::hub;
use sluice_learn::deep::DeepError;
use sluice_learn::deep::bert::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::features::Interface;
use sluice_learn::text_fit::{BERT, BertSpec, pretrained_config};
use sluice_learn::{DatasetSpec, LearnError};

use super::edges::Found;
use super::finish::{finish, identify};
use super::known::Known;
use super::models::{metrics_judge, report_component, report_data, searched};
use super::world::error_chain;
use super::{Checker, Declaration, tokenizers};
use crate::diagnostic::Diagnostic;
use crate::plan::{AssetBody, Fit, ModelAsset, TextTraining, UsedTokenizer};
use crate::run::error::{StageError, blocking};
use crate::source::{Span, Spanned};
use crate::spec::{Component, ModelBody, ModelSpec, Train, TrainingData};

/// Whether a model reads a text, or is said to.
pub(super) fn reads_text(model: &ModelSpec) -> bool {
    model.body.data().text.is_some() || model.body.estimator().name.value == BERT
}

/// Checks a model that reads a text. `None` if it, or the table that it learns from, is broken.
pub(super) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    model: &ModelSpec,
    found: &Found,
) -> Option<AssetBody> {
    let position = checker.find(declaration.name)?;
    let data = model.body.data();
    let parts = parts(checker, model);
    let sources = match &parts {
        Some((train, _, spec)) => sources(checker, &train.estimator, spec, found).await,
        None => None,
    };
    let (Some(from), false) = (found.reads.first(), found.broken) else {
        return None;
    };
    let schema = known.tables.get(from)?.clone();
    let dataset = DatasetSpec {
        label: data.label.value.clone(),
        task: data.task.map(|task| task.value),
        ..DatasetSpec::default()
    };
    let text = data.text.as_ref()?;
    let interface = interface(checker, data, text, from, &schema, &dataset)?;
    let target = interface.target;
    let features = interface.features.iter();
    let features = features.map(|feature| feature.name.clone()).collect();
    known.interfaces.insert(position, interface);
    let (train, _, spec) = parts?;
    let goes = spec.check(target);
    if let Err(error) = &goes {
        report_component(checker, &train.estimator, error);
    }
    let judged = metrics_judge(checker, model, target.task);
    let finish = finish(checker, data, target.task);
    let (sources, finish) = (sources?, finish?);
    if goes.is_err() || !judged {
        return None;
    }
    Some(AssetBody::Model(Box::new(ModelAsset {
        from: from.clone(),
        data: dataset,
        features,
        definition: definition(data, text, &train.estimator, &sources),
        fit: Fit::Text(Box::new(TextTraining {
            spec,
            text: text.value.clone(),
            max_length: sources.max_length,
            pretrained: sources.pretrained.map(|(folder, _)| folder),
            tokenizer: sources.tokenizer,
        })),
        finish,
        task: target.task,
        register: model.register.clone(),
    })))
}

/// The parts of a model that reads a text, if it is written as one.
fn parts<'m>(
    checker: &mut Checker<'_>,
    model: &'m ModelSpec,
) -> Option<(&'m Train, &'m Spanned<String>, BertSpec)> {
    let estimator = model.body.estimator();
    let name = estimator.name.value.as_str();
    let text = match (&model.body.data().text, name == BERT) {
        (Some(text), true) => text,
        (Some(text), false) => {
            let message = format!("`{name}` does not read `text:`");
            let help = format!(
                "use `{BERT}`, which does, or take `text:` out; a text column of few values can be one of `categorical:`"
            );
            let error = Diagnostic::error("conflicting_keys", message).help(help);
            checker.error(error, text.span);
            return None;
        }
        (None, _) => {
            let message = format!("`{BERT}` needs the key `text`, beside `label`");
            let help = "name the column that it reads: `text: review`";
            let error = Diagnostic::error("missing_key", message).help(help);
            checker.error(error, estimator.name.span);
            return None;
        }
    };
    let train = match &model.body {
        ModelBody::Train(train) => train,
        ModelBody::Sweep(sweep) => {
            let message = format!("`{BERT}` cannot be searched yet: a `sweep:` fits trees");
            let help = "write `train:` with one set of parameters, and a model for each to compare";
            let error = Diagnostic::error("not_supported", message).help(help);
            checker.error(error, sweep.estimator.name.span);
            return None;
        }
    };
    if let Some((diagnostic, span)) = searched(estimator) {
        checker.error(diagnostic, span);
        return None;
    }
    match BertSpec::parse(&estimator.params_json()) {
        Ok(spec) => Some((train, text, spec)),
        Err(error) => {
            report_component(checker, estimator, &error);
            None
        }
    }
}

fn interface(
    checker: &mut Checker<'_>,
    data: &TrainingData,
    text: &Spanned<String>,
    from: &TableName,
    schema: &Schema,
    dataset: &DatasetSpec,
) -> Option<Interface> {
    match dataset.text_interface(&text.value, schema) {
        Ok(interface) => Some(interface),
        Err(errors) => {
            for error in &errors {
                report_data(checker, data, from, schema, error);
            }
            None
        }
    }
}

/// Whether a tokenizer is named by where it lies, and not by its name in the registry.
fn is_path(written: &str) -> bool {
    let registered = written.starts_with("models:/") || hub::is_reference(written);
    let looks_like_one = written.contains(['/', '\\']) || written.ends_with(".json");
    (looks_like_one || written.starts_with('.')) && !registered
}

/// Finds the registered tokenizer that a text model names, which is then made before it.
pub(super) async fn refer(checker: &mut Checker<'_>, model: &ModelSpec, found: &mut Found) {
    let estimator = model.body.estimator();
    if estimator.name.value != BERT {
        return;
    }
    let params = estimator.params_json();
    let Some(written) = params.get("tokenizer").and_then(Value::as_str) else {
        return;
    };
    if is_path(written) || hub::is_reference(written) {
        return;
    }
    let at = checker.location(estimator.value_span(&["tokenizer"]));
    found.tokenizer = tokenizers::refer(checker, written, at, found).await;
}

/// What a training starts from, on this machine.
struct Sources {
    /// The folder that is fine-tuned, and the BLAKE3 of its files.
    pretrained: Option<(PathBuf, String)>,
    tokenizer: UsedTokenizer,
    /// What identifies the tokenizer, unless it is a version of the registry.
    tokenizer_hash: Option<String>,
    max_length: usize,
}

/// Finds what a training starts from, and whether it goes together.
async fn sources(
    checker: &mut Checker<'_>,
    estimator: &Component,
    spec: &BertSpec,
    found: &Found,
) -> Option<Sources> {
    let pretrained = match spec.pretrained() {
        None => None,
        Some(written) => {
            let span = estimator.value_span(&["model"]);
            Some(folder(
                checker,
                &written.0,
                &[CONFIG_FILE, WEIGHTS_FILE],
                span,
            )?)
        }
    };
    let tokenizer = match &found.tokenizer {
        Some(applied) => UsedTokenizer::Registered(applied.clone()),
        // What is wrong with its name is told.
        None if spec
            .tokenizer()
            .is_some_and(|name| !is_path(name) && !hub::is_reference(name)) =>
        {
            return None;
        }
        None => UsedTokenizer::File(tokenizer_file(
            checker,
            estimator,
            spec,
            pretrained.clone(),
        )?),
    };
    // One that this project makes may not be there yet: it is looked at when it is used.
    let file = match &tokenizer {
        UsedTokenizer::File(path) => Some(path.clone()),
        UsedTokenizer::Registered(applied) => {
            checker.stored_tokenizers.get(&applied.written).cloned()
        }
    };
    let (own, model) = (spec.clone(), pretrained.clone());
    // Whole files are read.
    let looked = blocking(move || Ok(look(&own, model.as_deref(), file.as_deref())?)).await;
    match looked {
        Ok(looked) => Some(Sources {
            pretrained: pretrained.zip(looked.model_hash),
            tokenizer_hash: match &tokenizer {
                UsedTokenizer::File(_) => looked.tokenizer_hash,
                UsedTokenizer::Registered(_) => None,
            },
            tokenizer,
            max_length: looked.max_length,
        }),
        Err(StageError::Learn(error @ LearnError::Params(_))) => {
            report_component(checker, estimator, &error);
            None
        }
        Err(error) => {
            let of_tokenizer = matches!(
                &error,
                StageError::Learn(LearnError::Deep(deep))
                    if matches!(**deep, DeepError::Tokenizer { .. } | DeepError::Vocabulary { .. })
            );
            let (code, place) = match of_tokenizer && spec.tokenizer().is_some() {
                true => ("bad_tokenizer", "tokenizer"),
                false => ("bad_model", "model"),
            };
            let span = estimator.value_span(&[place]);
            checker.error(Diagnostic::error(code, error_chain(&error)), span);
            None
        }
    }
}

/// A folder of Hugging Face's that holds these files.
fn folder(checker: &mut Checker<'_>, written: &str, files: &[&str], span: Span) -> Option<PathBuf> {
    let folder = if hub::is_reference(written) {
        match hub::resolve(written) {
            Ok(snapshot) => snapshot.folder,
            Err(error) => {
                checker.error(Diagnostic::error("not_at_hand", error_chain(&error)), span);
                return None;
            }
        }
    } else {
        checker.spec.project.resolve(written)
    };
    let missing = files.iter().find(|file| !folder.join(file).is_file());
    let Some(missing) = missing else {
        return Some(folder);
    };
    let message = match folder.is_dir() {
        true => format!("there is no {missing} in {}", folder.display()),
        false => format!("there is no folder {}", folder.display()),
    };
    let mut help =
        "name a folder of Hugging Face's with config.json, model.safetensors and tokenizer.json"
            .to_owned();
    if !written.starts_with('.') && written.matches('/').count() == 1 {
        help = format!("{help}; a model of the hub is `hf:{written}`");
    }
    checker.error(Diagnostic::error("missing_file", message).help(help), span);
    None
}

/// The file of the tokenizer: that which is named, else the model's.
fn tokenizer_file(
    checker: &mut Checker<'_>,
    estimator: &Component,
    spec: &BertSpec,
    model: Option<PathBuf>,
) -> Option<PathBuf> {
    let Some(written) = spec.tokenizer() else {
        let file = model?.join(TOKENIZER_FILE);
        if file.is_file() {
            return Some(file);
        }
        let span = estimator.value_span(&["model"]);
        let message = format!("there is no {}", file.display());
        let help = "name a tokenizer that goes with it: `tokenizer: ...`";
        checker.error(Diagnostic::error("missing_file", message).help(help), span);
        return None;
    };
    let path = checker.spec.project.resolve(written);
    if path.is_file() {
        return Some(path);
    }
    let span = estimator.value_span(&["tokenizer"]);
    let folder = folder(checker, written, &[TOKENIZER_FILE], span)?;
    Some(folder.join(TOKENIZER_FILE))
}

/// What files say.
struct Looked {
    model_hash: Option<String>,
    tokenizer_hash: Option<String>,
    max_length: usize,
}

/// Reads the files that a training starts from.
fn look(
    spec: &BertSpec,
    model: Option<&Path>,
    tokenizer: Option<&Path>,
) -> Result<Looked, LearnError> {
    let read = tokenizer.map(TextTokenizer::read).transpose()?;
    let last_id = read.as_ref().map_or(0, TextTokenizer::last_id);
    let config = match model {
        Some(folder) => pretrained_config(spec, folder)?,
        None => spec.scratch(last_id as usize + 1, 0),
    };
    let max_length = spec.max_length(config.max_position_embeddings)?;
    if let Some(tokenizer) = &read {
        if last_id as usize >= config.vocab_size {
            return Err(LearnError::from(DeepError::Vocabulary {
                tokens: tokenizer.vocab_size(),
                last_id,
                vocab_size: config.vocab_size,
            }));
        }
        // There must be room for a token beside the special ones.
        tokenizer.encoder(Some(max_length))?;
    }
    let files = model.map(|folder| [folder.join(CONFIG_FILE), folder.join(WEIGHTS_FILE)]);
    let hash = |json: &str| blake3::hash(json.as_bytes()).to_hex().to_string();
    Ok(Looked {
        model_hash: files.map(|files| hashed(&files)).transpose()?,
        tokenizer_hash: read.map(|tokenizer| hash(tokenizer.json())),
        max_length,
    })
}

/// The BLAKE3 of some files, one after the other.
fn hashed(paths: &[PathBuf]) -> Result<String, LearnError> {
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        let read = std::fs::File::open(path).and_then(|file| {
            hasher.update(&file.metadata()?.len().to_le_bytes());
            hasher.update_reader(file).map(|_| ())
        });
        read.map_err(|source| LearnError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Parameters that do not change what is learned.
const NO_MATTER: [&str; 5] = [
    "device",
    "logging_steps",
    "save_strategy",
    "save_steps",
    "save_total_limit",
];

/// What identifies a model's definition: all that its training depends on, besides the data.
fn definition(
    data: &TrainingData,
    text: &Spanned<String>,
    estimator: &Component,
    sources: &Sources,
) -> Value {
    let mut params = estimator.params_json();
    for name in NO_MATTER {
        params.remove(name);
    }
    // Where files lie does not matter, but what is in them.
    if let Some((_, hash)) = &sources.pretrained {
        params.insert("model".to_owned(), json!(hash));
    }
    if let Some(hash) = &sources.tokenizer_hash {
        params.insert("tokenizer".to_owned(), json!(hash));
    }
    let mut definition = json!({
        "from": data.from.value.to_lowercase(),
        "label": data.label.value.to_lowercase(),
        "text": text.value.to_lowercase(),
        "estimator": {estimator.name.value.as_str(): params},
    });
    if let Some(task) = data.task {
        definition["task"] = json!(task.value);
    }
    if let Some(definition) = definition.as_object_mut() {
        identify(data, definition);
    }
    definition
}
