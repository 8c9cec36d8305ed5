//! A database of its own, and short words for rows.

use std::{str::FromStr, sync::Arc, time::Duration};

use chrono::DateTime;
use gridflow_core::{
    AttemptId, AttemptState, AttemptWrite, DagId, DagVersionId, Epoch, ExecutorKind, MapIndex, NewRun, NodeBinding,
    NodeId, QueuedRun, RunId, RunKey, RunState, RunType, RunWrite, TaskInstanceKey, TaskInstanceWrite, TaskNo,
    TaskState, Timestamp, TriggeredBy, TryNumber, Turn, Writes,
};
use gridflow_testkit::postgres::Postgres;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    Candidate, Database, Durability, Election, Leader, Options, connect,
    dag::{Publication, PublishDag, Published, TaskSummary, publish},
    migrate,
};

pub struct Fixture {
    pub url: String,
    pub database: Database,
}

pub async fn fixture() -> Fixture {
    fixture_with(Options::default()).await
}

pub async fn fixture_with(options: Options) -> Fixture {
    let template = TEMPLATE.get_or_init(migrated).await;
    let url = Postgres::shared().create_database_from(template).unwrap();
    let database = connect(&url, Options { durability: Durability::NotNeeded, ..options }).await.unwrap();
    Fixture { url, database }
}

/// A migrated database that the others are copied from.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

async fn migrated() -> String {
    let url = Postgres::shared().create_database().unwrap();
    let database = connect(&url, Options { durability: Durability::NotNeeded, ..Options::default() }).await.unwrap();
    migrate(&database, now()).await.unwrap();
    // A database that somebody is connected to can't be copied.
    database.pool().close().await;
    url.rsplit('/').next().unwrap().to_owned()
}

impl Fixture {
    pub async fn conn(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    pub async fn leader(&self) -> Leader {
        let candidate = Candidate::open(&self.database).await.unwrap();
        won(candidate.try_lead(Epoch(0), now()).await.unwrap())
    }

    /// One value of one row.
    pub async fn value<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(self.database.pool()).await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.database.pool()).await.unwrap();
    }
}

pub fn won(election: Election) -> Leader {
    match election {
        Election::Won(leader) => leader,
        Election::Standby(_) => panic!("somebody else leads"),
    }
}

pub fn standby(election: Election) -> Candidate {
    match election {
        Election::Won(_) => panic!("it leads"),
        Election::Standby(candidate) => candidate,
    }
}

/// A condition for [`eventually`]: a session that was dropped is gone.
pub const NOBODY_LEADS: &str = "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";

