//! All that a project left in its lakehouse, in a form that can be compared, and a look for
//! what nothing names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::json::LineDelimitedWriter;
use sluice_lake::registry::Registry;
use sluice_lake::session::SessionOptions;
use sluice_lake::state::State;
use sluice_lake::{LakeCatalog, Lakehouse, Pins, TableName, sql};
use sluice_udfs::session::LakeSession;

use super::project::TEMPORARY;

/// What of the state store must be the same, whatever happened on the way.
const LEDGERS: [(&str, &str); 7] = [
    (
        "files",
        "SELECT table_name, path, content_hash, bytes, rows FROM system.files",
    ),
    ("aliases", "SELECT name, alias, version FROM system.aliases"),
    (
        "moves",
        "SELECT name, alias, version, previous, reason, move FROM system.alias_history",
    ),
    (
        "versions",
        "SELECT name, version, status, asset, metrics FROM system.model_versions",
    ),
    (
        "model tags",
        "SELECT name, version, key, value FROM system.model_version_tags",
    ),
    (
        "intervals",
        "SELECT table_name, start_time, end_time FROM system.intervals",
    ),
    (
        "models of tables",
        "SELECT DISTINCT table_name, address, model_name, model_version FROM system.table_models",
    ),
];

/// Row multisets of tables and ledgers by name, and the bytes of each model's file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remains {
    rows: BTreeMap<String, Vec<String>>,
    models: BTreeMap<String, Vec<u8>>,
}

impl Remains {
    pub(super) fn of(project: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_stack_size(8 << 20)
            .build();
        let lakehouse = Lakehouse::open(project.join("lakehouse")).unwrap();
        let models = models(&lakehouse.models_path());
        let rows = runtime.unwrap().block_on(async {
            let state = State::open_read_only(lakehouse.state_path()).await.unwrap();
            let registry = Registry::new(lakehouse.models_path(), state.clone());
            let catalog = LakeCatalog::new(lakehouse.clone(), Pins::new());
            let options = SessionOptions::default();
            let session =
                LakeSession::open(&options, catalog, state.clone(), registry, Arc::default());
            let session = session.unwrap();
            let mut rows = BTreeMap::new();
            for (name, query) in LEDGERS {
                rows.insert(format!("({name})"), answer(&session, query).await);
            }
            for table in lakehouse.list_tables().unwrap() {
                let quarantine = table.table().ends_with("__quarantine");
                let except = match table.layer() {
                    _ if quarantine => " EXCEPT (_run_id, _quarantined_at)",
                    "bronze" => " EXCEPT (_ingested_at)",
                    _ => "",
                };
                let query = format!("SELECT *{except} FROM {table}");
                rows.insert(table.to_string(), answer(&session, &query).await);
            }
            if let Some(state) = state {
                state.close().await;
            }
            rows
        });
        Self { rows, models }
    }

    /// Fails with the first difference.
    pub(super) fn assert_same(&self, expected: &Self, context: &str) {
        let names = |remains: &Self| remains.rows.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(expected), "{context}: tables");
        for (name, rows) in &self.rows {
            assert_eq!(rows, &expected.rows[name], "{context}: rows of {name}");
        }
        let names = |remains: &Self| remains.models.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(expected), "{context}: models");
        for (path, model) in &self.models {
            assert!(model == &expected.models[path], "{context}: {path}");
        }
    }

    /// The names of tables and ledgers.
    pub(super) fn names(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }
}

/// The rows that answer a query, as JSON, sorted.
async fn answer(session: &LakeSession, query: &str) -> Vec<String> {
    let statement = sql::parse(query).unwrap().remove(0);
    let plan = session.plan(statement).await.unwrap();
    let rows = session.context().execute_logical_plan(plan).await.unwrap();
    let batches = rows.collect().await.unwrap();
    let mut text = LineDelimitedWriter::new(Vec::new());
    for batch in &batches {
        text.write(batch).unwrap();
    }
    text.finish().unwrap();
    let text = String::from_utf8(text.into_inner()).unwrap();
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// The files of models and tokenizers, less what tells when and by which run they were made.
fn models(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let of_a_run = ["MLmodel", "metadata.json", "retired.json"];
    let files = files(root).into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let folder = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        !of_a_run.contains(&name) && !["decisions", "aliases", "deleted"].contains(&folder)
    });
    files
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

