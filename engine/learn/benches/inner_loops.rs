//! The loops that run a million times: a fit as a sweep makes it, predictions as a query asks
//! for them, and the metric that ranks rows.
//!
//!     cargo bench -p sluice-learn --bench inner_loops
//!     cargo bench -p sluice-learn --bench inner_loops predict     # some of them
//!
//! Printed: the median of the times of one run. Under `cargo test` each runs once.
#![expect(
    clippy::unwrap_used,
    reason = "what a benchmark sets up may panic as the benchmark itself may"
)]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use sluice_learn::estimator::TrainingSet;
use sluice_learn::metric::Metric;
use sluice_learn::{DatasetBuilder, DatasetSpec, EstimatorSpec, FitOptions, Fitted, Splits, Task};

const FEATURES: usize = 11;
/// The rows of a batch of a query.
const BATCH: usize = 8192;

/// Numbers in `[0, 1)`, from a seed.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// Columns as a query has them.
fn columns(rows: usize) -> Vec<ArrayRef> {
    let column = |seed: usize| {
        let mut number = numbers(seed as u64);
        // As measured: hundredths, so that values recur.
        let values = (0..rows).map(|_| (number() * 200.0).floor() / 100.0);
        Arc::new(Float64Array::from_iter_values(values)) as ArrayRef
    };
    (1..=FEATURES).map(column).collect()
}

/// As many rows as the wines have, with a noisy label.
fn splits() -> Splits {
    let rows = 6500;
    let columns = columns(rows);
    let value = |column: usize, row: usize| {
        let column = columns[column].as_any().downcast_ref::<Float64Array>();
        column.unwrap().value(row)
    };
    let mut noise = numbers(99);
    let good = (0..rows).map(|row| value(0, row) * value(1, row) + value(2, row) + noise() > 2.8);
    let good: Vec<bool> = good.collect();
    let parts = ["train", "train", "train", "validation", "test"];
    let part = (0..rows).map(|row| parts[row % 5]);
    let named = columns.iter().enumerate();
    let mut all: Vec<(String, ArrayRef)> = named
        .map(|(at, column)| (format!("c{at}"), Arc::clone(column)))
        .collect();
    all.push(("good".to_owned(), Arc::new(BooleanArray::from(good))));
    let part = StringArray::from_iter_values(part);
    all.push(("_split".to_owned(), Arc::new(part)));
    let batch = RecordBatch::try_from_iter(all).unwrap();
    let spec = DatasetSpec {
        label: "good".to_owned(),
        ..DatasetSpec::default()
    };
    let mut builder = DatasetBuilder::new(&batch.schema(), &spec).unwrap();
    builder.push(&batch).unwrap();
    builder.build(1).unwrap()
}

fn fit(given: Value, data: &TrainingSet) -> Fitted {
    let Value::Object(given) = given else {
        panic!("parameters are a map");
    };
    let spec = EstimatorSpec::parse("gradient_boosting", &given).unwrap();
    let options = FitOptions {
        threads: NonZeroUsize::MIN,
        cancel: &AtomicBool::new(false),
        metric: Metric::find("auc").unwrap(),
        on_round: None,
    };
    spec.fit_shared(data, &options).unwrap()
}

/// Runs what is asked for by name.
struct Bench {
    /// What names must contain.
    wanted: Vec<String>,
    /// How long each is measured.
    time: Duration,
}

impl Bench {
    /// `cargo bench` says `--bench`; `cargo test` does not.
    fn new() -> Self {
        let mut wanted: Vec<String> = std::env::args().skip(1).collect();
        let measured = wanted.iter().any(|argument| argument == "--bench");
        wanted.retain(|argument| !argument.starts_with("--"));
        Self {
            wanted,
            time: Duration::from_secs(if measured { 5 } else { 0 }),
        }
    }

    fn run<T>(&self, name: &str, mut work: impl FnMut() -> T) {
        let wanted = &self.wanted;
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        let begun = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || begun.elapsed() < self.time {
            let begin = Instant::now();
            black_box(work());
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        let (median, runs) = (times[times.len() / 2], times.len());
        println!("{name:28} {median:>12.2?}, median of {runs}");
    }
}

fn main() {
    let bench = Bench::new();
    let splits = splits();
    let data = TrainingSet::new(&splits.train, Some(&splits.validation)).unwrap();

    let deep = json!({
        "rounds": 50, "max_depth": 30, "learning_rate": 0.2, "reg_alpha": 0.01,
        "min_child_weight": 1.0,
    });
    bench.run("fit", || fit(deep.clone(), &data));
    // Without a rate nothing is dropped, and dart is the learner's.
    let mut learners = deep.clone();
    learners["booster"] = json!("dart");
    bench.run("fit_by_the_learner", || fit(learners.clone(), &data));

    let columns = columns(BATCH);
    for depth in [6, 12] {
        let model = fit(json!({"rounds": 100, "max_depth": depth}), &data).model;
        bench.run(&format!("predict_{BATCH}_rows_depth_{depth}"), || {
            model.predict_columns(black_box(&columns)).unwrap()
        });
    }

    let labels = splits.validation.labels();
    let mut number = numbers(5);
    let scores: Vec<f64> = labels.iter().map(|_| number()).collect();
    let auc = Metric::find("auc").unwrap();
    bench.run("auc", || {
        auc.compute(Task::Binary, black_box(labels), black_box(&scores))
    });
}
