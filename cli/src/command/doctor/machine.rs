//! This machine: the host and its processes, the disk, the clock.

use chrono::{DateTime, TimeDelta, Utc};
use gridflow_executor::local::{HostState, escaped, host_state};
use gridflow_store::doctor::Severity;
use nix::sys::statvfs::statvfs;

use super::Diagnosis;
use crate::state_dir::StateDir;

/// Logs, scratch folders and the private database need some room.
const FREE_BYTES_MIN: u64 = 1 << 30;
const FREE_PERCENT_MIN: u64 = 3;
/// Within this, schedules are as punctual as people expect.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state_dir: String,
    /// Nothing where there is no such folder.
    disk: Option<Disk>,
    host: HostState,
    /// Processes of the host that carry no attempt's id.
    escaped: Vec<i32>,
    /// How far this machine's clock is ahead of the database's, at least.
    skew: TimeDelta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Disk {
    bytes: u64,
    bytes_free: u64,
    inodes: u64,
    inodes_free: u64,
}

/// `clocks`: ours before the database looked at its own, the database's, and ours afterwards.
pub fn look(state_dir: &StateDir, clocks: (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)) -> Machine {
    let host = host_state(state_dir.path());
    let disk = statvfs(state_dir.path()).ok().map(|disk| Disk {
        bytes: disk.blocks() * disk.fragment_size(),
        bytes_free: disk.blocks_available() * disk.fragment_size(),
        inodes: disk.files(),
        inodes_free: disk.files_available(),
    });
    let escaped = match host {
        HostState::Lives { pid, .. } => escaped(pid),
        HostState::Absent | HostState::Gone => Vec::new(),
    };
    Machine { state_dir: state_dir.path().display().to_string(), disk, host, escaped, skew: skew(clocks) }
}

fn skew((before, theirs, after): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)) -> TimeDelta {
    if theirs < before {
        before - theirs
    } else if after < theirs {
        after - theirs
    } else {
        TimeDelta::zero()
    }
}

pub fn judge(machine: &Machine) -> Vec<Diagnosis> {
    [disk_full(machine), host_gone(machine), no_cgroups(machine), escaped_some(machine), clock_off(machine)]
        .into_iter()
        .flatten()
        .collect()
}

fn disk_full(machine: &Machine) -> Option<Diagnosis> {
    let disk = machine.disk?;
    let is_short = disk.bytes_free < FREE_BYTES_MIN || is_below(disk.bytes_free, disk.bytes);
    let has_few_inodes = 0 < disk.inodes && is_below(disk.inodes_free, disk.inodes);
    (is_short || has_few_inodes).then(|| Diagnosis {
        name: "disk-full",
        severity: Severity::Risk,
        what: "the state directory's disk is nearly full",
        means: "tasks fail to start or to write their log; a private database stops",
        advice: "remove old logs below `logs/`, or give it more room",
        subjects: vec![format!(
            "`{}`: {} MiB and {} files left",
            machine.state_dir,
            disk.bytes_free >> 20,
            disk.inodes_free
        )],
    })
}

fn is_below(free: u64, total: u64) -> bool {
    u128::from(free) * 100 < u128::from(total) * u128::from(FREE_PERCENT_MIN)
}

fn host_gone(machine: &Machine) -> Option<Diagnosis> {
    (machine.host == HostState::Gone).then(|| Diagnosis {
        name: "host-gone",
        severity: Severity::Note,
        what: "no host runs on this node",
        means: "it ends when it has nothing to do; the scheduler's next launch starts one",
        advice: "nothing, unless a scheduler runs here and says that it can't start a host",
        subjects: vec![machine.state_dir.clone()],
    })
}

fn no_cgroups(machine: &Machine) -> Option<Diagnosis> {
    match machine.host {
        HostState::Lives { pid, has_cgroups: false } => Some(Diagnosis {
            name: "cgroups-missing",
            severity: Severity::Note,
            what: "attempts have no control groups of their own",
            means: "processes of a task that wipe their environment and leave its session are not found when it ends",
            advice: "run the host as a service with `Delegate=yes`, as the shipped unit does",
            subjects: vec![format!("host {pid}")],
        }),
        HostState::Lives { has_cgroups: true, .. } | HostState::Absent | HostState::Gone => None,
    }
}

fn escaped_some(machine: &Machine) -> Option<Diagnosis> {
    (!machine.escaped.is_empty()).then(|| Diagnosis {
        name: "process-escaped",
        severity: Severity::Risk,
        what: "processes of tasks can't be told apart",
        means: "they wiped their environment: nobody ends them with their attempt, and the next one may run beside them",
        advice: "look at them with `ps`, end them by hand; delegate control groups to the host",
        subjects: machine.escaped.iter().map(|pid| format!("process {pid}")).collect(),
    })
}

fn clock_off(machine: &Machine) -> Option<Diagnosis> {
    (SKEW_MAX < machine.skew.abs()).then(|| Diagnosis {
        name: "clock-off",
        severity: Severity::Risk,
        what: "the clocks of this machine and of the database differ",
        means: "schedules and retries come early or late; leadership does not depend on it",
        advice: "keep both with NTP",
        subjects: vec![format!("this machine is {} ms ahead", machine.skew.num_milliseconds())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Machine {
        Machine {
            state_dir: "/state".to_owned(),
            disk: Some(Disk { bytes: 100 << 30, bytes_free: 50 << 30, inodes: 1_000_000, inodes_free: 900_000 }),
            host: HostState::Lives { pid: 7, has_cgroups: true },
            escaped: vec![],
            skew: TimeDelta::zero(),
        }
    }

    fn names(machine: &Machine) -> Vec<&'static str> {
        judge(machine).iter().map(|diagnosis| diagnosis.name).collect()
    }

    #[test]
    fn a_healthy_machine_has_no_findings() {
        assert_eq!(names(&healthy()), [""; 0]);
        assert_eq!(names(&Machine { disk: None, host: HostState::Absent, ..healthy() }), [""; 0]);
    }

    #[test]
    fn each_fault_of_a_machine_has_its_name() {
        let disk = healthy().disk.unwrap();
        let faults = [
            ("disk-full", Machine { disk: Some(Disk { bytes_free: 1 << 20, ..disk }), ..healthy() }),
            ("disk-full", Machine { disk: Some(Disk { bytes_free: 2 << 30, ..disk }), ..healthy() }),
            ("disk-full", Machine { disk: Some(Disk { inodes_free: 10, ..disk }), ..healthy() }),
            ("host-gone", Machine { host: HostState::Gone, ..healthy() }),
            ("cgroups-missing", Machine { host: HostState::Lives { pid: 7, has_cgroups: false }, ..healthy() }),
            ("process-escaped", Machine { escaped: vec![4711], ..healthy() }),
            ("clock-off", Machine { skew: TimeDelta::seconds(-20), ..healthy() }),
        ];
        for (name, machine) in faults {
            assert_eq!(names(&machine), [name]);
        }
    }

    #[test]
    fn a_clock_between_two_looks_is_right() {
        let at = |seconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert_eq!(skew((at(1), at(2), at(9))), TimeDelta::zero());
        assert_eq!(skew((at(10), at(2), at(11))), TimeDelta::seconds(8));
        assert_eq!(skew((at(1), at(20), at(3))), TimeDelta::seconds(-17));
    }
}
