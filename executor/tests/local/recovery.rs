//! What local commands outlive, and what never happens twice.

use std::{
    collections::HashMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::support::{Bench, Client, PATIENCE, eventually, launch, lives, say, sh, tell, until_told};
use gridflow_core::{AttemptId, AttemptOutcome, InstallationId};
use gridflow_executor::local::{Error, LocalExecutor, host};
use uuid::Uuid;

#[tokio::test]
async fn results_of_commands_that_ran_on_without_a_client_are_adopted() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let still = until_told(&bench, "go", "echo '\"late\"' > $GRIDFLOW_OUTPUT; exit 7");
    // A large output takes its time to be read, and is there before the host is said to be synced.
    let ended = sh("printf '\"%0900000d\"' 1 > $GRIDFLOW_OUTPUT; exit 8");
    let committed = sh("exit 9");
    let all = vec![still.clone(), ended.clone(), committed.clone()];
    client.handle.launch(all).await.unwrap();
    let pid = client.start_of(still.attempt).await;
    client.end_of(ended.attempt).await;
    client.end_of(committed.attempt).await;
    client.handle.acknowledge(vec![committed.attempt]).await.unwrap();
    drop(client);

    let mut client = bench.client().await;
    client.until("the full report", |client| client.synced == 1).await;
    assert_eq!(client.started.get(&still.attempt), Some(&pid));
    assert_eq!(client.finished[&ended.attempt].outcome, AttemptOutcome::Exited { code: 8 });
    assert!(client.started.contains_key(&ended.attempt), "its start is told with its end");
    assert!(!client.finished.contains_key(&committed.attempt));
    tell(&bench, "go");
    let done = client.end_of(still.attempt).await;
    assert_eq!(done.outcome, AttemptOutcome::Exited { code: 7 });
    assert_eq!(*done.output.unwrap().value, serde_json::json!("late"));
}

#[tokio::test]
async fn commands_of_a_killed_host_go_on_and_end_lost_under_the_next_one() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let marks = bench.path("marks");
    let launch = until_told(&bench, "go", &format!("echo done >> {}", marks.display()));
    let attempt = launch.attempt;
    client.handle.launch(vec![launch.clone()]).await.unwrap();
    let pid = client.start_of(attempt).await;
    let first = bench.host_pid().unwrap();
    bench.kill_host();
    client.until("the next host", |client| 2 <= client.synced).await;
    assert_ne!(bench.host_pid().unwrap(), first);
    assert!(lives(pid.cast_signed()));
    client.handle.launch(vec![launch]).await.unwrap();
    tell(&bench, "go");
    match client.end_of(attempt).await.outcome {
        AttemptOutcome::Lost { reason } => assert!(reason.contains("host was killed"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_to_string(marks).unwrap(), "done\n");
}

#[tokio::test]
async fn the_next_host_cancels_times_out_and_cleans_up_as_the_first_would() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let canceled = sh("sleep 1000");
    let mut timed_out = sh("sleep 1000");
    timed_out.execution_timeout = Some(Duration::from_secs(2));
    let mut asked_before = sh("trap '' TERM; while :; do sleep 0.05; done");
    asked_before.grace = Duration::from_secs(1);
    let daemon = bench.path("daemon");
    let script = format!("(setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000' &)", daemon.display());
    let leaves_daemon = until_told(&bench, "go", "true");
    let leaves_daemon = gridflow_executor::local::Launch {
        argv: vec!["sh".into(), "-c".into(), format!("{script}; {}", leaves_daemon.argv[2])],
        ..leaves_daemon
    };
    let all = [&canceled, &timed_out, &asked_before, &leaves_daemon];
    client.handle.launch(all.map(Clone::clone).to_vec()).await.unwrap();
    for launch in all {
        client.start_of(launch.attempt).await;
    }
    eventually("the daemon runs", || daemon.exists()).await;
    client.handle.cancel(vec![(asked_before.run, asked_before.attempt)]).await.unwrap();
    // A later order has been carried out, so this one has, too.
    client.run(launch(&["true"])).await;
    bench.kill_host();
    client.until("the next host", |client| 2 <= client.synced).await;

    client.handle.cancel(vec![(canceled.run, canceled.attempt)]).await.unwrap();
    assert_eq!(client.end_of(canceled.attempt).await.outcome, AttemptOutcome::Canceled);
    assert_eq!(client.end_of(asked_before.attempt).await.outcome, AttemptOutcome::Canceled);
    assert_eq!(client.end_of(timed_out.attempt).await.outcome, AttemptOutcome::TimedOut);
    let pid = std::fs::read_to_string(&daemon).unwrap().trim().parse().unwrap();
    assert!(lives(pid));
    tell(&bench, "go");
    assert!(matches!(client.end_of(leaves_daemon.attempt).await.outcome, AttemptOutcome::Lost { .. }));
    assert!(!lives(pid));
}

