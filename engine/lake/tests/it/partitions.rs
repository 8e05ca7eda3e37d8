//! Tables that are partitioned by texts: whatever a text says, its rows are found again.

use std::{collections::BTreeSet, fs, num::NonZeroU64, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::DataType,
};
use datafusion::{
    datasource::MemTable,
    logical_expr::{col, lit},
    physical_plan::displayable,
    prelude::SessionContext,
};
use sluice_lake::delta::{
    KeyRows, OptimizeOptions, RowParts, Since, VacuumOptions, WriteMode, nothing_at_end,
};

use crate::fixture::{TestLake, commit, lines, name, rows_of, stream};

/// What a country, or what is taken for one, may be called.
const COUNTRIES: [Option<&str>; 18] = [
    None,
    Some("FI"),
    Some("fi"),
    Some("a/b"),
    Some("a%2Fb"),
    Some("x=y"),
    Some("two words"),
    Some(" "),
    Some("åäö"),
    Some("中国"),
    Some("🦀"),
    Some("."),
    Some("../.."),
    Some("100%"),
    Some("\"'\\`|^{}[]<>"),
    Some("#?&;:@!$()*+,~"),
    Some("line\nand\ttab"),
    Some("NULL"),
];

/// `Country` and `id`.
fn batch(rows: &[(Option<&str>, i64)]) -> RecordBatch {
    let countries: StringArray = rows.iter().map(|row| row.0).collect();
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
    let columns: [(&str, ArrayRef); 2] = [("Ländı", Arc::new(countries)), ("id", Arc::new(ids))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// A row of each country; ids count from `from`.
fn one_of_each(from: i64) -> Vec<(Option<&'static str>, i64)> {
    COUNTRIES.into_iter().zip(from..).collect()
}

/// Rows as text, sorted.
fn shown(rows: &[(Option<&str>, i64)]) -> Vec<String> {
    lines(&[batch(rows)])
}

struct Parted {
    test: TestLake,
    txn: i64,
}

impl Parted {
    async fn write(&mut self, mode: WriteMode, rows: &[(Option<&str>, i64)]) -> Result<(), String> {
        self.txn += 1;
        let parts = RowParts {
            partition_by: Some(vec!["Ländı".to_owned()]),
            // The rows as they will be are those that they are then.
            at_end: Box::new(|draft| {
                Box::pin(async move {
                    rows_of(draft.rows().await?).await;
                    Ok(())
                })
            }),
            ..RowParts::from(stream(vec![batch(rows)]))
        };
        let lake = &self.test.lake;
        let silver = name("silver.t");
        let written = lake.write_parts(&silver, mode, parts, commit(self.txn));
        let written = written.await;
        written.map(|_| ()).map_err(|error| {
            let error: &dyn std::error::Error = &error;
            let causes = std::iter::successors(Some(error), |error| error.source());
            causes
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ")
        })
    }

    async fn rows(&self) -> Vec<String> {
        self.test.rows("silver.t").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_finds_the_rows_of_every_text() {
    let mut table = Parted {
        test: TestLake::new(),
        txn: 0,
    };
    let (first, second) = (one_of_each(0), one_of_each(100));
    table.write(WriteMode::Append, &first).await.unwrap();
    table.write(WriteMode::Append, &second).await.unwrap();
    let mut all = [first, second].concat();
    assert_eq!(table.rows().await, shown(&all));

    // Each in a folder of its own, under the table.
    let folder = table.test.lake.table_path(&name("silver.t"));
    let folders = fs::read_dir(&folder).unwrap().flatten();
    let folders = folders.filter(|entry| entry.file_name() != "_delta_log");
    assert_eq!(folders.count(), COUNTRIES.len());

    // The rows of a condition, of keys with and without NULL, and all.
    let odd = (col("id") % lit(2_i64)).eq(lit(1_i64));
    let new: Vec<_> = one_of_each(201)
        .into_iter()
        .filter(|row| row.1 % 2 == 1)
        .collect();
    table
        .write(WriteMode::ReplaceWhere(Box::new(odd)), &new)
        .await
        .unwrap();
    all.retain(|row| row.1 % 2 == 0);
    all.extend(new);
    assert_eq!(table.rows().await, shown(&all));
    for many in [false, true] {
        for countries in COUNTRIES.chunks(6) {
            let keys: Vec<_> = countries.iter().map(|country| (*country, 0)).collect();
            let keys = batch(&keys).project(&[0]).unwrap();
            let read_at = table.test.lake.latest_version(&name("silver.t")).await;
            let keys = KeyRows {
                columns: vec!["Ländı".to_owned()],
                keys: Arc::new(MemTable::try_new(keys.schema(), vec![vec![keys]]).unwrap()),
                keys_bytes: if many { u64::MAX } else { 0 },
                read_at: read_at.unwrap().unwrap(),
            };
            let new = countries
                .iter()
                .map(|country| (*country, 300 + i64::from(many)));
            let new: Vec<_> = new.collect();
            table
                .write(WriteMode::ReplaceKeys(keys), &new)
                .await
                .unwrap();
            all.retain(|row| !countries.contains(&row.0));
            all.extend(new);
        }
        assert_eq!(table.rows().await, shown(&all));
    }
    let changes = {
        let pinned = table.test.lake.load(&name("silver.t"), None).await.unwrap();
        let (since, id) = (1, pinned.table_id);
        let changes =
            table
                .test
                .lake
                .changes(&pinned.name, Since::version(&id, since), pinned.version);
        changes.await.unwrap()
    };
    let net = changes.net(&SessionContext::new()).await.unwrap();
    assert_eq!(lines(&net.inserts.collect().await.unwrap()), shown(&all));
    let gone = lines(&net.deletes.unwrap().collect().await.unwrap());
    assert_eq!(gone, shown(&[one_of_each(0), one_of_each(100)].concat()));
    table.write(WriteMode::Overwrite, &all[..5]).await.unwrap();
    assert_eq!(table.rows().await, shown(&all[..5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_text_are_written_together_and_none_is_lost() {
    let mut table = Parted {
        test: TestLake::new(),
        txn: 0,
    };
    let rows: Vec<_> = (0..4).flat_map(|at| one_of_each(at * 100)).collect();
    for rows in rows.chunks(COUNTRIES.len()) {
        table.write(WriteMode::Append, rows).await.unwrap();
    }
    let (silver, lake) = (name("silver.t"), table.test.lake.clone());
    let vacuum = async || {
        let options = VacuumOptions {
            retain: Duration::ZERO,
            open_since_ms: None,
            read_version: None,
            dry_run: false,
        };
        lake.vacuum(&silver, options).await.unwrap()
    };
    for (zorder_by, removed) in [(vec![], 4), (vec!["id".to_owned()], 1)] {
        table.txn += 1;
        let options = OptimizeOptions {
            target_bytes: NonZeroU64::new(1 << 20).unwrap(),
            zorder_by,
            threads: 2,
        };
        let optimized = lake.optimize(&silver, &options, commit(table.txn)).await;
        let optimized = optimized.unwrap().unwrap();
        assert_eq!(optimized.files.1, COUNTRIES.len() as u64);
        assert_eq!(table.rows().await, shown(&rows));
        assert_eq!(vacuum().await.files, removed * COUNTRIES.len() as u64);
        assert_eq!(table.rows().await, shown(&rows));
    }
    let left = lake.remove_leftovers(&silver, crate::fixture::APP, 0).await;
    assert_eq!(left.unwrap(), 0);
    assert_eq!(table.rows().await, shown(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_texts_and_pass_over_folders() {
    let mut table = Parted {
        test: TestLake::new(),
        txn: 0,
    };
    let rows = one_of_each(0);
    table.write(WriteMode::Append, &rows).await.unwrap();
    let pinned = table.test.lake.load(&name("silver.t"), None).await.unwrap();
    assert_eq!(pinned.schema.field(0).data_type(), &DataType::Utf8);
    let ctx = SessionContext::new();
    for country in COUNTRIES {
        let column = || col("\"Ländı\"");
        let those = match country {
            Some(text) => column().eq(lit(text)),
            None => column().is_null(),
        };
        let found = ctx.read_table(Arc::clone(&pinned.provider)).unwrap();
        let found = found.filter(those).unwrap();
        let plan = found.clone().create_physical_plan().await.unwrap();
        let files = displayable(plan.as_ref()).indent(true).to_string();
        assert_eq!(files.matches(".parquet").count(), 1, "{country:?}: {files}");
        let mine: Vec<_> = rows
            .iter()
            .copied()
            .filter(|row| row.0 == country)
            .collect();
        assert_eq!(lines(&found.collect().await.unwrap()), shown(&mine));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_name_no_folder_are_refused() {
    let mut table = Parted {
        test: TestLake::new(),
        txn: 0,
    };
    let long = "x".repeat(300);
    let fine = [(Some("FI"), 1)];
    let bad = [
        ("", "NULLIF(Ländı, '')"),
        ("__HIVE_DEFAULT_PARTITION__", "the folder of NULL"),
        (&long, "too long"),
    ];
    for mode in [WriteMode::Append, WriteMode::Overwrite] {
        for (country, told) in bad {
            let refused = table
                .write(mode.clone(), &[fine[0], (Some(country), 2)])
                .await;
            let words = refused.unwrap_err();
            assert!(words.contains(told), "{words}");
        }
        table.write(mode, &fine).await.unwrap();
        assert_eq!(table.rows().await, shown(&fine));
    }
    // What the table is not partitioned by may be empty.
    let plain = RowParts {
        required: BTreeSet::new(),
        at_end: nothing_at_end(),
        ..RowParts::from(stream(vec![batch(&[(Some(""), 1)])]))
    };
    let (other, lake) = (name("silver.plain"), &table.test.lake);
    let written = lake.write_parts(&other, WriteMode::Append, plain, commit(1));
    written.await.unwrap();
    assert_eq!(table.test.rows("silver.plain").await, ["|1"]);
}
