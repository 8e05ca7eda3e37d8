//! Tags that people put on runs, and finding a run by the beginning of its identifier.

use crate::{
    nearest::nearest,
    tags::{TagError, is_system_tag},
};

use super::{Run, RunId, State, StateError};

/// Runs that are named when a beginning fits several.
const RUNS_SHOWN: usize = 5;

/// Hexadecimal digits of a run's identifier.
const ID_DIGITS: usize = 32;

impl State {
    /// The run whose identifier begins with `text`.
    ///
    /// # Errors
    /// [`StateError::NoSuchRun`] when none or no hexadecimal digits do,
    /// [`StateError::SeveralRuns`] when several do.
    pub async fn find_run(&self, text: &str) -> Result<Run, StateError> {
        let unknown = |reason: &'static str| StateError::NoSuchRun {
            path: self.path().to_owned(),
            text: text.to_owned(),
            reason,
        };
        let digits = text.to_ascii_lowercase();
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(unknown("an identifier is 32 hexadecimal digits"));
        }
        if digits.len() > ID_DIGITS {
            return Err(unknown("an identifier is no longer than 32 digits"));
        }
        let columns = super::runs::RUN_COLUMNS;
        // A range of the primary key: all texts that begin with these digits.
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM runs WHERE run_id >= $1 AND run_id < $2 ORDER BY run_id"
        ));
        let rows = sqlx::query(sql)
            .bind(&digits)
            .bind(format!("{digits}g"))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("look for a run"))?;
        let mut runs: Vec<Run> = rows
            .iter()
            .map(|row| self.read_run(row))
            .collect::<Result<_, _>>()?;
        match runs.len() {
            0 => Err(unknown("`sluice runs` lists them")),
            1 => Ok(runs.remove(0)),
            count => Err(StateError::SeveralRuns {
                text: text.to_owned(),
                count,
                some: runs
                    .iter()
                    .take(RUNS_SHOWN)
                    .map(|run| format!("{} ({})", run.run_id, run.name))
                    .collect(),
            }),
        }
    }

    /// Removes tags of a run: all of them, or none.
    ///
    /// # Errors
    /// [`StateError::Tag`] when the run has no such tag.
    pub async fn remove_tags(&self, run: &RunId, keys: &[String]) -> Result<(), StateError> {
        let action = "remove tags";
        let mut tx = self.begin(action).await?;
        for key in keys {
            let removed = sqlx::query("DELETE FROM tags WHERE run_id = $1 AND key = $2")
                .bind(run.as_str())
                .bind(key)
                .execute(tx.connection())
                .await
                .map_err(self.failed(action))?;
            if removed.rows_affected() > 0 {
                continue;
            }
            drop(tx);
            let tags = self.tags(run).await?.into_keys();
            let mut known: Vec<String> = tags.filter(|key| !is_system_tag(key)).collect();
            known.sort();
            return Err(TagError::Unknown {
                of: format!("the run {run}"),
                key: key.clone(),
                nearest: nearest(key, known.iter().map(String::as_str)).map(str::to_owned),
                known,
            }
            .into());
        }
        self.commit(tx, action).await
    }
}
