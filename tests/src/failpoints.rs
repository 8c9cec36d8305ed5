//! Stepping in at named places of running programs; see `failpoint/src/lib.rs`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use gridflow_failpoint::{Point, VARIABLE};

use crate::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of orders. Programs that share it take each order once, whoever comes by first.
#[derive(Debug)]
pub struct Failpoints {
    folder: PathBuf,
}

/// A process that stands still until this is dropped.
#[derive(Debug)]
pub struct Paused {
    pub pid: i32,
    file: PathBuf,
}

impl Failpoints {
    pub fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).context("making a folder for failpoints")?;
        Ok(Self { folder })
    }

    /// What a program's environment needs.
    pub fn env(&self) -> (&str, &str) {
        (VARIABLE, self.folder.to_str().expect("temporary folders have plain names"))
    }

    /// Arms a place: `pause`, `abort`, `panic`, `refuse`, each with `always` or `for WORD`.
    pub fn arm(&self, point: Point, order: &str) -> Result<()> {
        // Whole or not at all: the program reads it at any moment.
        let draft = self.folder.join(".draft");
        fs::write(&draft, order)?;
        fs::rename(draft, self.folder.join(point.name())).with_context(|| format!("arming {}", point.name()))
    }

    /// True if nobody came by.
    pub fn disarm(&self, point: Point) -> bool {
        fs::remove_file(self.folder.join(point.name())).is_ok()
    }

    /// Waits until somebody has taken the order.
    pub fn taken(&self, point: Point) -> Result<Paused> {
        wait_for(point.name(), PATIENCE, || Ok(self.look(point)))
    }

    /// Who has taken the order, if somebody has.
    pub fn look(&self, point: Point) -> Option<Paused> {
        let prefix = format!("{}.taken-", point.name());
        fs::read_dir(&self.folder).ok()?.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok()?;
            Some(Paused { pid, file: entry.path() })
        })
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

impl Paused {
    pub fn release(self) {
        drop(self);
    }
}
