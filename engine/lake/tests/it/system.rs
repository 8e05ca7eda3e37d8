//! The schema `system`: the store in SQL.

use std::{path::Path, sync::Arc};

use arrow::{array::AsArray, datatypes::Int64Type, util::pretty::pretty_format_batches};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider},
    prelude::{SessionConfig, SessionContext},
};
use sluice_lake::{
    registry::{LabelChange, Registry},
    state::{
        AppliedModel, Artifact, Claimant, DatasetUse, ExpectationResult, INTERVALS_KEY, Maintained,
        Metric, NewStage, Operation, RunId, RunKind, StageEnd, StageStatus, State, StoredEvent,
        Tick,
    },
    system::SystemSchema,
};
use tempfile::TempDir;

use crate::{
    registry::{move_alias, train},
    state::{PROJECT, new_run, record},
};

/// A session that reads three rows at a time, so that pages have ends.
fn session(state: Option<State>) -> SessionContext {
    let config = SessionConfig::new()
        .with_batch_size(3)
        .with_target_partitions(2)
        .with_default_catalog_and_schema("lake", "main")
        .with_information_schema(true);
    let context = SessionContext::new_with_config(config);
    let catalog = MemoryCatalogProvider::new();
    let schema = SystemSchema::new(state).unwrap();
    catalog
        .register_schema(SystemSchema::NAME, Arc::new(schema))
        .unwrap();
    context.register_catalog("lake", Arc::new(catalog));
    context
}

async fn query(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

async fn number(context: &SessionContext, sql: &str) -> i64 {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn open(folder: &Path) -> State {
    State::open(folder.join("state.db")).await.unwrap()
}

fn metric(key: &str, step: i64, value: f64) -> Metric {
    Metric {
        key: key.to_owned(),
        value,
        step,
        timestamp_ms: 1_700_000_000_123,
    }
}

/// One row, at least, in every table.
async fn fill(folder: &Path, state: &State) -> RunId {
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
    state.log_params(&run, &pair("depth", "6")).await.unwrap();
    state.set_tags(&run, &pair("note", "x")).await.unwrap();
    let metrics = [metric("auc", 0, 0.5), metric("auc", 1, f64::NAN)];
    state.log_metrics(&run, &metrics).await.unwrap();
    let dataset = DatasetUse {
        name: "gold.wine".to_owned(),
        version: 3,
        context: "training".to_owned(),
        digest: Some("0f".to_owned()),
    };
    state.log_datasets(&run, &[dataset]).await.unwrap();
    let artifact = Artifact {
        path: "leaderboard.csv".to_owned(),
        hash: "ab".to_owned(),
        bytes: 10,
    };
    state.log_artifacts(&run, &[artifact]).await.unwrap();
    let stage = NewStage {
        asset: "gold.wine".to_owned(),
        kind: "sql".to_owned(),
        key: None,
        made_from: None,
    };
    let end = StageEnd::new(StageStatus::Skipped);
    state.record_stages(&run, &[(stage, end)]).await.unwrap();
    let expectation = ExpectationResult {
        asset: "silver.wine".to_owned(),
        name: "in_range".to_owned(),
        kind: "row".to_owned(),
        rule: "quality > 0".to_owned(),
        otherwise: "warn".to_owned(),
        rows: 10,
        failed: 1,
        found: None,
        on_top: false,
    };
    state
        .record_expectations(&run, &[expectation])
        .await
        .unwrap();
    let events = [1, 2, 3].map(|seq| StoredEvent {
        run_id: run.to_string(),
        seq,
        timestamp: seq * 10,
        event: "stage_skipped".to_owned(),
        asset: Some("silver.wine".to_owned()),
        details: "{}".to_owned(),
    });
    state.record_events(&events).await.unwrap();
    state.trim_events(2).await.unwrap();
    let mut record = record(&run, "k", &[("red.csv", "h")]);
    record.models.push(AppliedModel {
        address: "models:/wine_quality@production".to_owned(),
        name: "wine_quality".to_owned(),
        version: 1,
    });
    let ledger = serde_json::json!([[0, 86_400_000]]);
    record.outcome.insert(INTERVALS_KEY.to_owned(), ledger);
    let txn = state.next_txn(&record, None).await.unwrap();
    state
        .confirm_txn(&record.app_id(), txn, 0, None)
        .await
        .unwrap();
    let registry = Registry::new(folder.join("_models"), Some(state.clone()));
    train(&registry, "wine_quality", "k1").await;
    move_alias(&registry, "wine_quality", 1).await.unwrap();
    for version in [None, Some(1)] {
        let change = LabelChange {
            set: vec![("team".to_owned(), "wine".to_owned())],
            ..LabelChange::default()
        };
        registry
            .label("wine_quality", version, change)
            .await
            .unwrap();
    }
    let claimant = Claimant::this(PROJECT.to_owned(), "wine".to_owned(), true);
    state.take_lease(&claimant, 0).await.unwrap().unwrap();
    let tick = Tick {
        project: PROJECT.to_owned(),
        cause: "time",
        name: "2026-03-01T06:00:00Z".to_owned(),
        time_ms: 1_772_344_800_000,
    };
    assert!(state.claim_tick(&tick).await.unwrap());
    let maintained = Maintained {
        table: "silver.wine".to_owned(),
        operation: Operation::Vacuum,
        time_ms: 1_772_344_800_000,
        version: None,
        files: Some((3, 1)),
        bytes: Some((300, 100)),
        details: serde_json::json!({"held": 0}),
    };
    state
        .record_maintenance(PROJECT, &maintained)
        .await
        .unwrap();
    run
}

#[tokio::test]
async fn every_table_has_the_same_columns_with_and_without_a_store() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    fill(folder.path(), &state).await;
    let empty = session(None);
    let full = session(Some(state.clone()));
    let schema = SystemSchema::new(Some(state)).unwrap();
    let names = schema.table_names();
    assert_eq!(names.len(), 23, "{names:?}");
    for name in names {
        let sql = format!("SELECT * FROM system.{name}");
        let some = full.sql(&sql).await.unwrap();
        let none = empty.sql(&sql).await.unwrap();
        assert_eq!(some.schema(), none.schema(), "{name}");
        assert!(some.count().await.unwrap() > 0, "{name}");
        assert_eq!(none.count().await.unwrap(), 0, "{name}");
    }
}

#[tokio::test]
async fn columns_are_named_as_in_mlflow() {
    let context = session(None);
    let columns = async |table: &str| {
        let frame = context
            .sql(&format!("SELECT * FROM system.{table}"))
            .await
            .unwrap();
        let fields = frame.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        names.join(", ")
    };
    assert_eq!(
        columns("metrics").await,
        "run_id, key, value, step, timestamp"
    );
    assert_eq!(columns("params").await, "run_id, key, value");
    assert_eq!(columns("aliases").await, "name, alias, version");
    assert!(
        columns("model_versions")
            .await
            .starts_with("name, version, run_id, ")
    );
    assert_eq!(
        columns("runs").await,
        "run_id, experiment_id, run_name, kind, parent_run_id, status, start_time, end_time, \
         error, project, pipeline"
    );
}

#[tokio::test]
async fn a_metric_that_is_not_a_number_is_null() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    fill(folder.path(), &state).await;
    let context = session(Some(state));
    assert_eq!(
        query(
            &context,
            "SELECT key, value, step, timestamp FROM system.metrics ORDER BY step"
        )
        .await,
        "\
+-----+-------+------+--------------------------+
| key | value | step | timestamp                |
+-----+-------+------+--------------------------+
| auc | 0.5   | 0    | 2023-11-14T22:13:20.123Z |
| auc |       | 1    | 2023-11-14T22:13:20.123Z |
+-----+-------+------+--------------------------+"
    );
    let best = query(&context, "SELECT max(value) AS best FROM system.metrics").await;
    assert!(best.contains("| 0.5  |"), "{best}");
}

