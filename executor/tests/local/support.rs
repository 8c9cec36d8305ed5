//! A state directory with an executor, for tests against real processes.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gridflow_core::{
    AttemptId, AttemptOutcome, DagId, InstallationId, MapIndex, NodeId, Output, RunId, RunKey, TaskId, TryNumber, Turn,
    Usage,
};
use gridflow_executor::local::{Config, Handle, Launch, LocalExecutor, Report};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

/// Nothing a test waits for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BUILT_HOST: &str = env!("CARGO_BIN_EXE_gridflow-test-host");
/// Another copy of the host's program.
const HOST_VARIABLE: &str = "GRIDFLOW_TEST_HOST";

/// Runs all tests of this program again as a user without rights, if we are root; else that is what they do already.
pub fn repeat_as_ordinary_user(but: &str) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // Build folders may lie where only root gets to.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (tests, host) = (dir.path().join("tests"), dir.path().join("host"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(BUILT_HOST, &host).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(tests)
        .args(["--skip", but])
        .env(HOST_VARIABLE, host)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub config: Config,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Commands of other users pass through.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let installation = InstallationId(Uuid::now_v7());
        let host = vec![std::env::var_os(HOST_VARIABLE).unwrap_or_else(|| BUILT_HOST.into())];
        let mut config = Config::new(dir.path().to_owned(), host, installation, NodeId(Uuid::now_v7()));
        config.host_linger = Duration::from_millis(200);
        config.environment =
            [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("DATABASE_URL", "secret")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        Self { dir, config }
    }

    pub async fn client(&self) -> Client {
        let (handle, reports) = LocalExecutor::connect_or_start(self.config.clone()).await.unwrap();
        Client { handle, reports, started: HashMap::new(), finished: HashMap::new(), synced: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log_of(&self, attempt: AttemptId) -> String {
        let path = gridflow_executor::local::log_path(self.dir.path(), attempt);
        String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
    }

    pub fn host_log(&self) -> String {
        std::fs::read_to_string(self.path("host.log")).unwrap_or_default()
    }

    /// The process that holds the lock of the state directory.
    pub fn host_pid(&self) -> Option<i32> {
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(self.path("host.lock")).ok()?);
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let same = fields.get(5)?.rsplit(':').next()? == inode.to_string();
            (same && fields[1] == "FLOCK").then(|| fields[4].parse().ok())?
        })
    }

    pub fn kill_host(&self) {
        if let Some(pid) = self.host_pid() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill_host();
    }
}

#[derive(Debug, Clone)]
pub struct Finished {
    pub outcome: AttemptOutcome,
    pub usage: Usage,
    pub output: Option<Output>,
}

pub struct Client {
    pub handle: Handle,
    pub reports: mpsc::Receiver<Report>,
    pub started: HashMap<AttemptId, u32>,
    pub finished: HashMap<AttemptId, Finished>,
    pub synced: usize,
}

impl Client {
    /// Takes reports until the condition holds.
    pub async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            match timeout_at(deadline, self.reports.recv()).await {
                Ok(Some(report)) => self.take(report),
                Ok(None) => panic!("the executor ended before {what}"),
                Err(_) => panic!("waited in vain for {what}"),
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Synced { .. } => self.synced += 1,
            Report::Started { attempt, pid, .. } => {
                self.started.insert(attempt, pid);
            }
            Report::Finished { attempt, outcome, usage, output, .. } => {
                self.finished.insert(attempt, Finished { outcome, usage, output });
            }
        }
    }

    pub async fn end_of(&mut self, attempt: AttemptId) -> Finished {
        self.until("the end of an attempt", |client| client.finished.contains_key(&attempt)).await;
        self.finished[&attempt].clone()
    }

    pub async fn start_of(&mut self, attempt: AttemptId) -> u32 {
        self.until("the start of an attempt", |client| client.started.contains_key(&attempt)).await;
        self.started[&attempt]
    }

    pub async fn run(&mut self, launch: Launch) -> Finished {
        let attempt = launch.attempt;
        self.handle.launch(vec![launch]).await.unwrap();
        self.end_of(attempt).await
    }
}

/// A fresh attempt of that command.
pub fn launch(argv: &[&str]) -> Launch {
    Launch {
        attempt: AttemptId(Uuid::now_v7()),
        run: RunKey(Uuid::now_v7()),
        dag_id: DagId::parse("etl").unwrap(),
        task_id: TaskId::parse("load").unwrap(),
        run_id: RunId::parse("manual__1").unwrap(),
        map_index: MapIndex::UNMAPPED,
        try_number: TryNumber(1),
        logical_date: Some("2025-01-01T00:00:00+00:00".into()),
        owner: "data".into(),
        turn: Turn(5),
        spec_hash: [7; 32],
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        env: BTreeMap::new(),
        files: Vec::new(),
        context: serde_json::json!({"params": {"x": 1}}),
        execution_timeout: None,
        grace: Duration::from_secs(10),
        run_as: None,
        traceparent: None,
    }
}

pub fn sh(script: &str) -> Launch {
    launch(&["sh", "-c", script])
}

pub fn file(path: &str, text: &str) -> (String, Arc<[u8]>) {
    (path.into(), text.as_bytes().into())
}

/// Polls for what only the system can tell.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap().trim_start().chars().next();
        state != Some('Z')
    })
}

/// Waits for a file of the bench before it ends, so that a test decides when.
pub fn until_told(bench: &Bench, name: &str, then: &str) -> Launch {
    sh(&format!("while [ ! -e {} ]; do sleep 0.02; done; {then}", bench.path(name).display()))
}

pub fn tell(bench: &Bench, name: &str) {
    std::fs::write(bench.path(name), "").unwrap();
}

/// A message of a client that speaks by itself.
pub fn say(stream: &mut UnixStream, message: &serde_json::Value) {
    let body = serde_json::to_vec(message).unwrap();
    stream.write_all(&u32::try_from(body.len()).unwrap().to_le_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

/// What the host says to it; `None` when it hangs up.
pub fn answer(stream: &mut UnixStream) -> Option<serde_json::Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}
