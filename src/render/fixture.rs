//! Fixed events for the snapshots: runs as the runner would tell them.

use std::collections::BTreeMap;

use serde_json::json;
use sluice_lake::state::Fault;
use sluice_pipelines::events::{Event, EventKind, LeaderboardRow, RunStatus};
use sluice_pipelines::plan::fingerprint::NEVER_MADE;

const RUN: &str = "0193a0c41f6a7cc0b8f3a1d5e2f40001";

fn stamped(kinds: Vec<EventKind>) -> Vec<Event> {
    (1_763_715_600_000..)
        .zip(kinds)
        .zip(1..)
        .map(|((time_ms, kind), seq)| Event {
            run: RUN.to_owned(),
            seq,
            ..Event::new(time_ms, kind)
        })
        .collect()
}

fn started() -> EventKind {
    EventKind::RunStarted {
        run_id: RUN.into(),
        pipeline: "wine".into(),
        lakehouse: "examples/wine/lakehouse".into(),
        assets: [
            "bronze.wine",
            "silver.wine",
            "gold.wine",
            "wine_baseline",
            "wine_search",
            "gold.wine_scored",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

fn finished(status: RunStatus, [made, skipped, failed]: [u64; 3], seconds: f64) -> EventKind {
    EventKind::RunFinished {
        run_id: RUN.into(),
        status,
        made,
        skipped,
        failed,
        seconds,
    }
}

fn begin(asset: &str, kind: &'static str) -> EventKind {
    EventKind::StageStarted {
        asset: asset.into(),
        kind,
        reason: Some(match asset {
            "gold.wine_scored" => "its definition changed: `predict.as` is p_good (was p)".into(),
            _ => NEVER_MADE.into(),
        }),
    }
}

fn end(
    asset: &str,
    kind: &'static str,
    rows: Option<u64>,
    version: i64,
    seconds: f64,
) -> EventKind {
    EventKind::StageFinished {
        asset: asset.into(),
        kind,
        rows,
        version: Some(version),
        seconds,
        metrics: BTreeMap::new(),
    }
}

fn rule(name: &str, otherwise: &'static str, failed: u64) -> EventKind {
    EventKind::Expectation {
        asset: "silver.wine".into(),
        name: name.into(),
        kind: "row".into(),
        otherwise: otherwise.into(),
        rows: 1599,
        failed,
        found: None,
    }
}

fn skip(asset: &str, reason: &str) -> EventKind {
    EventKind::StageSkipped {
        asset: asset.into(),
        reason: reason.into(),
    }
}

fn params(trial: u64) -> BTreeMap<String, serde_json::Value> {
    #[expect(clippy::cast_precision_loss, reason = "a trial's number is small")]
    let step = trial as f64 / 100.0;
    BTreeMap::from([
        ("learning_rate".to_owned(), json!(0.05 + step)),
        ("max_depth".to_owned(), json!(4 + trial)),
        ("reg_alpha".to_owned(), json!(0.000_012_345 * step)),
    ])
}

fn model_end(asset: &str, kind: &'static str, version: i64, seconds: f64, auc: f64) -> EventKind {
    EventKind::StageFinished {
        asset: asset.into(),
        kind,
        rows: None,
        version: Some(version),
        seconds,
        metrics: BTreeMap::from([
            ("test.accuracy".to_owned(), 0.88),
            ("test.auc".to_owned(), auc),
            ("train.auc".to_owned(), 0.99),
            ("validation.auc".to_owned(), auc + 0.01),
        ]),
    }
}

fn sweep() -> Vec<EventKind> {
    let total = 12;
    let mut kinds = vec![begin("wine_search", "sweep")];
    kinds.push(EventKind::SweepResumed {
        asset: "wine_search".into(),
        done: 2,
        total,
    });
    let mut best: Option<f64> = None;
    let values = [
        0.81, 0.79, 0.8432, 0.7, 0.84, 0.85, 0.8499, 0.6, 0.86, 0.83, 0.8601, 0.5,
    ];
    for (number, &value) in (1..).zip(&values) {
        best = Some(best.map_or(value, |best| best.max(value)));
        if number <= 2 {
            continue;
        }
        kinds.push(EventKind::Trial {
            asset: "wine_search".into(),
            number,
            total,
            run_id: format!("trial{number}"),
            params: params(number),
            value: (number != 4).then_some(value),
            pruned: number == 8,
            best,
        });
        kinds.push(EventKind::StageProgress {
            asset: "wine_search".into(),
            done: number,
            total: Some(total),
            unit: "trials",
        });
    }
    kinds.push(EventKind::Leaderboard {
        asset: "wine_search".into(),
        metric: "validation.auc".into(),
        maximize: true,
        trials: total,
        pruned: 1,
        rows: [(11, 0.8601), (9, 0.86), (6, 0.85)]
            .map(|(number, value)| LeaderboardRow {
                number,
                run_id: format!("trial{number}"),
                value,
                params: params(number),
            })
            .to_vec(),
        importance: vec![("max_depth".into(), 0.52), ("learning_rate".into(), 0.31)],
    });
    kinds
}

fn registered(asset: &str, version: i64, moved: bool, reason: &str) -> EventKind {
    EventKind::Registered {
        asset: asset.into(),
        model: "wine_quality".into(),
        version,
        alias: Some("production".into()),
        moved,
        reason: reason.into(),
    }
}

fn report(asset: &str, run: &str) -> EventKind {
    EventKind::Report {
        asset: asset.into(),
        path: format!("examples/wine/lakehouse/_artifacts/{run}/report.html"),
    }
}

/// Everything is made, a rule is broken, a warning is given.
pub(crate) fn wine() -> Vec<Event> {
    let mut kinds = vec![
        started(),
        begin("bronze.wine", "ingest"),
        EventKind::StageProgress {
            asset: "bronze.wine".into(),
            done: 1599,
            total: None,
            unit: "rows",
        },
        end("bronze.wine", "ingest", Some(1599), 0, 0.31),
        begin("silver.wine", "sql"),
        rule("quality_in_range", "fail", 0),
        rule("has_alcohol", "drop", 3),
        end("silver.wine", "sql", Some(1596), 0, 0.2),
        begin("gold.wine", "sql"),
        EventKind::Warning {
            asset: "gold.wine".into(),
            message: "240 rows repeat another".into(),
        },
        end("gold.wine", "sql", Some(1596), 0, 0.25),
        begin("wine_baseline", "train"),
        registered("wine_baseline", 1, true, "first version"),
        report("wine_baseline", "0193a0c4b1"),
        model_end("wine_baseline", "train", 1, 0.12, 0.8123),
    ];
    kinds.extend(sweep());
    kinds.extend([
        registered(
            "wine_search",
            2,
            true,
            "test.auc 0.8456 > champion.test.auc 0.8123",
        ),
        report("wine_search", "0193a0c4b2"),
        model_end("wine_search", "sweep", 2, 11.5, 0.8456),
        begin("gold.wine_scored", "sql"),
        end("gold.wine_scored", "sql", Some(1596), 0, 0.2),
        finished(RunStatus::Finished, [6, 0, 0], 12.61),
    ]);
    stamped(kinds)
}

/// Nothing has changed since the last run.
pub(crate) fn unchanged() -> Vec<Event> {
    let mut kinds = vec![started()];
    kinds.extend(
        [
            "bronze.wine",
            "silver.wine",
            "gold.wine",
            "wine_baseline",
            "wine_search",
            "gold.wine_scored",
        ]
        .map(|asset| skip(asset, "unchanged: same definition, same inputs")),
    );
    kinds.push(finished(RunStatus::Finished, [0, 6, 0], 0.08));
    stamped(kinds)
}

/// A disk that hangs, twice.
pub(crate) fn retried() -> Vec<Event> {
    let slow = |attempt, wait_seconds| EventKind::StageRetried {
        asset: "silver.wine".into(),
        attempt,
        error: "cannot write to the lakehouse folder wine: timed out".into(),
        fault: Fault::System,
        wait_seconds,
    };
    stamped(vec![
        started(),
        begin("silver.wine", "sql"),
        slow(1, 0.3),
        begin("silver.wine", "sql"),
        EventKind::StageFailed {
            asset: "silver.wine".into(),
            kind: "sql",
            fault: Fault::System,
            transient: true,
            attempts: 2,
            error: "cannot write to the lakehouse folder wine: timed out".into(),
            seconds: 0.62,
        },
        finished(RunStatus::Failed, [0, 0, 1], 0.7),
    ])
}

/// A rule that must hold does not.
pub(crate) fn failing() -> Vec<Event> {
    let blocked = |asset: &str, by: &str| EventKind::StageBlocked {
        asset: asset.into(),
        by: by.into(),
    };
    stamped(vec![
        started(),
        skip("bronze.wine", "unchanged: same definition, same inputs"),
        begin("silver.wine", "sql"),
        rule("quality_in_range", "fail", 1),
        EventKind::StageFailed {
            asset: "silver.wine".into(),
            kind: "sql",
            fault: Fault::Data,
            transient: false,
            attempts: 1,
            error: "1 of 1,599 rows breaks the rule quality_in_range\n\
                    rule: quality BETWEEN 0 AND 10\n\
                    help: correct the data, or say `otherwise: drop`"
                .into(),
            seconds: 0.12,
        },
        blocked("gold.wine", "silver.wine"),
        blocked("wine_baseline", "gold.wine"),
        blocked("wine_search", "gold.wine"),
        blocked("gold.wine_scored", "gold.wine"),
        finished(RunStatus::Failed, [0, 1, 5], 0.2),
    ])
}

/// Ctrl-C during the sweep.
pub(crate) fn cancelled() -> Vec<Event> {
    let mut kinds = vec![started()];
    kinds.extend(
        ["bronze.wine", "silver.wine", "gold.wine", "wine_baseline"]
            .map(|asset| skip(asset, "unchanged: same definition, same inputs")),
    );
    kinds.extend(sweep().into_iter().take(5));
    kinds.push(finished(RunStatus::Cancelled, [0, 4, 0], 3.2));
    stamped(kinds)
}
