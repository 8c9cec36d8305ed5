//! Runs that are set aside, so that the others go on.
//!
//! A run lands here when a decision about it panicked: a bug. It keeps its rows and its state, its
//! reason says what happened, and nothing is decided about it until the program is started again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use gridflow_core::RunKey;

/// Outlives terms: what panicked would panic again.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    runs: Mutex<BTreeMap<RunKey, String>>,
}

impl Quarantine {
    pub fn set_aside(&self, run: RunKey, reason: String) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run, reason);
    }

    pub fn holds(&self, run: RunKey) -> bool {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&run)
    }

    pub fn all(&self) -> Vec<(RunKey, String)> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter().collect()
    }
}
