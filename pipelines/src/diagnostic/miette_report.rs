//! Diagnostics as miette sees them, and its drawing for terminals.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use super::{Diagnostic, Severity};
use crate::source::{SourceFile, Span};

pub(super) fn render(diagnostic: &Diagnostic, width: usize, colour: bool) -> String {
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
