//! Looks inside models that read a text: columns, parameters, tokenizer and what is fine-tuned.

use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;
use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::hub;
use sluice_learn::deep::bert::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::features::Interface;
use sluice_learn::text_fit::{BERT, BertSpec, pretrained_config};
use sluice_learn::{DatasetSpec, LearnError};

use super::edges::Found;
use super::finish::{finish, identify};
use super::models::{metrics_judge, report_component, report_data, searched};
use super::tables::Known;
use super::world::error_chain;
use super::{Checker, Declaration};
use crate::diagnostic::Diagnostic;
use crate::plan::{AssetBody, Fit, ModelAsset, TextTraining, TokenizerSource};
use crate::run::error::blocking;
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
        Some((train, _, spec)) => sources(checker, &train.estimator, spec).await,
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

/// What a training starts from, on this machine.
struct Sources {
    /// The folder that is fine-tuned, and the BLAKE3 of its files.
    pretrained: Option<(PathBuf, String)>,
    tokenizer: TokenizerSource,
    /// What identifies the tokenizer.
    tokenizer_hash: String,
    max_length: usize,
}

/// Finds what a training starts from, and whether it goes together.
async fn sources(
    checker: &mut Checker<'_>,
    estimator: &Component,
    spec: &BertSpec,
) -> Option<Sources> {
    let folder = checker.spec.project.folder().to_owned();
    let pretrained = match spec.pretrained() {
        None => None,
        Some(written) => {
            let span = estimator.value_span(&["model"]);
            Some(model_folder(checker, &written.0, &folder, span)?)
        }
    };
    let span = estimator.value_span(&["tokenizer"]);
    let file = tokenizer_file(checker, spec, &folder, pretrained.as_deref(), span)?;
    let (spec, model, path) = (spec.clone(), pretrained.clone(), file.clone());
    // Whole files are read.
    let looked = blocking(move || Ok(look(&spec, model.as_deref(), &path)?)).await;
    match looked {
        Ok(looked) => Some(Sources {
            pretrained: pretrained.zip(looked.model_hash),
            tokenizer: TokenizerSource::File(file),
            tokenizer_hash: looked.tokenizer_hash,
            max_length: looked.max_length,
        }),
        Err(crate::run::error::StageError::Learn(error @ LearnError::Params(_))) => {
            report_component(checker, estimator, &error);
            None
        }
        Err(error) => {
            let place = if spec_has_model(estimator) {
                "model"
            } else {
                "tokenizer"
            };
            let span = estimator.value_span(&[place]);
            checker.error(Diagnostic::error("bad_model", error_chain(&error)), span);
            None
        }
    }
}

fn spec_has_model(estimator: &Component) -> bool {
    estimator.params_json().contains_key("model")
}

/// The folder of a model that is to be fine-tuned.
fn model_folder(
    checker: &mut Checker<'_>,
    written: &str,
    base: &Path,
    span: Span,
) -> Option<PathBuf> {
    let folder = if hub::is_reference(written) {
        match hub::resolve(written) {
            Ok(snapshot) => snapshot.folder,
            Err(error) => {
                checker.error(
                    Diagnostic::error("unknown_model", error_chain(&error)),
                    span,
                );
                return None;
            }
        }
    } else {
        base.join(written)
    };
    for file in [CONFIG_FILE, WEIGHTS_FILE] {
        if !folder.join(file).is_file() {
            let message = format!("{} has no file {file}", folder.display());
            let help = "`model` is a Hugging Face folder (config.json, model.safetensors, tokenizer.json), or hf:org/name once it is pulled";
            let error = Diagnostic::error("unknown_model", message).help(help);
            checker.error(error, span);
            return None;
        }
    }
    Some(folder)
}

/// The file of the tokenizer: that which is named, else the model's.
fn tokenizer_file(
    checker: &mut Checker<'_>,
    spec: &BertSpec,
    base: &Path,
    model: Option<&Path>,
    span: Span,
) -> Option<PathBuf> {
    let named = spec.tokenizer().map(|written| base.join(written));
    let path = named.or_else(|| model.map(Path::to_owned))?;
    let file = match path.is_dir() {
        true => path.join(TOKENIZER_FILE),
        false => path,
    };
    if file.is_file() {
        return Some(file);
    }
    let message = format!("there is no tokenizer {}", file.display());
    let help = "name a folder with a tokenizer.json, or the file itself";
    checker.error(
        Diagnostic::error("unknown_tokenizer", message).help(help),
        span,
    );
    None
}

/// What files say.
struct Looked {
    model_hash: Option<String>,
    tokenizer_hash: String,
    max_length: usize,
}

/// Reads the files that a training starts from.
fn look(spec: &BertSpec, model: Option<&Path>, tokenizer: &Path) -> Result<Looked, LearnError> {
    let read = TextTokenizer::read(tokenizer)?;
    let config = match model {
        Some(folder) => pretrained_config(spec, folder)?,
        None => spec.scratch(read.last_id() as usize + 1, 0),
    };
    if read.last_id() as usize >= config.vocab_size {
        return Err(sluice_learn::deep::DeepError::Vocabulary {
            tokens: read.vocab_size(),
            last_id: read.last_id(),
            vocab_size: config.vocab_size,
        }
        .into());
    }
    let max_length = spec.max_length(config.max_position_embeddings)?;
    // There must be room for a token beside the special ones.
    read.encoder(Some(max_length))?;
    let model_hash = match model {
        Some(folder) => Some(hashed(&[
            folder.join(CONFIG_FILE),
            folder.join(WEIGHTS_FILE),
        ])?),
        None => None,
    };
    Ok(Looked {
        model_hash,
        tokenizer_hash: blake3::hash(read.json().as_bytes()).to_hex().to_string(),
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
    params.insert("tokenizer".to_owned(), json!(sources.tokenizer_hash));
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
