//! What the model was compared with when it was judged.

use sluice_learn::Split;
use sluice_learn::metric::Metric;
use sluice_report::{Block, Cell, Section, Table, Tone};

use super::scores::figure;
use super::{Judged, Report};

impl Report {
    /// The figures of the champion on the same test rows, where one was judged.
    pub(super) fn champion(&self) -> Section {
        let section = Section::new("Champion");
        let Some(judged) = &self.judged else {
            return section;
        };
        let (tone, fate) = match judged.moved {
            true => (Tone::Good, "moved to"),
            false => (Tone::Plain, "stayed, and did not move to"),
        };
        let words = format!(
            "@{} of {} {fate} version {}, this one: {}.",
            judged.alias, judged.model, judged.version, judged.reason
        );
        let section = section
            .text(format!(
                "Version {} held the alias; both are scored on the test rows of this training.",
                judged.champion.version
            ))
            .block(Block::Notice(tone, words));
        match self.compared(judged) {
            table if table.is_empty() => section,
            table => section.table(table),
        }
    }

    fn compared(&self, judged: &Judged) -> Table {
        let mut table = Table::new("This version and the champion on the same test rows")
            .column("metric")
            .number(format!("version {}, this one", judged.version))
            .number(format!("version {}, the champion", judged.champion.version))
            .number("difference");
        let test = self.parts.iter().find(|(split, _)| *split == Split::Test);
        for (name, own) in test.iter().flat_map(|(_, part)| &part.metrics) {
            let Some(other) = judged.champion.figures.get(&format!("test.{name}")) else {
                continue;
            };
            let better =
                |a: f64, b: f64| Metric::find(name).is_ok_and(|metric| metric.goal.better(a, b));
            let cell = |value: f64, wins: bool| match wins {
                true => Cell::new(figure(value)).strong(),
                false => Cell::new(figure(value)),
            };
            let difference = own - other;
            let sign = if difference > 0.0 { "+" } else { "" };
            table.row([
                Cell::new(*name),
                cell(*own, better(*own, *other)),
                cell(*other, better(*other, *own)),
                Cell::new(format!("{sign}{}", figure(difference))).quiet(),
            ]);
        }
        table
    }
}
