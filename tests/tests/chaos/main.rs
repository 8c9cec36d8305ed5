//! Hundreds of processes run while faults strike at random moments; afterwards everything is checked.
//!
//! Where there is a Kubernetes some commands run as pods, and faults of their own strike them in between.
//!
//! `GRIDFLOW_FAULTS` is how many faults there are, `GRIDFLOW_FAULTS_SEED` which ones and when: a failure prints it.

mod dice;
mod fault;
mod feed;
mod node;
mod pods;

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Settings};
use gridflow_tests::{
    Cluster,
    check::Losses,
    evidence::Attempt,
    workload::{POD_DAGS, Workload},
};

use crate::{dice::Dice, feed::Feed, node::Site};

const FAULTS_DEFAULT: usize = 12;
/// Commands that run at once, beside some dozens of other DAGs'.
const CROWD: usize = 50;
const CROWD_IN_LONG_FORM: usize = 300;
/// For so many faults of everything else there is one of pods.
const FAULTS_PER_POD_FAULT: usize = 3;
/// After the last fault.
const PATIENCE: Duration = Duration::from_secs(180);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_or_doubled_whatever_strikes() -> Result<()> {
    let seed = number("GRIDFLOW_FAULTS_SEED").unwrap_or_else(dice::any_seed);
    let count = number("GRIDFLOW_FAULTS").map_or(FAULTS_DEFAULT, |count| count as usize);
    eprintln!("{count} faults; to repeat their order: GRIDFLOW_FAULTS_SEED={seed}");
    history(seed, count).with_context(|| format!("GRIDFLOW_FAULTS_SEED={seed} GRIDFLOW_FAULTS={count}"))
}

fn history(seed: u64, count: usize) -> Result<()> {
    let cluster = Cluster::on_own_server(Settings::new(Durability::Full), &[])?;
    let crowd = if count <= FAULTS_DEFAULT { CROWD } else { CROWD_IN_LONG_FORM };
    let (pods, wire) = pods::pods(&cluster)?.unzip();
    let workload = Workload::crowded(cluster, crowd, pods)?;
    let mut site = Site::begin(&workload)?;
    let mut dice = Dice(seed);
    // Of their own, so that the others are the same without them.
    let mut pod_dice = Dice(seed);
    let mut pod_deck = pods::deck(&mut pod_dice, count / FAULTS_PER_POD_FAULT);
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    let mut deck = fault::deck(&mut dice, count);
    let (asked, landed) = thread::scope(|scope| -> Result<_> {
        let feed = Feed::begin(scope, &workload, Arc::clone(&site.door));
        let mut strike = || -> Result<()> {
            while let Some(fault) = deck.pop() {
                thread::sleep(Duration::from_millis(dice.below(800)));
                site.keep_alive()?;
                eprintln!("{} {fault:?}", count - deck.len());
                fault.strike(&mut site, &mut dice).with_context(|| format!("{fault:?}"))?;
                *done.entry(format!("{fault:?}")).or_default() += 1;
                if let (Some(pods), Some(wire)) = (workload.pods(), &wire)
                    && deck.len() < pod_deck.len() * FAULTS_PER_POD_FAULT
                    && let Some(fault) = pod_deck.pop()
                {
                    eprintln!("  pods: {fault:?}");
                    fault.strike(pods, wire, &mut pod_dice).with_context(|| format!("{fault:?}"))?;
                    *done.entry(format!("{fault:?}")).or_default() += 1;
                }
            }
            Ok(())
        };
        let struck = strike();
        let fed = feed.end();
        struck.with_context(|| site.logs())?;
        fed
    })?;
    site.heal()?;
    site.check_logs()?;
    workload.wait_until_idle(PATIENCE).with_context(|| site.logs())?;
    let losses = if count == 0 { Losses::None } else { Losses::Expected };
    let evidence = workload.check(asked, losses).with_context(|| site.logs())?;
    assert_eq!(evidence.events.len(), landed, "each file that landed is one event");
    let lost = evidence.attempts.iter().filter(|attempt| attempt.outcome == "lost");
    let of_pods = |attempt: &&Attempt| !attempt.claim.is_empty();
    eprintln!(
        "{} runs of which {} were cancelled, {} attempts ({} of pods) of which {} ({}) were lost, {} leaders; {done:?}",
        evidence.runs.len(),
        evidence.cancelled.len(),
        evidence.attempts.len(),
        evidence.attempts.iter().filter(of_pods).count(),
        lost.clone().count(),
        lost.filter(of_pods).count(),
        evidence.log.last().map_or(0, |row| row.epoch),
    );
    Ok(())
}

/// The harness itself, and that nothing is wrongly given up where nothing happens.
#[test]
fn where_nothing_strikes_each_try_is_one_attempt() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    let (pods, _wire) = pods::pods(&cluster)?.unzip();
    let workload = Workload::crowded(cluster, 0, pods)?;
    let _scheduler = workload.scheduler("only", None)?;
    let mut accepted = workload.ask("run", 3)?;
    if workload.pods().is_some() {
        accepted.extend(workload.ask_for(&POD_DAGS, "run", 2)?);
    }
    for no in 0..3 {
        workload.land(&format!("{no}.csv"))?;
    }
    workload.cluster.until("SELECT count(*) FROM event", "3")?;
    workload.wait_until_idle(PATIENCE)?;
    let evidence = workload.check(accepted, Losses::None)?;
    for ti in &evidence.task_instances {
        let attempts = evidence.attempts.iter().filter(|attempt| {
            (&attempt.run, &attempt.task_no, &attempt.map_index) == (&ti.run, &ti.task_no, &ti.map_index)
        });
        let wanted = match (ti.operator.as_str(), ti.task.as_str()) {
            ("empty" | "trigger_dag", _) => 0,
            (_, "fails_once") => 2,
            _ => 1,
        };
        assert_eq!(attempts.count(), wanted, "{} of {} of {}", ti.task, ti.run_id, ti.dag);
    }
    Ok(())
}
