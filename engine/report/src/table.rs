//! Tables of texts and figures.

use crate::html::Element;

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    text: String,
    note: Option<String>,
    strong: bool,
    quiet: bool,
    bar: Option<f64>,
}

impl Cell {
    /// A cell with a text; figures are formatted before.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            note: None,
            strong: false,
            quiet: false,
            bar: None,
        }
    }

    /// Nothing to tell: an en dash.
    pub fn none() -> Self {
        Self::new("–").quiet()
    }

    /// Set in bold.
    #[must_use]
    pub fn strong(mut self) -> Self {
        self.strong = true;
        self
    }

    /// Set in the colour of secondary text.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// With a second, smaller text below.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With a bar behind the text, as long as this share (0 to 1) of the cell.
    #[must_use]
    pub fn bar(mut self, share: f64) -> Self {
        self.bar = share.is_finite().then(|| share.clamp(0.0, 1.0));
        self
    }

    fn element(&self, tag: &'static str, number: bool) -> Element {
        let mut classes = Vec::new();
        if number {
            classes.push("num");
        }
        if self.strong {
            classes.push("strong");
        }
        if self.quiet {
            classes.push("quiet");
        }
        if self.bar.is_some() {
            classes.push("bar");
        }
        let mut element = Element::new(tag);
        if !classes.is_empty() {
            element = element.class(classes.join(" "));
        }
        if let Some(share) = self.bar {
            element = element.attr("style", format!("--share:{:.1}%", share * 100.0));
        }
        element = element.text(self.text.clone());
        match &self.note {
            Some(note) => element.child(Element::new("small").text(note.clone())),
            None => element,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    number: bool,
}

/// A table. The first column heads its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    caption: String,
    shows_caption: bool,
    columns: Vec<Column>,
    rows: Vec<(bool, Vec<Cell>)>,
}

impl Table {
    /// A table without columns. The caption is for those who do not see the table, unless
    /// [`Table::with_caption`] shows it.
    pub fn new(caption: impl Into<String>) -> Self {
        Self {
            caption: caption.into(),
            shows_caption: false,
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Shows the caption above the table.
    #[must_use]
    pub fn with_caption(mut self) -> Self {
        self.shows_caption = true;
        self
    }

    /// With a column of texts.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.columns.push(Column {
            name,
            number: false,
        });
        self
    }

    /// With a column of figures, aligned at the right.
    #[must_use]
    pub fn number(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.columns.push(Column { name, number: true });
        self
    }

    /// Adds a row, one cell a column; missing cells are empty.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(Into::into).collect();
        self.rows.push((false, cells));
    }

    /// As [`Table::row`], marked as the one to look at.
    pub fn marked_row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(Into::into).collect();
        self.rows.push((true, cells));
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table, which scrolls sideways within the page where it is too wide.
    pub(crate) fn element(&self) -> Element {
        let head = self.columns.iter().map(|column| {
            let head = Element::new("th").attr("scope", "col");
            let head = if column.number {
                head.class("num")
            } else {
                head
            };
            head.text(column.name.clone())
        });
        let rows = self.rows.iter().map(|(marked, cells)| {
            let row = Element::new("tr");
            let row = if *marked { row.class("marked") } else { row };
            let empty = Cell::new("");
            row.children(self.columns.iter().enumerate().map(|(at, column)| {
                let cell = cells.get(at).unwrap_or(&empty);
                match at {
                    0 => cell.element("th", column.number).attr("scope", "row"),
                    _ => cell.element("td", column.number),
                }
            }))
        });
        let caption = Element::new("caption");
        let caption = if self.shows_caption {
            caption
        } else {
            caption.class("unseen")
        };
        let table = Element::new("table")
            .child(caption.text(self.caption.clone()))
            .child(Element::new("thead").child(Element::new("tr").children(head)))
            .child(Element::new("tbody").children(rows));
        Element::new("div")
            .class("scroll")
            .attr("tabindex", "0")
            .attr("role", "region")
            .attr("aria-label", self.caption.clone())
            .child(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_have_scopes_and_short_rows_are_filled() {
        let mut table = Table::new("Metrics").column("metric").number("test");
        table.row([Cell::new("auc"), Cell::new("0.9").strong().bar(0.9)]);
        table.marked_row(["a<b"]);
        let html = table.element().render();
        assert_eq!(html.matches("scope=\"col\"").count(), 2);
        assert_eq!(html.matches("scope=\"row\"").count(), 2);
        assert_eq!(html.matches("<td").count(), 2);
        assert!(html.contains("a&lt;b"), "{html}");
        assert!(html.contains("style=\"--share:90.0%\""), "{html}");
    }
}
