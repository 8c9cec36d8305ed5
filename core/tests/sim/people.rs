//! What people and programs do from outside, at any time, whether a leader lives or not.

use gridflow_core::{CommandId, DagId, DagVersionId, EventId, QueuedRun, RunId, RunKey, RunType, Timestamp};
use uuid::Uuid;

use crate::{
    dags::{DAGS, POOLS, dag_id, random_dag},
    db::{DagRec, Db, EventRec, Inbox},
    rng::Rng,
    story::Story,
};

/// One random request.
pub fn request(db: &mut Db, now: Timestamp, rng: &mut Rng, story: &mut Story) {
    let dag = dag_id(rng.below(DAGS as u64) as usize);
    match rng.below(100) {
        0..40 => trigger(db, &dag, now, rng, story),
        40..46 => {
            let count = rng.between(5, 12);
            (0..count).for_each(|_| trigger(db, &dag, now, rng, story));
        }
        46..62 => event(db, dag, rng, story),
        62..72 => pause(db, dag, rng.percent(40), rng, story),
        72..82 => cancel(db, rng, story),
        82..88 => change_dag(db, &dag, now, rng, story),
        88..91 => {
            story.note(|| format!("{dag} leaves its bundle"));
            if let Some(rec) = db.dags.get_mut(&dag) {
                rec.current = None;
            }
        }
        _ => {
            let pool = rng.pick::<&str>(&POOLS);
            let slots = if rng.percent(10) { None } else { Some(rng.between(0, 4) as u32) };
            db.pools.insert(pool.parse().expect("valid"), slots);
            story.note(|| format!("pool {pool} has {slots:?}"));
        }
    }
}

pub fn change_dag(db: &mut Db, dag: &DagId, now: Timestamp, rng: &mut Rng, story: &mut Story) {
    let index = (0..DAGS).find(|index| dag_id(*index) == *dag).expect("one of ours");
    let definition = random_dag(index, now, rng);
    let version = DagVersionId(uuid(rng));
    db.versions.insert(version, definition.into());
    let rec =
        db.dags.entry(dag.clone()).or_insert(DagRec { current: None, is_paused: false, cursor: Default::default() });
    rec.current = Some(version);
    story.note(|| format!("{dag} has a new version: {:?}", db.versions[&version].parts()));
}

pub fn pause(db: &mut Db, dag: DagId, is_paused: bool, rng: &mut Rng, story: &mut Story) {
    if !db.dags.contains_key(&dag) {
        return;
    }
    story.note(|| format!("pause {dag}: {is_paused}"));
    let command = CommandId(uuid(rng));
    db.commands.insert(command, None);
    db.put_inbox(Inbox::Pause(command, dag, is_paused));
}

fn trigger(db: &mut Db, dag: &DagId, now: Timestamp, rng: &mut Rng, story: &mut Story) {
    let Some(version) = db.dags.get(dag).and_then(|rec| rec.current) else { return };
    let key = RunKey(uuid(rng));
    let seconds = |n: u64| chrono::TimeDelta::seconds(n as i64);
    let run = QueuedRun {
        key,
        dag: dag.clone(),
        version,
        run_id: RunId::parse(&format!("manual_{}", rng.below(1_000_000))).expect("valid"),
        run_type: if rng.percent(15) { RunType::Backfill } else { RunType::Manual },
        logical_date: rng.percent(20).then(|| now + seconds(rng.below(7_200))),
        data_interval: None,
        run_after: if rng.percent(15) { now + seconds(rng.between(1, 1_800)) } else { now },
    };
    match db.insert_queued(run) {
        Ok(()) => story.note(|| format!("run {key} of {dag} is requested")),
        Err(taken) => story.note(|| format!("a run is refused: {taken}")),
    }
}

fn event(db: &mut Db, dag: DagId, rng: &mut Rng, story: &mut Story) {
    let id = EventId(uuid(rng));
    let run_id = rng.percent(20).then(|| format!("manual_{}", rng.below(20)).parse().expect("valid"));
    story.note(|| format!("event {id} for {dag}"));
    db.events.insert(id, EventRec { dag, run_id, outcome: None });
}

fn cancel(db: &mut Db, rng: &mut Rng, story: &mut Story) {
    let runs: Vec<RunKey> = db.runs.keys().copied().collect();
    if runs.is_empty() {
        return;
    }
    let run = *rng.pick(&runs);
    let command = CommandId(uuid(rng));
    db.commands.insert(command, None);
    db.put_inbox(Inbox::Cancel(command, run));
    story.note(|| format!("cancel {run}"));
}

fn uuid(rng: &mut Rng) -> Uuid {
    Uuid::from_u128(u128::from(rng.next()) << 64 | u128::from(rng.next()))
}
