//! What a stage's Delta commit says about itself, so that a lost state store
//! can be told again from the tables.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RunId;

/// A file whose rows a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The file, as it stands in the column `_file`.
    pub path: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub hash: String,
    /// Its size.
    pub bytes: u64,
}

/// The key of [`CommitRecord::outcome`] that a commit has which changed only what is said about
/// the table: the version whose rows it left as they are.
pub const DESCRIBES_KEY: &str = "describes";

/// The key of an asset's outcome with the latest version that is known to have its rows.
pub const LATEST_KEY: &str = "latest";

/// A model that made rows of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedModel {
    /// The address in the query: `models:/wine_quality@production`.
    pub address: String,
    /// The registered model.
    pub name: String,
    /// The version that the address named.
    pub version: i64,
}

/// The record of one commit: who made it, from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The project's UUID.
    pub project: String,
    /// The run that commits.
    pub run_id: RunId,
    /// The table, `layer.table`.
    pub asset: String,
    /// The asset's key: hash of the definition and of all inputs.
    pub key: String,
    /// The semantics number of the stage kind.
    pub semantics: i64,
    /// Whether all earlier rows go, and with them all earlier files.
    pub overwrite: bool,
    /// The files whose rows this commit wrote; empty for a table made by SQL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// The models that made the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<AppliedModel>,
    /// What else the runner wants to find in the asset's outcome.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outcome: Map<String, Value>,
}

impl CommitRecord {
    /// The identity of the writer in Delta's `txn` action: `<project>/<table>`.
    pub fn app_id(&self) -> String {
        app_id(&self.project, &self.asset)
    }

    /// The record as the metadata of a [`CommitInfo`](crate::delta::CommitInfo).
    pub fn to_metadata(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(metadata)) => metadata,
            other => unreachable!("a struct with named fields is a JSON object, not {other:?}"),
        }
    }

    /// The record in the metadata of a [`Commit`](crate::delta::Commit); `None`
    /// when a stage did not write it.
    pub fn from_metadata(metadata: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(metadata).ok()
    }
}

pub(super) fn app_id(project: &str, asset: &str) -> String {
    format!("{project}/{asset}")
}
