//! The task behind a handle: keeps the connection, and everything that is not done yet, so that a reconnect loses
//! nothing.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gridflow_core::{AttemptId, RunKey};
use gridflow_failpoint::{Point, reach};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use super::{
    super::{
        launch::Launch,
        report::Report,
        scratch::Scratch,
        staging,
        wire::{self, CancelOrder, Command, ToHost},
    },
    Config, Order,
    leftovers::Leftovers,
    link::{self, Link},
};

/// So few launches are prepared here and now: that takes some ten microseconds, and handing them to another thread
/// takes longer.
const STAGED_HERE_MAX: usize = 2;
/// Launches prepared by one blocking job, and how many such jobs run at a time.
const STAGED_AT_ONCE: usize = 16;
const STAGING_JOBS_MAX: usize = 4;
/// No new orders above this; callers wait.
const TO_STAGE_MAX: usize = 16_384;
/// The host is not read while that many reports wait.
const REPORTS_WAITING_MAX: usize = 1024;
const ORDERS_AT_ONCE: usize = 64;
/// A full disk, a lack of processes, a host that does not start.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Acknowledgements the host may have missed when a connection broke.
const ACKNOWLEDGED_KEPT_MAX: usize = 16_384;

pub(super) struct Actor {
    pub(super) config: Arc<Config>,
    pub(super) scratch: Arc<Scratch>,
    pub(super) link: Option<Link>,
    pub(super) to_stage: VecDeque<Launch>,
    pub(super) staging_jobs: usize,
    /// Prepared, and on no record yet.
    pub(super) unconfirmed: HashMap<Uuid, Prepared>,
    /// Asked for, and not gone yet.
    pub(super) cancels: HashMap<Uuid, CancelOrder>,
    /// On record and not acknowledged: the stage of their working folder.
    pub(super) known: HashMap<Uuid, u32>,
    pub(super) acknowledged: Acknowledged,
    /// Working folders of attempts that are over.
    pub(super) to_clear: Vec<(Uuid, u32)>,
    /// To be tried again.
    pub(super) postponed: HashSet<Uuid>,
    pub(super) to_restage: Vec<Launch>,
    pub(super) retry_at: Option<Instant>,
    pub(super) reports: VecDeque<Report>,
    pub(super) jobs: JoinSet<Done>,
    pub(super) leftovers: Leftovers,
    pub(super) sync: Sync,
}

pub(super) struct Prepared {
    frame: Vec<u8>,
    pub(super) stage: u32,
}

/// Outputs that are still being read when the host has told everything: their reports come first.
#[derive(Default)]
pub(super) struct Sync {
    pub(super) told: Told,
    pub(super) collecting: usize,
    pub(super) report: Option<Report>,
}

/// Of a record: is it one of those that the host sends first?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Told {
    #[default]
    BeforeSync,
    AfterSync,
}

/// The last ones, for repeating them.
#[derive(Default)]
pub(super) struct Acknowledged {
    pub(super) set: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

/// Ready for the host, or to be tried again.
pub(super) type Staged = Result<Command, Box<(Launch, std::io::Error)>>;

pub(super) enum Done {
    Staged(Vec<Staged>),
    Connected(Box<Result<Link, super::Error>>),
    Collected(Report, Told),
    Cleared,
    /// Working folders of attempts that were not open.
    Unclaimed(Vec<(Uuid, PathBuf)>),
}

pub(super) async fn run(
    config: Config,
    scratch: Scratch,
    link: Link,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) {
    let mut actor = Actor::new(config, scratch, link);
    let mut received = Vec::new();
    let mut is_wanted = true;
    loop {
        actor.start_staging();
        actor.start_clearing();
        if !is_wanted && actor.is_done() {
            return;
        }
        let has_room = actor.to_stage.len() < TO_STAGE_MAX;
        let may_read = actor.reports.len() < REPORTS_WAITING_MAX;
        let wake_at = actor.wake_at();
        tokio::select! {
            count = orders.recv_many(&mut received, ORDERS_AT_ONCE), if is_wanted && has_room => {
                is_wanted = count != 0;
                received.drain(..).for_each(|order| actor.take_order(order));
            }
            Some(done) = actor.jobs.join_next(), if !actor.jobs.is_empty() => match done {
                Ok(done) => actor.take_done(done),
                // What it had in its hands is unknown: whoever starts the next executor is told everything again.
                Err(error) => return tracing::error!(%error, "a job of the local executor crashed, and it ends"),
            },
            permit = reports.reserve(), if !actor.reports.is_empty() => match permit {
                Ok(permit) => {
                    if let Some(report) = actor.reports.pop_front() {
                        permit.send(report);
                    }
                }
                // Nobody listens any more.
                Err(_) => return,
            },
            result = transfer(&mut actor.link), if actor.link.is_some() && may_read => actor.take_transfer(result),
            () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => actor.wake(Instant::now()),
        }
    }
}

async fn transfer(link: &mut Option<Link>) -> std::io::Result<()> {
    match link {
        Some(link) => link.transfer().await,
        None => std::future::pending().await,
    }
}

impl Actor {
    pub(super) fn new(config: Config, scratch: Scratch, link: Link) -> Self {
        Self {
            config: Arc::new(config),
            scratch: Arc::new(scratch),
            link: Some(link),
            to_stage: VecDeque::new(),
            staging_jobs: 0,
            unconfirmed: HashMap::new(),
            cancels: HashMap::new(),
            known: HashMap::new(),
            acknowledged: Acknowledged::default(),
            to_clear: Vec::new(),
            postponed: HashSet::new(),
            to_restage: Vec::new(),
            retry_at: None,
            reports: VecDeque::new(),
            jobs: JoinSet::new(),
            leftovers: Leftovers::default(),
            sync: Sync::default(),
        }
    }

