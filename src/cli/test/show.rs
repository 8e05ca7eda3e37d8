//! Results of tests for people.

use std::fmt::Write as _;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use sluice_pipelines::testing::{Difference, DifferentRow, TestResult, Verdict};

use crate::render::figures::{counted, duration};
use crate::render::screen::{Screen, Tone};

/// Rows of a difference that are shown, at most.
const MAX_ROWS: usize = 20;
/// The widest cell, in columns.
const MAX_CELL: usize = 40;
/// Before what is told below a test.
const INDENT: &str = "        ";

/// A line for each test, below it what differs, and how many passed.
pub(super) fn text(pipeline: &str, results: &[TestResult], seconds: f64, screen: Screen) -> String {
    if results.is_empty() {
        return format!("{pipeline} has no such tests: write them below `tests:`\n");
    }
    let width = |of: fn(&TestResult) -> &str| {
        let widths = results.iter().map(|result| measure_text_width(of(result)));
        widths.max().unwrap_or(0)
    };
    let names = width(|result| &result.case.name);
    let tables = width(|result| &result.case.asset.name);
    let mut text = String::new();
    for result in results {
        let (tone, verb) = match result.passed() {
            true => (Tone::Good, "ok"),
            false => (Tone::Bad, "FAILED"),
        };
        let verb = screen.paint(tone, &format!("{verb:<6}"));
        let (name, table) = (&result.case.name, &result.case.asset.name);
        let time = duration(result.seconds);
        let _infallible = writeln!(text, "{verb}  {name:<names$}  {table:<tables$}  {time}");
        if !result.passed() {
            text.push_str(&failure(result, screen));
        }
    }
    let passed = results.iter().filter(|result| result.passed()).count();
    let failed = results.len() - passed;
    let _infallible = writeln!(
        text,
        "\n{} of {pipeline} in {}: {passed} passed, {failed} failed",
        counted(results.len() as u64, "tests"),
        duration(seconds)
    );
    text
}

/// What is wrong, with the place of the test.
fn failure(result: &TestResult, screen: Screen) -> String {
    let place = format!("{}:{}", result.case.file, result.case.line);
    let place = screen.paint(Tone::Quiet, &place);
    let mut text = format!("{INDENT}{place}\n");
    match &result.verdict {
        Verdict::Passed => {}
        Verdict::Failed(words) => {
            for line in words.lines() {
                let _infallible = writeln!(text, "{INDENT}{line}");
            }
        }
        Verdict::Different(difference) => {
            let _infallible = writeln!(text, "{INDENT}{}", words(difference));
            for line in rows(difference, screen) {
                let _infallible = writeln!(text, "{INDENT}{line}");
            }
        }
    }
    text
}

/// A difference in a sentence.
pub(super) fn words(difference: &Difference) -> String {
    let (expected, actual) = (difference.expected, difference.actual);
    let there = format!(
        "{} expected (-), {} there (+)",
        counted(expected, "rows"),
        actual
    );
    match difference.only_order {
        true => format!("{there}: the rows are right, and their order is not"),
        false => there,
    }
}

/// The rows that differ, aligned: what was expected behind `-`, what is there behind `+`, and
/// below both where they differ.
pub(super) fn rows(difference: &Difference, screen: Screen) -> Vec<String> {
    let shown = &difference.rows[..difference.rows.len().min(MAX_ROWS)];
    let mut lines: Vec<(Tone, &str, Vec<String>)> = Vec::new();
    lines.push((Tone::Quiet, " ", difference.columns.clone()));
    for row in shown {
        match row {
            DifferentRow::Missing { expected } => lines.push((Tone::Bad, "-", expected.clone())),
            DifferentRow::Extra { actual } => lines.push((Tone::Good, "+", actual.clone())),
            DifferentRow::Changed {
                expected,
                actual,
                columns,
            } => {
                lines.push((Tone::Bad, "-", expected.clone()));
                lines.push((Tone::Good, "+", actual.clone()));
                lines.push((Tone::Quiet, " ", carets(expected, actual, columns)));
            }
        }
    }
    let columns = difference.columns.len();
    let cut = |cell: &String| truncate_str(cell, MAX_CELL, "…").into_owned();
    let mut widths = vec![0; columns];
    for (_, _, cells) in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(measure_text_width(&cut(cell)));
        }
    }
    let mut text: Vec<String> = Vec::with_capacity(lines.len() + 1);
    for (tone, mark, cells) in &lines {
        let cells = cells.iter().zip(&widths);
        let padded = cells
            .map(|(cell, width)| pad_str(&cut(cell), *width, Alignment::Left, None).into_owned());
        let line = format!("{mark} {}", padded.collect::<Vec<_>>().join("  "));
        text.push(screen.paint(*tone, line.trim_end()));
    }
    let more = difference.more + (difference.rows.len() - shown.len()) as u64;
    if more > 0 {
        text.push(format!("and {} more", counted(more, "rows")));
    }
    text
}

/// `^` as wide as the wider of both cells, where they differ.
fn carets(expected: &[String], actual: &[String], columns: &[usize]) -> Vec<String> {
    let cells = expected.iter().zip(actual).enumerate();
    let marks = cells.map(|(column, (a, b))| match columns.contains(&column) {
        true => "^".repeat(measure_text_width(a).max(measure_text_width(b))),
        false => String::new(),
    });
    marks.collect()
}
