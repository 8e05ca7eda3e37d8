//! Elements of a drawing.

use crate::html::Element;
use crate::number::px;

/// Height of letters on a drawing.
pub(crate) const LETTER: f64 = 12.0;

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text whose middle is `y`. A text that was cut has all of it as its tooltip.
pub(crate) fn text(x: f64, y: f64, anchor: Anchor, text: &str) -> Element {
    let element = Element::new("text").num("x", x).num("y", y + LETTER * 0.33);
    let element = match anchor {
        Anchor::Start => element,
        Anchor::Middle => element.attr("text-anchor", "middle"),
        Anchor::End => element.attr("text-anchor", "end"),
    };
    element.text(text)
}

/// A text cut to `room`, with all of it as its tooltip where it was cut.
pub(crate) fn fitted_text(x: f64, y: f64, anchor: Anchor, words: &str, room: f64) -> Element {
    let shown = fitted(words, room);
    let element = text(x, y, anchor, &shown);
    if shown == words {
        element
    } else {
        element.child(title(words))
    }
}

pub(crate) fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &'static str) -> Element {
    Element::new("line")
        .class(class)
        .num("x1", x1)
        .num("y1", y1)
        .num("x2", x2)
        .num("y2", y2)
}

/// A rectangle between two corners, in any order.
pub(crate) fn rect((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Element {
    Element::new("rect")
        .num("x", x1.min(x2))
        .num("y", y1.min(y2))
        .num("width", (x2 - x1).abs())
        .num("height", (y2 - y1).abs())
}

pub(crate) fn circle(x: f64, y: f64, radius: f64) -> Element {
    Element::new("circle")
        .num("cx", x)
        .num("cy", y)
        .num("r", radius)
}

/// The tooltip of what it stands in.
pub(crate) fn title(text: impl Into<String>) -> Element {
    Element::new("title").text(text)
}

/// A path through points, each from the one before.
pub(crate) fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 10);
    for (at, (x, y)) in points.iter().enumerate() {
        out.push(if at == 0 { 'M' } else { 'L' });
        out.push_str(&px(*x));
        out.push(' ');
        out.push_str(&px(*y));
    }
    out
}

/// About how wide a text is.
pub(crate) fn width_of(text: &str) -> f64 {
    text.chars().map(advance).sum::<f64>() * LETTER
}

/// Of a letter of height 1, on the wide side.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.33,
        'f' | 't' | 'r' | '-' | '(' | ')' | '[' | ']' | '/' => 0.42,
        '<' | '>' | '=' | '+' | '~' | '×' => 0.84,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '&' => 0.95,
        'A'..='Z' => 0.72,
        '\u{1100}'.. => 1.05,
        _ => 0.62,
    }
}

/// A text cut in its middle to fit into `room`.
pub(crate) fn fitted(text: &str, room: f64) -> String {
    // A line break would be shown as a space.
    let text = text.replace(['\n', '\r', '\t'], " ");
    if width_of(&text) <= room {
        return text;
    }
    let letters: Vec<char> = text.chars().collect();
    let mut left = (room / LETTER - advance('…')).max(0.0);
    let (mut head, mut tail) = (0, 0);
    // Two from the head for each one from the tail.
    while head + tail < letters.len() {
        let from_head = head <= 2 * tail;
        let next = match from_head {
            true => letters[head],
            false => letters[letters.len() - 1 - tail],
        };
        left -= advance(next);
        if left < 0.0 {
            break;
        }
        if from_head {
            head += 1;
        } else {
            tail += 1;
        }
    }
    let start: String = letters[..head].iter().collect();
    let end: String = letters[letters.len() - tail..].iter().collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(fitted("short", 100.0), "short");
        let cut = fitted("a_very_long_name_of_a_parameter", 90.0);
        assert!(cut.starts_with("a_very") && cut.ends_with("ter"), "{cut}");
        assert!(width_of(&cut) <= 90.0, "{cut}");
        assert_eq!(fitted("anything", 0.0), "…");
        assert_eq!(fitted("", 0.0), "");
        assert_eq!(fitted("two\nlines", 100.0), "two lines");
        assert!(fitted("葡萄酒の品質を予測するモデル", 80.0).chars().count() < 8);
    }
}