    /// Everything that was asked for has left.
    fn is_done(&self) -> bool {
        let sent = self.link.as_ref().is_none_or(|link| !link.has_output());
        self.to_stage.is_empty() && self.staging_jobs == 0 && self.to_clear.is_empty() && sent
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Launch(launches) => self.to_stage.extend(launches),
            Order::Cancel(attempts) => {
                let order = |(run, attempt): (RunKey, AttemptId)| CancelOrder {
                    attempt: attempt.0,
                    run: run.0,
                    unclaimed_only: false,
                };
                let attempts: Vec<CancelOrder> = attempts.into_iter().map(order).collect();
                self.cancels.extend(attempts.iter().map(|order| (order.attempt, order.clone())));
                self.push(&ToHost::Cancel { attempts });
            }
            Order::Forestall(attempts) => {
                let order = |(run, attempt): (RunKey, AttemptId)| CancelOrder {
                    attempt: attempt.0,
                    run: run.0,
                    unclaimed_only: true,
                };
                let attempts: Vec<CancelOrder> = attempts.into_iter().map(order).collect();
                for order in &attempts {
                    // A cancel that is under way goes further.
                    self.cancels.entry(order.attempt).or_insert_with(|| order.clone());
                }
                self.push(&ToHost::Cancel { attempts });
            }
            Order::Acknowledge(attempts) => self.acknowledge(&attempts),
        }
    }

    fn acknowledge(&mut self, attempts: &[AttemptId]) {
        let attempts: Vec<Uuid> = attempts.iter().map(|attempt| attempt.0).collect();
        let stages: Vec<(Uuid, u32)> =
            attempts.iter().filter_map(|attempt| Some((*attempt, self.known.remove(attempt)?))).collect();
        self.clear(stages);
        self.acknowledged.extend(&attempts);
        self.push(&ToHost::Acknowledge { attempts });
    }

    pub(super) fn push(&mut self, message: &ToHost) {
        if let Some(link) = &mut self.link {
            link.push(message);
        }
    }

    fn start_staging(&mut self) {
        // Looking up a user may block.
        let is_quick = |launch: &Launch| launch.run_as.is_none();
        if self.to_stage.len() <= STAGED_HERE_MAX && self.staging_jobs == 0 && self.to_stage.iter().all(is_quick) {
            for launch in std::mem::take(&mut self.to_stage) {
                let staged = prepare(&self.config, &self.scratch, launch);
                self.take_staged(staged);
            }
        }
        while self.staging_jobs < STAGING_JOBS_MAX && !self.to_stage.is_empty() {
            // Few launches are spread over the jobs, many fill them.
            let count = self.to_stage.len().div_ceil(STAGING_JOBS_MAX).min(STAGED_AT_ONCE);
            let launches: Vec<Launch> = self.to_stage.drain(..count).collect();
            let (config, scratch) = (self.config.clone(), self.scratch.clone());
            self.staging_jobs += 1;
            self.jobs.spawn_blocking(move || {
                Done::Staged(launches.into_iter().map(|launch| prepare(&config, &scratch, launch)).collect())
            });
        }
    }

