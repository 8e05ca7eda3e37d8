//! The state store: runs, tracking, stages, transactions, ledgers.

use std::time::{Duration, Instant};

use serde_json::{Map, json};
use sluice_lake::state::{
    Artifact, CommitRecord, DatasetUse, ExpectationResult, FileRecord, FinishedRun, Metric, NewRun,
    NewStage, RunId, RunKind, RunStatus, StageEnd, StageStatus, State, StateError,
};
use tempfile::TempDir;

pub(crate) const PROJECT: &str = "0190c2f6-0000-7000-8000-000000000001";

pub(crate) fn new_run(kind: RunKind, parent: Option<&RunId>) -> NewRun {
    NewRun {
        project: PROJECT.to_owned(),
        pipeline: "wine".to_owned(),
        kind,
        name: "nightly".to_owned(),
        parent: parent.cloned(),
        definitions: None,
    }
}

pub(crate) async fn open(folder: &TempDir) -> State {
    State::open(folder.path().join("state.db")).await.unwrap()
}

fn metric(key: &str, step: i64, value: f64) -> Metric {
    Metric {
        key: key.to_owned(),
        value,
        step,
        timestamp_ms: 1_700_000_000_000 + step,
    }
}

pub(crate) fn record(run: &RunId, key: &str, files: &[(&str, &str)]) -> CommitRecord {
    CommitRecord {
        project: PROJECT.to_owned(),
        run_id: run.clone(),
        asset: "bronze.wine".to_owned(),
        key: key.to_owned(),
        semantics: 1,
        overwrite: false,
        files: files
            .iter()
            .map(|(path, hash)| FileRecord {
                path: (*path).to_owned(),
                hash: (*hash).to_owned(),
                bytes: 10,
            })
            .collect(),
        models: Vec::new(),
        outcome: Map::new(),
    }
}

#[tokio::test]
async fn a_run_starts_nests_and_ends() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let child = state
        .start_run(new_run(RunKind::Train, Some(&run)))
        .await
        .unwrap();
    assert!(run < child, "identifiers sort by time");
    let read = state.run(&child).await.unwrap().unwrap();
    assert_eq!(read.parent.as_ref(), Some(&run));
    assert_eq!(read.kind, RunKind::Train);
    assert_eq!(read.status, RunStatus::Running);
    assert_eq!(read.end_time_ms, None);

    state
        .finish_run(&child, RunStatus::Failed, Some("no rows"))
        .await
        .unwrap();
    let read = state.run(&child).await.unwrap().unwrap();
    assert_eq!(read.status, RunStatus::Failed);
    assert_eq!(read.error.as_deref(), Some("no rows"));
    assert!(read.end_time_ms >= Some(read.start_time_ms));

    let latest = state.latest_runs(PROJECT, 10).await.unwrap();
    assert_eq!(latest.len(), 1, "children are not listed");
    assert_eq!(latest[0].run_id, run);
}

#[tokio::test]
async fn what_belongs_to_no_run_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let ghost = RunId::from("ghost");
    let errors = [
        state
            .start_run(new_run(RunKind::Trial, Some(&ghost)))
            .await
            .err(),
        state
            .finish_run(&ghost, RunStatus::Finished, None)
            .await
            .err(),
        state.set_tag(&ghost, "a", "b").await.err(),
        state
            .log_metrics(&ghost, &[metric("auc", 0, 0.5)])
            .await
            .err(),
        state
            .log_params(&ghost, &[("a".into(), "b".into())])
            .await
            .err(),
    ];
    for error in errors {
        match error {
            Some(StateError::UnknownRun { run, .. }) => assert_eq!(run, ghost),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn params_are_logged_once_and_tags_again_and_again() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    state
        .log_params(&run, &[pair("depth", "6"), pair("eta", "0.1")])
        .await
        .unwrap();
    state.log_params(&run, &[pair("depth", "6")]).await.unwrap();
    let error = state
        .log_params(&run, &[pair("new", "1"), pair("depth", "7")])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StateError::ParamChanged { key, old, new, .. }
            if key == "depth" && old == "6" && new == "7"),
        "{error}"
    );
    state.set_tag(&run, "decision", "first").await.unwrap();
    state.set_tag(&run, "decision", "second").await.unwrap();
    // Nothing of the refused call is there.
    state.log_params(&run, &[pair("new", "2")]).await.unwrap();
}

