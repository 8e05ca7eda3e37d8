//! Columns of every kind, and odd tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    ListArray, NullArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use sluice_report::profile::{
    Column, Kind, Profile, ProfileError, ProfileSpec, Profiler, WarningKind,
};

use crate::tables;

const ROWS: i64 = 200;

fn table() -> RecordBatch {
    let rows = 0..ROWS;
    let big = rows.clone().map(|row| 9_007_199_254_740_993 + row);
    let price = rows.clone().map(|row| i128::from(row) * 5 - 2);
    let price = Decimal128Array::from_iter_values(price)
        .with_precision_and_scale(10, 2)
        .unwrap();
    let odd = rows.clone().map(|row| match row {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => -0.0,
        row => (row % 7) as f64,
    });
    let day = rows.clone().map(|row| 18_262 + row as i32);
    let moment = rows
        .clone()
        .map(|row| 1_577_836_800_000_000 + row * 3_600_000_000);
    let note = rows.clone().map(|row| match row % 4 {
        0 => None,
        1 => Some(
            "<b>&amp; a long text that goes on and on and on, for more than sixty signs".to_owned(),
        ),
        row => Some(format!("short {row}")),
    });
    let bytes: Vec<Option<&[u8]>> = rows
        .clone()
        .map(|row| Some(&b"abcdefgh"[..(row % 8) as usize]))
        .collect();
    let list = rows
        .clone()
        .map(|row| Some((0..row % 3).map(|item| Some(item as i32))));
    let flag = rows
        .clone()
        .map(|row| (row % 3 != 0).then_some(row % 2 == 0));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("big", Arc::new(Int64Array::from_iter_values(big))),
        ("price", Arc::new(price)),
        ("odd", Arc::new(Float64Array::from_iter_values(odd))),
        ("day", Arc::new(Date32Array::from_iter_values(day))),
        (
            "moment",
            Arc::new(TimestampMicrosecondArray::from_iter_values(moment).with_timezone("UTC")),
        ),
        ("note", Arc::new(StringArray::from_iter(note))),
        ("bytes", Arc::new(BinaryArray::from(bytes))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(list)),
        ),
        ("flag", Arc::new(BooleanArray::from_iter(flag))),
        ("same", Arc::new(Int64Array::from(vec![7; ROWS as usize]))),
        (
            "gone",
            Arc::new(Float64Array::from(vec![None; ROWS as usize])),
        ),
        ("nothing", Arc::new(NullArray::new(ROWS as usize))),
        (
            "_split",
            Arc::new(StringArray::from_iter_values(rows.clone().map(split))),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn split(row: i64) -> &'static str {
    ["test", "train", "validation"][(row % 3) as usize]
}

fn of_table() -> Profile {
    tables::profile(&[table()], ProfileSpec::default())
}

fn column<'a>(profile: &'a Profile, name: &str) -> &'a Column {
    profile
        .columns
        .iter()
        .find(|column| column.name == name)
        .unwrap()
}

#[test]
fn each_kind_is_shown_as_what_it_is() {
    let profile = of_table();
    assert_eq!(profile.left_out, ["nothing", "_split"]);
    let range = |name: &str| {
        let numbers = column(&profile, name).numbers.as_ref().unwrap();
        (numbers.min_shown.as_str(), numbers.max_shown.as_str())
    };
    // Beyond what a float can hold.
    assert_eq!(range("big"), ("9007199254740993", "9007199254741192"));
    assert_eq!(range("price"), ("-0.02", "9.93"));
    assert_eq!(range("day"), ("2020-01-01", "2020-07-18"));
    assert_eq!(range("moment"), ("2020-01-01", "2020-01-09 07:00:00"));
    assert_eq!(column(&profile, "price").type_name, "DECIMAL(10, 2)");
    assert_eq!(column(&profile, "moment").type_name, "TIMESTAMP");
    let odd = column(&profile, "odd").numbers.as_ref().unwrap();
    assert_eq!((odd.nan, odd.infinite, odd.max), (1, 1, 6.0));
    assert_eq!(odd.zeros, 29);
    let note = column(&profile, "note");
    assert_eq!(
        (note.kind, note.nulls, note.distinct.count),
        (Kind::Text, 50, 3)
    );
    assert!(
        note.frequent.values[0].value.ends_with('…'),
        "{:?}",
        note.frequent
    );
    assert_eq!(note.numbers.as_ref().unwrap().unit, Some("characters"));
    assert_eq!(column(&profile, "bytes").frequent.values[1].value, "0x61");
    let list = column(&profile, "list");
    assert_eq!(
        (list.distinct.count, list.numbers.as_ref().unwrap().max),
        (3, 2.0)
    );
    assert_eq!(list.type_name, "ARRAY<INT>");
    let flag = column(&profile, "flag");
    assert_eq!((flag.nulls, flag.distinct.count), (67, 2));
    assert_eq!(column(&profile, "gone").distinct.count, 0);
    let html = tables::html(&profile);
    assert!(
        html.contains("&lt;b&gt;&amp;amp; a long text"),
        "texts are escaped"
    );
    assert!(
        html.contains("2020-04-10"),
        "dates are below histograms of dates"
    );
}

