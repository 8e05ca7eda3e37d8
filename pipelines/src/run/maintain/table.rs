//! What is due for one table, and doing it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sluice_lake::delta::{CommitInfo, Layout, OptimizeOptions, Optimized, VacuumOptions, Vacuumed};
use sluice_lake::state::{
    AssetKey, CommitRecord, DESCRIBES_KEY, LATEST_KEY, Maintained, Operation, now_ms,
};
use sluice_lake::{LakeError, TableName};

use super::{Keeper, Work, WorkOutcome, has_passed, maintained};
use crate::check::error_chain;
use crate::plan::Asset;
use crate::plan::freshness::stored_fingerprint;
use crate::plan::maintenance::OptimizePlan;
use crate::plan::upkeep::Pinned;
use crate::run::error::StageError;
use crate::run::{quarantine, rejects};

/// The settings of a definition that name the table whose changes alone are read.
const READS_CHANGES_OF: [&str; 3] = ["mode.append.from", "mode.merge.from", "mode.scd2.from"];

/// The versions up to which tables have been read by those that go on from there.
pub(super) struct Readers {
    /// By table: its identity and the version.
    read: BTreeMap<String, Vec<(String, u64)>>,
    /// When the oldest run of another project that is at work began.
    open_since_ms: Option<i64>,
}

impl Readers {
    /// Looks at all projects of the lakehouse.
    pub(super) async fn find(keeper: &Keeper<'_>) -> Result<Self, StageError> {
        let mut read: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
        for (project, asset, key) in keeper.state.all_asset_keys().await? {
            // What is not declared any more reads nothing any more.
            if project == keeper.project && keeper.plan.position(&asset).is_none() {
                continue;
            }
            let Some(fingerprint) = stored_fingerprint(&key) else {
                continue;
            };
            for setting in READS_CHANGES_OF {
                if let Some(from) = fingerprint.settings.get(setting)
                    && let Some(pinned) = fingerprint.tables.get(from)
                    && let Some(pinned) = Pinned::parse(pinned)
                {
                    let readers = read.entry(from.to_ascii_lowercase()).or_default();
                    readers.push((pinned.id.to_owned(), pinned.version));
                }
            }
        }
        Ok(Self {
            read,
            open_since_ms: keeper.state.open_since(keeper.project).await?,
        })
    }

    /// The least version of a table that somebody has read who goes on from there.
    fn read_version(&self, table: &TableName, table_id: &str) -> Option<u64> {
        let readers = self.read.get(&table.to_string().to_ascii_lowercase())?;
        let same = readers.iter().filter(|(id, _)| id == table_id);
        same.map(|(_, version)| *version).min()
    }
}

/// A table that is looked after.
pub(super) struct Keeping<'a> {
    pub(super) keeper: &'a Keeper<'a>,
    pub(super) asset: &'a Asset,
    pub(super) table: &'a TableName,
    pub(super) readers: &'a Readers,
}

