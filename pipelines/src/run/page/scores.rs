//! Metrics of each split, and which class is taken for which.

use sluice_learn::metric::{ConfusionMatrix, Evaluation};
use sluice_learn::{Split, Task};
use sluice_report::chart::heat_map::{Colours, HeatCell, HeatMap};
use sluice_report::{Block, Cell, Chart, Section, Table, Tile, number};

use super::Report;

/// More classes than this are not listed as a table of counts.
const COUNTED: usize = 12;

/// Matrices of more classes than this take the width of the page.
const LARGE: usize = 8;
/// Tiles that stand in one row of a large screen.
const TILES: usize = 6;

/// A metric as people read it.
pub(super) fn figure(value: f64) -> String {
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
        let matrices: Vec<(Split, Vec<Vec<u64>>)> = self
            .parts
            .iter()
            .filter_map(|(split, part)| Some((*split, matrix(part)?)))
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
        let charts = charts.map(|(split, matrix)| self.confusion_map(*split, matrix));
        let section = section.text(told).charts(charts);
        let last = matrices.last().filter(|_| self.about.classes.len() > 2);
        match last {
            None => section,
            Some((split, matrix)) => section.block(Block::Details(
                format!("Each class on the {split} rows"),
                vec![Block::Table(self.classes_table(*split, matrix))],
            )),
        }
    }

    fn confusion_map(&self, split: Split, matrix: &[Vec<u64>]) -> Chart {
        let names = &self.about.classes;
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
            columns: names.clone(),
            rows_label: "Actual".to_owned(),
            rows: matrix.iter().enumerate().map(row).collect(),
            colours: Colours::Share,
        };
        map.draw()
    }

    /// Precision, recall and F1 of each class, and what it is taken for.
    fn classes_table(&self, split: Split, matrix: &[Vec<u64>]) -> Table {
        let mut table = Table::new(format!("Each class on the {split} rows"))
            .column("class")
            .number("rows")
            .number("precision")
            .number("recall")
            .number("f1")
            .number("auc");
        let counted = self.about.classes.len() <= COUNTED;
        if counted {
            for name in &self.about.classes {
                table = table.number(format!("as {name}"));
            }
        }
        for (class, counts) in matrix.iter().enumerate() {
            let name = &self.about.classes[class];
            let actual: u64 = counts.iter().sum();
            let predicted: u64 = matrix.iter().map(|row| row[class]).sum();
            let right = counts[class] as f64;
            let share = |all: u64| if all == 0 { 0.0 } else { right / all as f64 };
            let both = actual + predicted;
            let f1 = if both == 0 {
                0.0
            } else {
                2.0 * right / both as f64
            };
            let curves = self.evidence.classes.iter();
            let mut auc = curves
                .filter(|one| one.split == split && one.class == *name)
                .map(|one| one.auc);
            let mut cells = vec![
                Cell::new(name),
                Cell::new(number::count(actual)),
                Cell::new(figure(share(predicted))),
                Cell::new(figure(share(actual))),
                Cell::new(figure(f1)),
                auc.next().map_or_else(Cell::none, |auc| figure(auc).into()),
            ];
            if counted {
                cells.extend(counts.iter().map(|count| Cell::new(number::count(*count))));
            }
            table.row(cells);
        }
        table
    }
}

/// A row of counts for each actual class.
fn matrix(part: &Evaluation) -> Option<Vec<Vec<u64>>> {
    match part.confusion.as_ref()? {
        ConfusionMatrix::Binary(counts) => Some(vec![
            vec![counts.true_negatives, counts.false_positives],
            vec![counts.false_negatives, counts.true_positives],
        ]),
        ConfusionMatrix::Classes(counts) => Some(counts.clone()),
    }
}
