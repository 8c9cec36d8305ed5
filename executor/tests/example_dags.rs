//! The file examples, task by task: what the language renders is what the operators take.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use gridflow_core::RunType;
use gridflow_dag_spec::{
    CompiledDag, Context as Launch, EventDecision, FileError, Files, Rendered, RunContext, TaskInstanceContext, compile,
};
use gridflow_executor::operator::{self, Context};
use serde_json::{Map, Value, json};

struct Examples(PathBuf);

impl Files for Examples {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError> {
        fs::read(self.0.join(relative)).map(Into::into).map_err(|_| FileError::NotFound)
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn dag(name: &str) -> Arc<CompiledDag> {
    let compilation = compile(name, &fs::read(examples().join(name)).unwrap(), &Examples(examples()));
    compilation.dag.expect("the examples compile")
}

/// A run whose tasks are started one by one.
struct Run {
    dag: Arc<CompiledDag>,
    params: Map<String, Value>,
    outputs: BTreeMap<String, Value>,
    log: String,
}

impl Run {
    fn of(dag: Arc<CompiledDag>, conf: &Value) -> Self {
        let params = dag.params(conf).unwrap();
        Self { dag, params, outputs: BTreeMap::new(), log: String::new() }
    }

    fn render(&self, task: &str) -> Rendered {
        let now = chrono::DateTime::UNIX_EPOCH;
        let run = RunContext {
            run_id: "run-1",
            run_type: RunType::Manual,
            logical_date: None,
            data_interval: None,
            run_after: now,
            start_date: Some(now),
            conf: &Value::Null,
        };
        let ti = TaskInstanceContext { try_number: 1, map_index: -1, attempt_id: "attempt", start_date: now };
        let context = Launch {
            run,
            ti,
            params: &self.params,
            trigger: None,
            outputs: &|task| self.outputs.get(task).cloned(),
            variables: &|_| None,
        };
        self.dag.render(self.dag.dag.task_no(task).unwrap(), &context).unwrap()
    }

    /// Runs a task and returns its exit code.
    fn task(&mut self, task: &str) -> i32 {
        let scratch = tempfile::tempdir().unwrap();
        let output = scratch.path().join("output.json");
        let exit = match self.render(task) {
            Rendered::Operator { name, spec, .. } => {
                let context = Context::from_vars([("GRIDFLOW_OUTPUT".to_owned(), output.to_str().unwrap().to_owned())]);
                let mut log = Vec::new();
                let exit = operator::run(name, spec, &context, &mut log);
                self.log.push_str(&String::from_utf8(log).unwrap());
                i32::from(exit)
            }
            Rendered::Command { argv, env, files } => {
                for (path, bytes) in files {
                    let path = scratch.path().join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, bytes).unwrap();
                }
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]).envs(env).env("GRIDFLOW_OUTPUT", &output).current_dir(scratch.path());
                let ended = command.output().unwrap();
                self.log.push_str(&String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()));
                ended.status.code().unwrap()
            }
            Rendered::Pod { .. } | Rendered::Spark(_) | Rendered::TriggerDag(_) | Rendered::Empty => {
                panic!("`{task}` is nothing to start")
            }
        };
        if let Ok(bytes) = fs::read(&output) {
            self.outputs.insert(task.to_owned(), serde_json::from_slice(&bytes).unwrap());
        }
        exit
    }
}

/// Drops a file as the trigger would see it, and begins the run that it makes.
fn drop_file(root: &Path, name: &str, content: &[u8]) -> Run {
    fs::create_dir_all(root.join("incoming")).unwrap();
    fs::write(root.join("incoming").join(name), content).unwrap();
    let dag = dag("file_watch_ingest.yaml");
    let folder = root.join("incoming");
    let payload = json!({"path": folder.join(name), "folder": folder, "name": name});
    let EventDecision::Fire { conf } = dag.map_event("file", &payload).unwrap() else { panic!("it does not fire") };
    Run::of(dag, &Value::Object(conf))
}

