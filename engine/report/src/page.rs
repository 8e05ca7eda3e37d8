//! One self-contained HTML document: style, drawings and script are within it, and its
//! content security policy forbids it to ask for anything else.
//!
//! Entry point: [`Page::new`], then [`Page::render`].

use std::collections::BTreeMap;

use crate::block::{Block, Card, Tile};
use crate::chart::Chart;
use crate::html::{Asset, Element, Node};
use crate::table::Table;

const STYLE: Asset = Asset(include_str!("style.css"));
const SCRIPT: Asset = Asset(include_str!("brush.js"));
/// Nothing is loaded; style and script stand in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// A part of a page with a heading, which the page's list of contents names.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    title: String,
    blocks: Vec<Block>,
}

impl Section {
    /// A section without content.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            blocks: Vec::new(),
        }
    }

    /// With a block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// With a paragraph.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.block(Block::Text(text.into()))
    }

    /// With a table.
    #[must_use]
    pub fn table(self, table: Table) -> Self {
        self.block(Block::Table(table))
    }

    /// With charts side by side.
    #[must_use]
    pub fn charts(self, charts: impl IntoIterator<Item = Chart>) -> Self {
        self.block(Block::Charts(charts.into_iter().collect()))
    }

    /// With cards side by side.
    #[must_use]
    pub fn cards(self, cards: impl IntoIterator<Item = Card>) -> Self {
        self.block(Block::Cards(cards.into_iter().collect()))
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn element(&self, id: &str) -> Element {
        Element::new("section")
            .attr("id", id)
            .attr("aria-labelledby", format!("{id}-title"))
            .child(
                Element::new("h2")
                    .attr("id", format!("{id}-title"))
                    .text(self.title.clone()),
            )
            .children(self.blocks.iter().map(Block::element))
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    kind: String,
    title: String,
    lead: Option<String>,
    facts: Vec<(String, String)>,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
}

impl Page {
    /// A page about `title`, which is of a kind such as `Training`.
    pub fn new(kind: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            title: title.into(),
            lead: None,
            facts: Vec::new(),
            tiles: Vec::new(),
            sections: Vec::new(),
        }
    }

    /// With a sentence below the title.
    #[must_use]
    pub fn lead(mut self, lead: impl Into<String>) -> Self {
        self.lead = Some(lead.into());
        self
    }

    /// With a line of the page's origin, such as a run or a version of a table.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// With a tile.
    #[must_use]
    pub fn tile(mut self, tile: Tile) -> Self {
        self.tiles.push(tile);
        self
    }

    /// With a section; one without content is left out.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        if !section.is_empty() {
            self.sections.push(section);
        }
        self
    }

    /// The document's text.
    pub fn render(&self) -> String {
        let ids = self.ids();
        let root =
            Element::new("html")
                .attr("lang", "en")
                .child(self.head())
                .child(
                    Element::new("body")
                        .child(self.top())
                        .children(self.contents(&ids))
                        .child(self.main(&ids))
                        .child(Element::new("footer").text(
                            "Made by Sluice. This page is complete in itself: it loads nothing.",
                        ))
                        .child(Element::new("script").child(Node::Static(SCRIPT))),
                );
        format!("<!DOCTYPE html>\n{}\n", root.render())
    }

    fn head(&self) -> Element {
        let meta = |name: &'static str, content: &'static str| {
            Element::new("meta")
                .attr("name", name)
                .attr("content", content)
        };
        Element::new("head")
            .child(Element::new("meta").attr("charset", "utf-8"))
            .child(
                Element::new("meta")
                    .attr("http-equiv", "Content-Security-Policy")
                    .attr("content", POLICY),
            )
            .child(meta("viewport", "width=device-width, initial-scale=1"))
            .child(meta("color-scheme", "light dark"))
            .child(meta("generator", "Sluice"))
            // An icon of its own, or browsers ask a server for one.
            .child(
                Element::new("link")
                    .attr("rel", "icon")
                    .attr("href", "data:,"),
            )
            .child(Element::new("title").text(format!("{} · {}", self.title, self.kind)))
            .child(Element::new("style").child(Node::Static(STYLE)))
    }

    fn top(&self) -> Element {
        let lead = self
            .lead
            .iter()
            .map(|lead| Element::new("p").class("lead").text(lead.clone()));
        let facts = (!self.facts.is_empty()).then(|| Block::Facts(self.facts.clone()).element());
        Element::new("header")
            .child(Element::new("p").class("kind").text(self.kind.clone()))
            .child(Element::new("h1").text(self.title.clone()))
            .children(lead)
            .children(facts)
    }

    fn main(&self, ids: &[String]) -> Element {
        let tiles = (!self.tiles.is_empty()).then(|| {
            Element::new("dl")
                .class("tiles")
                .children(self.tiles.iter().map(Tile::element))
        });
        let sections = self.sections.iter().zip(ids);
        Element::new("main")
            .children(tiles)
            .children(sections.map(|(section, id)| section.element(id)))
    }

    /// The list of contents, where there is more than one section.
    fn contents(&self, ids: &[String]) -> Option<Element> {
        let entries = self.sections.iter().zip(ids).map(|(section, id)| {
            Element::new("li").child(
                Element::new("a")
                    .attr("href", format!("#{id}"))
                    .text(section.title.clone()),
            )
        });
        (self.sections.len() > 1).then(|| {
            Element::new("nav")
                .attr("aria-label", "Sections")
                .child(Element::new("ul").children(entries))
        })
    }

    /// A name for each section that no other has: what its title spells in ASCII.
    fn ids(&self) -> Vec<String> {
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let sections = self.sections.iter();
        sections
            .map(|section| {
                let letters = section.title.chars().map(|c| match c {
                    c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
                    _ => '-',
                });
                let slug = letters.collect::<String>();
                let slug = slug.trim_matches('-');
                let slug = if slug.is_empty() { "section" } else { slug };
                let times = used.entry(slug.to_owned()).or_insert(0);
                *times += 1;
                match times {
                    1 => slug.to_owned(),
                    // Two underscores: no title spells them.
                    times => format!("{slug}__{times}"),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::Tone;
    use crate::chart::bars::{Bar, Bars};
    use crate::table::Cell;

    fn page(text: &str) -> Page {
        let mut table = Table::new(text).column(text).number("n");
        table.row([Cell::new(text).note(text), Cell::new("1").bar(0.5)]);
        let bars = Bars {
            title: text.to_owned(),
            bars: vec![Bar::new(text, 1.0, text)],
            whole: None,
        };
        Page::new(text, text)
            .lead(text)
            .fact(text, text)
            .tile(Tile::new(text, text).note(text).tone(Tone::Good))
            .section(
                Section::new(text)
                    .text(text)
                    .table(table)
                    .charts([bars.draw().note(text)])
                    .cards([Card::new(text)
                        .badge(Tone::Bad, text)
                        .wide()
                        .block(Block::Facts(vec![(text.to_owned(), text.to_owned())]))])
                    .block(Block::Details(
                        text.to_owned(),
                        vec![Block::Notice(Tone::Warning, text.to_owned())],
                    ))
                    .block(Block::Heading(text.to_owned())),
            )
            .section(Section::new(text).text(text))
            .section(Section::new("left out"))
    }

    /// Values of attributes that make a browser ask for something.
    fn asked_for(html: &str) -> Vec<&str> {
        let names = [
            " href=\"",
            " src=\"",
            " action=\"",
            " data=\"",
            " xlink:href=\"",
            " srcset=\"",
        ];
        let found = names.iter().flat_map(|name| html.split(name).skip(1));
        found.map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn nothing_is_asked_of_anyone() {
        let html = page("plain").render();
        for asked in asked_for(&html) {
            assert!(asked.starts_with('#') || asked == "data:,", "{asked}");
        }
        for word in [
            "http:",
            "https:",
            "//",
            "url(",
            "@import",
            "@font-face",
            "fetch(",
        ] {
            assert!(!html.contains(word), "{word}");
        }
        assert!(html.contains("default-src &#39;none&#39;"));
        assert!(!html.contains("left out"));
    }

    #[test]
    fn sections_of_one_title_have_names_of_their_own() {
        let page = Page::new("k", "t")
            .section(Section::new("Über: A").text("x"))
            .section(Section::new("ber a").text("x"))
            .section(Section::new("ber--a").text("x"))
            .section(Section::new("葡萄").text("x"));
        assert_eq!(page.ids(), ["ber--a", "ber-a", "ber--a__2", "section"]);
    }

    #[test]
    fn the_same_data_is_the_same_page() {
        assert_eq!(page("a").render(), page("a").render());
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in "\\PC{0,20}|[<>&\"']{1,8}|</script><script>|<!--|\u{0}") {
            let html = page(&text).render();
            let plain = page("plain").render();
            // What a parser would see: the same tags in the same order.
            let tags = |html: &str| -> Vec<String> {
                html.split('<')
                    .skip(1)
                    .map(|rest| rest.split([' ', '>']).next().unwrap().to_owned())
                    // A text that is cut has a tooltip.
                    .filter(|tag| tag != "title" && tag != "/title")
                    .collect()
            };
            prop_assert_eq!(tags(&html), tags(&plain));
        }
    }
}
