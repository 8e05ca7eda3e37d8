//! A profile as a page.
//!
//! Entry point: [`page`]. `warnings`, `columns` and `relations` draw the sections.

mod columns;
mod relations;
mod warnings;

use super::result::Profile;
use super::warn::Severity;
use crate::block::{Block, Tile, Tone};
use crate::number::{count, percent};
use crate::page::{Page, Section};
use crate::table::{Cell, Table};

/// What a page says besides the figures.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The heading.
    pub title: String,
    /// What the report is for.
    pub comment: Option<String>,
    /// The table.
    pub table: String,
    /// Its Delta version.
    pub version: u64,
    /// The pipeline that the report belongs to.
    pub pipeline: String,
}

/// The page of a profile: the same text for the same figures.
#[must_use]
pub fn page(profile: &Profile, facts: &Facts) -> String {
    let (rows, columns) = (profile.rows, profile.columns.len() as u64);
    let lead = facts.comment.clone().unwrap_or_else(|| {
        format!(
            "What is in {}: {} and {}.",
            facts.table,
            counted(rows, "row"),
            counted(columns, "column")
        )
    });
    let mut page = Page::new("Profile", facts.title.clone())
        .lead(lead)
        .fact("Table", facts.table.clone())
        .fact("Version", facts.version.to_string())
        .fact("Pipeline", facts.pipeline.clone());
    if let Some(classes) = &profile.classes {
        page = page.fact("Label", classes.by.clone());
    }
    for tile in tiles(profile) {
        page = page.tile(tile);
    }
    page.section(warnings::section(profile))
        .section(columns::overview(profile))
        .section(relations::label(profile))
        .section(columns::cards(profile))
        .section(relations::correlations(profile))
        .section(relations::splits(profile))
        .section(examples(profile))
        .section(method(profile))
        .render()
}

/// `1 row`, `1,599 rows`.
fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", count(number)),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Prefix of a figure that is an estimate.
fn about(exact: bool) -> &'static str {
    if exact { "" } else { "≈ " }
}

fn tiles(profile: &Profile) -> Vec<Tile> {
    let rows = Tile::new("Rows", count(profile.rows));
    let rows = match profile.sample.exact {
        true => rows,
        false => rows.note(format!("{} of them sampled", count(profile.sample.rows))),
    };
    let columns = Tile::new("Columns", count(profile.columns.len() as u64));
    let columns = columns.note(kinds(profile));
    let mut tiles = vec![
        warnings_tile(profile),
        rows,
        columns,
        missing_tile(profile),
        repeated_tile(profile),
    ];
    tiles.extend(strongest_tile(profile));
    tiles
}

/// The best predictor of the label; without a label the strongest correlation.
fn strongest_tile(profile: &Profile) -> Option<Tile> {
    let powers = profile.columns.iter();
    let powers = powers.filter_map(|column| Some((column.name.as_str(), column.power?.auc)));
    if let Some((name, auc)) = powers.max_by(|a, b| a.1.total_cmp(&b.1)) {
        let tile = Tile::new("Best predictor alone", name);
        let tile = tile.note(format!("AUC {auc:.3}"));
        return Some(match auc >= super::LEAK_AUC {
            true => tile.tone(Tone::Bad),
            false => tile,
        });
    }
    let correlations = profile.correlations.as_ref()?;
    let (a, b) = *relations::strongest(correlations).first()?;
    let name = |at: usize| profile.columns[correlations.columns[at]].name.as_str();
    let r = correlations.pearson[a][b]?;
    let tile = Tile::new("Strongest correlation", format!("{r:.2}"));
    Some(tile.note(format!("{} and {}", name(a), name(b))))
}

/// `11 numbers, 1 text`.
fn kinds(profile: &Profile) -> String {
    let mut counts: Vec<(&'static str, &'static str, u64)> = Vec::new();
    for column in &profile.columns {
        let (one, many) = columns::kind_words(column.kind);
        match counts.iter_mut().find(|known| known.0 == one) {
            Some(known) => known.2 += 1,
            None => counts.push((one, many, 1)),
        }
    }
    let told: Vec<String> = counts
        .into_iter()
        .map(|(one, many, number)| match number {
            1 => format!("1 {one}"),
            _ => format!("{} {many}", count(number)),
        })
        .collect();
    told.join(", ")
}

