//! What a stage was made from: what it takes to make it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_lake::state::{AssetKey, RunId};

use crate::plan::fingerprint::Fingerprint;

/// What a stage says when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MadeFrom {
    /// The definition, the versions of tables and of models.
    pub(crate) fingerprint: Fingerprint,
    /// The tables that its rules look at: name to `table id@version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rule_tables: BTreeMap<String, String>,
    /// Whether what was there did not count.
    pub(crate) anew: bool,
    /// The moment up to which intervals were over, in milliseconds since 1970 UTC.
    pub(crate) now_ms: i64,
    /// What the store knew of the asset; nothing when it was never made.
    pub(crate) before: Option<Before>,
}

impl MadeFrom {
    /// All tables that are looked at, with their identities.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.fingerprint.tables.iter().chain(&self.rule_tables)
    }
}

/// What the store knew of an asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Before {
    key: String,
    semantics: i64,
    outcome: Value,
    run_id: RunId,
}

impl From<AssetKey> for Before {
    fn from(known: AssetKey) -> Self {
        let AssetKey {
            key,
            semantics,
            outcome,
            run_id,
        } = known;
        Self {
            key,
            semantics,
            outcome,
            run_id,
        }
    }
}

impl From<Before> for AssetKey {
    fn from(before: Before) -> Self {
        let Before {
            key,
            semantics,
            outcome,
            run_id,
        } = before;
        Self {
            key,
            semantics,
            outcome,
            run_id,
        }
    }
}
