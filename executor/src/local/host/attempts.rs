//! The host's attempts: claims, and what became of them. How they end is in `ending`, how a new host finds them in
//! `recovery`.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::Path,
};

use gridflow_failpoint::{Point, reach};
use uuid::Uuid;

use super::{
    super::{
        staging::is_passing,
        wire::{CancelOrder, Command, End, Record as Shown, Start, State, Usage},
    },
    cgroup::{Cgroups, Watch},
    claims::Present,
    clock::{BootNs, wall_us},
    failure,
    record::{Asked, Birth, Ended, Record},
    records::{Records, Slot},
    spawn::{self, Files, Spawner},
};

pub(super) struct Attempts {
    /// A hash of this boot's identity.
    pub(super) boot: u64,
    pub(super) records: Records,
    /// Every attempt that was ever claimed and is not dropped.
    pub(super) claims: HashMap<Uuid, Slot>,
    /// The unacknowledged ones.
    pub(super) open: HashMap<Slot, Open>,
    /// Pids of commands, until nothing is left of them: also the ids of their sessions.
    pub(super) leaders: HashMap<i32, Slot>,
    /// Our other children: orphans of commands, and of which attempt, if that can be told.
    pub(super) strays: HashMap<i32, Option<Slot>>,
    pub(super) timers: BTreeSet<(BootNs, Slot)>,
    /// What clients have to be told.
    pub(super) changed: Vec<Slot>,
    /// Claims of committed ends, by the time their attempts were made.
    pub(super) committed: BTreeSet<(i64, Slot)>,
    pub(super) turn_max: i64,
    pub(super) cgroups: Option<Cgroups>,
    /// Groups of attempts that are being ended, until they are empty.
    pub(super) emptying: HashMap<Slot, Watch>,
    /// Those of them that nobody waits for yet.
    pub(super) to_watch: Vec<Slot>,
    /// As the first process of a container: the program that is to run there.
    pub(super) ward: Option<Ward>,
    spawner: Spawner,
}

pub(super) struct Open {
    pub record: Record,
    pub tie: Tie,
    /// When SIGTERM was not enough.
    pub kill_at: Option<BootNs>,
    /// Between two looks at what is left.
    pub pause_ms: u64,
    pub wake_at: Option<BootNs>,
    /// What orphans used that ended before their command.
    pub strays_used: Usage,
}

/// A child that is no attempt's: it gets our signals, and its end is ours.
pub(super) struct Ward {
    pub pid: i32,
    /// As from `wait`, once it has ended.
    pub status: Option<i32>,
}

/// How the end of a command is noticed.
pub(super) enum Tie {
    /// It is our child.
    Child,
    /// It is the child of a host that died.
    Watched(OwnedFd),
    /// It has ended.
    None,
}

pub(super) enum Launched {
    /// Claimed now; clients hear of it like of any change.
    Claimed,
    /// Claimed before.
    Present(Shown),
    Postponed(String),
}

impl Open {
    pub(super) fn new(record: Record, tie: Tie) -> Self {
        Self { record, tie, kill_at: None, pause_ms: 0, wake_at: None, strays_used: Usage::default() }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.record.end.as_ref().is_some_and(|ended| ended.gone)
    }
}

impl Attempts {
    pub(super) fn new(boot: u64, records: Records) -> io::Result<Self> {
        Ok(Self {
            boot,
            turn_max: records.header().turn_max,
            records,
            claims: HashMap::new(),
            open: HashMap::new(),
            leaders: HashMap::new(),
            strays: HashMap::new(),
            timers: BTreeSet::new(),
            changed: Vec::new(),
            committed: BTreeSet::new(),
            cgroups: Cgroups::find(),
            emptying: HashMap::new(),
            to_watch: Vec::new(),
            ward: None,
            spawner: Spawner::new()?,
        })
    }

    /// No process of any attempt is left.
    pub(super) fn is_idle(&self) -> bool {
        self.open.values().all(Open::is_gone)
    }

