//! The columns: all of them in a table, then each in a card.

use super::warnings::tone;
use super::{about, share};
use crate::block::{Block, Card, Tone};
use crate::chart::bars::{Bar, Bars};
use crate::chart::box_plot::{BoxOf, BoxPlot};
use crate::chart::histogram::{Group, Histogram};
use crate::chart::{Axis, Chart, Ink};
use crate::number::{count, duration, percent, short, significant};
use crate::page::Section;
use crate::profile::cells::Kind;
use crate::profile::result::{Column, Numbers, Profile};
use crate::profile::values::ValueCount;
use crate::profile::warn::{Severity, WarningKind};
use crate::table::{Cell, Table};

/// A column with so few different values shows them as bars.
const FEW_VALUES: u64 = 12;
/// Values of which even the most frequent one has a smaller share make no picture.
const SEEN_SHARE: f64 = 0.005;

/// What columns of a kind are called, one and many.
pub(super) fn kind_words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Number => ("number", "numbers"),
        Kind::Boolean => ("boolean", "booleans"),
        Kind::Time => ("time", "times"),
        Kind::Text => ("text", "texts"),
        Kind::Binary => ("binary", "binaries"),
        Kind::Nested => ("nested", "nested"),
    }
}

/// A value on a column's scale: a date for dates, else a short number.
fn shown(column: &Column, value: f64) -> String {
    column.shown(value).unwrap_or_else(|| short(value))
}

/// A table of all columns.
pub(super) fn overview(profile: &Profile) -> Section {
    let mut table = Table::new("Columns")
        .column("column")
        .column("type")
        .number("missing")
        .number("distinct")
        .number("smallest")
        .number("median")
        .number("largest");
    let classified = profile.columns.iter().any(|column| column.power.is_some());
    if classified {
        table = table.number("AUC alone");
    }
    for column in &profile.columns {
        let figure = |value: Option<f64>| match value {
            Some(value) => Cell::new(shown(column, value)),
            None => Cell::none(),
        };
        let has_values = matches!(column.kind, Kind::Number | Kind::Time);
        let numbers = column.numbers.as_ref().filter(|_| has_values);
        let missing = share(column.nulls, profile.rows);
        let missing = match column.nulls {
            0 => Cell::new("0").quiet(),
            _ => Cell::new(percent(missing)).bar(missing),
        };
        let distinct = column.distinct;
        let name = Cell::new(column.name.clone());
        let mut cells = vec![
            match &column.comment {
                Some(comment) => name.note(comment.clone()),
                None => name,
            },
            Cell::new(column.type_name.clone()).quiet(),
            missing,
            Cell::new(format!(
                "{}{}",
                about(distinct.exact),
                count(distinct.count)
            )),
            figure(numbers.map(|numbers| numbers.min)),
            figure(numbers.and_then(|numbers| numbers.quantile(0.5))),
            figure(numbers.map(|numbers| numbers.max)),
        ];
        if classified {
            cells.push(match column.power {
                Some(power) => Cell::new(format!("{:.3}", power.auc)).bar(2.0 * power.auc - 1.0),
                None if column.makes_class => Cell::new("label").quiet(),
                None => Cell::none(),
            });
        }
        table.row(cells);
    }
    Section::new("Columns").table(table)
}

/// A card for each column.
pub(super) fn cards(profile: &Profile) -> Section {
    let section = Section::new("Column by column");
    if profile.rows == 0 {
        return section;
    }
    let by = profile.classes.as_ref().map(|classes| &classes.by);
    let section = match by {
        Some(by) => section.text(format!("Colours and boxes tell the classes of {by} apart.")),
        None => section,
    };
    section.cards(profile.columns.iter().map(|column| card(profile, column)))
}

