//! Progress of slow steps on stderr. A step that ends within a second says nothing.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use crate::failure::say;

/// From here on a person wonders whether anything still happens.
const QUIET: Duration = Duration::from_secs(1);
const REMIND: Duration = Duration::from_secs(5);

/// Runs `step`; when it takes long, says so, and again every few seconds.
pub fn step<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let started = Instant::now();
            let mut pause = QUIET;
            while let Err(RecvTimeoutError::Timeout) = waiting.recv_timeout(pause) {
                let elapsed = started.elapsed().as_secs();
                say(if pause == QUIET { format!("{what} …") } else { format!("{what} … ({elapsed} s)") });
                pause = REMIND;
            }
        });
        let result = step();
        drop(done);
        result
    })
}
