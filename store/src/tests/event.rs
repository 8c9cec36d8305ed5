use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use tokio::sync::Barrier;

use super::fixture::*;
use crate::event::{self, NewEvent, Received, TriggerKey, receive, receive_within};

fn trigger() -> TriggerKey {
    TriggerKey { dag: dag_id("ingest"), name: "file".into() }
}

fn events(keys: &[&str]) -> Vec<NewEvent> {
    let event = |key: &&str| NewEvent {
        dedup_key: (*key).into(),
        payload: json!({"path": key}),
        occurred_at: Some(now()),
        expires_at: None,
    };
    keys.iter().map(event).collect()
}

#[tokio::test]
async fn an_event_is_taken_once_per_trigger_and_its_order_is_kept() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    let first = receive(&mut conn, &trigger(), &events(&["b", "a", "b"]), Some(&json!(3)), now()).await.unwrap();
    assert_eq!((first.taken.len(), first.duplicate_count), (2, 1));
    let second = receive(&mut conn, &trigger(), &events(&["a", "c"]), Some(&json!(5)), now()).await.unwrap();
    assert_eq!((second.taken.len(), second.duplicate_count), (1, 1));
    let other = TriggerKey { name: "other".into(), ..trigger() };
    assert_eq!(receive(&mut conn, &other, &events(&["a"]), None, now()).await.unwrap().taken.len(), 1);

    let pending = event::pending(&mut conn, &[dag_id("ingest")], 10).await.unwrap();
    let paths: Vec<_> = pending.iter().map(|event| event.payload["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["b", "a", "c", "a"]);
    assert_eq!(event::position(&mut conn, &trigger()).await.unwrap(), Some(json!(5)));
    assert_eq!(event::position(&mut conn, &other).await.unwrap(), None);
    let known = event::known_keys(&mut conn, &trigger(), &["c".into(), "d".into()]).await.unwrap();
    assert_eq!(known, ["c"]);
}

#[tokio::test]
async fn a_receiver_waits_for_a_rival_with_the_same_key_and_takes_it_only_if_that_one_gives_up() {
    for rival_commits in [true, false] {
        let fixture = fixture().await;
        let (mut first, mut second) = (fixture.conn().await, fixture.conn().await);
        let mut open = sqlx::Connection::begin(&mut first).await.unwrap();
        receive_within(&mut open, &trigger(), &events(&["a"]), None, now()).await.unwrap();
        let waiting = tokio::spawn(async move { receive(&mut second, &trigger(), &events(&["a"]), None, now()).await });
        eventually(
            &fixture,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .await;
        if rival_commits {
            open.commit().await.unwrap()
        } else {
            open.rollback().await.unwrap()
        }
        let received = waiting.await.unwrap().unwrap();
        assert_eq!(received.taken.is_empty(), rival_commits);
        assert_eq!(fixture.value::<i64>("SELECT count(*) FROM event").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_receivers_of_the_same_events_in_any_order_take_each_once() {
    const RECEIVERS: usize = 6;
    let fixture = fixture().await;
    let barrier = Arc::new(Barrier::new(RECEIVERS));
    let mut tasks = Vec::new();
    for n in 0..RECEIVERS {
        let (mut conn, barrier) = (fixture.conn().await, Arc::clone(&barrier));
        tasks.push(tokio::spawn(async move {
            let mut batch = events(&["a", "b", "c", "d", "e", "f", "g", "h"]);
            batch.rotate_left(n);
            if n % 2 == 0 {
                batch.reverse();
            }
            barrier.wait().await;
            receive(&mut conn, &trigger(), &batch, None, now()).await.unwrap()
        }));
    }
    let mut all = Received::default();
    for task in tasks {
        let received = task.await.unwrap();
        all.taken.extend(received.taken);
        all.duplicate_count += received.duplicate_count;
    }
    assert_eq!((all.taken.len(), all.duplicate_count), (8, 8 * (RECEIVERS - 1)));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM event").await, 8);
}

#[tokio::test]
async fn a_key_is_forgotten_after_its_horizon_and_not_before() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    let mut batch = events(&["short", "long"]);
    batch[0].expires_at = Some(now() + TimeDelta::hours(1));
    receive(&mut conn, &trigger(), &batch, None, now()).await.unwrap();
    assert_eq!(event::expire_keys(&mut conn, now()).await.unwrap(), 0);
    assert_eq!(event::expire_keys(&mut conn, now() + TimeDelta::hours(2)).await.unwrap(), 1);
    let again = receive(&mut conn, &trigger(), &batch, None, now()).await.unwrap();
    assert_eq!((again.taken.len(), again.duplicate_count), (1, 1));
}

#[tokio::test]
async fn nothing_new_moves_the_cursor_and_sends_no_letter() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    receive(&mut conn, &trigger(), &[], Some(&json!({"offset": 9})), now()).await.unwrap();
    assert_eq!(event::position(&mut conn, &trigger()).await.unwrap(), Some(json!({"offset": 9})));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM inbox").await, 0);
}
