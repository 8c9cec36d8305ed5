//! A private, throw-away PostgreSQL: the real server, its data in a temporary folder.
//!
//! It dies with the process that started it, however that ends: the kernel sends it `SIGQUIT`.

mod binaries;
mod control;
pub mod disk;
mod process;
mod sweep;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Gid, Pid, Uid},
};
use tempfile::TempDir;

pub use binaries::find_binaries;
pub use control::{Copy, Stop};

use binaries::{as_owner, tool, unprivileged_owner};
use process::Process;

/// Folders of servers carry the pid of their owner in their name, so that leftovers of killed processes are found.
const DIR_PREFIX: &str = "gridflow-pg-";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a commit survives a crash of the machine. Tests about anything else need not pay for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's defaults.
    Full,
    /// `fsync = off` and friends.
    None,
}

/// What a server is like.
#[derive(Debug, Clone)]
pub struct Settings {
    pub durability: Durability,
    /// Its data lie on a file system of their own that has this much room. Needs root: see [`disk::can_mount`].
    pub disk_bytes: Option<u64>,
    /// Lines of `postgresql.conf`, as `name=value`.
    pub config: Vec<String>,
}

impl Settings {
    pub fn new(durability: Durability) -> Self {
        Self { durability, disk_bytes: None, config: Vec::new() }
    }
}

/// A server and its folder. Stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    owner: Option<(Uid, Gid)>,
    port: u16,
    settings: Settings,
    process: Mutex<Process>,
}

impl Postgres {
    /// Starts a new server and waits until it takes connections.
    pub fn start(durability: Durability) -> Result<Self> {
        Self::start_with(Settings::new(durability))
    }

    /// The same, with more to say about it.
    pub fn start_with(settings: Settings) -> Result<Self> {
        sweep::sweep();
        let bin = find_binaries()?;
        let owner = unprivileged_owner()?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{DIR_PREFIX}{}-", std::process::id()))
            .tempdir()
            .context("making a folder for PostgreSQL")?;
        if let Some((uid, gid)) = owner {
            chown(dir.path(), Some(uid.as_raw()), Some(gid.as_raw())).context("giving PostgreSQL its folder")?;
        }
        if let Some(bytes) = settings.disk_bytes {
            disk::mount(&dir.path().join("data"), bytes, owner)?;
        }
        initialize(&bin, dir.path(), owner)?;
        let port = free_port()?;
        let process = Process::start(process::command(&bin, dir.path(), owner, port, &settings)?)?;
        let server = Self { dir, bin, owner, port, settings, process: Mutex::new(process) };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// The server that all tests of this program share, without durability.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Durability::None).expect("a PostgreSQL for tests"))
    }

    /// Makes an empty database and returns its URL (over TCP on loopback).
    pub fn create_database(&self) -> Result<String> {
        self.create_database_from("template1")
    }

    /// Makes a copy of a database that nobody is connected to, and returns its URL.
    pub fn create_database_from(&self, template: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(self.url(&name))
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The postmaster; of the last start, if it is stopped.
    pub fn pid(&self) -> Pid {
        self.process().pid
    }

    /// Runs one statement and returns what it prints, unaligned and without headers.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let output = as_owner(Command::new(tool(&self.bin, "psql")), self.owner)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql, "-h"])
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string()])
            .current_dir(self.dir.path())
            .output()
            .context("running psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.psql("postgres", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if deadline < Instant::now() => return Err(error.context(self.log())),
                Err(_) if self.process().has_exited(Duration::ZERO) => {
                    bail!("PostgreSQL did not start: {}", self.log())
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Immediate shutdown: nobody needs the data. If it ignores that, its folder goes anyway.
        let mut process = self.process();
        if !process.has_exited(Duration::ZERO) {
            let _ = kill(process.pid, Signal::SIGQUIT);
            process.has_exited(Duration::from_secs(10));
        }
        if self.settings.disk_bytes.is_some() {
            disk::unmount(&self.data_dir());
        }
    }
}

fn initialize(bin: &Path, dir: &Path, owner: Option<(Uid, Gid)>) -> Result<()> {
    let output = as_owner(Command::new(bin.join("initdb")), owner)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
        .arg(dir.join("data"))
        .current_dir(dir)
        .output()
        .context("running initdb")?;
    if !output.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The port could be taken by another between this and the server's start; then its start fails and says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr())?.port())
}