#[tokio::test]
async fn no_command_starts_twice_however_often_the_host_is_killed() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let marks = bench.path("marks");
    let script = format!("echo $GRIDFLOW_ATTEMPT_ID >> {}; sleep 0.0$(($$ % 10))", marks.display());
    // Any seed is as good; it is printed by the assertions.
    let mut seed = Uuid::now_v7().as_u128() as u64 | 1;
    let first_seed = seed;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut attempts = Vec::new();
    for round in 0..12 {
        let launches: Vec<_> = (0..100).map(|_| sh(&script)).collect();
        attempts.extend(launches.iter().map(|launch| launch.attempt));
        client.handle.launch(launches.clone()).await.unwrap();
        // Half of the rounds die early, among the first claims, the others anywhere.
        let wanted = if round % 2 == 0 { random(5) } else { random(100) } as usize;
        let before = attempts.len() - 100;
        let seen = |client: &Client| attempts[before..].iter().filter(|id| client.started.contains_key(id)).count();
        client.until("some starts", |client| wanted <= seen(client)).await;
        bench.kill_host();
        // Two schedulers share the node; the other one asks for the same, late.
        if round % 3 == 0 {
            let other = bench.client().await;
            other.handle.launch(launches).await.unwrap();
        }
    }
    client.until("all ends", |client| attempts.iter().all(|id| client.finished.contains_key(id))).await;

    let mut starts: HashMap<AttemptId, usize> = HashMap::new();
    for line in std::fs::read_to_string(&marks).unwrap().lines() {
        *starts.entry(AttemptId(line.parse().unwrap())).or_default() += 1;
    }
    let mut lost = 0;
    for attempt in &attempts {
        let started = starts.get(attempt).copied().unwrap_or(0);
        match &client.finished[attempt].outcome {
            AttemptOutcome::Exited { code: 0 } => assert_eq!(started, 1, "seed {first_seed}"),
            AttemptOutcome::Lost { reason } if reason.contains("before it could start") => {
                assert_eq!(started, 0, "seed {first_seed}");
                lost += 1;
            }
            AttemptOutcome::Lost { .. } => {
                assert!(started <= 1, "seed {first_seed}");
                lost += 1;
            }
            other => panic!("{other:?}, seed {first_seed}"),
        }
    }
    assert!(0 < lost && lost < attempts.len(), "{lost} lost, seed {first_seed}");
}

#[tokio::test]
async fn a_second_host_of_a_state_directory_leaves_at_once() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let pid = bench.host_pid();
    for _ in 0..5 {
        host::spawn(&bench.config.host_command, bench.dir.path()).unwrap();
    }
    client.run(launch(&["true"])).await;
    assert_eq!(bench.host_pid(), pid);
}

#[tokio::test]
async fn a_host_that_nobody_needs_leaves_and_its_records_stay() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("exit 3");
    let attempt = launch.attempt;
    client.run(launch).await;
    drop(client);
    eventually("the host has left", || bench.host_pid().is_none()).await;
    let mut client = bench.client().await;
    assert_eq!(client.end_of(attempt).await.outcome, AttemptOutcome::Exited { code: 3 });
}

