//! The tables that the tests learn from.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Map, Value};
use sluice_learn::metric::Metric;
use sluice_learn::{DatasetBuilder, DatasetSpec, EstimatorSpec, FitOptions, Fitted, Splits};

/// The smallest quality of a good wine.
const GOOD_FROM: f64 = 7.0;

/// A table of numbers with a boolean label `good` and `_split`.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) names: Vec<String>,
    /// `[rows][features]`; NaN is NULL.
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) good: Vec<bool>,
    pub(crate) split: Vec<&'static str>,
}

impl Table {
    pub(crate) fn schema(&self) -> Schema {
        let mut fields: Vec<Field> = self
            .names
            .iter()
            .map(|name| Field::new(name, DataType::Float64, true))
            .collect();
        fields.push(Field::new("good", DataType::Boolean, true));
        fields.push(Field::new("_split", DataType::Utf8, true));
        Schema::new(fields)
    }

    /// The rows with these numbers, in this order.
    pub(crate) fn batch(&self, rows: &[usize]) -> RecordBatch {
        let mut columns: Vec<ArrayRef> = (0..self.names.len())
            .map(|column| {
                let values = rows.iter().map(|&row| self.rows[row][column]);
                let values = values.map(|value| (!value.is_nan()).then_some(value));
                Arc::new(Float64Array::from_iter(values)) as ArrayRef
            })
            .collect();
        let good: Vec<bool> = rows.iter().map(|&row| self.good[row]).collect();
        let split: Vec<&str> = rows.iter().map(|&row| self.split[row]).collect();
        columns.push(Arc::new(BooleanArray::from(good)));
        columns.push(Arc::new(StringArray::from(split)));
        RecordBatch::try_new(Arc::new(self.schema()), columns).unwrap()
    }

    /// The splits of all rows in the order of `order`, handed over in batches of `size`.
    pub(crate) fn splits_of(&self, order: &[usize], size: usize) -> Splits {
        let spec = DatasetSpec {
            label: "good".to_owned(),
            ..DatasetSpec::default()
        };
        let mut builder = DatasetBuilder::new(&self.schema(), &spec).unwrap();
        for rows in order.chunks(size) {
            builder.push(&self.batch(rows)).unwrap();
        }
        builder.build(1).unwrap()
    }

    pub(crate) fn splits(&self) -> Splits {
        let order: Vec<usize> = (0..self.rows.len()).collect();
        self.splits_of(&order, 500)
    }
}

/// The red wines, with the split of the fixtures.
pub(crate) fn red_wine() -> Table {
    let red = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/wine/winequality-red.csv");
    wine_table(&[(red, None)])
}

/// The red and white wines with `is_red`, or `None` (said aloud) where the shared data
/// are not there.
pub(crate) fn red_and_white_wine() -> Option<Table> {
    let shared = std::env::var_os("SLUICE_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = |name: &str| shared.join("wine-quality").join(name);
    let (red, white) = (file("winequality-red.csv"), file("winequality-white.csv"));
    if !red.exists() || !white.exists() {
        say_skipped(&format!(
            "red and white wines are not at {} (set SLUICE_SHARED_DATA)",
            shared.display()
        ));
        return None;
    }
    Some(wine_table(&[(red, Some(1.0)), (white, Some(0.0))]))
}

/// Says that the test of this thread is skipped: aloud, and in the file that
/// `SLUICE_SKIPPED_TESTS` names, for CI to list.
pub(crate) fn say_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {why}");
    println!("{line}");
    if let Some(path) = std::env::var_os("SLUICE_SKIPPED_TESTS") {
        let mut list = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(list, "{line}").unwrap();
    }
}

fn wine_table(files: &[(PathBuf, Option<f64>)]) -> Table {
    let mut table = Table {
        names: Vec::new(),
        rows: Vec::new(),
        good: Vec::new(),
        split: Vec::new(),
    };
    for (file, is_red) in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap().split(';');
        table.names = header
            .map(|name| name.trim_matches('"').replace(' ', "_"))
            .collect();
        for line in lines {
            let mut row: Vec<f64> = line.split(';').map(|v| v.parse().unwrap()).collect();
            table.split.push(wine_split(&table.names, &row));
            table.good.push(row.pop().unwrap() >= GOOD_FROM);
            row.extend(is_red);
            table.rows.push(row);
        }
        table.names.pop();
        if is_red.is_some() {
            table.names.push("is_red".to_owned());
        }
    }
    table
}

/// The rule of `benches/fixtures/wine.py` (`SPLIT_SQL`).
fn wine_split(names: &[String], row: &[f64]) -> &'static str {
    let scaled = |name: &str, scale: f64| {
        let column = names.iter().position(|column| column == name).unwrap();
        (row[column] * scale).round() as i64
    };
    let bucket = (scaled("density", 100_000.0) * 7_919
        + scaled("residual_sugar", 100.0) * 104_729
        + scaled("total_sulfur_dioxide", 10.0) * 1_299_709
        + scaled("volatile_acidity", 1000.0) * 15_485_863
        + scaled("alcohol", 1000.0) * 32_452_843)
        % 1_000_003
        % 100;
    match bucket {
        ..60 => "train",
        60..80 => "validation",
        _ => "test",
    }
}

/// A small table of three noisy features, with ties, missing values and equal rows.
pub(crate) fn noisy_table(rows: usize, seed: u64) -> Table {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut table = Table {
        names: ["a", "b", "c"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
        good: Vec::new(),
        split: Vec::new(),
    };
    for row in 0..rows {
        let a = (uniform() * 20.0).floor();
        let b = uniform() - 0.5;
        let c = if uniform() < 0.1 { f64::NAN } else { uniform() };
        let chance = if a > 10.0 { 0.85 } else { 0.15 } + 0.2 * b;
        table.good.push(uniform() < chance);
        table.rows.push(vec![a, b, c]);
        table
            .split
            .push(["train", "train", "train", "validation", "test"][row % 5]);
    }
    table
}

pub(crate) fn params(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not a map: {other}"),
    }
}

pub(crate) fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Fits on `count` threads, watching the task's usual metric.
pub(crate) fn fit(estimator: &str, given: Value, splits: &Splits, count: usize) -> Fitted {
    let spec = EstimatorSpec::parse(estimator, &params(given)).unwrap();
    let cancel = AtomicBool::new(false);
    let options = FitOptions {
        threads: threads(count),
        cancel: &cancel,
        metric: Metric::find(splits.train.task().default_metric()).unwrap(),
        on_round: None,
    };
    spec.fit(&splits.train, Some(&splits.validation), &options)
        .unwrap()
}

pub(crate) fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