/// All files in and below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Fails where a lease, an unfinished file, or a file that nothing names is left.
pub(super) fn assert_tidy(project: &Path, context: &str) {
    let root = project.join("lakehouse");
    let lakehouse = Lakehouse::open(&root).unwrap();
    for path in files(&root) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            !name.ends_with(".tmp") && !name.contains('#'),
            "{context}: {} is left",
            path.display()
        );
    }
    let temporary = fs::read_dir(project.join(TEMPORARY)).unwrap();
    let temporary: Vec<_> = temporary.collect();
    assert!(temporary.is_empty(), "{context}: {temporary:?} are left");
    let staging = files(&root.join("_models/.staging"));
    assert!(staging.is_empty(), "{context}: {staging:?} are left");
    for table in lakehouse.list_tables().unwrap() {
        assert_data_files(&lakehouse, &table, context);
    }
    assert_state(&lakehouse, context);
}

/// Each data file is named in the log, and what it names is there, unless a commit removed it.
fn assert_data_files(lakehouse: &Lakehouse, table: &TableName, context: &str) {
    let folder = lakehouse.table_path(table);
    let name_of = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (mut named, mut there) = (BTreeSet::new(), BTreeSet::new());
    let mut removed = BTreeSet::new();
    for path in files(&folder) {
        let is_checkpoint = path.parent().unwrap().ends_with("_delta_log");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") if is_checkpoint => {}
            Some("parquet") => {
                there.insert(name_of(&path));
            }
            Some("json") => {
                for line in fs::read_to_string(&path).unwrap().lines() {
                    let action: serde_json::Value = serde_json::from_str(line).unwrap();
                    if let Some(path) = action["add"]["path"].as_str() {
                        named.insert(name_of(Path::new(path)));
                    }
                    if let Some(path) = action["remove"]["path"].as_str() {
                        removed.insert(name_of(Path::new(path)));
                    }
                }
            }
            _ => {}
        }
    }
    let unnamed: Vec<&String> = there.difference(&named).collect();
    assert!(unnamed.is_empty(), "{context}: {unnamed:?} of {table}");
    let gone = named
        .difference(&there)
        .filter(|name| !removed.contains(*name));
    let gone: Vec<&String> = gone.collect();
    assert!(gone.is_empty(), "{context}: {gone:?} of {table} are gone");
}

/// No transaction is open, no run under way, and each artifact is recorded.
fn assert_state(lakehouse: &Lakehouse, context: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let state = State::open_read_only(lakehouse.state_path()).await.unwrap();
        let state = state.unwrap();
        let project = lakehouse.existing_project_uuid("orchard").unwrap();
        let project = project.unwrap().to_string();
        let open = state.pending_txns(&project).await.unwrap();
        assert!(open.is_empty(), "{context}: open transactions {open:?}");
        let running = state.running_runs(&project).await.unwrap();
        assert!(running.is_empty(), "{context}: runs under way {running:?}");
        let artifacts = lakehouse.artifacts_path("");
        let mut recorded = BTreeSet::new();
        for run in fs::read_dir(&artifacts).into_iter().flatten() {
            let run = run.unwrap().file_name().into_string().unwrap();
            for artifact in state.artifacts(&run.as_str().into()).await.unwrap() {
                recorded.insert(artifacts.join(&run).join(artifact.path));
            }
        }
        let objects = artifacts.join("_objects");
        for path in files(&artifacts) {
            let of_a_model = path.parent().unwrap().ends_with("model");
            let shared = fs::metadata(&path).unwrap().nlink() > 1;
            let known = match path.starts_with(&objects) {
                true => shared,
                false => of_a_model || recorded.remove(&path),
            };
            assert!(known, "{context}: nothing names {}", path.display());
        }
        assert!(recorded.is_empty(), "{context}: {recorded:?} are gone");
        state.close().await;
    });
}
