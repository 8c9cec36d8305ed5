//! `copy_file` and `move_file` on real files: repeated, cut off anywhere, killed, refused by the disk.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use gridflow_executor::operator::{self, Context};
use insta::assert_snapshot;
use serde_json::{Value, json};

struct Bench {
    folder: tempfile::TempDir,
}

struct Ran {
    exit: u8,
    log: String,
    output: Value,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn run(&self, name: &str, spec: Value) -> Ran {
        self.run_in("run-1", name, spec)
    }

    fn run_in(&self, run: &str, name: &str, spec: Value) -> Ran {
        let output = self.path(".output.json");
        let _ = fs::remove_file(&output);
        let vars = [
            ("GRIDFLOW_OUTPUT", output.to_str().unwrap()),
            ("AIRFLOW_CTX_DAG_ID", "ingest"),
            ("AIRFLOW_CTX_DAG_RUN_ID", run),
        ];
        let context = Context::from_vars(vars.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut log = Vec::new();
        let exit = operator::run(name, spec, &context, &mut log);
        let log = String::from_utf8(log).unwrap().replace(&format!("{}/", self.folder.path().display()), "");
        let output = fs::read(&output).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        Ran { exit, log, output }
    }

    /// Every file below the folder, hidden ones too.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.folder.path(), &mut files);
        let name = |path: &PathBuf| path.strip_prefix(self.folder.path()).unwrap().display().to_string();
        let mut names: Vec<_> = files.iter().map(name).filter(|name| name != ".output.json").collect();
        names.sort();
        names
    }
}

#[test]
fn a_copy_is_the_same_file_elsewhere_and_repeating_it_changes_nothing() {
    let bench = Bench::new();
    let from = bench.file("in/a.csv", "id\n1\n");
    fs::set_permissions(&from, fs::Permissions::from_mode(0o640)).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&from).unwrap().set_modified(modified).unwrap();
    let spec = json!({"from": from, "to": format!("{}/", bench.path("raw/2025/01").display())});

    let first = bench.run("copy_file", spec.clone());
    assert_eq!(first.exit, 0, "{}", first.log);
    let to = bench.path("raw/2025/01/a.csv");
    let metadata = fs::metadata(&to).unwrap();
    assert_eq!(fs::read_to_string(&to).unwrap(), "id\n1\n");
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.modified().unwrap()), (0o640, modified));
    assert_eq!(first.output["path"], json!(to));
    assert_eq!(first.output["bytes"], 5);

    let again = bench.run("copy_file", spec);
    assert_eq!((again.exit, &again.output), (0, &first.output));
    assert_eq!(bench.files(), ["in/a.csv", "raw/2025/01/a.csv"]);
}

#[test]
fn a_target_with_other_content_is_replaced_only_when_asked() {
    for name in ["copy_file", "move_file"] {
        let bench = Bench::new();
        let from = bench.file("a", "new");
        let to = bench.file("b", "old");
        let ran = bench.run(name, json!({"from": from, "to": to}));
        assert_eq!(ran.exit, 1);
        assert_eq!(
            ran.log,
            "error: `b` exists with other content\nhelp: choose another `to`, or say `overwrite: true`\n"
        );
        assert_eq!((fs::read(&from).unwrap(), fs::read(&to).unwrap()), (b"new".to_vec(), b"old".to_vec()));

        let ran = bench.run(name, json!({"from": from, "to": to, "overwrite": true}));
        assert_eq!(ran.exit, 0, "{}", ran.log);
        assert_eq!(fs::read(&to).unwrap(), b"new");
    }
}

