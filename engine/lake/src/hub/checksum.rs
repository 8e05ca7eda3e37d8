//! The hub's checksums: SHA-256 of what is stored beside git, git's own SHA-1 of the rest.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// How a content can be told to be the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the content, in hexadecimal.
    Sha256(String),
    /// SHA-1 of `blob <length>\0` and the content, as git names it, in hexadecimal.
    GitBlob(String),
}

impl Checksum {
    /// The checksum that an ETag of the hub is; none for one that a mirror made up.
    pub(super) fn of_etag(etag: &str) -> Option<Self> {
        let hexadecimal = etag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match (hexadecimal, etag.len()) {
            (true, 64) => Some(Self::Sha256(etag.to_owned())),
            (true, 40) => Some(Self::GitBlob(etag.to_owned())),
            _ => None,
        }
    }
}

/// Hashes a content that comes in pieces.
#[derive(Debug, Clone)]
pub(super) struct Checker {
    wanted: Option<Checksum>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Unchecked,
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Checker {
    /// A checker of a content of `bytes` bytes.
    pub(super) fn new(wanted: Option<Checksum>, bytes: u64) -> Self {
        let state = match &wanted {
            None => State::Unchecked,
            Some(Checksum::Sha256(_)) => State::Sha256(Sha256::new()),
            Some(Checksum::GitBlob(_)) => {
                use sha1::Digest as _;
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {bytes}\0"));
                State::GitBlob(sha1)
            }
        };
        Self { wanted, state }
    }

    /// Takes the next piece.
    pub(super) fn update(&mut self, piece: &[u8]) {
        match &mut self.state {
            State::Unchecked => {}
            State::Sha256(sha256) => sha256.update(piece),
            State::GitBlob(sha1) => sha1::Digest::update(sha1, piece),
        }
    }

    /// Whether all pieces were those of the right content.
    ///
    /// # Errors
    /// The checksum that was wanted, and the one that was found.
    pub(super) fn finish(self) -> Result<(), (String, String)> {
        let found = match self.state {
            State::Unchecked => return Ok(()),
            State::Sha256(sha256) => hexadecimal(&sha256.finalize()),
            State::GitBlob(sha1) => hexadecimal(&sha1::Digest::finalize(sha1)),
        };
        match self.wanted {
            Some(Checksum::Sha256(wanted) | Checksum::GitBlob(wanted)) if wanted != found => {
                Err((wanted, found))
            }
            _ => Ok(()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(etag: &str, content: &[u8]) -> Result<(), (String, String)> {
        let mut checker = Checker::new(Checksum::of_etag(etag), content.len() as u64);
        for piece in content.chunks(3) {
            checker.update(piece);
        }
        checker.finish()
    }

    /// `printf 'hello\n' | git hash-object --stdin`, and `sha256sum`.
    #[test]
    fn as_git_and_sha256sum() {
        let content = b"hello\n";
        let blob = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        check(blob, content).unwrap();
        check(sha256, content).unwrap();
        let (wanted, found) = check(sha256, b"hallo\n").unwrap_err();
        assert_eq!(wanted, sha256);
        assert_ne!(found, sha256);
        assert!(check(blob, b"hallo\n").is_err());
    }

    #[test]
    fn what_a_mirror_made_up_is_no_checksum() {
        assert_eq!(Checksum::of_etag("5f3-61a"), None);
        assert_eq!(Checksum::of_etag(&"A".repeat(40)), None);
        check("5f3-61a", b"anything").unwrap();
    }
}