#[tokio::test]
async fn a_metric_that_is_not_a_number_stays_one() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let logged = [
        metric("auc", 0, f64::NAN),
        metric("auc", 1, f64::INFINITY),
        metric("auc", 2, f64::NEG_INFINITY),
        metric("auc", 3, -0.0),
        metric("auc", 4, f64::MIN_POSITIVE),
    ];
    state.log_metrics(&run, &logged).await.unwrap();
    state
        .log_metrics(&run, &[metric("auc", 4, 0.5)])
        .await
        .unwrap();
    let read = state.metrics(&run).await.unwrap();
    let values: Vec<f64> = read.iter().map(|metric| metric.value).collect();
    assert_eq!(read.len(), 5);
    assert!(values[0].is_nan());
    assert_eq!(values[1..], [f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.5]);
}

#[tokio::test]
async fn the_trials_of_a_search_are_recorded_fast() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state
        .start_run(new_run(RunKind::Sweep, None))
        .await
        .unwrap();
    let trials: Vec<FinishedRun> = (0..96)
        .map(|trial| FinishedRun {
            run_id: RunId::generate(),
            run: new_run(RunKind::Trial, Some(&run)),
            status: RunStatus::Finished,
            error: None,
            start_time_ms: 1,
            end_time_ms: 2,
            params: vec![("trial".to_owned(), trial.to_string())],
            metrics: (0..1000)
                .map(|step| metric("validation.auc", step, f64::from(trial)))
                .collect(),
            tags: Vec::new(),
        })
        .collect();
    let started = Instant::now();
    for round in trials.chunks(4) {
        state.record_runs(round).await.unwrap();
    }
    let took = started.elapsed();
    let last = state.metrics(&trials[95].run_id).await.unwrap();
    assert_eq!(last.len(), 1000);
    assert_eq!(last[999], metric("validation.auc", 999, 95.0));
    // Measured: about two seconds unoptimised on two busy cores.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test]
async fn one_bad_trial_leaves_the_round_unrecorded() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let trial = |parent: &RunId| FinishedRun {
        run_id: RunId::generate(),
        run: new_run(RunKind::Trial, Some(parent)),
        status: RunStatus::Finished,
        error: None,
        start_time_ms: 1,
        end_time_ms: 2,
        params: Vec::new(),
        metrics: Vec::new(),
        tags: Vec::new(),
    };
    let run = state
        .start_run(new_run(RunKind::Sweep, None))
        .await
        .unwrap();
    let good = trial(&run);
    let bad = trial(&RunId::from("ghost"));
    state.record_runs(&[good.clone(), bad]).await.unwrap_err();
    assert_eq!(state.run(&good.run_id).await.unwrap(), None);
}

#[tokio::test]
async fn stages_start_end_and_are_skipped() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let stage = |asset: &str| NewStage {
        asset: asset.to_owned(),
        kind: "sql".to_owned(),
        key: Some("k1".to_owned()),
        made_from: None,
    };
    state
        .start_stage(&run, &stage("silver.wine"))
        .await
        .unwrap();
    let end = StageEnd {
        rows: Some(1599),
        version: Some(0),
        reason: Some("new".to_owned()),
        ..StageEnd::new(StageStatus::Success)
    };
    state.finish_stage(&run, "silver.wine", &end).await.unwrap();
    let skipped = StageEnd {
        reason: Some("unchanged".to_owned()),
        ..StageEnd::new(StageStatus::Skipped)
    };
    state
        .record_stages(&run, &[(stage("gold.wine"), skipped)])
        .await
        .unwrap();
    let mut stages = state.stages(&run).await.unwrap();
    assert_eq!(stages.len(), 2);
    stages.sort_by_key(|stage| stage.status != StageStatus::Success);
    assert_eq!(stages[0].asset, "silver.wine");
    assert_eq!(stages[0].status, StageStatus::Success);
    assert_eq!(stages[0].rows, Some(1599));
    assert_eq!(stages[0].key.as_deref(), Some("k1"), "the key stays");
    assert_eq!(stages[1].status, StageStatus::Skipped);
    assert_eq!(stages[1].reason.as_deref(), Some("unchanged"));

    let error = state
        .finish_stage(&run, "silver.beer", &end)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("silver.beer"), "{error}");
}

