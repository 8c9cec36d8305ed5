//! The log of a pod's container: into the attempt's file while it runs, kept when the pod is gone.
//!
//! ```text
//!   protocol                         logs
//!   container runs, or has ended ──► follow(source, ended) ── log ──► file
//!   container has ended          ──► Ended { message, notes }
//!   attempt is reported          ◄── what it left as its output
//! ```

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::{AsyncBufRead, AsyncReadExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
    sync::oneshot,
    time::{sleep, timeout},
};

use super::output::{self, Left};

/// Which container, and where its log goes.
#[derive(Clone)]
pub struct Source {
    /// Without a read timeout: a silent log is no broken one.
    pub client: kube::Client,
    pub namespace: Arc<str>,
    pub pod: Arc<str>,
    pub container: Arc<str>,
    /// The attempt's log, written anew.
    pub path: PathBuf,
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
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Follows a container's log until it has ended and its log is complete, and returns what it left as its output.
///
/// Never fails: what could not be read is said in the log itself. If `ended` is dropped, the executor ends, and the
/// next one writes the log anew.
pub async fn follow(source: Source, mut ended: oneshot::Receiver<Ended>) -> Left {
    let reading = async {
        while copy(&source).await.is_err() {
            sleep(RETRY_PAUSE).await;
        }
    };
    tokio::pin!(reading);
    let told = tokio::select! {
        biased;
        told = &mut ended => {
            if matches!(told, Ok(Ended { log: Log::Complete, .. })) {
                let _ = timeout(REST_WITHIN, reading).await;
            }
            told
        }
        () = &mut reading => ended.await,
    };
    let Ok(told) = told else { return Left::Nothing };
    if let Err(error) = note(&source, &told.notes).await {
        tracing::warn!(%error, path = %source.path.display(), "cannot write to the log of an attempt");
    }
    output::parse(told.message.as_deref())
}

async fn copy(source: &Source) -> std::io::Result<()> {
    let pods: Api<Pod> = Api::namespaced(source.client.clone(), &source.namespace);
    let wanted = LogParams { container: Some(source.container.to_string()), follow: true, ..LogParams::default() };
    let stream = pods.log_stream(&source.pod, &wanted).await.map_err(std::io::Error::other)?;
    let mut file = create(source).await?;
    pour(stream, &mut file).await
}

async fn pour(stream: impl AsyncBufRead, file: &mut File) -> std::io::Result<()> {
    tokio::pin!(stream);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return file.flush().await;
        }
        file.write_all(&chunk[..count]).await?;
        file.flush().await?;
    }
}

async fn create(source: &Source) -> std::io::Result<File> {
    if let Some(folder) = source.path.parent() {
        fs::create_dir_all(folder).await?;
    }
    File::create(&source.path).await
}

async fn note(source: &Source, notes: &[String]) -> std::io::Result<()> {
    if let Some(folder) = source.path.parent() {
        fs::create_dir_all(folder).await?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&source.path).await?;
    let text: String = notes.iter().flat_map(|note| note.lines()).map(|line| format!("gridflow: {line}\n")).collect();
    file.write_all(text.as_bytes()).await?;
    file.flush().await
}
