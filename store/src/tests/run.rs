use chrono::TimeDelta;
use gridflow_core::{NewRun, RunId, RunState, Writes};

use super::fixture::*;
use crate::{
    Error,
    inbox::{self, Item},
    run,
};

fn dated(n: u64) -> NewRun {
    let mut run = new_run(n);
    run.queued.logical_date = Some(now());
    run
}

#[tokio::test]
async fn a_created_run_waits_in_the_inbox_with_all_that_admission_needs() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    run::create(&mut conn, &new_run(1)).await.unwrap();

    let letters = inbox::all(&mut conn, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("one letter, not {letters:?}") };
    let Item::RunQueued(queued, Some(facts)) = &letter.item else { panic!("{letter:?}") };
    assert_eq!(*queued, queued_run(1));
    assert_eq!((&facts.conf, &facts.trigger), (&*new_run(1).conf, &new_run(1).trigger.as_deref().cloned()));
    let read = run::get(&mut conn, queued_run(1).key).await.unwrap().unwrap();
    assert_eq!((read.queued, read.state), (queued_run(1), RunState::Queued));
    assert_eq!(read.conf, *new_run(1).conf);
    assert_eq!(run::find(&mut conn, &dag_id("sales"), &queued_run(1).run_id).await.unwrap(), Some(queued_run(1).key));
    assert_eq!(run::get(&mut conn, queued_run(2).key).await.unwrap(), None);
}

#[tokio::test]
async fn only_the_first_letters_bring_their_facts_along() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    for n in 1..=66 {
        run::create(&mut conn, &new_run(n)).await.unwrap();
    }
    let letters = inbox::all(&mut conn, 100).await.unwrap();
    let has_facts = |letter: &inbox::Letter| matches!(&letter.item, Item::RunQueued(_, Some(_)));
    assert_eq!(letters.iter().map(has_facts).collect::<Vec<_>>(), [[true; 64].as_slice(), &[false; 2]].concat());
}

#[tokio::test]
async fn a_taken_name_or_logical_date_is_told_apart_and_leaves_no_letter() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    run::create(&mut conn, &dated(1)).await.unwrap();

    let mut same_name = new_run(2);
    same_name.queued.run_id = queued_run(1).run_id;
    assert!(matches!(run::create(&mut conn, &same_name).await, Err(Error::RunIdTaken)));
    assert!(matches!(run::create(&mut conn, &dated(3)).await, Err(Error::LogicalDateTaken)));
    let mut other_dag = dated(4);
    other_dag.queued.dag = dag_id("other");
    run::create(&mut conn, &other_dag).await.unwrap();
    assert_eq!(inbox::all(&mut conn, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_two_who_create_the_same_run_at_once_one_wins() {
    let fixture = fixture().await;
    let (mut first, mut second) = (fixture.conn().await, fixture.conn().await);
    let mut open = sqlx::Connection::begin(&mut first).await.unwrap();
    run::create(&mut open, &new_run(1)).await.unwrap();
    let rival = tokio::spawn(async move {
        let mut run = new_run(2);
        run.queued.run_id = queued_run(1).run_id;
        run::create(&mut second, &run).await
    });
    eventually(
        &fixture,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
    )
    .await;
    open.commit().await.unwrap();
    assert!(matches!(rival.await.unwrap(), Err(Error::RunIdTaken)));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM inbox").await, 1);
}

#[tokio::test]
async fn queued_runs_come_in_pages_by_run_after() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    for n in [5, 3, 1, 4, 2] {
        let mut run = new_run(n);
        // Two share an instant: then the key decides.
        run.queued.run_after = now() + TimeDelta::seconds(n as i64 / 2);
        run::create(&mut conn, &run).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = run::queued_after(&mut conn, &dag_id("sales"), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.run_after, last.key));
        seen.extend(page.iter().map(|run| run.key));
    }
    assert_eq!(seen, (1..=5).map(|n| queued_run(n).key).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_taken_is_found_by_key() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    run::create(&mut conn, &dated(1)).await.unwrap();
    let other = RunId::parse("free").unwrap();
    let taken =
        run::taken(&mut conn, &dag_id("sales"), &[now(), now() + TimeDelta::days(1)], &[other, queued_run(1).run_id])
            .await
            .unwrap();
    assert_eq!(taken, run::Taken { logical_dates: vec![now()], run_ids: vec![queued_run(1).run_id] });
}

#[tokio::test]
async fn the_newest_finished_runs_are_found_per_dag() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let mut writes = Writes::default();
    for n in 1..=5 {
        let state = if n == 5 { RunState::Running } else { RunState::Failed };
        writes.new_runs.push(new_run(n));
        writes.runs.push(run_write(n, None, state));
    }
    leader.write_turn(&writes, &[], now()).await.unwrap();
    let wanted = [(dag_id("sales"), 2), (dag_id("other"), 3)];
    let found = run::newest_finished(&mut fixture.conn().await, &wanted).await.unwrap();
    let keys: Vec<_> = found.iter().map(|(dag, run)| (dag.as_str(), run.run, run.state)).collect();
    let failed = |n| ("sales", queued_run(n).key, RunState::Failed);
    assert_eq!(keys, [failed(4), failed(3)]);
}
