//! Standing by, leading, losing it, and again.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use gridflow_core::Epoch;
use gridflow_failpoint::{Point, reach};
use gridflow_store::{
    Candidate, Election, Leader,
    hold::{self, Hold},
};
use tokio::{
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Shared,
    parts::answered,
    restore::{Restored, restore},
    tend,
    turn::panic_text,
};

/// How often a standby looks whether it must take over.
const LOOK: Duration = Duration::from_millis(500);
/// After an error of the database, so that a dead one is not hammered.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// For a server that accepts connections at all.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A takeover waits for a turn in flight, and that for its statement's timeout.
const TRY_MAX: Duration = Duration::from_secs(40);
/// The largest installations are read in seconds.
const RESTORE_MAX: Duration = Duration::from_secs(300);

/// Leads whenever it may, until the shutdown. Returns early only for what no new term can mend.
pub(crate) async fn keep_leading(shared: Arc<Shared>, shutdown: CancellationToken) -> Result<(), Error> {
    let mut pause = PAUSE_MIN;
    while !shutdown.is_cancelled() {
        match one_term(&shared, &shutdown).await {
            Ok(()) => pause = PAUSE_MIN,
            Err(error) if error.is_for_a_person() => return Err(error),
            Err(error) => {
                if let Error::Panicked { about, message } = &error {
                    let reason = format!("a decision about it panicked: {message}");
                    let news =
                        about.iter().filter(|culprit| shared.quarantine.set_aside((*culprit).clone(), reason.clone()));
                    // What panicked is out of the way: there is nothing to wait for.
                    pause = if 0 < news.count() { PAUSE_MIN } else { pause };
                }
                tracing::warn!("leadership ended, everything is read again: {}", chain(&error));
                let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
    Ok(())
}

async fn one_term(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<(), Error> {
    let Some(leader) = win(shared, shutdown).await? else { return Ok(()) };
    let term = shutdown.child_token();
    reach(Point::Elected);
    let lead = match answered("reading what there is to do", RESTORE_MAX, restore(shared, leader)).await? {
        Restored::Lead(lead) => lead,
        Restored::Held(leader, hold) => return wait_for_a_person(shared, leader, &hold, shutdown).await,
    };
    let mut companions = shared.start_companions(&lead, &term);
    let mut leading = std::pin::pin!(lead.run(shutdown));
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut leading => break ended,
            // They end at a shutdown, too.
            error = companions.one_ended() => if !shutdown.is_cancelled() { break Err(error) },
        }
    };
    // They belong to the leader: they end with the term, before another one begins.
    term.cancel();
    companions.all_ended().await;
    ended
}

/// Leads without deciding anything until somebody has accepted what the database lost. Nodes are tended meanwhile, this
/// one too, so that all they know is told.
async fn wait_for_a_person(
    shared: &Arc<Shared>,
    mut leader: Leader,
    hold: &Hold,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Hold { node, outside, inside, since } = hold;
    tracing::error!(
        "nothing is launched: the database went back in time, noticed at {since}. Node {node} has seen turn {outside}, \
         the database had turn {inside}. See what it does not know with `gridflow recover`; go on without that with \
         `gridflow recover --accept-data-loss`"
    );
    shared.signals.settled.notify_one();
    let mut tenders = JoinSet::new();
    tenders.spawn(tend::keep_tending(Arc::clone(shared)));
    let mut heartbeat = interval(shared.config.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(leader.resign().await?),
            Some(ended) = tenders.join_next() => return Err(tender_ended(ended)),
            _ = heartbeat.tick() => {}
        }
        if hold::get(&mut *shared.database.reader().await?).await?.is_none() {
            tracing::info!("the loss of data was accepted: launches go on");
            tenders.shutdown().await;
            return Ok(leader.resign().await?);
        }
        leader.ping().await?;
    }
}

/// Why nobody tends the node any more.
fn tender_ended(ended: Result<Error, JoinError>) -> Error {
    ended.unwrap_or_else(|error| {
        let panic = error.try_into_panic().ok().map(|panic| panic_text(&*panic));
        Error::PartEnded { part: "the tending of this node", panic }
    })
}

/// Waits until leadership is free or its holder is proven silent. None: shut down meanwhile.
async fn win(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<Option<Leader>, Error> {
    let mut candidate = answered("connecting", CONNECT_MAX, Candidate::open(&shared.database)).await?;
    let mut is_announced = false;
    // Ends when it is dropped, and is in nobody's way: it holds nothing but its connection to the host.
    let mut tenders = JoinSet::new();
    loop {
        match answered("standing by", TRY_MAX, candidate.try_lead(Epoch(0), Utc::now())).await? {
            Election::Won(leader) => {
                tenders.shutdown().await;
                return Ok(Some(leader));
            }
            Election::Standby(standby) => candidate = standby,
        }
        if !std::mem::replace(&mut is_announced, true) {
            tracing::info!("another scheduler leads: standing by");
            shared.signals.settled.notify_one();
            tenders.spawn(tend::keep_tending(Arc::clone(shared)));
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            Some(ended) = tenders.join_next() => return Err(tender_ended(ended)),
            () = sleep(LOOK) => {}
        }
    }
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}
