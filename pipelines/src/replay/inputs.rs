//! Tables of the run's lakehouse in that of the replay, as they were.

use std::collections::BTreeMap;

use sluice_lake::delta::Commit;
use sluice_lake::state::{CommitRecord, FileRecord};
use sluice_lake::{LakeError, Lakehouse, TableName};

use crate::plan::upkeep::Pinned;

/// What to do about data files or commits that are gone.
pub(super) const RESTORE: &str = "restore what is gone from a backup (`vacuum: {retain: ..}` of `maintain:` says how far back runs can be replayed)";

/// What a run did to a table.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) table: TableName,
    /// The version that the run found; none where there was no table.
    pub(super) base: Option<u64>,
    /// The version that it left.
    pub(super) made: u64,
    /// Whether it committed anything.
    pub(super) committed: bool,
    /// The files whose rows it wrote.
    pub(super) files: Vec<FileRecord>,
    /// The files whose rows the table had before, and has since: hash by path.
    pub(super) before: BTreeMap<String, String>,
    pub(super) after: BTreeMap<String, String>,
}

impl History {
    /// What the commits of a table say; the inner error is why they say too little, in words.
    /// `version`: what the stage says it made.
    pub(super) async fn of(
        lakehouse: &Lakehouse,
        table: &TableName,
        run: &str,
        version: Option<i64>,
    ) -> Result<Result<Self, String>, LakeError> {
        let commits = lakehouse.commits(table).await?;
        let of_run = |commit: &&Commit| {
            let named = commit.metadata.get("run_id");
            named.and_then(|id| id.as_str()) == Some(run)
        };
        let mut own = commits.iter().filter(of_run).map(|commit| commit.version);
        let first = own.next();
        let last = own.next_back().or(first);
        let version = version.and_then(|version| u64::try_from(version).ok());
        let (base, made) = match (first, last, version) {
            (Some(first), Some(last), _) => (first.checked_sub(1), last),
            // It found nothing to write.
            (_, _, Some(version)) => {
                let latest = lakehouse.latest_version(table).await?;
                if latest.is_none_or(|latest| latest < version) {
                    return Ok(Err(match latest {
                        None => format!("{table} is gone"),
                        Some(latest) => format!(
                            "{table} went back: it is at version {latest}, the run left version {version}"
                        ),
                    }));
                }
                (Some(version), version)
            }
            _ => {
                return Ok(Err(format!(
                    "the log of {table} no longer tells of the run"
                )));
            }
        };
        if let Some(version) = version
            && first.is_none()
            && commits
                .first()
                .is_some_and(|commit| commit.version > version)
        {
            return Ok(Err(format!(
                "the log of {table} was cut: it no longer has version {version}"
            )));
        }
        let upto = |version: Option<u64>| match version {
            Some(version) => ledger(&commits, version),
            None => BTreeMap::new(),
        };
        let written = commits.iter().filter(of_run).filter_map(record);
        Ok(Ok(Self {
            table: table.clone(),
            base,
            made,
            committed: first.is_some(),
            files: written.flat_map(|record| record.files).collect(),
            before: upto(base),
            after: upto(Some(made)),
        }))
    }

    /// The same of a table that a stage makes beside its own, whether it wrote to it or not:
    /// else it counts as it was at `then_ms` (milliseconds since 1970 UTC). None where there was
    /// nothing to find.
    pub(super) async fn of_beside(
        lakehouse: &Lakehouse,
        table: &TableName,
        run: &str,
        then_ms: i64,
    ) -> Result<Option<Self>, LakeError> {
        if let Ok(history) = Self::of(lakehouse, table, run, None).await? {
            return Ok(Some(history));
        }
        let commits = lakehouse.commits(table).await?;
        let earlier = |commit: &&Commit| commit.timestamp_ms.is_some_and(|time| time < then_ms);
        let last = commits.iter().rfind(earlier);
        Ok(last.map(|last| Self {
            table: table.clone(),
            base: Some(last.version),
            made: last.version,
            committed: false,
            files: Vec::new(),
            before: BTreeMap::new(),
            after: BTreeMap::new(),
        }))
    }
}

fn record(commit: &Commit) -> Option<CommitRecord> {
    CommitRecord::from_metadata(&commit.metadata)
}

