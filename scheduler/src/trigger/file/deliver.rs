//! Ripe files become committed events (T1).

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use gridflow_dag_spec::Dedup;
use gridflow_failpoint::{Point, reach};
use gridflow_store::{
    Database,
    event::{self, NewEvent, TriggerKey},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    arrivals::Ripe,
    look::stamp,
    payload::{content_key, payload, stamp_key},
    scope::Scope,
};
use crate::folder::Stamp;

const READ_BYTES: usize = 256 << 10;

/// What a trigger's events are committed with.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub database: Database,
    pub trigger: TriggerKey,
    pub scope: Scope,
    pub dedup: Dedup,
}

/// What became of a ripe file.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Committed now or at another time.
    Done(Ripe),
    /// Not any more what it was when it was ripe.
    Changed(Arc<Path>, Option<Stamp>),
}

/// A file with what its event is made of.
struct Draft {
    ripe: Ripe,
    /// None for a file that can't be told of.
    event: Option<NewEvent>,
}

impl Receiver {
    /// Commits events for these files. On an error nothing is, or it is and the next try finds it so.
    /// Also says how many events are new.
    pub async fn deliver(&self, files: Vec<Ripe>) -> Result<(Vec<Delivered>, usize), gridflow_store::Error> {
        let (scope, dedup) = (self.scope.clone(), self.dedup);
        let known = match dedup {
            Dedup::Path => Vec::new(),
            // A content that was hashed once is not read again after each restart.
            Dedup::Content => self.known(&files).await?,
        };
        let drafting = tokio::task::spawn_blocking(move || {
            files
                .into_iter()
                .zip(known.into_iter().chain(std::iter::repeat(false)))
                .map(|(file, is_known)| draft(&scope, dedup, file, is_known))
                .collect::<Vec<_>>()
        });
        let drafts = drafting.await.expect("reading files does not panic, and blocking tasks are not aborted");

        let events: Vec<_> = drafts.iter().filter_map(|draft| draft.as_ref().ok()?.event.clone()).collect();
        let passed: Vec<_> = match dedup {
            Dedup::Path => Vec::new(),
            Dedup::Content => {
                drafts.iter().flatten().map(|draft| stamp_key(&draft.ripe.path, draft.ripe.stamp)).collect()
            }
        };
        reach(Point::EventsRipe);
        let mut transaction = self.database.pool().begin().await?;
        let received = event::receive_within(&mut transaction, &self.trigger, &events, None, now()).await?;
        event::pass_over(&mut transaction, &self.trigger, &passed).await?;
        transaction.commit().await?;
        let delivered =
            drafts.into_iter().map(|draft| draft.map_or_else(|changed| changed, |draft| Delivered::Done(draft.ripe)));
        Ok((delivered.collect(), received.taken.len()))
    }

    /// Which of these files had an event, or were passed over.
    pub async fn known(&self, files: &[Ripe]) -> Result<Vec<bool>, gridflow_store::Error> {
        let keys: Vec<_> = files.iter().map(|file| stamp_key(&file.path, file.stamp)).collect();
        let mut conn = self.database.pool().acquire().await?;
        let known = event::known_keys(&mut conn, &self.trigger, &keys).await?;
        let known: std::collections::HashSet<_> = known.iter().collect();
        Ok(keys.iter().map(|key| known.contains(key)).collect())
    }

    /// What the trigger was looking at when it last began.
    pub async fn position(&self) -> Result<Option<Value>, gridflow_store::Error> {
        let mut conn = self.database.pool().acquire().await?;
        event::position(&mut conn, &self.trigger).await
    }

    /// Notes what the trigger looks at from now on, and the files that it passes over, all at once.
    /// False if another leader was faster: then what there is to pass over has to be found anew.
    pub async fn begin(&self, before: Option<&Value>, passed: &[Ripe]) -> Result<bool, gridflow_store::Error> {
        let keys: Vec<_> = passed.iter().map(|file| stamp_key(&file.path, file.stamp)).collect();
        let mut transaction = self.database.pool().begin().await?;
        let to = self.scope.to_json();
        if !event::move_position(&mut transaction, &self.trigger, before, &to, now()).await? {
            return Ok(false);
        }
        event::pass_over(&mut transaction, &self.trigger, &keys).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Makes the event of a file; an error where the file is not what it was.
fn draft(scope: &Scope, dedup: Dedup, ripe: Ripe, is_known: bool) -> Result<Draft, Delivered> {
    if is_known {
        return Ok(Draft { ripe, event: None });
    }
    let sha256 = match dedup {
        Dedup::Path => None,
        Dedup::Content => match sha256(&ripe.path) {
            Ok(hash) => Some(hash),
            Err(_) => return Err(Delivered::Changed(ripe.path.clone(), stamp(&ripe.path))),
        },
    };
    let now = stamp(&ripe.path);
    if !now.is_some_and(|now| now.is_same_content(ripe.stamp)) {
        return Err(Delivered::Changed(ripe.path, now));
    }
    let Some(payload) = payload(&scope.folder, &ripe.path, ripe.stamp, sha256.as_deref()) else {
        tracing::warn!(path = %ripe.path.display(), "a file's name is not UTF-8: it starts no run");
        return Ok(Draft { ripe, event: None });
    };
    let dedup_key = sha256.map_or_else(|| stamp_key(&ripe.path, ripe.stamp), |hash| content_key(&hash));
    let occurred_at = i64::try_from(ripe.stamp.modified_ns).ok().map(DateTime::from_timestamp_nanos);
    // For ever: nobody knows how long the file will lie there.
    let event = NewEvent { dedup_key, payload, occurred_at, expires_at: None };
    Ok(Draft { ripe, event: Some(event) })
}

/// The SHA-256 of a file's content, in hex.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
