//! Eight processes that add rows to one table, while one more looks after it (writes its files
//! together, removes old ones, writes checkpoints) and another reads it: no row is lost, no read
//! is torn.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sluice_lake::delta::{CommitInfo, OptimizeOptions, VacuumOptions, WriteMode};
use sluice_lake::{LakeError, Lakehouse};

use crate::fixture::{TestLake, filed, name, rows_of, stream};
use crate::processes::{FOLDER_VARIABLE, command};

const WRITERS: i64 = 8;
const COMMITS: i64 = 4;
/// Rows of one commit.
const ROWS: i64 = 3;
const WRITER_VARIABLE: &str = "SLUICE_TEST_WRITER";

/// The rows of one commit of one writer.
fn rows_of_commit(writer: i64, commit: i64) -> Vec<(String, i64)> {
    let file = format!("{writer}-{commit}");
    (0..ROWS).map(|row| (file.clone(), row)).collect()
}

async fn add(lake: &Lakehouse, writer: i64, commit: i64) {
    let rows = rows_of_commit(writer, commit);
    let rows: Vec<(&str, i64)> = rows.iter().map(|(file, id)| (file.as_str(), *id)).collect();
    let info = CommitInfo {
        app_id: format!("writer-{writer}"),
        txn_version: commit,
        metadata: serde_json::Map::new(),
        description: None,
        rows: Arc::new(AtomicU64::new(0)),
    };
    let rows = stream(vec![filed(&rows)]);
    lake.write(&name("silver.t"), WriteMode::Append, rows, info)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it as a process of its own"]
async fn a_writer_of_its_own() {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap());
    let writer: i64 = std::env::var(WRITER_VARIABLE).unwrap().parse().unwrap();
    let lake = Lakehouse::open(folder).unwrap();
    for commit in 1..=COMMITS {
        add(&lake, writer, commit).await;
    }
}

fn spawn(folder: &Path, writer: i64) -> Child {
    command("many_writers::a_writer_of_its_own", folder)
        .env(WRITER_VARIABLE, writer.to_string())
        .spawn()
        .unwrap()
}

/// How many rows of each commit a read finds: all or none.
async fn read(lake: &Lakehouse) -> BTreeMap<String, i64> {
    let table = lake.load(&name("silver.t"), None).await.unwrap();
    let mut found = BTreeMap::new();
    for row in rows_of(table.provider).await {
        let (commit, _) = row.split_once('|').unwrap();
        *found.entry(commit.to_owned()).or_insert(0) += 1;
    }
    for (commit, rows) in &found {
        assert_eq!(*rows, ROWS, "the commit {commit} is torn");
    }
    found
}

/// Writes the table's files together; whether it won the race to commit that.
async fn optimize(lake: &Lakehouse, txn_version: i64) -> bool {
    let options = OptimizeOptions {
        target_bytes: NonZeroU64::new(1 << 20).unwrap(),
        zorder_by: Vec::new(),
        threads: 2,
    };
    let info = CommitInfo {
        app_id: "optimizer".to_owned(),
        txn_version,
        metadata: serde_json::Map::new(),
        description: None,
        rows: Arc::new(AtomicU64::new(0)),
    };
    match lake.optimize(&name("silver.t"), &options, info).await {
        Ok(optimized) => optimized.is_some(),
        Err(LakeError::Conflict { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Looks after the table until a file says that it is enough; counts in another how often.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it as a process of its own"]
async fn a_keeper_of_its_own() {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap());
    let lake = Lakehouse::open(&folder).unwrap();
    let mut optimized = 0_i64;
    while !folder.join("enough").exists() {
        optimized += i64::from(optimize(&lake, optimized + 1).await);
        lake.checkpoint(&name("silver.t")).await.unwrap();
        let options = VacuumOptions {
            retain: Duration::from_secs(60),
            open_since_ms: None,
            read_version: None,
            dry_run: false,
        };
        lake.vacuum(&name("silver.t"), options).await.unwrap();
        fs::write(folder.join("optimized"), optimized.to_string()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_and_no_read_is_torn() {
    let test = TestLake::new();
    add(&test.lake, 0, 0).await;
    let root = test.lake.root().to_owned();
    let mut writers: Vec<Child> = (1..=WRITERS).map(|writer| spawn(&root, writer)).collect();
    let mut keeper = command("many_writers::a_keeper_of_its_own", &root);
    let mut keeper = keeper.spawn().unwrap();
    let mut seen = 0;
    while !writers.is_empty() {
        let found = read(&test.lake).await;
        assert!(found.len() >= seen, "commits that were there are gone");
        seen = found.len();
        writers.retain_mut(|writer| match writer.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "a writer failed: {status}");
                false
            }
            None => true,
        });
    }
    // However it went so far: now nobody is in the way.
    let optimized = || fs::read_to_string(root.join("optimized")).unwrap_or_default();
    let parsed = || optimized().parse::<u32>().unwrap_or(0);
    while parsed() == 0 {
        assert!(keeper.try_wait().unwrap().is_none(), "the keeper ended");
        std::thread::yield_now();
    }
    fs::write(root.join("enough"), "").unwrap();
    assert!(keeper.wait().unwrap().success());
    let found = read(&test.lake).await;
    let mut all: Vec<String> = (1..=WRITERS)
        .flat_map(|writer| (1..=COMMITS).map(move |commit| format!("{writer}-{commit}")))
        .collect();
    all.push("0-0".to_owned());
    all.sort();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), all);
}
