//! Ends what a test left behind: hosts and commands outlive the program on purpose.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Kills every process whose command line or environment names this folder.
pub fn end(dir: &Path) {
    let dir = dir.display().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let names = |file: &str| {
            std::fs::read(entry.path().join(file)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&dir))
        };
        if pid != std::process::id().cast_signed() && (names("cmdline") || names("environ")) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
