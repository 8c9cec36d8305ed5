//! What processes use, from /proc.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Every process of `program` whose arguments name `state_dir`: the program itself and its host.
pub fn of(program: &Path, state_dir: &Path) -> Vec<i32> {
    let folder = state_dir.display().to_string();
    let ours = |pid: &i32| {
        let runs = fs::read_link(proc(*pid, "exe")).is_ok_and(|exe| exe == program);
        runs && fs::read(proc(*pid, "cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours).collect()
}

/// Whether it is the parent of commands, not the program itself.
pub fn is_host(pid: i32) -> bool {
    fs::read(proc(pid, "cmdline")).is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"host"))
}

fn proc(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// Memory of all of them in MB (10^6 bytes), with shared pages divided among those who share them.
pub fn memory_mb(pids: &[i32]) -> Result<f64> {
    let mut bytes = 0;
    for pid in pids {
        let text = fs::read_to_string(proc(*pid, "smaps_rollup")).context("reading the memory of a process")?;
        bytes += 1_024 * pss_kib(&text).context("`Pss:` in smaps_rollup")?;
    }
    Ok(bytes as f64 / 1e6)
}

fn pss_kib(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The share of one core, in percent, that they use together over `period`.
pub fn cpu_percent(pids: &[i32], period: Duration) -> Result<f64> {
    let (began, before) = (Instant::now(), cpu_seconds(pids)?);
    std::thread::sleep(period);
    Ok(100.0 * (cpu_seconds(pids)? - before) / began.elapsed().as_secs_f64())
}

/// CPU time that they used so far, children not counted.
pub fn cpu_seconds(pids: &[i32]) -> Result<f64> {
    let ticks_a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
    let mut ticks = 0;
    for pid in pids {
        let text = fs::read_to_string(proc(*pid, "stat")).context("reading the CPU time of a process")?;
        ticks += cpu_ticks(&text).context("CPU time in /proc/PID/stat")?;
    }
    Ok(ticks as f64 / ticks_a_second)
}

/// utime and stime; the name before them may hold blanks and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(proc(pid, "stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 5 6 20 0 9 0 1234 1 2";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a"), None);
    }

    #[test]
    fn the_proportional_size_is_read() {
        assert_eq!(pss_kib("55e0-7ffe ---p [rollup]\nRss:     900 kB\nPss:     512 kB\nPss_Dirty: 3 kB\n"), Some(512));
        assert_eq!(pss_kib("Rss: 1 kB\n"), None);
    }
}