fn card(profile: &Profile, column: &Column) -> Card {
    let mut card = Card::new(column.name.clone());
    for (tone, word) in badges(profile, column) {
        card = card.badge(tone, word);
    }
    if let Some(comment) = &column.comment {
        card = card.block(Block::Text(comment.clone()));
    }
    let charts = charts(profile, column);
    if !charts.is_empty() {
        card = card.block(Block::Charts(charts));
    }
    card = card.block(Block::Facts(facts(profile, column)));
    let more = more(profile, column);
    match more.is_empty() {
        true => card,
        false => card.block(Block::Details("More figures".to_owned(), more)),
    }
}

fn badges(profile: &Profile, column: &Column) -> Vec<(Tone, String)> {
    let mut badges = vec![(Tone::Plain, column.type_name.clone())];
    let about = |warning: &&crate::profile::Warning| warning.columns.contains(&column.name);
    for warning in profile.warnings.iter().filter(about) {
        let word = match warning.kind {
            WarningKind::Leak => "leaks the label",
            WarningKind::Constant => "constant",
            WarningKind::AlmostConstant => "almost constant",
            WarningKind::Missing => "gaps",
            WarningKind::NotFinite => "not finite",
            WarningKind::NearUnique => "like an id",
            WarningKind::HighCardinality => "many texts",
            WarningKind::Correlated => "correlated",
            WarningKind::Zeros => "zeros",
            WarningKind::Skewed => "skewed",
            _ => continue,
        };
        let badge = (tone(warning.severity.min(Severity::Note)), word.to_owned());
        if !badges.contains(&badge) {
            badges.push(badge);
        }
    }
    badges
}

/// The picture of a column: its values as bars when there are few, else a histogram, and for
/// numbers a box plot.
fn charts(profile: &Profile, column: &Column) -> Vec<Chart> {
    let mut charts = Vec::new();
    let is_few = column.frequent.exact && column.distinct.count <= FEW_VALUES;
    let as_bars = match column.kind {
        Kind::Boolean => true,
        Kind::Text | Kind::Binary | Kind::Nested => true,
        Kind::Number | Kind::Time => is_few && column.histogram.is_none(),
    };
    if as_bars {
        charts.extend(frequent(profile, column));
    }
    if !(as_bars && is_few) {
        charts.extend(histogram(profile, column));
    }
    if column.kind == Kind::Number && column.distinct.count > 2 {
        charts.extend(box_plot(profile, column));
    }
    charts
}

fn frequent(profile: &Profile, column: &Column) -> Option<Chart> {
    let values = &column.frequent.values;
    let filled = profile.rows - column.nulls;
    let is_seen = |first: &ValueCount| share(first.count, filled) >= SEEN_SHARE;
    if !values.first().is_some_and(is_seen) {
        return None;
    }
    let bars = values.iter().map(|value| {
        let part = share(value.count, filled);
        let name = match value.value.is_empty() {
            true => "(empty)".to_owned(),
            false => value.value.clone(),
        };
        Bar::new(name, part, percent(part))
    });
    let title = match column.distinct.count > values.len() as u64 {
        true => "Most frequent values",
        false => "Values",
    };
    let bars = Bars {
        title: title.to_owned(),
        bars: bars.collect(),
        ..Bars::default()
    };
    Some(bars.draw())
}

fn histogram(profile: &Profile, column: &Column) -> Option<Chart> {
    let histogram = column.histogram.as_ref()?;
    let group = |name: String, counts: &[u64], ink| Group {
        name,
        counts: counts.to_vec(),
        ink,
    };
    let groups = match &profile.classes {
        Some(classes) if !histogram.by_class.is_empty() => {
            let named = classes.classes.iter().zip(&histogram.by_class).enumerate();
            named
                .map(|(at, (class, counts))| group(class.value.clone(), counts, Ink::Series(at)))
                .collect()
        }
        _ => vec![group("rows".to_owned(), &histogram.rows, Ink::Accent)],
    };
    let title = match column.kind.unit() {
        Some(unit) => format!("Length in {unit}"),
        None => "Spread".to_owned(),
    };
    let mut chart = Histogram {
        title,
        edges: histogram.edges.clone(),
        groups,
        small: true,
        ..Histogram::default()
    };
    if histogram.discrete && histogram.rows.len() <= FEW_VALUES as usize {
        let whole = histogram.edges.iter().skip(1).map(|edge| edge - 0.5);
        chart.x = Axis::default().named(whole.clone().map(|at| (at, short(at))).collect());
    }
    if column.kind == Kind::Time {
        let (ticks, names) = dates(column, &histogram.edges);
        chart.x = Axis::default().named(ticks);
        chart.edge_names = names;
    }
    Some(chart.draw())
}