#[test]
fn a_move_leaves_the_reason_beside_the_file_and_repeating_it_changes_nothing() {
    let bench = Bench::new();
    let from = bench.file("in/a.csv", "id\nx\n");
    let spec = json!({
        "from": from, "to": bench.path("rejected/a.csv"), "reason": {"summary": "1 error", "errors": [{"row": 1}]},
    });
    let first = bench.run("move_file", spec.clone());
    assert_eq!(first.exit, 0, "{}", first.log);
    assert_eq!(bench.files(), ["rejected/a.csv", "rejected/a.csv.reason.json"]);
    let reason = fs::read_to_string(bench.path("rejected/a.csv.reason.json")).unwrap();
    assert_snapshot!(reason.replace(bench.folder.path().to_str().unwrap(), ""), @r#"
    {
      "file": "a.csv",
      "from": "/in/a.csv",
      "dag_id": "ingest",
      "run_id": "run-1",
      "reason": {
        "summary": "1 error",
        "errors": [
          {
            "row": 1
          }
        ]
      }
    }
    "#);
    assert_eq!(first.output["reason_file"], json!(bench.path("rejected/a.csv.reason.json")));

    let again = bench.run("move_file", spec);
    assert_eq!((again.exit, &again.output), (0, &first.output), "{}", again.log);
    assert_eq!(fs::read_to_string(bench.path("rejected/a.csv.reason.json")).unwrap(), reason);
}

#[test]
fn a_move_whose_source_is_gone_succeeds_only_if_its_target_is_provably_the_file() {
    let bench = Bench::new();
    let from = bench.path("in/a.csv");
    let to = bench.file("rejected/a.csv", "somebody else's");
    let spec = json!({"from": from, "to": to});
    let ran = bench.run("move_file", spec.clone());
    assert_eq!(ran.exit, 1);
    assert_snapshot!(ran.log, @r"
    error: `in/a.csv` is gone, and nothing shows that `rejected/a.csv` is the file that was moved
    help: give `sha256`, so that a repeated move knows its file
    ");

    let sha256 = bench.run("copy_file", json!({"from": to, "to": bench.path("copy")})).output["sha256"].clone();
    assert_eq!(bench.run("move_file", json!({"from": from, "to": to, "sha256": sha256})).exit, 0);
    assert_eq!(bench.run("move_file", json!({"from": from, "to": to, "sha256": "0".repeat(64)})).exit, 1);

    fs::remove_file(&to).unwrap();
    bench.file("in/a.csv", "first delivery");
    assert_eq!(bench.run_in("run-1", "move_file", spec.clone()).exit, 0);
    assert_eq!(bench.run_in("run-1", "move_file", spec.clone()).exit, 0, "the same run, again");
    assert_eq!(bench.run_in("run-2", "move_file", spec).exit, 1, "another delivery of this name, which is not there");
}

#[test]
fn whatever_a_crash_left_the_next_try_ends_the_same() {
    for name in ["copy_file", "move_file"] {
        let bench = Bench::new();
        let from = bench.file("in/a.csv", "content");
        let to = bench.path("raw/a.csv");
        let spec = json!({"from": from, "to": to});

        // Published, but the source was still there.
        fs::create_dir(bench.path("raw")).unwrap();
        fs::copy(&from, &to).unwrap();
        assert_eq!(bench.run(name, spec.clone()).exit, 0);
        assert_eq!(fs::read_to_string(&to).unwrap(), "content");
        assert_eq!(from.exists(), name == "copy_file");

        // Two names of one file, as a crash between link and unlink leaves them.
        fs::remove_file(&to).unwrap();
        bench.file("in/a.csv", "content");
        fs::hard_link(&from, &to).unwrap();
        assert_eq!(bench.run(name, spec.clone()).exit, 0);
        assert_eq!(fs::read_to_string(&to).unwrap(), "content");
        assert_eq!(from.exists(), name == "copy_file");

        // The reason was written, the file not yet moved.
        if name == "move_file" {
            fs::remove_file(&to).unwrap();
            bench.file("in/a.csv", "content");
            bench.file("raw/a.csv.reason.json", "{\"half\": ");
            assert_eq!(bench.run(name, json!({"from": from, "to": to, "reason": "bad"})).exit, 0);
            assert_eq!(bench.files(), ["raw/a.csv", "raw/a.csv.reason.json"]);
        }
    }
}

#[test]
fn a_file_moved_onto_itself_stays() {
    let bench = Bench::new();
    let from = bench.file("in/a.csv", "content");
    let other_spelling = bench.path("in/../in/a.csv");
    for to in [&from, &other_spelling] {
        assert_eq!(bench.run("move_file", json!({"from": from, "to": to, "overwrite": true})).exit, 0);
        assert_eq!(fs::read_to_string(&from).unwrap(), "content");
    }
}

#[test]
fn a_way_through_a_parent_folder_is_told_without_the_detour() {
    let bench = Bench::new();
    let from = bench.file("in/a.csv", "content");
    let ran = bench.run("copy_file", json!({"from": from, "to": bench.path("in/../out/new/../a.csv")}));
    assert_eq!(ran.output["path"], json!(bench.path("out/a.csv")), "{}", ran.log);

    fs::create_dir_all(bench.path("far/away")).unwrap();
    std::os::unix::fs::symlink(bench.path("far/away"), bench.path("link")).unwrap();
    let ran = bench.run("copy_file", json!({"from": from, "to": bench.path("link/../a.csv")}));
    assert_eq!(ran.output["path"], json!(bench.path("far/a.csv")), "{}", ran.log);
}

#[test]
fn only_regular_files_are_moved_and_only_to_places_that_last() {
    let bench = Bench::new();
    let file = bench.file("a", "content");
    std::os::unix::fs::symlink(&file, bench.path("link")).unwrap();
    nix::unistd::mkfifo(&bench.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut logs = String::new();
    for spec in [
        json!({"from": bench.path("none"), "to": bench.path("b")}),
        json!({"from": bench.path("link"), "to": bench.path("b")}),
        json!({"from": bench.path("pipe"), "to": bench.path("b")}),
        json!({"from": file, "to": "relative/b"}),
        json!({"from": file, "to": bench.folder.path()}),
        json!({"from": file, "to": bench.path("link")}),
        json!({"from": file, "to": bench.path("a/below")}),
        json!({"from": file, "to": bench.path("b"), "sha256": "abc"}),
        json!({"from": file, "to": bench.path("b"), "sha256": "0".repeat(64)}),
        json!({"from": file, "to": bench.path("b"), "reason_file": bench.path("r")}),
        json!({"from": file}),
    ] {
        let ran = bench.run("move_file", spec);
        assert_ne!(ran.exit, 0, "{}", ran.log);
        logs.push_str(&ran.log.replace(bench.folder.path().to_str().unwrap(), "FOLDER"));
    }
    assert_snapshot!(logs, @r"
    error: `none` does not exist
    error: `link` is a symbolic link, not a regular file
    error: `pipe` is a pipe, socket or device, not a regular file
    error: `to`: `relative/b` is relative, and a task's folder is gone after it; give an absolute path
    error: `FOLDER` is a folder, not a regular file
    error: `link` is a symbolic link, not a regular file
    error: cannot look at `a/below`
      because: Not a directory (os error 20)
    error: `sha256`: `abc` is no sha256: 64 hexadecimal digits
    error: `a` has sha256 ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73, expected 0000000000000000000000000000000000000000000000000000000000000000
    error: `reason_file`: there is no `reason` to write there
    error: the spec of `move_file` is wrong
      because: missing field `to`
    ");
    assert_eq!(bench.files(), ["a", "link", "pipe"]);
}

#[test]
fn a_move_to_another_file_system_copies_and_then_lets_go() {
    let bench = Bench::new();
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let from = bench.file("a.csv", vec![7; 3 << 20]);
    let spec = json!({"from": from, "to": elsewhere.path().join("deep/a.csv")});
    let ran = bench.run("move_file", spec.clone());
    assert_eq!(ran.exit, 0, "{}", ran.log);
    assert!(!from.exists());
    assert_eq!(fs::read(elsewhere.path().join("deep/a.csv")).unwrap(), vec![7; 3 << 20]);
    assert_eq!(fs::read_dir(elsewhere.path().join("deep")).unwrap().count(), 1);
}

#[test]
fn two_processes_that_copy_to_one_place_leave_one_whole_file() {
    let bench = Bench::new();
    let from = bench.file("a", vec![1; 8 << 20]);
    let spec = json!({"from": from, "to": bench.path("out/a")});
    let mut children: Vec<_> = (0..4).map(|_| operator_process("copy_file", &spec, "")).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(fs::read(bench.path("out/a")).unwrap(), fs::read(&from).unwrap());
    assert_eq!(bench.files(), ["a", "out/a"]);
}

#[test]
fn killed_anywhere_and_run_again_the_file_is_whole_and_nothing_is_left_over() {
    for name in ["copy_file", "move_file"] {
        for kill_at_bytes in [0u64, 1, 3 << 20, 20 << 20, 47 << 20] {
            let bench = Bench::new();
            let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
            let content = vec![5; 48 << 20];
            let from = bench.file("a", &content);
            let to = elsewhere.path().join("out/a");
            let spec = json!({"from": from, "to": to});
            let mut child = operator_process(name, &spec, "");
            wait_until_written(&mut child, to.parent().unwrap(), kill_at_bytes);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!to.exists() || fs::read(&to).unwrap() == content, "a part under the final name");
            assert!(to.exists() || from.exists(), "lost");
            if !from.exists() {
                // It was faster than the kill. Without `sha256`, and where files have no attributes, nothing shows that.
                assert_eq!(name, "move_file");
                continue;
            }

            let ran = bench.run(name, spec);
            assert_eq!(ran.exit, 0, "{}", ran.log);
            assert_eq!(fs::read(&to).unwrap(), content);
            assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
            assert_eq!(from.exists(), name == "copy_file");
        }
    }
}

#[test]
fn a_disk_that_takes_no_more_leaves_no_part_behind_and_is_the_machines_fault() {
    let bench = Bench::new();
    let from = bench.file("a", vec![1; 4 << 20]);
    let spec = json!({"from": from, "to": bench.path("out/a")});
    let child = operator_process("copy_file", &spec, "file-size-limit");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", String::from_utf8_lossy(&ended.stdout));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("because: File too large"));
    assert_eq!(bench.files(), ["a"]);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let bench = Bench::new();
    let from = bench.file("a", "content");
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(bench.path("locked")).unwrap();
    fs::set_permissions(bench.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    for name in ["copy_file", "move_file"] {
        let spec = json!({"from": from, "to": bench.path("locked/a")});
        let ended = operator_process(name, &spec, "as-nobody").wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(2), "{text}");
        assert!(text.contains("locked") && text.contains("because: ") && text.contains("denied"), "{text}");
        assert!(from.exists());
    }
}

const CHILD_SPEC: &str = "GRIDFLOW_TEST_OPERATOR_SPEC";

/// Not a test: the process that the tests above start, kill and starve.
#[test]
fn operator_process_entry() {
    let Ok(spec) = std::env::var(CHILD_SPEC) else { return };
    let [name, hardship, spec]: [Value; 3] = serde_json::from_str::<Vec<Value>>(&spec).unwrap().try_into().unwrap();
    match hardship.as_str().unwrap() {
        "file-size-limit" => {
            use nix::sys::{
                resource::{Resource, setrlimit},
                signal::{SigHandler, Signal, signal},
            };
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn).unwrap() };
            setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, 1 << 20).unwrap();
        }
        "as-nobody" if nix::unistd::geteuid().is_root() => {
            nix::unistd::setgid(65_534.into()).unwrap();
            nix::unistd::setuid(65_534.into()).unwrap();
        }
        _ => {}
    }
    let exit = operator::run(name.as_str().unwrap(), spec, &Context::default(), &mut std::io::stdout());
    std::io::stdout().flush().unwrap();
    std::process::exit(exit.into());
}

fn operator_process(name: &str, spec: &Value, hardship: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "operator_process_entry", "--nocapture", "--test-threads=1"])
        .env(CHILD_SPEC, json!([name, hardship, spec]).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the folder holds a file of so many bytes, or the child is done.
fn wait_until_written(child: &mut Child, folder: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let written = || {
        fs::read_dir(folder).into_iter().flatten().filter_map(|it| it.ok()?.metadata().ok()).map(|it| it.len()).max()
    };
    while written().is_none_or(|written| written < bytes) {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), None);
            return;
        }
        assert!(Instant::now() < deadline);
        std::hint::spin_loop();
    }
}
