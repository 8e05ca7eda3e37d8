//! Diagnostics as miette sees them, and its drawing for terminals.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use super::{Diagnostic, Severity};
use crate::source::{Location, SourceFile, Span};

/// Source lines around a place that are drawn: longer ones are cut, which miette does not.
const MOST_DRAWN_BYTES: usize = 4000;

pub(super) fn render(diagnostic: &Diagnostic, width: usize, colour: bool) -> String {
    let related = diagnostic.related.iter().map(|related| &related.location);
    if diagnostic.location.iter().chain(related).any(is_long) {
        return super::plain::render(diagnostic);
    }
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let mut out = String::new();
    if handler.render_report(&mut out, diagnostic).is_err() {
        return super::plain::render(diagnostic);
    }
    // miette draws one file a report; places in others follow in the plain form.
    let first = diagnostic.location.as_ref().map(|at| &at.source);
    for related in &diagnostic.related {
        if first != Some(&related.location.source) {
            out.push_str(&super::plain::place(&related.location, &related.label));
        }
    }
    out
}

/// Whether the lines at a place, and those beside them, are too long to be drawn.
fn is_long(location: &Location) -> bool {
    let source = &location.source;
    let line = |offset: usize| source.position(offset).line;
    let first = line(location.span.start).saturating_sub(1).max(1);
    let last = (line(location.span.end()) + 1).min(source.line_count());
    let start = source.line_range(first).map_or(0, |range| range.start);
    let end = source.line_range(last).map_or(start, |range| range.end);
    end.saturating_sub(start) > MOST_DRAWN_BYTES
}

fn within(span: Span, limit: usize) -> SourceSpan {
    let start = span.start.min(limit);
    SourceSpan::new(start.into(), span.len.min(limit - start))
}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let location = self.location.as_ref()?;
        Some(location.source.as_ref())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let location = self.location.as_ref()?;
        let limit = location.source.text().len();
        let same_file = self
            .related
            .iter()
            .filter(|related| related.location.source == location.source)
            .map(move |related| {
                let span = within(related.location.span, limit);
                LabeledSpan::new_with_span(Some(related.label.clone()), span)
            });
        let label = if self.label.is_empty() {
            "here"
        } else {
            self.label.as_str()
        };
        let span = within(location.span, limit);
        let primary = LabeledSpan::new_primary_with_span(Some(label.to_owned()), span);
        Some(Box::new(std::iter::once(primary).chain(same_file)))
    }
}

impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self
            .printable()
            .read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.path().to_owned(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}
