//! The axes of a chart with numbers at its left and below.

use super::draw::{Anchor, LETTER, fitted, fitted_text, line, text, width_of};
use super::scale::{Axis, Scale, Tick};
use crate::html::Element;

/// Room for the label of the vertical axis, which stands above it.
const HEAD: f64 = 22.0;
/// Room for ticks and label of the horizontal axis.
const FOOT: f64 = 38.0;
/// Room at the right, for half of the last tick's text.
const RIGHT: f64 = 14.0;

/// A place for marks, with axes around it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) height: f64,
    x_label: String,
    y_label: String,
    y_ticks: Vec<Tick>,
}

impl Frame {
    /// Axes over the coordinates of `points`, on a drawing of `size` (width, height).
    pub(crate) fn new(
        (x, y): (&Axis, &Axis),
        points: impl Iterator<Item = (f64, f64)> + Clone,
        (width, height): (f64, f64),
    ) -> Self {
        let top = if y.label.is_empty() { 10.0 } else { HEAD };
        let bottom = height - if x.label.is_empty() { 22.0 } else { FOOT };
        let y_scale = Scale::new(y, points.clone().map(|point| point.1), (bottom, top));
        let rows = ((bottom - top) / 38.0) as usize;
        let y_ticks = y_scale.ticks(rows.clamp(2, 6));
        let widest = y_ticks
            .iter()
            .map(|tick| width_of(&tick.label))
            .fold(0.0, f64::max);
        let (left, right) = (widest + 10.0, width - RIGHT);
        Self {
            x: Scale::new(x, points.map(|point| point.0), (left, right)),
            y: y_scale,
            left,
            right,
            top,
            bottom,
            height,
            x_label: x.label.clone(),
            y_label: y.label.clone(),
            y_ticks,
        }
    }

    /// As [`Frame::new`], without a vertical axis.
    pub(crate) fn bare(
        (x, y): (&Axis, &Axis),
        points: impl Iterator<Item = (f64, f64)> + Clone,
        (width, height): (f64, f64),
    ) -> Self {
        Self::beside((x, y), points, (width, height), 4.0)
    }

    /// As [`Frame::new`], with the horizontal axis beginning at `left`, and without a
    /// vertical one.
    pub(crate) fn beside(
        (x, y): (&Axis, &Axis),
        points: impl Iterator<Item = (f64, f64)> + Clone,
        (width, height): (f64, f64),
        left: f64,
    ) -> Self {
        let mut frame = Self::new((x, y), points.clone(), (width, height));
        frame.y_ticks.clear();
        frame.left = left;
        frame.x = Scale::new(x, points.map(|point| point.0), (left, frame.right));
        frame
    }

    /// Where a point is; `None` for what has no place.
    pub(crate) fn place(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        Some((self.x.place(x)?, self.y.place(y)?))
    }

    /// The values that both axes have.
    pub(crate) fn common(&self) -> Option<(f64, f64)> {
        let ((a, b), (c, d)) = (self.x.domain(), self.y.domain());
        let (low, high) = (a.max(c), b.min(d));
        (low < high).then_some((low, high))
    }

    /// Grid, ticks and labels.
    pub(crate) fn axes(&self) -> Vec<Element> {
        let mut parts = Vec::new();
        for tick in &self.y_ticks {
            parts.push(line(self.left, tick.at, self.right, tick.at, "grid"));
            parts.push(text(self.left - 6.0, tick.at, Anchor::End, &tick.label));
        }
        parts.push(line(
            self.left,
            self.bottom,
            self.right,
            self.bottom,
            "axis",
        ));
        let columns = ((self.right - self.left) / 64.0) as usize;
        let mut free = f64::NEG_INFINITY;
        let ticks = self.x.ticks(columns.clamp(2, 8));
        // Long names give way to their neighbours.
        let room = (self.right - self.left) / ticks.len().max(1) as f64 - 4.0;
        for tick in ticks {
            parts.push(line(
                tick.at,
                self.bottom,
                tick.at,
                self.bottom + 4.0,
                "axis",
            ));
            let label = fitted(&tick.label, room.max(40.0));
            let half = width_of(&label) / 2.0;
            let last = self.right + RIGHT - half - 1.0;
            let middle = tick.at.max(half + 1.0).min(last);
            // Texts that would touch their neighbour are left out.
            if middle - half > free {
                let y = self.bottom + 4.0 + LETTER * 0.8;
                parts.push(text(middle, y, Anchor::Middle, &label));
                free = middle + half + 4.0;
            }
        }
        let room = self.right + RIGHT;
        if !self.y_label.is_empty() {
            let label = fitted_text(0.0, LETTER * 0.6, Anchor::Start, &self.y_label, room);
            parts.push(label.class("label"));
        }
        if !self.x_label.is_empty() {
            let y = self.height - LETTER * 0.6;
            let label = fitted_text(self.right, y, Anchor::End, &self.x_label, room);
            parts.push(label.class("label"));
        }
        parts
    }
}
