//! A run as OpenLineage tells it: what started, what it read and wrote, and how it ended.
//!
//! [`Translator::events`] turns what the runner says into run events of the specification
//! (<https://openlineage.io/spec/2-0-2/OpenLineage.json>): START and exactly one of COMPLETE,
//! FAIL and ABORT for the run and for each stage that was begun. It only translates: where the
//! events go is [`crate::events`]' consumers' business. [`facets`] has what is said about tables.

mod datasets;
mod facets;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::events::{Event, EventKind, RunStatus};
use crate::lineage::Lineage;
use crate::plan::{Asset, AssetBody, Plan};
use datasets::Datasets;
use facets::facet;

/// The namespace of jobs where none is given.
pub const DEFAULT_NAMESPACE: &str = "sluice";

/// The schema that every event is of.
const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// Who says so.
const PRODUCER: &str = concat!("urn:sluice:", env!("CARGO_PKG_VERSION"));

/// How something ended, in the words of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Fail,
    Abort,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

/// Turns the events of one run into those of OpenLineage.
pub struct Translator {
    plan: Arc<Plan>,
    namespace: String,
    datasets: Datasets,
    /// The run's identifier, as a UUID, once it has begun.
    run: Option<String>,
    /// The stages that have begun and not ended, with their identifiers.
    open: BTreeMap<String, String>,
}

impl Translator {
    /// For a run of `plan`, whose jobs are in `namespace`.
    pub fn new(plan: Arc<Plan>, namespace: impl Into<String>) -> Self {
        let datasets = Datasets::new(&plan, Lineage::of(&plan).columns);
        Self {
            plan,
            namespace: namespace.into(),
            datasets,
            run: None,
            open: BTreeMap::new(),
        }
    }

    /// What an event comes to: nothing for most.
    pub fn events(&mut self, event: &Event) -> Vec<Json> {
        let time = event.time_ms;
        match &event.kind {
            EventKind::RunStarted { run_id, .. } => {
                self.run = Some(dashed(run_id));
                self.of_run("START", time, None).into_iter().collect()
            }
            EventKind::StageStarted { asset, .. } => self.begin(asset, time, event.seq),
            EventKind::StageFinished {
                asset,
                rows,
                version,
                ..
            } => {
                let made = Made {
                    rows: *rows,
                    version: *version,
                };
                self.end(asset, End::Complete, time, None, made)
            }
            EventKind::StageFailed { asset, error, .. } => {
                self.end(asset, End::Fail, time, Some(error), Made::default())
            }
            EventKind::RunFinished { status, .. } => {
                let end = match status {
                    RunStatus::Finished => End::Complete,
                    RunStatus::Failed => End::Fail,
                    RunStatus::Cancelled => End::Abort,
                };
                self.close(end, time)
            }
            _ => Vec::new(),
        }
    }

    /// The ends of all that has begun and not ended, for a run that broke off.
    pub fn break_off(&mut self, time_ms: i64) -> Vec<Json> {
        self.close(End::Fail, time_ms)
    }

    fn close(&mut self, end: End, time: i64) -> Vec<Json> {
        // What was under way when the run ended was stopped.
        let open: Vec<String> = self.open.keys().cloned().collect();
        let mut events: Vec<Json> = open
            .iter()
            .flat_map(|asset| self.end(asset, End::Abort, time, None, Made::default()))
            .collect();
        let error = (end == End::Fail).then_some("the run failed: see its stages");
        events.extend(self.of_run(end.name(), time, error));
        self.run = None;
        events
    }

    fn begin(&mut self, name: &str, time: i64, seq: u64) -> Vec<Json> {
        let Some(run) = self.run.clone() else {
            return Vec::new();
        };
        if self.open.contains_key(name) {
            // Another attempt of what has begun.
            return Vec::new();
        }
        let id = stage_id(&run, name, time, seq);
        self.open.insert(name.to_owned(), id.clone());
        let event = self.of_stage("START", name, &id, time, None, Made::default());
        event.into_iter().collect()
    }

    fn end(
        &mut self,
        name: &str,
        end: End,
        time: i64,
        error: Option<&str>,
        made: Made,
    ) -> Vec<Json> {
        let Some(id) = self.open.remove(name) else {
            return Vec::new();
        };
        let event = self.of_stage(end.name(), name, &id, time, error, made);
        event.into_iter().collect()
    }

