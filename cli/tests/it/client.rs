//! The commands that speak to a server, against a real one.

use std::{fs, path::PathBuf};

use nix::sys::signal::Signal;

use crate::program::{RunAs, Running, Said, Site, gridflow, run, wait_until};

const DAGS: [(&str, &str); 3] = [
    (
        "hello.yaml",
        "params: {name: {type: string, default: world}}\ntasks:\n  greet:\n    env: {NAME: '{{ params.name }}'}\n    bash: echo \"hello $NAME\"\n",
    ),
    ("broken.yaml", "tasks:\n  fail: {bash: 'echo no good; exit 3'}\n  after: {needs: fail, bash: 'true'}\n"),
    // Runs until the file `go` is there, and says how often it was started.
    (
        "gate.yaml",
        "params: {at: {type: string}}\ntasks:\n  wait:\n    env: {AT: '{{ params.at }}'}\n    bash: |\n      echo started | tee -a \"$AT/starts\"\n      until [ -e \"$AT/go\" ]; do sleep 0.05; done\n      echo ended\n",
    ),
];

/// A server with these DAGs, and commands that know it as people's shells would.
struct Server {
    site: Site,
    program: Running,
    url: String,
}

impl Server {
    fn start() -> Self {
        let site = Site::new(RunAs::Us);
        for (name, text) in DAGS {
            fs::write(site.dags().join(name), text).expect("file");
        }
        let (program, url) = started(&site);
        Self { site, program, url }
    }

