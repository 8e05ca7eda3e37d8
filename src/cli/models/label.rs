//! `sluice models tag` and `sluice models note`.

use sluice_lake::Lakehouse;
use sluice_lake::registry::{LabelChange, Labels, Registry};
use sluice_lake::state::State;

use crate::cli::error::CliError;
use crate::cli::pairs::{NoteChange, TagChange, write_fields};
use crate::cli::print;
use crate::results::Format;

use super::{reading, registered, resolve};

/// A model, or one of its versions.
struct Target {
    name: String,
    version: Option<i64>,
}

impl Target {
    /// What NAME, NAME@ALIAS or NAME/VERSION means.
    async fn find(registry: &Registry, text: &str) -> Result<Self, CliError> {
        let plain = text.strip_prefix("models:/").unwrap_or(text);
        if plain.contains(['@', '/']) {
            let version = resolve(registry, text).await?;
            return Ok(Self {
                name: version.name,
                version: Some(version.version),
            });
        }
        Ok(Self {
            name: registered(registry, plain).await?.name,
            version: None,
        })
    }

    fn words(&self) -> String {
        match self.version {
            None => self.name.clone(),
            Some(version) => format!("version {version} of {}", self.name),
        }
    }

    async fn change(&self, lakehouse: &Lakehouse, change: LabelChange) -> Result<(), CliError> {
        let state = State::open(lakehouse.state_path()).await?;
        let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
        let changed = registry.label(&self.name, self.version, change).await;
        state.close().await;
        changed?;
        Ok(())
    }
}

/// Sets, takes away or shows tags.
pub(super) async fn tag(
    lakehouse: &Lakehouse,
    model: &str,
    change: &TagChange,
    format: Format,
) -> Result<(), CliError> {
    let (registry, _) = reading(lakehouse).await?;
    let target = Target::find(&registry, model).await?;
    if change.is_empty() {
        let labels = labels(&registry, &target).await?;
        return write_fields(&labels.tags.into_iter().collect::<Vec<_>>(), format);
    }
    let wanted = LabelChange {
        set: change.tags.clone(),
        remove: change.remove.clone(),
        ..LabelChange::default()
    };
    target.change(lakehouse, wanted).await?;
    let set = change
        .tags
        .iter()
        .map(|(key, value)| format!("{key} = {value}"));
    let removed = change.remove.iter().map(|key| format!("{key} removed"));
    let parts: Vec<String> = set.chain(removed).collect();
    print(&format!("{}: {}\n", target.words(), parts.join(", ")))
}

/// Sets, takes away or shows the description.
pub(super) async fn note(
    lakehouse: &Lakehouse,
    model: &str,
    change: &NoteChange,
) -> Result<(), CliError> {
    let (registry, _) = reading(lakehouse).await?;
    let target = Target::find(&registry, model).await?;
    if change.text.is_none() && !change.remove {
        let labels = labels(&registry, &target).await?;
        return print(
            &labels
                .description
                .map_or_else(String::new, |text| format!("{text}\n")),
        );
    }
    let wanted = LabelChange {
        description: Some(change.text.clone().unwrap_or_default()),
        ..LabelChange::default()
    };
    target.change(lakehouse, wanted).await?;
    let what = if change.remove { "removed" } else { "kept" };
    print(&format!("{}: description {what}\n", target.words()))
}

async fn labels(registry: &Registry, target: &Target) -> Result<Labels, CliError> {
    Ok(registry.labels(&target.name, target.version).await?)
}
