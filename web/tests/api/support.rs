//! A server on a database of its own, DAGs in it, and a client.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use gridflow_core::{AttemptId, Epoch};
use gridflow_dag_spec::compile;
use gridflow_store::{
    Candidate, Database, Durability, Election, Leader, Options,
    api::DagDetails,
    dag::{ClearedErrors, Publication, PublishDag, TaskSummary, VersionFile, publish},
};
use gridflow_testkit::postgres::Postgres;
use gridflow_web::{Config, LogPlace, Server, Token, Wake};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, OnceCell},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub const TOKEN: &str = "a-token-of-enough-characters";

/// A running server; stopped when dropped.
pub struct Api {
    pub base: String,
    pub database: Database,
    pub state: TempDir,
    pub client: reqwest::Client,
    /// What the server wakes, and what wakes it.
    pub inbox: Arc<Notify>,
    pub turn: Arc<Notify>,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
    name: String,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub fn log_path(root: &Path, attempt: AttemptId) -> PathBuf {
    root.join(format!("{attempt}.log"))
}

impl Api {
    /// A server without any DAG.
    pub async fn start() -> Self {
        let name = database_name().await;
        let database = connect(&name).await;
        let state = tempfile::tempdir().unwrap();
        let (inbox, turn) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let config = Config {
            address: "127.0.0.1:0".parse().unwrap(),
            token: Token::parse(TOKEN).unwrap(),
            database: database.clone(),
            logs: LogPlace { root: state.path().to_owned(), path: log_path },
            wake: Wake { inbox: Some(Arc::clone(&inbox)), turn: Some(Arc::clone(&turn)) },
            command_timeout: Duration::from_millis(500),
        };
        let server = Server::bind(config).await.unwrap();
        let base = format!("http://{}/api/v2", server.address());
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(server.run(shutdown.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, database, state, client, inbox, turn, shutdown, served, name }
    }

    /// A server with these DAGs: file names with their YAML.
    pub async fn with(files: &[(&str, &str)]) -> Self {
        let api = Self::start().await;
        let mut leader = api.lead().await;
        api.publish(&mut leader, files).await;
        api
    }

    pub async fn lead(&self) -> Leader {
        let candidate = Candidate::open(&self.database).await.unwrap();
        match candidate.try_lead(Epoch(0), Utc::now()).await.unwrap() {
            Election::Won(leader) => leader,
            Election::Standby(_) => panic!("somebody else leads"),
        }
    }

    pub async fn publish(&self, leader: &mut Leader, files: &[(&str, &str)]) {
        let mut contents = HashMap::new();
        let dags = files.iter().map(|(file, yaml)| prepared(file, yaml, &mut contents)).collect();
        let cleared = ClearedErrors::Of(Vec::new());
        let publication = Publication { dags, contents, cleared, ..Publication::default() };
        publish(leader, &publication, Utc::now()).await.unwrap();
    }

    /// Runs statements against the server's database.
    pub fn sql(&self, statements: &str) -> String {
        Postgres::shared().psql(&self.name, statements).unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(TOKEN)
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = answer(self.request(Method::GET, path)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn status(&self, path: &str) -> (u16, Value) {
        let (status, body) = answer(self.request(Method::GET, path)).await;
        (status.as_u16(), body)
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = answer(self.request(Method::POST, path).json(&body)).await;
        (status.as_u16(), body)
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = answer(self.request(Method::PATCH, path).json(&body)).await;
        (status.as_u16(), body)
    }

    /// Marks a run as running, with a row for each of its tasks.
    pub fn start_run(&self, run_id: &str) {
        self.sql(&format!(
            "UPDATE dag_run SET state = 'running', started_at = queued_at - interval '1 s' WHERE run_id = '{run_id}';
             INSERT INTO task_instance (dag_run_id, task_no, state, try_number, tries_max)
             SELECT r.id, t.task_no, 'none', 0, 2 FROM dag_run r
             JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id WHERE r.run_id = '{run_id}'"
        ));
    }

    /// Adds an attempt of a task in this state and makes it the present one; returns its id.
    pub fn attempt(&self, run_id: &str, task_id: &str, number: u32, state: &str) -> AttemptId {
        let id = uuid::Uuid::now_v7();
        self.sql(&format!(
            "INSERT INTO attempt (dag_run_id, attempt_id, task_no, map_index, try_number, state, executor, queued_turn,
                 queued_at, started_at, pid)
             SELECT r.id, '{id}', t.task_no, -1, {number}, '{state}', 'local', 1, now(), now(), 42 FROM dag_run r
             JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id
             WHERE r.run_id = '{run_id}' AND t.task_id = '{task_id}';
             UPDATE task_instance ti SET attempt_id = '{id}', try_number = {number}, state = 'running', started_at = now()
             FROM attempt a WHERE a.attempt_id = '{id}' AND ti.dag_run_id = a.dag_run_id AND ti.task_no = a.task_no"
        ));
        AttemptId(id)
    }

    /// Closes an attempt, with its task instance in this state.
    pub fn close(&self, attempt: AttemptId, exit_code: i32, state: &str) {
        self.sql(&format!(
            "UPDATE attempt SET state = 'closed', outcome = 'exited', exit_code = {exit_code},
                 ended_at = started_at + interval '2.5 s' WHERE attempt_id = '{attempt}';
             UPDATE task_instance ti SET state = '{state}', ended_at = a.ended_at, started_at = a.started_at
             FROM attempt a WHERE a.attempt_id = '{attempt}' AND ti.attempt_id = a.attempt_id
                 AND ti.dag_run_id = a.dag_run_id"
        ));
    }

    /// Triggers a run and returns its answer.
    pub async fn trigger(&self, dag: &str, run_id: &str) -> Value {
        let body = json!({ "dag_run_id": run_id, "logical_date": null });
        let (status, body) = self.post(&format!("/dags/{dag}/dagRuns"), body).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

async fn connect(name: &str) -> Database {
    let options = Options { durability: Durability::NotNeeded, connections_max: 8, ..Options::default() };
    gridflow_store::connect(&Postgres::shared().url(name), options).await.unwrap()
}

/// A copy of a database that was migrated once for all tests.
async fn database_name() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let template = TEMPLATE.get_or_init(async || {
        let name = "template_of_tests".to_owned();
        Postgres::shared().psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        let database = connect(&name).await;
        gridflow_store::migrate(&database, Utc::now()).await.unwrap();
        database.pool().close().await;
        name
    });
    let name = format!("api_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let statement = format!("CREATE DATABASE {name} TEMPLATE {}", template.await);
    Postgres::shared().psql("postgres", &statement).unwrap();
    name
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/json", "errors of other types are not parsed");
    (status, response.json().await.unwrap())
}

fn prepared(file: &str, yaml: &str, contents: &mut HashMap<[u8; 32], Arc<[u8]>>) -> PublishDag {
    let files = BTreeMap::<String, Arc<[u8]>>::new();
    let compilation = compile(file, yaml.as_bytes(), &files);
    let dag = compilation.dag.unwrap_or_else(|| panic!("{file}: {:?}", compilation.diagnostics));
    let source = *blake3::hash(yaml.as_bytes()).as_bytes();
    contents.insert(source, Arc::from(yaml.as_bytes()));
    let task = |(no, task): (gridflow_core::TaskNo, &gridflow_core::Task)| TaskSummary {
        task_id: task.id.to_string(),
        group_path: dag.settings[no.0 as usize].group.clone().unwrap_or_default(),
        operator: dag.operators[no.0 as usize].name().to_owned(),
        pool: task.pool.to_string(),
        pool_slots: task.pool_slots.get(),
        priority_weight: dag.dag.priority_weight(no),
    };
    PublishDag {
        dag: dag.dag.id().clone(),
        file: file.to_owned(),
        hash: *blake3::hash(dag.hash.as_bytes()).as_bytes(),
        source,
        files: Vec::<VersionFile>::new(),
        tasks: dag.dag.tasks().map(task).collect(),
        owner: dag.owner.clone(),
        tags: dag.tags.clone(),
        description: dag.description.clone(),
        details: DagDetails::of(&dag.dag).to_json(),
        is_paused_at_creation: dag.dag.parts().is_paused_at_creation,
    }
}

/// JSON for snapshots: ids and instants that differ from run to run are hidden.
pub fn shown(value: &Value) -> String {
    fn hide(value: &mut Value) {
        match value {
            Value::String(text) if uuid::Uuid::parse_str(text).is_ok() => *text = "[uuid]".to_owned(),
            Value::String(text) if DateTime::parse_from_rfc3339(text).is_ok() => {
                let form = if text.ends_with('Z') { "[instant]" } else { "[instant without Z]" };
                *text = form.to_owned();
            }
            Value::Array(items) => items.iter_mut().for_each(hide),
            Value::Object(fields) => fields.values_mut().for_each(hide),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = value.clone();
    hide(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}
