//! `gridflow run FILE`, with the real host and real commands.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gridflow_core::{RunState, TaskState};
use gridflow_scheduler::local_run::{Change, Config, Error, Outcome, StateDir, run};
use insta::assert_snapshot;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, file: &str) -> Config {
        let environment = std::env::vars().filter(|(name, _)| name == "PATH").collect();
        Config {
            environment,
            state_dir: StateDir::Kept(self.path("state")),
            ..Config::new(self.path(file), env!("CARGO_BIN_EXE_gridflow-test-program").into())
        }
    }

    async fn run(&self, file: &str) -> Outcome {
        run(self.config(file), CancellationToken::new(), |_| {}).await.unwrap()
    }
}

fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    for run in std::iter::once(&outcome.run).chain(&outcome.children) {
        text += &format!("{} ({}): {}{}\n", run.dag, run.run_type.as_str(), run.state.as_str(), reason(&run.reason));
        for ti in &run.task_instances {
            let output = ti.output.as_ref().map_or(String::new(), |output| format!(" -> {output}"));
            text +=
                &format!("  {} {} try {}{}{output}\n", ti.task, ti.state.as_str(), ti.try_number, reason(&ti.reason));
        }
    }
    text
}

fn reason(reason: &Option<String>) -> String {
    reason.as_ref().map_or(String::new(), |reason| format!(" [{reason}]"))
}

fn log_of(outcome: &Outcome, task: &str) -> String {
    let ti = outcome.run.task_instances.iter().find(|ti| ti.task.as_str() == task).unwrap();
    fs::read_to_string(&ti.attempts.last().unwrap().1).unwrap()
}

