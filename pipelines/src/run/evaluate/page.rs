//! The page of an evaluation.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sluice_learn::Task;
use sluice_learn::metric::{Evaluation, Metric};
use sluice_report::{Block, Cell, Page, Section, Table, Tile, Tone, number};

use super::figures::{Figures, headline};
use super::rows::{COMPARED_COLUMN, MAX_SLICES};
use super::training::MAX_TEXTS;
use super::{Evaluated, SHOWN_WORST, cautions};
use crate::plan::report::{WORST_COLUMNS, is_worst_column};
use crate::run::evidence::OneClass;
use crate::run::page::curves::{precision_recall, reliability, roc, thresholds};
use crate::run::page::residuals::errors;
use crate::run::page::scores::{classes_table, confusion_map, figure};

/// Values of a slice that are listed.
const LISTED: usize = 30;
/// Columns of a row that are shown besides what the model says.
const COLUMNS: usize = 8;
/// Characters of a text that are shown.
const CHARACTERS: usize = 240;

/// The page.
pub(super) fn page(evaluated: &Evaluated) -> Page {
    let about = &evaluated.about;
    let address = |at: usize| {
        let version = about.models.get(at).map_or("", String::as_str);
        let alias = about
            .addresses
            .get(at)
            .and_then(|address| address.split_once('@'));
        match alias {
            Some((_, alias)) => format!("{version}, @{alias}"),
            None => version.to_owned(),
        }
    };
    let rows = number::count(evaluated.figures.model.rows as u64);
    let rows = format!("{rows}{}", about.rows());
    let mut page = Page::new("Evaluation", &about.title)
        .lead(lead(evaluated))
        .fact("Model", address(0))
        .fact(
            "Data",
            format!("{}, version {}", about.table.0, about.table.1),
        )
        .fact("Rows", rows);
    if about.models.len() > 1 {
        page = page.fact("Compared with", address(1));
    }
    if let Ok(trained) = &about.trained {
        let (table, version) = &trained.table;
        let rows = number::count(trained.rows);
        page = page.fact(
            "Trained on",
            format!("{rows} rows of {table}, version {version}"),
        );
    }
    page = page.fact("Pipeline", &about.pipeline);
    for tile in tiles(&evaluated.figures, about.task) {
        page = page.tile(tile);
    }
    page.section(metrics(evaluated))
        .section(classes(evaluated))
        .section(curves(evaluated))
        .section(errors(
            &about.label,
            evaluated.figures.curves.residuals.iter(),
        ))
        .section(slices(evaluated))
        .section(comparison(evaluated))
        .section(worst(evaluated))
}

fn lead(evaluated: &Evaluated) -> String {
    let about = &evaluated.about;
    let comment = about.comment.as_ref();
    let comment = comment.map_or_else(String::new, |words| format!("{words} "));
    let estimator = about.estimators.first().map_or("model", String::as_str);
    let asked = match (about.task, &evaluated.looked.classes[..]) {
        (Task::Binary, [.., positive]) => format!("whether {} is {positive}", about.label),
        (Task::Multiclass, classes) => {
            format!("which of {} classes {} is", classes.len(), about.label)
        }
        _ => about.label.clone(),
    };
    let rows = match (about.includes_training_rows, &about.trained) {
        (true, _) => "training rows included",
        (false, Ok(_)) => "on rows that were not for training",
        (false, Err(_)) => "on rows of which it is not known whether it learned from them",
    };
    format!("{comment}How well a {estimator} tells {asked}, {rows}.")
}

fn tiles(figures: &Figures, task: Task) -> Vec<Tile> {
    let names: &[&str] = match task {
        Task::Binary => &[
            "accuracy",
            "f1",
            "auc",
            "average_precision",
            "log_loss",
            "brier",
        ],
        Task::Multiclass => &["accuracy", "f1", "f1_weighted", "auc", "log_loss"],
        Task::Regression => &["rmse", "mae", "r2", "median_absolute_error", "mape"],
    };
    let tile = |name: &&str| {
        let tile = Tile::new(*name, figure(figures.model.get(name)?));
        let baseline = figures.baselines.last();
        let note = baseline.and_then(|baseline| {
            let value = baseline.evaluation.get(name)?;
            (!value.is_nan()).then(|| format!("{} {}", called(baseline.name), figure(value)))
        });
        Some(match note {
            Some(note) => tile.note(note),
            None => tile,
        })
    };
    names.iter().filter_map(tile).collect()
}

