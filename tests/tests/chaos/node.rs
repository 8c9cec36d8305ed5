//! The programs of a history: two schedulers of one node, each with its own way to the database, and the API.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use gridflow_tests::{Clock, Program, Proxy, Web, wait_for, workload::Workload};

use crate::dice::Dice;

/// How far a clock is set forth or back.
const CLOCK_OFF_MAX_S: i64 = 600;

const SCHEDULERS: [&str; 2] = ["north", "south"];

pub struct Site<'a> {
    pub workload: &'a Workload,
    pub schedulers: Vec<Scheduler>,
    web: Option<Web>,
    webs_started: usize,
    /// What all clocks show when none was set lately, in seconds after the true time.
    clocks_s: i64,
    pub door: Door,
}

/// Where the API is just now, and the token that it asks for.
pub type Door = Arc<Mutex<Option<(String, String)>>>;

pub struct Scheduler {
    pub name: &'static str,
    pub proxy: Proxy,
    pub clock: Clock,
    pub program: Program,
}

impl<'a> Site<'a> {
    pub fn begin(workload: &'a Workload) -> Result<Self> {
        let schedulers = SCHEDULERS.iter().map(|name| {
            let proxy = Proxy::start(workload.cluster.server.port())?;
            let clock = Clock::new(&workload.cluster.path(""), name)?;
            let program = workload.scheduler_with_clock(name, &proxy, &clock)?;
            Ok(Scheduler { name, proxy, clock, program })
        });
        let schedulers = schedulers.collect::<Result<_>>()?;
        let mut site = Self { workload, schedulers, web: None, webs_started: 0, clocks_s: 0, door: Door::default() };
        site.open_door()?;
        Ok(site)
    }

    fn open_door(&mut self) -> Result<()> {
        self.webs_started += 1;
        let web = match Web::start(&self.workload.cluster, &format!("web-{}", self.webs_started)) {
            Ok(web) => web,
            // As a scheduler that finds no database at its start: the next look starts it again.
            Err(error) if format!("{error:#}").contains("cannot use the database") => return Ok(()),
            Err(error) => return Err(error),
        };
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some((web.address().to_owned(), web.token()?));
        self.web = Some(web);
        Ok(())
    }

    /// `kill -9` of the API; the next look starts it again.
    pub fn kill_web(&mut self) -> Result<()> {
        self.web.take().map_or(Ok(()), |web| web.program.kill())
    }

    /// Starts again what has ended, as a service manager does: a program that finds no database at its start ends.
    pub fn keep_alive(&mut self) -> Result<()> {
        for no in 0..self.schedulers.len() {
            if !self.schedulers[no].program.is_running()? {
                let said = self.schedulers[no].program.said();
                let was_ready = said.contains("leading epoch") || said.contains("standing by");
                if was_ready || !said.contains("database") {
                    bail!("{} ended by itself: {said}", self.schedulers[no].name);
                }
                self.start(no)?;
            }
        }
        // Everything that was killed took it along.
        let is_open = self.web.as_mut().map_or(Ok(false), |web| web.program.is_running())?;
        if !is_open {
            self.open_door()?;
        }
        Ok(())
    }

    /// Kills a scheduler and starts it again.
    pub fn kill(&mut self, no: usize) -> Result<()> {
        self.schedulers[no].program.end()?;
        self.start(no)
    }

    pub fn start(&mut self, no: usize) -> Result<()> {
        let Scheduler { name, proxy, clock, program } = &mut self.schedulers[no];
        *program = self.workload.scheduler_with_clock(name, proxy, clock)?;
        Ok(())
    }

    /// Sets each clock anywhere, forth or back.
    pub fn part_clocks(&mut self, dice: &mut Dice) -> Result<()> {
        let off_s = |dice: &mut Dice| dice.below(2 * CLOCK_OFF_MAX_S.unsigned_abs()).cast_signed() - CLOCK_OFF_MAX_S;
        self.schedulers.iter().try_for_each(|one| one.clock.set(self.clocks_s + off_s(dice)))
    }

    /// Lets them agree again, on a time that is later than any that was shown: whatever waits for a time of day is due.
    pub fn join_clocks(&mut self) -> Result<()> {
        self.clocks_s += 2 * CLOCK_OFF_MAX_S;
        self.schedulers.iter().try_for_each(|one| one.clock.set(self.clocks_s))
    }

    /// Which one leads, waiting for one if need be.
    pub fn leader(&mut self) -> Result<usize> {
        wait_for("a leader", Duration::from_secs(60), || {
            self.keep_alive()?;
            let leads = |one: &Scheduler| self.workload.cluster.leads_through(&one.proxy).unwrap_or(false);
            Ok(self.schedulers.iter().position(leads))
        })
    }

    pub fn epoch(&self) -> Option<i64> {
        self.workload.cluster.sql("SELECT epoch FROM leader").ok()?.parse().ok()
    }

    pub fn heal(&mut self) -> Result<()> {
        for one in &self.schedulers {
            one.proxy.heal();
        }
        if !self.workload.cluster.server.is_running() {
            self.workload.cluster.server.start_again()?;
        }
        self.leader().map(drop).context("after all faults")
    }

    /// Whatever strikes, nothing panics, nothing is an error that somebody must mend, and no connection is used that is
    /// in a transaction nobody knows of.
    pub fn check_logs(&self) -> Result<()> {
        let web = self.web.iter().map(|web| ("web", &web.program));
        for (name, program) in self.schedulers.iter().map(|one| (one.name, &one.program)).chain(web) {
            let log = program.log();
            // A library says so of a connection that broke at once.
            let is_bad = |line: &&str| {
                ["panicked", " ERROR ", "already a transaction in progress"].iter().any(|bad| line.contains(bad))
                    && !line.contains("after_connect")
            };
            if let Some(line) = log.lines().find(is_bad) {
                bail!("{name} says: {line}");
            }
        }
        Ok(())
    }

    pub fn logs(&self) -> String {
        const LINES: usize = 60;
        let tail = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        };
        let logs = self.schedulers.iter().map(|one| format!("--- {}\n{}", one.name, tail(one.program.log())));
        let host = std::fs::read_to_string(self.workload.cluster.path("state/host.log")).unwrap_or_default();
        logs.chain([format!("--- host\n{}", tail(host))]).collect::<Vec<_>>().join("\n")
    }
}
