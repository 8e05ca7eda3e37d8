//! A tree of HTML and SVG elements that is escaped when it is written: there is no way to put
//! a text into a page as markup.

use std::fmt::Write as _;

use crate::number::px;

/// Elements that have no end tag.
const VOID: [&str; 4] = ["br", "link", "meta", "hr"];

/// What stands within an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, as people shall read it.
    Text(String),
    /// Style or script of this crate.
    Static(Asset),
}

/// Text of this crate that is written as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asset(pub(crate) &'static str);

/// An element of HTML or SVG. Names of tags and attributes are the program's own; values and
/// texts may be anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    tag: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

impl Element {
    /// An element without attributes or children.
    pub fn new(tag: &'static str) -> Self {
        Self {
            tag,
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// With an attribute.
    #[must_use]
    pub fn attr(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With an attribute that is a length or a place, in units of the drawing; what is no
    /// finite number is written as 0.
    #[must_use]
    pub fn num(self, name: &'static str, value: f64) -> Self {
        self.attr(name, px(value))
    }

    /// With classes.
    #[must_use]
    pub fn class(self, classes: impl Into<String>) -> Self {
        self.attr("class", classes)
    }

    /// With a child.
    #[must_use]
    pub fn child(mut self, child: impl Into<Node>) -> Self {
        self.children.push(child.into());
        self
    }

    /// With children.
    #[must_use]
    pub fn children<N: Into<Node>>(mut self, children: impl IntoIterator<Item = N>) -> Self {
        self.children.extend(children.into_iter().map(Into::into));
        self
    }

    /// With a text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.child(Node::Text(text.into()))
    }

    /// The markup.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.tag);
        for (name, value) in &self.attributes {
            // Writing to a String cannot fail.
            let _ = write!(out, " {name}=\"");
            escape(value, out);
            out.push('"');
        }
        out.push('>');
        if VOID.contains(&self.tag) {
            return;
        }
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(out),
                Node::Text(text) => escape(text, out),
                Node::Static(asset) => out.push_str(asset.0),
            }
        }
        let _ = write!(out, "</{}>", self.tag);
        if is_block(self.tag) {
            out.push('\n');
        }
    }
}

/// Elements after which the markup goes on on a line of its own, for people who read it.
fn is_block(tag: &str) -> bool {
    matches!(
        tag,
        "svg"
            | "figure"
            | "section"
            | "table"
            | "tr"
            | "thead"
            | "tbody"
            | "head"
            | "style"
            | "script"
            | "header"
            | "main"
            | "nav"
            | "dl"
            | "ul"
    )
}

/// Writes a text so that it is read as text, within an attribute too. Characters that HTML
/// does not allow become U+FFFD.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            other if other.is_control() || is_noncharacter(other) => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}

fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

impl From<Element> for Node {
    fn from(element: Element) -> Self {
        Self::Element(element)
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Element;

    /// The text that a browser reads from escaped markup.
    fn unescaped(markup: &str) -> String {
        markup
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn elements_nest_and_void_ones_have_no_end() {
        let element = Element::new("p")
            .class("a")
            .text("1 < 2")
            .child(Element::new("br"))
            .child(Element::new("b").attr("title", "\"&'").text("x"));
        assert_eq!(
            element.render(),
            "<p class=\"a\">1 &lt; 2<br><b title=\"&quot;&amp;&#39;\">x</b></p>"
        );
    }

    #[test]
    fn numbers_are_short_and_finite() {
        let element = Element::new("rect")
            .num("x", 1.0 / 3.0)
            .num("y", f64::NAN)
            .num("width", f64::INFINITY)
            .num("height", -0.001);
        assert_eq!(
            element.render(),
            "<rect x=\"0.3\" y=\"0\" width=\"0\" height=\"0\"></rect>"
        );
    }

    proptest! {
        #[test]
        fn any_text_stays_text(text in any::<String>()) {
            let element = Element::new("b").attr("title", text.clone()).text(text.clone());
            let markup = element.render();
            let inner = markup
                .strip_prefix("<b title=\"")
                .and_then(|rest| rest.strip_suffix("</b>"))
                .unwrap();
            let (attribute, content) = inner.split_once("\">").unwrap();
            for part in [attribute, content] {
                prop_assert!(!part.contains(['<', '>', '"', '\'']));
            }
            prop_assert_eq!(attribute, content);
            let shown: String = text
                .chars()
                .map(|c| match c {
                    '\n' | '\t' => c,
                    c if c.is_control() || super::is_noncharacter(c) => '\u{FFFD}',
                    c => c,
                })
                .collect();
            prop_assert_eq!(unescaped(content), shown);
        }
    }
}
