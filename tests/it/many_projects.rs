//! Eight projects that run at the same moment in one lakehouse, with one state store and one
//! registry, while others look after their tables and somebody reads: nobody waits in vain,
//! nothing is lost or torn.

use std::process::{Child, Stdio};

use datafusion::prelude::SessionContext;
use sluice_lake::{Lakehouse, TableName};

use crate::sandbox::{Ended, Sandbox};

const PROJECTS: usize = 8;
/// Rows of the one file, and of the other.
const ROWS: [usize; 2] = [200, 50];

fn lines(rows: usize) -> String {
    let numbers = (0..rows).map(|number| format!("{number},{}\n", number % 2));
    std::iter::once("x,y\n".to_owned()).chain(numbers).collect()
}

fn pipeline(number: usize) -> String {
    format!(
        "pipeline: p{number}\n\
         lakehouse: ../lakehouse\n\
         maintain:\n  \
           tables: {{optimize: {{small_files: 2}}, vacuum: {{retain: 30s, force: true}}, checkpoint: {{every: 1}}}}\n\
         tables:\n  \
           bronze.t{number}:\n    \
             ingest: {{files: \"*.csv\"}}\n  \
           gold.t{number}:\n    \
             sql: SELECT x, y = 1 AS y FROM bronze.t{number}\n    \
             split: {{parts: {{train: 0.6, validation: 0.2, test: 0.2}}}}\n\
         models:\n  \
           m:\n    \
             train:\n      \
               from: gold.t{number}\n      \
               label: y\n      \
               estimator:\n        \
                 random_forest: {{n_estimators: 1, seed: {number}}}\n    \
             register: {{as: shared}}\n"
    )
}

fn start(sandbox: &Sandbox, number: usize) -> Child {
    sandbox
        .sluice(&["run", &format!("p{number}"), "--parallelism", "1", "--wait"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Looks after the tables of a project when it has its turn between the runs.
fn look_after(sandbox: &Sandbox, number: usize) -> Child {
    sandbox
        .sluice(&[
            "maintain",
            &format!("p{number}"),
            "--now",
            "--wait",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How many rows a table has; none where there is no table.
async fn rows(lakehouse: &Lakehouse, table: &str) -> usize {
    let table: TableName = table.parse().unwrap();
    if lakehouse.latest_version(&table).await.unwrap().is_none() {
        return 0;
    }
    let found = lakehouse.load(&table, None).await.unwrap();
    let rows = SessionContext::new().read_table(found.provider).unwrap();
    rows.count().await.unwrap()
}

/// Runs all projects at once, and reads their tables until they have ended: each has as many
/// rows as before or after, and nothing in between.
async fn run_all(sandbox: &Sandbox, lakehouse: &Lakehouse, before: usize, after: usize) {
    let mut runs: Vec<Child> = (0..PROJECTS).map(|number| start(sandbox, number)).collect();
    let (mut keeper, mut kept) = (look_after(sandbox, 0), 0);
    loop {
        let waiting = runs.iter_mut().map(|run| run.try_wait().unwrap());
        if waiting.filter(Option::is_none).count() == 0 {
            break;
        }
        // One of them at a time, again and again.
        if keeper.try_wait().unwrap().is_some() {
            let next = (kept + 1) % PROJECTS;
            let ended = std::mem::replace(&mut keeper, look_after(sandbox, next));
            assert_ended(ended, sandbox);
            kept = next;
        }
        for number in 0..PROJECTS {
            for layer in ["bronze", "gold"] {
                let found = rows(lakehouse, &format!("{layer}.t{number}")).await;
                assert!(
                    found == before || found == after,
                    "{layer}.t{number}: {found}"
                );
            }
        }
    }
    for run in runs.into_iter().chain([keeper]) {
        assert_ended(run, sandbox);
    }
}

fn assert_ended(process: Child, sandbox: &Sandbox) {
    let ended = Ended::of(process.wait_with_output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(0), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn eight_projects_side_by_side() {
    let sandbox = Sandbox::new();
    for number in 0..PROJECTS {
        sandbox.write(&format!("p{number}/pipeline.yaml"), pipeline(number));
        sandbox.write(&format!("p{number}/1.csv"), lines(ROWS[0]));
    }
    let lakehouse = Lakehouse::create(sandbox.path().join("lakehouse")).unwrap();
    run_all(&sandbox, &lakehouse, 0, ROWS[0]).await;
    for number in 0..PROJECTS {
        sandbox.write(&format!("p{number}/2.csv"), lines(ROWS[1]));
    }
    run_all(&sandbox, &lakehouse, ROWS[0], ROWS[0] + ROWS[1]).await;
    // All of them once more: what a run made is there in fewer files, and makes nothing anew.
    for number in 0..PROJECTS {
        assert_ended(look_after(&sandbox, number), &sandbox);
    }
    let optimized = "SELECT count(DISTINCT table_name) AS n FROM system.maintenance WHERE operation = 'optimize'";
    assert_eq!(sandbox.csv(optimized), format!("n\n{PROJECTS}\n"));
    for number in 0..PROJECTS {
        for (layer, rows_there) in [("bronze", ROWS[0] + ROWS[1]), ("gold", ROWS[0] + ROWS[1])] {
            let found = rows(&lakehouse, &format!("{layer}.t{number}")).await;
            assert_eq!(found, rows_there, "{layer}.t{number}");
        }
    }
    let made = "SELECT count(*) AS n FROM system.stages WHERE status = 'SUCCESS'";
    let before = sandbox.csv(made);
    assert_ended(start(&sandbox, 0), &sandbox);
    assert_eq!(sandbox.csv(made), before);
    // One numbering of versions over all projects: none is missing, none was given twice.
    let versions = sandbox.csv("SELECT version, count(DISTINCT asset) AS n FROM system.model_versions GROUP BY version ORDER BY version");
    let numbers = (1..=2 * PROJECTS).map(|number| format!("{number},1\n"));
    let expected: String = std::iter::once("version,n\n".to_owned())
        .chain(numbers)
        .collect();
    assert_eq!(versions, expected);
    let files = "SELECT sum(rows) AS n, count(*) AS files FROM system.files";
    let all = PROJECTS * (ROWS[0] + ROWS[1]);
    assert_eq!(
        sandbox.csv(files),
        format!("n,files\n{all},{}\n", 2 * PROJECTS)
    );
}