    /// Takes the claim and starts the command, or says what happened to it before.
    pub(super) fn launch(&mut self, command: &Command) -> Launched {
        if let Some(present) = self.present(command.attempt) {
            return match present {
                Present::Known(record) => Launched::Present(adopt(&record, command)),
                Present::TooOld => {
                    let reason = "it is older than the claims that are kept here, so nobody knows whether it ran";
                    let end = End::Lost { reason: reason.into() };
                    Launched::Present(show_unclaimed(command.attempt, command.run, end))
                }
                Present::Unreadable(reason) => Launched::Postponed(reason),
            };
        }
        if let Some(message) = &command.unfit {
            return self.claim_ended(command, End::SpawnFailed { message: message.clone() });
        }
        let log = match open_log(Path::new(&command.log)) {
            Ok(log) => log,
            Err(error) if is_passing(&error) => {
                return Launched::Postponed(format!("cannot create the log `{}`: {error}", command.log));
            }
            Err(error) => {
                let message = format!("cannot create the log `{}`: {error}", command.log);
                return self.claim_ended(command, End::SpawnFailed { message });
            }
        };
        match spawn::prepare(command) {
            Ok(prepared) => self.claim_and_spawn(command, &prepared, &log),
            Err(message) => self.claim_ended(command, End::SpawnFailed { message }),
        }
    }

    fn claim_and_spawn(&mut self, command: &Command, prepared: &spawn::Prepared, log: &File) -> Launched {
        let record = self.new_record(command);
        let slot = match self.records.insert(&record) {
            Ok(slot) => slot,
            Err(error) => return Launched::Postponed(format!("cannot record a claim: {error}")),
        };
        reach(Point::Claimed);
        let cgroup = self.make_cgroup(command.attempt);
        let files = Files { log, records: self.records.file(), slot, cgroup: cgroup.as_ref() };
        let spawned = self.spawner.spawn(prepared, files);
        if cgroup.is_some() && !matches!(spawned, Ok(Ok(_))) {
            self.remove_cgroup(command.attempt);
        }
        match spawned {
            // No process could be made: the claim is taken back before anybody heard of it.
            Err(error) => {
                let reason = format!("cannot make a process: {error}; is there a limit on the number of processes?");
                match self.records.remove(slot) {
                    Ok(()) => Launched::Postponed(reason),
                    Err(_) => {
                        self.keep(slot, Open::new(record, Tie::None));
                        self.close(slot, End::SpawnFailed { message: reason });
                        Launched::Claimed
                    }
                }
            }
            Ok(Err(failed)) => {
                let message = failure::describe(failed, command);
                self.keep(slot, Open::new(record, Tie::None));
                self.close(slot, End::SpawnFailed { message });
                Launched::Claimed
            }
            Ok(Ok(birth)) => {
                reach(Point::Spawned);
                let deadline = record.deadline;
                let record = Record { birth: Some(birth), ..record };
                self.keep(slot, Open::new(record, Tie::Child));
                self.leaders.insert(birth.pid, slot);
                if let Some(deadline) = deadline {
                    self.wake(slot, deadline);
                }
                Launched::Claimed
            }
        }
    }

    /// A command without a group still runs; what it leaves is then found as it is without groups.
    fn make_cgroup(&self, attempt: Uuid) -> Option<File> {
        let made = self.cgroups.as_ref()?.make(attempt);
        made.inspect_err(|error| super::note(format_args!("cannot make a control group: {error}"))).ok()
    }

    pub(super) fn remove_cgroup(&self, attempt: Uuid) {
        if let Some(cgroups) = &self.cgroups {
            cgroups.remove(attempt);
        }
    }

    /// A claim that never had a process.
    fn claim_ended(&mut self, command: &Command, end: End) -> Launched {
        let record = Record { end: Some(never(end)), ..self.new_record(command) };
        match self.records.insert(&record) {
            Ok(slot) => {
                self.keep(slot, Open::new(record, Tie::None));
                Launched::Claimed
            }
            Err(error) => Launched::Postponed(format!("cannot record a claim: {error}")),
        }
    }

    /// Ends the command, or takes its claim so that it never starts. `Err` if that cannot be recorded now.
    pub(super) fn cancel(&mut self, order: &CancelOrder) -> Result<Option<Shown>, String> {
        match self.present(order.attempt) {
            None => {
                let record = Record {
                    attempt: order.attempt,
                    run: order.run,
                    turn: 0,
                    spec_hash: [0; 32],
                    stage: 0,
                    boot: self.boot,
                    claimed_us: wall_us(),
                    claimed_at: BootNs::now(),
                    deadline: None,
                    grace_ms: 0,
                    asked: Some(Asked::Cancel),
                    end: Some(never(End::NeverStarted)),
                    acknowledged: false,
                    birth: None,
                };
                let slot = self.records.insert(&record).map_err(|error| error.to_string())?;
                self.keep(slot, Open::new(record, Tie::None));
                Ok(None)
            }
            Some(Present::TooOld) => Ok(Some(show_unclaimed(order.attempt, order.run, End::NeverStarted))),
            Some(Present::Unreadable(reason)) => Err(reason),
            Some(Present::Known(record)) => {
                let slot = self.claims[&order.attempt];
                if record.end.is_none() && order.unclaimed_only {
                    return Ok(Some(show(&record)));
                }
                if record.end.is_none() {
                    self.ask_to_end(slot, Asked::Cancel);
                    return Ok(None);
                }
                let swept = record.end.as_ref().is_some_and(|ended| ended.gone);
                Ok(swept.then(|| show(&record)))
            }
        }
    }

