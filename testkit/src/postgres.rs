//! A private, throw-away PostgreSQL: the real server, its data in a temporary folder.
//!
//! It dies with the process that started it, however that ends: the kernel sends it `SIGQUIT`.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::{Gid, Pid, Uid, User, getppid},
};
use tempfile::TempDir;

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

/// A running server. Stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    owner: Option<(Uid, Gid)>,
    port: u16,
    pid: Pid,
    exited: Mutex<mpsc::Receiver<()>>,
}

impl Postgres {
    /// Starts a new server and waits until it takes connections.
    pub fn start(durability: Durability) -> Result<Self> {
        sweep();
        let bin = find_binaries()?;
        let owner = unprivileged_owner()?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{DIR_PREFIX}{}-", std::process::id()))
            .tempdir()
            .context("making a folder for PostgreSQL")?;
        if let Some((uid, gid)) = owner {
            chown(dir.path(), Some(uid.as_raw()), Some(gid.as_raw())).context("giving PostgreSQL its folder")?;
        }
        initialize(&bin, dir.path(), owner)?;
        let port = free_port()?;
        let (pid, exited) = spawn(server_command(&bin, dir.path(), owner, port, durability)?)?;
        let server = Self { dir, bin, owner, port, pid, exited: Mutex::new(exited) };
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

    /// The postmaster.
    pub fn pid(&self) -> Pid {
        self.pid
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

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.psql("postgres", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if deadline < Instant::now() => return Err(error.context(self.log())),
                Err(_) if self.has_exited(Duration::ZERO) => bail!("PostgreSQL did not start: {}", self.log()),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn has_exited(&self, within: Duration) -> bool {
        let exited = self.exited.lock().unwrap_or_else(PoisonError::into_inner);
        exited.recv_timeout(within).is_ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Immediate shutdown: nobody needs the data. If it ignores that, its folder goes anyway.
        let _ = kill(self.pid, Signal::SIGQUIT);
        self.has_exited(Duration::from_secs(10));
    }
}

/// Where `postgres` and `initdb` are: on PATH or where distributions put them, newest first.
pub fn find_binaries() -> Result<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut candidates = on_path.unwrap_or_default();
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr/pgsql"] {
        let mut versions: Vec<PathBuf> =
            fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        versions.sort_by_key(|path| std::cmp::Reverse(version_of(path)));
        candidates.extend(versions.into_iter().map(|path| path.join("bin")));
    }
    candidates
        .into_iter()
        .find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .ok_or_else(|| anyhow!("no PostgreSQL found: install its server, or put its `bin` folder on PATH"))
}

fn version_of(path: &Path) -> u32 {
    let digits: String =
        path.file_name().unwrap_or_default().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn tool(bin: &Path, name: &str) -> PathBuf {
    let beside = bin.join(name);
    if beside.is_file() { beside } else { name.into() }
}

/// PostgreSQL refuses to run as root: then it runs as the first of these users that exists.
fn unprivileged_owner() -> Result<Option<(Uid, Gid)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name).context("reading the users")? {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    bail!("running as root, and there is neither a user `postgres` nor `nobody` to run PostgreSQL as")
}

fn as_owner(mut command: Command, owner: Option<(Uid, Gid)>) -> Command {
    if let Some((uid, gid)) = owner {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    command
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

fn server_command(
    bin: &Path,
    dir: &Path,
    owner: Option<(Uid, Gid)>,
    port: u16,
    durability: Durability,
) -> Result<Command> {
    let mut command = as_owner(Command::new(bin.join("postgres")), owner);
    command.arg("-D").arg(dir.join("data")).current_dir(dir);
    let mut set = |setting: String| {
        command.arg("-c").arg(setting);
    };
    set(format!("port={port}"));
    set("listen_addresses=127.0.0.1".into());
    set(format!("unix_socket_directories={}", dir.display()));
    set("max_connections=200".into());
    if durability == Durability::None {
        for setting in ["fsync=off", "full_page_writes=off", "synchronous_commit=off"] {
            set(setting.into());
        }
    }
    let log = fs::File::create(dir.join("log")).context("making PostgreSQL's log")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let parent = Pid::this();
    // SAFETY: prctl and getppid are async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGQUIT)?;
            if getppid() != parent {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            Ok(())
        });
    }
    Ok(command)
}

/// Starts the server from a thread that lives as long as the server: the kernel's parent-death signal is about the
/// *thread* that forked, and a test's thread ends with its test.
fn spawn(mut command: Command) -> Result<(Pid, mpsc::Receiver<()>)> {
    let (started, start) = mpsc::channel::<io::Result<u32>>();
    let (ended, end) = mpsc::channel();
    thread::Builder::new().name("postgres".into()).spawn(move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(Ok(child.id()));
            // Reaps it; how it ended is nobody's question.
            let _ = child.wait();
            let _ = ended.send(());
        }
        Err(error) => drop(started.send(Err(error))),
    })?;
    let pid = start.recv().context("the thread of PostgreSQL is gone")?.context("starting PostgreSQL")?;
    Ok((Pid::from_raw(pid as i32), end))
}

/// The port could be taken by another between this and the server's start; then its start fails and says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr())?.port())
}

/// Removes folders whose owner is gone: it was killed, or shared its server until its end.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(DIR_PREFIX)?.split('-').next()?.parse().ok());
        let is_gone = owner.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH));
        let still_runs = is_gone && entry.path().join("data/postmaster.pid").exists() && server_lives(&entry.path());
        if is_gone && !still_runs {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn server_lives(dir: &Path) -> bool {
    let pid = fs::read_to_string(dir.join("data/postmaster.pid")).unwrap_or_default();
    let pid = pid.lines().next().and_then(|line| line.parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH))
}
