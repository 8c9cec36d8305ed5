//! Two nodes: pid namespaces and state directories of their own. One leads, the other one tends itself and takes over.
//! What runs on a node goes on when the leader moves; its results, its cancels and its losses go through its own
//! scheduler, and nothing is lost or doubled.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, Node, Scheduler, history, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

fn cluster(tasks: &str) -> Result<Cluster> {
    let cluster = Cluster::new(&[])?;
    save(&cluster, tasks)?;
    Ok(cluster)
}

/// Every command writes its attempt's id when it starts.
fn save(cluster: &Cluster, tasks: &str) -> Result<()> {
    let env = format!("env: {{STARTS: \"{}\"}}", cluster.path("starts").display());
    let tasks = tasks.replace("START;", "echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS\";");
    cluster.save_dag("d.yaml", &format!("dag: d\nmax_active_tasks: 64\n{env}\ntasks:\n{tasks}"))
}

fn started(cluster: &Cluster, count: usize) -> Result<()> {
    wait_for("the commands", PATIENCE, || Ok((history::starts(&cluster.path("starts"))?.len() == count).then_some(())))
}

/// A leader on `node`, with a run of `d` of which that many commands have started.
fn leader_with_run(cluster: &Cluster, node: &Node<'_>, commands: usize) -> Result<Scheduler> {
    let leader = node.leader(&[])?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| leader.log())?;
    cluster.queue_run("d", "one")?;
    started(cluster, commands).with_context(|| leader.log())?;
    Ok(leader)
}

fn check_all(cluster: &Cluster, state: &str, runs: usize) -> Result<()> {
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    history::check_all_ended(cluster.server, &cluster.database, state, runs)?;
    history::check_attempts_match(cluster.server, &cluster.database, &starts)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn what_runs_on_a_node_goes_on_when_the_leader_moves_and_its_result_comes_through_its_standby() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster(
        "  a: {bash: 'START; while [ ! -e \"$STARTS.go\" ]; do sleep 0.1; done; echo 42 > \"$GRIDFLOW_OUTPUT\"'}
  b: {needs: a, bash: 'START; test {{ tasks.a | sh }} = 42'}
",
    )?;
    let (first, second) = (Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?);
    let leader = leader_with_run(&cluster, &first, 1)?;
    let next = second.scheduler(&[])?;
    cluster.until("SELECT count(*) FROM node", "2").with_context(|| next.log())?;
    leader.kill()?;
    second.until_it_leads().with_context(|| next.log())?;
    let standby = first.scheduler(&[])?;
    std::fs::write(cluster.path("starts.go"), "")?;
    cluster
        .until("SELECT state FROM dag_run", "success")
        .with_context(|| format!("{}\n{}", standby.log(), next.log()))?;
    check_all(&cluster, "success", 1)?;
    let nodes = cluster.sql("SELECT string_agg(node_id::text, ' ' ORDER BY task_no) FROM attempt")?;
    assert_eq!(nodes, format!("{} {}", first.id()?, second.id()?), "each where the leader was");
    cluster.until("SELECT count(*) FROM inbox", "0")
}

#[test]
fn a_cancel_is_carried_out_on_the_node_where_the_command_runs() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster("  a: {bash: 'START; exec sleep 600'}\n")?;
    let (first, second) = (Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?);
    let leader = leader_with_run(&cluster, &first, 1)?;
    let next = second.scheduler(&[])?;
    cluster.until("SELECT count(*) FROM node", "2")?;
    leader.kill()?;
    second.until_it_leads().with_context(|| next.log())?;
    cluster.cancel("cancel", "one")?;
    cluster.until("SELECT state FROM attempt", "canceling").with_context(|| next.log())?;
    cluster.until("SELECT state FROM dag_run", "failed")?;
    let standby = first.scheduler(&[])?;
    cluster.until("SELECT state || ' ' || outcome FROM attempt", "closed canceled").with_context(|| standby.log())?;
    check_all(&cluster, "failed", 1)
}

#[test]
fn what_a_node_lost_with_its_boot_is_tried_again_only_when_the_node_is_back() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster("  a: {bash: 'START; [ -e \"$STARTS.go\" ] || exec sleep 600'}\n")?;
    let (first, second) = (Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?);
    let leader = leader_with_run(&cluster, &first, 1)?;
    std::fs::write(cluster.path("starts.go"), "")?;
    let next = second.scheduler(&[])?;
    cluster.until("SELECT count(*) FROM node", "2")?;
    first.lose_power();
    drop(leader);
    second.until_it_leads().with_context(|| next.log())?;
    assert_eq!(cluster.sql("SELECT state FROM attempt")?, "running", "nobody knows better");
    let first = Node::boot(&cluster, "first")?;
    let standby = first.scheduler(&[])?;
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| standby.log())?;
    let outcomes = cluster.sql("SELECT string_agg(outcome, ' ' ORDER BY queued_at) FROM attempt")?;
    assert_eq!(outcomes, "lost exited");
    check_all(&cluster, "success", 1)
}

