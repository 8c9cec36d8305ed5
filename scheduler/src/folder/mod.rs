//! What watching a folder needs, whatever is looked for in it.
//!
//! A watch only says *look again*: what is there is always read from the folder itself, so lost,
//! repeated and reordered notifications change nothing but the moment.

mod stamp;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use stamp::Stamp;
pub(crate) use watch::{Sight, SightKind, Watcher};

use std::{path::Path, time::Duration};

/// Who else may change a folder without our being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Told {
    /// The kernel tells of everything but changes through memory maps.
    OfAll,
    /// Other machines write there, or the folder can't be watched.
    #[default]
    NotOfAll,
}

impl Told {
    /// Asks the file system, which may take its time.
    pub fn about(path: &Path) -> Self {
        if is_remote(path) { Self::NotOfAll } else { Self::OfAll }
    }
}

/// When a folder is looked at again although nothing was reported.
pub(crate) fn rescan_pause(told: Told, last_took: Duration) -> Duration {
    let at_least = match told {
        Told::OfAll => Duration::from_secs(30),
        Told::NotOfAll => Duration::from_secs(5),
    };
    // However large the folder: at most a thousandth of a core.
    at_least.max(last_took * 1000)
}

/// Whether a path lies on a file system that other machines may change behind our back.
fn is_remote(path: &Path) -> bool {
    // Of statfs(2) and linux/magic.h: NFS, SMB, SMB2, CIFS, FUSE, 9P, Ceph, AFS, CODA, Lustre.
    const REMOTE: [i64; 10] = [
        0x6969,
        0x517B,
        0xFE53_4D42,
        0xFF53_4D42,
        0x6573_5546,
        0x0102_1997,
        0x00C3_6400,
        0x5346_414F,
        0x7375_7245,
        0x0BD0_0BD0,
    ];
    nix::sys::statfs::statfs(path).is_ok_and(|fs| REMOTE.contains(&fs.filesystem_type().0))
}
