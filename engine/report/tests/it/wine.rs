//! The red wines, compared with what polars, numpy and scipy say of them
//! (`benches/fixtures/profile_wine.py`), in the profile and on its page.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use serde_json::Value;
use sluice_report::profile::{Profile, ProfileSpec, Severity, WarningKind};

use crate::tables;

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/profile_wine.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The wines with a last column `_good` that says whether the quality is 7 or more.
fn with_class() -> RecordBatch {
    let wine = tables::wine();
    let quality = wine.column_by_name("quality").unwrap();
    let quality = quality.as_primitive::<Int64Type>();
    let good: BooleanArray = quality.iter().map(|q| q.map(|q| q >= 7)).collect();
    let mut fields: Vec<Arc<Field>> = wine.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("_good", DataType::Boolean, true)));
    let mut columns = wine.columns().to_vec();
    columns.push(Arc::new(good) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn of_wine() -> Profile {
    tables::profile(&[with_class()], tables::by("_good", &["quality"]))
}

fn near(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    let scale = theirs.abs().max(1.0);
    assert!(
        (ours - theirs).abs() <= 1e-9 * scale,
        "{what}: {ours} is not {theirs}"
    );
}

#[test]
fn counts_moments_and_quantiles_are_those_of_others() {
    let (profile, fixture) = (of_wine(), fixture());
    assert_eq!(profile.rows, fixture["rows"].as_u64().unwrap());
    assert_eq!(
        profile.equals.repeated,
        fixture["repeated"].as_u64().unwrap()
    );
    assert!(profile.sample.exact && profile.equals.exact);
    let theirs = fixture["columns"].as_array().unwrap();
    assert_eq!(profile.columns.len(), theirs.len());
    for (column, theirs) in profile.columns.iter().zip(theirs) {
        assert_eq!(theirs["name"], column.name.as_str());
        let numbers = column.numbers.as_ref().unwrap();
        let what = |figure: &str| format!("{figure} of {}", column.name);
        assert_eq!(column.nulls, theirs["nulls"].as_u64().unwrap());
        assert_eq!(column.distinct.count, theirs["distinct"].as_u64().unwrap());
        assert!(column.distinct.exact && column.frequent.exact);
        assert_eq!(column.frequent.once, theirs["once"].as_u64());
        let frequent: Vec<(String, u64)> =
            serde_json::from_value(theirs["frequent"].clone()).unwrap();
        let ours = column.frequent.values.iter();
        let ours: Vec<(String, u64)> = ours.map(|v| (v.value.clone(), v.count)).collect();
        assert_eq!(ours, frequent, "{}", column.name);
        near(numbers.mean, &theirs["mean"], &what("mean"));
        near(numbers.std.unwrap(), &theirs["std"], &what("std"));
        near(numbers.min, &theirs["min"], &what("min"));
        near(numbers.max, &theirs["max"], &what("max"));
        assert_eq!(numbers.zeros, theirs["zeros"].as_u64().unwrap());
        assert_eq!(numbers.negative, theirs["negative"].as_u64().unwrap());
        near(
            numbers.skewness.unwrap(),
            &theirs["skewness"],
            &what("skewness"),
        );
        near(
            numbers.kurtosis.unwrap(),
            &theirs["kurtosis"],
            &what("kurtosis"),
        );
        let quantiles = theirs["quantiles"].as_array().unwrap();
        assert_eq!(numbers.quantiles.len(), quantiles.len());
        for ((part, value), theirs) in numbers.quantiles.iter().zip(quantiles) {
            near(*value, theirs, &what(&format!("{part} quantile")));
        }
        let histogram = column.histogram.as_ref().unwrap();
        assert_eq!(histogram.rows.iter().sum::<u64>(), profile.rows);
    }
}

#[test]
fn correlations_boxes_and_histograms_are_those_of_others() {
    let (profile, fixture) = (of_wine(), fixture());
    let ours = profile.correlations.as_ref().unwrap();
    for (name, ours) in [("pearson", &ours.pearson), ("spearman", &ours.spearman)] {
        for (row, theirs) in ours.iter().zip(fixture[name].as_array().unwrap()) {
            for (ours, theirs) in row.iter().zip(theirs.as_array().unwrap()) {
                near(ours.unwrap(), theirs, name);
            }
        }
    }
    let alcohol = profile
        .columns
        .iter()
        .find(|column| column.name == "alcohol")
        .unwrap();
    let theirs = fixture["alcohol"]["boxes"].as_array().unwrap();
    assert_eq!(alcohol.boxes.len(), 2);
    for (ours, theirs) in alcohol.boxes.iter().zip(theirs) {
        assert_eq!(ours.rows, theirs["rows"].as_u64().unwrap());
        assert_eq!(ours.outliers, theirs["outliers"].as_u64().unwrap());
        let figures = [
            ("q1", ours.q1),
            ("median", ours.median),
            ("q3", ours.q3),
            ("low", ours.low),
            ("high", ours.high),
            ("mean", ours.mean),
        ];
        for (name, value) in figures {
            near(value, &theirs[name], name);
        }
    }
    let (ours, theirs) = (
        alcohol.histogram.as_ref().unwrap(),
        &fixture["alcohol"]["histogram"],
    );
    for (edge, theirs) in ours.edges.iter().zip(theirs["edges"].as_array().unwrap()) {
        near(*edge, theirs, "edge");
    }
    // A value on an edge may fall on either side of it, by the last bit of the edge.
    let counts: Vec<u64> = serde_json::from_value(theirs["rows"].clone()).unwrap();
    let (mut ours_sum, mut their_sum) = (0, 0);
    for (ours, theirs) in ours.rows.iter().zip(&counts) {
        (ours_sum, their_sum) = (ours_sum + ours, their_sum + theirs);
        assert!(
            ours_sum.abs_diff(their_sum) <= 80,
            "{:?} {counts:?}",
            alcohol.histogram
        );
    }
    assert_eq!(ours_sum, their_sum);
}

#[test]
fn the_label_is_known_and_what_makes_it_is_no_leak() {
    let profile = of_wine();
    let classes = profile.classes.as_ref().unwrap();
    let told: Vec<(&str, u64)> = classes
        .classes
        .iter()
        .map(|c| (c.value.as_str(), c.count))
        .collect();
    let good = fixture()["good"].as_u64().unwrap();
    assert_eq!(told, [("false", 1_599 - good), ("true", good)]);
    let power = |name: &str| {
        let column = profile
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap();
        column.power.map(|power| power.auc)
    };
    assert_eq!(power("quality"), None);
    assert!((0.75..0.85).contains(&power("alcohol").unwrap()));
    assert!(power("residual_sugar").unwrap() < 0.65);
    let kinds: Vec<WarningKind> = profile
        .warnings
        .iter()
        .map(|warning| warning.kind)
        .collect();
    assert!(!kinds.contains(&WarningKind::Leak));
    assert!(kinds.contains(&WarningKind::Duplicates));

    // Taken for a feature, it is one.
    let leaky = tables::profile(&[with_class()], tables::by("_good", &[]));
    let first = &leaky.warnings[0];
    assert_eq!(
        (first.kind, first.severity),
        (WarningKind::Leak, Severity::Grave)
    );
    assert_eq!(first.columns, ["quality"]);
    assert_eq!(first.value, 1.0);
}

/// The text between `before` and `after` after a place in the page.
fn between<'a>(html: &'a str, from: &str, before: &str, after: &str) -> &'a str {
    let start = html.find(from).unwrap_or_else(|| panic!("no {from}"));
    let html = &html[start..];
    let start = html
        .find(before)
        .unwrap_or_else(|| panic!("no {before} after {from}"))
        + before.len();
    let end = html[start..].find(after).unwrap();
    &html[start..start + end]
}

