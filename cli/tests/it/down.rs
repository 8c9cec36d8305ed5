//! What stops what: signals to the program and `gridflow down`, with a task that runs.

use std::{fs, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};

use crate::program::{RunAs, Running, Said, Site, gridflow, is_alive, run, wait_until};

/// Says who it is, and runs until the file `go` is there.
const GATE: &str = "tasks:\n  wait:\n    env: {AT: '{{ params.at }}'}\n    bash: |\n      echo $$ >> \"$AT/pids\"\n      until [ -e \"$AT/go\" ]; do sleep 0.05; done\nparams: {at: {type: string}}\n";

struct Server {
    site: Site,
    program: Running,
    url: String,
}

impl Server {
    fn start() -> Self {
        let site = Site::new(RunAs::Us);
        fs::write(site.dags().join("gate.yaml"), GATE).expect("file");
        let (program, url) = started(&site);
        Self { site, program, url }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = gridflow();
        command.args(arguments).env("GRIDFLOW_SERVER", &self.url).env("GRIDFLOW_STATE_DIR", self.site.state_dir());
        command
    }

    /// Starts a run, and says the pid of its task.
    fn trigger(&self) -> Pid {
        let conf = serde_json::json!({"at": self.site.shared()}).to_string();
        let said = run(&mut self.command(&["runs", "trigger", "gate", "--run-id", "r", "--conf", &conf]));
        assert_eq!(said.code, 0, "{}", said.stderr);
        wait_until("the task runs", || self.pids().len() == 1);
        self.pids()[0]
    }

    /// One for each time the task was started.
    fn pids(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.site.shared().join("pids")).unwrap_or_default();
        text.lines().map(|line| Pid::from_raw(line.parse().expect("a pid"))).collect()
    }

    fn finish(&self) {
        fs::write(self.site.shared().join("go"), "").expect("file");
        wait_until("the run succeeds", || {
            let said = run(&mut self.command(&["runs", "show", "gate", "r"]));
            assert!(!said.stdout.contains("failed"), "{}", said.stdout);
            said.stdout.contains("success")
        });
    }

    /// Of the program that was signalled.
    #[track_caller]
    fn ended(&mut self) -> (Option<i32>, String) {
        std::mem::replace(&mut self.program, Running::start(&mut Command::new("true"))).ended()
    }

    fn restart(&mut self) {
        (self.program, self.url) = started(&self.site);
    }

    fn down(&self, arguments: &[&str]) -> Said {
        run(gridflow().arg("down").arg("--state-dir").arg(self.site.state_dir()).args(arguments))
    }

    fn host(&self) -> Option<Pid> {
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(self.site.state_dir().join("host.lock")).ok()?);
        let locks = fs::read_to_string("/proc/locks").expect("readable");
        locks.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let same = fields.get(5)?.rsplit(':').next()? == inode.to_string();
            (same && fields[1] == "FLOCK").then(|| fields[4].parse().ok().map(Pid::from_raw))?
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.down(&["--grace", "0s"]);
    }
}

fn started(site: &Site) -> (Running, String) {
    let mut program = Running::start(&mut site.standalone());
    let line = program.line();
    let url = line.split_whitespace().find_map(|word| word.strip_suffix("/api/v2")).expect("an address").to_owned();
    (program, url)
}

#[test]
fn a_signal_to_the_program_ends_no_task_and_the_next_start_takes_its_result() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let mut server = Server::start();
        let task = server.trigger();
        let database = server.site.postgresql().expect("it runs");
        server.program.signal(signal);
        let (code, stderr) = server.ended();
        assert_eq!(code, (signal != Signal::SIGKILL).then_some(0), "{stderr}");
        assert!(is_alive(task), "{signal} to the program ended the task");
        assert_eq!(is_alive(database), signal == Signal::SIGKILL);
        server.restart();
        server.finish();
        assert_eq!(server.pids(), [task], "it ran once");
    }
}

