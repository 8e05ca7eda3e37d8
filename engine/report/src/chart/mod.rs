//! Charts as inline SVG: plain functions of plain data, one file a kind.
//!
//! Each kind is a struct of data with a `draw` that gives a [`Chart`]. A drawing is as wide
//! as a phone ([`Size::Standard`]) so that its letters are read without zooming, and pages
//! set several side by side; what needs more room is [`Size::Wide`] and scrolls within its
//! frame on a phone. Colours are classes, which the page's style gives a value in each
//! theme. What is no finite number is left out, and a chart of nothing says so.

pub mod bars;
pub mod box_plot;
pub mod heat_map;
pub mod histogram;
pub mod lines;
pub mod parallel;
pub mod reliability;
pub mod scatter;

mod draw;
mod frame;
mod palette;
mod scale;
mod simplify;
#[cfg(test)]
mod tests;

pub use palette::{Ink, SERIES};
pub use scale::Axis;

use crate::html::Element;

/// How much room a chart takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// As wide as a phone; several side by side on larger screens.
    #[default]
    Standard,
    /// As wide as the page.
    Wide,
}

impl Size {
    /// The width of the drawing, in its units.
    pub(crate) fn width(self) -> f64 {
        match self {
            Self::Standard => 340.0,
            Self::Wide => 880.0,
        }
    }
}

/// An entry of a legend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) ink: Ink,
    pub(crate) name: String,
}

/// A drawn chart, ready for a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    title: String,
    /// What the drawing shows, for those who do not see it.
    description: String,
    note: Option<String>,
    size: Size,
    keys: Vec<Key>,
    /// What a scale of colours runs from and to.
    ramp: Option<(String, String)>,
    drawing: Drawing,
}

#[derive(Debug, Clone, PartialEq)]
enum Drawing {
    Svg {
        height: f64,
        content: Vec<Element>,
        /// For the script of the page, which lets axes be brushed.
        brushed: bool,
    },
    /// There is nothing to draw, and this is why.
    Nothing(&'static str),
}

impl Chart {
    pub(crate) fn new(
        title: &str,
        description: String,
        height: f64,
        content: Vec<Element>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            description,
            note: None,
            size: Size::Standard,
            keys: Vec::new(),
            ramp: None,
            drawing: Drawing::Svg {
                height,
                content,
                brushed: false,
            },
        }
    }

    pub(crate) fn nothing(title: &str, why: &'static str) -> Self {
        Self {
            title: title.to_owned(),
            description: why.to_owned(),
            note: None,
            size: Size::Standard,
            keys: Vec::new(),
            ramp: None,
            drawing: Drawing::Nothing(why),
        }
    }

    pub(crate) fn sized(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    pub(crate) fn keyed(mut self, keys: Vec<Key>) -> Self {
        self.keys = keys;
        self
    }

    pub(crate) fn ramped(mut self, ramp: Option<(String, String)>) -> Self {
        self.ramp = ramp;
        self
    }

    pub(crate) fn brushed(mut self) -> Self {
        if let Drawing::Svg { brushed, .. } = &mut self.drawing {
            *brushed = true;
        }
        self
    }

    /// With a sentence below the title.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The drawing without its frame.
    pub fn svg(&self) -> Option<Element> {
        let Drawing::Svg {
            height,
            content,
            brushed,
        } = &self.drawing
        else {
            return None;
        };
        let width = self.size.width();
        let svg = Element::new("svg")
            .attr("viewBox", format!("0 0 {width} {}", height.ceil()))
            .attr("role", "img")
            .attr("aria-label", self.title.clone());
        let svg = if *brushed { svg.class("brushed") } else { svg };
        Some(
            svg.child(Element::new("desc").text(self.description.clone()))
                .children(content.iter().cloned()),
        )
    }

    /// The chart with its title, note and legend.
    pub(crate) fn figure(&self) -> Element {
        let title = Element::new("figcaption")
            .child(Element::new("h3").text(self.title.clone()))
            .children(
                self.note
                    .iter()
                    .map(|note| Element::new("p").text(note.clone())),
            );
        let keys = self.keys.iter().map(|key| {
            Element::new("li")
                .child(
                    Element::new("span")
                        .class(format!("key {}", key.ink.class()))
                        .attr("aria-hidden", "true"),
                )
                .text(key.name.clone())
        });
        let legend =
            (!self.keys.is_empty()).then(|| Element::new("ul").class("legend").children(keys));
        let ramp = self.ramp.as_ref().map(|(low, high)| {
            Element::new("p")
                .class("ramp")
                .child(Element::new("span").text(low.clone()))
                .child(
                    Element::new("span")
                        .class("colours")
                        .attr("aria-hidden", "true"),
                )
                .child(Element::new("span").text(high.clone()))
        });
        let drawing = match self.svg() {
            None => Element::new("p").class("nothing").text(&*self.description),
            Some(svg) if self.size == Size::Wide => Element::new("div")
                .class("scroll")
                .attr("tabindex", "0")
                .attr("role", "region")
                .attr("aria-label", self.title.clone())
                .child(svg),
            Some(svg) => svg,
        };
        Element::new("figure")
            .class(match self.size {
                Size::Standard => "card chart",
                Size::Wide => "card chart wide",
            })
            .child(title)
            .children(legend)
            .children(ramp)
            .child(drawing)
    }
}
