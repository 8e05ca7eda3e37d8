//! What an evaluation leaves among the artifacts of its run, besides its page: all figures as
//! `evaluation.json`, and tables as CSV files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use sluice_learn::metric::Evaluation;

use super::Evaluated;
use super::figures::{Figures, headline};
use crate::run::track::quoted;

/// `evaluation.json`
pub(crate) fn json(evaluated: &Evaluated) -> String {
    let (about, figures) = (&evaluated.about, &evaluated.figures);
    let mut own = part(&figures.model);
    own["intervals"] = figures
        .intervals
        .iter()
        .map(|(name, interval)| ((*name).to_owned(), json!(interval)))
        .collect();
    own["classes"] = json!(evaluated.looked.classes);
    if let Some(confusion) = &figures.model.confusion {
        own["classification_report"] = json!(confusion.report());
    }
    let baselines = figures.baselines.iter();
    let baselines: BTreeMap<&str, Value> = baselines
        .map(|baseline| (baseline.name, part(&baseline.evaluation)))
        .collect();
    let slices = figures.slices.iter().map(|slices| {
        let values = slices.values.iter();
        let values = values.map(|(value, evaluation)| {
            let mut slice = part(evaluation);
            slice["value"] = json!(value);
            slice
        });
        json!({"column": slices.column, "values": values.collect::<Vec<_>>()})
    });
    let compared = figures.compared.as_ref().map(|compared| {
        let mut other = part(&compared.evaluation);
        other["model"] = json!(about.models.get(1));
        other["pairs"] = json!(compared.pairs);
        other["mcnemar_p_value"] = json!(compared.mcnemar);
        if let Some((metric, difference)) = &compared.difference {
            other["difference"] = json!(difference);
            other["difference"]["metric"] = json!(metric);
        }
        other
    });
    let text = json!({
        "model": about.models.first(),
        "table": about.table.0,
        "table_version": about.table.1,
        "label": about.label,
        "rows": evaluated.looked.counted,
        about.part: own,
        "baselines": baselines,
        "slices": slices.collect::<Vec<_>>(),
        "compared": compared,
    });
    format!("{text:#}\n")
}

fn part(evaluation: &Evaluation) -> Value {
    let mut part = json!({
        "rows": evaluation.rows,
        "metrics": evaluation.metrics.iter().copied().collect::<BTreeMap<_, _>>(),
    });
    if let Some(confusion) = &evaluation.confusion {
        part["confusion_matrix"] = json!(confusion.counts());
    }
    part
}

/// The CSV files: name and text.
pub(crate) fn tables(evaluated: &Evaluated) -> Vec<(&'static str, String)> {
    let (figures, task) = (&evaluated.figures, evaluated.about.task);
    let mut files = vec![("metrics.csv", metrics(figures))];
    if let Some(confusion) = &figures.model.confusion {
        let classes = &evaluated.looked.classes;
        files.push(("classification_report.csv", report(figures, classes)));
        files.push(("confusion_matrix.csv", matrix(&confusion.counts(), classes)));
    }
    if !figures.slices.is_empty() {
        files.push(("slices.csv", slices(figures, headline(task))));
    }
    files.extend(figures.curves.curve_files(task));
    files
}

fn number(value: Option<f64>) -> String {
    let defined = value.filter(|value| !value.is_nan());
    defined.map_or_else(String::new, |value| value.to_string())
}

/// Each metric of the model with its interval, of each baseline and of the other model.
fn metrics(figures: &Figures) -> String {
    let mut others: Vec<(&str, &Evaluation)> = figures
        .baselines
        .iter()
        .map(|baseline| (baseline.name, &baseline.evaluation))
        .collect();
    others.extend(figures.compared.iter().map(|c| ("compared", &c.evaluation)));
    let mut text = "metric,value,low,high".to_owned();
    for (name, _) in &others {
        text.push(',');
        text.push_str(name);
    }
    text.push('\n');
    for (name, value) in &figures.model.metrics {
        let interval = figures.interval(name);
        let (low, high) = (interval.map(|i| i.low), interval.map(|i| i.high));
        let own = [Some(*value), low, high].map(number).join(",");
        // Writing to a String cannot fail.
        let _ = write!(text, "{name},{own}");
        for (_, other) in &others {
            let _ = write!(text, ",{}", number(other.get(name)));
        }
        text.push('\n');
    }
    text
}

fn report(figures: &Figures, classes: &[String]) -> String {
    let mut text = "class,precision,recall,f1,rows\n".to_owned();
    let report = figures
        .model
        .confusion
        .as_ref()
        .map(|confusion| confusion.report());
    let Some(report) = report else { return text };
    let rows: u64 = report.classes.iter().map(|class| class.rows).sum();
    let named = classes.iter().zip(&report.classes);
    let named = named.map(|(name, class)| (name.as_str(), class.figures, class.rows));
    let means = [
        ("macro average", report.macro_average, rows),
        ("weighted average", report.weighted_average, rows),
    ];
    for (name, figures, rows) in named.chain(means) {
        let _ = writeln!(
            text,
            "{},{},{},{},{rows}",
            quoted(name),
            figures.precision,
            figures.recall,
            figures.f1
        );
    }
    text
}

fn matrix(counts: &[Vec<u64>], classes: &[String]) -> String {
    let mut text = "actual,predicted,rows\n".to_owned();
    for (actual, counts) in classes.iter().zip(counts) {
        for (predicted, count) in classes.iter().zip(counts) {
            let _ = writeln!(text, "{},{},{count}", quoted(actual), quoted(predicted));
        }
    }
    text
}

fn slices(figures: &Figures, names: &[&str]) -> String {
    let mut text = format!("column,value,rows,{}\n", names.join(","));
    for slices in &figures.slices {
        for (value, evaluation) in &slices.values {
            let figures = names.iter().map(|name| number(evaluation.get(name)));
            let _ = writeln!(
                text,
                "{},{},{},{}",
                quoted(&slices.column),
                quoted(value),
                evaluation.rows,
                figures.collect::<Vec<_>>().join(",")
            );
        }
    }
    text
}