/// The files whose rows a version has, as its commits say.
fn ledger(commits: &[Commit], version: u64) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let upto = commits.iter().filter(|commit| commit.version <= version);
    for record in upto.filter_map(record) {
        if record.overwrite {
            files.clear();
        }
        files.extend(record.files.into_iter().map(|file| (file.path, file.hash)));
    }
    files
}

/// The tables that the replay's lakehouse holds, and at which versions.
#[derive(Debug)]
pub(super) struct Inputs {
    from: Lakehouse,
    to: Lakehouse,
    placed: BTreeMap<TableName, Option<u64>>,
}

impl Inputs {
    pub(super) fn new(from: Lakehouse, to: Lakehouse) -> Self {
        Self {
            from,
            to,
            placed: BTreeMap::new(),
        }
    }

    /// Why a version of a table cannot be read any more, in words; `identity` as in a
    /// fingerprint.
    pub(super) async fn why_gone(
        &self,
        table: &TableName,
        identity: &str,
    ) -> Result<Option<String>, LakeError> {
        let Some(pinned) = Pinned::parse(identity) else {
            return Ok(Some(format!(
                "{table} is known as `{identity}`, which names no version"
            )));
        };
        if let Some(gone) = self.why_version_gone(table, pinned.version).await? {
            return Ok(Some(gone));
        }
        let there = self.from.load(table, Some(pinned.version)).await?;
        let why = if there.table_id != pinned.id {
            "the table was created anew since"
        } else if !pinned.is_commit(there.data_commit.as_deref()) {
            "the table was restored and written again since"
        } else {
            return Ok(None);
        };
        let version = pinned.version;
        Ok(Some(format!("version {version} of {table} is gone: {why}")))
    }

    /// The version whose files hold the rows of `version`: a later one, where its own files are
    /// gone and nothing but files was written anew between the two.
    pub(super) async fn readable(&self, table: &TableName, version: u64) -> Result<u64, LakeError> {
        if self.from.missing_data_file(table, version).await?.is_none() {
            return Ok(version);
        }
        let later = self.from.same_rows_until(table, version).await?;
        match self.from.missing_data_file(table, later).await? {
            None => Ok(later),
            Some(_) => Ok(version),
        }
    }

    /// Puts a table there that is read, with its rows of `version`.
    pub(super) async fn place_to_read(
        &mut self,
        table: &TableName,
        version: u64,
    ) -> Result<(), LakeError> {
        let version = self.readable(table, version).await?;
        self.place(table, Some(version)).await
    }

    /// Puts a table there that is written, as the run found it. Where that cannot be read any
    /// more, it is written whole, and there is none.
    pub(super) async fn place_to_write(
        &mut self,
        table: &TableName,
        base: Option<u64>,
    ) -> Result<(), LakeError> {
        let found = match base {
            Some(base) if self.why_version_gone(table, base).await?.is_none() => {
                Some(self.readable(table, base).await?)
            }
            _ => None,
        };
        self.place(table, found).await
    }

    /// Why a version of a table cannot be read any more, in words.
    pub(super) async fn why_version_gone(
        &self,
        table: &TableName,
        version: u64,
    ) -> Result<Option<String>, LakeError> {
        let gone = |why: &str| Some(format!("version {version} of {table} is gone: {why}"));
        match self.from.latest_version(table).await? {
            None => return Ok(gone("the table was removed")),
            Some(latest) if latest < version => {
                return Ok(gone(&format!("the table went back to version {latest}")));
            }
            Some(_) => {}
        }
        match self.from.missing_data_file(table, version).await {
            Ok(None) => Ok(None),
            Ok(Some(_)) if self.readable(table, version).await? != version => Ok(None),
            Ok(Some(file)) => Ok(gone(&format!(
                "its data file {file} is not there any more, as after a VACUUM; {RESTORE}"
            ))),
            Err(LakeError::Delta { .. } | LakeError::UnknownVersion { .. }) => {
                Ok(gone(&format!("the log of the table was cut; {RESTORE}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a table there as it was at a version; none: it was not there.
    pub(super) async fn place(
        &mut self,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<(), LakeError> {
        if self.placed.get(table) == Some(&version) {
            return Ok(());
        }
        match version {
            Some(version) => {
                self.from.copy_table_as_of(table, version, &self.to).await?;
            }
            None => self.to.remove_table(table).await?,
        }
        self.placed.insert(table.clone(), version);
        Ok(())
    }

    /// Says that a stage of the replay wrote a table.
    pub(super) fn written(&mut self, table: &TableName) {
        self.placed.remove(table);
    }
}
