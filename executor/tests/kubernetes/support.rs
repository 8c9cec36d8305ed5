//! A scheduler that does as it is told, on a namespace of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use gridflow_core::{AttemptId, AttemptOutcome, AttemptState, InstallationId, Output, RunKey, Turn};
use gridflow_executor::kubernetes::{
    Access, ClusterConfig, Config, Handle, KubernetesExecutor, Launch, Object, Open, Report,
};
use gridflow_testkit::kubernetes::{BUSYBOX, Cluster, Namespace};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

/// A pod needs some seconds; a machine that has much to do needs more.
const WITHIN: Duration = Duration::from_secs(120);

pub struct Fixture {
    pub namespace: Namespace,
    pub config: Config,
    _state: tempfile::TempDir,
}

impl Fixture {
    /// Nothing where there is no cluster.
    pub fn new() -> Result<Option<Self>> {
        let Some(cluster) = Cluster::shared()? else { return Ok(None) };
        Self::on(&cluster).map(Some)
    }

    pub fn on(cluster: &Arc<Cluster>) -> Result<Self> {
        let namespace = cluster.namespace()?;
        let state = tempfile::tempdir()?;
        let access = Access::Kubeconfig { path: cluster.kubeconfig().to_owned(), context: None };
        let config = Config {
            installation: InstallationId(Uuid::now_v7()),
            state_dir: state.path().to_owned(),
            clusters: vec![ClusterConfig::new("default", access, &[namespace.name()])],
        };
        Ok(Self { namespace, config, _state: state })
    }

    pub async fn term(&self, open: Vec<Open>) -> Result<Term> {
        Self::term_with(self.config.clone(), open).await
    }

    /// With another namespace in the place of its own.
    pub async fn term_in(&self, namespace: &Namespace, open: Vec<Open>) -> Result<Term> {
        let mut config = self.config.clone();
        config.clusters[0].namespaces = vec![namespace.name().into()];
        Self::term_with(config, open).await
    }

    async fn term_with(config: Config, open: Vec<Open>) -> Result<Term> {
        let (handle, reports) = KubernetesExecutor::start(config, open).await?;
        Ok(Term { handle, reports, heard: Vec::new(), confirmed: Vec::new() })
    }

    /// Not launched yet.
    pub fn launch(&self, script: &str) -> Launch {
        self.launch_in(Turn(7), script)
    }

    pub fn launch_with(&self, script: &str, change: impl FnOnce(&mut Value)) -> Launch {
        let mut manifest = pod(script);
        change(&mut manifest);
        Launch { object: Object::Pod(manifest), ..self.launch(script) }
    }

    pub fn launch_in(&self, turn: Turn, script: &str) -> Launch {
        let (run, attempt) = (RunKey(Uuid::now_v7()), AttemptId(Uuid::now_v7()));
        Launch {
            turn,
            cluster: "default".into(),
            namespace: self.namespace.name().into(),
            grace: Duration::from_secs(2),
            ..Launch::sample(run, attempt, Object::Pod(pod(script)))
        }
    }

    /// As `kubectl` sees it; null if it is not there.
    pub fn pod(&self, attempt: AttemptId) -> Result<Value> {
        let name = format!("gf-{attempt}");
        let pods = self.namespace.pods()?;
        Ok(pods.into_iter().find(|pod| pod["metadata"]["name"] == name.as_str()).unwrap_or_default())
    }

