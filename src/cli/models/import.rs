//! `sluice models import`: a pretrained encoder of texts becomes a version of a model.

use std::path::{Path, PathBuf};

use sluice_lake::Lakehouse;
use sluice_lake::hub;
use sluice_lake::registry::{
    ColumnType, ModelFormat, MoveAlias, NewVersion, Registry, RegistryError, Signature,
    SignatureColumn, TrainedAs, check_name,
};
use sluice_lake::state::{RunId, State};
use sluice_learn::model::FEATURES_FILE;
use sluice_learn::text_embedder::SENTENCE_FILE;
use sluice_learn::{AppliedModel, TextEmbedder};
use sluice_udfs::models::ModelError;

use super::super::error::CliError;
use super::super::print;
use super::BY_HAND;

/// The files of a version that identify it.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// Those that it may have besides: what it predicts, and how many tokens of a text count.
const MORE_FILES: [&str; 2] = [FEATURES_FILE, SENTENCE_FILE];

/// Registers the encoder of a folder, or of a model that was pulled from a hub. The same files
/// are registered once.
///
/// # Errors
/// A folder that holds no sound encoder, a name that cannot be, a lakehouse that cannot be
/// written. Nothing is registered then.
pub(super) async fn import(
    root: &Path,
    source: &str,
    name: &str,
    alias: Option<&str>,
) -> Result<(), CliError> {
    check_name("model", name)?;
    if let Some(alias) = alias {
        check_name("alias", alias)?;
    }
    let (folder, key) = read(source).await?;
    let lakehouse = Lakehouse::create(root)?;
    let state = State::open(lakehouse.state_path()).await?;
    let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
    let done = register(&registry, folder, key, (name, alias), source).await;
    state.close().await;
    print(&done?)
}

/// The folder, whose encoder is sound, and what identifies its files.
async fn read(source: &str) -> Result<(PathBuf, String), CliError> {
    let written = source.to_owned();
    let opened = tokio::task::spawn_blocking(move || -> Result<_, ModelError> {
        let folder = match hub::is_reference(&written) {
            true => hub::resolve(&written)?.folder,
            false => PathBuf::from(&written),
        };
        TextEmbedder::load(&folder)?;
        if folder.join(FEATURES_FILE).is_file() {
            AppliedModel::load(&folder)?;
        }
        let mut hasher = blake3::Hasher::new();
        for file in FILES.into_iter().chain(MORE_FILES) {
            let path = folder.join(file);
            if path.is_file() {
                hasher.update(file.as_bytes());
                std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
            }
        }
        Ok((folder, hasher.finalize().to_hex()[..32].to_owned()))
    });
    let opened = opened.await.unwrap_or_else(|lost| Err(lost.into()));
    opened.map_err(|error| CliError::Model {
        address: source.to_owned(),
        source: error,
    })
}

/// Makes the version, unless there is one, and moves the alias. Returns what was done.
async fn register(
    registry: &Registry,
    folder: PathBuf,
    key: String,
    (name, alias): (&str, Option<&str>),
    source: &str,
) -> Result<String, CliError> {
    registry.reconcile().await?;
    let same = registry
        .versions_trained(TrainedAs::Key(key.clone()))
        .await?;
    let there = same.into_iter().find(|version| version.name == name);
    let (version, done) = match there {
        Some(version) => (version, "was imported before from the same files"),
        None => {
            let run = RunId::from(BY_HAND);
            let staging = registry.stage(name, &run).await?;
            let target = staging.path().to_owned();
            let copied = tokio::task::spawn_blocking(move || copy(&folder, &target)).await;
            let copied = copied.unwrap_or_else(|lost| Err(std::io::Error::other(lost)));
            copied.map_err(|error| CliError::Model {
                address: source.to_owned(),
                source: error.into(),
            })?;
            let format = match staging.path().join(FEATURES_FILE).is_file() {
                true => ModelFormat::HuggingFace,
                false => ModelFormat::Encoder,
            };
            let new = new_version(key, source, format);
            (registry.create_version(staging, new).await?, "is imported")
        }
    };
    let number = version.version;
    let mut told = format!("version {number} of {name} {done}\n");
    if let Some(alias) = alias {
        move_alias(registry, (name, alias), number, source).await?;
        told.push_str(&format!("{name}@{alias} names version {number}\n"));
    }
    Ok(told)
}

async fn move_alias(
    registry: &Registry,
    (name, alias): (&str, &str),
    version: i64,
    source: &str,
) -> Result<(), RegistryError> {
    let request = MoveAlias {
        name: name.to_owned(),
        alias: alias.to_owned(),
        version,
        expected: None,
        run_id: RunId::from(BY_HAND),
        reason: format!("imported from {source}"),
    };
    registry.set_alias(request).await.map(|_| ())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for file in FILES.into_iter().chain(MORE_FILES) {
        let path = from.join(file);
        if path.is_file() {
            std::fs::copy(path, to.join(file))?;
        }
    }
    Ok(())
}

fn new_version(key: String, source: &str, format: ModelFormat) -> NewVersion {
    NewVersion {
        project: BY_HAND.to_owned(),
        asset: source.to_owned(),
        spec: key.clone(),
        key,
        format,
        signature: Signature {
            inputs: vec![SignatureColumn {
                name: Some("text".to_owned()),
                column_type: ColumnType::String,
                required: true,
            }],
            outputs: Vec::new(),
        },
        metrics: std::collections::BTreeMap::new(),
        inputs: Vec::new(),
    }
}
