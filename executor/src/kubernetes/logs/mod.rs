//! The log of a pod's container: into the attempt's file while it runs, kept when the pod is gone.
//!
//! ```text
//!   protocol                         logs
//!   container runs, or has ended ──► follow(source, ended) ── log ──► file
//!   container has ended          ──► Ended { message, notes }
//!   attempt is reported          ◄── what it left as its output
//! ```
//! A stream that ends proves nothing: API servers and kubelets restart. So once the container has ended the log is
//! read once more from where the last stream left off, and is complete when that read ends.

mod driver;
mod file;
mod frames;
mod stamps;

use std::{future::pending, io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::{api::core::v1::Pod, jiff};
use kube::api::{Api, LogParams};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use self::{file::LogFile, frames::Frames, stamps::Position};
use super::{
    output::{self, Left},
    spark::DRIVER_CONTAINER,
};

/// Which container, and where its log goes.
#[derive(Clone)]
pub struct Source {
    /// Without a read timeout: a silent log is no broken one.
    pub client: kube::Client,
    pub namespace: Arc<str>,
    pub pod: Arc<str>,
    pub container: Arc<str>,
    /// As the container writes it into its frames: the attempt's id.
    pub attempt: Arc<str>,
    /// The attempt's log.
    pub path: PathBuf,
    /// For asking Spark's drivers how far they are: so many at a time.
    pub looks: Arc<Semaphore>,
}

/// How the attempt ended, as far as its log is concerned.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The container's termination message.
    pub message: Option<Arc<str>>,
    pub log: Log,
    /// For people, at the end of the log: reasons, the pod's last events. Each becomes a line that begins with
    /// `gridflow: `.
    pub notes: Vec<String>,
}

/// Is there anything to be read?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The container ran, and its node answers as far as anybody knows.
    Complete,
    /// It never ran, or its node is gone: what was read until now is all there is.
    NoMore,
}

/// How long the rest of the log of an ended container is tried for.
const REST_WITHIN: Duration = Duration::from_secs(30);
/// How long a stream that is open has to end by itself when its container has.
const STREAM_ENDS_WITHIN: Duration = Duration::from_secs(3);
/// Lines for people that wait to be laid into the log.
const SAID_MAX: usize = 8;
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Follows a container's log until it has ended and its log is complete, and returns what it left as its output.
///
/// Never fails: what could not be read is said in the log itself. If `ended` is dropped, the executor ends, and the
/// next one writes the log anew.
pub async fn follow(source: Source, mut ended: oneshot::Receiver<Ended>) -> Left {
    let (say, said) = mpsc::channel(SAID_MAX);
    let mut copy = Copy::new(&source, said);
    let seen = driver::Seen::default();
    let told = {
        let is_over = Notify::new();
        let live = live(&source, &mut copy, &is_over);
        let watch = async {
            if *source.container == *DRIVER_CONTAINER {
                driver::watch(&source, &seen, &say).await;
            }
            pending::<()>().await;
        };
        tokio::pin!(live, watch);
        tokio::select! {
            biased;
            told = &mut ended => {
                if matches!(told, Ok(Ended { log: Log::Complete, .. })) {
                    is_over.notify_one();
                    let _ = timeout(STREAM_ENDS_WITHIN, live).await;
                }
                told
            }
            () = &mut live => unreachable!("nobody has said that it is over"),
            () = &mut watch => unreachable!("it never ends"),
        }
    };
    let Ok(Ended { message, log, mut notes }) = told else { return Left::Nothing };
    let message = message.as_deref();
    notes.splice(0..0, seen.summary());
    if log == Log::Complete
        && let Err(error) = rest(&source, &mut copy, message).await
    {
        notes.insert(0, format!("the rest of the log could not be read: {error}"));
    }
    if let Err(error) = copy.finish(&notes).await {
        tracing::warn!(%error, path = %source.path.display(), "cannot write to the log of an attempt");
    }
    output::read(message, copy.frames.collected())
}

