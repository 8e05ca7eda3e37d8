//! What pages are made of: tiles, paragraphs, tables, charts and cards.

use crate::chart::Chart;
use crate::html::Element;
use crate::table::Table;

/// What a tile, a notice or a badge wants to say by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// A sign that says the same without colour.
    fn sign(self) -> &'static str {
        match self {
            Self::Plain => "i",
            Self::Good => "✓",
            Self::Warning => "!",
            Self::Bad => "×",
        }
    }
}

/// A figure at the top of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    name: String,
    figure: String,
    note: Option<String>,
    tone: Tone,
}

impl Tile {
    /// A figure and its name.
    pub fn new(name: impl Into<String>, figure: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            figure: figure.into(),
            note: None,
            tone: Tone::Plain,
        }
    }

    /// With a few words below.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    pub(crate) fn element(&self) -> Element {
        let tile = Element::new("div")
            .class(format!("tile {}", self.tone.class()))
            .child(Element::new("dt").text(self.name.clone()))
            .child(Element::new("dd").class("figure").text(self.figure.clone()));
        match &self.note {
            Some(note) => tile.child(Element::new("dd").class("note").text(note.clone())),
            None => tile,
        }
    }
}

/// What stands in a section or a card, one below the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A heading within a section.
    Heading(String),
    /// A paragraph that is to be seen.
    Notice(Tone, String),
    /// Names and what they stand for.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// Charts side by side, as many as the screen holds.
    Charts(Vec<Chart>),
    /// Cards side by side, as many as the screen holds.
    Cards(Vec<Card>),
    /// Blocks that are shown when their summary is chosen.
    Details(String, Vec<Block>),
}

impl Block {
    pub(crate) fn element(&self) -> Element {
        match self {
            Self::Text(text) => Element::new("p").text(text.clone()),
            Self::Heading(text) => Element::new("h3").text(text.clone()),
            Self::Notice(tone, text) => Element::new("p")
                .class(format!("notice {}", tone.class()))
                .child(
                    Element::new("span")
                        .class("sign")
                        .attr("aria-hidden", "true")
                        .text(tone.sign()),
                )
                .child(Element::new("span").text(text.clone())),
            Self::Facts(facts) => {
                Element::new("dl")
                    .class("facts")
                    .children(facts.iter().map(|(name, value)| {
                        Element::new("div")
                            .child(Element::new("dt").text(name.clone()))
                            .child(Element::new("dd").text(value.clone()))
                    }))
            }
            Self::Table(table) => table.element(),
            Self::Charts(charts) => Element::new("div")
                .class("cards")
                .children(charts.iter().map(Chart::figure)),
            Self::Cards(cards) => Element::new("div")
                .class("cards")
                .children(cards.iter().map(Card::element)),
            Self::Details(summary, blocks) => Element::new("details")
                .child(Element::new("summary").text(summary.clone()))
                .children(blocks.iter().map(Self::element)),
        }
    }
}

/// A part of a section with a border of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    title: String,
    badges: Vec<(Tone, String)>,
    wide: bool,
    blocks: Vec<Block>,
}

impl Card {
    /// A card without content.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            badges: Vec::new(),
            wide: false,
            blocks: Vec::new(),
        }
    }

    /// With a short word beside the title.
    #[must_use]
    pub fn badge(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.badges.push((tone, text.into()));
        self
    }

    /// As wide as the page.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// With a block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    pub(crate) fn element(&self) -> Element {
        let badges = self.badges.iter().map(|(tone, text)| {
            Element::new("span")
                .class(format!("badge {}", tone.class()))
                .text(text.clone())
        });
        Element::new("article")
            .class(if self.wide { "card wide" } else { "card" })
            .child(
                Element::new("h3")
                    .child(Element::new("span").text(self.title.clone()))
                    .children(badges),
            )
            .children(self.blocks.iter().map(Block::element))
    }
}
