use std::time::Duration;

use gridflow_core::{Epoch, RunState, Writes};
use tokio::time::Instant;

use super::fixture::*;
use crate::{Candidate, Election, Error, fence};

/// Longer than a silent leader is borne with.
const TOO_LONG: Duration = Duration::from_secs(4);

async fn candidate(fixture: &Fixture) -> Candidate {
    Candidate::open(&fixture.database).await.unwrap()
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_follows_when_it_resigns() {
    let fixture = fixture().await;
    let first = won(candidate(&fixture).await.try_lead(Epoch(0), now()).await.unwrap());
    let second = standby(candidate(&fixture).await.try_lead(Epoch(0), now()).await.unwrap());
    let epoch = first.epoch();
    first.resign().await.unwrap();
    let second = lead_eventually(second).await;
    assert_eq!(second.epoch(), Epoch(epoch.0 + 1));
}

#[tokio::test]
async fn a_new_epoch_is_above_any_seen_outside() {
    let fixture = fixture().await;
    let leader = won(candidate(&fixture).await.try_lead(Epoch(41), now()).await.unwrap());
    assert_eq!(leader.epoch(), Epoch(42));
}

#[tokio::test]
async fn a_deposed_leader_changes_nothing() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    forget_lock(&mut first).await;
    let mut second = fixture.leader().await;

    assert!(matches!(first.write_turn(&started_run(1), &[], now()).await, Err(Error::Fenced)));
    assert!(matches!(first.ping().await, Err(Error::Fenced)));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM dag_run").await, 0);
    second.write_turn(&started_run(1), &[], now()).await.unwrap();
}

#[tokio::test]
async fn a_takeover_waits_for_the_turn_in_flight() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    let mut fenced = first.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *fenced).await.unwrap();
    let next = candidate(&fixture).await;
    let takeover = tokio::spawn(next.try_lead(Epoch(0), now()));
    eventually(&fixture, WAITS_FOR_A_LOCK).await;
    assert!(!takeover.is_finished());

    sqlx::query("UPDATE pool SET slots = 7").execute(&mut *fenced).await.unwrap();
    fenced.commit().await.unwrap();
    won(takeover.await.unwrap().unwrap());
    assert_eq!(fixture.value::<i32>("SELECT slots FROM pool").await, 7);
    assert!(matches!(first.begin().await, Err(Error::Fenced)));
}

#[tokio::test]
async fn a_takeover_waits_for_a_turn_that_the_server_is_writing() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    first.write_turn(&started_run(1), &[], now()).await.unwrap();
    let mut conn = fixture.conn().await;
    let mut blocker = sqlx::Connection::begin(&mut conn).await.unwrap();
    sqlx::query("SELECT FROM dag_run FOR UPDATE").execute(&mut *blocker).await.unwrap();
    forget_lock(&mut first).await;
    let end = Writes { runs: vec![run_write(1, Some(RunState::Running), RunState::Failed)], ..Writes::default() };
    let turn = tokio::spawn(async move { first.write_turn(&end, &[], now()).await });
    let stuck = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%turn_v1(%')";
    eventually(&fixture, stuck).await;

    let takeover = tokio::spawn(candidate(&fixture).await.try_lead(Epoch(0), now()));
    eventually(&fixture, WAITS_FOR_A_LOCK).await;
    blocker.rollback().await.unwrap();
    turn.await.unwrap().unwrap();
    won(takeover.await.unwrap().unwrap());
    assert_eq!(fixture.value::<String>("SELECT state FROM dag_run").await, "failed");
}

#[tokio::test]
async fn a_takeover_waits_for_transactions_beside_the_turns_and_then_locks_them_out() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    let pass = first.pass();
    let mut conn = fixture.conn().await;
    let mut beside = sqlx::Connection::begin(&mut conn).await.unwrap();
    fence::hold(&mut beside, pass).await.unwrap();
    first.ping().await.unwrap();
    first.write_turn(&started_run(1), &[], now()).await.unwrap();

    forget_lock(&mut first).await;
    let next = candidate(&fixture).await;
    let takeover = tokio::spawn(next.try_lead(Epoch(0), now()));
    eventually(&fixture, WAITS_FOR_A_LOCK).await;
    beside.commit().await.unwrap();
    won(takeover.await.unwrap().unwrap());

    assert!(matches!(fence::hold(&mut conn, pass).await, Err(Error::Fenced)));
}