/// A baseline as people read it.
fn called(baseline: &str) -> String {
    baseline.replace('_', " ")
}

/// All metrics with their intervals, beside those of the baselines.
fn metrics(evaluated: &Evaluated) -> Section {
    let figures = &evaluated.figures;
    let mut section = Section::new("Metrics").text(metrics_told(evaluated));
    for caution in cautions(evaluated) {
        let mut words = caution.chars();
        let first = words
            .next()
            .map_or_else(String::new, |c| c.to_uppercase().collect());
        let words = format!("{first}{}.", words.as_str());
        section = section.block(Block::Notice(Tone::Warning, words));
    }
    let mut table = Table::new("Metrics of the model and of baselines on the same rows")
        .column("metric")
        .number("model")
        .number("95 % interval");
    for baseline in &figures.baselines {
        table = table.number(called(baseline.name));
    }
    for (name, value) in &figures.model.metrics {
        let interval = figures.interval(name).map_or_else(Cell::none, |interval| {
            Cell::new(format!(
                "{} to {}",
                figure(interval.low),
                figure(interval.high)
            ))
        });
        let beaten = figures.baselines.iter().any(|baseline| {
            let other = baseline.evaluation.get(name).unwrap_or(f64::NAN);
            beats(name, other, Some(*value))
        });
        let own = match beaten {
            true => told(*value),
            false => told(*value).strong(),
        };
        let mut cells = vec![Cell::new(*name), own, interval];
        for baseline in &figures.baselines {
            let value = baseline.evaluation.get(name).unwrap_or(f64::NAN);
            let cell = told(value);
            cells.push(match beats(name, value, figures.model.get(name)) {
                true => cell.strong(),
                false => cell.quiet(),
            });
        }
        table.row(cells);
    }
    section.table(table)
}

fn told(value: f64) -> Cell {
    match value.is_nan() {
        true => Cell::none(),
        false => Cell::new(figure(value)),
    }
}

/// Whether a baseline is better than the model.
fn beats(name: &str, baseline: f64, model: Option<f64>) -> bool {
    let Ok(metric) = Metric::find(name) else {
        return false;
    };
    model.is_some_and(|model| metric.goal.better(baseline, model))
}

fn metrics_told(evaluated: &Evaluated) -> String {
    let (about, figures) = (&evaluated.about, &evaluated.figures);
    let mut told: Vec<String> = Vec::new();
    if let Ok(trained) = &about.trained {
        told.push(match about.task {
            Task::Regression => {
                "The baseline says the mean of the training rows whatever the row is.".to_owned()
            }
            _ => "The majority baseline says the most frequent class of the training rows whatever the row is, as probable as it is there.".to_owned(),
        });
        if let Some((column, texts, words)) = &trained.words {
            let some = match *texts >= MAX_TEXTS {
                true => format!(" ({} of them)", number::count(MAX_TEXTS as u64)),
                false => String::new(),
            };
            told.push(format!(
                "The bag of words is a logistic regression on which of {} words occur in {column}, weighted by how rare they are (TF-IDF), fitted to the training rows{some}.",
                number::count(*words as u64)
            ));
        }
    }
    if let Some(resamples) = figures.resamples {
        let resamples = number::count(resamples as u64);
        told.push(match about.task {
            Task::Regression => format!("Intervals are from {resamples} resamples of the rows."),
            _ => format!(
                "The interval of accuracy is Wilson's; the others are from {resamples} resamples of the rows."
            ),
        });
    }
    told.join(" ")
}

