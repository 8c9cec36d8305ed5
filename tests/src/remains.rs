//! Ends what a test left behind: hosts and commands outlive the program on purpose.

use std::{collections::BTreeSet, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What a process in a pod of a test has in its environment; see [`crate::Pods`].
const POD: &str = "POD_UID=";

/// Kills every process whose command line or environment names this folder.
pub fn end(dir: &Path) {
    naming(dir).into_iter().for_each(end_one);
}

/// The same but for those in pods: a node that loses its power takes only its own along.
pub fn end_here(dir: &Path) {
    naming_here(dir).into_iter().for_each(end_one);
}

fn end_one(pid: Pid) {
    // It may have ended by itself meanwhile.
    let _ = kill(pid, Signal::SIGKILL);
}

/// Every other process that names this folder and is in no pod.
pub fn naming_here(dir: &Path) -> Vec<Pid> {
    naming(dir).into_iter().filter(|pid| !read(*pid, "environ").contains(POD)).collect()
}

/// The uids of the pods in which a process names this folder.
pub fn pods_naming(dir: &Path) -> BTreeSet<String> {
    let dir = dir.display().to_string();
    let environments = processes().map(|pid| read(pid, "environ")).filter(|environment| environment.contains(&dir));
    let uid = |environment: String| {
        let uid = environment.split('\0').find_map(|variable| variable.strip_prefix(POD))?;
        Some(uid.to_owned())
    };
    environments.filter_map(uid).collect()
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
