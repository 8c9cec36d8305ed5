//! Waiting for a condition instead of sleeping.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks again and again until there is an answer; fails, naming what was waited for, after `within`.
pub fn wait_for<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        if deadline < Instant::now() {
            bail!("waited {within:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
