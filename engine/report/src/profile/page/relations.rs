//! What holds between columns: the label and what predicts it, correlations, splits.

use super::{about, counted, share};
use crate::block::{Block, Card, Tone};
use crate::chart::Ink;
use crate::chart::bars::{Bar, Bars};
use crate::chart::heat_map::{Colours, HeatCell, HeatMap};
use crate::number::{count, percent};
use crate::page::Section;
use crate::profile::result::{Correlations, Profile};
use crate::profile::warn::LEAK_AUC;
use crate::table::{Cell, Table};

/// Predictors that are shown.
const PREDICTORS: usize = 20;
/// An area below this is as good as nothing.
const TELLING: f64 = 0.51;
/// Pairs that are shown.
const PAIRS: usize = 10;

/// The classes, and how well each column alone tells them apart.
pub(super) fn label(profile: &Profile) -> Section {
    let section = Section::new("Label");
    let Some(classes) = &profile.classes else {
        return section;
    };
    let bars = classes.classes.iter().enumerate().map(|(at, class)| {
        let part = share(class.count, profile.rows);
        let shown = format!("{} ({})", count(class.count), percent(part));
        Bar::new(class.value.clone(), part, shown).ink(Ink::Series(at))
    });
    let chart = Bars {
        title: "Rows of each class".to_owned(),
        bars: bars.collect(),
        ..Bars::default()
    };
    let mut cards = vec![Card::new(classes.by.clone()).block(Block::Charts(vec![chart.draw()]))];
    let mut powers: Vec<(&str, f64)> = profile
        .columns
        .iter()
        .filter_map(|column| Some((column.name.as_str(), column.power?.auc)))
        .collect();
    powers.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all = powers.len();
    powers.retain(|(_, auc)| *auc >= TELLING);
    powers.truncate(PREDICTORS);
    let more = all - powers.len();
    if all > 0 {
        let leaks = powers.iter().filter(|(_, auc)| *auc >= LEAK_AUC).count() as u64;
        let bars = powers.iter().map(|(name, auc)| {
            let ink = if *auc >= LEAK_AUC {
                Ink::Best
            } else {
                Ink::Accent
            };
            Bar::new(*name, auc - 0.5, format!("{auc:.3}")).ink(ink)
        });
        let chart = Bars {
            title: "AUC of each column alone, from 0.5".to_owned(),
            bars: bars.collect(),
            whole: Some(0.5),
        };
        let chart = match more {
            0 => chart.draw(),
            1 => chart
                .draw()
                .note("One more tells less than these, or nothing."),
            _ => chart.draw().note(format!(
                "{} more tell less than these, or nothing.",
                count(more as u64)
            )),
        };
        let card = Card::new("What predicts it").block(Block::Charts(vec![chart]));
        cards.push(match leaks {
            0 => card,
            _ => card.badge(Tone::Bad, counted(leaks, "leak")),
        });
    }
    let made: Vec<&str> = profile
        .columns
        .iter()
        .filter(|column| column.makes_class)
        .map(|column| column.name.as_str())
        .collect();
    let section = match made.as_slice() {
        [] => section,
        made => section.text(format!(
            "The label is made of {}, which is therefore not among its predictors.",
            made.join(", ")
        )),
    };
    section.cards(cards)
}

/// Correlations as a heat map, and the strongest of them.
pub(super) fn correlations(profile: &Profile) -> Section {
    let section = Section::new("Correlations");
    let Some(correlations) = &profile.correlations else {
        return section;
    };
    let name = |at: usize| profile.columns[correlations.columns[at]].name.clone();
    let size = correlations.columns.len();
    let rows = (0..size).map(|row| {
        let cells = (0..size).map(|column| {
            let value = correlations.pearson[row][column];
            let shown = match value {
                Some(_) if row == column => String::new(),
                Some(value) => format!("{:.2}", value + 0.0),
                None => String::new(),
            };
            HeatCell {
                value: value.unwrap_or(f64::NAN),
                tip: format!("{} and {}: {}", name(row), name(column), told(value)),
                shown,
            }
        });
        (name(row), cells.collect())
    });
    let map = HeatMap {
        title: "Pearson's r of each two columns".to_owned(),
        columns: (0..size).map(name).collect(),
        rows: rows.collect(),
        colours: Colours::Signed,
        ..HeatMap::default()
    };
    let mut section = section.block(Block::Charts(vec![map.draw()]));
    if correlations.left_out > 0 {
        section = section.text(format!(
            "Only the first {size} of {} columns are shown.",
            count(size as u64 + correlations.left_out)
        ));
    }
    let pairs = strongest(correlations);
    if pairs.is_empty() {
        return section;
    }
    let mut table = Table::new("Strongest pairs")
        .with_caption()
        .column("column")
        .column("with")
        .number("Pearson's r")
        .number("Spearman's ρ");
    for (a, b) in pairs {
        let figure = |value: Option<f64>| match value {
            Some(value) => Cell::new(format!("{:.3}", value + 0.0)).bar(value.abs()),
            None => Cell::none(),
        };
        table.row([
            Cell::new(name(a)),
            Cell::new(name(b)),
            figure(correlations.pearson[a][b]),
            figure(correlations.spearman[a][b]),
        ]);
    }
    section.table(table)
}

fn told(value: Option<f64>) -> String {
    value.map_or_else(
        || "one of them does not vary".to_owned(),
        |value| format!("{value:.3}"),
    )
}

/// The pairs with the largest of the two coefficients.
pub(super) fn strongest(correlations: &Correlations) -> Vec<(usize, usize)> {
    let size = correlations.columns.len();
    let mut pairs: Vec<(usize, usize, f64)> = Vec::new();
    for a in 0..size {
        for b in a + 1..size {
            let both = [correlations.pearson[a][b], correlations.spearman[a][b]];
            let strength = both.into_iter().flatten().map(f64::abs).fold(0.0, f64::max);
            if strength > 0.0 {
                pairs.push((a, b, strength));
            }
        }
    }
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
    pairs.truncate(PAIRS);
    pairs.into_iter().map(|(a, b, _)| (a, b)).collect()
}

/// The parts of the data, and the rows that two of them share.
pub(super) fn splits(profile: &Profile) -> Section {
    let section = Section::new("Splits");
    if profile.splits.is_empty() {
        return section;
    }
    let mut table = Table::new("Parts of the data")
        .column("part")
        .number("rows")
        .number("share");
    for split in &profile.splits {
        let part = share(split.rows, profile.rows);
        table.row([
            Cell::new(split.name.clone()),
            Cell::new(count(split.rows)),
            Cell::new(percent(part)).bar(part),
        ]);
    }
    let mut section = section.table(table);
    let equals = &profile.equals;
    let shared: u64 = equals.straddling.iter().map(|pair| pair.rows).sum();
    if profile.splits.len() > 1 && shared == 0 {
        let words = "No row of one part is equal to a row of another.";
        return section.block(Block::Notice(Tone::Good, words.to_owned()));
    }
    for pair in equals.straddling.iter().filter(|pair| pair.rows > 0) {
        let of = profile
            .splits
            .iter()
            .find(|split| split.name == pair.second);
        let part = share(pair.rows, of.map_or(0, |split| split.rows));
        let words = format!(
            "{}{} of {} ({} of them) equal a row of {}.",
            about(equals.exact),
            counted(pair.rows, "row"),
            pair.second,
            percent(part),
            pair.first
        );
        section = section.block(Block::Notice(Tone::Bad, words));
    }
    section
}
