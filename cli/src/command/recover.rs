//! `gridflow recover`: goes on after the database went back in time.

use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use gridflow_store::{
    Database,
    api::node::{self, NodeRow},
    hold::{self, Hold, Unknown},
};
use serde_json::{Value, json};

use crate::{
    config::{DatabaseArgs, settings_of_environment},
    failure::{EXIT_NO, Failure, Result, say},
    output::{self, OutputArgs},
    postgres, role,
    state_dir::StateDirArgs,
};

const HELP: &str = "\
Examples:
  gridflow recover                          what happened, and what the database does not know
  gridflow recover --accept-data-loss       go on without it

What runs outside carries the turn that launched it. When a node has seen a turn that the database does
not know, the database was restored from an older copy, or a failover lost what was not replicated. Then
nothing is launched, because what the lost turns launched may still run. If a newer copy exists, stop
Gridflow and restore that one instead.

Accepting the loss ends the processes that the database does not know: nobody would collect their
results, and their tasks are about to run again. Whatever they did outside stays done.

Exit codes: 0 nothing is held up, or it was accepted; 1 launches are held up.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Let launches go on, without what the database lost
    #[arg(long)]
    accept_data_loss: bool,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
}

/// Everything that a person needs for the decision.
struct Loss {
    hold: Hold,
    unknown: Vec<Unknown>,
    nodes: Vec<NodeRow>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let settings = settings_of_environment()?;
    let private = postgres::url_of_running(&args.state_dir.locate()?);
    // The one of `standalone` is meant where none is named.
    let url = match (args.database.url(), private) {
        (Ok(url), _) => url.to_owned(),
        (Err(_), Some(url)) => url,
        (Err(failure), None) => return Err(failure),
    };
    role::runtime()?.block_on(async {
        let database = role::database(&url, &settings).await?;
        let failed = |error: gridflow_store::Error| Failure::ours("cannot use the database").because(&error);
        let Some(loss) = read(&database).await.map_err(failed)? else {
            output::answer(args.output.output, &json!({ "held": false }), || {
                "nothing is held up: no node has seen a turn that the database does not know\n".to_owned()
            })?;
            return Ok(ExitCode::SUCCESS);
        };
        output::answer(args.output.output, &view(&loss, args.accept_data_loss), || text(&loss))?;
        if !args.accept_data_loss {
            say("nothing was changed; go on without what is lost with `gridflow recover --accept-data-loss`");
            return Ok(ExitCode::from(EXIT_NO));
        }
        let mut conn = database.reader().await.map_err(failed)?;
        hold::lift(&mut conn, "cli", Utc::now()).await.map_err(failed)?;
        say("accepted: launches go on, and processes that the database does not know are ended");
        Ok(ExitCode::SUCCESS)
    })
}

async fn read(database: &Database) -> Result<Option<Loss>, gridflow_store::Error> {
    let mut conn = database.reader().await?;
    let Some(hold) = hold::get(&mut conn).await? else { return Ok(None) };
    let (unknown, nodes) = (hold::unknown(&mut conn).await?, node::all(&mut conn).await?);
    Ok(Some(Loss { hold, unknown, nodes }))
}

fn view(loss: &Loss, is_accepted: bool) -> Value {
    let Loss { hold, unknown, nodes } = loss;
    let unknown = unknown.iter().map(|one| {
        json!({
            "node_id": one.node.to_string(), "attempt_id": one.attempt.to_string(), "dag_run_key": one.run.to_string(),
            "pid": one.pid, "started_at": one.started_at, "ended_at": one.ended_at, "outcome": one.outcome,
        })
    });
    let nodes = nodes.iter().map(|node| {
        json!({ "node_id": node.node.to_string(), "hostname": node.hostname, "last_report": node.seen_at,
                "has_reported": has_reported(node, hold) })
    });
    json!({
        "held": !is_accepted, "since": hold.since, "node_id": hold.node.to_string(),
        "turn_outside": hold.outside.0, "turn_inside": hold.inside.0,
        "unknown_attempts": unknown.collect::<Vec<_>>(), "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn text(loss: &Loss) -> String {
    let Loss { hold, unknown, nodes } = loss;
    let mut text = format!(
        "The database went back in time; noticed at {}.\n\
         Node {} has seen turn {}, the database had turn {}: {} turns are lost at least.\n",
        shown(hold.since),
        hold.node,
        hold.outside,
        hold.inside,
        hold.outside.0 - hold.inside.0,
    );
    let silent: Vec<_> = nodes.iter().filter(|node| !has_reported(node, hold)).collect();
    for node in silent {
        text += &format!(
            "Node {} (`{}`) has not reported since {}: what runs there is not in this list.\n",
            node.node,
            node.hostname,
            shown(node.seen_at)
        );
    }
    if unknown.is_empty() {
        return text + "No node has an attempt on record that the database does not know.\n";
    }
    text += "\nAttempts that the database does not know:\n";
    let rows = unknown.iter().map(|one| {
        let state = match (&one.outcome, one.pid) {
            (Some(outcome), _) => format!("ended: {outcome}"),
            (None, Some(pid)) => format!("runs as process {pid}"),
            (None, None) => "runs".to_owned(),
        };
        let since = one.ended_at.or(one.started_at).map(shown).unwrap_or_default();
        [one.attempt.to_string(), one.run.to_string(), one.node.to_string(), state, since]
    });
    text + &output::table(["ATTEMPT", "RUN", "NODE", "STATE", "SINCE"], rows)
}

fn has_reported(node: &NodeRow, hold: &Hold) -> bool {
    !node.is_silent && hold.since <= node.seen_at
}

fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
