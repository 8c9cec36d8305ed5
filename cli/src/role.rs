//! What the long-running roles have in common: their database, their scheduler, and how they end.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process,
};

use gridflow_store::{Database, Options};
use gridflow_web::{Server, Token};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{DATABASE_URL, Settings},
    failure::{Failure, Result, say},
    output,
    state_dir::StateDir,
};

/// For somebody who pressed Ctrl-C twice; 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// Where the API listens.
#[derive(Debug, clap::Args)]
pub struct ListenArgs {
    /// Port of the API; 0 takes a free one
    #[arg(long, default_value_t = 8080, value_name = "N")]
    port: u16,

    /// Address to listen on; only loopback is allowed as long as there are no users
    #[arg(long, default_value = "127.0.0.1", value_name = "IP", value_parser = loopback)]
    host: IpAddr,
}

impl ListenArgs {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "not an IP address".to_owned())?;
    if address.is_loopback() {
        Ok(address)
    } else {
        Err("only loopback (127.0.0.1 or ::1) is allowed: without users, everybody who reaches it could use it"
            .to_owned())
    }
}

/// The API's token, which is made on first use.
pub fn token(state_dir: &StateDir) -> Result<Token> {
    Token::parse(&state_dir.token()?).map_err(|error| {
        let path = state_dir.token_path();
        Failure::user(format!("`{}` holds no API token", path.display()))
            .because(&error)
            .help("remove the file: the next start writes a new one")
    })
}

/// Binds the API's address; nobody is answered before the server runs.
pub async fn bind(config: gridflow_web::Config) -> Result<Server> {
    Server::bind(config).await.map_err(|error| {
        Failure::user("cannot serve the API")
            .because(&error)
            .help("choose another port with `--port N`; 0 takes a free one")
    })
}

/// The API's address for scripts, on stdout, and for people the next step, on stderr.
pub fn announce(address: SocketAddr, state_dir: &StateDir) -> Result<()> {
    output::print(&format!("gridflow is ready: http://{address}/api/v2\n"))?;
    let program = std::env::args().next().unwrap_or_else(|| "gridflow".to_owned());
    let folder = state_dir.path().display();
    say(format!(
        "the API token is in `{}`; in another terminal:\n\
         \u{20} export GRIDFLOW_SERVER=http://{address} GRIDFLOW_STATE_DIR='{folder}'\n\
         \u{20} {program} dags list\n\
         \u{20} {program} runs trigger DAG --wait",
        state_dir.token_path().display()
    ));
    Ok(())
}

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
    config.node_lost_after = settings.node_lost_after;
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
/// harms nothing: the next start takes over whatever is left.
pub fn shutdown_on_signals() -> Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    let (tell, told) = std::sync::mpsc::channel();
    // Not on the runtime of the roles: while that ends, and the database after it, a second signal must still be heard.
    let listen = move || match signals_of_process() {
        Ok((runtime, signals)) => {
            // Who waits for it is there until it is told.
            let _ = tell.send(Ok(()));
            runtime.block_on(shut_down(signals, asked));
        }
        Err(error) => _ = tell.send(Err(error)),
    };
    let failed = |error: std::io::Error| Failure::ours("cannot listen for signals").because(&error);
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(failed)?;
    told.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())).map_err(failed)?;
    Ok(shutdown)
}

fn signals_of_process() -> std::io::Result<(Runtime, [Signal; 3])> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    drop(entered);
    Ok((runtime, signals))
}

/// The first signal asks for an orderly end, the second one ends the process.
async fn shut_down(signals: [Signal; 3], asked: CancellationToken) {
    let [mut interrupt, mut terminate, mut hangup] = signals;
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
