use std::time::Duration;

use super::fixture::*;
use crate::notify::{Channel, listen, sender};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_wake_up_reaches_who_listens_to_its_channel() {
    let fixture = fixture().await;
    let mut inbox = listen(&fixture.database, &[Channel::Inbox]).await.unwrap();
    let (waker, sending) = sender(&fixture.database);
    let sending = tokio::spawn(sending.run());
    for _ in 0..100 {
        waker.wake(Channel::Turn);
        waker.wake(Channel::Inbox);
    }
    tokio::time::timeout(PATIENCE, inbox.woken()).await.unwrap().unwrap();
    drop(waker);
    tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_listener_whose_connection_was_lost_wakes_and_comes_back() {
    let fixture = fixture().await;
    let mut inbox = listen(&fixture.database, &[Channel::Inbox]).await.unwrap();
    fixture
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        )
        .await;
    tokio::time::timeout(PATIENCE, inbox.woken()).await.unwrap().unwrap();
    let (waker, sending) = sender(&fixture.database);
    let sending = tokio::spawn(sending.run());
    waker.wake(Channel::Inbox);
    tokio::time::timeout(PATIENCE, inbox.woken()).await.unwrap().unwrap();
    drop(waker);
    sending.await.unwrap();
}
