//! What tells whether a file changed, without reading it.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The identity of a file's content as far as the file system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    pub size: u64,
    pub inode: u64,
    device: u64,
    /// Nanoseconds since 1970.
    pub modified_ns: i128,
    /// Set by the kernel at each change, also of owner and mode: a file that was made readable, or
    /// replaced by one with an older date, has a new one.
    changed_ns: i128,
}

/// Two writes within one tick of the file system's clock leave the same time. The coarsest tick in
/// use is 10 ms; the rest is for clocks of other machines.
const TICK: Duration = Duration::from_millis(50);

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(test)]
    pub fn fake(size: u64) -> Self {
        Self { size, inode: 1, device: 1, modified_ns: 0, changed_ns: 0 }
    }

    /// The same file with the same content, as far as the file system tells: whoever changed only its
    /// owner or mode delivered nothing.
    pub fn is_same_content(&self, other: Self) -> bool {
        Self { changed_ns: other.changed_ns, ..*self } == other
    }

    /// The file changed so shortly before it was read, or while it was, that a further change might not show in its
    /// stamp. The reading may take long: it is `from` when it began that counts.
    pub fn is_fresh(&self, from: SystemTime, to: SystemTime) -> bool {
        let ns = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let tick = TICK.as_nanos() as i128;
        // A clock of another machine may be far ahead for ever: that is not fresh.
        (ns(from) - tick..ns(to) + tick).contains(&self.changed_ns)
    }
}

fn ns(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}
