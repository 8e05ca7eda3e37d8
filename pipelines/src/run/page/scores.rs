//! Metrics of each split, and which class is taken for which.

use sluice_learn::metric::{ClassFigures, ConfusionMatrix};
use sluice_learn::{Split, Task};
use sluice_report::chart::heat_map::{Colours, HeatCell, HeatMap};
use sluice_report::{Block, Cell, Chart, Section, Table, Tile, number};

use super::Report;
use crate::run::evidence::OneClass;

/// More classes than this are not listed as a table of counts.
const COUNTED: usize = 12;

/// Matrices of more classes than this take the width of the page.
const LARGE: usize = 8;
/// Tiles that stand in one row of a large screen.
const TILES: usize = 6;

/// A metric as people read it.
pub(in crate::run) fn figure(value: f64) -> String {
    /// From here on four decimals are more than anybody reads.
    const LARGE: f64 = 100.0;
    if value.abs() >= LARGE {
        number::significant(value, 6)
    } else {
        number::metric(value)
    }
}

impl Report {
    /// The figures at the top of the page.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let names: &[&str] = match self.about.task {
            Task::Binary => &["auc", "average_precision", "log_loss", "brier", "accuracy"],
            Task::Multiclass => &["auc", "log_loss", "accuracy", "balanced_accuracy", "f1"],
            Task::Regression => &["rmse", "mae", "r2", "median_absolute_error", "mape"],
        };
        let mut tiles = self.search.as_ref().map_or_else(Vec::new, |s| s.tiles());
        let find = |split| self.parts.iter().find(|(part, _)| *part == split);
        // What matters most is what was not looked at before.
        let shown = find(Split::Test)
            .or(find(Split::Validation))
            .or(find(Split::Train));
        let Some((split, part)) = shown else {
            return tiles;
        };
        let before = find(Split::Validation).filter(|_| *split == Split::Test);
        let room = TILES - tiles.len();
        tiles.extend(names.iter().take(room).filter_map(|name| {
            let tile = Tile::new(format!("{split}.{name}"), figure(part.get(name)?));
            Some(match before.and_then(|(_, part)| part.get(name)) {
                Some(value) => tile.note(format!("validation {}", figure(value))),
                None => tile,
            })
        }));
        tiles
    }

    /// All metrics of all splits.
    pub(super) fn scores(&self) -> Section {
        let mut table = Table::new("Metrics of each split").column("metric");
        for (split, _) in &self.parts {
            table = table.number(split.as_str());
        }
        let names = self.parts.first().map(|(_, part)| &part.metrics);
        for (name, _) in names.into_iter().flatten() {
            let cells = self.parts.iter().map(|(split, part)| {
                let cell = match part.get(name) {
                    Some(value) => Cell::new(figure(value)),
                    None => Cell::none(),
                };
                match split {
                    Split::Train => cell.quiet(),
                    Split::Validation => cell,
                    Split::Test => cell.strong(),
                }
            });
            table.row(std::iter::once(Cell::new(*name)).chain(cells));
        }
        let mut section = Section::new("Metrics").text(self.scores_told());
        if let Some(notice) = self.straddling() {
            section = section.block(notice);
        }
        section.table(table)
    }

    /// What the figures of each split are worth.
    fn scores_told(&self) -> String {
        let folds = self.fitted.folds.len();
        let chosen = match (self.has(Split::Validation), &self.search) {
            _ if folds > 0 => &format!(
                "; its validation figures are means over {folds} folds, each predicted by a model of the others"
            ),
            (true, Some(_)) => " and chosen on the validation rows",
            (true, None) if self.fitted.best_iteration.is_some() => {
                " and cut back to the round that was best on the validation rows"
            }
            _ => "",
        };
        let judged = match (self.has(Split::Test), self.has(Split::Validation)) {
            (true, _) => "The test rows were looked at once, when all was decided.",
            (false, true) => {
                "There are no test rows, so nothing says how well it does on rows that nobody looked at."
            }
            (false, false) => {
                "There are no other rows, so nothing says how well it does on any that it has not seen."
            }
        };
        format!("The model was fitted on the train rows{chosen}. {judged}")
    }

    fn has(&self, split: Split) -> bool {
        self.parts.iter().any(|(part, _)| *part == split)
    }

    /// The confusion matrix of each split.
    pub(super) fn confusion(&self) -> Section {
        let section = Section::new("Confusion");
        let matrices: Vec<(Split, &ConfusionMatrix)> = self
            .parts
            .iter()
            .filter_map(|(split, part)| Some((*split, part.confusion.as_ref()?)))
            .collect();
        if matrices.is_empty() {
            return section;
        }
        let told = "Rows of each actual class by the class that is predicted. Colours are shares of the actual class.";
        // Large maps of rows that the model knows by heart tell little.
        let large = self.about.classes.len() > LARGE;
        let charts = matrices.iter();
        let charts =
            charts.filter(|(split, _)| matrices.len() == 1 || !large || *split != Split::Train);
        let charts = charts.map(|(split, matrix)| {
            confusion_map(split.as_str(), &self.about.classes, &matrix.counts())
        });
        let section = section.text(told).charts(charts);
        let last = matrices.last().filter(|_| self.about.classes.len() > 2);
        match last {
            None => section,
            Some((split, matrix)) => section.block(Block::Details(
                format!("Each class on the {split} rows"),
                vec![Block::Table(classes_table(
                    split.as_str(),
                    &self.about.classes,
                    matrix,
                    &self.evidence.classes,
                ))],
            )),
        }
    }
}

