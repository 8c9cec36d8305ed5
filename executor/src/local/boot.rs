//! Which boot this is: processes of another one are gone.

use std::{fs, io, os::unix::fs::MetadataExt, sync::Arc};

/// Boot id, pid namespace and the start of that namespace's first process: `f00…/4026531836/17`.
///
/// A reboot changes the first part, a restarted container the others.
pub fn boot_identity() -> io::Result<Arc<str>> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::metadata("/proc/self/ns/pid")?.ino();
    let started = super::host::start_ticks_of(1).unwrap_or(0);
    Ok(format!("{}/{namespace}/{started}", boot_id.trim()).into())
}
