//! `sluice models`: the registry from the command line.

mod import;
mod label;
mod pull;
mod view;

use std::path::PathBuf;

use sluice_lake::Lakehouse;
use sluice_lake::registry::{
    AliasChange, ModelUri, ModelVersion, MoveAlias, RegisteredModel, Registry, RegistryError,
    RemoveAlias,
};
use sluice_lake::state::{RunId, State};

use super::error::CliError;
use super::pairs::{NoteChange, TagChange};
use super::project::lakehouse_path;
use super::{Global, print};
use crate::exit::Exit;
use crate::results::Format;

/// Stands where a move of an alias names the run that made it: nobody's run did.
const BY_HAND: &str = "by-hand";

/// Options of `sluice models`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The project whose lakehouse is asked; the nearest one upward by default
    #[arg(short, long, value_name = "PROJECT", global = true)]
    project: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What is done; without one the models are listed.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the registered models
    List,
    /// Downloads a model of a Hugging Face hub, for `hf:` in pipelines; no code is run
    Pull(pull::Pull),
    /// Lists the models that were pulled
    Pulled,
    /// Shows a model's versions, or one version: NAME, NAME@ALIAS or NAME/VERSION
    Show { model: String },
    /// Shows versions side by side: parameters, metrics and data, where they differ
    Compare {
        /// NAME@ALIAS or NAME/VERSION, two or more
        #[arg(required = true, num_args = 2..)]
        versions: Vec<String>,
        /// Also what is the same
        #[arg(long)]
        all: bool,
    },
    /// Moves an alias to a version, or removes it
    Alias {
        model: String,
        alias: String,
        #[arg(required_unless_present = "remove")]
        version: Option<i64>,
        /// Removes the alias; its history stays
        #[arg(long, conflicts_with = "version")]
        remove: bool,
        /// Why, for the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Registers a pretrained encoder of texts as a model's next version, for `embed`
    Import {
        /// A folder with config.json, model.safetensors and tokenizer.json, or hf:ORG/NAME
        source: String,
        /// The registered model's name
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// Moves this alias to the version
        #[arg(long)]
        alias: Option<String>,
    },
    /// Sets, takes away or shows the tags of a model or a version
    Tag {
        /// NAME, NAME@ALIAS or NAME/VERSION
        model: String,
        #[command(flatten)]
        change: TagChange,
    },
    /// Sets, takes away or shows the description of a model or a version
    Note {
        /// NAME, NAME@ALIAS or NAME/VERSION
        model: String,
        #[command(flatten)]
        change: NoteChange,
    },
    /// Retires a version: it stays, and no alias moves to it
    Retire {
        model: String,
        version: i64,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Deletes a version that no alias names and no table's rows were made with
    Delete {
        model: String,
        version: i64,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Carries out one action on the registry.
///
/// # Errors
/// What is not there, what is in use, a registry that cannot be read or written.
pub(super) async fn models(options: &Options, global: &Global) -> Result<Exit, CliError> {
    // These have nothing to do with a lakehouse.
    match &options.action {
        Some(Action::Pull(wanted)) => return pull::pull(wanted).await.map(|()| Exit::Ok),
        Some(Action::Pulled) => return pull::pulled(options.format).map(|()| Exit::Ok),
        _ => {}
    }
    let root = lakehouse_path(options.project.as_deref(), global)?;
    if let Some(Action::Import {
        source,
        name,
        alias,
    }) = &options.action
    {
        import::import(&root, source, name, alias.as_deref()).await?;
        return Ok(Exit::Ok);
    }
    let lakehouse = Lakehouse::open(&root)?;
    let format = options.format;
    match options.action.as_ref().unwrap_or(&Action::List) {
        // Done above.
        Action::Pull(_) | Action::Pulled | Action::Import { .. } => {}
        Action::List => view::list(&reading(&lakehouse).await?.0, format).await?,
        Action::Show { model } => show(&lakehouse, model, format).await?,
        Action::Compare { versions, all } => {
            let (registry, state) = reading(&lakehouse).await?;
            let mut found = Vec::with_capacity(versions.len());
            for version in versions {
                found.push(resolve(&registry, version).await?);
            }
            view::compare(state.as_ref(), &found, *all, format).await?;
        }
        Action::Alias {
            model,
            alias,
            version,
            remove: _,
            reason,
        } => match version {
            Some(version) => move_alias(&lakehouse, (model, alias), *version, reason).await?,
            None => remove_alias(&lakehouse, (model, alias), reason).await?,
        },
        Action::Tag { model, change } => label::tag(&lakehouse, model, change, format).await?,
        Action::Note { model, change } => label::note(&lakehouse, model, change).await?,
        Action::Retire {
            model,
            version,
            reason,
        } => {
            let (registry, state) = writing(&lakehouse, model, *version).await?;
            let retired = registry.retire(model, *version, reason).await;
            state.close().await;
            retired?;
            print(&format!("version {version} of {model} is retired\n"))?;
        }
        Action::Delete {
            model,
            version,
            reason,
        } => {
            let (registry, state) = writing(&lakehouse, model, *version).await?;
            let deleted = registry.delete(model, *version, reason).await;
            state.close().await;
            deleted?;
            print(&format!("version {version} of {model} is deleted\n"))?;
        }
    }
    Ok(Exit::Ok)
}

async fn move_alias(
    lakehouse: &Lakehouse,
    (model, alias): (&str, &str),
    version: i64,
    reason: &str,
) -> Result<(), CliError> {
    let (registry, state) = writing(lakehouse, model, version).await?;
    let request = MoveAlias {
        name: model.to_owned(),
        alias: alias.to_owned(),
        version,
        expected: None,
        run_id: RunId::from(BY_HAND),
        reason: reason.to_owned(),
    };
    let change = registry.set_alias(request).await;
    state.close().await;
    print(&match change? {
        AliasChange::Unchanged => format!("{model}@{alias} named version {version} already\n"),
        AliasChange::Moved(change) => match change.previous {
            Some(previous) => {
                format!("{model}@{alias} names version {version} (was {previous})\n")
            }
            None => format!("{model}@{alias} names version {version}\n"),
        },
    })
}

async fn remove_alias(
    lakehouse: &Lakehouse,
    (model, alias): (&str, &str),
    reason: &str,
) -> Result<(), CliError> {
    // What is not there is told before a store is made for it.
    resolve(&reading(lakehouse).await?.0, &format!("{model}@{alias}")).await?;
    let state = State::open(lakehouse.state_path()).await?;
    let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
    let request = RemoveAlias {
        name: model.to_owned(),
        alias: alias.to_owned(),
        run_id: RunId::from(BY_HAND),
        reason: reason.to_owned(),
    };
    let removal = registry.remove_alias(request).await;
    state.close().await;
    let previous = removal?.previous;
    let named = previous.map_or_else(String::new, |version| format!(" (named version {version})"));
    print(&format!("{model}@{alias} is removed{named}\n"))
}

async fn show(lakehouse: &Lakehouse, model: &str, format: Format) -> Result<(), CliError> {
    let (registry, state) = reading(lakehouse).await?;
    let text = model.strip_prefix("models:/").unwrap_or(model);
    if text.contains(['@', '/']) {
        let version = resolve(&registry, model).await?;
        return view::version(&registry, state.as_ref(), &version, format).await;
    }
    let found = registered(&registry, text).await?;
    view::versions(&registry, &found, format).await
}

/// The registered model of a name.
async fn registered(registry: &Registry, name: &str) -> Result<RegisteredModel, CliError> {
    let models = registry.list().await?;
    match models.into_iter().find(|known| known.name == name) {
        Some(found) => Ok(found),
        // It tells what there is instead.
        None => {
            let unknown = registry.resolve(&ModelUri::number(name, 1)).await;
            Err(unknown.map_or_else(CliError::from, |version| {
                RegistryError::Damaged {
                    path: version.path,
                    reason: "it appeared just now; ask again".to_owned(),
                }
                .into()
            }))
        }
    }
}

/// The version that `NAME@ALIAS` or `NAME/VERSION` names.
async fn resolve(registry: &Registry, text: &str) -> Result<ModelVersion, CliError> {
    let uri: ModelUri = match text.starts_with("models:/") {
        true => text.parse()?,
        false => format!("models:/{text}").parse()?,
    };
    Ok(registry.resolve(&uri).await?)
}

/// The registry, and the memory of runs where there is one; nothing is written.
async fn reading(lakehouse: &Lakehouse) -> Result<(Registry, Option<State>), CliError> {
    let state = State::open_read_only(lakehouse.state_path()).await?;
    let registry = Registry::new(lakehouse.models_path(), state.clone());
    Ok((registry, state))
}

/// The registry for a change of a version, which must be there.
async fn writing(
    lakehouse: &Lakehouse,
    model: &str,
    version: i64,
) -> Result<(Registry, State), CliError> {
    let (registry, _) = reading(lakehouse).await?;
    registry.resolve(&ModelUri::number(model, version)).await?;
    let state = State::open(lakehouse.state_path()).await?;
    let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
    Ok((registry, state))
}
