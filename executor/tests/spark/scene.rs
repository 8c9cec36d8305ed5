//! An executor, a namespace and the database that a scheduler would have.

use std::{
    collections::HashMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use gridflow_core::{
    AttemptId, AttemptOutcome, AttemptState, DagId, ExecutorKind, InstallationId, MapIndex, RunId, RunKey, TaskId,
    TryNumber, Turn,
};
use gridflow_executor::{
    identity::Identity,
    kubernetes::{
        Access, ClusterConfig, Config, Handle, Keep, KubernetesExecutor, Launch, Object, Open, Report,
        manifest::{self, ClusterDefaults, SparkRequest},
        spark::DRIVER_CONTAINER,
    },
    local,
};
use gridflow_testkit::{
    kubernetes::{Cluster, Namespace},
    spark::{ACCOUNT, IMAGE, MASTER, Operator, VERSION},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

/// A driver needs half a minute where there is little else to do.
const WITHIN: Duration = Duration::from_secs(300);

/// What is to be run.
pub struct Job {
    program: String,
    code: Option<&'static str>,
}

impl Job {
    /// A file of the image.
    pub fn file(program: &str) -> Self {
        Self { program: program.to_owned(), code: None }
    }

    /// Python that makes no session, and so no executors.
    pub fn code(code: &'static str) -> Self {
        Self { program: "local:///job/job.py".to_owned(), code: Some(code) }
    }
}

/// A job that was launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ids {
    run: RunKey,
    attempt: AttemptId,
}

pub struct Launched {
    pub name: String,
    ids: Ids,
}

#[derive(Debug, Default)]
struct Known {
    claim: Option<Arc<str>>,
    place: Option<Arc<str>>,
    is_started: bool,
    end: Option<(AttemptOutcome, Option<Value>)>,
}

pub struct Scene {
    config: Config,
    handle: Option<Handle>,
    reports: mpsc::Receiver<Report>,
    known: HashMap<AttemptId, Known>,
    turn: i64,
    operator: Operator,
    namespace: Namespace,
    _folder: TempDir,
}

impl Scene {
    pub async fn new(cluster: Arc<Cluster>, operator: Operator) -> Result<Self> {
        let namespace = cluster.namespace()?;
        operator.prepare(&namespace)?;
        let folder = tempfile::tempdir()?;
        let access = Access::Kubeconfig { path: cluster.kubeconfig().to_owned(), context: None };
        let mut config = ClusterConfig::new("test", access, &[namespace.name()]);
        config.keep = Keep { succeeded: Duration::ZERO, failed: Duration::ZERO };
        let config = Config {
            installation: InstallationId(Uuid::now_v7()),
            state_dir: folder.path().to_owned(),
            clusters: vec![config],
        };
        let (handle, reports) = KubernetesExecutor::start(config.clone(), Vec::new()).await?;
        let known = HashMap::new();
        Ok(Self { config, handle: Some(handle), reports, known, turn: 1, operator, namespace, _folder: folder })
    }

    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// From now on, for what is launched.
    pub async fn give_up_after(&mut self, patience: Duration) -> Result<()> {
        self.config.clusters[0].unschedulable_after = patience;
        self.begin(Vec::new()).await
    }

    async fn begin(&mut self, open: Vec<Open>) -> Result<()> {
        self.handle = None;
        let (handle, reports) = KubernetesExecutor::start(self.config.clone(), open).await?;
        (self.handle, self.reports) = (Some(handle), reports);
        Ok(())
    }

    /// The one there was is gone; the next one knows what the database knows.
    pub async fn next_leader(&mut self, job: &Launched) -> Result<()> {
        let known = &self.known[&job.ids.attempt];
        let open = Open {
            attempt: job.ids.attempt,
            run: job.ids.run,
            executor: ExecutorKind::Spark,
            state: AttemptState::Running,
            claim: known.claim.clone(),
            place: known.place.clone(),
            queued_turn: Turn(self.turn),
        };
        self.begin(vec![open]).await
    }

    fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("there is a leader")
    }

    pub async fn launch(&mut self, job: &Job) -> Result<Launched> {
        self.turn += 1;
        let ids = Ids { run: RunKey(Uuid::now_v7()), attempt: AttemptId(Uuid::now_v7()) };
        let name = format!("gf-{}", ids.attempt);
        let mut layer = json!({"spec": {
            "type": "Python", "sparkVersion": VERSION, "image": IMAGE, "imagePullPolicy": "Never",
            "mainApplicationFile": job.program, "arguments": ["2"],
            "sparkConf": {"spark.kubernetes.driver.master": MASTER},
            "driver": {"cores": 1, "coreRequest": "100m", "memory": "512m", "serviceAccount": ACCOUNT},
            "executor": {"instances": 1, "cores": 1, "coreRequest": "100m", "memory": "512m"},
        }});
        if let Some(code) = job.code {
            let map = format!("{name}-job");
            self.namespace.apply(&json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map}, "data": {"job.py": code},
            }))?;
            layer["spec"]["driver"]["template"]["spec"] = json!({
                "volumes": [{"name": "job", "configMap": {"name": map}}],
                "containers": [{"name": DRIVER_CONTAINER, "volumeMounts": [{"name": "job", "mountPath": "/job"}]}],
            });
        }
        let launch = self.manifest(ids, &[layer])?;
        self.known.insert(ids.attempt, Known::default());
        self.handle().launch(vec![launch]).await?;
        Ok(Launched { name, ids })
    }

    fn manifest(&self, ids: Ids, layers: &[Value]) -> Result<Launch> {
        let (dag, task, run): (DagId, TaskId, RunId) = ("spark".parse()?, "job".parse()?, "r1".parse()?);
        let grace = Duration::from_secs(2);
        let made = manifest::spark(&SparkRequest {
            identity: Identity {
                attempt: ids.attempt,
                dag_id: &dag,
                task_id: &task,
                run_id: &run,
                map_index: MapIndex(-1),
                try_number: TryNumber(1),
                logical_date: None,
                owner: "tests",
                traceparent: None,
            },
            cluster: ClusterDefaults::default(),
            spark: None,
            namespace: self.namespace.name(),
            layers,
            json_patch: None,
            env: &[],
            files: &[],
            context: &Value::Null,
            grace,
        })?;
        Ok(Launch {
            attempt: ids.attempt,
            run: ids.run,
            turn: Turn(self.turn),
            spec_hash: [7; 32],
            cluster: "test".into(),
            namespace: self.namespace.name().into(),
            object: Object::SparkApplication(made.application),
            payload: made.payload,
            container: DRIVER_CONTAINER.into(),
            execution_timeout: None,
            grace,
        })
    }

    pub async fn confirm(&self, job: &Launched) -> Result<()> {
        let claim = self.known[&job.ids.attempt].claim.clone().context("nothing is claimed")?;
        Ok(self.handle().confirm(vec![(job.ids.run, job.ids.attempt, claim)]).await?)
    }

    pub async fn confirm_when_claimed(&mut self, job: &Launched) -> Result<()> {
        self.await_claim(job).await?;
        self.confirm(job).await
    }

    pub async fn cancel(&self, job: &Launched) -> Result<()> {
        Ok(self.handle().cancel(vec![(job.ids.run, job.ids.attempt)]).await?)
    }

    pub async fn acknowledge(&self, job: &Launched) -> Result<()> {
        Ok(self.handle().acknowledge(vec![(job.ids.run, job.ids.attempt)]).await?)
    }

    pub async fn await_claim(&mut self, job: &Launched) -> Result<()> {
        self.until(job, "claimed", |known| known.claim.clone()).await.map(drop)
    }

    pub async fn await_start(&mut self, job: &Launched) -> Result<()> {
        self.until(job, "started", |known| known.is_started.then_some(())).await
    }

    pub async fn await_end(&mut self, job: &Launched) -> Result<AttemptOutcome> {
        self.until(job, "over", |known| known.end.as_ref().map(|(outcome, _)| outcome.clone())).await
    }

    pub fn output(&self, job: &Launched) -> Option<Value> {
        self.known[&job.ids.attempt].end.as_ref()?.1.clone()
    }

    /// The uid of the driver that was claimed.
    pub fn claim(&self, job: &Launched) -> Option<&str> {
        self.known[&job.ids.attempt].claim.as_deref()?.rsplit('/').next()
    }

    async fn until<T>(&mut self, job: &Launched, what: &str, is: impl Fn(&Known) -> Option<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = is(&self.known[&job.ids.attempt]) {
                return Ok(found);
            }
            let left = WITHIN.saturating_sub(began.elapsed());
            match timeout(left, self.reports.recv()).await {
                Ok(Some(report)) => self.take(report),
                Ok(None) => bail!("the executor has ended"),
                Err(_) => {
                    let state = self.kubectl(&["get", "sparkapplications,pods,events", "--output", "wide"])?;
                    bail!("{} is not {what} within {WITHIN:?}: {:?}\n{state}", job.name, self.known[&job.ids.attempt]);
                }
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Synced { .. } | Report::Waits { .. } | Report::Links { .. } => {}
            Report::Claimed { attempt, claim, .. } => {
                let known = self.known.entry(attempt).or_default();
                assert!(known.claim.as_ref().is_none_or(|had| *had == claim), "another driver was claimed");
                known.claim = Some(claim);
            }
            Report::Started { attempt, place, .. } => {
                let known = self.known.entry(attempt).or_default();
                (known.is_started, known.place) = (true, place);
            }
            Report::Finished { attempt, outcome, output, .. } => {
                let output = output.map(|output| Value::clone(&output.value));
                self.known.entry(attempt).or_default().end = Some((outcome, output));
            }
        }
    }

    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.namespace.kubectl(args)
    }

    fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.kubectl(&["get", kind, name, "--ignore-not-found", "--output", "json"])?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    pub fn driver(&self, job: &Launched) -> Result<Value> {
        self.get("pod", &format!("{}-driver", job.name))?.context("there is no driver")
    }

    pub fn submissions(&self, job: &Launched) -> Result<i64> {
        let application = self.get("sparkapplication", &job.name)?.context("there is no application")?;
        application["status"]["submissionAttempts"].as_i64().context("nobody has submitted it")
    }

    pub fn log(&self, job: &Launched) -> Result<String> {
        let path = local::log_path(&self.config.state_dir, job.ids.attempt);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Our finalizer is off, or the driver is gone.
    pub async fn await_driver_released(&self, job: &Launched) -> Result<()> {
        let is_held = || {
            let driver = self.get("pod", &format!("{}-driver", job.name))?;
            Ok(driver.is_some_and(|driver| driver["metadata"]["finalizers"].is_array()))
        };
        self.while_true("the driver is held", is_held).await
    }

    pub async fn await_nothing_left(&self, job: &Launched) -> Result<()> {
        let is_there = || {
            let driver = self.get("pod", &format!("{}-driver", job.name))?;
            Ok(driver.is_some() || self.get("sparkapplication", &job.name)?.is_some())
        };
        self.while_true("something is left", is_there).await
    }

    async fn while_true(&self, what: &str, is: impl Fn() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while is()? {
            if WITHIN < began.elapsed() {
                bail!("{what}: {}", self.kubectl(&["get", "sparkapplications,pods", "--output", "yaml"])?);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}
