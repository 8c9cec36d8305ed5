//! The running server: start or take over, watch, stop.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::{
    cluster, find,
    pid_file::{self, Status},
    place::Place,
    user::RunUser,
};
use crate::{
    failure::{Failure, Result, say},
    progress,
};

/// Crash recovery of a large database takes its time; beyond this something else is wrong.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// A fast shutdown writes a checkpoint, which on a slow disk takes its time too.
const STOPPED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How soon a server that died is noticed.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Between two restarts of a server that keeps dying.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// What differs from PostgreSQL's defaults, which stay as durable as they are.
const SETTINGS: [&str; 14] = [
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "cluster_name=gridflow",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] ",
    // One program connects: pools of the scheduler and the API, and room for a person with psql.
    "max_connections=60",
    "shared_buffers=128MB",
    // Statements are short; compiling them costs more than it brings.
    "jit=off",
    // Its launcher is a process that would only wait.
    "max_logical_replication_workers=0",
    // Commands append to the log at their own pace; nothing here waits for a reader.
    "logging_collector=off",
];

/// A private server that accepts connections, and is started again when it dies.
#[derive(Debug)]
pub struct Server {
    url: String,
    shared: Arc<Shared>,
    watcher: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: Mutex<bool>,
    changed: Condvar,
}

/// Starts the server of `place` or takes over the one that runs, and waits until it is ready.
pub fn start(place: Place, user: RunUser) -> Result<Server> {
    let (process, sockets) = bring_up(&place, &user)?;
    let shared = Arc::new(Shared::default());
    let watcher = thread::Builder::new()
        .name("postgresql".into())
        .spawn({
            let shared = Arc::clone(&shared);
            move || watch(&shared, process, &place, &user)
        })
        .map_err(|error| Failure::ours("cannot start a thread").because(&error))?;
    Ok(Server { url: url(&sockets), shared, watcher: Some(watcher) })
}

/// The address of the server that runs on this data, whoever started it.
pub fn running_url(data: &Path) -> Option<String> {
    let running = pid_file::running(data)?;
    (running.status == Status::Ready).then(|| url(&running.sockets))
}

impl Server {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server: connections are cut, what was committed is on disk. Returns when it is gone.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *self.shared.stop.lock().expect("no holder panics") = true;
        self.shared.changed.notify_all();
        if let Some(watcher) = self.watcher.take() {
            progress::step("stopping PostgreSQL", || {
                let _ = watcher.join();
            });
        }
    }
}

/// A start that fails after the database was up must not leave it behind.
impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The server's process: our child, or one that an earlier gridflow left behind.
#[derive(Debug)]
enum Process {
    Child(Child),
    Adopted(Pid),
}

impl Process {
    fn pid(&self) -> Pid {
        match self {
            Self::Child(child) => Pid::from_raw(child.id().cast_signed()),
            Self::Adopted(pid) => *pid,
        }
    }

    /// Also collects a child that ended.
    fn is_alive(&mut self) -> bool {
        match self {
            Self::Child(child) => matches!(child.try_wait(), Ok(None)),
            Self::Adopted(pid) => pid_file::is_alive(*pid),
        }
    }
}

fn bring_up(place: &Place, user: &RunUser) -> Result<(Process, String)> {
    // One that is on its way out would refuse us: wait until it has gone.
    let deadline = Instant::now() + STOPPED_WITHIN;
    while pid_file::running(&place.data).is_some_and(|running| running.status == Status::Stopping) {
        if deadline < Instant::now() {
            return Err(Failure::ours("the private PostgreSQL is stopping, and does not come to an end")
                .help(format!("look into `{}`", place.log.display())));
        }
        thread::sleep(LOOK_EVERY);
    }
    let mut process = match pid_file::running(&place.data) {
        Some(running) => Process::Adopted(running.pid),
        None => {
            pid_file::bury(&place.data)
                .map_err(|error| Failure::ours("cannot clear away what a dead PostgreSQL left").because(&error))?;
            Process::Child(spawn(place, user)?)
        }
    };
    let sockets = progress::step("starting PostgreSQL", || until_ready(place, &mut process))?;
    Ok((process, sockets))
}

