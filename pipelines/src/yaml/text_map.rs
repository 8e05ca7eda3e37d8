//! From bytes of a derived text back to the bytes of the file it was derived from.

use std::ops::Range;

use crate::source::Span;

/// One run of a text and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    /// First byte of the derived text; the segment ends where the next begins.
    text_start: usize,
    /// The bytes of the file.
    source: Span,
    /// True when the derived bytes are the file's bytes, one by one.
    verbatim: bool,
}

/// Maps byte ranges of a text to byte ranges of the file that it was read from.
///
/// A text is a chain of segments: *verbatim* ones, whose bytes are the file's own, and
/// *opaque* ones (an escape, a folded line break, a substituted variable), which stand as a
/// whole for a range of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextMap {
    segments: Vec<Segment>,
    len: usize,
    /// Where an empty range of an empty text points.
    origin: usize,
}

impl TextMap {
    /// The map of an empty text that would begin at byte `origin` of the file.
    #[must_use]
    pub fn empty(origin: usize) -> Self {
        Self {
            segments: Vec::new(),
            len: 0,
            origin,
        }
    }

    /// The map of a text of `len` bytes that is the file's own from byte `origin` on.
    #[must_use]
    pub fn identity(origin: usize, len: usize) -> Self {
        let mut map = Self::empty(origin);
        map.push_verbatim(origin, len);
        map
    }

    /// The map of a text of `len` bytes that as a whole stands for `source`.
    #[must_use]
    pub fn opaque(source: Span, len: usize) -> Self {
        let mut map = Self::empty(source.start);
        map.push_opaque(source, len);
        map
    }

    /// Length in bytes of the text.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.len
    }

    /// Appends `len` bytes that are the file's own from `source_start` on.
    pub fn push_verbatim(&mut self, source_start: usize, len: usize) {
        if len == 0 {
            return;
        }
        if let Some(last) = self.segments.last_mut()
            && last.verbatim
            && last.source.end() == source_start
        {
            last.source.len += len;
        } else {
            self.segments.push(Segment {
                text_start: self.len,
                source: Span::new(source_start, source_start + len),
                verbatim: true,
            });
        }
        self.len += len;
    }

    /// Appends `len` bytes that stand for `source` as a whole.
    pub fn push_opaque(&mut self, source: Span, len: usize) {
        if len == 0 {
            return;
        }
        self.segments.push(Segment {
            text_start: self.len,
            source,
            verbatim: false,
        });
        self.len += len;
    }

    /// Appends the part `range` of another map.
    pub fn push_slice(&mut self, other: &TextMap, range: Range<usize>) {
        for (segment, covered) in other.covered(&range) {
            if segment.verbatim {
                let skipped = covered.start - segment.text_start;
                self.push_verbatim(segment.source.start + skipped, covered.len());
            } else {
                self.push_opaque(segment.source, covered.len());
            }
        }
    }

    /// The bytes of the file that a range of the text comes from. Ranges behind the end
    /// count as the end; an empty range gives an empty span, except inside an opaque
    /// segment, where it gives the whole of what the segment stands for.
    #[must_use]
    pub fn to_source(&self, range: Range<usize>) -> Span {
        let start = range.start.min(self.len);
        let end = range.end.clamp(start, self.len);
        let Some(last) = self.segments.last() else {
            return Span::point(self.origin);
        };
        if start == self.len {
            return Span::point(last.source.end());
        }
        if start == end {
            let segment = self.segment_at(start);
            let inside = start > segment.text_start;
            return match (segment.verbatim, inside) {
                (true, _) => Span::point(segment.source.start + start - segment.text_start),
                (false, true) => segment.source,
                (false, false) => Span::point(segment.source.start),
            };
        }
        let first = self.segment_at(start);
        let from = if first.verbatim {
            first.source.start + start - first.text_start
        } else {
            first.source.start
        };
        let last = self.segment_at(end - 1);
        let to = if last.verbatim {
            last.source.start + end - last.text_start
        } else {
            last.source.end()
        };
        Span::new(from, to)
    }

    /// The segment that holds byte `at`; `at` must lie before the end of the text.
    fn segment_at(&self, at: usize) -> Segment {
        let behind = self.segments.partition_point(|s| s.text_start <= at);
        self.segments[behind.saturating_sub(1)]
    }

    fn covered<'a>(
        &'a self,
        range: &'a Range<usize>,
    ) -> impl Iterator<Item = (Segment, Range<usize>)> + 'a {
        let first = self
            .segments
            .partition_point(|segment| segment.text_start <= range.start)
            .saturating_sub(1);
        let segments = &self.segments[first.min(self.segments.len())..];
        let ends = segments
            .iter()
            .skip(1)
            .map(|next| next.text_start)
            .chain([self.len]);
        segments
            .iter()
            .zip(ends)
            .take_while(|(segment, _)| segment.text_start < range.end)
            .filter_map(move |(segment, end)| {
                let covered = segment.text_start.max(range.start)..end.min(range.end);
                (covered.start < covered.end).then_some((*segment, covered))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ab` from byte 10, `XYZ` for bytes 12..16, `cd` from byte 16.
    fn map() -> TextMap {
        let mut map = TextMap::empty(10);
        map.push_verbatim(10, 2);
        map.push_opaque(Span::new(12, 16), 3);
        map.push_verbatim(16, 2);
        map
    }

    #[test]
    fn maps_bytes_runs_and_ends() {
        assert_eq!(map().to_source(0..1), Span::new(10, 11));
        assert_eq!(map().to_source(1..2), Span::new(11, 12));
        assert_eq!(map().to_source(2..3), Span::new(12, 16));
        assert_eq!(map().to_source(1..6), Span::new(11, 17));
        assert_eq!(map().to_source(6..6), Span::point(17));
        assert_eq!(map().to_source(3..3), Span::new(12, 16));
        assert_eq!(map().to_source(7..7), Span::point(18));
        assert_eq!(map().to_source(90..95), Span::point(18));
        assert_eq!(TextMap::empty(4).to_source(0..3), Span::point(4));
    }

    #[test]
    fn slices_keep_their_places() {
        let mut slice = TextMap::empty(0);
        slice.push_slice(&map(), 1..6);
        assert_eq!(slice.text_len(), 5);
        assert_eq!(slice.to_source(0..1), Span::new(11, 12));
        assert_eq!(slice.to_source(2..3), Span::new(12, 16));
        assert_eq!(slice.to_source(4..5), Span::new(16, 17));
    }
}
