//! The session: bounded memory, and no way out of the lakehouse.

use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt as _;
use sluice_lake::session::{SessionOptions, session};
use sluice_lake::sql::{parse, plan};

#[tokio::test]
async fn a_sort_larger_than_the_limit_spills() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = session(&SessionOptions {
        target_partitions: 1,
        batch_size: 1024,
        memory_limit_bytes: Some(4 << 20),
        spill_folder: Some(folder.path().to_path_buf()),
    })
    .unwrap();
    let sql = "SELECT repeat(CAST(value AS VARCHAR), 8) AS text \
               FROM generate_series(1, 200000) ORDER BY text DESC, value";
    let statement = parse(sql).unwrap().remove(0);
    let plan = plan(&ctx, statement).await.unwrap();
    let frame = ctx.execute_logical_plan(plan).await.unwrap();
    let physical = frame.create_physical_plan().await.unwrap();
    let mut rows = execute_stream(physical.clone(), ctx.task_ctx()).unwrap();
    let mut read = 0;
    while let Some(batch) = rows.try_next().await.unwrap() {
        read += batch.num_rows();
        // Were the process killed now, nothing would stay of what was spilled.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    assert_eq!(read, 200_000);
    fn spills(plan: &dyn datafusion::physical_plan::ExecutionPlan) -> usize {
        let own = plan.metrics().and_then(|m| m.spill_count()).unwrap_or(0);
        own + plan
            .children()
            .iter()
            .map(|c| spills(c.as_ref()))
            .sum::<usize>()
    }
    assert!(spills(physical.as_ref()) > 0, "nothing was spilled");
}

#[tokio::test]
async fn a_join_under_a_memory_limit_sorts_and_merges() {
    let sql = "SELECT count(*) AS n FROM generate_series(1, 1000) a (x) \
               JOIN generate_series(1, 1000) b (y) ON a.x = b.y";
    for (limit, expected) in [(None, "HashJoin"), (Some(64 << 20), "SortMergeJoin")] {
        let ctx = session(&SessionOptions {
            target_partitions: 2,
            memory_limit_bytes: limit,
            ..SessionOptions::default()
        })
        .unwrap();
        let plan = plan(&ctx, parse(sql).unwrap().remove(0)).await.unwrap();
        let physical = ctx.state().create_physical_plan(&plan).await.unwrap();
        let text = datafusion::physical_plan::displayable(physical.as_ref())
            .indent(false)
            .to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn files_are_not_tables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let ctx = session(&SessionOptions::default()).unwrap();
    for sql in [
        format!("SELECT * FROM '{}'", file.display()),
        format!("SELECT * FROM \"{}\"", file.display()),
        format!("SELECT * FROM \"file://{}\"", file.display()),
        format!("SELECT * FROM read_csv('{}')", file.display()),
    ] {
        let error = plan(&ctx, parse(&sql).unwrap().remove(0))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("unknown") || text.contains("not found"),
            "{sql}: {text}"
        );
    }
    // Not even past our own planner.
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}'",
        file.display()
    );
    assert!(ctx.sql(&create).await.is_err());
}
