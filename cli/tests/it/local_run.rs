//! `gridflow run FILE`: no server, no database.

use std::{fs, path::Path};

use insta::assert_snapshot;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::program::{Running, Said, gridflow, run, wait_until};

const DAG: &str = "\
params:
  name: {type: string, default: world}
  times: {type: integer, default: 1}
tasks:
  greet: {env: {NAME: '{{ params.name }}'}, bash: 'echo \"hello $NAME\" {{ params.times | sh }}'}
  fail: {needs: greet, bash: 'echo no good; exit 4', retries: 1, retry_delay: 10ms}
  after: {needs: fail, empty: {}}
  skip: {needs: greet, bash: 'exit 99'}
";

fn file(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::write(folder.path().join("dag.yaml"), text).expect("file");
    folder
}

fn gridflow_run(folder: &Path, arguments: &[&str]) -> Said {
    run(gridflow().args(["run", "dag.yaml"]).args(arguments).current_dir(folder))
}

#[test]
fn the_object_for_programs_has_airflows_words() {
    let folder = file(DAG);
    let said = gridflow_run(folder.path(), &["-o", "json"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON object");
    assert_eq!(answer.as_object().expect("an object").keys().collect::<Vec<_>>(), ["dag_run", "task_instances"]);
    assert_eq!(answer["dag_run"]["dag_id"], "dag");
    assert_eq!(answer["dag_run"]["state"], "failed");
    let tasks = answer["task_instances"].as_array().expect("a list");
    let brief = |task: &serde_json::Value| {
        assert!(task["end_date"].is_string(), "{task}");
        format!("{} {} {} {}", task["task_id"], task["map_index"], task["state"], task["try_number"])
    };
    assert_snapshot!(tasks.iter().map(brief).collect::<Vec<_>>().join("\n"), @r#"
    "greet" -1 "success" 1
    "fail" -1 "failed" 2
    "after" -1 "upstream_failed" 0
    "skip" -1 "skipped" 1
    "#);
}

#[test]
fn params_take_the_form_that_the_dag_says() {
    let folder = file(&DAG.replace("exit 4", "true"));
    let said = gridflow_run(folder.path(), &["--param", "name=0012", "--param", "times=3", "--logs"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("greet | hello 0012 3\n"), "{}", said.stdout);

    let typo = gridflow_run(folder.path(), &["--param", "nam=x"]);
    assert_eq!((typo.code, typo.stdout.as_str()), (1, ""));
    assert!(typo.stderr.contains("nam"), "{}", typo.stderr);
}

#[test]
fn the_log_of_a_failed_task_is_shown_without_being_asked_for() {
    let folder = file(DAG);
    let said = gridflow_run(folder.path(), &[]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("fail | no good\n") && !said.stdout.contains("greet |"), "{}", said.stdout);
    assert!(said.stdout.ends_with("dag: run failed\n"), "{}", said.stdout);
}

#[test]
fn a_file_with_errors_is_not_run() {
    let folder = file("tasks:\n  a: {bsh: 'true'}\n");
    let said = gridflow_run(folder.path(), &[]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("error[GF0201]") && said.stderr.contains("the file has an error"), "{}", said.stderr);
}

#[test]
fn an_interrupt_cancels_the_run_and_its_commands() {
    let folder = file(
        "tasks:\n  wait: {bash: 'echo $$ > \"$AT/pid\"; sleep 1000', env: {AT: '{{ params.at }}'}}\nparams: {at: {type: string}}\n",
    );
    let at = format!("at={}", folder.path().display());
    let mut command = gridflow();
    command.args(["run", "dag.yaml", "--param", &at]).current_dir(folder.path());
    let program = Running::start(&mut command);
    let pid_file = folder.path().join("pid");
    wait_until("the command runs", || fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')));
    let pid = fs::read_to_string(&pid_file).expect("file").trim().parse().expect("a number");
    program.signal(Signal::SIGINT);
    assert_eq!(program.ended().0, Some(1));
    assert!(!crate::program::is_alive(nix::unistd::Pid::from_raw(pid)), "the command was left behind");
}