#[tokio::test]
async fn a_silent_leader_is_deposed_after_three_seconds() {
    let fixture = fixture().await;
    let mut stopped = fixture.leader().await;
    let since = Instant::now();
    let next = standby(candidate(&fixture).await.try_lead(Epoch(0), now()).await.unwrap());
    let mut next = lead_eventually(next).await;
    assert!(Duration::from_millis(2_500) < since.elapsed(), "it had its three seconds");

    let error = stopped.write_turn(&started_run(1), &[], now()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    next.write_turn(&started_run(1), &[], now()).await.unwrap();
}

#[tokio::test]
async fn a_leader_stopped_inside_a_turn_is_deposed_and_its_turn_undone() {
    let fixture = fixture().await;
    let mut stopped = fixture.leader().await;
    let mut fenced = stopped.begin().await.unwrap();
    sqlx::query("UPDATE pool SET slots = 7").execute(&mut *fenced).await.unwrap();

    let next = standby(candidate(&fixture).await.try_lead(Epoch(0), now()).await.unwrap());
    lead_eventually(next).await;
    assert!(matches!(fenced.commit().await, Err(Error::Database(_))));
    assert_eq!(fixture.value::<i32>("SELECT slots FROM pool").await, 128);
}

#[tokio::test]
async fn a_process_stopped_in_a_transaction_beside_its_turns_does_not_hold_a_takeover_up() {
    let fixture = fixture().await;
    let stopped = fixture.leader().await;
    let mut beside = fixture.database.pool().begin().await.unwrap();
    fence::hold(&mut beside, stopped.pass()).await.unwrap();
    let since = Instant::now();
    lead_eventually(candidate(&fixture).await).await;
    assert!(since.elapsed() < Duration::from_secs(15));
    assert!(beside.commit().await.is_err(), "its session was ended");
}

#[tokio::test]
async fn a_leader_that_pings_and_one_whose_database_is_slow_stay() {
    let (pinging, slow) = (fixture().await, fixture().await);
    let mut pinging_leader = pinging.leader().await;
    let mut slow_leader = slow.leader().await;
    let until = Instant::now() + TOO_LONG;
    let mut fenced = slow_leader.begin().await.unwrap();
    let statement = sqlx::query("SELECT pg_sleep(5)").execute(&mut *fenced);
    let contest = async {
        let mut rivals = (candidate(&pinging).await, candidate(&slow).await);
        while Instant::now() < until {
            pinging_leader.ping().await.unwrap();
            let first = rivals.0.try_lead(Epoch(0), now()).await.unwrap();
            let second = rivals.1.try_lead(Epoch(0), now()).await.unwrap();
            rivals = (standby(first), standby(second));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (statement, ()) = tokio::join!(statement, contest);
    statement.unwrap();
    fenced.commit().await.unwrap();
    slow_leader.ping().await.unwrap();
}

#[tokio::test]
async fn turns_go_on_counting_under_the_next_leader() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    for n in 1..=3 {
        first.write_turn(&started_run(n), &[], now()).await.unwrap();
    }
    let turn = first.turn();
    first.resign().await.unwrap();
    let next = lead_eventually(candidate(&fixture).await).await;
    assert_eq!(next.turn(), turn);
}

const WAITS_FOR_A_LOCK: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM leader FOR UPDATE%')";

/// As if the session had gone without the process noticing: the lock is free, the epoch still its own.
async fn forget_lock(leader: &mut crate::Leader) {
    let mut fenced = leader.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *fenced).await.unwrap();
    fenced.commit().await.unwrap();
}

async fn lead_eventually(mut candidate: Candidate) -> crate::Leader {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match candidate.try_lead(Epoch(0), now()).await.unwrap() {
            Election::Won(leader) => return leader,
            Election::Standby(again) => candidate = again,
        }
        assert!(Instant::now() < deadline, "never became leader");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