fn spawn(place: &Place, user: &RunUser) -> Result<Child> {
    let installation = find::find(place.data_major()?)?;
    if place.data_major()?.is_none() {
        cluster::create(&installation, place, user)?;
    }
    let log = place.open_log(user)?;
    let failed = |error: io::Error| {
        Failure::ours(format!("cannot start `{}`", installation.program("postgres").display())).because(&error)
    };
    let mut command = user.command(&installation.program("postgres"));
    command.arg("-D").arg(&place.data);
    command.arg("-c").arg(format!("unix_socket_directories={}", quoted_folder(&place.sockets.to_string_lossy())));
    for setting in SETTINGS {
        command.arg("-c").arg(setting);
    }
    command
        // A group of its own: Ctrl-C at the terminal is for gridflow, which ends the server last.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)
}

/// The setting is a list; a name with a comma or a blank needs quotes.
fn quoted_folder(folder: &str) -> String {
    format!("\"{}\"", folder.replace('"', "\"\""))
}

fn until_ready(place: &Place, process: &mut Process) -> Result<String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match pid_file::running(&place.data) {
            Some(running) if running.pid == process.pid() && running.status == Status::Ready => {
                return Ok(running.sockets);
            }
            Some(_) | None => {}
        }
        if !process.is_alive() {
            return Err(Failure::ours("the private PostgreSQL ended while it started")
                .because_text(place.log_tail())
                .help(format!("its log is `{}`", place.log.display())));
        }
        if deadline < Instant::now() {
            return Err(Failure::ours("the private PostgreSQL does not become ready")
                .because_text(place.log_tail())
                .help(format!("its log is `{}`", place.log.display())));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Until told to stop: brings the server up again whenever it dies. Then ends it.
fn watch(shared: &Shared, mut process: Process, place: &Place, user: &RunUser) {
    loop {
        if stopped_within(shared, WATCH_EVERY) {
            return shut_down(process, place);
        }
        if process.is_alive() {
            continue;
        }
        tracing::warn!("the private PostgreSQL died; starting it again");
        match bring_up(place, user) {
            Ok((again, _)) => process = again,
            Err(failure) => {
                tracing::error!(?failure, "the private PostgreSQL does not start; trying again");
                if stopped_within(shared, RESTART_PAUSE) {
                    return;
                }
            }
        }
    }
}

fn stopped_within(shared: &Shared, pause: Duration) -> bool {
    let stop = shared.stop.lock().expect("no holder panics");
    let (stop, _) = shared.changed.wait_timeout_while(stop, pause, |stop| !*stop).expect("no holder panics");
    *stop
}

/// `false` if no server of that data directory runs.
pub fn stop_left_behind(data: &Path) -> Result<bool> {
    let Some(running) = pid_file::running(data) else { return Ok(false) };
    let mut process = Process::Adopted(running.pid);
    interrupt(&mut process);
    if process.is_alive() {
        return Err(Failure::ours(format!("PostgreSQL (pid {}) does not come to an end", running.pid))
            .help(format!("its log lies beside `{}`", data.display())));
    }
    Ok(true)
}

/// SIGINT is PostgreSQL's fast shutdown: open transactions roll back, then a checkpoint.
fn shut_down(mut process: Process, place: &Place) {
    interrupt(&mut process);
    if process.is_alive() {
        say(format!("PostgreSQL (pid {}) is still stopping; its log is `{}`", process.pid(), place.log.display()));
    }
}

/// Waits for the end, if that does not take too long.
fn interrupt(process: &mut Process) {
    let mut deadline = None;
    while process.is_alive() {
        let deadline = *deadline.get_or_insert_with(|| {
            let _ = signal::kill(process.pid(), Signal::SIGINT);
            Instant::now() + STOPPED_WITHIN
        });
        if deadline < Instant::now() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

pub fn url(sockets: &str) -> String {
    let folder: String = sockets
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("postgres://{user}@localhost/{user}?host={folder}", user = cluster::NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_survives_a_folder_with_blanks_and_signs() {
        assert_eq!(url("/a b/ü&c"), "postgres://gridflow@localhost/gridflow?host=/a%20b/%C3%BC%26c");
    }
}
