//! What a replay comes to.

use serde::Serialize;
use serde_json::Value;

/// What a replay of a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The run that was replayed.
    pub run_id: String,
    /// Its pipeline.
    pub pipeline: String,
    /// The stages that it made, and those that failed, in the order of their replay.
    pub stages: Vec<ReplayedStage>,
    /// The lakehouse that the replay left, if it was to stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lakehouse: Option<String>,
}

impl Replay {
    /// How many stages came out so.
    #[must_use]
    pub fn count(&self, verdict: ReplayVerdict) -> usize {
        let stages = self.stages.iter();
        stages.filter(|stage| stage.verdict == verdict).count()
    }
}

/// How a stage came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// As in the run.
    Equal,
    /// Otherwise than in the run.
    Differs,
    /// It could not be made again.
    NotReplayable,
    /// It failed in the run, and so it does again, as far as that was tried.
    FailedThen,
}

impl ReplayedStage {
    /// A stage of which nothing is known but how it comes out.
    pub(super) fn of(asset: &str, kind: &str, verdict: ReplayVerdict) -> Self {
        Self {
            asset: asset.to_owned(),
            kind: kind.to_owned(),
            verdict,
            findings: Vec::new(),
            notes: Vec::new(),
            tables: Vec::new(),
        }
    }
}

/// A stage that was made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayedStage {
    /// The asset.
    pub asset: String,
    /// The stage kind.
    pub kind: String,
    /// How it came out.
    pub verdict: ReplayVerdict,
    /// What was compared and how it differs, or why it could not be made again, in words.
    pub findings: Vec<String>,
    /// What else there is to know, in words: what may differ from run to run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tables that were compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<ComparedTable>,
}

/// A table of the run and of the replay, as multisets of rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedTable {
    /// The table.
    pub table: String,
    /// The version that the run made.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// The rows of the replay.
    pub replayed_rows: u64,
    /// Rows of the run that the replay lacks.
    pub missing_rows: u64,
    /// Rows of the replay that the run lacks.
    pub added_rows: u64,
    /// Differences between the columns, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Columns that say when or in which run a row was written, and were not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Some of the rows that the replay lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Value>,
    /// Some of the rows that the run lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Value>,
}

impl ComparedTable {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.columns.is_empty() && self.missing_rows == 0 && self.added_rows == 0
    }
}