/// While the container runs; once it is over, until a stream ends in order or there is none any more.
async fn live(source: &Source, copy: &mut Copy, is_over: &Notify) {
    let mut pause = RETRY_PAUSE;
    let mut is_last = false;
    loop {
        let before = copy.position.since();
        let read = copy.read(source, Mode::Follow).await;
        match &read {
            Ok(()) => copy.last = Last::Whole,
            Err(error) if error.is_final() => {}
            Err(_) => copy.last = Last::Broken,
        }
        if before < copy.position.since() {
            pause = RETRY_PAUSE;
        }
        tracing::debug!(?read, pod = %source.pod, "the stream of a log ended");
        if is_last {
            sleep(pause).await;
        } else {
            is_last = timeout(pause, is_over.notified()).await.is_ok();
        }
        if is_last && read.as_ref().map_or_else(Error::is_final, |()| true) {
            return;
        }
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

/// After the end. The output is waited for even where the log itself seems complete.
async fn rest(source: &Source, copy: &mut Copy, message: Option<&str>) -> Result<(), String> {
    let deadline = Instant::now() + REST_WITHIN;
    loop {
        let problem = match timeout_at(deadline, copy.read(source, Mode::Once)).await {
            Ok(Ok(())) if !output::is_missing(message, copy.frames.collected()) => return Ok(()),
            Ok(Ok(())) => "its output is not there".to_owned(),
            // The stream that was open while the container ran has ended in order: that was all.
            Ok(Err(error)) if error.is_final() && copy.last == Last::Whole => return Ok(()),
            Ok(Err(error)) if error.is_final() => return Err(error.to_string()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} seconds", REST_WITHIN.as_secs()),
        };
        if deadline < Instant::now() + RETRY_PAUSE {
            return Err(problem);
        }
        sleep(RETRY_PAUSE).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Follow,
    /// What is there now.
    Once,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Server(#[from] kube::Error),
    #[error("{0}")]
    Stream(#[source] io::Error),
    #[error("cannot write it: {0}")]
    File(#[source] io::Error),
    #[error("its node says: {0}")]
    Kubelet(String),
}

/// What a kubelet answers for a container that it has removed: soon after the end of a pod that is deleted.
const CONTAINER_REMOVED: &str = "unable to retrieve container logs";

impl Error {
    /// The container is gone: asking again is in vain.
    fn is_final(&self) -> bool {
        match self {
            Self::Server(kube::Error::Api(status)) => status.code == 404,
            Self::Kubelet(words) => words.starts_with(CONTAINER_REMOVED),
            Self::Server(_) | Self::Stream(_) | Self::File(_) => false,
        }
    }
}

/// How the last stream that showed something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Whole,
    /// Or it is open still, or there was none.
    Broken,
}

/// One container's log on its way into a file, over any number of streams.
struct Copy {
    position: Position,
    frames: Frames,
    file: LogFile,
    last: Last,
    /// Lines for people, to be laid in.
    said: mpsc::Receiver<String>,
}

impl Copy {
    fn new(source: &Source, said: mpsc::Receiver<String>) -> Self {
        Self {
            position: Position::default(),
            frames: Frames::new(&source.attempt),
            file: LogFile::new(source.path.clone()),
            last: Last::Broken,
            said,
        }
    }

    /// Reads until the stream ends.
    async fn read(&mut self, source: &Source, mode: Mode) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(source.client.clone(), &source.namespace);
        let since = self.position.since();
        let wanted = LogParams {
            container: Some(source.container.to_string()),
            follow: mode == Mode::Follow,
            timestamps: true,
            since_time: since.and_then(|since| jiff::Timestamp::from_second(since.timestamp()).ok()),
            ..LogParams::default()
        };
        self.file.flush().await.map_err(Error::File)?;
        let stream = pods.log_stream(&source.pod, &wanted).await?;
        self.pour(stream).await
    }

    async fn pour(&mut self, stream: impl AsyncBufRead) -> Result<(), Error> {
        tokio::pin!(stream);
        self.file.begin().await.map_err(Error::File)?;
        let mut part = self.position.stream();
        let (mut text, mut log) = (Vec::new(), Vec::new());
        loop {
            let said = tokio::select! {
                biased;
                filled = stream.fill_buf() => filled.map(|_| None).map_err(Error::Stream)?,
                Some(line) = self.said.recv() => Some(line),
            };
            if let Some(line) = said {
                self.file.note(line);
                self.file.flush().await.map_err(Error::File)?;
                continue;
            }
            // At once: it is filled.
            let bytes = stream.fill_buf().await.map_err(Error::Stream)?;
            if bytes.is_empty() {
                return part.words().map_or(Ok(()), |words| Err(Error::Kubelet(words)));
            }
            let count = bytes.len();
            self.position.take(&mut part, bytes, &mut text);
            if !text.is_empty() {
                self.last = Last::Broken;
            }
            stream.consume_unpin(count);
            self.frames.take(&text, &mut log);
            // Handed over before anything is waited for: if this future is dropped, nothing of it is lost.
            self.file.push(&log);
            text.clear();
            log.clear();
            self.file.flush().await.map_err(Error::File)?;
        }
    }

    async fn finish(&mut self, notes: &[String]) -> io::Result<()> {
        let mut log = Vec::new();
        self.frames.finish(&mut log);
        self.file.push(&log);
        self.file.finish(notes).await
    }
}
