//! One trigger at work.

use std::{path::Path, sync::Arc, time::Duration};

use gridflow_dag_spec::Existing;
use gridflow_failpoint::{Point, check};
use gridflow_store::event;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use tokio_util::task::AbortOnDropHandle;

use super::{
    arrivals::{Arrivals, Ripe, describe},
    deliver::{Delivered, Receiver},
    hub::Subscription,
    look::{Found, Problem, look},
    scope::Scope,
};
use crate::folder::{Told, rescan_pause};

/// Between tries while the database or the folder can't be reached.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Longer than a statement may take: the connection is cut, and nobody told us.
const TRY_MAX: Duration = Duration::from_secs(60);
/// After another leader was faster: it is about to end, or we are.
const LOST: Duration = Duration::from_millis(100);
/// Looks at a folder may take a tenth of the time, however often folders appear in it.
const REST: u32 = 10;
const REST_MAX: Duration = Duration::from_secs(1);
/// How many files are asked about at once.
const KNOWN_MAX: usize = 5_000;

/// What a trigger needs to work.
pub(crate) struct Task {
    pub receiver: Receiver,
    pub existing: Existing,
    pub arrivals: Arrivals,
    pub subscription: Subscription,
    /// Told after each commit of new events.
    pub received: Arc<Notify>,
}

type Delivery = AbortOnDropHandle<(Vec<Delivered>, usize)>;

impl Task {
    /// Watches until it is dropped. What is not committed then is found again by the next one.
    pub async fn run(mut self) {
        self.begin().await;
        let mut watching = Watching::default();
        let mut delivery: Option<Delivery> = None;
        loop {
            if watching.look_at <= Instant::now() {
                self = self.look(&mut watching).await;
            }
            if delivery.is_none() {
                (self, delivery) = self.deliver_due().await;
            }
            let timer = if delivery.is_some() { None } else { self.arrivals.next_at() };
            tokio::select! {
                sights = self.subscription.sights() => {
                    let needs_look;
                    (self.arrivals, needs_look) = blocking(self.arrivals, move |arrivals| arrivals.see(&sights, Instant::now())).await;
                    if needs_look {
                        watching.look_soon();
                    }
                }
                () = sleep_until(watching.look_at) => {}
                () = sleep_until(timer.unwrap_or_else(far)), if timer.is_some() => {}
                done = finished(&mut delivery), if delivery.is_some() => {
                    delivery = None;
                    self.settle(done);
                }
            }
        }
    }

    /// Makes sure that the database knows what the trigger looks at, and passes over what was there
    /// before. Files that came while nobody looked are not passed over.
    async fn begin(&mut self) {
        loop {
            let position = persist("reading its position", || self.receiver.position()).await;
            if position.as_ref() == Some(&self.receiver.scope.to_json()) {
                return;
            }
            let before = position.as_ref().and_then(Scope::from_json);
            let passed = self.passed(before.as_ref()).await;
            if persist("noting what was there before", || self.receiver.begin(position.as_ref(), &passed)).await {
                passed.iter().for_each(|file| self.arrivals.take(&file.path, file.stamp));
                return;
            }
            sleep(LOST).await;
        }
    }

    /// The files that were there before the trigger, or before it looked for their like.
    async fn passed(&self, before: Option<&Scope>) -> Vec<Ripe> {
        let found = self.find().await;
        let is_passed = |path: &Path, stamp| match self.existing {
            Existing::Ignore => {
                self.arrivals.is_complete(path, stamp) && !before.is_some_and(|before| before.covers(path))
            }
            Existing::Fire => false,
        };
        let passed = found.files.into_iter().filter(|(path, stamp)| is_passed(path, *stamp));
        passed.map(|(path, stamp)| Ripe { path, stamp }).collect()
    }

    /// A whole look: waits for a folder that can't be read.
    async fn find(&self) -> Found {
        loop {
            let (scope, found) = blocking(self.receiver.scope.clone(), |scope| look(scope)).await;
            if found.is_complete() {
                return found;
            }
            let event::TriggerKey { dag, name } = &self.receiver.trigger;
            let problem = found.problem.as_ref().map(describe);
            tracing::warn!(dag.id = %dag, trigger = name, folder = %scope.folder.display(), problem, "a file trigger can't begin");
            sleep(RETRY_MAX).await;
        }
    }

    /// Looks at the whole folder and watches what is there.
    async fn look(mut self, watching: &mut Watching) -> Self {
        let began = Instant::now();
        let found: Found;
        (self.arrivals, found) = blocking(self.arrivals, |arrivals| arrivals.look(Instant::now())).await;
        watching.looked(began.elapsed());
        let told = found.told;
        self.tell(watching, found.problem.as_ref());
        if std::mem::take(&mut watching.is_first) {
            self.skip_known(found).await;
        }
        let answer = self.subscription.watch(self.arrivals.dirs().clone()).await;
        let told = if answer.failure.is_some() { Told::NotOfAll } else { told };
        let pause = rescan_pause(told, watching.took);
        watching.look_at = Instant::now() + pause;
        if let Some((dir, error)) = answer.failure {
            watching.warn_blind(&dir, &error);
        }
        if answer.is_new {
            watching.look_soon();
        }
        self
    }

