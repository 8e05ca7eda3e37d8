//! Forgetting old runs, and what of them is kept: the runs that made what there is now.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;

use super::{RunId, State, StateError};

/// The tables that hold rows of runs, each by `run_id`; the runs themselves come last.
const OF_RUNS: [&str; 8] = [
    "params",
    "metrics",
    "tags",
    "datasets",
    "artifacts",
    "stages",
    "expectations",
    "events",
];

/// A run, as far as it matters here.
struct Node {
    run: String,
    parent: Option<String>,
    ended_ms: Option<i64>,
    started_ms: i64,
    running: bool,
}

/// Old runs of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retained {
    /// Those that can be forgotten; each after the runs that are part of it.
    pub old: Vec<RunId>,
    /// How many others are as old: they made a table, a model or a report as it is now or a
    /// model version of the registry, or are parts of a run that did.
    pub in_use: u64,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForgottenRuns {
    /// Runs, trainings and trials included.
    pub runs: u64,
    /// Rows of theirs: stages, metrics, parameters, events and so on.
    pub rows: u64,
}

impl State {
    /// The runs of a project that ended before `ended_before_ms` (milliseconds since 1970 UTC)
    /// and that nothing refers to. A run goes with its trainings and trials or not at all; its
    /// last run never goes, nor one that is open.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn old_runs(
        &self,
        project: &str,
        ended_before_ms: i64,
    ) -> Result<Retained, StateError> {
        let action = "look for old runs";
        type Row = (String, Option<String>, Option<i64>, i64, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT run_id, parent_run_id, end_time, start_time, status FROM runs \
             WHERE project = $1 ORDER BY run_id",
        )
        .bind(project)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(action))?;
        let used: Vec<String> = sqlx::query_scalar(
            "SELECT run_id FROM asset_keys UNION \
             SELECT run_id FROM model_versions WHERE status <> 'DELETED' UNION \
             SELECT run_id FROM txns WHERE state = 'INTENT'",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(action))?;
        let nodes = rows.into_iter();
        let nodes = nodes.map(|(run, parent, ended_ms, started_ms, status)| Node {
            run,
            parent,
            ended_ms,
            started_ms,
            running: status == "RUNNING",
        });
        let nodes: Vec<Node> = nodes.collect();
        Ok(retained(
            &nodes,
            &used.into_iter().collect(),
            ended_before_ms,
        ))
    }

    /// Forgets runs: all of them, or none. Each comes after the runs that are part of it.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn forget_runs(&self, runs: &[RunId]) -> Result<ForgottenRuns, StateError> {
        let action = "forget old runs";
        let mut forgotten = ForgottenRuns::default();
        let mut tx = self.begin(action).await?;
        for run in runs {
            for table in OF_RUNS {
                forgotten.rows += self.forget_of(tx.connection(), table, run).await?;
            }
            forgotten.runs += self.forget_of(tx.connection(), "runs", run).await?;
        }
        self.commit(tx, action).await?;
        Ok(forgotten)
    }

    /// The paths of the artifacts of the runs of a project that ended before `ended_before_ms`
    /// (milliseconds since 1970 UTC), by run.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn old_artifacts(
        &self,
        project: &str,
        ended_before_ms: i64,
    ) -> Result<Vec<(RunId, Vec<String>)>, StateError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT a.run_id, a.path FROM artifacts AS a JOIN runs AS r ON r.run_id = a.run_id \
             WHERE r.project = $1 AND r.status <> 'RUNNING' AND r.end_time < $2 \
             ORDER BY a.run_id, a.path",
        )
        .bind(project)
        .bind(ended_before_ms)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("look for old artifacts"))?;
        let mut artifacts: Vec<(RunId, Vec<String>)> = Vec::new();
        for (run, path) in rows {
            match artifacts.last_mut() {
                Some((last, paths)) if last.as_str() == run => paths.push(path),
                _ => artifacts.push((RunId::from(run), vec![path])),
            }
        }
        Ok(artifacts)
    }

    /// Forgets the artifacts of runs, and not the runs.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn forget_artifacts(&self, runs: &[RunId]) -> Result<(), StateError> {
        let action = "forget old runs";
        let mut tx = self.begin(action).await?;
        for run in runs {
            self.forget_of(tx.connection(), "artifacts", run).await?;
        }
        self.commit(tx, action).await
    }

    async fn forget_of(
        &self,
        connection: &mut SqliteConnection,
        table: &'static str,
        run: &RunId,
    ) -> Result<u64, StateError> {
        let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE run_id = $1"));
        let done = sqlx::query(sql)
            .bind(run.as_str())
            .execute(connection)
            .await;
        let done = done.map_err(self.failed("forget old runs"))?;
        Ok(done.rows_affected())
    }
}

