//! The pages that trainings and sweeps leave: their figures are those of the run's other files.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A page beside the other files of its run.
pub(crate) struct Kept {
    html: String,
    evaluation: Value,
    folder: PathBuf,
}

/// The page that a run of the sandbox told of for an asset.
pub(crate) fn kept(sandbox: &Sandbox, events: &[Value], asset: &str) -> Kept {
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "report" && event["asset"] == asset)
        .map(|event| event["path"].as_str().unwrap())
        .collect();
    let [path] = told[..] else {
        panic!("{asset} has {} reports", told.len());
    };
    let path = sandbox.path().join(path.trim_start_matches("[dir]/"));
    let folder = path.parent().unwrap().to_owned();
    let evaluation = fs::read_to_string(folder.join("evaluation.json")).unwrap();
    Kept {
        html: fs::read_to_string(&path).unwrap(),
        evaluation: serde_json::from_str(&evaluation).unwrap(),
        folder,
    }
}

impl Kept {
    /// The texts of the cells of the first table of a caption, row by row, the head first.
    fn table(&self, caption: &str) -> Vec<Vec<String>> {
        let start = format!("{caption}</caption>");
        let (_, rest) = self.html.split_once(&start).unwrap_or_else(|| {
            panic!("no table {caption:?} in {}", self.html);
        });
        let (table, _) = rest.split_once("</table>").unwrap();
        let rows = table.split("<tr").skip(1);
        rows.map(|row| {
            let cells = row.split("</t");
            let cells = cells.filter(|cell| cell.contains("<th") || cell.contains("<td"));
            let text = |cell: &str| {
                let (_, opened) = cell.rsplit_once("<t").unwrap();
                opened.split_once('>').unwrap().1.to_owned()
            };
            cells.map(text).collect()
        })
        .collect()
    }

    /// What the table of metrics shows is what the run's `evaluation.json` holds.
    pub(crate) fn assert_metrics(&self) {
        let table = self.table("Metrics of each split");
        let splits = &table[0][1..];
        assert_eq!(splits.len(), self.evaluation.as_object().unwrap().len());
        for (at, split) in splits.iter().enumerate() {
            let metrics = self.evaluation[split]["metrics"].as_object().unwrap();
            assert_eq!(table.len() - 1, metrics.len(), "{table:?}");
            for row in &table[1..] {
                assert_figure(&row[at + 1], &metrics[&row[0]]);
            }
        }
    }

    /// Each cell of a confusion map has the count of `evaluation.json`.
    pub(crate) fn assert_confusion(&self, split: &str, classes: &[&str]) {
        let matrix = &self.evaluation[split]["confusion_matrix"];
        let count = |actual: usize, predicted: usize| match matrix {
            Value::Array(rows) => rows[actual][predicted].as_u64().unwrap(),
            counts => {
                let name = match (actual, predicted) {
                    (0, 0) => "true_negatives",
                    (0, _) => "false_positives",
                    (_, 0) => "false_negatives",
                    _ => "true_positives",
                };
                counts[name].as_u64().unwrap()
            }
        };
        let title = format!("<h3>Confusion on {split} rows</h3>");
        let (_, map) = self.html.split_once(&title).unwrap();
        let (map, _) = map.split_once("</svg>").unwrap();
        for (actual, name) in classes.iter().enumerate() {
            for (predicted, other) in classes.iter().enumerate() {
                let count = count(actual, predicted);
                let tip = format!("<title>{name} → {other}: {count} rows, ");
                assert!(map.contains(&tip), "no {tip} in {map}");
            }
        }
    }

    pub(crate) fn assert_contains(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.html.contains(text), "no {text:?} in {}", self.html);
        }
    }
}

/// A figure as it is shown, and as it is.
fn assert_figure(shown: &str, exact: &Value) {
    let Some(exact) = exact.as_f64() else {
        assert_eq!(shown, "–");
        return;
    };
    let read: f64 = shown.replace(',', "").parse().unwrap();
    let precision = 0.000_05 * exact.abs().max(1.0);
    assert!((read - exact).abs() <= precision, "{shown} is not {exact}");
}

#[test]
fn a_training_and_a_sweep_leave_pages_with_their_figures() {
    let sandbox = Sandbox::apples();
    let events = sandbox.run();
    let (baseline, search) = (
        kept(&sandbox, &events, "baseline"),
        kept(&sandbox, &events, "search"),
    );
    for page in [&baseline, &search] {
        page.assert_metrics();
        for split in ["train", "validation", "test"] {
            page.assert_confusion(split, &["false", "true"]);
        }
        page.assert_contains(&[
            "<h3>ROC curve</h3>",
            "<h3>Precision and recall</h3>",
            "<h3>Reliability</h3>",
            "<h3>Thresholds on validation rows</h3>",
            "<h3>Importance by SHAP values</h3>",
            "gold.apples, version 0",
        ]);
        let auc = page.evaluation["test"]["metrics"]["auc"].as_f64().unwrap();
        page.assert_contains(&[&format!("test (AUC {auc:.4})")]);
        for asked in [" src=", "http:", "https:", "url("] {
            assert!(!page.html.contains(asked), "{asked}");
        }
    }
    baseline
        .assert_contains(&["A random_forest, which predicts the probability that sweet is true"]);
    assert!(
        !baseline.html.contains("the champion</th>"),
        "nobody was champion"
    );

    // The sweep's page has each trial, and the champion on the same rows.
    let (_, traces) = search.html.split_once("class=\"traces\"").unwrap();
    let (traces, _) = traces.split_once("</g>").unwrap();
    assert_eq!(traces.matches("<path").count(), 4);
    search.assert_contains(&["validation.auc by round", "<h3>Trial by trial</h3>"]);
    let compared = search.table("This version and the champion on the same test rows");
    assert_eq!(
        compared[0][1..3],
        ["version 2, this one", "version 1, the champion"]
    );
    for row in &compared[1..] {
        assert_figure(&row[1], &search.evaluation["test"]["metrics"][&row[0]]);
        assert_figure(&row[2], &baseline.evaluation["test"]["metrics"][&row[0]]);
    }
    let ranked = search.table("Trials, the best first");
    let board = fs::read_to_string(search.folder.join("leaderboard.csv")).unwrap();
    assert_eq!(ranked.len(), board.lines().count());
    for (row, line) in ranked.iter().zip(board.lines()).skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(row[0], fields[1], "{line}");
        assert_figure(&row[1], &fields[3].parse::<f64>().unwrap().into());
    }

    // The page is recorded as what it is in the end.
    let recorded = sandbox
        .rows("SELECT bytes FROM system.artifacts WHERE path = 'report.html' ORDER BY bytes");
    let mut bytes = [baseline.html.len(), search.html.len()];
    bytes.sort_unstable();
    let recorded: Vec<u64> = recorded
        .iter()
        .map(|row| row["bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(recorded, bytes.map(|bytes| bytes as u64));

    // What was not trained again has no page to tell of.
    let again = sandbox.run();
    assert!(again.iter().all(|event| event["event"] != "report"));
    let ended = sandbox.call(&["run", "--set", "sweet_from=5"]);
    assert!(
        ended.stdout.contains("\nReports\n  baseline  "),
        "{}",
        ended.all()
    );
}