fn missing_tile(profile: &Profile) -> Tile {
    let missing: u64 = profile.columns.iter().map(|column| column.nulls).sum();
    let cells = profile.rows * profile.columns.len() as u64;
    let with = profile
        .columns
        .iter()
        .filter(|column| column.nulls > 0)
        .count();
    let tile = Tile::new("Missing cells", percent(share(missing, cells)));
    match missing {
        0 => tile.note("every cell has a value"),
        _ => tile.note(format!(
            "{} in {}",
            count(missing),
            counted(with as u64, "column")
        )),
    }
}

fn repeated_tile(profile: &Profile) -> Tile {
    let equals = &profile.equals;
    let shown = format!("{}{}", about(equals.exact), count(equals.repeated));
    let tile = Tile::new("Repeated rows", shown);
    match equals.repeated {
        0 => tile.note("no two rows are equal"),
        repeated => tile
            .note(format!(
                "{} of all rows",
                percent(share(repeated, profile.rows))
            ))
            .tone(Tone::Warning),
    }
}

fn warnings_tile(profile: &Profile) -> Tile {
    let of = |severity: Severity| {
        let same = |warning: &&super::Warning| warning.severity == severity;
        profile.warnings.iter().filter(same).count() as u64
    };
    let (grave, look, notes) = (of(Severity::Grave), of(Severity::Look), of(Severity::Note));
    let tile = Tile::new("To look at", count(grave + look));
    let tile = tile.note(match notes {
        0 => "nothing else to note".to_owned(),
        _ => format!("and {}", counted(notes, "note")),
    });
    match (grave, look) {
        (0, 0) => tile.tone(Tone::Good),
        (0, _) => tile.tone(Tone::Warning),
        _ => tile.tone(Tone::Bad),
    }
}

fn examples(profile: &Profile) -> Section {
    let section = Section::new("Some rows");
    if profile.examples.is_empty() {
        return section;
    }
    let mut table = Table::new("Some rows");
    for column in &profile.columns {
        table = match column.kind {
            super::Kind::Number => table.number(column.name.clone()),
            _ => table.column(column.name.clone()),
        };
    }
    for row in &profile.examples {
        table.row(row.iter().map(|value| match value.as_str() {
            "NULL" => Cell::new("NULL").quiet(),
            value => Cell::new(value),
        }));
    }
    section
        .text("Chosen by a hash of their content, so that they stay the same.")
        .table(table)
}

/// What is exact, and what is not.
fn method(profile: &Profile) -> Section {
    let rows = counted(profile.sample.rows, "row");
    let sample = match profile.sample.exact {
        true => "Every figure was computed from all rows.".to_owned(),
        false => format!(
            "Counts, extremes, means and standard deviations are those of all rows. Quantiles, histograms, box plots, correlations and predictive power were computed from {rows}, chosen by a hash of their content."
        ),
    };
    let estimated = profile.columns.iter().any(|column| !column.distinct.exact);
    let mut section = Section::new("How it was computed").text(sample);
    if estimated {
        section = section.text(
            "Figures with ≈ are estimates: numbers of different values are off by about 1 %, and counts of frequent values are at most what they say.",
        );
    }
    if profile.classes.is_some() {
        section = section.text(
            "Predictive power is the area under the ROC curve of one column alone: the rows of a bin or a value of it are scored by the share of the class among such rows in other folds. 0.5 tells nothing; a column at 0.98 or above gives the label away. With several classes it is the mean over them, each against the rest.",
        );
    }
    if !profile.left_out.is_empty() {
        let names = profile.left_out.join(", ");
        section = section.block(Block::Text(format!("Left out as technical: {names}.")));
    }
    section
}
