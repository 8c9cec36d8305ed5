//! What the items share: options, the installation that most of them use, names of runs, progress.

use std::{collections::HashMap, path::PathBuf, thread, time::Instant};

use anyhow::{Context, Result};

use crate::{line::Line, site::Site};

/// Attempts at the same time, where an item wants many: the size of `default_pool`.
pub const PARALLELISM: usize = 128;

/// Connections on which many runs are triggered at once.
const CONNECTIONS: usize = 8;

#[derive(Debug)]
pub struct Bench {
    pub program: PathBuf,
    /// For all state directories. Nothing in it is removed before the end: mass deletion slows down the making of
    /// files for a long while after it.
    pub root: PathBuf,
    /// Version and durability of the PostgreSQL that was measured, once there was one.
    pub postgresql: String,
    /// What was measured so far.
    pub lines: Vec<Line>,
    is_quick: bool,
    began: Instant,
    item: String,
    shared: Option<Shared>,
    sites: usize,
    names: usize,
}

/// The installation that items share.
#[derive(Debug)]
pub struct Shared {
    site: Site,
    /// How many runs each DAG has been given.
    runs: HashMap<String, i64>,
}

impl Bench {
    pub fn new(program: PathBuf, root: PathBuf, is_quick: bool) -> Self {
        Self {
            program,
            root,
            postgresql: String::new(),
            lines: Vec::new(),
            is_quick,
            began: Instant::now(),
            item: String::new(),
            shared: None,
            sites: 0,
            names: 0,
        }
    }

    pub fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// How often to repeat: once if it has to be quick.
    pub fn few(&self, times: usize) -> usize {
        if self.is_quick { 1 } else { times }
    }

    pub fn begin(&mut self, item: &str) {
        item.clone_into(&mut self.item);
    }

    /// For people, on stderr.
    pub fn progress(&self, what: &str) {
        eprintln!("{:>6.1} s  {}: {what}", self.began.elapsed().as_secs_f64(), self.item);
    }

    /// The installation that items share, with [`PARALLELISM`] attempts at a time; started when it is first asked for.
    pub fn site(&mut self) -> Result<&Site> {
        if self.shared.is_none() {
            self.progress("starting Gridflow on a new database");
            let settings = [("GRIDFLOW__SCHEDULER__PARALLELISM", PARALLELISM.to_string())];
            self.shared = Some(Shared { site: self.new_site(&[], &settings)?, runs: HashMap::new() });
        }
        self.shared.as_ref().map(|shared| &shared.site).context("it was just started")
    }

    /// Puts the shared installation aside, alive, and takes the other one for it; a new one is started where there is
    /// no other.
    pub fn exchange(&mut self, other: &mut Option<Shared>) {
        std::mem::swap(&mut self.shared, other);
    }

    /// An installation of an item's own. The shared one ends: it would not be idle enough to be measured beside.
    pub fn new_site(&mut self, dags: &[(String, String)], settings: &[(&'static str, String)]) -> Result<Site> {
        self.end_site();
        self.sites += 1;
        let site = Site::start(&self.program, &self.root, &format!("site{}", self.sites), dags, settings)?;
        if self.postgresql.is_empty() {
            self.postgresql = site.db()?.text(
                "SELECT current_setting('server_version') || ', fsync ' || current_setting('fsync') \
                 || ', synchronous_commit ' || current_setting('synchronous_commit')",
            )?;
        }
        Ok(site)
    }

    /// Ends the shared installation; the next item that wants one gets a new one.
    pub fn end_site(&mut self) {
        self.shared = None;
    }

    /// A name that no run has yet.
    pub fn run_name(&mut self) -> String {
        self.names += 1;
        format!("r{}", self.names)
    }

    /// Says that runs were made on the shared installation.
    pub fn count_runs(&mut self, dag: &str, runs: usize) {
        if let Some(shared) = &mut self.shared {
            *shared.runs.entry(dag.to_owned()).or_default() += runs as i64;
        }
    }

    /// How many runs a DAG of the shared installation has been given.
    pub fn runs_of(&self, dag: &str) -> i64 {
        self.shared.as_ref().and_then(|shared| shared.runs.get(dag)).copied().unwrap_or(0)
    }

    /// Triggers one run on the shared installation.
    pub fn trigger(&mut self, dag: &str) -> Result<String> {
        let run = self.run_name();
        self.site()?.api()?.trigger(dag, &run)?;
        self.count_runs(dag, 1);
        Ok(run)
    }

    /// Triggers many runs at once, on several connections; their names begin with `prefix`.
    pub fn trigger_many(&mut self, dag: &str, prefix: &str, runs: usize) -> Result<()> {
        let site = self.site()?;
        let mut connections = (0..CONNECTIONS).map(|_| site.api()).collect::<Result<Vec<_>>>()?;
        thread::scope(|scope| {
            let threads: Vec<_> = connections
                .iter_mut()
                .enumerate()
                .map(|(first, api)| {
                    scope.spawn(move || -> Result<()> {
                        (first..runs)
                            .step_by(CONNECTIONS)
                            .try_for_each(|number| api.trigger(dag, &format!("{prefix}_{number}")))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("the thread does not panic"))
        })?;
        self.count_runs(dag, runs);
        Ok(())
    }
}
