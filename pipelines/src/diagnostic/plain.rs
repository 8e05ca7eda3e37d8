//! The plain form of a diagnostic: no colour, no wrapping, the same on every machine.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Diagnostic, Severity};
use crate::source::{Location, SourceFile, Span};

/// Longest part of a source line that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 140;

/// Renders one diagnostic, ending in a line break.
pub(super) fn render(diagnostic: &Diagnostic) -> String {
    let mut out = String::new();
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    line(
        &mut out,
        format_args!("{severity}[{}]: {}", diagnostic.code, diagnostic.message),
    );
    let places = diagnostic
        .location
        .iter()
        .map(|location| (location, diagnostic.label.as_str()))
        .chain(
            diagnostic
                .related
                .iter()
                .map(|related| (&related.location, related.label.as_str())),
        );
    let gutter = places
        .clone()
        .map(|(location, _)| location.position().line.to_string().len())
        .max()
        .unwrap_or(1);
    for (number, (location, label)) in places.enumerate() {
        snippet(&mut out, location, label, gutter, number == 0);
    }
    if let Some(help) = &diagnostic.help {
        for (number, text) in help.lines().enumerate() {
            let lead = if number == 0 { "= help:" } else { "       " };
            line(&mut out, format_args!("{:gutter$} {lead} {text}", ""));
        }
    }
    out
}

/// A place beside the first, with the line it is on.
pub(super) fn place(location: &Location, label: &str) -> String {
    let mut out = String::new();
    let gutter = location.position().line.to_string().len();
    snippet(&mut out, location, label, gutter, false);
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let at = out.len();
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
    let trimmed = out[at..].trim_end().len();
    out.truncate(at + trimmed);
    out.push('\n');
}

fn snippet(out: &mut String, location: &Location, label: &str, gutter: usize, first: bool) {
    let source = &location.source;
    let position = location.position();
    let arrow = if first { "-->" } else { ":::" };
    line(
        out,
        format_args!(
            "{:gutter$}{arrow} {}:{}:{}",
            "",
            source.path(),
            position.line,
            position.column
        ),
    );
    let shown = ShownLine::new(source, location.span, position.line);
    line(out, format_args!("{:gutter$} |", ""));
    line(
        out,
        format_args!("{:>gutter$} | {}", position.line, shown.text),
    );
    line(
        out,
        format_args!(
            "{:gutter$} | {}{} {label}",
            "",
            shown.padding,
            "^".repeat(shown.carets)
        ),
    );
}

/// A source line, cut to what fits and cleaned of control characters, and its caret.
struct ShownLine {
    text: String,
    padding: String,
    carets: usize,
}

impl ShownLine {
    fn new(source: &SourceFile, span: Span, line: usize) -> Self {
        let range = source.line_range(line).unwrap_or(0..0);
        let full = &source.text()[range.clone()];
        let start = span.start.clamp(range.start, range.end) - range.start;
        let marked = source.slice(Span::new(span.start, span.end().min(range.end)));
        let carets = first_chars(marked, MAX_SHOWN_CHARS).width().max(1);
        let from = shown_from(full, start);
        let kept = first_chars(&full[from..], MAX_SHOWN_CHARS);
        let cut = if from > 0 { "..." } else { "" };
        let more = if from + kept.len() < full.len() {
            "..."
        } else {
            ""
        };
        let before = &full[from..start];
        let blank = |c: char| match c {
            '\t' => "\t".to_owned(),
            c => " ".repeat(c.width().unwrap_or(1)),
        };
        Self {
            padding: cut.chars().chain(before.chars()).map(blank).collect(),
            text: format!("{cut}{}{more}", kept.replace(is_unprintable, "\u{fffd}")),
            carets: carets
                .min(MAX_SHOWN_CHARS - before.chars().count().min(MAX_SHOWN_CHARS))
                .max(1),
        }
    }
}

/// Where the part of a line begins that is shown for a place in it; what is far away from it
/// is not looked at, for a line may be as long as the file.
fn shown_from(line: &str, start: usize) -> usize {
    let chars_back = |end: usize, count: usize| {
        let mut chars = line[..end].char_indices().rev();
        chars.nth(count.saturating_sub(1)).map_or(0, |(at, _)| at)
    };
    if first_chars(line, MAX_SHOWN_CHARS).len() == line.len() {
        return 0;
    }
    // The whole width is used, at the end of the line too.
    chars_back(start, MAX_SHOWN_CHARS / 3).min(chars_back(line.len(), MAX_SHOWN_CHARS))
}

fn first_chars(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count);
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && c != '\t'
}
