//! One run of a DAG file without a server and without a database: `gridflow run FILE`.
//!
//! The same core decides and the same host launches; only the commit is another: to memory. What
//! would survive a crash of a scheduler does not survive one here, and nothing is scheduled or
//! triggered.

mod answer;
mod children;
mod engine;
mod outcome;
mod rows;

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use gridflow_core::{InstallationId, NodeId, RunId, Timestamp};
use gridflow_dag_spec::Diagnostic;
use gridflow_executor::local;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use outcome::{Change, Outcome, RunResult, TaskInstanceResult};

use crate::bundle::compile_file;
use engine::Engine;

/// How long the host stays after its last client: nobody comes back to this state directory.
const HOST_LINGER: Duration = Duration::from_millis(200);

/// What is to be run, and how.
#[derive(Debug, Clone)]
pub struct Config {
    pub file: PathBuf,
    /// The program that is started as `host` and as `operator`: normally the running one.
    pub program: PathBuf,
    /// Params that differ from the DAG's defaults.
    pub conf: Map<String, Value>,
    /// By default: now.
    pub logical_date: Option<Timestamp>,
    pub run_id: Option<RunId>,
    /// Our own environment. Commands get `PATH` and a few others of it, never the rest.
    pub environment: BTreeMap<String, String>,
    /// Attempts at the same time.
    pub parallelism: NonZeroU32,
    pub state_dir: StateDir,
}

/// Where logs and scratch folders lie.
#[derive(Debug, Clone)]
pub enum StateDir {
    /// A new folder, gone when the run is over.
    Temporary,
    /// This folder, made if it is not there, and kept.
    Kept(PathBuf),
}

impl Config {
    pub fn new(file: PathBuf, program: PathBuf) -> Self {
        Self {
            file,
            program,
            conf: Map::new(),
            logical_date: None,
            run_id: None,
            environment: BTreeMap::new(),
            parallelism: NonZeroU32::new(32).expect("32 is not 0"),
            state_dir: StateDir::Temporary,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or one it refers to, is no DAG.
    #[error("the DAG has {} errors", .0.len())]
    Dag(Vec<Diagnostic>),
    /// Each with its param's name.
    #[error("the params are not valid: {}", .0.join("; "))]
    Params(Vec<String>),
    #[error("cannot use the state directory `{}`", dir.display())]
    StateDir {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read which boot this is")]
    Boot(#[source] io::Error),
    #[error(transparent)]
    Executor(#[from] local::Error),
    /// Nothing can happen any more, and the runs are not over. A bug.
    #[error("the run stands still: {0}")]
    Stuck(String),
}

/// Runs a DAG file once and returns how it ended. `on_change` hears of every change of state.
///
/// On a shutdown the run is canceled like by a person: commands get SIGTERM and their grace, and the
/// outcome says so.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    on_change: impl FnMut(&Change),
) -> Result<Outcome, Error> {
    let loaded = compile_file(&config.file).map_err(Error::Dag)?;
    let conf = Value::Object(config.conf.clone());
    let check = loaded.compiled.params(&conf);
    check.map_err(|errors| Error::Params(errors.iter().map(ToString::to_string).collect()))?;

    let dir = StateFolder::open(&config.state_dir)?;
    // One run, one node: there is no other that it could be confused with.
    let node = NodeId(Uuid::now_v7());
    let executor = executor_config(&config, &dir.path, node);
    let (executor, reports) = local::LocalExecutor::connect_or_start(executor).await?;
    let engine = Engine::new(&config, &dir.path, (node, executor), on_change)?;
    let ended = engine.run(loaded, conf, reports, shutdown).await;
    dir.close().await;
    ended
}

fn executor_config(config: &Config, dir: &Path, node: NodeId) -> local::Config {
    let host = vec![config.program.clone().into_os_string(), "host".into()];
    let installation = InstallationId(Uuid::now_v7());
    local::Config {
        environment: config.environment.clone(),
        host_linger: HOST_LINGER,
        ..local::Config::new(dir.to_owned(), host, installation, node)
    }
}

struct StateFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl StateFolder {
    fn open(wanted: &StateDir) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let (path, is_temporary) = match wanted {
            StateDir::Temporary => {
                (std::env::temp_dir().join(format!("gridflow-run-{}", Uuid::now_v7().simple())), true)
            }
            StateDir::Kept(path) => (path.clone(), false),
        };
        // Logs may hold what is nobody else's business.
        let made = std::fs::DirBuilder::new().recursive(!is_temporary).mode(0o700).create(&path);
        made.and_then(|()| path.canonicalize())
            .map(|path| Self { path, is_temporary })
            .map_err(|source| Error::StateDir { dir: path, source })
    }

    async fn close(self) {
        if !self.is_temporary {
            return;
        }
        // The host may write its last lines while the folder goes; then it goes with the next try.
        for _ in 0..10 {
            if tokio::fs::remove_dir_all(&self.path).await.is_ok() {
                return;
            }
            tokio::time::sleep(HOST_LINGER).await;
        }
        tracing::warn!(dir = %self.path.display(), "the run's temporary folder can't be removed");
    }
}