    fn of_run(&self, kind: &str, time: i64, error: Option<&str>) -> Option<Json> {
        let run = self.run.as_ref()?;
        let mut run_facets = Map::new();
        run_facets.insert("processing_engine".to_owned(), facets::engine());
        run_facets.extend(error.map(|error| ("errorMessage".to_owned(), facets::error(error))));
        let job_facets = json!({"jobType": facets::job_type("PIPELINE")});
        let job = json!({
            "namespace": self.namespace,
            "name": self.plan.pipeline,
            "facets": job_facets,
        });
        Some(json!({
            "eventType": kind,
            "eventTime": rfc3339(time),
            "run": {"runId": run, "facets": run_facets},
            "job": job,
            "inputs": [],
            "outputs": [],
            "producer": PRODUCER,
            "schemaURL": EVENT_SCHEMA,
        }))
    }

    fn of_stage(
        &self,
        kind: &str,
        name: &str,
        id: &str,
        time: i64,
        error: Option<&str>,
        made: Made,
    ) -> Option<Json> {
        let run = self.run.as_ref()?;
        let asset = &self.plan.assets[self.plan.position(name)?];
        let parent = json!({
            "run": {"runId": run},
            "job": {"namespace": self.namespace, "name": self.plan.pipeline},
        });
        let mut run_facets = Map::new();
        let parent = facet("1-0-1", "ParentRunFacet", parent);
        run_facets.insert("parent".to_owned(), parent);
        run_facets.insert("processing_engine".to_owned(), facets::engine());
        run_facets.extend(error.map(|error| ("errorMessage".to_owned(), facets::error(error))));
        let (inputs, outputs) = self.datasets.of(&self.plan, asset, made.rows, made.version);
        Some(json!({
            "eventType": kind,
            "eventTime": rfc3339(time),
            "run": {"runId": id, "facets": run_facets},
            "job": {
                "namespace": self.namespace,
                "name": format!("{}.{}", self.plan.pipeline, asset.name),
                "facets": job_facets(asset),
            },
            "inputs": inputs,
            "outputs": outputs,
            "producer": PRODUCER,
            "schemaURL": EVENT_SCHEMA,
        }))
    }
}

/// What a stage came to.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    rows: Option<u64>,
    version: Option<i64>,
}

fn job_facets(asset: &Asset) -> Map<String, Json> {
    let mut job = Map::new();
    let kind = asset.kind().to_uppercase();
    job.insert("jobType".to_owned(), facets::job_type(&kind));
    if let AssetBody::Sql(sql) = &asset.body {
        let query = json!({"query": sql.sql.text.trim()});
        job.insert("sql".to_owned(), facet("1-0-1", "SQLJobFacet", query));
    }
    if let Some(comment) = &asset.comment {
        let words = json!({"description": comment});
        let words = facet("1-0-1", "DocumentationJobFacet", words);
        job.insert("documentation".to_owned(), words);
    }
    job
}

/// 32 hexadecimal digits as a UUID is written.
fn dashed(id: &str) -> String {
    match id.len() {
        32 if id.is_ascii() => {
            [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
        }
        _ => id.to_owned(),
    }
}

/// A UUID (version 7: its time is in it) that is the same whenever the same stage of the same
/// run is told.
fn stage_id(run: &str, asset: &str, time_ms: i64, seq: u64) -> String {
    let hash = blake3::hash(format!("{run}/{asset}/{seq}").as_bytes());
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    dashed(&digits)
}

/// A moment in milliseconds since 1970, UTC, as RFC 3339 has it.
fn rfc3339(time_ms: i64) -> String {
    let (days, of_day) = (
        time_ms.div_euclid(86_400_000),
        time_ms.rem_euclid(86_400_000),
    );
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(rfc3339(1_763_715_600_001), "2025-11-21T09:00:00.001Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn stages_have_uuids_of_their_own() {
        let id = stage_id("r", "gold.a", 1_763_715_600_001, 3);
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "7");
        assert_eq!(id, stage_id("r", "gold.a", 1_763_715_600_001, 3));
        assert_ne!(id, stage_id("r", "gold.b", 1_763_715_600_001, 3));
        assert_ne!(id, stage_id("r", "gold.a", 1_763_715_600_001, 4));
        assert_eq!(
            dashed("0193a0c41f6a7cc0b8f3a1d5e2f40001"),
            "0193a0c4-1f6a-7cc0-b8f3-a1d5e2f40001"
        );
    }
}