#[tokio::test]
async fn all_pages_are_read_and_joined() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    // Keys, steps and runs change in the middle of pages; one page ends exactly.
    let other = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    for run in [&run, &other] {
        let metrics: Vec<Metric> = (0..30)
            .map(|i| metric(if i % 2 == 0 { "auc" } else { "loss" }, i, i as f64))
            .collect();
        state.log_metrics(run, &metrics).await.unwrap();
    }
    let context = session(Some(state));
    assert_eq!(
        number(&context, "SELECT count(*) FROM system.metrics").await,
        60
    );
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT * FROM system.metrics)";
    assert_eq!(number(&context, distinct).await, 60);
    let joined = "SELECT CAST(sum(value) AS BIGINT) FROM system.metrics JOIN system.runs USING (run_id) WHERE key = 'auc'";
    assert_eq!(
        number(&context, joined).await,
        2 * (0..30).step_by(2).sum::<i64>()
    );
    let limited = "SELECT count(*) FROM (SELECT * FROM system.metrics LIMIT 7)";
    assert_eq!(number(&context, limited).await, 7);
}

#[tokio::test]
async fn more_scans_than_connections_do_not_starve_each_other() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let metrics: Vec<Metric> = (0..20).map(|i| metric("auc", i, 0.0)).collect();
    state.log_metrics(&run, &metrics).await.unwrap();
    let context = session(Some(state));
    let scans = vec!["SELECT step FROM system.metrics"; 20].join(" UNION ALL ");
    let sql = format!("SELECT count(*) FROM ({scans} ORDER BY step)");
    assert_eq!(number(&context, &sql).await, 400);
}

#[tokio::test]
async fn the_store_is_read_when_the_query_runs() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    let context = session(Some(state.clone()));
    assert_eq!(
        number(&context, "SELECT count(*) FROM system.runs").await,
        0
    );
    state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    assert_eq!(
        number(&context, "SELECT count(*) FROM system.runs").await,
        1
    );
    let project = query(&context, "SELECT project FROM SYSTEM.RUNS").await;
    assert!(project.contains(PROJECT), "{project}");
}

#[tokio::test]
async fn the_newest_events_are_kept() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    fill(folder.path(), &state).await;
    let context = session(Some(state));
    let oldest = number(&context, "SELECT min(seq) FROM system.events").await;
    assert_eq!(oldest, 2, "of three the two newest");
}

#[tokio::test]
async fn expectations_of_a_stage_add_up_and_begin_anew_with_it() {
    let folder = TempDir::new().unwrap();
    let state = open(folder.path()).await;
    let context = session(Some(state.clone()));
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let stage = NewStage {
        asset: "silver.wine".to_owned(),
        kind: "sql".to_owned(),
        key: None,
        made_from: None,
    };
    let counted = ExpectationResult {
        asset: "silver.wine".to_owned(),
        name: "in_range".to_owned(),
        kind: "row".to_owned(),
        rule: "quality BETWEEN 0 AND 10".to_owned(),
        otherwise: "drop".to_owned(),
        rows: 100,
        failed: 2,
        found: None,
        on_top: true,
    };
    for _ in 0..2 {
        state.start_stage(&run, &stage).await.unwrap();
        for _ in 0..2 {
            let counted = std::slice::from_ref(&counted);
            state.record_expectations(&run, counted).await.unwrap();
        }
        let sums = query(&context, "SELECT rows, failed FROM system.expectations").await;
        let expected = "\
+------+--------+
| rows | failed |
+------+--------+
| 200  | 4      |
+------+--------+";
        assert_eq!(sums, expected);
    }
}