impl Keeping<'_> {
    /// Does what is due. What fails is told; only a store that cannot be written is an error.
    pub(super) async fn look_after(&self) -> Result<Vec<Work>, StageError> {
        let mut all = Vec::new();
        let lakehouse = self.keeper.lakehouse;
        if lakehouse.latest_version(self.table).await?.is_none() {
            return Ok(all);
        }
        let plan = self.asset.maintenance.optimize.unwrap_or_default();
        let layout = lakehouse.layout(self.table, plan.target_bytes.get()).await;
        let layout = match layout {
            Ok(Some(layout)) => layout,
            Ok(None) => return Ok(all),
            Err(error) => {
                all.push(self.failed(Operation::Optimize, &error));
                return Ok(all);
            }
        };
        if let Some((operation, reason)) = self.optimize_due(&plan, &layout).await? {
            let started = Instant::now();
            let done = match self.keeper.dry_run {
                true => Ok(None),
                false => self.optimize(&plan, operation).await,
            };
            all.extend(self.work(operation, reason, done, started).await?);
        }
        if self.keeper.cancel.is_cancelled() {
            return Ok(all);
        }
        if let Some(reason) = self.checkpoint_due(&layout) {
            let started = Instant::now();
            let done = match self.keeper.dry_run {
                true => Ok(None),
                false => self.checkpoint().await.map(Some),
            };
            let work = self.work(Operation::Checkpoint, reason, done, started);
            all.extend(work.await?);
        }
        all.extend(self.vacuum().await?);
        Ok(all)
    }

    fn failed(&self, operation: Operation, error: &LakeError) -> Work {
        Work {
            asset: self.asset.name.clone(),
            operation,
            reason: String::new(),
            outcome: WorkOutcome::Failed(error_chain(error)),
        }
    }

    /// What to tell of something that was tried, after recording it.
    async fn work(
        &self,
        operation: Operation,
        reason: String,
        done: Result<Option<Maintained>, StageError>,
        started: Instant,
    ) -> Result<Option<Work>, StageError> {
        let outcome = match done {
            Ok(None) if self.keeper.dry_run => WorkOutcome::Due,
            Ok(None) | Err(StageError::Cancelled) => return Ok(None),
            Ok(Some(done)) => {
                self.keeper.record(&done).await?;
                WorkOutcome::Done(done, started.elapsed().as_secs_f64())
            }
            Err(StageError::State(error)) => return Err(error.into()),
            Err(error) => WorkOutcome::Failed(error_chain(&error)),
        };
        Ok(Some(Work {
            asset: self.asset.name.clone(),
            operation,
            reason,
            outcome,
        }))
    }

    /// Whether data files are to be written together, and why.
    async fn optimize_due(
        &self,
        plan: &OptimizePlan,
        layout: &Layout,
    ) -> Result<Option<(Operation, String)>, StageError> {
        let maintenance = &self.asset.maintenance;
        if maintenance.optimize.is_none() {
            return Ok(None);
        }
        let sorted = !maintenance.zorder_by.is_empty();
        let operation = match sorted {
            true => Operation::Zorder,
            false => Operation::Optimize,
        };
        let last = self.keeper.last(&self.table.to_string(), operation).await?;
        let (files, bytes) = match sorted {
            false => (layout.mergeable, 0),
            // What was written since is in no order yet.
            true => {
                let since = last.map_or(i64::MIN, |(then, _)| then);
                let new = layout.files.iter().filter(|(ms, _)| *ms > since);
                new.fold((0, 0), |(files, bytes), (_, more)| {
                    (files + 1, bytes + more)
                })
            }
        };
        let what = match sorted {
            true => "not sorted yet",
            false => "small",
        };
        let enough = files >= plan.small_files || bytes >= plan.target_bytes.get();
        let passed = plan.every.filter(|every| has_passed(*every, last));
        let reason = match passed {
            _ if files == 0 => return Ok(None),
            _ if enough => format!("{files} data files are {what}"),
            Some(every) => format!(
                "{files} data files are {what}, and {} have passed",
                crate::spec::Length(every)
            ),
            None if self.keeper.now => format!("{files} data files are {what}"),
            None => return Ok(None),
        };
        Ok(Some((operation, reason)))
    }

    /// Writes data files together. The commit says that the rows are those that the table had,
    /// and what they were made from, so that nothing is made because of it.
    async fn optimize(
        &self,
        plan: &OptimizePlan,
        operation: Operation,
    ) -> Result<Option<Maintained>, StageError> {
        let (lakehouse, state) = (self.keeper.lakehouse, self.keeper.state);
        let name = self.table.to_string();
        let stored = state.asset_key(self.keeper.project, &name).await?;
        let latest = lakehouse.latest_version(self.table).await?.unwrap_or(0);
        let Some((record, made)) = stored.and_then(|stored| self.record(stored)) else {
            return Ok(None);
        };
        if lakehouse.data_version(self.table, latest).await? > made {
            return Err(StageError::Lake(LakeError::NotOptimizable {
                table: self.table.clone(),
                reason: format!(
                    "something else wrote version {latest} (made: {made}), which a run looks into first"
                ),
            }));
        }
        let app_id = record.app_id();
        let last = lakehouse.last_txn(self.table, &app_id).await?;
        let since_ms = now_ms();
        let txn = state.next_txn(&record, last).await?;
        let info = CommitInfo {
            app_id: app_id.clone(),
            txn_version: txn,
            metadata: record.to_metadata(),
            description: None,
            rows: Arc::new(AtomicU64::new(0)),
        };
        let options = OptimizeOptions {
            target_bytes: plan.target_bytes,
            zorder_by: self.asset.maintenance.zorder_by.clone(),
            threads: self.keeper.threads.get(),
        };
        let optimized = tokio::select! {
            optimized = lakehouse.optimize(self.table, &options, info) => {
                optimized.map_err(StageError::from)
            }
            () = self.keeper.cancel.cancelled() => Err(StageError::Cancelled),
        };
        match optimized {
            Ok(Some(optimized)) => {
                let version = i64::try_from(optimized.version).unwrap_or(i64::MAX);
                state.confirm_txn(&app_id, txn, version, None).await?;
                Ok(Some(self.told(operation, &optimized)))
            }
            // The commit may be on its way: the next run looks at what became of it.
            Err(StageError::Cancelled) => Err(StageError::Cancelled),
            outcome => {
                let left = lakehouse.remove_leftovers(self.table, &app_id, since_ms);
                left.await?;
                state.abandon_txn(&app_id, txn).await?;
                outcome.map(|_| None)
            }
        }
    }

    fn told(&self, operation: Operation, optimized: &Optimized) -> Maintained {
        let signed = |(before, after): (u64, u64)| {
            let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
            (number(before), number(after))
        };
        let details = match operation {
            Operation::Zorder => json!({"zorder_by": self.asset.maintenance.zorder_by}),
            _ => json!({}),
        };
        Maintained {
            version: i64::try_from(optimized.version).ok(),
            files: Some(signed(optimized.files)),
            bytes: Some(signed(optimized.bytes)),
            details,
            ..maintained(self.table, operation)
        }
    }

    /// What the commit says about itself, and the version whose rows it leaves as they are.
    fn record(&self, stored: AssetKey) -> Option<(CommitRecord, u64)> {
        let Value::Object(mut outcome) = stored.outcome else {
            return None;
        };
        let made = outcome.remove("version").filter(Value::is_i64)?;
        outcome.remove(LATEST_KEY);
        let version = made.as_i64().and_then(|made| u64::try_from(made).ok())?;
        outcome.insert(DESCRIBES_KEY.to_owned(), made);
        let record = CommitRecord {
            project: self.keeper.project.to_owned(),
            // The rows are that run's.
            run_id: stored.run_id,
            asset: self.table.to_string(),
            key: stored.key,
            semantics: stored.semantics,
            overwrite: false,
            files: Vec::new(),
            models: Vec::new(),
            outcome: Map::from_iter(outcome),
        };
        Some((record, version))
    }

    fn checkpoint_due(&self, layout: &Layout) -> Option<String> {
        let every = self.asset.maintenance.checkpoint?;
        let commits = match layout.checkpoint {
            Some(version) => layout.version.saturating_sub(version),
            None => layout.version + 1,
        };
        let due = commits >= every || (self.keeper.now && commits > 0);
        due.then(|| match commits {
            1 => "1 commit since the last one".to_owned(),
            _ => format!("{commits} commits since the last one"),
        })
    }

    async fn checkpoint(&self) -> Result<Maintained, StageError> {
        let version = self.keeper.lakehouse.checkpoint(self.table).await?;
        Ok(Maintained {
            version: i64::try_from(version).ok(),
            ..maintained(self.table, Operation::Checkpoint)
        })
    }

    /// Removes old data files of the table, and of those that are made beside it.
    async fn vacuum(&self) -> Result<Option<Work>, StageError> {
        let Some(plan) = self.asset.maintenance.vacuum else {
            return Ok(None);
        };
        let name = self.table.to_string();
        let last = self.keeper.last(&name, Operation::Vacuum).await?;
        if !(self.keeper.now || has_passed(plan.every, last)) {
            return Ok(None);
        }
        let started = Instant::now();
        let retain = crate::spec::Length(plan.retain);
        let vacuumed = match self.vacuum_all().await {
            Ok(vacuumed) => vacuumed,
            Err(StageError::Lake(error)) => {
                return Ok(Some(self.failed(Operation::Vacuum, &error)));
            }
            Err(error) => return Err(error),
        };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (files, bytes) = vacuumed.before;
        let done = Maintained {
            files: Some((number(files), number(files - vacuumed.files))),
            bytes: Some((number(bytes), number(bytes - vacuumed.bytes))),
            details: json!({"retain": retain.to_string(), "held": vacuumed.held}),
            ..maintained(self.table, Operation::Vacuum)
        };
        let held = match vacuumed.held {
            0 => String::new(),
            held => format!("; {held} are held for who still reads them"),
        };
        let reason = format!(
            "{} data files are older than {retain}{held}",
            vacuumed.files
        );
        let outcome = match self.keeper.dry_run {
            true if vacuumed.files == 0 => return Ok(None),
            true => WorkOutcome::Due,
            false => {
                self.keeper.record(&done).await?;
                WorkOutcome::Done(done, started.elapsed().as_secs_f64())
            }
        };
        Ok(Some(Work {
            asset: name,
            operation: Operation::Vacuum,
            reason,
            outcome,
        }))
    }

    async fn vacuum_all(&self) -> Result<Vacuumed, StageError> {
        let lakehouse = self.keeper.lakehouse;
        // Not by how they begin: a table of that name may be another project's.
        let beside = [
            rejects::table_of(self.table).ok(),
            quarantine::table_of(self.table).ok(),
        ];
        let mut all = Vacuumed::default();
        for table in std::iter::once(self.table.clone()).chain(beside.into_iter().flatten()) {
            if !lakehouse.has_table(&table)
                || self
                    .keeper
                    .plan
                    .maker_of(&table)
                    .is_some_and(|maker| self.keeper.plan.assets[maker].name != self.asset.name)
            {
                continue;
            }
            let id = lakehouse.load(&table, None).await?.table_id;
            let Some(plan) = self.asset.maintenance.vacuum else {
                continue;
            };
            let options = VacuumOptions {
                retain: plan.retain,
                open_since_ms: self.readers.open_since_ms,
                read_version: self.readers.read_version(&table, &id),
                dry_run: self.keeper.dry_run,
            };
            let vacuumed = lakehouse.vacuum(&table, options).await?;
            all.files += vacuumed.files;
            all.bytes += vacuumed.bytes;
            all.held += vacuumed.held;
            all.before = (
                all.before.0 + vacuumed.before.0,
                all.before.1 + vacuumed.before.1,
            );
        }
        Ok(all)
    }
}