/// Three dates below a histogram of times, and the names of its edges.
fn dates(column: &Column, edges: &[f64]) -> (Vec<(f64, String)>, Vec<String>) {
    const DAY_SECONDS: f64 = 86_400.0;
    let (Some(low), Some(high)) = (edges.first(), edges.last()) else {
        return Default::default();
    };
    let days = column
        .unit_seconds()
        .map_or(0.0, |unit| (high - low) * unit / DAY_SECONDS);
    let name = |value: f64| {
        let text = shown(column, value);
        match text.split_once([' ', '.']) {
            // The day is enough where there are many.
            Some((day, _)) if days >= 3.0 => day.to_owned(),
            Some((whole, _)) if text.contains('.') && days > 0.01 => whole.to_owned(),
            _ => text,
        }
    };
    let ticks = [1.0 / 6.0, 0.5, 5.0 / 6.0].map(|part| {
        let at = low + (high - low) * part;
        (at, name(at))
    });
    (
        ticks.to_vec(),
        edges.iter().map(|edge| name(*edge)).collect(),
    )
}

fn box_plot(profile: &Profile, column: &Column) -> Option<Chart> {
    if column.boxes.is_empty() {
        return None;
    }
    let boxes = column.boxes.iter().map(|of| {
        let class = of.class.zip(profile.classes.as_ref());
        let name = class.and_then(|(at, classes)| Some(classes.classes.get(at)?.value.clone()));
        BoxOf {
            name: name.unwrap_or_else(|| "all".to_owned()),
            rows: of.rows,
            low: of.low,
            first: of.q1,
            median: of.median,
            third: of.q3,
            high: of.high,
            outliers: of.beyond.clone(),
            ink: of.class.map_or(Ink::Accent, Ink::Series),
        }
    });
    let title = match &profile.classes {
        Some(_) => "By class",
        None => "Quartiles",
    };
    let plot = BoxPlot {
        title: title.to_owned(),
        // As the histogram above it.
        x: match column
            .histogram
            .as_ref()
            .map(|histogram| histogram.edges.as_slice())
        {
            Some([low, .., high]) => Axis::default().between(*low, *high),
            _ => Axis::default(),
        },
        boxes: boxes.collect(),
    };
    Some(plot.draw())
}

/// The smallest and the largest number: whole numbers and decimals in full, floats rounded.
fn range(column: &Column, numbers: &Numbers) -> String {
    let text = |value: f64, shown: &str| match column.is_float() {
        true => significant(value, 6),
        false => shown.to_owned(),
    };
    let (min, max) = (
        text(numbers.min, &numbers.min_shown),
        text(numbers.max, &numbers.max_shown),
    );
    format!("{min} to {max}")
}

