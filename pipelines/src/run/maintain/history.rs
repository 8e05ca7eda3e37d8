//! Forgetting old runs, and the files that they left behind.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_lake::state::{Maintained, Operation, RunId, now_ms};

use super::{Keeper, Work, WorkOutcome, has_passed};
use crate::run::error::{StageError, blocking};
use crate::spec::Length;

/// How often old runs are looked for.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs that are forgotten in one transaction.
const AT_A_TIME: usize = 200;

impl Keeper<'_> {
    /// Forgets what is older than it is to be kept.
    pub(super) async fn history(&self) -> Result<Vec<Work>, StageError> {
        let retention = self.plan.retention;
        let mut done = Vec::new();
        if let Some(retain) = retention.runs {
            done.extend(self.runs(retain).await?);
        }
        if let Some(retain) = retention.artifacts {
            done.extend(self.artifacts(retain).await?);
        }
        Ok(done)
    }

    async fn is_due(&self, operation: Operation) -> Result<bool, StageError> {
        Ok(self.now || has_passed(EVERY, self.last("", operation).await?))
    }

    async fn runs(&self, retain: Duration) -> Result<Option<Work>, StageError> {
        if !self.is_due(Operation::Runs).await? {
            return Ok(None);
        }
        let started = Instant::now();
        let retained = self.state.old_runs(self.project, before(retain)).await?;
        let runs = retained.old.len();
        let in_use = match retained.in_use {
            0 => String::new(),
            in_use => format!("; {in_use} more made what there is now"),
        };
        let reason = format!("{runs} runs ended more than {} ago{in_use}", Length(retain));
        if self.dry_run {
            return Ok((runs > 0).then(|| self.due(Operation::Runs, reason)));
        }
        let (mut files, mut bytes, mut rows) = (0, 0, 0);
        for some in retained.old.chunks(AT_A_TIME) {
            // Files first: what is forgotten would never be found again.
            for run in some {
                let removed = self.remove_artifacts(run, None).await?;
                files += removed.0;
                bytes += removed.1;
            }
            rows += self.state.forget_runs(some).await?.rows;
        }
        // A store that was lost names nothing: what it does not know is kept until runs as old as
        // that are forgotten.
        let definitions = match runs {
            0 => (0, 0),
            _ => self.remove_definitions().await?,
        };
        let details = json!({
            "retain": Length(retain).to_string(),
            "runs": runs,
            "rows": rows,
            "artifacts": files,
            "definitions": definitions.0,
            "bytes": bytes + definitions.1,
        });
        self.done(Operation::Runs, reason, details, started).await
    }

    async fn artifacts(&self, retain: Duration) -> Result<Option<Work>, StageError> {
        if !self.is_due(Operation::Artifacts).await? {
            return Ok(None);
        }
        let started = Instant::now();
        let old = self.state.old_artifacts(self.project, before(retain));
        let old = old.await?;
        let number: usize = old.iter().map(|(_, paths)| paths.len()).sum();
        let reason = format!(
            "{number} artifacts are of runs that ended more than {} ago",
            Length(retain)
        );
        if self.dry_run {
            return Ok((number > 0).then(|| self.due(Operation::Artifacts, reason)));
        }
        let (mut files, mut bytes) = (0, 0);
        for some in old.chunks(AT_A_TIME) {
            for (run, paths) in some {
                let removed = self.remove_artifacts(run, Some(paths.clone())).await?;
                files += removed.0;
                bytes += removed.1;
            }
            let runs: Vec<RunId> = some.iter().map(|(run, _)| run.clone()).collect();
            self.state.forget_artifacts(&runs).await?;
        }
        let details = json!({
            "retain": Length(retain).to_string(),
            "artifacts": files,
            "bytes": bytes,
        });
        self.done(Operation::Artifacts, reason, details, started)
            .await
    }

    async fn remove_artifacts(
        &self,
        run: &RunId,
        paths: Option<Vec<String>>,
    ) -> Result<(u64, u64), StageError> {
        let (lakehouse, run) = (self.lakehouse.clone(), run.clone());
        blocking(move || Ok(lakehouse.remove_artifacts(run.as_str(), paths.as_deref())?)).await
    }

    /// Removes what was kept of definitions that no run names any more.
    async fn remove_definitions(&self) -> Result<(u64, u64), StageError> {
        let named = self.state.named_definitions().await?;
        let (lakehouse, pipeline) = (self.lakehouse.clone(), self.plan.pipeline.clone());
        blocking(move || Ok(lakehouse.remove_definitions(&pipeline, &named)?)).await
    }

    fn due(&self, operation: Operation, reason: String) -> Work {
        Work {
            asset: self.plan.pipeline.clone(),
            operation,
            reason,
            outcome: WorkOutcome::Due,
        }
    }

    async fn done(
        &self,
        operation: Operation,
        reason: String,
        details: serde_json::Value,
        started: Instant,
    ) -> Result<Option<Work>, StageError> {
        let done = Maintained {
            table: String::new(),
            operation,
            time_ms: now_ms(),
            version: None,
            files: None,
            bytes: None,
            details,
        };
        self.record(&done).await?;
        Ok(Some(Work {
            asset: self.plan.pipeline.clone(),
            operation,
            reason,
            outcome: WorkOutcome::Done(done, started.elapsed().as_secs_f64()),
        }))
    }
}

/// The moment so long ago, in milliseconds since 1970 UTC.
fn before(retain: Duration) -> i64 {
    now_ms().saturating_sub(i64::try_from(retain.as_millis()).unwrap_or(i64::MAX))
}
