//! What the model looks at.

use std::collections::BTreeMap;

use sluice_report::chart::bars::{Bar, Bars};
use sluice_report::{Block, Cell, Section, Table, number};

use super::{Report, counted};

/// Features that the charts show.
const SHOWN: usize = 15;

impl Report {
    /// Importance by gain and by SHAP values.
    pub(super) fn features(&self) -> Section {
        let section = Section::new("Features");
        if self.fitted.importance.is_empty() {
            return section;
        }
        let gain = Bars {
            title: "Importance by gain".to_owned(),
            bars: self
                .fitted
                .importance
                .iter()
                .take(SHOWN)
                .map(|f| Bar::new(&f.feature, f.gain, number::percent(f.gain)))
                .collect(),
            whole: None,
        };
        let shap = Bars {
            title: "Importance by SHAP values".to_owned(),
            bars: self
                .evidence
                .shap
                .iter()
                .take(SHOWN)
                .map(|f| {
                    let value = f.mean_abs_shap;
                    Bar::new(&f.feature, value, number::significant(value, 3))
                })
                .collect(),
            whole: None,
        };
        section
            .charts([
                gain.draw()
                    .note("The share of the loss that splits on a feature took away."),
                shap.draw().note(
                    "How far a feature moves a prediction: the mean absolute SHAP value over a sample of rows.",
                ),
            ])
            .block(Block::Details(
                counted(self.fitted.importance.len(), "feature"),
                vec![Block::Table(self.features_table())],
            ))
    }

    fn features_table(&self) -> Table {
        let mut table = Table::new("All features")
            .column("feature")
            .number("gain")
            .number("splits")
            .number("mean |SHAP|");
        let shap: BTreeMap<&str, f64> = self
            .evidence
            .shap
            .iter()
            .map(|f| (f.feature.as_str(), f.mean_abs_shap))
            .collect();
        let most = self.fitted.importance.first().map_or(0.0, |f| f.gain);
        for feature in &self.fitted.importance {
            let moved = shap.get(feature.feature.as_str());
            table.row([
                Cell::new(&feature.feature),
                Cell::new(number::percent(feature.gain)).bar(feature.gain / most),
                Cell::new(number::count(feature.splits)),
                moved.map_or_else(Cell::none, |m| number::significant(*m, 4).into()),
            ]);
        }
        table
    }
}
