//! What a turn costs beside the least that any writer must pay, on one server with default durability:
//! `cargo run --release -p gridflow-store --example turn_rate`.
//!
//! Small: a chain of attempts, each start and each end a turn of its own, beside a bare commit of one row.
//! Big: runs of `empty` tasks, thousands of rows a turn, beside one bare `INSERT … SELECT` of as many task instances.
//! The plans are the core's own; nothing is launched.

#[path = "turn_rate/world.rs"]
mod world;

use std::time::{Duration, Instant};

use chrono::Utc;
use gridflow_core::{AttemptOutcome, Event, LaunchOrder, Plan, TaskKind, Usage, World};
use gridflow_store::{Candidate, Election, Leader, Options, connect, migrate, run};
use gridflow_testkit::postgres::{Durability, Postgres};
use sqlx::{Connection, PgConnection};

use world::Shape;

const CHAIN: usize = 500;
const RUNS: u32 = 1_000;
const TASKS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Postgres::start(Durability::Full)?;
    let dir = server.data_dir();
    let dir = dir.parent().expect("the data lie in a folder").display();
    server.create_database()?;
    // Like `standalone`: over the socket.
    let url = format!("postgres://postgres@localhost:{}/test_0?host={dir}", server.port());
    let database = connect(&url, Options::default()).await?;
    migrate(&database, Utc::now()).await?;
    let mut leader = lead(&database).await?;
    let mut conn = PgConnection::connect(&url).await?;
    sqlx::raw_sql("CREATE TABLE bare (n bigint PRIMARY KEY)").execute(&mut conn).await?;

    small(&mut leader, &mut conn).await?;
    for shape in [Shape::Chain, Shape::Wide] {
        big(&mut leader, &mut conn, shape).await?;
    }
    Ok(())
}

async fn lead(database: &gridflow_store::Database) -> anyhow::Result<Leader> {
    match Candidate::open(database).await?.try_lead(gridflow_core::Epoch(0), Utc::now()).await? {
        Election::Won(leader) => Ok(leader),
        Election::Standby(_) => anyhow::bail!("somebody leads a private server"),
    }
}

/// Bare commits and turns take turns, so that both see the same weather.
async fn small(leader: &mut Leader, conn: &mut PgConnection) -> anyhow::Result<()> {
    let mut world = world::of_one_dag(Shape::Chain, CHAIN, TaskKind::Attempt(gridflow_core::ExecutorKind::Local));
    let queued = world::new_run(0);
    run::create(conn, &queued).await?;
    let mut order = one(turn(leader, &mut world, vec![Event::RunQueued(queued.queued)]).await?.0);
    let (mut bare, mut trip, mut starts, mut ends) =
        (Kind::default(), Kind::default(), Kind::default(), Kind::default());
    let (bare_pid, turn_pid) =
        (pid(conn, "pid = pg_backend_pid()").await?, pid(conn, "application_name = 'gridflow leader'").await?);
    let mut n = 0_i64;
    while let Some(LaunchOrder { key, attempt, .. }) = order {
        n += 1;
        let cpu = cpu_of(bare_pid);
        let began = Instant::now();
        sqlx::query("INSERT INTO bare VALUES ($1)").bind(n).execute(&mut *conn).await?;
        bare.add(began.elapsed(), cpu_of(bare_pid).saturating_sub(cpu));
        let cpu = cpu_of(bare_pid);
        let began = Instant::now();
        sqlx::query("SELECT $1").bind(n).execute(&mut *conn).await?;
        trip.add(began.elapsed(), cpu_of(bare_pid).saturating_sub(cpu));
        let (run, at) = (key.run, Utc::now());
        let started = Event::AttemptStarted { run, attempt, at, pid: Some(7), place: None };
        let cpu = cpu_of(turn_pid);
        let (_, took) = turn(leader, &mut world, vec![started]).await?;
        starts.add(took, cpu_of(turn_pid).saturating_sub(cpu));
        let (outcome, usage) = (AttemptOutcome::Exited { code: 0 }, Usage::default());
        let finished = Event::AttemptFinished { run, attempt, at, outcome, usage, output: None };
        let cpu = cpu_of(turn_pid);
        let (orders, took) = turn(leader, &mut world, vec![finished]).await?;
        ends.add(took, cpu_of(turn_pid).saturating_sub(cpu));
        order = one(orders);
    }
    let base = quantile(&mut bare.times, 0.5);
    for (name, kind) in
        [("bare commit", &mut bare), ("bare read", &mut trip), ("turn: start", &mut starts), ("turn: end", &mut ends)]
    {
        let (median, late) = (quantile(&mut kind.times, 0.5), quantile(&mut kind.times, 0.99));
        let cpu = quantile(&mut kind.cpu, 0.5);
        println!(
            "{name:<12} p50 {median:>9.3?} p99 {late:>9.3?} {:>5.2} × bare; the server's own work {cpu:>9.3?}",
            ratio(median, base)
        );
    }
    Ok(())
}