/// The figures that are always seen.
fn facts(profile: &Profile, column: &Column) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(numbers) = &column.numbers {
        match column.kind {
            Kind::Boolean => {}
            Kind::Number => {
                let spread = numbers
                    .std
                    .map_or_else(String::new, |std| format!(" ± {}", short(std)));
                fact("Mean", format!("{}{spread}", short(numbers.mean)));
                fact("Range", range(column, numbers));
            }
            Kind::Time => {
                fact("First", numbers.min_shown.clone());
                fact("Last", numbers.max_shown.clone());
            }
            _ => {
                let unit = numbers.unit.unwrap_or_default();
                let (min, max) = (short(numbers.min), short(numbers.max));
                let range = if min == max {
                    min
                } else {
                    format!("{min} to {max}")
                };
                fact("Length", format!("{range} {unit}"));
            }
        }
    }
    let distinct = column.distinct;
    fact(
        "Distinct",
        format!("{}{}", about(distinct.exact), count(distinct.count)),
    );
    let missing = match column.nulls {
        0 => "none".to_owned(),
        nulls => format!("{} ({})", count(nulls), percent(share(nulls, profile.rows))),
    };
    fact("Missing", missing);
    if let Some(power) = column.power {
        fact("Predictive power", format!("AUC {:.3}", power.auc));
    }
    facts
}

/// Figures to be unfolded.
fn more(profile: &Profile, column: &Column) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(numbers) = column
        .numbers
        .as_ref()
        .filter(|_| column.kind != Kind::Boolean)
    {
        blocks.push(Block::Facts(all_numbers(profile, column, numbers)));
    }
    let frequent = &column.frequent;
    let repeats = frequent.values.first().is_some_and(|first| first.count > 1);
    if repeats && column.kind != Kind::Boolean {
        let filled = profile.rows - column.nulls;
        let title = "Most frequent values";
        let mut table = Table::new(title)
            .column("value")
            .number("rows")
            .number("share");
        for value in &frequent.values {
            let part = share(value.count, filled);
            table.row([
                Cell::new(value.value.clone()),
                Cell::new(format!("{}{}", about(frequent.exact), count(value.count))),
                Cell::new(percent(part)).bar(part),
            ]);
        }
        blocks.push(Block::Heading(title.to_owned()));
        blocks.push(Block::Table(table));
    }
    blocks
}

fn all_numbers(profile: &Profile, column: &Column, numbers: &Numbers) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: String, value: String| facts.push((name, value));
    for (part, value) in &numbers.quantiles {
        let name = match *part {
            0.25 => "First quartile".to_owned(),
            0.5 => "Median".to_owned(),
            0.75 => "Third quartile".to_owned(),
            part => format!("{} quantile", percent(part)),
        };
        fact(name, shown(column, *value));
    }
    if column.kind == Kind::Time {
        fact("Mean".to_owned(), shown(column, numbers.mean));
        let std = numbers.std.zip(column.unit_seconds());
        if let Some((std, unit)) = std {
            fact("Standard deviation".to_owned(), span(std * unit));
        }
        return facts;
    }
    if let Some(std) = numbers.std {
        fact("Standard deviation".to_owned(), short(std));
    }
    if let Some(skewness) = numbers.skewness {
        fact("Skewness".to_owned(), short(skewness));
    }
    if let Some(kurtosis) = numbers.kurtosis {
        fact("Excess kurtosis".to_owned(), short(kurtosis));
    }
    let part = |rows: u64| format!("{} ({})", count(rows), percent(share(rows, profile.rows)));
    let zeros = if column.kind == Kind::Number {
        "Zeros"
    } else {
        "Empty"
    };
    fact(zeros.to_owned(), part(numbers.zeros));
    if column.kind == Kind::Number {
        fact("Negative".to_owned(), part(numbers.negative));
        if numbers.nan > 0 {
            fact("Not a number".to_owned(), part(numbers.nan));
        }
        if numbers.infinite > 0 {
            fact("Infinite".to_owned(), part(numbers.infinite));
        }
    }
    if let Some(once) = column.frequent.once {
        fact("Values that occur once".to_owned(), count(once));
    }
    facts
}

/// A time span in days where it is long.
fn span(seconds: f64) -> String {
    const DAY_SECONDS: f64 = 86_400.0;
    match seconds >= 2.0 * DAY_SECONDS {
        true => format!("{} days", short(seconds / DAY_SECONDS)),
        false => duration(seconds),
    }
}
