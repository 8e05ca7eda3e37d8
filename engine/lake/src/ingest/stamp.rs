//! What the file system says of a file, which tells without reading it whether its
//! content can have changed.

use std::{
    fs::Metadata,
    time::{SystemTime, UNIX_EPOCH},
};

/// How far apart two changes of a file must be for its times to differ for certain, in
/// nanoseconds. FAT counts in steps of two seconds, other file systems in finer ones.
const COARSEST_TIME_NS: i64 = 2_000_000_000;

/// Size, times and place of a file. Other content at an equal stamp is possible only
/// within one step of the file system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When its content was last written, in nanoseconds since 1970 UTC.
    pub modified_ns: i64,
    /// When anything about it last changed (on Unix; no program can set it back), in
    /// nanoseconds since 1970 UTC.
    pub changed_ns: i64,
    /// Its number in the file system (on Unix): another one when it was replaced.
    pub inode: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let (changed_ns, inode) = status(metadata);
        Self {
            size_bytes: metadata.len(),
            modified_ns: metadata.modified().map_or(0, since_epoch_ns),
            changed_ns,
            inode,
        }
    }
}

#[cfg(unix)]
fn status(metadata: &Metadata) -> (i64, u64) {
    use std::os::unix::fs::MetadataExt;
    let changed_ns = metadata.ctime().saturating_mul(1_000_000_000);
    (
        changed_ns.saturating_add(metadata.ctime_nsec()),
        metadata.ino(),
    )
}

#[cfg(not(unix))]
fn status(_metadata: &Metadata) -> (i64, u64) {
    (0, 0)
}

/// A stamp, and when it was taken: before the content was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// What the file system said.
    pub stamp: Stamp,
    /// When it was asked, in nanoseconds since 1970 UTC.
    pub at_ns: i64,
}

impl Seen {
    pub(super) fn now(stamp: Stamp) -> Self {
        Self {
            stamp,
            at_ns: since_epoch_ns(SystemTime::now()),
        }
    }

    /// Whether a file of this stamp has the content that was read then. A file that was
    /// written just before may have been written once more without a trace (git calls
    /// such an entry racy): of that one nothing is known.
    pub fn vouches_for(&self, stamp: &Stamp) -> bool {
        let last = self.stamp.modified_ns.max(self.stamp.changed_ns);
        self.stamp == *stamp && last.saturating_add(COARSEST_TIME_NS) <= self.at_ns
    }
}

fn since_epoch_ns(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_that_is_too_fresh_proves_nothing() {
        let stamp = Stamp {
            size_bytes: 3,
            modified_ns: 10_000_000_000,
            changed_ns: 11_000_000_000,
            inode: 7,
        };
        let seen = |at_ns| Seen { stamp, at_ns };
        assert!(!seen(11_000_000_001).vouches_for(&stamp));
        assert!(!seen(12_999_999_999).vouches_for(&stamp));
        assert!(seen(13_000_000_000).vouches_for(&stamp));
        // A clock that is behind the file system's.
        assert!(!seen(9_000_000_000).vouches_for(&stamp));
        for other in [
            Stamp {
                size_bytes: 4,
                ..stamp
            },
            Stamp {
                modified_ns: 10_000_000_001,
                ..stamp
            },
            Stamp {
                changed_ns: 11_000_000_001,
                ..stamp
            },
            Stamp { inode: 8, ..stamp },
        ] {
            assert!(!seen(20_000_000_000).vouches_for(&other), "{other:?}");
        }
    }

    #[test]
    fn a_file_has_a_stamp_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let stamp = Stamp::of(&std::fs::metadata(&path).unwrap());
        assert_eq!(stamp.size_bytes, 3);
        assert!(stamp.modified_ns > 1_600_000_000_000_000_000, "{stamp:?}");
        assert_eq!(stamp, Stamp::of(&std::fs::metadata(&path).unwrap()));
        std::fs::write(&path, "abcd").unwrap();
        assert_ne!(stamp, Stamp::of(&std::fs::metadata(&path).unwrap()));
    }
}