    /// What clients are told about a slot; `None` if it was acknowledged.
    pub(super) fn shown(&self, slot: Slot) -> Option<Shown> {
        self.open.get(&slot).map(|open| show(&open.record))
    }

    /// Ends an attempt without processes.
    pub(super) fn close(&mut self, slot: Slot, end: End) {
        if let Some(open) = self.open.get_mut(&slot) {
            open.record.end = Some(never(end));
            let record = open.record.clone();
            self.write(slot, &record);
            self.changed.push(slot);
        }
    }

    pub(super) fn keep(&mut self, slot: Slot, open: Open) {
        self.claims.insert(open.record.attempt, slot);
        self.turn_max = self.turn_max.max(open.record.turn);
        self.open.insert(slot, open);
        self.changed.push(slot);
    }

    /// Memory stays right when a write fails; the record then lags until the next one.
    pub(super) fn write(&self, slot: Slot, record: &Record) {
        if let Err(error) = self.records.update(slot, record) {
            super::note(format_args!("cannot write the record of attempt {}: {error}", record.attempt));
        }
    }

    fn new_record(&self, command: &Command) -> Record {
        let claimed_at = BootNs::now();
        Record {
            attempt: command.attempt,
            run: command.run,
            turn: command.turn,
            spec_hash: command.spec_hash,
            stage: command.stage,
            boot: self.boot,
            claimed_us: wall_us(),
            claimed_at,
            deadline: command.timeout_ms.map(|ms| claimed_at.plus_ms(ms)),
            grace_ms: command.grace_ms,
            asked: None,
            end: None,
            acknowledged: false,
            birth: None,
        }
    }
}

/// What is on record about an attempt that is launched again.
///
/// Its spec may have another hash now, since another version of the program renders it: it is still the same attempt,
/// and what is told of it to everybody is true. But an end that somebody committed for another spec is an end that the
/// database forgot, and nobody can say what it was worth.
fn adopt(record: &Record, command: &Command) -> Shown {
    let shown = show(record);
    if record.spec_hash == command.spec_hash || record.end_is_unstarted_cancel() {
        return shown;
    }
    super::note(format_args!("attempt {} is on record with another spec; it is not started again", record.attempt));
    if !record.acknowledged {
        return shown;
    }
    let reason = "its host has it on record as launched from another spec and committed, so what ran is unknown";
    Shown { acknowledged: true, ..show_unclaimed(record.attempt, record.run, End::Lost { reason: reason.into() }) }
}

fn show(record: &Record) -> Shown {
    let pid = |birth: Birth| birth.pid.unsigned_abs();
    let state = match &record.end {
        Some(Ended { at_us, end, usage, gone: true }) => {
            let start = record.birth.map(|birth| Start { pid: pid(birth), at_us: record.claimed_us });
            State::Gone { at_us: *at_us, end: end.clone(), usage: *usage, start }
        }
        // Its command may have ended, but something of it still runs.
        Some(Ended { gone: false, .. }) | None => {
            State::Started { pid: record.birth.map_or(0, pid), at_us: record.claimed_us }
        }
    };
    Shown { attempt: record.attempt, run: record.run, stage: record.stage, acknowledged: record.acknowledged, state }
}

fn show_unclaimed(attempt: Uuid, run: Uuid, end: End) -> Shown {
    let state = State::Gone { at_us: wall_us(), end, usage: Usage::default(), start: None };
    Shown { attempt, run, stage: 0, acknowledged: false, state }
}

fn never(end: End) -> Ended {
    Ended { at_us: wall_us(), end, usage: Usage::default(), gone: true }
}

/// The client has usually made the folder; a log that exists goes on.
fn open_log(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(dir) = path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
            }
            open()
        }
        other => other,
    }
}