#[tokio::test]
async fn another_installation_is_refused_while_attempts_are_open() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("true");
    let attempt = launch.attempt;
    client.run(launch).await;
    let mut other = bench.config.clone();
    other.installation = InstallationId(Uuid::now_v7());
    match LocalExecutor::connect_or_start(other.clone()).await {
        Err(Error::Foreign { reason }) => assert!(reason.contains("another installation"), "{reason}"),
        other => panic!("{other:?}"),
    }
    client.handle.acknowledge(vec![attempt]).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while LocalExecutor::connect_or_start(other.clone()).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_stops_nobody() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut slow = UnixStream::connect(bench.path("host.sock")).unwrap();
    say(
        &mut slow,
        &serde_json::json!({"Hello": {
            "protocol": 1, "installation": bench.config.installation.0, "node": bench.config.node.0, "linger_ms": 200
        }}),
    );
    // Every one of these is answered with a record of some 200 bytes: together more than the host buffers.
    let cancel = serde_json::json!({"attempt": Uuid::nil(), "run": Uuid::nil()});
    let flood = serde_json::json!({"Cancel": {"attempts": vec![cancel; 80_000]}});
    say(&mut slow, &flood);
    assert_eq!(client.run(launch(&["true"])).await.outcome, AttemptOutcome::Exited { code: 0 });
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // Ends only when the host has hung up.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < 12 << 20);
}

#[tokio::test]
async fn garbage_on_the_socket_costs_only_that_connection() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[5, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'], &[255; 64]] {
        let mut stream = UnixStream::connect(bench.path("host.sock")).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    let mut early = UnixStream::connect(bench.path("host.sock")).unwrap();
    say(&mut early, &serde_json::json!({"Acknowledge": {"attempts": []}}));
    assert_eq!(client.run(launch(&["true"])).await.outcome, AttemptOutcome::Exited { code: 0 });
}

#[tokio::test]
async fn a_full_disk_under_the_log_is_the_commands_trouble_and_not_ours() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch_full = sh("echo a lot || exit 6");
    let log = gridflow_executor::local::log_path(bench.dir.path(), launch_full.attempt);
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", log).unwrap();
    assert_eq!(client.run(launch_full).await.outcome, AttemptOutcome::Exited { code: 6 });
    assert_eq!(client.run(launch(&["true"])).await.outcome, AttemptOutcome::Exited { code: 0 });
}

#[tokio::test]
async fn a_state_directory_with_a_very_long_path_works() {
    let mut bench = Bench::new();
    bench.config.state_dir = bench.path(&"d".repeat(120)).join("e".repeat(120));
    let mut client = bench.client().await;
    assert_eq!(client.run(launch(&["true"])).await.outcome, AttemptOutcome::Exited { code: 0 });
    drop(client);
}

#[tokio::test]
async fn a_relative_state_directory_works() {
    let mut bench = Bench::new();
    let up: std::path::PathBuf = std::env::current_dir().unwrap().iter().skip(1).map(|_| "..").collect();
    bench.config.state_dir = up.join(bench.dir.path().strip_prefix("/").unwrap());
    let mut client = bench.client().await;
    let done = client.run(sh("cat $GRIDFLOW_CONTEXT > $GRIDFLOW_OUTPUT")).await;
    assert_eq!(done.outcome, AttemptOutcome::Exited { code: 0 });
    assert!(done.output.is_some());
}

/// A disk of its own, which only root can make.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(dir: &std::path::Path) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=711", "none"]).arg(dir);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn commands_wait_while_the_disk_is_full_and_none_fails_for_it() {
    let bench = Bench::new();
    let Some(_disk) = SmallDisk::mount(bench.dir.path()) else { return };
    let mut client = bench.client().await;
    let running = until_told(&bench, "go", "exit 3");
    client.handle.launch(vec![running.clone()]).await.unwrap();
    client.start_of(running.attempt).await;
    // A command fills it; its own writes fail.
    let filling = sh("cat /dev/zero");
    assert_ne!(client.run(filling.clone()).await.outcome, AttemptOutcome::Exited { code: 0 });
    let waiting: Vec<_> = (0..20).map(|_| launch(&["true"])).collect();
    client.handle.launch(waiting.clone()).await.unwrap();
    // Long enough for a second try.
    let any_end = client.until("an end", |client| waiting.iter().any(|one| client.finished.contains_key(&one.attempt)));
    assert!(tokio::time::timeout(Duration::from_millis(1500), any_end).await.is_err());
    std::fs::remove_file(gridflow_executor::local::log_path(bench.dir.path(), filling.attempt)).unwrap();
    for launch in &waiting {
        assert_eq!(client.end_of(launch.attempt).await.outcome, AttemptOutcome::Exited { code: 0 });
    }
    tell(&bench, "go");
    assert_eq!(client.end_of(running.attempt).await.outcome, AttemptOutcome::Exited { code: 3 });
}