    pub(super) fn take_done(&mut self, done: Done) {
        match done {
            Done::Staged(staged) => {
                self.staging_jobs -= 1;
                staged.into_iter().for_each(|result| self.take_staged(result));
            }
            Done::Connected(result) => match *result {
                Ok(link) => self.resume(link),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no local commands can be started");
                    self.reconnect(RETRY_PAUSE);
                }
            },
            Done::Collected(report, told) => self.take_collected(report, told),
            Done::Cleared => {}
            Done::Unclaimed(found) => self.leftovers.wait(found, Instant::now()),
        }
    }

    fn take_staged(&mut self, result: Staged) {
        match result {
            Ok(command) => {
                let (attempt, stage) = (command.attempt, command.stage);
                reach(Point::Staged);
                let frame = launch_frame(command);
                if let Some(link) = &mut self.link {
                    link.push_frame(&frame);
                }
                self.unconfirmed.insert(attempt, Prepared { frame, stage });
            }
            Err(failed) => {
                let (launch, error) = *failed;
                tracing::warn!(%error, attempt.id = %launch.attempt, "cannot prepare a local command now");
                self.to_restage.push(launch);
                self.retry_at.get_or_insert_with(|| Instant::now() + RETRY_PAUSE);
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        [self.retry_at, self.leftovers.due_at()].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry();
        }
        self.clear_leftovers(now);
    }

    fn retry(&mut self) {
        self.retry_at = None;
        self.to_stage.extend(self.to_restage.drain(..));
        for attempt in std::mem::take(&mut self.postponed) {
            let Some(link) = &mut self.link else { continue };
            if let Some(order) = self.cancels.get(&attempt) {
                link.push(&ToHost::Cancel { attempts: vec![order.clone()] });
            }
            if let Some(prepared) = self.unconfirmed.get(&attempt) {
                link.push_frame(&prepared.frame);
            }
        }
    }

    fn take_transfer(&mut self, result: std::io::Result<()>) {
        let mut messages = Vec::new();
        let broken = match (&mut self.link, result) {
            (Some(link), Ok(())) => loop {
                match link.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            },
            (_, Err(error)) => Some(error),
            (None, Ok(())) => None,
        };
        messages.into_iter().for_each(|message| self.take_message(message));
        if let Some(error) = broken {
            tracing::warn!(%error, "the connection to the host of local commands broke");
            self.link = None;
            self.reconnect(Duration::ZERO);
        }
    }

    fn reconnect(&mut self, pause: Duration) {
        let config = self.config.clone();
        self.jobs.spawn(async move {
            sleep(pause).await;
            Done::Connected(Box::new(link::connect_or_start(&config).await))
        });
    }

    /// Says everything again that a record has not shown yet. All of it may be heard twice.
    pub(super) fn resume(&mut self, mut link: Link) {
        link.push(&ToHost::Cancel { attempts: self.cancels.values().cloned().collect() });
        link.push(&ToHost::Acknowledge { attempts: self.acknowledged.order.iter().copied().collect() });
        for prepared in self.unconfirmed.values() {
            link.push_frame(&prepared.frame);
        }
        self.link = Some(link);
        self.sync.told = Told::BeforeSync;
    }
}

fn prepare(config: &Config, scratch: &Scratch, launch: Launch) -> Staged {
    // The low bits of a UUIDv7 are random.
    let stage = Uuid::now_v7().as_u128() as u32;
    staging::stage(&config.state_dir, scratch, &config.environment, &launch, stage)
        .map_err(|error| Box::new((launch, error)))
}

/// A command that no frame can hold becomes one that never starts and says so.
fn launch_frame(command: Command) -> Vec<u8> {
    let mut frame = Vec::new();
    let bare = Command {
        argv: Vec::new(),
        env: Vec::new(),
        user: None,
        cwd: command.cwd.clone(),
        log: command.log.clone(),
        unfit: None,
        ..command
    };
    if let Err(error) = wire::encode(&mut frame, &ToHost::Launch(Box::new(command))) {
        let unfit = Some(format!("{error}; hand large values over in a file"));
        wire::encode(&mut frame, &ToHost::Launch(Box::new(Command { unfit, ..bare }))).expect("nothing in it is large");
    }
    frame
}

impl Acknowledged {
    fn extend(&mut self, attempts: &[Uuid]) {
        for attempt in attempts {
            if self.set.insert(*attempt) {
                self.order.push_back(*attempt);
            }
        }
        while ACKNOWLEDGED_KEPT_MAX < self.order.len() {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }
}
