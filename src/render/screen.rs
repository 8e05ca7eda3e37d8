//! What the output can show: width, colour, redrawing.

use console::{Style, Term};

/// Width assumed where there is no terminal to ask, in columns.
const WIDTH_WITHOUT_TERMINAL: usize = 100;
/// Narrower terminals are treated as this wide, in columns.
const NARROWEST: usize = 20;

/// What an output stream can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns that fit on a line.
    pub(crate) width: usize,
    /// Whether colours are wanted and understood.
    pub(crate) color: bool,
    /// Whether lines can be drawn again in place.
    pub(crate) redraws: bool,
}

impl Screen {
    /// A pipe or a file: plain text.
    pub(crate) const fn plain() -> Self {
        Self {
            width: WIDTH_WITHOUT_TERMINAL,
            color: false,
            redraws: false,
        }
    }

    /// What standard output can show.
    pub(crate) fn stdout() -> Self {
        Self::of(&Term::stdout())
    }

    /// What standard error can show.
    pub(crate) fn stderr() -> Self {
        Self::of(&Term::stderr())
    }

    fn of(term: &Term) -> Self {
        if !term.is_term() {
            return Self::plain();
        }
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        // https://no-color.org: set and not empty.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = term
            .size_checked()
            .map_or(WIDTH_WITHOUT_TERMINAL, |(_, columns)| usize::from(columns));
        Self {
            width: width.max(NARROWEST),
            color: !dumb && !no_color,
            redraws: !dumb,
        }
    }

    /// The same; a pipe or a file takes lines of any length.
    pub(crate) fn uncut(self) -> Self {
        match self == Self::plain() {
            true => Self {
                width: usize::from(u16::MAX),
                ..self
            },
            false => self,
        }
    }

    /// `text` in the colour of `tone`, or as it is where there are no colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => Style::new().green(),
            Tone::Quiet => Style::new().dim(),
            Tone::Warning => Style::new().yellow(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Head => Style::new().bold(),
        };
        style.force_styling(true).apply_to(text).to_string()
    }
}

/// What a piece of text means, whatever colour shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Quiet,
    Warning,
    Bad,
    Head,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_only_where_colours_are_wanted() {
        let plain = Screen::plain();
        assert_eq!(plain.paint(Tone::Bad, "no"), "no");
        let color = Screen {
            color: true,
            ..plain
        };
        assert_eq!(color.paint(Tone::Good, "yes"), "\u{1b}[32myes\u{1b}[0m");
        assert_eq!(color.paint(Tone::Plain, "yes"), "yes");
    }
}