/// Precision, recall and F1 of each class, what it is taken for, and the means over classes.
pub(in crate::run) fn classes_table(
    split: &str,
    names: &[String],
    confusion: &ConfusionMatrix,
    curves: &[OneClass],
) -> Table {
    let mut table = Table::new(format!("Each class on the {split} rows"))
        .column("class")
        .number("rows")
        .number("precision")
        .number("recall")
        .number("f1")
        .number("auc");
    let counted = names.len() <= COUNTED;
    if counted {
        for name in names {
            table = table.number(format!("as {name}"));
        }
    }
    let figures = |figures: &ClassFigures| {
        [figures.precision, figures.recall, figures.f1].map(|value| Cell::new(figure(value)))
    };
    let report = confusion.report();
    let counts = confusion.counts();
    for ((name, class), counts) in names.iter().zip(&report.classes).zip(counts) {
        let mut auc = curves
            .iter()
            .filter(|one| one.split == split && one.class == *name)
            .map(|one| one.auc);
        let mut cells = vec![Cell::new(name), Cell::new(number::count(class.rows))];
        cells.extend(figures(&class.figures));
        cells.push(auc.next().map_or_else(Cell::none, |auc| figure(auc).into()));
        if counted {
            cells.extend(counts.iter().map(|count| Cell::new(number::count(*count))));
        }
        table.row(cells);
    }
    let rows: u64 = report.classes.iter().map(|class| class.rows).sum();
    for (name, mean) in [
        ("macro average", &report.macro_average),
        ("weighted average", &report.weighted_average),
    ] {
        let cells = [Cell::new(name), Cell::new(number::count(rows))];
        table.row(cells.into_iter().chain(figures(mean)));
    }
    table
}

/// Rows of each actual class by the class that is predicted.
pub(in crate::run) fn confusion_map(split: &str, names: &[String], matrix: &[Vec<u64>]) -> Chart {
    let row = |(actual, counts): (usize, &Vec<u64>)| {
        let all: u64 = counts.iter().sum();
        let cells = counts.iter().enumerate().map(|(predicted, count)| {
            let share = if all == 0 {
                0.0
            } else {
                *count as f64 / all as f64
            };
            let (shown, percent) = (number::count(*count), number::percent(share));
            HeatCell {
                value: share,
                tip: format!(
                    "{} → {}: {shown} rows, {percent}",
                    names[actual], names[predicted]
                ),
                shown: format!("{shown}\n{percent}"),
            }
        });
        (names[actual].clone(), cells.collect())
    };
    let map = HeatMap {
        title: format!("Confusion on {split} rows"),
        columns_label: "Predicted".to_owned(),
        columns: names.to_vec(),
        rows_label: "Actual".to_owned(),
        rows: matrix.iter().enumerate().map(row).collect(),
        colours: Colours::Share,
    };
    map.draw()
}
