//! The digest of what a learner sees.

use proptest::prelude::*;

use crate::tables::{Table, noisy_table};

const ROWS: usize = 60;

fn digest(table: &Table) -> String {
    let rows: Vec<usize> = (0..table.rows.len()).collect();
    table.splits_of(&rows, ROWS).digest()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Equal rows give an equal digest in whatever order they come, and one value more or less
    /// gives another.
    #[test]
    fn it_is_of_the_rows_and_not_of_their_order(
        order in Just((0..ROWS).collect::<Vec<usize>>()).prop_shuffle(),
        size in 1_usize..70,
        seed in 0_u64..4,
        changed in 0..ROWS,
    ) {
        let table = noisy_table(ROWS, seed);
        let expected = digest(&table);
        prop_assert_eq!(expected.len(), 32);
        prop_assert_eq!(&table.splits_of(&order, size).digest(), &expected);
        let mut other = table.clone();
        other.rows[changed][0] += 1.0;
        prop_assert_ne!(&digest(&other), &expected);
        let mut other = table.clone();
        other.good[changed] = !other.good[changed];
        prop_assert_ne!(&digest(&other), &expected);
        let mut other = table.clone();
        other.split[changed] = if other.split[changed] == "train" { "test" } else { "train" };
        prop_assert_ne!(&digest(&other), &expected);
        let mut other = table;
        other.names[0] = "another".to_owned();
        prop_assert_ne!(&digest(&other), &expected);
    }
}
