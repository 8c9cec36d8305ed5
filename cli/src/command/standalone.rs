//! `gridflow standalone`: everything in one process.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use gridflow_executor::local::log_path;
use gridflow_scheduler::Signals;
use gridflow_store::{Database, api::attempt::open_count};
use gridflow_web::{LogPlace, Token, Wake};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    clusters::{self, ClustersArgs},
    config::{Settings, settings_of_environment},
    failure::{Failure, Result, say},
    init, postgres, role,
    state_dir::{StateDir, StateDirArgs},
    telemetry::{self, LogArgs},
};

const EXAMPLES: &str = "\
Examples:
  gridflow standalone --dags dags/
  gridflow standalone --dags dags/ --port 9000 --state-dir ~/gridflow
  GRIDFLOW__DATABASE__URL=postgres://… gridflow standalone --dags dags/    with a database of yours

The first line on stdout is the address of the API, once it answers. Ctrl-C or SIGTERM stops the
program; tasks that run go on, and the next start collects their results. `gridflow down` ends
them as well, and the next start tries them again; `gridflow runs cancel DAG RUN` ends a run.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of DAG files; a saved file is live within a second
    #[arg(long, value_name = "DIR")]
    dags: PathBuf,

    #[command(flatten)]
    clusters: ClustersArgs,
    #[command(flatten)]
    listen: role::ListenArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// For threads that read a file or a folder when the roles have ended.
const ROLES_GRACE: Duration = Duration::from_secs(5);
/// The farewell is a courtesy: a database that hangs must not hold up the end.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// What the roles of the process are made of.
struct Setup {
    address: SocketAddr,
    state_dir: StateDir,
    token: Token,
    settings: Settings,
    scheduler: gridflow_scheduler::Config,
    clusters: clusters::Watch,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let state_dir = args.state_dir.locate()?;
    state_dir.create()?;
    if let Some(code) = init::host_of_container(&state_dir)? {
        return Ok(code);
    }
    telemetry::start(&args.log)?;
    let settings = settings_of_environment()?;
    let dags = role::dag_folder(&args.dags)?;
    let _lock = state_dir.lock()?;
    let mut scheduler = role::scheduler_config(dags, state_dir.path(), &settings)?;
    let clusters = args.clusters.follow(&mut scheduler)?;
    let (address, token) = (args.listen.address(), role::token(&state_dir)?);
    let setup = Setup { address, token, scheduler, clusters, state_dir, settings };
    let runtime = role::runtime()?;
    // Before the database starts, so that a signal meanwhile does not leave it behind.
    let shutdown = runtime.block_on(async { role::shutdown_on_signals() })?;
    let private = match &setup.settings.database_url {
        Some(_) => None,
        None => Some(postgres::start(&setup.state_dir, &|| shutdown.is_cancelled())?),
    };
    let url = private.as_ref().map(|server| server.url().to_owned()).or(setup.settings.database_url.clone());
    let url = url.expect("without a database of the user's there is a private one");
    let served = runtime.block_on(serve(setup, &url, &shutdown));
    // Connections first: the database ends at once when nobody uses it.
    runtime.shutdown_timeout(ROLES_GRACE);
    if let Some(server) = private {
        server.stop();
    }
    served.map(|()| ExitCode::SUCCESS)
}

/// Runs scheduler and API until the shutdown, or until one of them fails.
async fn serve(setup: Setup, url: &str, shutdown: &CancellationToken) -> Result<()> {
    let Some(database) = role::unless_stopped(shutdown, role::database(url, &setup.settings)).await? else {
        return Ok(());
    };
    let signals = Signals::default();
    let farewell = database.clone();
    let config = gridflow_web::Config {
        address: setup.address,
        token: setup.token,
        database: database.clone(),
        logs: LogPlace { root: setup.state_dir.path().to_owned(), path: log_path },
        wake: Wake { inbox: Some(signals.inbox.clone()), turn: Some(signals.turn.clone()) },
        command_timeout: gridflow_web::Config::COMMAND_TIMEOUT,
    };
    let server = role::bind(config).await?;
    let address = server.address();

    let mut roles = JoinSet::new();
    roles.spawn({
        let (config, clusters) = (setup.scheduler, setup.clusters);
        let (signals, shutdown) = (signals.clone(), shutdown.clone());
        async move {
            tokio::select! {
                ended = gridflow_scheduler::run(config, database, signals, shutdown) => {
                    ended.map_err(|error| role::scheduler_failed(&error))
                }
                () = clusters.run() => Ok(()),
            }
        }
    });
    roles.spawn({
        let shutdown = shutdown.clone();
        async move {
            server.run(shutdown).await;
            Ok(())
        }
    });
    // Whoever waits for the line may trigger a DAG of the folder at once, so it has to be read before.
    let ready = async {
        signals.settled.notified().await;
        role::announce(address, &setup.state_dir)
    };
    let result = tokio::select! {
        ended = roles.join_next() => ended.map_or(Ok(()), finished),
        announced = ready => match announced {
            Ok(()) => roles.join_next().await.map_or(Ok(()), finished),
            Err(failure) => Err(failure),
        },
    };
    // One has ended: by the shutdown, or it takes the other one with it.
    shutdown.cancel();
    let mut result = result;
    while let Some(ended) = roles.join_next().await {
        result = result.and(finished(ended));
    }
    if let Ok(Some(running)) = tokio::time::timeout(FAREWELL_WITHIN, open_tasks(&farewell)).await {
        say(running);
    }
    result
}

/// What goes on without us, so that nobody takes it for stopped.
async fn open_tasks(database: &Database) -> Option<String> {
    let running = open_count(&mut *database.reader().await.ok()?).await.ok()?;
    (0 < running).then(|| {
        let tasks = if running == 1 { "1 task goes on".to_owned() } else { format!("{running} tasks go on") };
        format!("{tasks}; the next start collects the results (`gridflow runs cancel DAG RUN` then ends a run)")
    })
}

fn finished(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(Failure::ours("a part of the program crashed").because(&error)))
}
