//! One installation: a DAG folder, a state directory, and a `gridflow standalone` that works on them.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::{
    prctl,
    signal::{SigSet, Signal},
};

use crate::{api::Api, db::Db, process, stop};

/// First starts make a database.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How finely a start is watched.
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub struct Site {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    settings: Vec<(&'static str, String)>,
    child: Child,
}

impl Site {
    /// A new installation below `root`, ready to be asked. `dags` are file names and texts.
    pub fn start(
        program: &Path,
        root: &Path,
        name: &str,
        dags: &[(String, String)],
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("dags"))?;
        for path in [root, &folder] {
            // PostgreSQL runs as somebody else when we are root.
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        for (file, text) in dags {
            fs::write(folder.join("dags").join(file), text)?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        stop::register(program, &folder.join("state"));
        let child = spawn(program, &folder, port, settings)?;
        let mut site = Self { program: program.to_owned(), folder, port, settings: settings.to_vec(), child };
        site.wait_until_answered()?;
        Ok(site)
    }

    /// Starts the program again after [`Site::kill`] or [`Site::stop`]. How long it took from before its execution
    /// until the first answer of the API with 2xx.
    pub fn start_again(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.child = spawn(&self.program, &self.folder, self.port, &self.settings)?;
        self.wait_until_answered()?;
        Ok(began.elapsed())
    }

    fn wait_until_answered(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(answer) = self.api().and_then(|mut api| api.get("/dags?limit=1"))
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("`gridflow standalone` ended with {status}:\n{}", self.log_tail());
            }
            ensure!(Instant::now() < deadline, "the API does not answer:\n{}", self.log_tail());
            thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGKILL for the program alone: database and host go on.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// An orderly end, of the database too.
    pub fn stop(&mut self) -> Result<()> {
        stop::end(&self.program, &self.state_dir());
        self.child.wait()?;
        Ok(())
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Everything of this site.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new connection to the API.
    pub fn api(&self) -> Result<Api> {
        let token = fs::read_to_string(self.state_dir().join("api-token")).context("reading the API token")?;
        Api::connect(&format!("127.0.0.1:{}", self.port), token.trim())
    }

    /// A new connection to Gridflow's database.
    pub fn db(&self) -> Result<Db> {
        Db::connect(&self.state_dir(), "gridflow")
    }

    /// The program and its host.
    pub fn processes(&self) -> Vec<i32> {
        process::of(&self.program, &self.state_dir())
    }

    /// Puts a DAG into the folder and waits until it can be triggered.
    pub fn add_dag(&self, id: &str, text: &str) -> Result<()> {
        let dags = self.folder.join("dags");
        // Whole or not at all: hidden files are not looked at.
        let draft = dags.join(format!(".{id}.yaml"));
        fs::write(&draft, text)?;
        fs::rename(&draft, dags.join(format!("{id}.yaml")))?;
        let mut api = self.api()?;
        let deadline = Instant::now() + READY_WITHIN;
        while api.get(&format!("/dags/{id}"))?.status != 200 {
            ensure!(Instant::now() < deadline, "the DAG `{id}` is not listed:\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until the API lists so many DAGs.
    pub fn wait_until_listed(&self, dags: usize) -> Result<()> {
        let mut api = self.api()?;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let count = api.get("/dags?limit=1")?.json()?["total_entries"].as_u64();
            if count == Some(dags as u64) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{count:?} of {dags} DAGs are listed:\n{}", self.log_tail());
            thread::sleep(LOOK_EVERY);
        }
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        stop::end(&self.program, &self.state_dir());
        let _ = self.child.wait();
        stop::forget(&self.program, &self.state_dir());
    }
}

fn spawn(program: &Path, folder: &Path, port: u16, settings: &[(&'static str, String)]) -> Result<Child> {
    let log = File::options().append(true).create(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    command.args(["standalone", "--port", &port.to_string(), "--dags"]).arg(folder.join("dags"));
    command.arg("--state-dir").arg(folder.join("state"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GRIDFLOW") {
            command.env_remove(name);
        }
    }
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C at the terminal is for the driver, which ends the program itself.
    command.process_group(0);
    // SAFETY: two system calls, nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            // The driver has blocked the signals that it waits for; the program must hear them.
            SigSet::empty().thread_set_mask()?;
            // Should the driver be killed, the program still ends in order.
            Ok(prctl::set_pdeathsig(Signal::SIGTERM)?)
        });
    }
    command.spawn().with_context(|| format!("starting {}", program.display()))
}