/// Which of the runs of one project can be forgotten, given those that something refers to.
fn retained(nodes: &[Node], used: &HashSet<String>, ended_before_ms: i64) -> Retained {
    let parents: HashMap<&str, Option<&str>> = nodes
        .iter()
        .map(|node| (node.run.as_str(), node.parent.as_deref()))
        .collect();
    let root_of = |run: &str| {
        let mut root = run.to_owned();
        while let Some(Some(parent)) = parents.get(root.as_str()) {
            root = (*parent).to_owned();
        }
        root
    };
    let roots: Vec<String> = nodes.iter().map(|node| root_of(&node.run)).collect();
    let last = nodes
        .iter()
        .filter(|node| node.parent.is_none())
        .max_by_key(|node| (node.started_ms, &node.run))
        .map(|node| node.run.as_str());
    // What one part is, all of them are.
    let (mut young, mut needed) = (HashSet::new(), HashSet::new());
    for (node, root) in nodes.iter().zip(&roots) {
        let old = node.ended_ms.is_some_and(|ended| ended < ended_before_ms);
        if node.running || !old {
            young.insert(root.as_str());
        }
        if used.contains(&node.run) {
            needed.insert(root.as_str());
        }
    }
    needed.extend(last);
    let mut retained = Retained::default();
    for (node, root) in nodes.iter().zip(&roots) {
        if young.contains(root.as_str()) {
            continue;
        }
        match needed.contains(root.as_str()) {
            true => retained.in_use += 1,
            false => retained.old.push(RunId::from(node.run.as_str())),
        }
    }
    // A part begins after the whole, and identifiers grow with time.
    retained.old.sort();
    retained.old.reverse();
    let depth = |run: &RunId| {
        let (mut depth, mut at) = (0, run.as_str());
        while let Some(Some(parent)) = parents.get(at) {
            depth += 1;
            at = parent;
        }
        depth
    };
    retained
        .old
        .sort_by_key(|run| std::cmp::Reverse(depth(run)));
    retained
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(run: &str, parent: Option<&str>, started_ms: i64) -> Node {
        Node {
            run: run.to_owned(),
            parent: parent.map(str::to_owned),
            ended_ms: Some(started_ms + 1),
            started_ms,
            running: false,
        }
    }

    #[test]
    fn a_run_goes_with_its_parts_or_not_at_all() {
        let mut nodes = vec![
            node("a", None, 1),
            node("a1", Some("a"), 2),
            node("a11", Some("a1"), 3),
            node("b", None, 10),
            node("b1", Some("b"), 11),
            node("c", None, 20),
            node("c1", Some("c"), 21),
            node("d", None, 30),
        ];
        nodes[6].running = true;
        let used = HashSet::from(["b1".to_owned()]);
        let names = |retained: &Retained| {
            let names = retained.old.iter().map(ToString::to_string);
            names.collect::<Vec<_>>()
        };
        // b made a model that there is, c is open, d is the last.
        let all = retained(&nodes, &used, 1000);
        assert_eq!(names(&all), ["a11", "a1", "a"]);
        assert_eq!(all.in_use, 3);
        // Part of it is too young.
        assert_eq!(retained(&nodes, &used, 4).old, []);
        assert_eq!(retained(&nodes, &used, 5).old.len(), 3);
    }

    #[tokio::test]
    async fn every_table_that_refers_to_runs_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state.db")).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT m.name FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f \
             WHERE m.type = 'table' AND f.\"table\" = 'runs' AND m.name <> 'runs'",
        )
        .fetch_all(state.pool())
        .await
        .unwrap();
        assert!(tables.len() > 5, "{tables:?}");
        for table in tables {
            assert!(OF_RUNS.contains(&table.as_str()), "{table}");
        }
    }
}
