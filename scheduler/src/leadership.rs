//! Standing by, leading, losing it, and again.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use gridflow_core::Epoch;
use gridflow_failpoint::{Point, reach};
use gridflow_store::{Candidate, Election, Leader};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Error, Shared, parts::answered, restore::restore};

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
            Err(error @ (Error::DatabaseBehind { .. } | Error::StateDir { .. })) => return Err(error),
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
    let lead = answered("reading what there is to do", RESTORE_MAX, restore(shared, leader)).await?;
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

/// Waits until leadership is free or its holder is proven silent. None: shut down meanwhile.
async fn win(shared: &Shared, shutdown: &CancellationToken) -> Result<Option<Leader>, Error> {
    let mut candidate = answered("connecting", CONNECT_MAX, Candidate::open(&shared.database)).await?;
    let mut is_announced = false;
    loop {
        match answered("standing by", TRY_MAX, candidate.try_lead(Epoch(0), Utc::now())).await? {
            Election::Won(leader) => return Ok(Some(leader)),
            Election::Standby(standby) => candidate = standby,
        }
        if !std::mem::replace(&mut is_announced, true) {
            tracing::info!("another scheduler leads: standing by");
            shared.signals.settled.notify_one();
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
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
