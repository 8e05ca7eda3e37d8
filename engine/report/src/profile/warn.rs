//! What in a profile deserves a look.
//!
//! Each rule is one function in [`RULES`]; thresholds are those of ydata-profiling where it
//! has the same warning, unless the constant says otherwise.

use serde::Serialize;

use super::cells::Kind;
use super::result::{Column, Profile};
use crate::number::{count, percent};

/// How grave a warning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Whatever is measured on this data may be wrong.
    Grave,
    /// Probably not as it was meant.
    Look,
    /// Good to know.
    Note,
}

/// A kind of warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// The table has no rows.
    Empty,
    /// A column predicts the label alone.
    Leak,
    /// Rows of one split are in another, too.
    Straddling,
    /// Rows that repeat others.
    Duplicates,
    /// Every value is the same, or there is none.
    Constant,
    /// Nearly every value is the same.
    AlmostConstant,
    /// One class has nearly all rows.
    Imbalance,
    /// Values are missing.
    Missing,
    /// Values that are no numbers, or infinite.
    NotFinite,
    /// Nearly every row has a value of its own, as an identifier has.
    NearUnique,
    /// Many different texts.
    HighCardinality,
    /// Two columns say nearly the same.
    Correlated,
    /// Many zeros.
    Zeros,
    /// A long tail on one side.
    Skewed,
}

/// Something that deserves a look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Warning {
    /// What it is.
    pub kind: WarningKind,
    /// How grave.
    pub severity: Severity,
    /// The columns in question; none when it is about the table.
    pub columns: Vec<String>,
    /// The figure that gave rise to it: a share, a coefficient, an area or a number of rows.
    pub value: f64,
    /// The same in words, without the columns' names.
    pub words: String,
}

/// A column whose area under the curve is this or more leaks the label (own choice: what
/// tells 98 of 100 pairs apart alone is hardly a feature).
pub const LEAK_AUC: f64 = 0.98;
const MISSING_SHARE: f64 = 0.05;
const MOSTLY_MISSING_SHARE: f64 = 0.5;
const ZEROS_SHARE: f64 = 0.1;
const HIGH_CARDINALITY: u64 = 50;
const CORRELATED: f64 = 0.9;
/// Stricter than ydata-profiling, which says 20.
const SKEWNESS: f64 = 5.0;
/// The share of rows with a value of their own that makes an identifier (own choice).
const UNIQUE_SHARE: f64 = 0.99;
/// The share of one value, or of one class (own choice).
const ONE_VALUE_SHARE: f64 = 0.95;
/// Fewer rows than this make no identifier and no tail.
const FEW_ROWS: u64 = 20;

type Rule = fn(&Profile, &mut Vec<Warning>);

const RULES: &[Rule] = &[
    empty,
    leaks,
    straddling,
    constants,
    not_finite,
    duplicates,
    imbalance,
    missing,
    almost_constant,
    near_unique,
    correlated,
    high_cardinality,
    zeros,
    skewed,
];

