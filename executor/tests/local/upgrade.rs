//! The host's program is replaced while commands run.

use std::{
    collections::HashMap,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{Bench, PATIENCE, answer, eventually, lives, say, sh, tell, until_told};
use gridflow_core::{AttemptId, AttemptOutcome};
use gridflow_executor::local::{Config, Error, upgrade_host};

/// By another process: a program that a fork of ours has still open for writing can't be run ("text file busy").
fn copied(from: &Path, to: &Path) -> PathBuf {
    assert!(std::process::Command::new("cp").arg(from).arg(to).status().unwrap().success());
    to.to_owned()
}

/// Another file of the same program, which is all that makes a build another one.
fn another_build(bench: &Bench, name: &str) -> Config {
    let path = copied(bench.config.host_command[0].as_ref(), &bench.path(name));
    Config { host_command: vec![path.into()], ..bench.config.clone() }
}

fn script(bench: &Bench, name: &str, text: &str) -> Config {
    let draft = bench.path(&format!("{name}.draft"));
    std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = copied(&draft, &bench.path(name));
    Config { host_command: vec![path.into()], ..bench.config.clone() }
}

fn program_of(pid: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_new_program_takes_the_hosts_place_and_every_command_ends_as_it_would_have() {
    let mut bench = Bench::new();
    let mut client = bench.client().await;
    let running = until_told(&bench, "go", "echo '\"late\"' > $GRIDFLOW_OUTPUT; exit 7");
    let ended = sh("exit 8");
    let mut timed_out = sh("sleep 1000");
    timed_out.execution_timeout = Some(Duration::from_secs(2));
    let canceled_later = sh("sleep 1000");
    // Asked to end before, and within its grace: it must not be asked again.
    let asked = bench.path("asked");
    let mut asked_before =
        sh(&format!("trap 'echo asked >> {}' TERM; echo ready; while :; do sleep 0.02; done", asked.display()));
    asked_before.grace = Duration::from_secs(3);
    let daemon = bench.path("daemon");
    let leaves_daemon = format!(
        "(setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000' &); while [ ! -e {0} ]; do sleep 0.01; done; exit 9",
        daemon.display()
    );
    let leaves_daemon = until_told(&bench, "go", &leaves_daemon);
    let all = [&running, &ended, &timed_out, &canceled_later, &asked_before, &leaves_daemon];
    client.handle.launch(all.map(Clone::clone).to_vec()).await.unwrap();
    for launch in all {
        client.start_of(launch.attempt).await;
    }
    client.end_of(ended.attempt).await;
    eventually("the trap is set", || bench.log_of(asked_before.attempt).contains("ready")).await;
    client.handle.cancel(vec![(asked_before.run, asked_before.attempt)]).await.unwrap();
    eventually("it was asked to end", || !lines(&asked).is_empty()).await;

    let pid = bench.host_pid().unwrap();
    bench.config = another_build(&bench, "new build");
    let mut second = bench.client().await;
    assert_eq!(bench.host_pid(), Some(pid), "the same process holds the lock");
    assert_eq!(program_of(pid), bench.path("new build"));
    second.until("the full report", |client| client.synced == 1).await;
    assert_eq!(second.finished[&ended.attempt].outcome, AttemptOutcome::Exited { code: 8 });
    client.until("the reconnect", |client| client.synced == 2).await;

    client.handle.cancel(vec![(canceled_later.run, canceled_later.attempt)]).await.unwrap();
    client.handle.launch(vec![running.clone()]).await.unwrap();
    tell(&bench, "go");
    let done = client.end_of(running.attempt).await;
    assert_eq!(done.outcome, AttemptOutcome::Exited { code: 7 });
    assert_eq!(*done.output.unwrap().value, serde_json::json!("late"));
    assert_eq!(client.end_of(canceled_later.attempt).await.outcome, AttemptOutcome::Canceled);
    assert_eq!(client.end_of(timed_out.attempt).await.outcome, AttemptOutcome::TimedOut);
    assert_eq!(client.end_of(leaves_daemon.attempt).await.outcome, AttemptOutcome::Exited { code: 9 });
    assert!(!lives(std::fs::read_to_string(&daemon).unwrap().trim().parse().unwrap()));
    assert_eq!(client.end_of(asked_before.attempt).await.outcome, AttemptOutcome::Canceled);
    assert_eq!(lines(&asked), ["asked"]);
    assert_eq!(client.run(sh("exit 5")).await.outcome, AttemptOutcome::Exited { code: 5 });
}

#[tokio::test]
async fn under_load_nothing_is_lost_or_started_twice_however_often_the_program_is_replaced() {
    const UPGRADES: usize = 30;
    let bench = Bench::new();
    let builds = [another_build(&bench, "one"), another_build(&bench, "two")];
    let mut client = bench.client().await;
    let pid = bench.host_pid().unwrap();
    let marks = bench.path("marks");
    let mut all = Vec::new();
    for turn in 0..UPGRADES {
        let batch: Vec<_> =
            (0..20).map(|n| sh(&format!("echo $GRIDFLOW_ATTEMPT_ID >> {}; exit {}", marks.display(), n % 3))).collect();
        client.handle.launch(batch.clone()).await.unwrap();
        upgrade_host(&builds[turn % 2]).await.unwrap();
        all.extend(batch);
    }
    for (n, launch) in all.iter().enumerate() {
        let code = i32::try_from(n % 20 % 3).unwrap();
        assert_eq!(client.end_of(launch.attempt).await.outcome, AttemptOutcome::Exited { code });
    }
    let mut starts: HashMap<AttemptId, usize> = HashMap::new();
    for line in lines(&marks) {
        *starts.entry(AttemptId(line.parse().unwrap())).or_default() += 1;
    }
    assert_eq!(starts.len(), all.len());
    assert!(starts.values().all(|count| *count == 1));
    assert_eq!(bench.host_pid(), Some(pid));
    // Nothing piled up: no descriptor of a former program is left open.
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 20, "{open} descriptors");
}

#[tokio::test]
async fn a_program_that_cannot_take_over_leaves_the_old_one_at_work() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let running = until_told(&bench, "go", "exit 7");
    client.handle.launch(vec![running.clone()]).await.unwrap();
    client.start_of(running.attempt).await;
    let pid = bench.host_pid().unwrap();
    let program = program_of(pid);
    let newer = "echo handover 1000 1001";
    // Only the exec of this one fails: it is no program any more.
    let no_program = "chmod 600 \"$0\"; echo handover 0 1000";
    for (name, text) in [("fails", "exit 3"), ("says nothing", "true"), ("newer", newer), ("no program", no_program)] {
        let error = upgrade_host(&script(&bench, name, text)).await.unwrap_err();
        assert!(matches!(error, Error::NotUpgraded { .. }), "{name}: {error}");
        assert_eq!(program_of(bench.host_pid().unwrap()), program, "{name}");
    }
    let missing = Config { host_command: vec!["/no/such/program".into()], ..bench.config.clone() };
    assert!(matches!(upgrade_host(&missing).await, Err(Error::NotUpgraded { .. })));
    let same = upgrade_host(&bench.config).await.unwrap_err();
    assert!(same.to_string().contains("already"), "{same}");

    // A whole client with such a program works with the host as it is.
    let other = Bench { config: script(&bench, "fails", "exit 3"), dir: tempfile::tempdir().unwrap() };
    let mut second = other.client().await;
    assert_eq!(second.run(sh("exit 4")).await.outcome, AttemptOutcome::Exited { code: 4 });
    tell(&bench, "go");
    assert_eq!(client.end_of(running.attempt).await.outcome, AttemptOutcome::Exited { code: 7 });
    assert_eq!(bench.host_pid(), Some(pid));
}

