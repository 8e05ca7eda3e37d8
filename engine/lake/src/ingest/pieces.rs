//! Dealing files out, so that several can read their rows side by side.

use std::sync::Arc;

use super::{csv::Cut, survey::SourceFile};

/// Less than this is not worth a part of its own, in bytes.
const SMALLEST_PART_BYTES: u64 = 32 * 1024 * 1024;

/// A file, or a run of the records of one.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) source: Arc<SourceFile>,
    /// Where it begins; `None` at the front of the file.
    pub(super) start: Option<Cut>,
    /// How many bytes of the file stand before its end; `None` at the end of the file.
    pub(super) end: Option<u64>,
}

/// Deals files out in `most` parts at most, of about the same size and in the order of the
/// files: each part holds what follows the one before it. A file is divided where it was
/// found that this can be done.
pub(super) fn deal(files: &[SourceFile], most: usize) -> Vec<Vec<Piece>> {
    deal_parts_of(SMALLEST_PART_BYTES, files, most)
}

/// As [`deal`], with parts of at least so many bytes.
pub(super) fn deal_parts_of(
    smallest_bytes: u64,
    files: &[SourceFile],
    most: usize,
) -> Vec<Vec<Piece>> {
    let total: u64 = files.iter().map(|file| file.size_bytes).sum();
    let worth = total / smallest_bytes;
    let parts = usize::try_from(worth).unwrap_or(most).clamp(1, most.max(1));
    let mut dealing = Dealing {
        parts: vec![Vec::new()],
        most: parts,
        share: total.div_ceil(parts as u64),
        dealt: 0,
    };
    for file in files {
        dealing.add(Arc::new(file.clone()));
    }
    dealing.parts
}

struct Dealing {
    parts: Vec<Vec<Piece>>,
    most: usize,
    /// How many bytes a part is to have.
    share: u64,
    /// How many bytes the last part has.
    dealt: u64,
}

impl Dealing {
    fn add(&mut self, source: Arc<SourceFile>) {
        let (mut start, mut from) = (None, 0);
        loop {
            if self.dealt >= self.share && self.parts.len() < self.most {
                self.parts.push(Vec::new());
                self.dealt = 0;
            }
            let wanted = from + (self.share - self.dealt.min(self.share));
            let is_last = self.parts.len() == self.most;
            let cut = source.cuts.iter().find(|cut| cut.offset >= wanted);
            let cut = cut.filter(|cut| !is_last && cut.offset > from);
            let end = cut.map(|cut| cut.offset);
            self.dealt += end.unwrap_or(source.size_bytes).saturating_sub(from);
            if let Some(part) = self.parts.last_mut() {
                let source = Arc::clone(&source);
                part.push(Piece { source, start, end });
            }
            match cut {
                None => return,
                Some(cut) => (start, from) = (Some(*cut), cut.offset),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const MB: u64 = 1024 * 1024;

    fn file(name: &str, size_mb: u64, cut_mb: u64) -> SourceFile {
        let cuts = (1..).map(|cut| cut * cut_mb * MB).enumerate();
        let cuts = cuts.take_while(|(_, offset)| cut_mb > 0 && *offset < size_mb * MB);
        let cuts = cuts.map(|(at, offset)| Cut {
            offset,
            row: at as i64,
            line: 1,
        });
        SourceFile {
            path: name.to_owned(),
            found_as: name.to_owned(),
            absolute: PathBuf::new(),
            size_bytes: size_mb * MB,
            content_hash: String::new(),
            seen: Default::default(),
            outline: None,
            cuts: cuts.collect(),
        }
    }

    fn dealt(files: &[SourceFile], most: usize) -> Vec<String> {
        let parts = deal(files, most);
        let words = |piece: &Piece| {
            let mb = |bytes: u64| (bytes / MB).to_string();
            let start = piece.start.map_or(String::new(), |cut| mb(cut.offset));
            format!(
                "{}[{start}..{}]",
                piece.source.path,
                piece.end.map_or(String::new(), mb)
            )
        };
        let part = |part: &Vec<Piece>| part.iter().map(words).collect::<Vec<_>>().join(" ");
        parts.iter().map(part).collect()
    }

    #[test]
    fn large_files_are_divided_and_small_ones_are_not() {
        assert_eq!(dealt(&[], 4), [""]);
        assert_eq!(dealt(&[file("a", 60, 4)], 4), ["a[..]"]);
        let four = ["a[..252]", "a[252..504]", "a[504..756]", "a[756..]"];
        assert_eq!(dealt(&[file("a", 1000, 4)], 4), four);
        assert_eq!(
            dealt(&[file("a", 100, 4)], 8),
            ["a[..36]", "a[36..72]", "a[72..]"]
        );
        // One that cannot be divided stays whole.
        assert_eq!(dealt(&[file("a", 1000, 0)], 4), ["a[..]"]);
        let files = [
            file("a", 100, 0),
            file("b", 100, 4),
            file("c", 1, 0),
            file("d", 100, 0),
        ];
        assert_eq!(dealt(&files, 3), ["a[..] b[..4]", "b[4..] c[..] d[..]"]);
        assert_eq!(dealt(&files, 2), ["a[..] b[..52]", "b[52..] c[..] d[..]"]);
    }

    #[test]
    fn every_byte_is_dealt_once_and_in_order() {
        let files = [
            file("a", 77, 3),
            file("b", 5, 0),
            file("c", 333, 7),
            file("d", 40, 0),
        ];
        for most in 1..20 {
            let parts = deal(&files, most);
            assert!(parts.len() <= most);
            let mut pieces = parts.into_iter().flatten();
            for file in &files {
                let mut from = 0;
                loop {
                    let piece = pieces.next().unwrap();
                    assert_eq!(piece.source.path, file.path);
                    assert_eq!(piece.start.map_or(0, |cut| cut.offset), from);
                    match piece.end {
                        Some(end) => from = end,
                        None => break,
                    }
                }
            }
            assert!(pieces.next().is_none());
        }
    }
}
