//! What the long-running roles have in common: their database, their scheduler, and how they end.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process,
};

use gridflow_store::{Database, Options};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{DATABASE_URL, Settings},
    failure::{Failure, Result, say},
};

/// For somebody who pressed Ctrl-C twice; 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours("cannot start the runtime").because(&error))
}

/// The folder of DAGs as an absolute path. One that is not there at the start is a typo.
pub fn dag_folder(folder: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| {
        Failure::user(format!("cannot use `{}` as folder of DAGs", folder.display()))
            .because(&error)
            .help("name a folder that exists with `--dags DIR`")
    };
    if folder.metadata().map_err(failed)?.is_dir() {
        std::path::absolute(folder).map_err(failed)
    } else {
        Err(Failure::user(format!("`{}` is not a folder", folder.display()))
            .help("`--dags` takes a folder; `gridflow run FILE` runs a single file"))
    }
}

/// Connects and brings the schema up to date; older programs keep working on it.
pub async fn database(url: &str, settings: &Settings) -> Result<Database> {
    let mut options = Options::default();
    options.connections_max = settings.connections_max.unwrap_or(options.connections_max);
    let database = gridflow_store::connect(url, options).await.map_err(|error| {
        Failure::ours("cannot use the database")
            .because(&error)
            .help(format!("check that it runs and that `{DATABASE_URL}` names it, with user and password"))
    })?;
    migrate(&database).await?;
    Ok(database)
}

pub async fn migrate(database: &Database) -> Result<()> {
    gridflow_store::migrate(database, chrono::Utc::now())
        .await
        .map_err(|error| Failure::ours("cannot bring the database's schema up to date").because(&error))
}

pub fn scheduler_config(dags: PathBuf, state_dir: &Path, settings: &Settings) -> Result<gridflow_scheduler::Config> {
    let program = process_image()?;
    let mut config = gridflow_scheduler::Config::new(dags, state_dir.to_owned(), program);
    config.parallelism = settings.parallelism.unwrap_or(config.parallelism);
    config.losses_max = settings.losses_max.unwrap_or(config.losses_max);
    config.heartbeat = settings.heartbeat.unwrap_or(config.heartbeat);
    config.environment = environment();
    Ok(config)
}

/// The program's own environment. A variable that is not UTF-8 is on nobody's allow-list.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// How a host is started, but for the state directory.
pub fn host_command() -> Result<Vec<OsString>> {
    Ok(vec![process_image()?.into(), "host".into()])
}

/// The program that is started again as host and operator.
pub fn process_image() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| Failure::ours("cannot find the program's own file").because(&error))
}

/// Cancelled by the first SIGINT, SIGTERM or SIGHUP; the second one ends the process there and then, which
/// harms nothing: the next start takes over whatever is left. To be called within the runtime.
pub fn shutdown_on_signals() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|error| Failure::ours("cannot listen for signals").because(&error));
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if asked.is_cancelled() {
                say("stopped at once; the next start takes over what is left");
                process::exit(EXIT_INTERRUPTED);
            }
            say("stopping");
            asked.cancel();
        }
    });
    Ok(shutdown)
}

/// Runs `work` to its end or until the shutdown, whichever comes first.
pub async fn unless_stopped<T>(
    shutdown: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    shutdown.run_until_cancelled(work).await.transpose()
}

pub fn scheduler_failed(error: &gridflow_scheduler::Error) -> Failure {
    Failure::ours("the scheduler ended").because(error)
}