#[test]
fn what_deserves_a_look_is_told() {
    let profile = of_table();
    let told: Vec<(WarningKind, String)> = profile
        .warnings
        .iter()
        .map(|warning| (warning.kind, warning.columns.join(" ")))
        .collect();
    for (kind, columns) in [
        (WarningKind::Constant, "same"),
        (WarningKind::Constant, "gone"),
        (WarningKind::NotFinite, "odd"),
        (WarningKind::Missing, "note"),
        (WarningKind::NearUnique, "big"),
        (WarningKind::Correlated, "big price"),
        (WarningKind::Zeros, "odd"),
    ] {
        assert!(
            told.contains(&(kind, columns.to_owned())),
            "{kind:?} {columns}: {told:#?}"
        );
    }
    // No row is equal to another.
    let kinds: Vec<WarningKind> = told.iter().map(|(kind, _)| *kind).collect();
    assert!(!kinds.contains(&WarningKind::Duplicates) && !kinds.contains(&WarningKind::Straddling));
}

#[test]
fn equal_rows_in_two_splits_are_grave() {
    let first = table();
    let mut columns = first.columns().to_vec();
    let last = columns.len() - 1;
    let moved = (0..ROWS).map(|row| if row < 30 { "test" } else { split(row) });
    columns[last] = Arc::new(StringArray::from_iter_values(moved));
    let second = RecordBatch::try_new(first.schema(), columns).unwrap();
    let profile = tables::profile(&[first, second], ProfileSpec::default());
    let names: Vec<(&str, u64)> = profile
        .splits
        .iter()
        .map(|s| (s.name.as_str(), s.rows))
        .collect();
    assert_eq!(names, [("train", 124), ("validation", 122), ("test", 154)]);
    let shared: Vec<(&str, &str, u64)> = profile
        .equals
        .straddling
        .iter()
        .map(|pair| (pair.first.as_str(), pair.second.as_str(), pair.rows))
        .collect();
    // Each of the 10 train rows and 10 validation rows below 30 has a twin in test.
    assert_eq!(
        shared,
        [
            ("train", "validation", 0),
            ("train", "test", 10),
            ("validation", "test", 10)
        ]
    );
    assert_eq!(profile.warnings[0].kind, WarningKind::Straddling);
    let html = tables::html(&profile);
    assert!(
        html.contains("10 rows of `test` equal rows of `train`"),
        "{:?}",
        profile.warnings[0]
    );
}

#[test]
fn many_classes_and_no_class_are_told_apart() {
    let class = |row: i64| match row % 13 {
        12 => None,
        class => Some(class.to_string()),
    };
    let mut columns = table().columns().to_vec();
    let mut fields = table().schema().fields().to_vec();
    fields.push(Arc::new(Field::new("_class", DataType::Utf8, true)));
    columns.push(Arc::new(StringArray::from_iter((0..ROWS).map(class))));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let profile = tables::profile(&[rows], tables::by("_class", &[]));
    let classes = profile.classes.as_ref().unwrap();
    let names: Vec<&str> = classes
        .classes
        .iter()
        .map(|class| class.value.as_str())
        .collect();
    assert_eq!(
        names,
        ["0", "1", "2", "3", "4", "10", "11", "NULL", "other"]
    );
    assert_eq!(classes.distinct.count, 12);
    let rows: u64 = classes.classes.iter().map(|class| class.count).sum();
    assert_eq!(rows, ROWS as u64);
    assert!(tables::html(&profile).contains("of each class"));
}

#[test]
fn odd_tables_have_a_profile_or_an_error() {
    let schema = table().schema();
    let empty = RecordBatch::new_empty(schema.clone());
    let profile = tables::profile(&[empty], ProfileSpec::default());
    assert_eq!(profile.warnings[0].kind, WarningKind::Empty);
    assert!(tables::html(&profile).contains("The table has no rows."));
    let one = tables::profile(&[table().slice(5, 1)], tables::by("flag", &[]));
    assert_eq!(one.rows, 1);
    tables::html(&one);

    let technical = Schema::new(vec![Field::new("_id", DataType::Int64, true)]);
    let error = Profiler::new(&technical, ProfileSpec::default())
        .err()
        .unwrap();
    assert!(matches!(error, ProfileError::NoColumns));
    let error = Profiler::new(&schema, tables::by("gone_too", &[]))
        .err()
        .unwrap();
    assert!(matches!(error, ProfileError::NoClass { column } if column == "gone_too"));
}