/// The warnings of a profile, the gravest first.
pub(crate) fn warnings(profile: &Profile) -> Vec<Warning> {
    let mut found = Vec::new();
    for rule in RULES {
        rule(profile, &mut found);
    }
    found.sort_by_key(|warning| warning.severity);
    found
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn of_column(
    kind: WarningKind,
    severity: Severity,
    column: &Column,
    value: f64,
    words: impl Into<String>,
) -> Warning {
    Warning {
        kind,
        severity,
        columns: vec![column.name.clone()],
        value,
        words: words.into(),
    }
}

fn of_table(kind: WarningKind, severity: Severity, value: f64, words: String) -> Warning {
    Warning {
        kind,
        severity,
        columns: Vec::new(),
        value,
        words,
    }
}

fn empty(profile: &Profile, found: &mut Vec<Warning>) {
    if profile.rows == 0 {
        let words = "the table has no rows".to_owned();
        found.push(of_table(WarningKind::Empty, Severity::Grave, 0.0, words));
    }
}

fn leaks(profile: &Profile, found: &mut Vec<Warning>) {
    let mut leaks: Vec<(&Column, f64)> = profile
        .columns
        .iter()
        .filter_map(|column| Some((column, column.power?.auc)))
        .filter(|(_, auc)| *auc >= LEAK_AUC)
        .collect();
    leaks.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.extend(leaks.into_iter().map(|(column, auc)| {
        let words = format!("predicts the label alone (AUC {auc:.3})");
        of_column(WarningKind::Leak, Severity::Grave, column, auc, words)
    }));
}

fn straddling(profile: &Profile, found: &mut Vec<Warning>) {
    let about = if profile.equals.exact { "" } else { "about " };
    for pair in profile
        .equals
        .straddling
        .iter()
        .filter(|pair| pair.rows > 0)
    {
        let (first, second) = (&pair.first, &pair.second);
        let rows = rows_of(pair.rows, about);
        let words =
            format!("{rows} of `{second}` equal rows of `{first}`: metrics on them flatter");
        found.push(of_table(
            WarningKind::Straddling,
            Severity::Grave,
            pair.rows as f64,
            words,
        ));
    }
}

fn rows_of(rows: u64, about: &str) -> String {
    match rows {
        1 => format!("{about}1 row"),
        _ => format!("{about}{} rows", count(rows)),
    }
}

fn duplicates(profile: &Profile, found: &mut Vec<Warning>) {
    let equals = &profile.equals;
    if equals.repeated == 0 {
        return;
    }
    let part = share(equals.repeated, profile.rows);
    let about = if equals.exact { "" } else { "about " };
    let verb = if equals.repeated == 1 {
        "repeats"
    } else {
        "repeat"
    };
    let rows = rows_of(equals.repeated, about);
    let words = format!("{rows} ({}) {verb} earlier ones", percent(part));
    found.push(of_table(
        WarningKind::Duplicates,
        Severity::Look,
        part,
        words,
    ));
}

fn imbalance(profile: &Profile, found: &mut Vec<Warning>) {
    let Some(classes) = &profile.classes else {
        return;
    };
    let largest = classes.classes.iter().max_by_key(|class| class.count);
    let Some(largest) = largest else { return };
    let part = share(largest.count, profile.rows);
    if classes.classes.len() < 2 {
        let words = format!("the label `{}` has one class only", classes.by);
        found.push(of_table(
            WarningKind::Imbalance,
            Severity::Grave,
            part,
            words,
        ));
    } else if part >= ONE_VALUE_SHARE {
        let words = format!(
            "{} of the rows are of the class `{}`",
            percent(part),
            largest.value
        );
        found.push(of_table(
            WarningKind::Imbalance,
            Severity::Look,
            part,
            words,
        ));
    }
}

fn constants(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile.columns.iter().filter(|_| profile.rows > 1) {
        let words = match (column.distinct.count, column.nulls) {
            (0, _) => "has no value in any row",
            (1, 0) => "has the same value in every row",
            (1, _) => "has one value, or none",
            _ => continue,
        };
        found.push(of_column(
            WarningKind::Constant,
            Severity::Look,
            column,
            1.0,
            words,
        ));
    }
}

fn almost_constant(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.distinct.count > 1)
    {
        let filled = profile.rows - column.nulls;
        let Some(first) = column.frequent.values.first() else {
            continue;
        };
        let part = share(first.count, filled).min(1.0);
        if part >= ONE_VALUE_SHARE {
            let words = format!("is `{}` in {} of its rows", first.value, percent(part));
            let kind = WarningKind::AlmostConstant;
            found.push(of_column(kind, Severity::Note, column, part, words));
        }
    }
}

fn missing(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.distinct.count > 0)
    {
        let part = share(column.nulls, profile.rows);
        let severity = match part {
            part if part >= MOSTLY_MISSING_SHARE => Severity::Look,
            part if part >= MISSING_SHARE => Severity::Note,
            _ => continue,
        };
        let words = format!("is missing in {} of the rows", percent(part));
        found.push(of_column(
            WarningKind::Missing,
            severity,
            column,
            part,
            words,
        ));
    }
}

fn not_finite(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Number)
    {
        let Some(numbers) = &column.numbers else {
            continue;
        };
        let told = [
            (numbers.nan, "no number (NaN)"),
            (numbers.infinite, "infinite"),
        ];
        for (rows, what) in told.into_iter().filter(|(rows, _)| *rows > 0) {
            let words = format!("is {what} in {}", rows_of(rows, ""));
            let kind = WarningKind::NotFinite;
            found.push(of_column(kind, Severity::Look, column, rows as f64, words));
        }
    }
}

