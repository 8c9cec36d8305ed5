//! What the figures were measured on.

use std::{fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    /// Of the folder that holds the database.
    pub file_system: String,
    pub postgresql: String,
    /// The 1-minute load before the first item: a busy machine makes worse figures.
    pub load: f64,
}

pub fn describe(root: &Path) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Machine {
        cpu: value_of(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_gib: memory_gib(&read("/proc/meminfo")).unwrap_or_default(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        file_system: said(Command::new("stat").args(["--file-system", "--format=%T"]).arg(root)),
        postgresql: String::new(),
        load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
    }
}

/// The commit that was built, as far as one can tell; `+` says that files differ from it.
pub fn commit() -> String {
    let head = said(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let changes = said(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]));
    if changes.is_empty() { head } else { format!("{head}+") }
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_default()
}

fn value_of(text: &str, name: &str) -> Option<String> {
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

fn memory_gib(meminfo: &str) -> Option<f64> {
    let kib: f64 = value_of(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / f64::from(1 << 20) * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel\t: 1\n";
        assert_eq!(value_of(cpuinfo, "model name").as_deref(), Some("Some CPU @ 2.0GHz"));
        assert_eq!(memory_gib("MemTotal:       24674304 kB\nMemFree: 1 kB\n"), Some(23.5));
        assert_eq!(memory_gib(""), None);
    }
}
