//! `gridflow clusters`: what Gridflow has in the Kubernetes clusters of the clusters file.

use std::process::ExitCode;

use clap::Subcommand;
use gridflow_core::InstallationId;
use gridflow_executor::kubernetes::{self, Became, Cleaned, Running};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    clusters::ClustersArgs,
    config::{DatabaseArgs, settings_of_environment},
    failure::{EXIT_NO, Failure, Result},
    output::{self, OutputArgs, cell},
    postgres, role,
    state_dir::StateDirArgs,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take away what an installation has in its clusters, before it is uninstalled
    #[command(after_help = "\
Examples:
  gridflow clusters clean --kubernetes clusters.yaml                 what is over; what runs is left
  gridflow clusters clean --kubernetes clusters.yaml --end-running   everything

Stop Gridflow first. Its pods carry a finalizer that nobody else takes off: left behind, they hold their
namespace for ever. Run it again until nothing is left.

Exit codes: 0 nothing is left, 1 something is.")]
    Clean(Clean),
}

#[derive(Debug, clap::Args)]
pub struct Clean {
    /// End pods and Spark applications that run, too
    #[arg(long)]
    end_running: bool,
    /// Of which installation; needed only where its database is gone. The label `gridflow.io/installation` has it
    #[arg(long, value_name = "ID")]
    installation: Option<Uuid>,

    #[command(flatten)]
    clusters: ClustersArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::Clean(args) = command;
    let clusters = args.clusters.read()?.clusters;
    if clusters.is_empty() {
        return Err(Failure::user("no cluster is named").help("name the clusters file with `--kubernetes FILE`"));
    }
    let running = if args.end_running { Running::End } else { Running::Leave };
    let cleaned = role::runtime()?.block_on(async {
        let config = kubernetes::Config {
            installation: installation(args).await?,
            state_dir: std::path::PathBuf::new(),
            clusters: clusters.into_iter().map(|cluster| cluster.reach).collect(),
        };
        kubernetes::clean(&config, running)
            .await
            .map_err(|error| Failure::user("cannot use the clusters").because(&error))
    })?;
    let value = Value::Array(cleaned.iter().map(view).collect());
    output::answer(args.output.output, &value, || table(&value))?;
    let is_done = cleaned.iter().all(|one| one.what == Became::Deleted);
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}

async fn installation(args: &Clean) -> Result<InstallationId> {
    if let Some(id) = args.installation {
        return Ok(InstallationId(id));
    }
    let private = postgres::url_of_running(&args.state_dir.locate()?);
    let url = match (args.database.url(), private) {
        (Ok(url), _) => url.to_owned(),
        (Err(_), Some(url)) => url,
        (Err(failure), None) => return Err(failure),
    };
    let failed = |error: gridflow_store::Error| Failure::ours("cannot use the database").because(&error);
    let database = role::database(&url, &settings_of_environment()?).await?;
    let mut conn = database.reader().await.map_err(failed)?;
    gridflow_store::node::installation(&mut conn).await.map_err(failed)
}

fn view(one: &Cleaned) -> Value {
    let (became, reason) = match &one.what {
        Became::Deleted => ("deleted", None),
        Became::Left => ("left", Some("it runs; `--end-running` ends it")),
        Became::Failed(reason) => ("failed", Some(reason.as_str())),
    };
    json!({
        "cluster": &*one.cluster, "namespace": &*one.namespace, "name": one.name, "state": became, "reason": reason,
    })
}

fn table(cleaned: &Value) -> String {
    let header = ["CLUSTER", "NAMESPACE", "NAME", "STATE", "REASON"];
    let rows = cleaned
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| ["cluster", "namespace", "name", "state", "reason"].map(|field| cell(one, field)));
    output::table(header, rows)
}
