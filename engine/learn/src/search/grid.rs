//! Every combination, in order.

use super::sampler::Sampler;
use super::space::{Coordinate, Point, Range, SearchSpace};

/// Walks the grid like an odometer: the last dimension turns fastest.
pub(super) struct Grid {
    axes: Vec<Vec<Coordinate>>,
    next: u64,
    size: u64,
}

impl Grid {
    pub(super) fn new(space: &SearchSpace, points: u64) -> Self {
        Self {
            axes: space
                .dimensions
                .iter()
                .map(|dimension| axis(&dimension.range, points))
                .collect(),
            next: 0,
            size: size(space, points),
        }
    }
}

/// How many combinations there are.
pub(super) fn size(space: &SearchSpace, points: u64) -> u64 {
    let lengths = space
        .dimensions
        .iter()
        .map(|d| axis_length(&d.range, points));
    lengths.fold(1, u64::saturating_mul)
}

/// Continuous ranges are cut into `points` values; all others are walked whole.
fn axis_length(range: &Range, points: u64) -> u64 {
    match range {
        Range::Int { low, high } => high.abs_diff(*low).saturating_add(1),
        Range::Float { low, high } | Range::Log { low, high } => {
            if low == high {
                1
            } else {
                points
            }
        }
        Range::Choice(values) => values.len() as u64,
        Range::Quantized { last, .. } => last.unsigned_abs() + 1,
    }
}

fn axis(range: &Range, points: u64) -> Vec<Coordinate> {
    let length = axis_length(range, points);
    (0..length)
        .map(|place| {
            let share = if length == 1 {
                0.0
            } else {
                place as f64 / (length - 1) as f64
            };
            match range {
                Range::Int { low, .. } => Coordinate::Whole(low + place as i64),
                Range::Choice(_) | Range::Quantized { .. } => Coordinate::Whole(place as i64),
                Range::Float { low, high } => Coordinate::Real(low + (high - low) * share),
                Range::Log { low, high } => {
                    Coordinate::Real((low * (high / low).powf(share)).clamp(*low, *high))
                }
            }
        })
        .collect()
}

impl Sampler for Grid {
    fn ask(&mut self, count: usize) -> Vec<Point> {
        let last = self.next.saturating_add(count as u64).min(self.size);
        let points = (self.next..last)
            .map(|number| {
                let mut rest = number;
                let mut point: Point = self
                    .axes
                    .iter()
                    .rev()
                    .map(|axis| {
                        let place = (rest % axis.len() as u64) as usize;
                        rest /= axis.len() as u64;
                        axis[place]
                    })
                    .collect();
                point.reverse();
                point
            })
            .collect();
        self.next = last;
        points
    }

    fn tell(&mut self, _point: &Point, _value: Option<f64>) {}
}