#[tokio::test]
async fn runs_of_a_dead_process_are_killed_and_only_those_of_the_project() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let trial = state
        .start_run(new_run(RunKind::Trial, Some(&run)))
        .await
        .unwrap();
    let done = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    state
        .finish_run(&done, RunStatus::Finished, None)
        .await
        .unwrap();
    let other = NewRun {
        project: "another".to_owned(),
        ..new_run(RunKind::Run, None)
    };
    let other = state.start_run(other).await.unwrap();
    let stage = NewStage {
        asset: "gold.wine".to_owned(),
        kind: "sql".to_owned(),
        key: None,
        made_from: None,
    };
    state.start_stage(&run, &stage).await.unwrap();

    let killed = state.recover_runs(PROJECT).await.unwrap();
    assert_eq!(killed, [run.clone(), trial]);
    assert_eq!(state.recover_runs(PROJECT).await.unwrap(), []);
    let read = state.run(&run).await.unwrap().unwrap();
    assert_eq!(read.status, RunStatus::Killed);
    assert!(read.error.unwrap().contains("process ended"));
    assert_eq!(
        state.stages(&run).await.unwrap()[0].status,
        StageStatus::Cancelled
    );
    assert_eq!(
        state.run(&done).await.unwrap().unwrap().status,
        RunStatus::Finished
    );
    assert_eq!(
        state.run(&other).await.unwrap().unwrap().status,
        RunStatus::Running
    );
}

#[tokio::test]
async fn transaction_numbers_only_grow() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = RunId::generate();
    let record = record(&run, "k", &[]);
    assert_eq!(state.next_txn(&record, None).await.unwrap(), 1);
    assert_eq!(state.next_txn(&record, None).await.unwrap(), 2);
    // The table knows more than a restored store: go above it.
    assert_eq!(state.next_txn(&record, Some(9)).await.unwrap(), 10);
    // The store knows more than a restored table: go above that, too.
    assert_eq!(state.next_txn(&record, Some(3)).await.unwrap(), 11);
    state.abandon_txn(&record.app_id(), 11).await.unwrap();
    assert_eq!(state.next_txn(&record, None).await.unwrap(), 12);
    state
        .confirm_txn(&record.app_id(), 12, 4, None)
        .await
        .unwrap();
    assert_eq!(state.next_txn(&record, None).await.unwrap(), 13);
    let error = state
        .confirm_txn(&record.app_id(), 99, 0, None)
        .await
        .unwrap_err();
    assert!(matches!(error, StateError::UnknownTxn { version: 99, .. }));
}

#[tokio::test]
async fn a_confirmed_transaction_brings_ledger_and_key() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = RunId::generate();
    let first = record(&run, "k1", &[("red.csv", "h1"), ("white.csv", "h2")]);
    let txn = state.next_txn(&first, None).await.unwrap();
    assert_eq!(state.ledger(PROJECT, "bronze.wine").await.unwrap(), []);
    assert_eq!(state.asset_key(PROJECT, "bronze.wine").await.unwrap(), None);
    state
        .confirm_txn(&first.app_id(), txn, 0, Some(6497))
        .await
        .unwrap();
    let key = state
        .asset_key(PROJECT, "bronze.wine")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(key.key, "k1");
    assert_eq!(key.run_id, run);
    assert_eq!(key.outcome, json!({"rows": 6497, "version": 0}));

    let second = record(&run, "k2", &[("red.csv", "h3")]);
    let txn = state.next_txn(&second, Some(txn)).await.unwrap();
    state
        .confirm_txn(&second.app_id(), txn, 1, None)
        .await
        .unwrap();
    state
        .count_rows(PROJECT, "bronze.wine", &[("red.csv".to_owned(), 1599)])
        .await
        .unwrap();
    let ledger = state.ledger(PROJECT, "bronze.wine").await.unwrap();
    let seen: Vec<_> = ledger
        .iter()
        .map(|file| {
            (
                file.path.as_str(),
                file.content_hash.as_str(),
                file.version,
                file.rows,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("red.csv", "h3", 1, Some(1599)),
            ("white.csv", "h2", 0, None)
        ]
    );

    let mut third = record(&run, "k3", &[("new.csv", "h4")]);
    third.overwrite = true;
    let txn = state.next_txn(&third, Some(txn)).await.unwrap();
    state
        .confirm_txn(&third.app_id(), txn, 2, None)
        .await
        .unwrap();
    let ledger = state.ledger(PROJECT, "bronze.wine").await.unwrap();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].path, "new.csv");
    state
        .forget_asset_key(PROJECT, "bronze.wine")
        .await
        .unwrap();
    assert_eq!(state.asset_key(PROJECT, "bronze.wine").await.unwrap(), None);
}

#[tokio::test]
async fn a_record_reads_back_from_the_metadata_it_became() {
    let run = RunId::generate();
    let mut record = record(&run, "k", &[("ä b.csv", "h")]);
    record.outcome.insert("rows".to_owned(), 3.into());
    let mut metadata = record.to_metadata();
    assert_eq!(CommitRecord::from_metadata(&metadata), Some(record));
    metadata.remove("key");
    assert_eq!(CommitRecord::from_metadata(&metadata), None);
    assert_eq!(CommitRecord::from_metadata(&Map::new()), None);
}

