//! The program itself, run as a pod would run it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use gridflow_pod::{frame, hex, payload, report};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gridflow-pod");

struct Pod {
    dir: TempDir,
}

impl Pod {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut run = Command::new(PROGRAM);
        run.arg("run").arg("--message").arg(self.dir.path().join("message")).args(options).arg("--").args(command);
        run.env("GRIDFLOW_OUTPUT", self.dir.path().join("output")).env("GRIDFLOW_ATTEMPT_ID", "a1");
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run
    }

    fn shell(&self, line: &str) -> Output {
        self.command(&[], &["sh", "-c", line]).output().unwrap()
    }

    fn message(&self) -> String {
        fs::read_to_string(self.dir.path().join("message")).unwrap_or_default()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The command has started and says so.
fn wait_for_line(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    out
}

#[test]
fn exit_codes_and_what_was_written_pass_through() {
    let pod = Pod::new();
    let ended = pod.shell("echo out; echo err >&2; exit 42");
    assert_eq!(ended.status.code(), Some(42));
    assert_eq!((text(&ended.stdout), text(&ended.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(pod.message(), "");
}

#[test]
fn a_small_output_is_the_termination_message() {
    let pod = Pod::new();
    let ended = pod.shell(r#"printf '{"rows": 3}' > "$GRIDFLOW_OUTPUT"; exit 1"#);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(pod.message(), r#"{"rows": 3}"#);
}

#[test]
fn an_output_of_four_kilobytes_fits_and_one_byte_more_goes_into_the_log() {
    for (bytes, is_in_log) in [(4096, false), (4097, true)] {
        let pod = Pod::new();
        let value = format!("\"{}\"", "x".repeat(bytes - 2));
        fs::write(pod.dir.path().join("output"), &value).unwrap();
        let ended = pod.shell("printf unfinished");
        assert_eq!(ended.status.code(), Some(0));
        if is_in_log {
            let whole = report::Output::InLog { bytes: bytes as u64, sha256: hex::sha256(value.as_bytes()) };
            assert_eq!(report::Report::read(&pod.message()).unwrap().output, whole);
            let mut log = b"unfinished".to_vec();
            frame::write(&mut log, "a1", &value).unwrap();
            assert_eq!(text(&ended.stdout), text(&log));
        } else {
            assert_eq!(pod.message(), value);
            assert_eq!(text(&ended.stdout), "unfinished");
        }
    }
}

#[test]
fn less_room_for_the_message_sends_a_smaller_output_into_the_log() {
    let pod = Pod::new();
    let ended = pod.command(&["--message-max", "1000"], &["sh", "-c", r#"printf '"%01001d"' 0 > "$GRIDFLOW_OUTPUT""#]);
    let ended = { ended }.output().unwrap();
    assert!(text(&ended.stdout).contains(frame::MARK));
    assert!(pod.message().len() <= 1000);
}

#[test]
fn an_output_of_a_megabyte_fits_and_a_larger_one_is_refused_in_words() {
    for (bytes, fits) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let pod = Pod::new();
        fs::write(pod.dir.path().join("output"), format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        let ended = pod.shell("true");
        assert_eq!(ended.status.code(), Some(0));
        match report::Report::read(&pod.message()).unwrap().output {
            report::Output::InLog { bytes: told, .. } => assert!(fits && told == bytes as u64),
            report::Output::Invalid(why) => assert!(!fits && why.contains("the limit is 1048576"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_output_that_is_no_json_is_told_apart_from_a_failure() {
    let pod = Pod::new();
    let ended = pod.shell(r#"echo three rows > "$GRIDFLOW_OUTPUT""#);
    assert_eq!(ended.status.code(), Some(0));
    let report::Output::Invalid(why) = report::Report::read(&pod.message()).unwrap().output else { panic!("taken") };
    assert!(why.contains("is not JSON") && why.contains("write one JSON value"), "{why}");
}

#[test]
fn an_output_that_is_a_link_or_a_pipe_is_not_followed() {
    let pod = Pod::new();
    pod.shell(r#"ln -s /etc/hostname "$GRIDFLOW_OUTPUT""#);
    assert!(pod.message().contains("invalid"), "{}", pod.message());
    let pod = Pod::new();
    pod.shell(r#"mkfifo "$GRIDFLOW_OUTPUT""#);
    assert!(pod.message().contains("no plain file"), "{}", pod.message());
}

#[test]
fn a_signal_that_ends_the_command_is_told_apart_from_an_exit_code() {
    let pod = Pod::new();
    assert_eq!(pod.shell("kill -KILL $$").status.code(), Some(137));
    assert_eq!(pod.message(), r#"{"gridflow.io/signal":9}"#);
    let pod = Pod::new();
    assert_eq!(pod.shell("exit 137").status.code(), Some(137));
    assert_eq!(pod.message(), r#"{"gridflow.io/exit":137}"#);
}

#[test]
fn a_command_that_runs_another_tells_by_its_code_which_signal_has_ended_that() {
    let pod = Pod::new();
    let ended =
        pod.command(&["--codes-tell-signals"], &["sh", "-c", "sh -c 'kill -KILL $$'; exit 137"]).output().unwrap();
    assert_eq!((ended.status.code(), pod.message()), (Some(137), String::new()));
}

#[test]
fn a_command_that_is_not_there_is_told_apart_from_one_that_fails() {
    let pod = Pod::new();
    let ended = pod.command(&[], &["no-such-program"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(127));
    let failed = report::Report::read(&pod.message()).unwrap().failed.unwrap();
    assert!(failed.starts_with("cannot start `no-such-program`: No such file"), "{failed}");
    assert!(text(&ended.stderr).starts_with("gridflow: cannot start"));
}

#[test]
fn a_signal_reaches_everything_that_the_command_started() {
    let pod = Pod::new();
    // Two processes; each says what it got.
    let line = "trap 'echo outer; wait; exit 7' TERM; sh -c 'trap \"echo inner; exit\" TERM; echo up; while :; do sleep 0.05; done' & wait; wait";
    let mut child = pod.command(&[], &["sh", "-c", line]).spawn().unwrap();
    let mut out = wait_for_line(&mut child);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let mut lines: Vec<_> = rest.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["inner", "outer"]);
}

#[test]
fn other_signals_are_the_commands_too_and_change_nothing_for_the_program() {
    let pod = Pod::new();
    let line = "trap 'echo usr1; exit 3' USR1; trap '' HUP; echo up; while :; do sleep 0.05; done";
    let mut child = pod.command(&[], &["sh", "-c", line]).spawn().unwrap();
    let mut out = wait_for_line(&mut child);
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGHUP).unwrap();
    kill(pid, Signal::SIGUSR1).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest.as_str()), (Some(3), "usr1\n"));
}

#[test]
fn the_command_begins_with_no_signal_held_back() {
    let pod = Pod::new();
    let ended = pod.shell("grep SigBlk /proc/self/status");
    assert_eq!(text(&ended.stdout), "SigBlk:\t0000000000000000\n");
}

/// In a PID namespace of its own, as in a container: orphans are the program's to reap. Needs root.
#[test]
fn as_the_first_process_it_reaps_orphans_and_is_stopped_by_a_signal() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root makes PID namespaces");
        return;
    }
    let pod = Pod::new();
    let line = "for i in 1 2 3; do (sh -c 'sleep 0.01 & exec true' &) ; done; \
                while pgrep -x sleep >/dev/null; do :; done; \
                until ! ps -e -o stat= | grep -q Z; do sleep 0.01; done; \
                trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done";
    let inner = pod.command(&[], &["sh", "-c", line]);
    let mut outer = Command::new("unshare");
    outer.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(PROGRAM).args(inner.get_args());
    outer.stdout(Stdio::piped());
    let mut child = outer.spawn().unwrap();
    let _out = wait_for_line(&mut child);
    let first = first_process_below(child.id());
    kill(Pid::from_raw(first), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

fn first_process_below(pid: u32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

fn lay_out(dir: &Path, files: &[(&str, &[u8])]) -> Output {
    let from = dir.join("payload");
    fs::create_dir_all(&from).unwrap();
    for (key, bytes) in payload::pack(files.iter().copied()).unwrap() {
        fs::write(from.join(key), bytes).unwrap();
    }
    let root = dir.join("root");
    fs::create_dir_all(&root).unwrap();
    Command::new(PROGRAM).arg("init").arg("--payload").arg(from).arg("--root").arg(root).output().unwrap()
}

#[test]
fn the_init_step_lays_out_files_for_any_user_and_may_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    for content in ["first", "second"] {
        let ended = lay_out(dir.path(), &[("jobs/deep/load.py", content.as_bytes()), ("empty", b"")]);
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        let work = dir.path().join("root/work");
        assert_eq!(fs::read_to_string(work.join("jobs/deep/load.py")).unwrap(), content);
        assert_eq!(fs::read(work.join("empty")).unwrap(), b"");
        for path in ["", "jobs", "jobs/deep", "jobs/deep/load.py", "empty"] {
            let mode = fs::metadata(work.join(path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o777, "{path}");
        }
    }
    let copy = Command::new(dir.path().join("root/bin/gridflow-pod")).arg("--version").output().unwrap();
    assert!(text(&copy.stdout).starts_with("gridflow-pod "));
}

#[test]
fn a_payload_that_is_not_there_fails_the_init_step_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let ended =
        Command::new(PROGRAM).args(["init", "--root"]).arg(dir.path()).arg("--payload").arg(dir.path()).output();
    let ended = ended.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("cannot read"), "{}", text(&ended.stderr));
}
