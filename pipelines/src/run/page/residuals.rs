//! How far off a regression is.

use sluice_report::chart::histogram::{Group, Histogram};
use sluice_report::chart::lines::Guide;
use sluice_report::chart::scatter::{Points, Scatter};
use sluice_report::chart::{Axis, Ink};
use sluice_report::{Chart, Section, number};

use super::Report;
use crate::run::evidence::Residuals;

impl Report {
    /// Predicted and actual values, and what is between them.
    pub(super) fn residuals(&self) -> Section {
        // What matters most comes first: the rows that were not looked at before.
        errors(&self.about.label, self.evidence.residuals.iter().rev())
    }
}

/// The errors of a regression on each of some parts of the rows.
pub(in crate::run) fn errors<'r>(
    label: &str,
    parts: impl Iterator<Item = &'r Residuals>,
) -> Section {
    let section = Section::new("Errors");
    let charts: Vec<Chart> = parts
        .flat_map(|part| residual_charts(label, part))
        .collect();
    if charts.is_empty() {
        return section;
    }
    section
        .text("An error is the actual less the predicted value: above 0 the model said too little.")
        .charts(charts)
}

/// Predicted and actual values of some rows of a label, and the errors of all.
fn residual_charts(label: &str, part: &Residuals) -> [Chart; 3] {
    let rows: u64 = part.counts.iter().sum();
    let shown = part.sample.len() as u64;
    let noted = |chart: Chart| match shown < rows {
        true => chart.note(format!(
            "{} of {} rows",
            number::count(shown),
            number::count(rows)
        )),
        false => chart,
    };
    let points = |at: Vec<(f64, f64)>| {
        vec![Points {
            at,
            ..Points::default()
        }]
    };
    let split = &part.split;
    let against = Scatter {
        title: format!("Predicted and actual on {split} rows"),
        x: Axis::new(format!("Actual {label}")),
        y: Axis::new(format!("Predicted {label}")),
        points: points(part.sample.clone()),
        guides: vec![Guide::Diagonal],
        square: true,
        ..Scatter::default()
    };
    let off = part.sample.iter();
    let errors = Scatter {
        title: format!("Errors by prediction on {split} rows"),
        x: Axis::new(format!("Predicted {label}")),
        y: Axis::new("Error"),
        points: points(
            off.map(|(actual, predicted)| (*predicted, actual - predicted))
                .collect(),
        ),
        guides: vec![Guide::Horizontal(0.0, String::new())],
        square: true,
        ..Scatter::default()
    };
    let histogram = Histogram {
        title: format!("Errors on {split} rows"),
        x: Axis::new("Error"),
        edges: part.edges.clone(),
        groups: vec![Group {
            name: split.to_string(),
            counts: part.counts.clone(),
            ink: Ink::Accent,
        }],
        marks: vec![(0.0, String::new())],
        ..Histogram::default()
    };
    [
        noted(against.draw()),
        noted(errors.draw()),
        histogram.draw(),
    ]
}
