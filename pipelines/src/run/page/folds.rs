//! How far the figures of folds lie apart.

use sluice_learn::validate::deviation;
use sluice_report::{Block, Cell, Section, Table, number};

use super::Report;
use super::scores::figure;

impl Report {
    /// The metrics fold by fold, with their means and standard deviations.
    pub(super) fn folds(&self) -> Section {
        let section = Section::new("Folds");
        let folds = &self.fitted.folds;
        if folds.is_empty() {
            return section;
        }
        let mut table = Table::new("Metrics of each fold").column("metric");
        for fold in 1..=folds.len() {
            table = table.number(format!("fold {fold}"));
        }
        table = table.number("mean").number("std");
        for (name, deviation) in deviation(folds) {
            let values = folds.iter().map(|fold| fold.evaluation.get(name));
            let values: Vec<f64> = values.map(|value| value.unwrap_or(f64::NAN)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let cells = values.iter().map(|value| Cell::new(figure(*value)));
            table.row(
                std::iter::once(Cell::new(name))
                    .chain(cells)
                    .chain([Cell::new(figure(mean)).strong(), figure(deviation).into()]),
            );
        }
        let counts = |shown: &dyn Fn(&sluice_learn::validate::FoldFigures) -> usize| {
            let counts = folds.iter();
            let counts: Vec<String> = counts
                .map(|fold| number::count(shown(fold) as u64))
                .collect();
            counts.join(", ")
        };
        section
            .text("Each fold is predicted by a model that was fitted on the others; the model that is kept was fitted on all of them.")
            .table(table)
            .block(Block::Facts(vec![
                ("Rows".to_owned(), counts(&|fold| fold.evaluation.rows)),
                ("Rounds or trees".to_owned(), counts(&|fold| fold.iterations)),
            ]))
    }
}
