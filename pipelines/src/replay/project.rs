//! The project as the run had it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_lake::TableName;
use sluice_lake::ingest::{self, FileMemory, SourceFile as FoundFile, Unmatched};

use super::ReplayRequest;
use super::error::ReplayError;
use super::inputs::History;
use super::kept::KeptRun;
use crate::check::{OnlyFiles, error_chain};
use crate::project::Project;
use crate::source::SourceFile;
use crate::spec::{Environment, Ingest, KeptDefinitions, Overrides, Spec, TableBody, load_source};

/// Digits of a hash that are shown.
const SHOWN_DIGITS: usize = 16;

/// The definitions of a run, with the values that it did not keep.
pub(super) struct AsItWas<'a> {
    kept: &'a KeptRun,
    project: Project,
    overrides: Overrides,
}

impl<'a> AsItWas<'a> {
    /// Fills in what the run did not keep; `lakehouse` is where the replay works.
    pub(super) fn new(
        request: &ReplayRequest,
        kept: &'a KeptRun,
        lakehouse: &Path,
    ) -> Result<Self, ReplayError> {
        let definitions = &kept.definitions;
        let mut missing = Vec::new();
        let mut environment = BTreeMap::new();
        for (name, value) in &definitions.environment {
            match value.clone().or_else(|| request.environment.get(name)) {
                Some(value) => drop(environment.insert(name.clone(), value)),
                None => missing.push(format!("{name} in the environment")),
            }
        }
        let given = |name: &str| request.set.iter().rev().find(|(set, _)| set == name);
        let mut set = Vec::new();
        for (name, value) in &definitions.set {
            let value = value.clone();
            match value.or_else(|| given(name).map(|(_, value)| value.clone())) {
                Some(value) => set.push((name.clone(), value)),
                None => missing.push(format!("--set {name}=VALUE")),
            }
        }
        if !missing.is_empty() {
            return Err(ReplayError::Withheld { names: missing });
        }
        let withheld = |name: &str| definitions.set.get(name) == Some(&None);
        if let Some((name, _)) = request.set.iter().find(|(name, _)| !withheld(name)) {
            return Err(ReplayError::NotWithheld { name: name.clone() });
        }
        let folder = match &request.project {
            Some(project) => project.folder().to_owned(),
            None => PathBuf::from(&definitions.folder),
        };
        Ok(Self {
            kept,
            project: Project::from_file(folder.join(&definitions.file)),
            overrides: Overrides {
                lakehouse: Some(lakehouse.to_owned()),
                set,
                environment: Environment::Fixed(environment),
                kept: None,
            },
        })
    }

    /// The pipeline with some of its assets.
    pub(super) fn spec(&self, only: BTreeSet<String>) -> Result<Spec, ReplayError> {
        let definitions = &self.kept.definitions;
        let text = definitions.files.get(&definitions.file);
        let shown = self.project.file().display().to_string();
        let source = SourceFile::new(shown, text.cloned().unwrap_or_default());
        let overrides = Overrides {
            kept: Some(KeptDefinitions {
                files: Arc::new(definitions.files.clone()),
                only: Arc::new(only),
            }),
            ..self.overrides.clone()
        };
        let loaded = load_source(&self.project, source, &overrides);
        loaded.map(|(spec, _)| spec).map_err(ReplayError::Wrong)
    }
}

/// What became of the files of ingests.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Those that count, by table.
    pub(super) only: OnlyFiles,
    /// Why a table cannot be made again, by its name.
    pub(super) changed: BTreeMap<String, String>,
    /// What there is to know otherwise, by table.
    pub(super) notes: BTreeMap<String, Vec<String>>,
}

impl Files {
    /// Looks at the files of all ingests of `spec`, whose tables have these histories.
    pub(super) async fn look(spec: &Spec, histories: &BTreeMap<String, History>) -> Self {
        let mut files = Self::default();
        for (name, table) in &spec.tables {
            let TableBody::Ingest(ingest) = &*table.body else {
                continue;
            };
            let key = name.to_ascii_lowercase();
            let (Ok(table), Some(history)) = (name.parse::<TableName>(), histories.get(&key))
            else {
                continue;
            };
            match now(spec.project.folder(), ingest, history).await {
                Ok(found) => files.judge(&table, history, found),
                Err(words) => drop(files.changed.insert(table.to_string(), words)),
            }
        }
        files
    }

    fn judge(&mut self, table: &TableName, history: &History, found: Vec<FoundFile>) {
        let name = table.to_string();
        let now: BTreeMap<&String, &String> = found
            .iter()
            .map(|file| (&file.path, &file.content_hash))
            .collect();
        let mut notes = Vec::new();
        for file in &history.files {
            let path = &file.path;
            let was = shortened(&file.hash);
            match now.get(path) {
                Some(hash) if **hash == file.hash => {}
                Some(hash) => {
                    let is = shortened(hash);
                    let words = format!(
                        "the file {path} has changed since: its BLAKE3 is {is}, the run read {was}"
                    );
                    self.changed.insert(name, words);
                    return;
                }
                None if history.before.get(path) == Some(&file.hash) => notes.push(format!(
                    "the file {path} is gone: its rows are taken from the version before"
                )),
                None => {
                    let words =
                        format!("the file {path} is gone: the run read it with the BLAKE3 {was}");
                    self.changed.insert(name, words);
                    return;
                }
            }
        }
        let same = |file: &FoundFile| history.after.get(&file.path) == Some(&file.content_hash);
        let same = found.into_iter().filter(same);
        let only = same.map(|file| (file.found_as, file.path)).collect();
        self.only.insert(table.clone(), Arc::new(only));
        self.notes.insert(name, notes);
    }
}

fn shortened(hash: &str) -> &str {
    hash.get(..SHOWN_DIGITS).unwrap_or(hash)
}

/// The files that an ingest's globs name now, by the names that the run knew them by.
async fn now(folder: &Path, ingest: &Ingest, history: &History) -> Result<Vec<FoundFile>, String> {
    let globs: Vec<String> = ingest.files.iter().map(|file| file.value.clone()).collect();
    let look = async {
        let found = ingest::find_files(folder, &globs, Unmatched::Ignore).await?;
        let memory = FileMemory::new();
        let files = ingest::identify(found, &memory).await?;
        ingest::call_as_known(folder, files, &history.after, &memory).await
    };
    look.await.map_err(|error| error_chain(&error))
}
