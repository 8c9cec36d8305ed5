//! The built program, run to its end or watched while it runs.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use tempfile::TempDir;

/// Beyond this a test has failed. Generous, since other builds may share the machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// As whom the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// Whoever runs the tests; in many places root.
    Us,
    /// An ordinary user. The same as `Us` when the tests run as one.
    Ordinary,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with nothing of our environment that it listens to.
pub fn gridflow() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_gridflow")))
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GRIDFLOW") {
            command.env_remove(name);
        }
    }
    command.env("COLUMNS", "100").env_remove("XDG_STATE_HOME").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Said {
    let output = command.output().expect("the program starts");
    Said {
        code: output.status.code().expect("it ended by itself"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A folder for one installation: DAGs, state, and a copy of the program that every user may run.
pub struct Site {
    folder: TempDir,
    run_as: RunAs,
    port: String,
}

impl Site {
    pub fn new(run_as: RunAs) -> Self {
        let folder = tempfile::Builder::new().prefix("gf").tempdir().expect("temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        // By another process: a test beside this one that forks meanwhile would hold the copy open for writing, and a
        // file that is written to can't be run.
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_gridflow")).arg(folder.path().join("gridflow"));
        assert!(copy.status().expect("it runs").success(), "a copy of the program");
        fs::create_dir(folder.path().join("dags")).expect("folder");
        let site = Self { folder, run_as, port: "0".to_owned() };
        fs::create_dir(site.state_dir()).expect("folder");
        if let Some(user) = site.user() {
            std::os::unix::fs::chown(site.state_dir(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("chown");
        }
        site
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    /// A folder that tasks may write to.
    pub fn shared(&self) -> PathBuf {
        let folder = self.folder.path().join("shared");
        fs::create_dir_all(&folder).expect("folder");
        folder
    }

    /// From now on this port instead of a free one.
    pub fn listen_on(&mut self, port: &str) {
        port.clone_into(&mut self.port);
    }

    /// `gridflow standalone` of this site, as its user.
    pub fn standalone(&self) -> Command {
        self.standalone_in(&self.state_dir())
    }

    /// The same with its state somewhere else.
    pub fn standalone_in(&self, state_dir: &Path) -> Command {
        let mut command = clean(Command::new(self.folder.path().join("gridflow")));
        command.args(["standalone", "--port", &self.port, "--dags"]).arg(self.dags()).arg("--state-dir").arg(state_dir);
        if let Some(user) = self.user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Whom to become; nobody when we are an ordinary user already, or shall stay who we are.
    fn user(&self) -> Option<User> {
        match self.run_as {
            RunAs::Us => None,
            RunAs::Ordinary if !Uid::effective().is_root() => None,
            RunAs::Ordinary => User::from_name("nobody").expect("users are readable"),
        }
    }

    /// The private server that runs on this site, by its own word.
    pub fn postgresql(&self) -> Option<Pid> {
        let file = self.state_dir().join("postgresql/data/postmaster.pid");
        let pid = fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()?;
        is_alive(Pid::from_raw(pid)).then_some(Pid::from_raw(pid))
    }
}

/// Nothing outlives its test, not even a server whose gridflow was killed.
impl Drop for Site {
    fn drop(&mut self) {
        // Tasks that still wait for a test that failed end with it.
        let _ = fs::write(self.folder.path().join("shared/go"), "");
        if let Some(pid) = self.postgresql() {
            let _ = kill(pid, Signal::SIGQUIT);
            wait_until("PostgreSQL is gone", || !is_alive(pid));
        }
    }
}

/// A program that runs; killed when dropped.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: Option<thread::JoinHandle<()>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (send, stdout) = channel();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        let errors = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let stderr = Arc::<Mutex<String>>::default();
        let stderr_reader = thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || errors.map_while(Result::ok).for_each(|line| *stderr.lock().unwrap() += &(line + "\n"))
        });
        Self { child, stdout, stderr, stderr_reader: Some(stderr_reader) }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The next line on stdout.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.stdout.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(error) => {
                let _ = self.child.kill();
                panic!("no line on stdout ({error}); stderr:\n{}", self.stderr());
            }
        }
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Its exit code and what it wrote to stderr; no code when a signal ended it.
    #[track_caller]
    pub fn ended(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        if let Some(reader) = self.stderr_reader.take() {
            reader.join().expect("the reader does not panic");
        }
        (status.code(), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