/// The classification report and the confusion matrix.
fn classes(evaluated: &Evaluated) -> Section {
    let section = Section::new("Classes");
    let Some(confusion) = &evaluated.figures.model.confusion else {
        return section;
    };
    let (about, names) = (&evaluated.about, &evaluated.looked.classes);
    let curves = &evaluated.figures.curves.classes;
    section
        .text("Precision is the share of the rows predicted to be of a class that are; recall the share of the rows of a class that are predicted so. A macro average counts each class alike, a weighted one each row.")
        .table(classes_table(about.part, names, confusion, curves))
        .charts([confusion_map(about.part, names, &confusion.counts())])
}

/// What thresholds do, and how far probabilities can be trusted.
fn curves(evaluated: &Evaluated) -> Section {
    let section = Section::new("Curves");
    let (about, curves) = (&evaluated.about, &evaluated.figures.curves.classes);
    if curves.is_empty() {
        return section;
    }
    let named: Vec<(String, &OneClass)> = curves
        .iter()
        .map(|one| match about.task {
            Task::Binary => (about.part.to_owned(), one),
            _ => (one.class.clone(), one),
        })
        .collect();
    let title = format!(" on {} rows", about.part);
    let mut charts = vec![
        roc(&title, &named),
        precision_recall(&title, &named),
        reliability(&title, &named),
    ];
    if about.task == Task::Binary {
        charts.extend(curves.first().map(|one| thresholds(one, about.threshold)));
    }
    let told = match about.task {
        Task::Binary => {
            "Each point of a curve is a threshold: rows of a larger probability are predicted positive."
        }
        _ => {
            "Each class against the rest. Each point of a curve is a threshold on the probability of the class."
        }
    };
    section
        .text(format!("{told} Of reliable probabilities the points are on the diagonal: they come true as often as they say."))
        .charts(charts)
}

/// The figures of the rows of each value of a column.
fn slices(evaluated: &Evaluated) -> Section {
    let mut section = Section::new("Slices");
    let names = headline(evaluated.about.task);
    for slices in &evaluated.figures.slices {
        let column = &slices.column;
        section = section.block(Block::Heading(column.clone()));
        if slices.values.is_empty() {
            let most = number::count(MAX_SLICES as u64);
            section = section.text(format!(
                "It has more than {most} values, which are not told apart."
            ));
            continue;
        }
        let mut table = Table::new(format!("Metrics by {column}"))
            .column(column)
            .number("rows");
        for name in names {
            table = table.number(*name);
        }
        for (value, evaluation) in slices.values.iter().take(LISTED) {
            let rows = number::count(evaluation.rows as u64);
            let cells = [Cell::new(short(value)), Cell::new(rows)];
            let figures = names
                .iter()
                .map(|name| told(evaluation.get(name).unwrap_or(f64::NAN)));
            table.row(cells.into_iter().chain(figures));
        }
        section = section.table(table);
        let more = slices.values.len().saturating_sub(LISTED);
        if more > 0 {
            let more = number::count(more as u64);
            section = section.text(format!("{more} more values are in slices.csv."));
        }
    }
    section
}

/// The other model on the same rows.
fn comparison(evaluated: &Evaluated) -> Section {
    let section = Section::new("Comparison");
    let (Some(compared), about) = (&evaluated.figures.compared, &evaluated.about) else {
        return section;
    };
    let other = about.models.get(1).map_or("", String::as_str);
    let own = about.models.first().map_or("", String::as_str);
    let mut told = vec![format!(
        "{other} on the same rows, scored in the same scan."
    )];
    if let Some(p) = compared.mcnemar {
        let count = |rows: u64| number::count(rows);
        told.push(format!(
            "They disagree on {} rows: on {} only {own} is right, on {} only {other}. If both were right equally often, as many or more would be apart with a probability of {} (McNemar's exact test).",
            count(compared.pairs.disagree),
            count(compared.pairs.only_model),
            count(compared.pairs.only_compared),
            number::significant(p, 2)
        ));
    }
    if let Some((metric, difference)) = &compared.difference {
        told.push(format!(
            "{metric} differs by {}, between {} and {} at 95 % (p = {}, by resampling the rows of both together).",
            signed(difference.value),
            signed(difference.interval.low),
            signed(difference.interval.high),
            number::significant(difference.p_value, 2)
        ));
    }
    let section = section.text(told.join(" ")).table(side_by_side(
        &evaluated.figures.model,
        &compared.evaluation,
        own,
        other,
    ));
    match &evaluated.looked.disagreeing {
        Some(rows) if rows.num_rows() > 0 => section
            .block(Block::Heading("Where they are furthest apart".to_owned()))
            .table(rows_table(
                "Rows where the models disagree",
                rows,
                about,
                true,
            )),
        _ => section,
    }
}

