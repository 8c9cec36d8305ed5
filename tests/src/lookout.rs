//! Somebody who looks all the time whose commands live in pods: those that are killed there write nothing down.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{remains, workload::now_us};

/// Much shorter than what a pod needs to start.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until it is dropped.
#[derive(Debug)]
pub(crate) struct Lookout {
    last_seen: Arc<Mutex<HashMap<String, i64>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lookout {
    /// For commands that name this folder.
    pub(crate) fn begin(folder: PathBuf) -> Result<Self> {
        let last_seen = Arc::<Mutex<HashMap<String, i64>>>::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, over) = (Arc::clone(&last_seen), Arc::clone(&is_over));
        let look = move || {
            while !over.load(Ordering::SeqCst) {
                // Before it looks: they are alive at least until then.
                let at = now_us();
                let alive = remains::pods_naming(&folder).into_iter().map(|uid| (uid, at));
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(alive);
                thread::sleep(LOOK_EVERY);
            }
        };
        let thread = thread::Builder::new().name("lookout".into()).spawn(look).context("starting the lookout")?;
        Ok(Self { last_seen, is_over, thread: Some(thread) })
    }

    /// When the commands of each pod were last seen alive, by the pod's uid.
    pub(crate) fn last_seen(&self) -> HashMap<String, i64> {
        self.last_seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A lookout that panicked has said so.
            let _ = thread.join();
        }
    }
}
