//! Whatever ends the driver, what it started ends with it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};

use crate::process;

/// 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;
/// What each process is given before it is killed.
const GRACE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

static IS_STOPPING: AtomicBool = AtomicBool::new(false);
static STARTED: Mutex<Vec<Started>> = Mutex::new(Vec::new());

#[derive(Debug, Clone, PartialEq, Eq)]
struct Started {
    program: PathBuf,
    state_dir: PathBuf,
}

/// Listens for Ctrl-C and SIGTERM on a thread of its own. To be called before any other thread exists, since they
/// inherit which signals are blocked.
pub fn on_signals(root: &Path) -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("blocking signals")?;
    let root = root.to_owned();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let _ = signals.wait();
        IS_STOPPING.store(true, Ordering::Relaxed);
        eprintln!("stopping what was started");
        for started in STARTED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            end(&started.program, &started.state_dir);
        }
        let _ = fs::remove_dir_all(&root);
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(())
}

/// While the driver stops, nothing goes on: what fails now fails because of that.
pub fn wait_if_stopping() {
    while IS_STOPPING.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
    }
}

/// From now on the processes of this state directory are ours to end.
pub fn register(program: &Path, state_dir: &Path) {
    let started = Started { program: program.to_owned(), state_dir: state_dir.to_owned() };
    let mut all = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !all.contains(&started) {
        all.push(started);
    }
}

/// They are somebody else's again, or gone.
pub fn forget(program: &Path, state_dir: &Path) {
    let started = Started { program: program.to_owned(), state_dir: state_dir.to_owned() };
    STARTED.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != started);
}

/// Ends all processes of a state directory: the program, which ends its database, and then the host, which waits for
/// nobody any more. Not at once: the program would start a new host.
pub fn end(program: &Path, state_dir: &Path) {
    let all = process::of(program, state_dir);
    let (hosts, programs): (Vec<i32>, Vec<i32>) = all.into_iter().partition(|pid| process::is_host(*pid));
    end_processes(&programs);
    end_processes(&hosts);
    let postmaster = state_dir.join("postgresql/data/postmaster.pid");
    let pid = fs::read_to_string(postmaster).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
    if let Some(pid) = pid.filter(|pid| process::is_alive(*pid)) {
        signal(pid, Signal::SIGQUIT);
        gone(|| !process::is_alive(pid));
    }
}

fn end_processes(pids: &[i32]) {
    pids.iter().for_each(|pid| signal(*pid, Signal::SIGTERM));
    if !gone(|| pids.iter().all(|pid| !process::is_alive(*pid))) {
        pids.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    }
}

fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself meanwhile.
    let _ = kill(Pid::from_raw(pid), signal);
}

fn gone(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + GRACE;
    while !condition() {
        if deadline < Instant::now() {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}
