//! The moves of aliases: a file each in `<model>/aliases/`, never changed.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::state::RunId;

use super::{RegistryError, durable};

/// A move of an alias from one version to another, or its removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasMove {
    /// Counts the moves of all aliases of the model, from 1.
    #[serde(rename = "move")]
    pub number: i64,
    /// The model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// The version that it names from now on; none when it was removed.
    pub version: Option<i64>,
    /// The version that it named before.
    pub previous: Option<i64>,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// The run that moved it.
    pub run_id: RunId,
    /// Why, in words: `first version`, `test.auc .91 > .89`.
    pub reason: String,
}

/// The moves of a model's aliases, first to last.
pub(super) fn read_moves(model: &Path) -> Result<Vec<AliasMove>, RegistryError> {
    let mut moves = Vec::new();
    for path in durable::read_folder(&model.join("aliases"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if durable::is_unfinished(&path) || !name.ends_with(".json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(durable::failed("read", &path))?;
        let found: AliasMove =
            serde_json::from_slice(&bytes).map_err(|error| RegistryError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        moves.push(found);
    }
    moves.sort_by_key(|found| found.number);
    Ok(moves)
}

/// Writes the file of a move; it is there whole or not at all.
pub(super) fn write_move(model: &Path, alias_move: &AliasMove) -> Result<(), RegistryError> {
    let path = model.join("aliases").join(format!(
        "{:08}-{}.json",
        alias_move.number, alias_move.alias
    ));
    let mut text = serde_json::to_string_pretty(alias_move)
        .expect("a struct of strings and numbers has a JSON form");
    text.push('\n');
    durable::publish_file(&path, text.as_bytes())
}

/// The version that each alias names after these moves; those that were removed are not there.
pub(super) fn current(moves: &[AliasMove]) -> BTreeMap<String, i64> {
    let mut aliases = BTreeMap::new();
    for found in moves {
        match found.version {
            Some(version) => aliases.insert(found.alias.clone(), version),
            None => aliases.remove(&found.alias),
        };
    }
    aliases
}
