//! Follows the logs of attempts, so many at a time.
//!
//! A connection per running pod is more than an API server and this process want to hold. Those beyond the limit are
//! read when their containers have ended; what the kubelet has rotated away by then is lost.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::{
    logs::{self, Ended, Log, Source},
    output::Left,
};

/// Logs of ended containers that are read at a time.
/// More than one node has pods: those of one that does not answer must not hold up all the others.
const ENDED_AT_ONCE: usize = 128;

/// Drivers of Spark that are asked at a time how far they are: an answer may be some megabytes.
const LOOKS_AT_ONCE: usize = 8;

#[derive(Clone)]
pub(super) struct LogRoom {
    live: Arc<Semaphore>,
    ended: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

impl LogRoom {
    pub(super) fn new(live: usize) -> Self {
        let room = |size| Arc::new(Semaphore::new(size));
        Self { live: room(live), ended: room(ENDED_AT_ONCE), looks: room(LOOKS_AT_ONCE) }
    }

    /// For [`Source::looks`].
    pub(super) fn looks(&self) -> Arc<Semaphore> {
        self.looks.clone()
    }
}

/// Returns when the log is complete.
pub(super) async fn follow(room: LogRoom, source: Source, mut ended: oneshot::Receiver<Ended>) -> Left {
    let told = tokio::select! {
        biased;
        told = &mut ended => told,
        permit = room.live.clone().acquire_owned() => return with(permit.ok(), source, ended).await,
    };
    let Ok(told) = told else { return Left::Nothing };
    // A note needs no connection.
    let permit = match told.log {
        Log::Complete => room.ended.acquire_owned().await.ok(),
        Log::NoMore => None,
    };
    with(permit, source, already(told)).await
}

async fn with(_permit: Option<OwnedSemaphorePermit>, source: Source, ended: oneshot::Receiver<Ended>) -> Left {
    // Boxed, so that the thousands that wait for room do not hold room for their buffers.
    Box::pin(logs::follow(source, ended)).await
}

/// For the log of an attempt that never ran: the notes alone.
pub(super) async fn note(client: kube::Client, path: PathBuf, ended: Ended) -> Left {
    let nobody: Arc<str> = "".into();
    let source = Source {
        client,
        namespace: nobody.clone(),
        pod: nobody.clone(),
        container: nobody.clone(),
        attempt: nobody,
        path,
        looks: Arc::new(Semaphore::new(0)),
    };
    logs::follow(source, already(Ended { log: Log::NoMore, ..ended })).await
}

fn already(ended: Ended) -> oneshot::Receiver<Ended> {
    let (tell, told) = oneshot::channel();
    // The receiver is in our hands.
    let _ = tell.send(ended);
    told
}