/// What statements of one kind took, and how long the server's process was on a core for it.
#[derive(Default)]
struct Kind {
    times: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Kind {
    fn add(&mut self, time: Duration, cpu: Duration) {
        self.times.push(time);
        self.cpu.push(cpu);
    }
}

async fn pid(conn: &mut PgConnection, which: &str) -> anyhow::Result<i32> {
    let sql = format!("SELECT pid FROM pg_stat_activity WHERE {which}");
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(conn).await?)
}

/// How long a process has been on a core; zero where the system does not say.
fn cpu_of(pid: i32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn one(orders: Vec<LaunchOrder>) -> Option<LaunchOrder> {
    orders.into_iter().next()
}

async fn big(leader: &mut Leader, conn: &mut PgConnection, shape: Shape) -> anyhow::Result<()> {
    let rows = i64::from(RUNS) * TASKS as i64;
    let began = Instant::now();
    bare_insert(conn, rows).await?;
    let bare = began.elapsed();

    let mut world = world::of_one_dag(shape, TASKS, TaskKind::Empty);
    let began = Instant::now();
    let mut queued = Vec::new();
    for n in 0..RUNS {
        let run = world::new_run(n);
        run::create(conn, &run).await?;
        queued.push(Event::RunQueued(run.queued));
    }
    let created = began.elapsed();
    let (mut in_commit, mut turns) = (Duration::ZERO, 0);
    let began = Instant::now();
    while turns == 0 || world.has_more() {
        in_commit += turn(leader, &mut world, std::mem::take(&mut queued)).await?.1;
        turns += 1;
    }
    let total = began.elapsed();
    let written: i64 =
        sqlx::query_scalar("SELECT count(*) FROM task_instance WHERE state = 'success'").fetch_one(conn).await?;
    anyhow::ensure!(written % rows == 500, "{written} task instances succeeded");
    println!(
        "{RUNS} runs of {TASKS} `empty` ({shape:?}): created in {created:.2?}, {turns} turns in {total:.2?}, of which \
         commits {in_commit:.2?} = {:.2} × bare insert of {bare:.2?}; {:.0} tasks/s",
        ratio(in_commit, bare),
        rows as f64 / total.as_secs_f64()
    );
    Ok(())
}

/// As many rows of the same table as one statement writes them, then forgotten.
async fn bare_insert(conn: &mut PgConnection, rows: i64) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO task_instance (dag_run_id, task_no, state, try_number, tries_max, scheduled_at, started_at, ended_at)
         SELECT overlay(partition_bound(now())::text placing lpad((n / 100)::text, 12, '0') from 25)::uuid, n % 100,
             'success', 0, 0, now(), now(), now()
         FROM generate_series(1, $1) AS n",
    )
    .bind(rows)
    .execute(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM task_instance WHERE tries_max = 0 AND try_number = 0 AND scheduled_at = started_at")
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql("VACUUM task_instance").execute(conn).await?;
    Ok(())
}

/// One turn as a leader does it, with the time that its commit took.
async fn turn(
    leader: &mut Leader,
    world: &mut World,
    events: Vec<Event>,
) -> anyhow::Result<(Vec<LaunchOrder>, Duration)> {
    let now = Utc::now();
    let mut plan = Plan::begin(leader.next_turn(), uuid::Uuid::now_v7().as_u64_pair().1);
    for event in events {
        gridflow_core::step(world, event, now, &mut plan);
    }
    world::settle(world, &mut plan, now);
    let sealed = plan.seal();
    let began = Instant::now();
    let (_, actions) = leader.commit(sealed, &[], now).await?;
    let took = began.elapsed();
    Ok((actions.into_iter().filter_map(world::launch).collect(), took))
}

fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

fn ratio(time: Duration, base: Duration) -> f64 {
    time.as_secs_f64() / base.as_secs_f64()
}