fn side_by_side(own: &Evaluation, other: &Evaluation, one: &str, two: &str) -> Table {
    let mut table = Table::new("Both models on the same rows")
        .column("metric")
        .number(one)
        .number(two)
        .number("difference");
    for (name, value) in &own.metrics {
        let Some(theirs) = other.get(name) else {
            continue;
        };
        let cell = |value: f64, wins: bool| match wins {
            true => told(value).strong(),
            false => told(value),
        };
        let difference = value - theirs;
        table.row([
            Cell::new(*name),
            cell(*value, beats(name, *value, Some(theirs))),
            cell(theirs, beats(name, theirs, Some(*value))),
            match difference.is_nan() {
                true => Cell::none(),
                false => Cell::new(signed(difference)).quiet(),
            },
        ]);
    }
    table
}

fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", figure(value))
}

fn worst(evaluated: &Evaluated) -> Section {
    let section = Section::new("Worst rows");
    let Some(rows) = &evaluated.looked.worst else {
        return section;
    };
    let about = &evaluated.about;
    let what = match about.task {
        Task::Regression => "whose error is largest",
        _ => "whose class the model thought least likely",
    };
    let kept = about.worst.as_ref();
    let kept = kept.map_or_else(String::new, |table| {
        format!(" The table {table} keeps them.")
    });
    let shown = rows.slice(0, rows.num_rows().min(SHOWN_WORST));
    section
        .text(format!("The rows {what}, the worst first.{kept}"))
        .table(rows_table("The worst rows", &shown, about, false))
}

/// Rows with their label, what is said of them, and some of their columns.
fn rows_table(caption: &str, rows: &RecordBatch, about: &super::About, both: bool) -> Table {
    let schema = rows.schema();
    let [prediction, score, loss, _] = WORST_COLUMNS;
    let own: Vec<usize> = (0..schema.fields().len())
        .filter(|at| {
            let name = schema.field(*at).name();
            !name.starts_with('_') && !is_worst_column(name) && *name != about.label
        })
        .take(COLUMNS)
        .collect();
    let mut table = Table::new(caption).column(&about.label).column("predicted");
    let mut places = vec![about.label.as_str(), prediction];
    if both {
        table = table.column("by the other");
        places.push(COMPARED_COLUMN);
    }
    if about.task != Task::Regression {
        table = table.number("probability");
        places.push(score);
    }
    table = table.number("loss");
    places.push(loss);
    for at in &own {
        let name = schema.field(*at).name();
        table = match schema.field(*at).data_type().is_numeric() {
            true => table.number(name),
            false => table.column(name),
        };
    }
    let options = FormatOptions::default().with_null("NULL");
    let text = |at: usize, row: usize| {
        let column = rows.column(at);
        let shown = ArrayFormatter::try_new(column, &options);
        shown.map_or_else(
            |_| "?".to_owned(),
            |shown| short(&shown.value(row).to_string()),
        )
    };
    for row in 0..rows.num_rows() {
        let named = places.iter().map(|name| match schema.index_of(name) {
            Ok(at) => {
                let shown = text(at, row);
                let number = shown.parse::<f64>();
                match number {
                    Ok(value) if [score, loss].contains(name) => Cell::new(figure(value)),
                    _ => Cell::new(shown),
                }
            }
            Err(_) => Cell::none(),
        });
        let rest = own.iter().map(|at| Cell::new(text(*at, row)));
        table.row(named.chain(rest).collect::<Vec<_>>());
    }
    table
}

/// A text that fits a cell.
fn short(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
