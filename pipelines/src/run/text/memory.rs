//! The memory of this process, as the system counts it.

/// What the process holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Now.
    pub(super) resident_bytes: u64,
    /// At most so far.
    peak_bytes: u64,
}

impl Memory {
    /// As the system tells it; `None` where it does not.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self {
            resident_bytes: bytes("VmRSS:")?,
            peak_bytes: bytes("VmHWM:")?,
        })
    }

    /// How much more than at an earlier moment it came to hold since; `None` where it had held
    /// more before that moment, so that nobody knows.
    pub(super) fn grown_since(self, before: Self) -> Option<u64> {
        let grew = self.peak_bytes > before.peak_bytes;
        grew.then(|| self.peak_bytes.saturating_sub(before.resident_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn growth_is_known_when_the_peak_is_new() {
        let status = "Name:\tsluice\nVmHWM:\t    3000 kB\nVmRSS:\t    1000 kB\n";
        let before = Memory::parse(status).unwrap();
        assert_eq!(before.resident_bytes, 1_024_000);
        assert_eq!(before.grown_since(before), None);
        let after = Memory {
            peak_bytes: 4_024_000,
            ..before
        };
        assert_eq!(after.grown_since(before), Some(3_000_000));
        assert_eq!(Memory::parse("Name:\tsluice\n"), None);
    }
}