#[tokio::test]
async fn outputs_params_and_files_travel_between_tasks() {
    let fixture = Fixture::new(&[
        ("say.sh", "echo \"script says $WORD\"\n"),
        (
            "d.yaml",
            r#"
params:
  word: {type: string, default: hello}
tasks:
  first:
    bash: 'echo "{\"rows\": 3}" > "$GRIDFLOW_OUTPUT"'
  second:
    needs: first
    env: {WORD: "{{ params.word }} {{ tasks.first.rows }}"}
    bash: {file: say.sh}
  third: {needs: second, empty: }
  fourth: {needs: first, exec: [echo, "{{ ds }}", "{{ run_id }}"]}
"#,
        ),
    ]);
    let config = Config {
        conf: json!({"word": "goodbye"}).as_object().unwrap().clone(),
        logical_date: Some("2026-03-01T00:00:00Z".parse().unwrap()),
        ..fixture.config("d.yaml")
    };
    let mut changes = Vec::new();
    let outcome = run(config, CancellationToken::new(), |change| {
        if let Change::TaskInstance { task, state, .. } = change {
            changes.push(format!("{task} {}", state.as_str()));
        }
    })
    .await
    .unwrap();
    assert_snapshot!(render(&outcome), @r#"
    d (manual): success
      first success try 1 -> {"rows":3}
      second success try 1
      third success try 1
      fourth success try 1
    "#);
    assert_eq!(log_of(&outcome, "second"), "script says goodbye 3\n");
    assert_eq!(log_of(&outcome, "fourth"), "2026-03-01 manual__2026-03-01T00:00:00.000000+00:00\n");
    let of_first: Vec<_> = changes.iter().filter_map(|change| change.strip_prefix("first ")).collect();
    assert_eq!(of_first.last(), Some(&"success"), "{changes:?}");
    // `running` may be missing: of a command that starts and ends within one turn, only the net change is told.
    assert_eq!(of_first.first(), Some(&"queued"), "{changes:?}");
}

#[tokio::test]
async fn a_failure_stops_what_needs_it_and_keeps_its_log() {
    let fixture = Fixture::new(&[(
        "d.yaml",
        r#"
tasks:
  good: {bash: 'true'}
  bad: {bash: 'echo it broke; exit 3'}
  never: {needs: bad, bash: 'true'}
  always: {needs: bad, trigger_rule: all_done, bash: 'true'}
  skipped: {bash: 'exit 99'}
"#,
    )]);
    let outcome = fixture.run("d.yaml").await;
    assert!(!outcome.is_success());
    let text = render(&outcome);
    assert!(text.starts_with("d (manual): failed"), "{text}");
    for part in ["good success", "bad failed try 1", "never upstream_failed", "always success", "skipped skipped"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(log_of(&outcome, "bad"), "it broke\n");
}

#[tokio::test]
async fn a_task_is_tried_again_after_its_delay() {
    let fixture = Fixture::new(&[]);
    let marker = fixture.path("tried");
    let text = format!(
        "tasks:\n  a:\n    retries: 2\n    retry_delay: 10ms\n    bash: 'test -e {0} && exit 0; touch {0}; exit 1'\n",
        marker.display()
    );
    fs::write(fixture.path("d.yaml"), text).unwrap();
    let outcome = fixture.run("d.yaml").await;
    assert_snapshot!(render(&outcome), @r"
    d (manual): success
      a success try 2
    ");
    assert_eq!(outcome.run.task_instances[0].attempts.len(), 2);
}

#[tokio::test]
async fn a_dag_beside_it_is_triggered_and_one_elsewhere_is_not() {
    let fixture = Fixture::new(&[
        (
            "parent.yaml",
            r#"
tasks:
  here: {trigger_dag: {dag: child, params: {x: 5}, wait_for_completion: true}}
  after: {needs: here, empty: }
  elsewhere: {trigger_dag: {dag: nobody}}
"#,
        ),
        (
            "child.yaml",
            r#"
schedule: "@daily"
start_date: 2020-01-01
catchup: true
params: {x: {type: integer, default: 1}}
tasks:
  a: {exec: [sh, -c, 'echo "{{ params.x }}" > "$GRIDFLOW_OUTPUT"']}
"#,
        ),
        ("broken.yaml", "tasks: ["),
    ]);
    let outcome = fixture.run("parent.yaml").await;
    let text = render(&outcome);
    assert!(
        text.contains("here success") && text.contains("after success") && text.contains("elsewhere failed"),
        "{text}"
    );
    let reason = outcome.run.task_instances[2].reason.clone().unwrap();
    assert!(reason.contains("there is no DAG `nobody` in `") && reason.contains("broken.yaml"), "{reason}");
    assert_eq!(outcome.children.len(), 1, "the schedule of the child starts nothing: {text}");
    assert!(text.contains("child (operator_triggered): success\n  a success try 1 -> 5"), "{text}");
}

#[tokio::test]
async fn a_shutdown_cancels_the_run_and_its_commands() {
    let fixture = Fixture::new(&[]);
    let pid_file = fixture.path("pid");
    let text = format!(
        "tasks:\n  a:\n    bash: 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000'\n  b: {{needs: a, empty: }}\n",
        pid_file.display()
    );
    fs::write(fixture.path("d.yaml"), text).unwrap();
    let shutdown = CancellationToken::new();
    let cancel = async {
        wait_for(&pid_file).await;
        shutdown.cancel();
        fs::read_to_string(&pid_file).unwrap().trim().to_owned()
    };
    let (outcome, pid) = tokio::join!(run(fixture.config("d.yaml"), shutdown.clone(), |_| {}), cancel);
    let outcome = outcome.unwrap();
    assert!(outcome.is_canceled && !outcome.is_success());
    assert_eq!(outcome.run.state, RunState::Failed);
    assert_eq!(outcome.run.task_instances[0].state, TaskState::Failed);
    assert!(!Path::new("/proc").join(pid).exists(), "the command is gone before the run is over");
}

async fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !path.exists() {
        assert!(Instant::now() < deadline, "`{}` did not appear", path.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_operator_of_our_own_runs_as_a_process() {
    let fixture = Fixture::new(&[("in.csv", "id\n1\n2\n")]);
    let (from, to) = (fixture.path("in.csv"), fixture.path("out.csv"));
    let text = format!("tasks:\n  a:\n    copy_file: {{from: {}, to: {}}}\n", from.display(), to.display());
    fs::write(fixture.path("d.yaml"), text).unwrap();
    let outcome = fixture.run("d.yaml").await;
    assert!(outcome.is_success(), "{}{}", render(&outcome), log_of(&outcome, "a"));
    assert_eq!(fs::read_to_string(to).unwrap(), "id\n1\n2\n");
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let fixture = Fixture::new(&[
        ("broken.yaml", "tasks:\n  a: {bash: 1, needs: b}\n"),
        ("d.yaml", "params: {n: {type: integer}}\ntasks:\n  a: {bash: 'true'}\n"),
    ]);
    let error = run(fixture.config("broken.yaml"), CancellationToken::new(), |_| {}).await.unwrap_err();
    assert!(matches!(&error, Error::Dag(diagnostics) if !diagnostics.is_empty()), "{error}");
    for conf in [json!({}), json!({"n": "x"}), json!({"n": 1, "m": 1})] {
        let config = Config { conf: conf.as_object().unwrap().clone(), ..fixture.config("d.yaml") };
        let error = run(config, CancellationToken::new(), |_| {}).await.unwrap_err();
        assert!(matches!(&error, Error::Params(_)), "{conf}: {error}");
    }
    assert!(!fixture.path("state").exists());
}

#[tokio::test]
async fn a_temporary_folder_is_gone_afterwards() {
    let fixture = Fixture::new(&[("d.yaml", "tasks:\n  a: {bash: 'echo $$'}\n")]);
    let config = Config { state_dir: StateDir::Temporary, ..fixture.config("d.yaml") };
    let mut seen = None;
    let outcome = run(config, CancellationToken::new(), |change| {
        if let Change::TaskInstance { state: TaskState::Success, log: Some(log), .. } = change {
            seen = Some(fs::read_to_string(log).unwrap());
        }
    })
    .await
    .unwrap();
    assert!(seen.is_some(), "the log can be read while the run goes on");
    assert!(!outcome.run.task_instances[0].attempts[0].1.exists());
}

#[tokio::test]
async fn a_wide_dag_runs_within_its_limit() {
    let tasks: String = (0..100).map(|n| format!("  t{n}: {{exec: ['true']}}\n")).collect();
    let fixture = Fixture::new(&[("d.yaml", &format!("max_active_tasks: 200\ntasks:\n{tasks}"))]);
    let mut running = 0_i32;
    let mut running_max = 0;
    let outcome = run(fixture.config("d.yaml"), CancellationToken::new(), |change| {
        if let Change::TaskInstance { from, state, .. } = change {
            let is_active = |state: TaskState| matches!(state, TaskState::Queued | TaskState::Running);
            running += i32::from(is_active(*state)) - i32::from(from.is_some_and(is_active));
            running_max = running_max.max(running);
        }
    })
    .await
    .unwrap();
    assert!(outcome.is_success());
    assert_eq!(running_max, 32);
}
