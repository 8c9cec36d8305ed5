//! Asks for runs all the time, as people, programs and files do.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Scope, ScopedJoinHandle, sleep},
    time::Duration,
};

use anyhow::{Result, anyhow};
use gridflow_tests::{
    evidence::Asked,
    http,
    workload::{CROWD, DAGS, POD_DAGS, Workload},
};

use crate::node::Door;

/// So that the machine keeps up: runs that may be unfinished at once.
const UNFINISHED_MAX: usize = 24;
const PAUSE: Duration = Duration::from_millis(120);

/// Of this many runs the end of one is asked for, somewhere in its midst.
const CANCEL_EVERY: usize = 9;
const EDIT_EVERY: usize = 11;
const CROWD_EVERY: usize = 40;
const PODS_EVERY: usize = 3;
/// The same for runs of pods: they take longer, and take no room from the others.
const PODS_UNFINISHED_MAX: usize = 3;

const UNFINISHED: &str = "SELECT count(*) FROM dag_run
    WHERE state IN ('queued', 'running') AND dag_id NOT IN ('pods', 'flaky_pods')";
const PODS_UNFINISHED: &str = "SELECT count(*) FROM dag_run
    WHERE state IN ('queued', 'running') AND dag_id IN ('pods', 'flaky_pods')";

/// What was asked for, and how many files landed.
pub type Fed = (Asked, usize);

pub struct Feed<'scope> {
    is_over: Arc<AtomicBool>,
    thread: ScopedJoinHandle<'scope, Result<Fed>>,
}

impl<'scope> Feed<'scope> {
    pub fn begin<'env>(scope: &'scope Scope<'scope, 'env>, workload: &'env Workload, door: Door) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&is_over);
        Self { is_over, thread: scope.spawn(move || feed(workload, &door, &theirs)) }
    }

    pub fn end(self) -> Result<Fed> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|_| Err(anyhow!("the feed panicked")))
    }
}

fn feed(workload: &Workload, door: &Door, is_over: &AtomicBool) -> Result<Fed> {
    let (mut asked, mut landed) = (Asked::default(), 0);
    for no in 0.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        sleep(PAUSE);
        if no % EDIT_EVERY == 0 {
            workload.edit(no / EDIT_EVERY, &format!("edit {no}"))?;
        }
        if no % CANCEL_EVERY == 0 {
            cancel_one(workload, &mut asked, no);
        }
        if no % CROWD_EVERY == 0 {
            gather(workload, &mut asked, no);
        }
        if no % PODS_EVERY == 0 && workload.pods().is_some() && has_room(workload, PODS_UNFINISHED, PODS_UNFINISHED_MAX)
        {
            ask(workload, door, &mut asked, POD_DAGS[no / PODS_EVERY % POD_DAGS.len()], no);
        }
        if !has_room(workload, UNFINISHED, UNFINISHED_MAX) {
            continue;
        }
        let choice = no % (DAGS.len() + 1);
        match DAGS.get(choice) {
            Some(dag) => ask(workload, door, &mut asked, dag, no),
            None => {
                workload.land(&format!("{no}.csv"))?;
                landed += 1;
            }
        }
    }
    Ok((asked, landed))
}

/// Nobody can ask while the database is away.
fn has_room(workload: &Workload, unfinished: &str, max: usize) -> bool {
    let count = workload.cluster.sql(unfinished).ok().and_then(|count| count.parse::<usize>().ok());
    count.is_some_and(|count| count <= max)
}

/// Asks for a run, one way or the other. Without a confirmation it may be there or not; with one it must be.
fn ask(workload: &Workload, door: &Door, asked: &mut Asked, dag: &str, no: usize) {
    let run_id = format!("feed-{no}");
    let is_confirmed = if no.is_multiple_of(2) {
        workload.cluster.queue_run(dag, &run_id).is_ok()
    } else {
        ask_api(door, dag, &run_id)
    };
    if is_confirmed {
        asked.runs.push((dag.to_owned(), run_id));
    }
}

/// Asks for a crowd, unless one is on its way.
fn gather(workload: &Workload, asked: &mut Asked, no: usize) {
    const OPEN: &str = "SELECT count(*) FROM dag_run WHERE dag_id = 'crowd' AND state IN ('queued', 'running')";
    let run_id = format!("crowd-{no}");
    let is_alone = workload.cluster.sql(OPEN).is_ok_and(|open| open == "0");
    if is_alone && workload.cluster.queue_run(CROWD, &run_id).is_ok() {
        asked.runs.push((CROWD.to_owned(), run_id));
    }
}

/// Asks the API. True if it has confirmed.
fn ask_api(door: &Door, dag: &str, run_id: &str) -> bool {
    let Some((address, token)) = door.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return false };
    let body = format!(r#"{{"dag_run_id": "{run_id}", "logical_date": null}}"#);
    http::post(&address, &token, &format!("/api/v2/dags/{dag}/dagRuns"), &body).is_ok_and(|status| status == 200)
}

/// Asks for the end of a run that may be anywhere on its way, or over. A `parent` would leave its child behind.
fn cancel_one(workload: &Workload, asked: &mut Asked, no: usize) {
    let some = "SELECT dag_id || ' ' || run_id FROM dag_run
        WHERE state IN ('queued', 'running') AND dag_id NOT IN ('parent', 'child') ORDER BY random() LIMIT 1";
    let Ok(run) = workload.cluster.sql(some) else { return };
    let Some((dag, run_id)) = run.split_once(' ') else { return };
    // It may be cancelled even if that is not confirmed.
    asked.cancelled.push((dag.to_owned(), run_id.to_owned()));
    let key = format!("cancel-{no}");
    if workload.cluster.cancel(&key, run_id).is_ok() {
        asked.commands.push(key);
    }
}