#[test]
fn the_page_tells_the_figures() {
    let html = tables::html(&of_wine());
    assert_eq!(
        between(&html, "<dt>Rows</dt>", "<dd class=\"figure\">", "</dd>"),
        "1,599"
    );
    assert_eq!(
        between(
            &html,
            "<dt>Repeated rows</dt>",
            "<dd class=\"figure\">",
            "</dd>"
        ),
        "240"
    );
    assert_eq!(
        between(
            &html,
            "<dt>Missing cells</dt>",
            "<dd class=\"figure\">",
            "</dd>"
        ),
        "0 %"
    );
    // The row of alcohol in the table of columns: type, missing, distinct, smallest, median,
    // largest.
    let row = between(&html, "<th scope=\"row\">alcohol</th>", "</th>", "</tr>");
    let cells: Vec<&str> = row
        .split("</td>")
        .filter_map(|cell| cell.rsplit('>').next())
        .filter(|cell| !cell.is_empty())
        .collect();
    assert_eq!(cells[..6], ["DOUBLE", "0", "65", "8.4", "10.2", "14.9"]);
    assert_eq!(
        between(
            &html,
            "<dt>Best predictor alone</dt>",
            "<dd class=\"figure\">",
            "</dd>"
        ),
        "alcohol"
    );
    let card = between(&html, "<span>alcohol</span>", "", "</article>");
    assert_eq!(
        between(card, "<dt>Mean</dt>", "<dd>", "</dd>"),
        "10.42 ± 1.066"
    );
    assert_eq!(
        between(card, "<dt>Range</dt>", "<dd>", "</dd>"),
        "8.4 to 14.9"
    );
    assert_eq!(between(card, "<dt>Skewness</dt>", "<dd>", "</dd>"), "0.86");
    assert!(card.contains("false: median 10"), "{card}");
    assert!(
        html.contains("alcohol and quality: 0.476"),
        "the tip of the heat map"
    );
    let worst = between(&html, "id=\"what-deserves-a-look\"", "<span>", "</span>");
    assert_eq!(worst, "240 rows (15 %) repeat earlier ones.");
}

#[test]
fn the_page_needs_nothing_else() {
    let html = tables::html(&of_wine());
    let lower = html.to_lowercase();
    for outside in [
        "http:", "https:", "src=", "@import", "url(", "<iframe", "<object", "fetch(",
    ] {
        let allowed = lower.matches(outside).count();
        assert_eq!(allowed, 0, "{outside}");
    }
    // Links lead to places of the page; the icon is an empty one of its own.
    for (at, _) in lower.match_indices("href=\"") {
        let target = &lower[at + 6..];
        assert!(
            target.starts_with('#') || target.starts_with("data:,"),
            "{}",
            &target[..40]
        );
    }
    assert!(lower.contains("prefers-color-scheme: dark"));
    assert!(lower.contains("name=\"viewport\""));
    assert!(html.len() < 400_000, "{} bytes", html.len());
}

#[test]
fn without_a_label_there_is_none() {
    let profile = tables::profile(&[tables::wine()], ProfileSpec::default());
    assert!(profile.classes.is_none());
    assert!(profile.columns.iter().all(|column| column.power.is_none()));
    let html = tables::html(&profile);
    assert!(!html.contains("What predicts it"));
    assert!(html.contains("Quartiles"));
}