#[tokio::test]
async fn datasets_artifacts_and_expectations_may_be_recorded_again() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let dataset = DatasetUse {
        name: "gold.wine".to_owned(),
        version: 3,
        context: "training".to_owned(),
        digest: Some("0f".to_owned()),
    };
    let artifact = Artifact {
        path: "leaderboard.csv".to_owned(),
        hash: "ab".to_owned(),
        bytes: 10,
    };
    let expectation = ExpectationResult {
        asset: "silver.wine".to_owned(),
        name: "in_range".to_owned(),
        kind: "row".to_owned(),
        rule: "quality BETWEEN 0 AND 10".to_owned(),
        otherwise: "fail".to_owned(),
        rows: 1599,
        failed: 0,
        found: None,
        on_top: false,
    };
    for _ in 0..2 {
        state
            .log_datasets(&run, std::slice::from_ref(&dataset))
            .await
            .unwrap();
        state
            .log_artifacts(&run, std::slice::from_ref(&artifact))
            .await
            .unwrap();
        state
            .record_expectations(&run, std::slice::from_ref(&expectation))
            .await
            .unwrap();
    }
    let error = state
        .record_expectations(&RunId::from("ghost"), &[expectation])
        .await
        .unwrap_err();
    assert!(matches!(error, StateError::UnknownRun { .. }));
}

#[tokio::test]
async fn the_trials_of_a_search_are_read_again_to_the_bit() {
    let folder = TempDir::new().unwrap();
    let state = open(&folder).await;
    let sweep = state
        .start_run(new_run(RunKind::Sweep, None))
        .await
        .unwrap();
    state.set_tag(&sweep, "sweep.key", "k1").await.unwrap();
    let values = [0.1 + 0.2, 1.0 / 3.0, f64::INFINITY, f64::MIN_POSITIVE];
    let trials: Vec<FinishedRun> = values
        .iter()
        .enumerate()
        .map(|(number, value)| FinishedRun {
            run_id: RunId::generate(),
            run: new_run(RunKind::Trial, Some(&sweep)),
            status: RunStatus::Finished,
            error: None,
            start_time_ms: 1,
            end_time_ms: 2,
            params: vec![("rate".to_owned(), value.to_string())],
            metrics: vec![
                metric("rounds.auc", 0, *value),
                metric("rounds.auc", 1, f64::NAN),
                metric("validation.auc", 0, -value),
            ],
            tags: vec![("trial.number".to_owned(), number.to_string())],
        })
        .collect();
    state.record_runs(&trials).await.unwrap();

    let read = state.logged_children(&sweep).await.unwrap();
    assert_eq!(read.len(), trials.len());
    for (number, (trial, value)) in read.iter().zip(values).enumerate() {
        assert_eq!(trial.run.status, RunStatus::Finished);
        assert_eq!(trial.params["rate"].parse::<f64>().unwrap(), value);
        assert_eq!(trial.tags["trial.number"], number.to_string());
        let [first, second, last] = &trial.metrics[..] else {
            panic!("{:?}", trial.metrics);
        };
        assert_eq!(first.value.to_bits(), value.to_bits());
        assert!(second.value.is_nan() && second.step == 1);
        assert_eq!(last.value.to_bits(), (-value).to_bits());
    }

    let project = state.run(&sweep).await.unwrap().unwrap().project;
    let found = async |project: &str, kind, value| -> Vec<RunId> {
        let runs = state.tagged_runs(project, kind, "sweep.key", value).await;
        runs.unwrap().into_iter().map(|run| run.run_id).collect()
    };
    let tagged = found(&project, RunKind::Sweep, "k1").await;
    assert_eq!(tagged, std::slice::from_ref(&sweep));
    let name = state.run(&sweep).await.unwrap().unwrap().name;
    let named = state.named_runs(&project, RunKind::Sweep, &name).await;
    assert_eq!(named.unwrap()[0].run_id, sweep);
    let named = state.named_runs(&project, RunKind::Sweep, "another").await;
    assert!(named.unwrap().is_empty());
    assert_eq!(state.tags(&sweep).await.unwrap()["sweep.key"], "k1");
    assert!(found(&project, RunKind::Sweep, "k2").await.is_empty());
    assert!(found(&project, RunKind::Train, "k1").await.is_empty());
    assert!(found("another", RunKind::Sweep, "k1").await.is_empty());
}