#[tokio::test]
async fn a_program_that_dies_as_it_takes_over_is_a_host_that_was_killed() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let marks = bench.path("marks");
    let launch = until_told(&bench, "go", &format!("echo done >> {}", marks.display()));
    client.handle.launch(vec![launch.clone()]).await.unwrap();
    let command = client.start_of(launch.attempt).await;
    let dies = "case \"$*\" in *--handover-versions*) echo handover 0 1000;; *) exit 1;; esac";
    upgrade_host(&script(&bench, "dies", dies)).await.unwrap();
    client.until("the next host", |client| 2 <= client.synced).await;
    assert!(lives(command.cast_signed()));
    client.handle.launch(vec![launch.clone()]).await.unwrap();
    tell(&bench, "go");
    assert!(matches!(client.end_of(launch.attempt).await.outcome, AttemptOutcome::Lost { .. }));
    assert_eq!(lines(&marks), ["done"]);
}

#[tokio::test]
async fn a_client_without_a_common_protocol_is_refused_and_can_still_have_the_program_replaced() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let running = until_told(&bench, "go", "exit 7");
    client.handle.launch(vec![running.clone()]).await.unwrap();
    client.start_of(running.attempt).await;
    let connect = || {
        let stream = UnixStream::connect(bench.path("host.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let hello = |newest: u32, oldest: u32| {
        let (installation, node) = (bench.config.installation.0, bench.config.node.0);
        serde_json::json!({"Hello": {"protocol": newest, "protocol_oldest": oldest, "installation": installation,
            "node": node, "linger_ms": 200, "from_the_future": true}})
    };
    let mut newer = connect();
    say(&mut newer, &hello(1000, 1));
    assert_eq!(answer(&mut newer).unwrap()["Welcome"]["protocol"], 1);
    let mut much_newer = connect();
    say(&mut much_newer, &hello(1000, 999));
    let refused = answer(&mut much_newer).unwrap();
    let reason = refused["Refused"]["reason"].as_str().unwrap();
    assert!(reason.contains("the client 999 to 1000"), "{reason}");
    assert!(answer(&mut much_newer).is_none(), "the connection ends");

    let mut upgrading = connect();
    let program = another_build(&bench, "new build").host_command.remove(0);
    let command = [program.to_str().unwrap()];
    say(
        &mut upgrading,
        &serde_json::json!({"Upgrade":
        {"command": command, "handover_oldest": 0, "handover_newest": 1000}}),
    );
    assert!(answer(&mut upgrading).is_none());
    eventually("it runs the new program", || {
        bench.host_pid().is_some_and(|pid| program_of(pid) == bench.path("new build"))
    })
    .await;
    tell(&bench, "go");
    assert_eq!(client.end_of(running.attempt).await.outcome, AttemptOutcome::Exited { code: 7 });
}