/// Waits for a condition of the database.
pub async fn eventually(fixture: &Fixture, condition: &'static str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !fixture.value::<bool>(condition).await {
        assert!(tokio::time::Instant::now() < deadline, "never became true: {condition}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A turn that has the attempt's row in its hands until it is committed.
pub async fn turn_with(leader: &mut Leader, attempt: u64) -> crate::leader::Fenced<'_> {
    let mut turn = leader.begin().await.unwrap();
    let change = sqlx::query("UPDATE attempt SET pid = 7 WHERE attempt_id = $1").bind(uuid(attempt));
    change.execute(&mut *turn).await.unwrap();
    turn
}

pub fn now() -> Timestamp {
    DateTime::from_str("2030-05-17T06:00:00Z").unwrap()
}

/// A UUIDv7 of the fixture's month.
pub fn uuid(n: u64) -> Uuid {
    let millis = now().timestamp_millis() as u64 + n;
    uuid_at(millis, n)
}

pub fn uuid_at(millis: u64, n: u64) -> Uuid {
    Uuid::from_u64_pair(millis << 16 | 0x7000, 1 << 63 | n)
}

pub fn dag_id(name: &str) -> DagId {
    DagId::parse(name).unwrap()
}

pub fn queued_run(n: u64) -> QueuedRun {
    QueuedRun {
        key: RunKey(uuid(n)),
        dag: dag_id("sales"),
        version: DagVersionId(uuid(0)),
        run_id: RunId::parse(&format!("manual__{n}")).unwrap(),
        run_type: RunType::Manual,
        logical_date: None,
        data_interval: None,
        run_after: now() + chrono::TimeDelta::seconds(n as i64),
    }
}

pub fn new_run(n: u64) -> NewRun {
    NewRun {
        queued: queued_run(n),
        queued_at: now(),
        triggered_by: TriggeredBy::RestApi,
        actor: Some("ada".into()),
        conf: Arc::new(json!({"day": 1})),
        trigger: None,
        events: Vec::new(),
        parent: None,
        note: None,
        traceparent: None,
    }
}

pub fn run_write(n: u64, from: Option<RunState>, to: RunState) -> RunWrite {
    let started_at = (to != RunState::Queued).then(now);
    let ended_at = to.is_finished().then(now);
    RunWrite { key: RunKey(uuid(n)), from, to, started_at, ended_at, reason: None }
}

pub fn ti_key(run: u64, task_no: u32) -> TaskInstanceKey {
    TaskInstanceKey { run: RunKey(uuid(run)), task_no: TaskNo(task_no), map_index: MapIndex::UNMAPPED }
}

pub fn ti_write(run: u64, task_no: u32, from: Option<TaskState>, to: TaskState) -> TaskInstanceWrite {
    TaskInstanceWrite {
        key: ti_key(run, task_no),
        from,
        to,
        try_number: TryNumber(1),
        tries_max: 3,
        attempt: None,
        scheduled_at: Some(now()),
        queued_at: None,
        started_at: None,
        ended_at: None,
        retry_at: None,
        waits_for_run: None,
        reason: None,
        losses: 0,
    }
}

pub fn attempt_write(run: u64, attempt: u64, from: Option<AttemptState>, to: AttemptState) -> AttemptWrite {
    AttemptWrite {
        run: RunKey(uuid(run)),
        attempt: AttemptId(uuid(attempt)),
        from,
        to,
        task_no: TaskNo(0),
        map_index: MapIndex::UNMAPPED,
        try_number: TryNumber(1),
        executor: ExecutorKind::Local,
        binding: Some(NodeBinding { node: NodeId(uuid(1)), boot: "boot-1".into() }),
        claim: None,
        place: None,
        queued_turn: Turn(1),
        spec_hash: Some([7; 32]),
        queued_at: now(),
        started_at: (to != AttemptState::Queued).then(now),
        ended_at: (to == AttemptState::Closed).then(now),
        pid: Some(42),
        outcome: None,
        usage: None,
    }
}

/// A running run with two task instances and one queued attempt, as one turn makes them.
pub fn started_run(n: u64) -> Writes {
    Writes {
        new_runs: vec![new_run(n)],
        runs: vec![run_write(n, None, RunState::Running)],
        task_instances: vec![
            TaskInstanceWrite { attempt: Some(AttemptId(uuid(n + 1_000))), ..ti_write(n, 0, None, TaskState::Queued) },
            ti_write(n, 1, None, TaskState::NoStatus),
        ],
        attempts: vec![attempt_write(n, n + 1_000, None, AttemptState::Queued)],
        transitions: vec![
            gridflow_core::Transition::Run { run: RunKey(uuid(n)), from: None, to: RunState::Running },
            gridflow_core::Transition::TaskInstance {
                key: ti_key(n, 0),
                from: None,
                to: TaskState::Queued,
                try_number: TryNumber(1),
            },
        ],
        ..Writes::default()
    }
}

pub fn publish_dag(name: &str, hash: u8) -> PublishDag {
    PublishDag {
        dag: dag_id(name),
        file: format!("{name}.yaml"),
        hash: [hash; 32],
        source: [hash; 32],
        files: Vec::new(),
        tasks: vec![TaskSummary {
            task_id: "extract".into(),
            group_path: String::new(),
            operator: "bash".into(),
            pool: "default_pool".into(),
            pool_slots: 1,
            priority_weight: 1,
        }],
        owner: Some("data-platform".into()),
        tags: vec!["sales".into(), "a \"quoted\" one".into()],
        description: None,
        details: json!({"schedule": "daily"}),
        is_paused_at_creation: false,
    }
}

pub fn publication(dags: Vec<PublishDag>) -> Publication {
    let contents = dags.iter().map(|dag| (dag.source, Arc::from(format!("dag: {}\n", dag.dag).as_bytes()))).collect();
    Publication { dags, contents, ..Publication::default() }
}

pub async fn published(leader: &mut Leader, dags: Vec<PublishDag>) -> Vec<Published> {
    publish(leader, &publication(dags), now()).await.unwrap()
}