fn is_near_unique(profile: &Profile, column: &Column) -> Option<f64> {
    let filled = profile.rows - column.nulls;
    let whole = column.numbers.as_ref().is_some_and(|numbers| numbers.whole);
    let may = match column.kind {
        Kind::Text => true,
        Kind::Number => whole,
        _ => false,
    };
    let part = share(column.distinct.count, filled).min(1.0);
    (may && filled >= FEW_ROWS && part >= UNIQUE_SHARE).then_some(part)
}

fn near_unique(profile: &Profile, found: &mut Vec<Warning>) {
    for column in &profile.columns {
        let Some(part) = is_near_unique(profile, column) else {
            continue;
        };
        let words = match column.distinct.exact && part == 1.0 {
            true => "has a different value in every row, as an identifier has".to_owned(),
            false => {
                let about = if column.distinct.exact { "" } else { "about " };
                let count = count(column.distinct.count);
                format!("has {about}{count} different values, nearly one a row")
            }
        };
        found.push(of_column(
            WarningKind::NearUnique,
            Severity::Note,
            column,
            part,
            words,
        ));
    }
}

fn high_cardinality(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Text)
    {
        let distinct = column.distinct;
        if distinct.count > HIGH_CARDINALITY && is_near_unique(profile, column).is_none() {
            let about = if distinct.exact { "" } else { "about " };
            let words = format!("has {about}{} different texts", count(distinct.count));
            let kind = WarningKind::HighCardinality;
            found.push(of_column(
                kind,
                Severity::Note,
                column,
                distinct.count as f64,
                words,
            ));
        }
    }
}

fn correlated(profile: &Profile, found: &mut Vec<Warning>) {
    let Some(correlations) = &profile.correlations else {
        return;
    };
    let mut pairs = Vec::new();
    for (a, first) in correlations.columns.iter().enumerate() {
        for (b, second) in correlations.columns.iter().enumerate().skip(a + 1) {
            // Of two that are as strong the last is told.
            let coefficients = [
                (correlations.spearman[a][b], "Spearman's rho"),
                (correlations.pearson[a][b], "r"),
            ];
            let coefficients = coefficients.into_iter();
            let strongest = coefficients
                .filter_map(|(value, name)| Some((value?, name)))
                .max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
            if let Some((value, name)) = strongest.filter(|(value, _)| value.abs() >= CORRELATED) {
                pairs.push((*first, *second, value, name));
            }
        }
    }
    pairs.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    found.extend(
        pairs
            .into_iter()
            .map(|(first, second, value, name)| Warning {
                kind: WarningKind::Correlated,
                severity: Severity::Note,
                columns: vec![
                    profile.columns[first].name.clone(),
                    profile.columns[second].name.clone(),
                ],
                value,
                words: format!("say nearly the same ({name} {value:.2})"),
            }),
    );
}

fn zeros(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Number)
    {
        let Some(numbers) = column
            .numbers
            .as_ref()
            .filter(|_| column.distinct.count > 1)
        else {
            continue;
        };
        let part = share(numbers.zeros, profile.rows);
        if part >= ZEROS_SHARE {
            let words = format!("is zero in {} of the rows", percent(part));
            found.push(of_column(
                WarningKind::Zeros,
                Severity::Note,
                column,
                part,
                words,
            ));
        }
    }
}

fn skewed(profile: &Profile, found: &mut Vec<Warning>) {
    for column in profile
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Number)
    {
        let skewness = column.numbers.as_ref().and_then(|numbers| numbers.skewness);
        let filled = profile.rows - column.nulls;
        let Some(skewness) = skewness.filter(|_| filled >= FEW_ROWS) else {
            continue;
        };
        if skewness.abs() >= SKEWNESS {
            let side = if skewness > 0.0 { "right" } else { "left" };
            let words = format!("has a long tail to the {side} (skewness {skewness:.1})");
            found.push(of_column(
                WarningKind::Skewed,
                Severity::Note,
                column,
                skewness,
                words,
            ));
        }
    }
}
