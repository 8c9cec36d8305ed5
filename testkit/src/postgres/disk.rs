//! A disk of its own for a server, small enough to be filled.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid};

/// Whether this process may mount file systems: a test about a full disk says so and ends where it may not.
pub fn can_mount() -> bool {
    tempfile::tempdir().is_ok_and(|dir| {
        let is_mounted = mount(dir.path(), 1 << 20, None).is_ok();
        if is_mounted {
            unmount(dir.path());
        }
        is_mounted
    })
}

/// A file system in memory with that much room, for a user of its own.
pub fn mount(at: &Path, bytes: u64, owner: Option<(Uid, Gid)>) -> Result<()> {
    fs::create_dir_all(at)?;
    let mut options = format!("size={bytes},mode=0700");
    if let Some((uid, gid)) = owner {
        options += &format!(",uid={uid},gid={gid}");
    }
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
    let output = output.context("running mount")?;
    if !output.status.success() {
        bail!("mount: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Lazily: whoever still has a file open there keeps it until they end.
pub fn unmount(at: &Path) {
    // What was not mounted needs no unmounting.
    let _ = Command::new("umount").args(["--lazy", "--quiet"]).arg(at).output();
}
