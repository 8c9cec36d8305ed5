//! What the machine can do without Gridflow: processes, commits, rows.

use std::{
    ffi::CString,
    io, mem, ptr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::libc;
use uuid::Uuid;

use crate::{db::Db, stats};

/// Rows in one statement, as large as Gridflow's own turns get.
const ROWS_AT_ONCE: usize = 5_000;

/// The database of our own, so that nothing of Gridflow's is touched.
const DATABASE: &str = "bench";

/// How long each of `count` processes takes from before its start until it is reaped, one after the other.
pub fn spawn_times(argv: &[&str], count: usize) -> Result<Vec<Duration>> {
    let command = Command::new(argv)?;
    on_own_thread(move || {
        (0..count)
            .map(|_| {
                let started = Instant::now();
                command.spawn()?;
                reap()?;
                Ok(started.elapsed())
            })
            .collect()
    })
}

/// Processes a second in the tightest loop there is, with at most `at_once` of them at the same time.
pub fn spawn_rate(argv: &[&str], count: usize, at_once: usize) -> Result<f64> {
    let command = Command::new(argv)?;
    on_own_thread(move || {
        let started = Instant::now();
        let mut running = 0;
        for _ in 0..count {
            if running == at_once {
                reap()?;
                running -= 1;
            }
            command.spawn()?;
            running += 1;
        }
        for _ in 0..running {
            reap()?;
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    })
}

/// Children belong to the thread that made them, so that reaping any does not take those of others.
fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join().expect("the thread does not panic"))
}

struct Command {
    argv: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn new(argv: &[&str]) -> Result<Self> {
        let argv = argv.iter().map(|word| CString::new(*word)).collect::<Result<_, _>>()?;
        let environment =
            std::env::vars().map(|(name, value)| CString::new(format!("{name}={value}"))).collect::<Result<_, _>>()?;
        Ok(Self { argv, environment })
    }

    /// `posix_spawnp` is a `vfork`: nothing of ours is copied.
    fn spawn(&self) -> Result<()> {
        let pointers = |texts: &[CString]| -> Vec<*mut libc::c_char> {
            texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
        };
        let (argv, environment) = (pointers(&self.argv), pointers(&self.environment));
        let mut pid = 0;
        // SAFETY: the attributes are initialised before use and destroyed after it; the arrays end with a null and
        // live until the call returns, when the child has exec'd.
        let error = unsafe {
            let mut attributes: libc::posix_spawnattr_t = mem::zeroed();
            libc::posix_spawnattr_init(&raw mut attributes);
            // The driver blocks signals that the child must not have blocked.
            let mut none: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::posix_spawnattr_setsigmask(&raw mut attributes, &raw const none);
            libc::posix_spawnattr_setflags(&raw mut attributes, libc::POSIX_SPAWN_SETSIGMASK as libc::c_short);
            let error = libc::posix_spawnp(
                &raw mut pid,
                argv[0],
                ptr::null(),
                &raw const attributes,
                argv.as_ptr(),
                environment.as_ptr(),
            );
            libc::posix_spawnattr_destroy(&raw mut attributes);
            error
        };
        ensure!(error == 0, "cannot start {:?}: {}", self.argv, io::Error::from_raw_os_error(error));
        Ok(())
    }
}

/// Waits for any child of this thread.
fn reap() -> Result<()> {
    let mut status = 0;
    // SAFETY: writes to a local number.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WNOTHREAD) };
    ensure!(0 < pid, "waitpid: {}", io::Error::last_os_error());
    ensure!(status == 0, "a process of the bare loop ended with status {status}");
    Ok(())
}

/// A connection to the database of our own, with the tables of the bare work in it.
pub fn database(state_dir: &std::path::Path) -> Result<Db> {
    let mut db = Db::connect(state_dir, "gridflow")?;
    if db.count("SELECT count(*) FROM pg_database WHERE datname = $1", DATABASE)? == 0 {
        db.execute("CREATE DATABASE bench")?;
    }
    let mut db = Db::connect(state_dir, DATABASE).context("connecting to the driver's own database")?;
    db.execute(
        "CREATE TABLE IF NOT EXISTS bare_commit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz)",
    )?;
    db.execute(
        "CREATE TABLE IF NOT EXISTS bare_row (run uuid, task integer, map_index integer, state text NOT NULL, \
         at timestamptz, PRIMARY KEY (run, task, map_index)) WITH (fillfactor = 80)",
    )?;
    Ok(db)
}

/// The time of one transaction that inserts one row.
pub fn commit(db: &mut Db) -> Result<Duration> {
    let started = Instant::now();
    db.execute("INSERT INTO bare_commit (at) VALUES (now())")?;
    Ok(started.elapsed())
}

/// The median of `count` commits, in milliseconds.
pub fn commit_ms(db: &mut Db, count: usize) -> Result<f64> {
    let times = (0..count).map(|_| commit(db)).collect::<Result<Vec<_>>>()?;
    stats::median(&stats::milliseconds(&times)).context("no commit measured")
}

/// The median of `count` processes, in milliseconds.
pub fn spawn_ms(argv: &[&str], count: usize) -> Result<f64> {
    stats::median(&stats::milliseconds(&spawn_times(argv, count)?)).context("no process measured")
}

const INSERT: &str = "INSERT INTO bare_row SELECT $1, task, -1, 'queued', now() FROM unnest($2::int[]) AS t (task)";
const UPDATE: &str = "UPDATE bare_row AS r SET state = 'success', at = now() FROM unnest($2::int[]) AS t (task) \
                      WHERE (r.run, r.task, r.map_index) = ($1, t.task, -1)";

/// Rows a second that are inserted and updated once each, sets at a time, a commit after each set.
pub fn row_rate(db: &mut Db, rows: usize) -> Result<f64> {
    db.execute("TRUNCATE bare_row")?;
    let began = Instant::now();
    in_sets(db, INSERT, rows)?;
    in_sets(db, UPDATE, rows)?;
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

/// How long it takes to insert so many rows.
pub fn insert_seconds(db: &mut Db, rows: usize) -> Result<f64> {
    db.execute("TRUNCATE bare_row")?;
    let began = Instant::now();
    in_sets(db, INSERT, rows)?;
    Ok(began.elapsed().as_secs_f64())
}

fn in_sets(db: &mut Db, statement: &'static str, rows: usize) -> Result<()> {
    for (set, first) in (0..rows).step_by(ROWS_AT_ONCE).enumerate() {
        let tasks: Vec<i32> = (0..ROWS_AT_ONCE.min(rows - first)).map(|task| task as i32).collect();
        let run = Uuid::from_u128(set as u128);
        db.run(async |db| sqlx::query(statement).bind(run).bind(&tasks).execute(db).await)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_a_bare_loop_is_reaped() {
        assert_eq!(spawn_times(&["true"], 3).expect("times").len(), 3);
        assert!(0.0 < spawn_rate(&["true"], 5, 2).expect("a rate"));
        assert!(on_own_thread(reap).is_err(), "somebody was left behind");
    }

    #[test]
    fn a_command_that_fails_is_no_measure() {
        assert!(spawn_times(&["false"], 1).is_err());
        assert!(spawn_times(&["there-is-no-such-program"], 1).is_err());
    }
}
