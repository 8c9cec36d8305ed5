//! The API in processes of its own: any number of them, whether or not anybody leads.

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, Web, history};

const QUICK: &str = "dag: quick\ntasks:\n  a: {bash: 'echo done'}\n";

#[test]
fn a_run_that_one_web_takes_while_nobody_leads_runs_later_and_another_web_shows_it() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", QUICK)])?;
    let leader = cluster.scheduler("leader")?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| leader.log())?;
    let (one, other) = (Web::start(&cluster, "one")?, Web::start(&cluster, "other")?);
    leader.kill()?;

    let run = one.ask(&["runs", "trigger", "quick", "--run-id", "first"])?;
    assert_eq!(run["state"], "queued");
    let refused = one.run(&["runs", "cancel", "quick", "first"])?;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("is kept and will be carried out"), "{text}");
    other.ask(&["runs", "trigger", "quick", "--run-id", "second"])?;

    let leader = cluster.scheduler("next")?;
    let ended = other.ask(&["runs", "wait", "quick", "second", "--timeout", "60s"]);
    assert_eq!(ended.with_context(|| leader.log())?["state"], "success");
    // What was asked for while nobody led was carried out before anything started.
    let cancelled = one.ask(&["runs", "show", "quick", "first"])?;
    assert_eq!(cancelled["state"], "failed");
    history::check_log_replays(cluster.server, &cluster.database)
}
