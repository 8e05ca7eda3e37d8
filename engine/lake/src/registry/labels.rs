//! What people say about a model or a version: a description and tags, as in MLflow. A file
//! in its folder holds them; the state store mirrors it.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    nearest::nearest,
    state::registered::LabelsRow,
    tags::{TagError, check_tag, check_tag_key},
};

use super::{Registry, RegistryError, durable, folder, folder::LABELS_FILE, version_at};

/// A description and tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Values by name.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What is to become of them; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// The description; an empty one is taken away.
    pub description: Option<String>,
    /// Tags that are set, replacing their values.
    pub set: Vec<(String, String)>,
    /// Tags that are taken away.
    pub remove: Vec<String>,
}

impl Registry {
    /// Description and tags of a model, or of one of its versions.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] when the file is not what this program writes.
    pub async fn labels(&self, name: &str, version: Option<i64>) -> Result<Labels, RegistryError> {
        let name = name.to_owned();
        self.blocking(move |root| Ok(read(&root.join(name), version)?.unwrap_or_default()))
            .await
    }

    /// Changes description and tags of a model, or of one of its versions: all that is asked
    /// for, or nothing. Returns what they are then.
    ///
    /// # Errors
    /// [`RegistryError::Tag`] for a tag that cannot be set or is not there to be removed,
    /// [`RegistryError::UnknownModel`] or [`RegistryError::UnknownVersion`].
    pub async fn label(
        &self,
        name: &str,
        version: Option<i64>,
        change: LabelChange,
    ) -> Result<Labels, RegistryError> {
        let action = "label a model";
        for (key, value) in &change.set {
            check_tag(key, value)?;
        }
        for key in &change.remove {
            check_tag_key(key)?;
        }
        let state = self.writable(action)?;
        self.known(name).await?;
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, name).await?;
        let owned = name.to_owned();
        let labels = self
            .blocking(move |root| {
                if let Some(version) = version {
                    version_at(root, &owned, version)?;
                }
                let model = root.join(&owned);
                let before = read(&model, version)?.unwrap_or_default();
                let labels = changed(before, change, &of(&owned, version))?;
                write(&model, version, &labels)?;
                Ok(labels)
            })
            .await?;
        let row = row_of(name, version, labels.clone());
        state.put_labels(tx.connection(), &row).await?;
        state.commit(tx, action).await?;
        Ok(labels)
    }
}

fn of(name: &str, version: Option<i64>) -> String {
    match version {
        None => format!("the model `{name}`"),
        Some(version) => format!("version {version} of `{name}`"),
    }
}

fn changed(mut labels: Labels, change: LabelChange, of: &str) -> Result<Labels, TagError> {
    for key in change.remove {
        if labels.tags.remove(&key).is_none() {
            let known: Vec<String> = labels.tags.into_keys().collect();
            return Err(TagError::Unknown {
                of: of.to_owned(),
                nearest: nearest(&key, known.iter().map(String::as_str)).map(str::to_owned),
                key,
                known,
            });
        }
    }
    labels.tags.extend(change.set);
    if let Some(description) = change.description {
        labels.description = Some(description).filter(|text| !text.is_empty());
    }
    Ok(labels)
}

fn file(model: &Path, version: Option<i64>) -> std::path::PathBuf {
    match version {
        None => model.join(LABELS_FILE),
        Some(version) => model.join(version.to_string()).join(LABELS_FILE),
    }
}

fn read(model: &Path, version: Option<i64>) -> Result<Option<Labels>, RegistryError> {
    let path = file(model, version);
    match path.is_file() {
        true => folder::read_json(&path).map(Some),
        false => Ok(None),
    }
}

fn write(model: &Path, version: Option<i64>, labels: &Labels) -> Result<(), RegistryError> {
    let mut text =
        serde_json::to_string_pretty(labels).expect("a struct of strings and maps has a JSON form");
    text.push('\n');
    durable::publish_file(&file(model, version), text.as_bytes())
}

/// What the store is told of them, if there are any.
pub(super) fn row(
    model: &Path,
    name: &str,
    version: Option<i64>,
) -> Result<Option<LabelsRow>, RegistryError> {
    let labels = read(model, version)?;
    Ok(labels.map(|labels| row_of(name, version, labels)))
}

fn row_of(name: &str, version: Option<i64>, labels: Labels) -> LabelsRow {
    LabelsRow {
        name: name.to_owned(),
        version,
        description: labels.description,
        tags: labels.tags,
    }
}