    /// After a start most files of a folder are long done: those need not ripen again.
    async fn skip_known(&mut self, found: Found) {
        let files: Vec<_> = found.files.into_iter().map(|(path, stamp)| Ripe { path, stamp }).collect();
        for chunk in files.chunks(KNOWN_MAX) {
            let known = persist("reading what is known", || self.receiver.known(chunk)).await;
            for (file, _) in chunk.iter().zip(known).filter(|(_, is_known)| *is_known) {
                self.arrivals.take(&file.path, file.stamp);
            }
        }
    }

    fn tell(&self, watching: &mut Watching, problem: Option<&Problem>) {
        let text = problem.map(describe);
        if text == watching.problem {
            return;
        }
        let (dag, trigger, folder) =
            (&self.receiver.trigger.dag, &self.receiver.trigger.name, self.arrivals.scope.folder.display());
        match &text {
            Some(problem) => {
                tracing::warn!(dag.id = %dag, trigger, %folder, problem, "a file trigger can't see its folder")
            }
            None => tracing::info!(dag.id = %dag, trigger, %folder, "a file trigger sees its folder again"),
        }
        watching.problem = text;
    }

    /// Starts to hand over what is ripe.
    async fn deliver_due(mut self) -> (Self, Option<Delivery>) {
        let now = Instant::now();
        if self.arrivals.next_at().is_none_or(|at| now < at) {
            return (self, None);
        }
        let files: Vec<Ripe>;
        (self.arrivals, files) = blocking(self.arrivals, move |arrivals| arrivals.due(now)).await;
        if files.is_empty() {
            return (self, None);
        }
        let receiver = self.receiver.clone();
        let delivery = async move { persist("receiving files", || receiver.deliver(files.clone())).await };
        (self, Some(AbortOnDropHandle::new(tokio::spawn(delivery))))
    }

    fn settle(&mut self, (delivered, new_count): (Vec<Delivered>, usize)) {
        let now = Instant::now();
        for file in delivered {
            match file {
                Delivered::Done(file) => self.arrivals.take(&file.path, file.stamp),
                Delivered::Changed(path, stamp) => self.arrivals.give_back(&path, stamp, now),
            }
        }
        if 0 < new_count && check(Point::EventsCommitted).is_ok() {
            self.received.notify_one();
            tracing::info!(
                dag.id = %self.receiver.trigger.dag, trigger = %self.receiver.trigger.name, files = new_count, "files arrived"
            );
        }
    }
}

/// When to look, and what was last said.
struct Watching {
    is_first: bool,
    look_at: Instant,
    looked_at: Instant,
    took: Duration,
    problem: Option<String>,
    is_blind: bool,
}

impl Default for Watching {
    fn default() -> Self {
        let now = Instant::now();
        Self { is_first: true, look_at: now, looked_at: now, took: Duration::ZERO, problem: None, is_blind: false }
    }
}

impl Watching {
    fn looked(&mut self, took: Duration) {
        self.took = took;
        self.looked_at = Instant::now();
    }

    fn look_soon(&mut self) {
        self.look_at = self.look_at.min(self.looked_at + (self.took * REST).min(REST_MAX));
    }

    fn warn_blind(&mut self, dir: &Path, error: &std::io::Error) {
        if !std::mem::replace(&mut self.is_blind, true) {
            tracing::warn!(
                dir = %dir.display(), %error,
                "cannot watch a trigger's folder: files are found by looking every few seconds (raise fs.inotify.max_user_watches?)"
            );
        }
    }
}

async fn finished(delivery: &mut Option<Delivery>) -> (Vec<Delivered>, usize) {
    match delivery {
        Some(delivery) => delivery.await.expect("a delivery does not panic and is not aborted"),
        None => std::future::pending().await,
    }
}

fn far() -> Instant {
    Instant::now() + RETRY_MAX
}

/// Does what may wait for a file system where waiting is allowed.
async fn blocking<S: Send + 'static, R: Send + 'static>(
    mut state: S,
    work: impl FnOnce(&mut S) -> R + Send + 'static,
) -> (S, R) {
    let task = tokio::task::spawn_blocking(move || {
        let result = work(&mut state);
        (state, result)
    });
    task.await.expect("looking at files does not panic, and blocking tasks are not aborted")
}

/// Tries until the database takes it.
async fn persist<T, F: Future<Output = Result<T, gridflow_store::Error>>>(
    doing: &str,
    mut work: impl FnMut() -> F,
) -> T {
    let mut pause = RETRY;
    loop {
        match timeout(TRY_MAX, work()).await {
            Ok(Ok(result)) => return result,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, doing, "a trigger can't reach the database")
            }
            Err(_) => tracing::warn!(doing, "a trigger hears nothing of the database"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}