#[test]
fn a_node_that_stays_silent_is_given_up_when_that_is_wanted_and_its_command_ends_when_it_is_back() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster("  a: {bash: 'START; [ -e \"$STARTS.go\" ] || exec sleep 611'}\n")?;
    let (first, second) = (Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?);
    let leader = leader_with_run(&cluster, &first, 1)?;
    std::fs::write(cluster.path("starts.go"), "")?;
    let next = second.scheduler(&[("GRIDFLOW__SCHEDULER__NODE_LOST_AFTER", "15s")])?;
    cluster.until("SELECT count(*) FROM node", "2")?;
    leader.kill()?;
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| next.log())?;
    let message = cluster.sql("SELECT message FROM attempt WHERE outcome = 'lost'")?;
    assert!(message.contains("has been silent since"), "{message}");
    let standby = first.scheduler(&[])?;
    wait_for("the end of what was given up", PATIENCE, || {
        Ok(standby.log().contains("ending a command that the database does not know").then_some(()))
    })?;
    wait_for("its end", PATIENCE, || Ok((!is_running("sleep 611")).then_some(())))?;
    check_all(&cluster, "success", 1)
}

/// Whether a process with these arguments runs anywhere.
fn is_running(args: &str) -> bool {
    let wanted = args.replace(' ', "\0");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\0') == wanted)
    })
}

const MOVES: usize = 10;
const TASKS: usize = 60;

/// Tasks of up to three seconds, a few at a time, so that both nodes have some at every move.
fn many() -> String {
    let task = |no: usize| {
        format!(
            "  t{no}:\n    pool: narrow\n    bash: |\n      START;\n      sleep {}.{}\n      echo \"\\\"$GRIDFLOW_ATTEMPT_ID\\\"\" > \"$GRIDFLOW_OUTPUT\"\n",
            no % 3,
            no % 10
        )
    };
    (0..TASKS).map(task).collect()
}

#[test]
fn nothing_is_lost_or_doubled_while_the_leader_moves_to_and_fro() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster(&many())?;
    let nodes = [Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?];
    let leader = nodes[0].leader(&[])?;
    cluster.until("SELECT count(*) FROM dag", "1")?;
    cluster.sql("INSERT INTO pool (name, slots) VALUES ('narrow', 8)")?;
    let mut schedulers = [Some(leader), Some(nodes[1].scheduler(&[])?)];
    cluster.until("SELECT count(*) FROM node", "2")?;
    schedulers[0].take().context("the leader")?.kill()?;
    nodes[1].until_it_leads().with_context(|| logs(&cluster))?;
    schedulers[0] = Some(nodes[0].scheduler(&[])?);
    cluster.queue_run("d", "one")?;
    for moved in 0..MOVES {
        let leads = (moved + 1) % 2;
        nodes[leads].until_it_leads().with_context(|| logs(&cluster))?;
        thread::sleep(Duration::from_millis(700 + 90 * moved as u64));
        schedulers[leads].take().context("the leader")?.kill()?;
        nodes[1 - leads].until_it_leads().with_context(|| logs(&cluster))?;
        schedulers[leads] = Some(nodes[leads].scheduler(&[])?);
    }
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| logs(&cluster))?;
    cluster.until("SELECT count(*) FROM attempt WHERE is_open", "0")?;
    check_all(&cluster, "success", 1).with_context(|| logs(&cluster))?;
    let own = cluster.sql(
        "SELECT count(*) FROM xcom JOIN task_instance USING (dag_run_id, task_no, map_index)
         WHERE value #>> '{}' = attempt_id::text",
    )?;
    assert_eq!(own, TASKS.to_string(), "the output of the process that ran is the one that counts");
    let per_node = cluster.sql("SELECT count(DISTINCT node_id) FROM attempt WHERE outcome = 'exited'")?;
    assert_eq!(per_node, "2", "both nodes ran tasks");
    // A command that ran is never given up; what had only been queued may have been called off by its node.
    let given_up = cluster.sql("SELECT count(*) FROM attempt WHERE outcome NOT IN ('exited', 'never_started')")?;
    assert_eq!(given_up, "0");
    Ok(())
}

fn logs(cluster: &Cluster) -> String {
    ["first.log", "second.log"]
        .map(|name| std::fs::read_to_string(cluster.path(name)).unwrap_or_default())
        .join("\n--\n")
}
