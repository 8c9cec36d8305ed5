//! A host that is told to leave takes its commands with it, and they are tried again.

use std::time::Duration;

use crate::support::{Bench, Client, eventually, launch, lives, sh, tell, until_told};
use gridflow_core::AttemptOutcome;
use gridflow_executor::local::{Config, Error, HostStart, Launch, LocalExecutor, stop_host};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const HOUR: Duration = Duration::from_secs(3600);

fn signal_host(bench: &Bench, signal: Signal) {
    kill(Pid::from_raw(bench.host_pid().unwrap()), signal).unwrap();
}

/// Never ends by itself, and not by SIGTERM either.
fn stubborn(grace: Duration) -> Launch {
    Launch { grace, ..sh("trap '' TERM; echo ready; while :; do sleep 0.02; done") }
}

async fn started(bench: &Bench, client: &mut Client, launch: &Launch) -> i32 {
    client.handle.launch(vec![launch.clone()]).await.unwrap();
    let pid = client.start_of(launch.attempt).await;
    if launch.argv[2].contains("ready") {
        eventually("it is ready", || bench.log_of(launch.attempt).contains("ready")).await;
    }
    pid.cast_signed()
}

async fn must_be_stopped(client: &mut Client, launch: &Launch) {
    match client.end_of(launch.attempt).await.outcome {
        AttemptOutcome::Lost { reason } => assert!(reason.contains("was stopped"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sigterm_ends_what_runs_within_its_grace_and_the_next_host_tells_how() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let bench = Bench::new();
        let mut client = bench.client().await;
        let ended = sh("exit 3");
        client.run(ended.clone()).await;
        let (polite, never_ends) =
            (sh("trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"), stubborn(Duration::from_millis(300)));
        let daemon = bench.path("daemon");
        let leaves_daemon =
            sh(&format!("setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000' & sleep 1000", daemon.display()));
        let mut pids = Vec::new();
        for launch in [&polite, &never_ends, &leaves_daemon] {
            pids.push(started(&bench, &mut client, launch).await);
        }
        eventually("the daemon runs", || daemon.exists()).await;
        pids.push(std::fs::read_to_string(&daemon).unwrap().trim().parse().unwrap());
        let first = bench.host_pid();
        signal_host(&bench, signal);
        client.until("the next host", |client| client.synced == 2).await;
        assert_ne!(bench.host_pid(), first);
        assert!(!pids.into_iter().any(lives));
        for launch in [&polite, &never_ends, &leaves_daemon] {
            must_be_stopped(&mut client, launch).await;
        }
        assert_eq!(client.finished[&ended.attempt].outcome, AttemptOutcome::Exited { code: 3 });
    }
}

#[tokio::test]
async fn sighup_is_none_of_the_hosts_business() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let running = until_told(&bench, "go", "exit 7");
    started(&bench, &mut client, &running).await;
    signal_host(&bench, Signal::SIGHUP);
    tell(&bench, "go");
    assert_eq!(client.end_of(running.attempt).await.outcome, AttemptOutcome::Exited { code: 7 });
    assert_eq!(client.synced, 1);
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait_for_any_grace() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = stubborn(HOUR);
    let pid = started(&bench, &mut client, &launch).await;
    signal_host(&bench, Signal::SIGTERM);
    eventually("it is being ended", || bench.host_log().contains("asked to leave")).await;
    assert!(lives(pid));
    signal_host(&bench, Signal::SIGTERM);
    must_be_stopped(&mut client, &launch).await;
    assert!(!lives(pid));
}

#[tokio::test]
async fn a_stop_with_a_grace_of_its_own_cuts_longer_ones_short_also_of_what_was_canceled_before() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let (running, canceled) = (stubborn(HOUR), stubborn(HOUR));
    for launch in [&running, &canceled] {
        started(&bench, &mut client, launch).await;
    }
    client.handle.cancel(vec![(canceled.run, canceled.attempt)]).await.unwrap();
    client.run(launch(&["true"])).await;
    drop(client);
    let grace = Some(Duration::from_millis(100));
    let stopping = stop_host(bench.dir.path(), &bench.config.host_command, grace).await.unwrap().unwrap();
    assert_eq!(stopping.commands, 2);
    stopping.wait().await;
    assert_eq!(bench.host_pid(), None);

    let mut client = bench.client().await;
    must_be_stopped(&mut client, &running).await;
    assert_eq!(client.end_of(canceled.attempt).await.outcome, AttemptOutcome::Canceled);
}

#[tokio::test]
async fn commands_of_a_killed_host_are_stopped_too() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = stubborn(Duration::from_millis(100));
    let pid = started(&bench, &mut client, &launch).await;
    drop(client);
    bench.kill_host();
    eventually("the host is dead", || bench.host_pid().is_none()).await;
    assert!(lives(pid));
    let stopping = stop_host(bench.dir.path(), &bench.config.host_command, None).await.unwrap().unwrap();
    assert_eq!(stopping.commands, 1);
    stopping.wait().await;
    assert!(!lives(pid));
    must_be_stopped(&mut bench.client().await, &launch).await;
}

#[tokio::test]
async fn where_nothing_ever_ran_nothing_is_stopped_or_started() {
    let bench = Bench::new();
    assert!(stop_host(bench.dir.path(), &bench.config.host_command, None).await.unwrap().is_none());
    assert_eq!(bench.host_pid(), None);
}

#[tokio::test]
async fn a_client_of_a_host_service_starts_none_and_finds_the_one_that_comes() {
    let mut bench = Bench::new();
    let config = Config { host_start: HostStart::Never, ..bench.config.clone() };
    match LocalExecutor::connect_or_start(config.clone()).await {
        Err(Error::Missing { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.host_pid(), None);
    let mut service = std::process::Command::new(&bench.config.host_command[0])
        .args(["--stay", "--state-dir"])
        .arg(bench.dir.path())
        .spawn()
        .unwrap();
    bench.config = config;
    let mut client = bench.client().await;
    assert_eq!(client.run(sh("exit 3")).await.outcome, AttemptOutcome::Exited { code: 3 });
    assert_eq!(bench.host_pid(), Some(service.id().cast_signed()));
    client.handle.acknowledge(client.finished.keys().copied().collect()).await.unwrap();
    drop(client);
    // Longer than it would stay otherwise, and it is still there for the next one.
    assert!(
        tokio::time::timeout(Duration::from_secs(1), eventually("it leaves", || bench.host_pid().is_none()))
            .await
            .is_err()
    );
    kill(Pid::from_raw(service.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(service.wait().unwrap().success());
}
