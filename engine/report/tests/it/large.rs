//! A table that is larger than what is kept of it: figures are near the truth, and say that
//! they are no more than that.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use sluice_report::profile::{Profile, ProfileSpec};

use crate::tables;

const ROWS: u64 = 150_000;
const BATCH: u64 = 10_000;

/// Mixes bits, to make up values.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (value ^ (value >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) ^ value >> 33
}

/// An id, a number between 0 and 1 with a share of zeros, a text of which two values are
/// frequent, and a number that follows the first.
fn batch(start: u64) -> RecordBatch {
    let rows = start..start + BATCH;
    let unit = |row: u64| (mixed(row) >> 11) as f64 / (1_u64 << 53) as f64;
    let value = |row: u64| {
        if row.is_multiple_of(5) {
            0.0
        } else {
            unit(row)
        }
    };
    let text = |row: u64| match row % 10 {
        0..4 => "red".to_owned(),
        4..6 => "white".to_owned(),
        _ => format!("lot {}", mixed(row) % 90_000),
    };
    let column = |make: &dyn Fn(u64) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.clone().map(make)))
    };
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(
        rows.clone().map(|row| row as i64),
    ));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(rows.clone().map(text)));
    RecordBatch::try_from_iter([
        ("id", id),
        ("value", column(&value)),
        ("text", text),
        (
            "twice",
            column(&|row| 2.0 * value(row) + 0.2 * unit(mixed(row))),
        ),
    ])
    .unwrap()
}

fn profile() -> Profile {
    let batches: Vec<RecordBatch> = (0..ROWS / BATCH).map(|at| batch(at * BATCH)).collect();
    let spec = ProfileSpec {
        sample_rows: 5_000,
        exact_values: 2_000,
        ..ProfileSpec::default()
    };
    tables::profile(&batches, spec)
}

#[test]
fn estimates_are_near_and_say_so() {
    let profile = profile();
    assert_eq!(profile.rows, ROWS);
    assert_eq!((profile.sample.rows, profile.sample.exact), (5_000, false));
    let column = |name: &str| profile.columns.iter().find(|c| c.name == name).unwrap();

    let id = column("id");
    assert!(!id.distinct.exact && !id.frequent.exact && id.frequent.values.is_empty());
    let error = (id.distinct.count as f64 / ROWS as f64 - 1.0).abs();
    assert!(error < 4.0 / 2_000_f64.sqrt(), "{error}");

    // What is counted over all rows stays exact.
    let value = column("value").numbers.as_ref().unwrap();
    assert_eq!(value.zeros, ROWS / 5);
    let id = id.numbers.as_ref().unwrap();
    assert_eq!(
        (id.min, id.max, id.mean),
        (0.0, (ROWS - 1) as f64, (ROWS - 1) as f64 / 2.0)
    );

    // Quantiles of a sample of 5,000: the error of a part is 0.7 % (two of these here).
    for (part, quantile) in &value.quantiles {
        let truth = ((part - 0.2) / 0.8).max(0.0);
        assert!(
            (quantile - truth).abs() < 0.02,
            "{part}: {quantile} is not {truth}"
        );
    }
    let r = profile.correlations.as_ref().unwrap().pearson[1][2].unwrap();
    assert!(r > 0.99, "{r}");

    let text = &column("text").frequent;
    let told: Vec<&str> = text
        .values
        .iter()
        .map(|value| value.value.as_str())
        .collect();
    assert_eq!(told, ["red", "white"]);
    for (value, part) in text.values.iter().zip([0.4, 0.2]) {
        let truth = (ROWS as f64 * part) as u64;
        assert!(
            (truth..truth + ROWS / 1_000).contains(&value.count),
            "{value:?}"
        );
    }

    let html = tables::html(&profile);
    assert!(html.contains("5,000 of them sampled"));
    assert!(html.contains("Figures with ≈ are estimates"));
    assert!(html.contains("<td class=\"num\">≈ "));
}
