//! Ends what a test left behind: hosts and commands outlive the program on purpose.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Kills every process whose command line or environment names this folder.
pub fn end(dir: &Path) {
    for pid in naming(dir) {
        // It may have ended by itself meanwhile.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Every other process whose command line or environment names this folder.
pub fn naming(dir: &Path) -> Vec<Pid> {
    let dir = dir.display().to_string();
    let names = |pid: Pid, file: &str| read(pid, file).contains(&dir);
    processes().filter(|pid| *pid != Pid::this() && (names(*pid, "cmdline") || names(*pid, "environ"))).collect()
}

/// The host of this state directory, if it lives.
pub fn host(state: &Path) -> Option<Pid> {
    let arguments = format!("\0host\0--state-dir\0{}\0", state.display());
    processes().find(|pid| read(*pid, "cmdline").ends_with(&arguments))
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// Empty for a process that is gone, or a zombie.
fn read(pid: Pid, file: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