fn processing(ingest: &Run) -> Run {
    let Rendered::TriggerDag(child) = ingest.render("process") else { panic!("`process` triggers a DAG") };
    assert_eq!(child.dag_id.as_str(), "process_and_publish");
    Run::of(dag("process_and_publish.yaml"), &child.conf)
}

#[test]
fn a_good_file_is_kept_processed_and_published() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut ingest = drop_file(root, "weather.csv", &fs::read(examples().join("data/weather.csv")).unwrap());
    assert_eq!((ingest.task("validate"), ingest.task("ingest")), (0, 0), "{}", ingest.log);
    assert_eq!(ingest.outputs["validate"]["rows"], 2922);

    let mut processing = processing(&ingest);
    for task in ["process", "check_schema", "check_quality", "publish", "publish"] {
        assert_eq!(processing.task(task), 0, "{task}: {}", processing.log);
    }
    let published = fs::read_to_string(root.join("curated/weather_by_month.csv")).unwrap();
    assert_eq!(published.lines().count(), 97);
    assert!(published.contains("\nSeattle,2012-01,31,"), "{published}");
    assert!(root.join("raw/1970-01-01").read_dir().unwrap().count() == 1);
}

#[test]
fn a_file_with_bad_rows_is_rejected_with_the_reason_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut ingest = drop_file(root, "weather.csv", &fs::read(examples().join("data/weather-bad-rows.csv")).unwrap());
    assert_eq!((ingest.task("validate"), ingest.task("reject"), ingest.task("reject")), (1, 0, 0), "{}", ingest.log);
    assert!(!root.join("incoming/weather.csv").exists() && root.join("rejected/weather.csv").exists());

    let reason: Value =
        serde_json::from_slice(&fs::read(root.join("rejected/weather.csv.reason.json")).unwrap()).unwrap();
    let rows: Vec<_> = reason["reason"]["errors"].as_array().unwrap().iter().map(|it| it["row"].as_u64()).collect();
    assert_eq!(rows, [10, 20, 30, 40, 50, 60, 70].map(Some));
}

#[test]
fn a_check_that_failed_itself_is_a_reason_too() {
    let root = tempfile::tempdir().unwrap();
    let mut ingest = drop_file(root.path(), "weather.csv", b"anything");
    assert_eq!(ingest.task("reject"), 0, "{}", ingest.log);
    let reason = fs::read(root.path().join("rejected/weather.csv.reason.json")).unwrap();
    let reason: Value = serde_json::from_slice(&reason).unwrap();
    assert_eq!(reason["reason"], json!({"summary": "the check itself failed; its log says why", "errors": []}));
}

#[test]
fn a_result_with_gaps_goes_into_quarantine_and_what_was_published_stays() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir(root.join("curated")).unwrap();
    fs::write(root.join("curated/weather_by_month.csv"), "as it was").unwrap();
    let made = Command::new("python3").arg(examples().join("data/make_variants.py")).arg("gaps").output().unwrap();
    let mut ingest = drop_file(root, "gaps.csv", &made.stdout);
    assert_eq!((ingest.task("validate"), ingest.task("ingest")), (0, 0), "{}", ingest.log);

    let mut processing = processing(&ingest);
    let exits = ["process", "check_schema", "check_quality", "quarantine"].map(|task| processing.task(task));
    assert_eq!(exits, [0, 0, 1, 0], "{}", processing.log);
    assert_eq!(fs::read_to_string(root.join("curated/weather_by_month.csv")).unwrap(), "as it was");
    let place = root.join("quarantine/run-1/weather_by_month.csv.reason.json");
    let reason: Value = serde_json::from_slice(&fs::read(place).unwrap()).unwrap();
    let problems = &reason["reason"]["quality"]["problems"];
    assert_eq!(problems, &json!(["12.5% of the wind speeds are missing, at most 5.0% may be"]));
}

#[test]
fn the_bad_rows_are_the_good_file_with_seven_rows_broken() {
    let made = Command::new("python3").arg(examples().join("data/make_variants.py")).arg("bad-rows").output().unwrap();
    assert_eq!(made.stdout, fs::read(examples().join("data/weather-bad-rows.csv")).unwrap());
}