#[test]
fn a_second_signal_ends_the_program_at_once_and_still_no_task() {
    let mut server = Server::start();
    let task = server.trigger();
    // Stopped, the database holds up the end, so that the second signal surely comes before it.
    let database = server.site.postgresql().expect("it runs");
    kill(database, Signal::SIGSTOP).expect("it runs");
    server.program.signal(Signal::SIGTERM);
    wait_until("it is stopping", || server.program.stderr().contains("stopping"));
    server.program.signal(Signal::SIGINT);
    let (code, stderr) = server.ended();
    kill(database, Signal::SIGCONT).expect("it runs");
    assert_eq!(code, Some(130), "{stderr}");
    assert!(is_alive(task));
    server.restart();
    server.finish();
    assert_eq!(server.pids(), [task], "it ran once");
}

#[test]
fn another_version_of_the_program_takes_the_hosts_place_and_the_task_goes_on() {
    let mut server = Server::start();
    let task = server.trigger();
    let host = server.host().expect("it runs");
    let inode = |path: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("a program"));
    let program = std::path::PathBuf::from(server.site.standalone().get_program());
    let old = inode(&program);
    // As an installation does it: another file takes the place of the one that runs.
    let new = program.with_file_name("gridflow.new");
    assert!(Command::new("cp").arg(&program).arg(&new).status().expect("it runs").success());
    fs::rename(&new, &program).expect("it is there");
    server.program.signal(Signal::SIGTERM);
    assert_eq!(server.ended().0, Some(0));
    server.restart();
    assert_eq!(server.host(), Some(host), "it is the same process");
    let running = inode(std::path::Path::new(&format!("/proc/{host}/exe")));
    assert_eq!(running, inode(&program));
    assert_ne!(running, old);
    assert!(is_alive(task));
    server.finish();
    assert_eq!(server.pids(), [task], "it ran once");
}

#[test]
fn down_ends_everything_and_after_the_next_start_the_work_goes_on() {
    let mut server = Server::start();
    let task = server.trigger();
    let (host, database) = (server.host().expect("it runs"), server.site.postgresql().expect("it runs"));
    let program = server.program.pid();
    let said = server.down(&[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for (what, pid) in [("task", task), ("host", host), ("database", database), ("program", program)] {
        assert!(!is_alive(pid), "the {what} lives; {}", said.stderr);
    }
    for what in ["gridflow standalone (pid", "1 task (cut off", "the host of tasks"] {
        assert!(said.stderr.contains(&format!("stopped {what}")), "{}", said.stderr);
    }
    let again = server.down(&[]);
    assert_eq!(again.code, 0);
    assert!(!again.stderr.contains("task (cut off"), "{}", again.stderr);

    server.restart();
    wait_until("it is tried again", || server.pids().len() == 2);
    server.finish();
}

#[test]
fn down_also_ends_what_killed_programs_left_behind() {
    let server = Server::start();
    let task = server.trigger();
    let (host, database) = (server.host().expect("it runs"), server.site.postgresql().expect("it runs"));
    for pid in [server.program.pid(), host] {
        kill(pid, Signal::SIGKILL).expect("it runs");
    }
    wait_until("they are dead", || !is_alive(server.program.pid()) && !is_alive(host));
    assert!(is_alive(task) && is_alive(database));
    let said = server.down(&[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!is_alive(task) && !is_alive(database), "{}", said.stderr);
    assert!(said.stderr.contains("stopped the private PostgreSQL"), "{}", said.stderr);
    assert_eq!(server.host(), None);
}

#[test]
fn down_where_nothing_runs_says_so() {
    let site = Site::new(RunAs::Us);
    for state_dir in [site.state_dir(), site.state_dir().join("not there")] {
        let said = run(gridflow().arg("down").arg("--state-dir").arg(&state_dir));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains("nothing runs in"), "{}", said.stderr);
    }
    assert!(!site.state_dir().join("not there").exists());
}

/// The program as the first process of a pid namespace of its own, as in a container. `None` where that is not allowed.
struct Container {
    /// `unshare`, which only waits.
    outer: Option<Running>,
    postmaster: std::path::PathBuf,
    init: Pid,
    line: String,
}

fn container(site: &Site) -> Option<Container> {
    let allowed = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !Uid::effective().is_root() || !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no pid namespace can be made here");
        return None;
    }
    let program = site.standalone();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut outer = Running::start(&mut command);
    let line = outer.line();
    let pid = outer.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("readable");
    let init = Pid::from_raw(children.trim().parse().expect("one child"));
    Some(Container {
        outer: Some(outer),
        postmaster: site.state_dir().join("postgresql/data/postmaster.pid"),
        init,
        line,
    })
}

impl Container {
    #[track_caller]
    fn ended(&mut self) -> (Option<i32>, String) {
        self.outer.take().expect("it ends once").ended()
    }
}

/// The pid in the file is one of the container: nobody may take it for one of ours.
impl Drop for Container {
    fn drop(&mut self) {
        drop(self.outer.take());
        let _ = fs::remove_file(&self.postmaster);
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().expect("a pid"))).collect()
}

