//! The same rows give the same page, to the byte: in any order, in batches of any size, and
//! whether the sample is the table or not.

use std::sync::LazyLock;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use proptest::prelude::*;
use sluice_report::profile::ProfileSpec;

use crate::tables;

/// The rows in an order of their own, in batches of `size`.
fn shuffled(rows: &RecordBatch, seed: u64, size: usize) -> Vec<RecordBatch> {
    let key = |row: &u32| {
        let mixed = (u64::from(*row) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    };
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(key);
    let rows = take_record_batch(rows, &UInt32Array::from(order)).unwrap();
    let starts = (0..rows.num_rows()).step_by(size);
    starts
        .map(|start| rows.slice(start, size.min(rows.num_rows() - start)))
        .collect()
}

fn spec(sample_rows: usize, exact_values: usize) -> ProfileSpec {
    ProfileSpec {
        sample_rows,
        exact_values,
        ..tables::by("quality", &[])
    }
}

fn told(batches: &[RecordBatch], spec: ProfileSpec) -> (String, String) {
    let profile = tables::profile(batches, spec);
    let json = serde_json::to_string(&profile).unwrap();
    (tables::html(&profile), json)
}

/// Limits of the profile: once the sample is the table, once neither is the sample nor are the
/// values.
const LIMITS: [(usize, usize); 2] = [(100_000, 20_000), (400, 60)];

/// What the wines give in their own order.
static IN_ORDER: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let wine = [tables::wine()];
    let told =
        LIMITS.map(|(sample_rows, exact_values)| told(&wine, spec(sample_rows, exact_values)));
    told.to_vec()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn nothing_depends_on_the_order_of_rows(seed: u64, size in 1..2_000_usize) {
        let batches = shuffled(&tables::wine(), seed, size);
        for ((sample_rows, exact_values), in_order) in LIMITS.into_iter().zip(IN_ORDER.iter()) {
            let (page, figures) = told(&batches, spec(sample_rows, exact_values));
            prop_assert_eq!(&figures, &in_order.1);
            prop_assert!(page == in_order.0);
        }
    }
}
