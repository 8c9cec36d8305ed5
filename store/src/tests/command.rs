use std::time::Duration;

use gridflow_core::Writes;

use super::fixture::*;
use crate::{
    Error,
    command::{self, NewCommand, Outcome, Request},
    inbox::{self, Item},
    pool,
};

fn pause(key: &str) -> NewCommand {
    let request = Request::PauseDag { dag: dag_id("sales"), is_paused: true };
    NewCommand { actor: "ada".into(), idempotency_key: key.into(), request }
}

#[tokio::test]
async fn the_same_command_twice_is_one_and_another_under_its_key_is_refused() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    let first = command::submit(&mut conn, &pause("k"), now()).await.unwrap();
    assert_eq!(command::submit(&mut conn, &pause("k"), now()).await.unwrap(), first);
    let other = NewCommand { request: Request::CancelRun { run: queued_run(1).key }, ..pause("k") };
    assert!(matches!(command::submit(&mut conn, &other, now()).await, Err(Error::IdempotencyKeyTaken)));
    let letters = inbox::all(&mut conn, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("one letter, not {letters:?}") };
    assert!(
        matches!(&letter.item, Item::Command(command) if command.id == first && command.request == pause("k").request)
    );
}

#[tokio::test]
async fn a_handler_waits_for_the_outcome_that_a_turn_writes() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    published(&mut leader, vec![publish_dag("sales", 1)]).await;
    let mut conn = fixture.conn().await;
    let id = command::submit(&mut conn, &pause("k"), now()).await.unwrap();
    let refused = command::submit(&mut conn, &pause("l"), now()).await.unwrap();
    let early = command::wait(fixture.database.pool(), id, Duration::ZERO).await.unwrap();
    assert_eq!(early, Some(Outcome::Pending));

    let pool = fixture.database.pool().clone();
    let waiting = tokio::spawn(async move { command::wait(&pool, id, Duration::from_secs(20)).await });
    let letters: Vec<_> = inbox::all(&mut conn, 10).await.unwrap().iter().map(|letter| letter.id).collect();
    let writes = Writes {
        paused: vec![(dag_id("sales"), true)],
        commands: vec![(id, Ok(())), (refused, Err("no such run".into()))],
        ..Writes::default()
    };
    leader.write_turn(&writes, &letters, now()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Some(Outcome::Done));
    let outcome = command::outcome(&mut conn, refused).await.unwrap();
    assert_eq!(outcome, Some(Outcome::Refused("no such run".into())));
    assert!(inbox::all(&mut conn, 10).await.unwrap().is_empty());
    assert!(fixture.value::<bool>("SELECT is_paused FROM dag").await);
}

#[tokio::test]
async fn outcomes_are_kept_for_a_day() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let mut conn = fixture.conn().await;
    let id = command::submit(&mut conn, &pause("k"), now()).await.unwrap();
    let decided = Writes { commands: vec![(id, Ok(()))], ..Writes::default() };
    leader.write_turn(&decided, &[], now()).await.unwrap();
    assert_eq!(command::expire(&mut conn, now() + chrono::TimeDelta::hours(23)).await.unwrap(), 0);
    assert_eq!(command::expire(&mut conn, now() + chrono::TimeDelta::hours(25)).await.unwrap(), 1);
    assert_eq!(command::outcome(&mut conn, id).await.unwrap(), None);
    assert!(matches!(inbox::all(&mut conn, 10).await.unwrap()[0].item, Item::Gone));
}

#[tokio::test]
async fn a_changed_pool_is_told_to_the_leader() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    let mut pools = pool::all(&mut conn).await.unwrap();
    assert_eq!((pools[0].pool.as_str(), pools[0].slots), ("default_pool", Some(128)));
    pools[0].slots = None;
    pool::set(&mut conn, &pools[0], "all of it", now()).await.unwrap();
    assert_eq!(pool::all(&mut conn).await.unwrap()[0].slots, None);
    let letters = inbox::all(&mut conn, 10).await.unwrap();
    assert!(matches!(&letters[0].item, Item::PoolChanged { slots: None, .. }), "{letters:?}");
}

#[tokio::test]
async fn a_letter_of_a_newer_version_is_shown_as_unreadable() {
    let fixture = fixture().await;
    fixture.execute("INSERT INTO inbox (kind, created_at) VALUES ('teleport', now())").await;
    let letters = inbox::all(&mut fixture.conn().await, 10).await.unwrap();
    assert!(matches!(&letters[0].item, Item::Unreadable(wrong) if wrong.column == "kind"), "{letters:?}");
}