fn name_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

const FAMILY: &str = "tasks:\n  family:\n    env: {AT: '{{ params.at }}'}\n    bash: |\n      trap 'echo told >> \"$AT/told\"; exit 0' TERM\n      (sh -c 'sh -c \"sleep 0.2\" & exit 0' &)\n      touch \"$AT/ready\"\n      while :; do sleep 0.05; done\nparams: {at: {type: string}}\n";

#[test]
fn as_the_first_process_of_a_container_it_reaps_forwards_signals_and_ends_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let site = Site::new(RunAs::Us);
        fs::write(site.dags().join("family.yaml"), FAMILY).expect("file");
        let Some(mut container) = container(&site) else { return };
        let url = container.line.split_whitespace().find_map(|word| word.strip_suffix("/api/v2")).expect("an address");
        let shared = site.shared();
        let conf = serde_json::json!({"at": shared}).to_string();
        let mut trigger = gridflow();
        trigger.args(["runs", "trigger", "family", "--run-id", "r", "--conf", &conf]);
        trigger.env("GRIDFLOW_SERVER", url).env("GRIDFLOW_STATE_DIR", site.state_dir());
        let said = run(&mut trigger);
        assert_eq!(said.code, 0, "{}", said.stderr);
        wait_until("the task runs", || shared.join("ready").exists());
        // The program, and the task: both are children of the first process, which is the host.
        let names = || children(container.init).into_iter().map(name_of).collect::<Vec<_>>();
        wait_until("orphans are reaped", || names().len() == 2);
        assert!(names().contains(&"gridflow".to_owned()) && names().contains(&"bash".to_owned()), "{:?}", names());

        kill(container.init, signal).expect("it runs");
        let (code, stderr) = container.ended();
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(fs::read_to_string(shared.join("told")).expect("it was asked to end"), "told\n");
        assert!(!container.postmaster.exists(), "PostgreSQL was cut off: {stderr}");

        // The next container finds the task cut off, and tries it again.
        fs::remove_file(shared.join("ready")).expect("it is there");
        let Some(mut next) = self::container(&site) else { return };
        wait_until("it is tried again", || shared.join("ready").exists());
        // Killed as a whole, it is tried again, too.
        fs::remove_file(shared.join("ready")).expect("it is there");
        kill(next.init, Signal::SIGKILL).expect("it runs");
        next.ended();
        drop(next);
        let Some(mut last) = self::container(&site) else { return };
        wait_until("it is tried again", || shared.join("ready").exists());
        kill(last.init, Signal::SIGTERM).expect("it runs");
        assert_eq!(last.ended().0, Some(0));
    }
}

#[test]
fn a_container_ends_with_the_exit_code_of_its_program() {
    let site = Site::new(RunAs::Us);
    fs::write(site.dags().join("gate.yaml"), GATE).expect("file");
    let Some(mut container) = container(&site) else { return };
    let program = children(container.init).into_iter().find(|pid| name_of(*pid) == "gridflow").expect("it runs");
    kill(program, Signal::SIGKILL).expect("it runs");
    let (code, stderr) = container.ended();
    assert_eq!(code, Some(128 + 9), "{stderr}");
}