    pub async fn until_pod(&self, attempt: AttemptId, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let pod = self.pod(attempt)?;
            if is(&pod) {
                return Ok(pod);
            }
            if WITHIN < begun.elapsed() {
                bail!("the pod is not {what}: {pod:#}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn until(&self, what: &str, is: impl Fn() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !is()? {
            if WITHIN < begun.elapsed() {
                bail!("it is not {what}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    pub async fn until_log(&self, attempt: AttemptId, line: &str) -> Result<()> {
        self.until("logged", || Ok(self.log(attempt).lines().any(|known| known == line))).await
    }

    pub async fn until_no_pod(&self, attempt: AttemptId) -> Result<()> {
        self.until_pod(attempt, "gone", Value::is_null).await.map(drop)
    }

    pub fn log(&self, attempt: AttemptId) -> String {
        let path = gridflow_executor::local::log_path(&self.config.state_dir, attempt);
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

pub fn pod(script: &str) -> Value {
    json!({"spec": {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [{
            "name": "task",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", script],
        }],
    }})
}

/// An open attempt, as a new leader knows it.
pub fn open(launch: &Launch, state: AttemptState, claim: Option<&str>, place: Option<&str>) -> Open {
    Open {
        attempt: launch.attempt,
        run: launch.run,
        executor: gridflow_core::ExecutorKind::Kubernetes,
        state,
        claim: claim.map(Arc::from),
        place: place.map(Arc::from),
        queued_turn: launch.turn,
    }
}

/// One term of leadership.
pub struct Term {
    pub handle: Handle,
    reports: mpsc::Receiver<Report>,
    heard: Vec<Report>,
    confirmed: Vec<AttemptId>,
}

pub struct Finished {
    pub outcome: AttemptOutcome,
    pub output: Option<Output>,
}

impl Term {
    /// The next report that is this, heard before or not yet.
    pub async fn until<T>(&mut self, what: &str, is: impl Fn(&Report) -> Option<T>) -> Result<T> {
        if let Some(found) = self.heard.iter().find_map(&is) {
            return Ok(found);
        }
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            let report = tokio::time::timeout_at(deadline, self.reports.recv()).await;
            let report = report.with_context(|| format!("waiting for {what}; heard: {:?}", self.heard))?;
            let report = report.context("the executor has ended")?;
            let found = is(&report);
            self.heard.push(report);
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Waits for another report.
    pub async fn hears(&mut self) -> bool {
        match self.reports.recv().await {
            Some(report) => {
                self.heard.push(report);
                true
            }
            None => false,
        }
    }

    pub async fn synced(&mut self) -> Result<Turn> {
        self.until("synced", |report| match report {
            Report::Synced { turn_max } => Some(*turn_max),
            _ => None,
        })
        .await
    }

    pub async fn claimed(&mut self, id: AttemptId) -> Result<Arc<str>> {
        self.until("claimed", |report| match report {
            Report::Claimed { attempt, claim, .. } if *attempt == id => Some(claim.clone()),
            _ => None,
        })
        .await
    }

    pub async fn started(&mut self, id: AttemptId) -> Result<Arc<str>> {
        self.until("started", |report| match report {
            Report::Started { attempt, place, .. } if *attempt == id => place.clone(),
            _ => None,
        })
        .await
    }

    /// Whether an end of it was heard so far.
    pub fn has_heard_end_of(&self, id: AttemptId) -> bool {
        self.heard.iter().any(|report| matches!(report, Report::Finished { attempt, .. } if *attempt == id))
    }

    pub async fn finished(&mut self, id: AttemptId) -> Result<Finished> {
        self.until("finished", |report| match report {
            Report::Finished { attempt, outcome, output, .. } if *attempt == id => {
                Some(Finished { outcome: outcome.clone(), output: output.clone() })
            }
            _ => None,
        })
        .await
    }

    /// Launched, claimed, confirmed.
    pub async fn begin(&mut self, launch: &Launch) -> Result<Arc<str>> {
        self.handle.launch(vec![launch.clone()]).await?;
        let claim = self.claimed(launch.attempt).await?;
        self.handle.confirm(vec![(launch.run, launch.attempt, claim.clone())]).await?;
        Ok(claim)
    }

    /// The first of these that is claimed and was not asked for before.
    pub async fn next_claimed<'a>(&mut self, launches: &'a [Launch]) -> Result<&'a Launch> {
        let done: Vec<AttemptId> = self.confirmed.clone();
        let id = self
            .until("another claim", |report| match report {
                Report::Claimed { attempt, .. } if !done.contains(attempt) => Some(*attempt),
                _ => None,
            })
            .await?;
        launches.iter().find(|launch| launch.attempt == id).context("a claim of something else")
    }

    pub async fn confirm_and_finish(&mut self, launch: &Launch) -> Result<Finished> {
        let claim = self.claimed(launch.attempt).await?;
        self.confirmed.push(launch.attempt);
        self.handle.confirm(vec![(launch.run, launch.attempt, claim)]).await?;
        self.finished(launch.attempt).await
    }

    pub async fn cancel(&self, launch: &Launch) -> Result<()> {
        Ok(self.handle.cancel(vec![(launch.run, launch.attempt)]).await?)
    }

    pub async fn acknowledge(&self, launch: &Launch) -> Result<()> {
        Ok(self.handle.acknowledge(vec![(launch.run, launch.attempt)]).await?)
    }
}