    fn restart(&mut self) {
        (self.program, self.url) = started(&self.site);
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = gridflow();
        command.args(arguments).env("GRIDFLOW_SERVER", &self.url).env("GRIDFLOW_STATE_DIR", self.site.state_dir());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    /// A command that must do its work.
    #[track_caller]
    fn answer(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        said.stdout
    }

    /// Starts the DAG `gate` and waits until its task runs.
    fn gate(&self, run_id: &str) -> PathBuf {
        let place = self.site.shared();
        let conf = format!("{{\"at\": \"{}\"}}", place.display());
        self.answer(&["runs", "trigger", "gate", "--run-id", run_id, "--conf", &conf]);
        wait_until("the task has started", || place.join("starts").exists());
        place
    }
}

fn started(site: &Site) -> (Running, String) {
    let mut program = Running::start(&mut site.standalone());
    let line = program.line();
    let (_, address) = line.split_once("http://").unwrap_or_else(|| panic!("no address in `{line}`"));
    (program, format!("http://{}", address.split('/').next().unwrap_or_default()))
}

#[test]
fn a_dag_of_the_folder_can_be_run_at_once_and_read_back() {
    let server = Server::start();
    let dags = server.answer(&["dags", "list"]);
    assert!(["hello", "broken", "gate"].iter().all(|dag| dags.contains(dag)), "{dags}");
    assert!(server.answer(&["dags", "show", "hello", "-o", "json"]).contains("\"dag_id\": \"hello\""));

    let conf = ["--conf", "{\"name\": \"you\"}"];
    let run =
        server.answer(&["runs", "trigger", "hello", "--run-id", "first", conf[0], conf[1], "--wait", "-o", "json"]);
    assert!(run.contains("\"dag_run_id\": \"first\"") && run.contains("\"state\": \"success\""), "{run}");
    assert_eq!(server.answer(&["tasks", "logs", "hello", "first", "greet"]), "hello you\n");
    let tasks = server.answer(&["tasks", "list", "hello", "first"]);
    assert!(tasks.starts_with("TASK") && tasks.contains("greet  success  1"), "{tasks}");
    assert!(server.answer(&["runs", "list", "hello"]).contains("first"));
    assert!(server.answer(&["runs", "show", "hello", "first", "-o", "yaml"]).contains("state: success\n"));

    let again = server.run(&["runs", "trigger", "hello", "--run-id", "first"]);
    assert_eq!(again.code, 1, "the same id twice");
    assert!(again.stderr.contains("first"), "{}", again.stderr);
}

#[test]
fn a_failed_run_is_said_by_the_exit_code() {
    let server = Server::start();
    let run = server.run(&["runs", "trigger", "broken", "--run-id", "r", "--wait"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.contains("failed"), "{}", run.stdout);
    assert_eq!(server.run(&["runs", "wait", "broken", "r"]).code, 1);
    assert_eq!(server.run(&["runs", "show", "broken", "r"]).code, 0, "showing a failed run is no failure");
    let tasks = server.answer(&["tasks", "list", "broken", "r"]);
    assert!(tasks.contains("upstream_failed"), "{tasks}");
    assert_eq!(server.answer(&["tasks", "logs", "broken", "r", "fail"]), "no good\n");
}

#[test]
fn a_run_that_goes_on_can_be_watched_and_cancelled() {
    let server = Server::start();
    server.gate("r");
    let impatient = server.run(&["runs", "wait", "gate", "r", "--timeout", "100ms"]);
    assert_eq!(impatient.code, 1);
    assert!(impatient.stderr.contains("run `r` is still `running`"), "{}", impatient.stderr);
    assert_eq!(server.answer(&["tasks", "logs", "gate", "r", "wait"]), "started\n");

    let mut following = Running::start(&mut server.command(&["tasks", "logs", "gate", "r", "wait", "-f"]));
    assert_eq!(following.line(), "started");
    server.answer(&["runs", "cancel", "gate", "r"]);
    assert_eq!(server.run(&["runs", "wait", "gate", "r"]).code, 1);
    assert_eq!(following.ended().0, Some(0), "the log ends with the task");
}

#[test]
fn a_task_survives_the_death_of_the_program_and_its_result_counts() {
    let mut server = Server::start();
    let place = server.site.shared();
    let conf = format!("{{\"at\": \"{}\"}}", place.display());
    let trigger = ["runs", "trigger", "gate", "--run-id", "r", "--wait", "-o", "json", "--conf", &conf];
    let mut waiting = Running::start(&mut server.command(&trigger));
    wait_until("the task runs", || place.join("starts").exists());
    wait_until("the command waits", || waiting.stderr().contains("waiting for its end"));
    server.program.signal(Signal::SIGKILL);
    let port = server.url.rsplit(':').next().expect("a port").to_owned();
    server.site.listen_on(&port);
    server.restart();
    fs::write(place.join("go"), "").expect("file");
    assert_eq!(waiting.line(), "{", "whoever waits sees the end across the restart");
    assert_eq!(waiting.ended().0, Some(0));
    assert_eq!(fs::read_to_string(place.join("starts")).expect("file"), "started\n", "it was started twice");
    assert_eq!(server.answer(&["tasks", "logs", "gate", "r", "wait"]), "started\nended\n");
}

#[test]
fn a_clean_stop_says_that_tasks_go_on() {
    let server = Server::start();
    let place = server.gate("r");
    server.program.signal(Signal::SIGTERM);
    let (code, stderr) = server.program.ended();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("1 task goes on; the next start collects the results"), "{stderr}");
    let (program, url) = started(&server.site);
    let server = Server { program, url, site: server.site };
    fs::write(place.join("go"), "").expect("file");
    assert_eq!(server.run(&["runs", "wait", "gate", "r"]).code, 0);
}

#[test]
fn what_does_not_exist_and_who_may_not_ask_is_told() {
    let server = Server::start();
    for arguments in [
        vec!["dags", "show", "nothing"],
        vec!["runs", "trigger", "nothing"],
        vec!["runs", "show", "hello", "nothing"],
        vec!["tasks", "logs", "hello", "nothing", "greet"],
    ] {
        let said = server.run(&arguments);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains("nothing"), "{}", said.stderr);
    }
    let said = run(server.command(&["dags", "list"]).env("GRIDFLOW_TOKEN", "a-token-that-is-wrong"));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("does not accept the API token"), "{}", said.stderr);
}
