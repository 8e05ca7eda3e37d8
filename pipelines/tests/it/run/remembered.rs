//! Files that did not change are not read, and one that did is never missed.

use sluice_lake::ingest::{self, SourceFile, Unmatched};
use sluice_lake::state::State;
use sluice_pipelines::plan::{AssetBody, IngestAsset};

use crate::sandbox::Sandbox;

const FILES: &str = "tables:\n  bronze.t:\n    ingest: {files: data/*.csv}\n  silver.t:\n    sql: SELECT n + 1 AS m FROM bronze.t\n";
const UNCHANGED: &str = "skip  bronze.t: its 2 files are unchanged since version 0\n";

async fn asset(sandbox: &Sandbox) -> Box<IngestAsset> {
    let plan = sandbox.checked().await;
    match &plan.assets[plan.position("bronze.t").unwrap()].body {
        AssetBody::Ingest(ingest) => ingest.clone(),
        _ => panic!("bronze.t is made from files"),
    }
}

/// Makes the store remember the files as they are on disk now, with the content that it
/// remembers: as if they had been written again without a trace, `later_ns` before they
/// were read.
async fn forge(sandbox: &Sandbox, known: &IngestAsset, later_ns: i64) {
    let patterns = ["data/*.csv".to_owned()];
    let found = ingest::find_files(&known.folder, &patterns, Unmatched::Refuse);
    let files = found.await.unwrap().into_iter().map(|found| {
        let mut memory = known.memory[&found.path].clone();
        memory.seen.stamp = found.stamp;
        memory.seen.at_ns = found.stamp.modified_ns.max(found.stamp.changed_ns) + later_ns;
        SourceFile::from_memory(found, memory)
    });
    let files: Vec<SourceFile> = files.collect();
    let files: Vec<&SourceFile> = files.iter().collect();
    let lakehouse = sandbox.lakehouse();
    let project = lakehouse.existing_project_uuid("p").unwrap().unwrap();
    let state = State::open(lakehouse.state_path()).await.unwrap();
    let read_as = known.options.identity();
    state
        .remember_files(&project.to_string(), "bronze.t", &read_as, &files)
        .await
        .unwrap();
    state.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_did_not_change_are_not_read() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "n,s\n1,x\n");
    sandbox.write("data/b.csv", "n,s\n2,y\n");
    sandbox.run_well().await;
    let known = asset(&sandbox).await;
    // What is no CSV at all is proof that nobody opens the file.
    sandbox.write("data/b.csv", "other,x\n");
    forge(&sandbox, &known, 10_000_000_000).await;
    assert!(sandbox.plan().await.starts_with(UNCHANGED));
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.t: skipped: its 2 files are unchanged since version 0
    silver.t: skipped: query and inputs are unchanged since version 0
    Finished: 0 made, 2 skipped, 0 failed
    ");
    // Within a step of the clock of the file system nothing is certain.
    forge(&sandbox, &known, 1_000_000_000).await;
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[ingest]: data/b.csv does not have the columns of data/a.csv: `n` is missing, `s` is missing, `other` (VARCHAR) is new, `x` (VARCHAR) is new; make them alike, or say `evolve: true`
     --> pipeline.yaml:4:21
      |
    4 |     ingest: {files: data/*.csv}
      |                     ^^^^^^^^^^
    ");
    sandbox.write("data/b.csv", "n,s\n3,y\n");
    forge(&sandbox, &known, 0).await;
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.t: made: 1 rows, version 1
    silver.t: made: 2 rows, version 1
    Finished: 2 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT m FROM silver.t ORDER BY m").await, @r"
    +---+
    | m |
    +---+
    | 2 |
    | 4 |
    +---+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_touched_are_read_once_and_remembered() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "n,s\n1,x\n");
    sandbox.write("data/b.csv", "n,s\n2,y\n");
    sandbox.run_well().await;
    let before = asset(&sandbox).await;
    sandbox.write("data/b.csv", "n,s\n2,y\n");
    assert!(sandbox.plan().await.starts_with(UNCHANGED));
    // `plan` writes nothing down, a run does, even one that makes nothing.
    assert_eq!(asset(&sandbox).await.memory, before.memory);
    assert_eq!(sandbox.run_well().await.summary.made, 0);
    let after = asset(&sandbox).await;
    assert_ne!(
        after.memory["data/b.csv"].seen,
        before.memory["data/b.csv"].seen
    );
    let (after, before) = (&after.memory["data/b.csv"], &before.memory["data/b.csv"]);
    assert_eq!(after.content_hash, before.content_hash);
    assert!(after.outline.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_forgets_files_and_nothing_else() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "n,s\n1,x\n");
    sandbox.write("data/b.csv", "n,s\n2,y\n");
    sandbox.run_well().await;
    assert_eq!(asset(&sandbox).await.memory.len(), 2);
    sandbox.lose_state();
    assert!(asset(&sandbox).await.memory.is_empty());
    let ran = sandbox.run_well().await;
    assert_eq!((ran.summary.made, ran.summary.skipped), (0, 2));
    assert_eq!(asset(&sandbox).await.memory.len(), 2);
    let known = asset(&sandbox).await;
    forge(&sandbox, &known, 10_000_000_000).await;
    assert!(sandbox.plan().await.starts_with(UNCHANGED));
    // A changed file is found whatever the store has been through.
    sandbox.lose_state();
    sandbox.write("data/b.csv", "n,s\n5,y\n");
    let ran = sandbox.run_well().await;
    assert_eq!((ran.summary.made, ran.summary.skipped), (2, 0));
    assert_eq!(sandbox.value("SELECT sum(n) FROM bronze.t").await, "6");
}
