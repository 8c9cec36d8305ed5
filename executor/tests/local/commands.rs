//! Local commands, one at a time: how they start, what they find, how they end.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{self, Bench, eventually, file, launch, lives, sh, tell, until_told};
use gridflow_core::AttemptOutcome;
use gridflow_executor::local::{Config, upgrade_host};

#[tokio::test]
async fn exit_codes_signals_and_usage_are_reported() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    assert_eq!(client.run(launch(&["true"])).await.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(client.run(sh("exit 99")).await.outcome, AttemptOutcome::Exited { code: 99 });
    assert_eq!(client.run(sh("kill -9 $$")).await.outcome, AttemptOutcome::Signaled { signal: 9 });
    let busy = client.run(sh("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")).await;
    assert!(0 < busy.usage.cpu_user_ms, "{:?}", busy.usage);
    assert!(100_000 < busy.usage.rss_peak_bytes, "{:?}", busy.usage);
}

#[tokio::test]
async fn stdout_and_stderr_go_to_the_log_in_order() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("echo one; echo two >&2; echo three; cat");
    let attempt = launch.attempt;
    assert_eq!(client.run(launch).await.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(bench.log_of(attempt), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn the_environment_is_exactly_the_promised_one() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut launch = launch(&["env"]);
    launch.env = BTreeMap::from([("MINE".into(), "a b\nc".into())]);
    launch.traceparent = Some("00-1-2-01".into());
    let attempt = launch.attempt;
    client.run(launch).await;
    let text = bench.log_of(attempt);
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "AIRFLOW_CTX_DAG_ID",
            "AIRFLOW_CTX_DAG_OWNER",
            "AIRFLOW_CTX_DAG_RUN_ID",
            "AIRFLOW_CTX_LOGICAL_DATE",
            "AIRFLOW_CTX_TASK_ID",
            "AIRFLOW_CTX_TRY_NUMBER",
            "GRIDFLOW_ATTEMPT_ID",
            "GRIDFLOW_CONTEXT",
            "GRIDFLOW_DAG_ID",
            "GRIDFLOW_LOGICAL_DATE",
            "GRIDFLOW_MAP_INDEX",
            "GRIDFLOW_OUTPUT",
            "GRIDFLOW_RUN_ID",
            "GRIDFLOW_TASK_ID",
            "GRIDFLOW_TRY_NUMBER",
            "LC_ALL",
            "MINE",
            "PATH",
            "TRACEPARENT",
        ]
    );
    assert!(text.contains("MINE=a b\nc\n") && text.contains(&format!("GRIDFLOW_ATTEMPT_ID={attempt}\n")), "{text}");
}

#[tokio::test]
async fn a_command_inherits_no_descriptors_signals_or_session() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("ls /proc/self/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'; \
                     cut -d' ' -f5,6 /proc/$$/stat; echo $$");
    let attempt = launch.attempt;
    client.run(launch).await;
    let log = bench.log_of(attempt);
    let lines: Vec<&str> = log.lines().collect();
    // 3 is the folder that `ls` reads.
    let expected = "0 1 2 3 SigBlk:0000000000000000SigIgn:0000000000000000";
    assert!(lines[0].starts_with(expected), "{log}");
    let session = lines[0][expected.len()..].to_owned();
    assert_eq!(session, format!("{0} {0}", lines[1]));
}

#[tokio::test]
async fn files_and_context_are_there_and_gone_once_acknowledged() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut launch = launch(&["./jobs/run.sh"]);
    launch.files = vec![
        file("jobs/run.sh", "#!/bin/sh\ncat data/in.txt \"$GRIDFLOW_CONTEXT\"; pwd\n"),
        file("data/in.txt", "in "),
    ];
    let attempt = launch.attempt;
    assert_eq!(client.run(launch).await.outcome, AttemptOutcome::Exited { code: 0 });
    let log = bench.log_of(attempt);
    assert!(log.starts_with("in {\"params\":{\"x\":1}}/"), "{log}");
    let scratch = log.trim().rsplit('}').next().unwrap().to_owned();
    assert!(std::path::Path::new(&scratch).is_dir());
    client.handle.acknowledge(vec![attempt]).await.unwrap();
    eventually("the working folder is gone", || !std::path::Path::new(&scratch).exists()).await;
}

#[tokio::test]
async fn the_output_comes_back_as_json() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let value = |finished: &support::Finished| finished.output.as_ref().map(|output| (*output.value).clone());
    let done = client.run(sh("echo '{\"rows\": 3}' > $GRIDFLOW_OUTPUT")).await;
    assert_eq!(value(&done), Some(serde_json::json!({"rows": 3})));
    let done = client.run(sh("echo '[1]' > $GRIDFLOW_OUTPUT; exit 3")).await;
    assert_eq!(
        (done.outcome.clone(), value(&done)),
        (AttemptOutcome::Exited { code: 3 }, Some(serde_json::json!([1])))
    );
    let done = client.run(sh(": > $GRIDFLOW_OUTPUT")).await;
    assert_eq!((done.outcome.clone(), value(&done)), (AttemptOutcome::Exited { code: 0 }, None));
}

#[tokio::test]
async fn an_unusable_output_fails_a_success_and_says_why() {
    let mut bench = Bench::new();
    bench.config.output_bytes_max = 100;
    let mut client = bench.client().await;
    let cases = [
        ("echo hello > $GRIDFLOW_OUTPUT", "is not JSON"),
        ("printf '\"%0200d\"' 1 > $GRIDFLOW_OUTPUT", "has 202 bytes, the limit is 100"),
        ("ln -s /etc/passwd $GRIDFLOW_OUTPUT", "cannot open the output"),
        ("mkfifo $GRIDFLOW_OUTPUT", "is no plain file"),
        ("mkdir $GRIDFLOW_OUTPUT", "is no plain file"),
    ];
    for (script, expected) in cases {
        match client.run(sh(script)).await.outcome {
            AttemptOutcome::OutputInvalid { message } => assert!(message.contains(expected), "{script}: {message}"),
            other => panic!("{script}: {other:?}"),
        }
        let failed = client.run(sh(&format!("{script}; exit 4"))).await;
        assert_eq!((failed.outcome, failed.output), (AttemptOutcome::Exited { code: 4 }, None), "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_what_to_do() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let with = |argv: &[&str], text: &str| {
        let mut launch = launch(argv);
        launch.files = vec![file("script", text)];
        launch
    };
    let cases = [
        (launch(&["no-such-program"]), "no such program in the task's PATH `/usr/local/bin:/usr/bin:/bin`"),
        (launch(&["./nothing"]), "no such file"),
        (launch(&[]), "the command is empty"),
        (launch(&["echo", "a\0b"]), "NUL byte"),
        (with(&["./script"], "#!/no/such/python\n"), "its interpreter `/no/such/python`"),
        (with(&["./script"], "#!/bin/sh\r\necho\r\n"), "its interpreter `/bin/sh\\r`"),
        (with(&["./script"], "echo\n"), "not a program of this machine"),
        (launch(&["/etc/passwd"]), "is not executable"),
        (launch(&["echo", &"x".repeat(200_000)]), "hand large values over in a file"),
    ];
    for (launch, expected) in cases {
        let argv = format!("{:.60?}", launch.argv);
        match client.run(launch).await.outcome {
            AttemptOutcome::SpawnFailed { message } => assert!(message.contains(expected), "{argv}: {message}"),
            other => panic!("{argv}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_daemon_that_was_left_behind_is_ended_before_the_end_is_reported() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let pid_file = bench.path("daemon.pid");
    let daemon = format!("setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 1000' &", pid_file.display());
    let mut launch = sh(&format!("({daemon}) ; while [ ! -e {} ]; do sleep 0.01; done; exit 5", pid_file.display()));
    launch.grace = Duration::from_secs(5);
    let done = client.run(launch).await;
    assert_eq!(done.outcome, AttemptOutcome::Exited { code: 5 });
    let pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    assert!(!lives(pid));
}

#[tokio::test]
async fn a_daemon_that_ignores_sigterm_and_one_that_wiped_its_environment_are_killed() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    for wrapper in ["setsid sh -c", "env -i sh -c"] {
        let pid_file = bench.path(&format!("{}.pid", wrapper.len()));
        let script = format!(
            "{wrapper} 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done' & \
             while [ ! -e {0} ]; do sleep 0.01; done",
            pid_file.display()
        );
        let mut launch = sh(&script);
        launch.grace = Duration::from_millis(200);
        let done = client.run(launch).await;
        assert_eq!(done.outcome, AttemptOutcome::Exited { code: 0 });
        let pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        assert!(!lives(pid), "{wrapper}");
    }
}

#[tokio::test]
async fn a_cancel_ends_the_whole_group_after_the_grace() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let polite = sh("sleep 1000 & sleep 1000");
    let mut stubborn = sh("trap '' TERM; while :; do sleep 0.05; done");
    stubborn.grace = Duration::from_millis(200);
    for launch in [polite, stubborn] {
        let (run, attempt) = (launch.run, launch.attempt);
        client.handle.launch(vec![launch]).await.unwrap();
        client.start_of(attempt).await;
        client.handle.cancel(vec![(run, attempt)]).await.unwrap();
        assert_eq!(client.end_of(attempt).await.outcome, AttemptOutcome::Canceled);
    }
}

#[tokio::test]
async fn a_stopped_command_can_be_canceled() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("kill -STOP $$; sleep 1000");
    let (run, attempt) = (launch.run, launch.attempt);
    client.handle.launch(vec![launch]).await.unwrap();
    client.start_of(attempt).await;
    client.handle.cancel(vec![(run, attempt)]).await.unwrap();
    assert_eq!(client.end_of(attempt).await.outcome, AttemptOutcome::Canceled);
}

#[tokio::test]
async fn the_execution_timeout_ends_a_command() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut launch = sh("echo '1' > $GRIDFLOW_OUTPUT; sleep 1000");
    launch.execution_timeout = Some(Duration::from_millis(300));
    let done = client.run(launch).await;
    assert_eq!(done.outcome, AttemptOutcome::TimedOut);
    assert_eq!(done.output.map(|output| output.bytes), Some(2));
}

#[tokio::test]
async fn a_cancel_before_the_launch_keeps_it_from_starting() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mark = bench.path("mark");
    let launch = sh(&format!("touch {}", mark.display()));
    let attempt = launch.attempt;
    client.handle.cancel(vec![(launch.run, attempt)]).await.unwrap();
    assert_eq!(client.end_of(attempt).await.outcome, AttemptOutcome::NeverStarted);
    client.finished.clear();
    assert_eq!(client.run(launch).await.outcome, AttemptOutcome::NeverStarted);
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_launch_that_is_asked_for_again_and_by_others_starts_once() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut other = bench.client().await;
    let marks = bench.path("marks");
    let launch = sh(&format!("echo $GRIDFLOW_ATTEMPT_ID >> {}", marks.display()));
    let attempt = launch.attempt;
    client.handle.launch(vec![launch.clone(), launch.clone()]).await.unwrap();
    other.handle.launch(vec![launch.clone()]).await.unwrap();
    client.end_of(attempt).await;
    other.end_of(attempt).await;
    client.handle.acknowledge(vec![attempt]).await.unwrap();
    // Also after the end was committed.
    let mut third = bench.client().await;
    assert_eq!(third.run(launch).await.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(std::fs::read_to_string(marks).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn an_attempt_that_comes_with_another_spec_keeps_its_one_start_and_always_gets_an_end() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let marks = bench.path("marks");
    let launch = sh(&format!("echo x >> {}", marks.display()));
    assert_eq!(client.run(launch.clone()).await.outcome, AttemptOutcome::Exited { code: 0 });
    let changed = gridflow_executor::local::Launch { spec_hash: [8; 32], ..launch.clone() };

    // Nobody has committed its end: another version of the program may render it differently.
    let mut other = bench.client().await;
    assert_eq!(other.run(changed.clone()).await.outcome, AttemptOutcome::Exited { code: 0 });
    other.handle.acknowledge(vec![launch.attempt]).await.unwrap();

    // Committed, and yet launched again: the database forgot it.
    let mut third = client_that_is_not_told(&bench, launch.attempt).await;
    match third.run(changed).await.outcome {
        AttemptOutcome::Lost { reason } => assert!(reason.contains("another spec"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_to_string(marks).unwrap().lines().count(), 1);
}

/// Once the host has heard that the end is committed.
async fn client_that_is_not_told(bench: &Bench, attempt: gridflow_core::AttemptId) -> support::Client {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    loop {
        let mut client = bench.client().await;
        client.until("the full report", |client| client.synced == 1).await;
        if !client.finished.contains_key(&attempt) {
            return client;
        }
        assert!(tokio::time::Instant::now() < deadline, "the end is never committed");
    }
}

#[tokio::test]
async fn a_command_that_prints_a_lot_is_not_slowed_down_by_us() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let launch = sh("head -c 200000000 /dev/zero");
    let attempt = launch.attempt;
    assert_eq!(client.run(launch).await.outcome, AttemptOutcome::Exited { code: 0 });
    let path = gridflow_executor::local::log_path(bench.dir.path(), attempt);
    assert_eq!(std::fs::metadata(path).unwrap().len(), 200_000_000);
}

#[tokio::test]
async fn another_user_runs_the_command_where_we_may_switch() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut launch = sh("id -un; id -gn; echo $HOME $USER; touch here; echo '{}' > $GRIDFLOW_OUTPUT; cat in/a.txt");
    launch.run_as = Some("nobody".into());
    launch.files = vec![file("in/a.txt", "text\n")];
    let attempt = launch.attempt;
    let done = client.run(launch).await;
    if nix::unistd::geteuid().is_root() {
        assert_eq!(done.outcome, AttemptOutcome::Exited { code: 0 }, "{}", bench.log_of(attempt));
        assert!(done.output.is_some());
        assert_eq!(bench.log_of(attempt), "nobody\nnogroup\n/nonexistent nobody\ntext\n");
    } else {
        match done.outcome {
            AttemptOutcome::SpawnFailed { message } => assert!(message.contains("run_as"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    let mut launch = sh("true");
    launch.run_as = Some("no-such-user".into());
    match client.run(launch).await.outcome {
        AttemptOutcome::SpawnFailed { message } => assert!(message.contains("does not exist"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_prepared_fails_and_says_why() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let mut outside = sh("true");
    outside.files = vec![file("../outside", "")];
    let mut twice = sh("true");
    twice.files = vec![file("a", ""), file("a", "")];
    let mut huge = sh("true");
    huge.env = BTreeMap::from([("X".into(), "x".repeat(20 << 20))]);
    let no_log = sh("true");
    let log = gridflow_executor::local::log_path(bench.dir.path(), no_log.attempt);
    std::fs::create_dir_all(log).unwrap();
    let cases = [
        (outside, "outside of the task's working directory"),
        (twice, "File exists"),
        (huge, "hand large values over in a file"),
        (no_log, "cannot create the log"),
    ];
    for (launch, expected) in cases {
        match client.run(launch).await.outcome {
            AttemptOutcome::SpawnFailed { message } => assert!(message.contains(expected), "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// A tree of control groups like the one systemd hands to a service with `Delegate=yes`. Only root can make one.
struct DelegatedGroup(std::path::PathBuf);

impl DelegatedGroup {
    fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
        let path = std::path::Path::new(mount).join(format!("gridflow-test-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        xattr::set(&path, "user.delegate", b"1").unwrap();
        Some(Self(path))
    }
}

impl Drop for DelegatedGroup {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        let host = self.0.join("host");
        let deadline = std::time::Instant::now() + support::PATIENCE;
        while host.exists() && std::fs::remove_dir(&host).is_err() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        while std::fs::remove_dir(&self.0).is_err() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn with_control_groups_even_a_daemon_that_wiped_everything_is_ended() {
    let Some(group) = DelegatedGroup::make() else { return eprintln!("skipped: no control group can be made here") };
    let mut bench = Bench::new();
    let host = bench.config.host_command.remove(0);
    let join = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", group.0.display());
    bench.config.host_command = vec!["/bin/sh".into(), "-c".into(), join.into(), host];
    let mut client = bench.client().await;

    assert_eq!(client.run(sh("exit 5")).await.outcome, AttemptOutcome::Exited { code: 5 });
    assert!(matches!(client.run(launch(&["./no"])).await.outcome, AttemptOutcome::SpawnFailed { .. }));
    let pid_file = bench.path("daemon.pid");
    let mut launch = sh(&format!(
        "(env -i setsid sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done' &) ; \
         while [ ! -e {0} ]; do sleep 0.01; done; cat /proc/self/cgroup",
        pid_file.display()
    ));
    launch.grace = Duration::from_millis(200);
    let attempt = launch.attempt;
    assert_eq!(client.run(launch).await.outcome, AttemptOutcome::Exited { code: 0 });
    let log = bench.log_of(attempt);
    assert!(log.contains(&format!("attempt-{attempt}")), "{log}");
    let pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    assert!(!lives(pid));
    let groups = std::fs::read_dir(&group.0).unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_dir());
    assert_eq!(groups.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["host"], "the host's own is left");
    let own = std::fs::read_to_string(group.0.join("host/cgroup.procs")).unwrap();
    assert_eq!(own.trim(), bench.host_pid().unwrap().to_string());

    // What is left ends long before it would be killed, and that is told by the kernel and not seen by looking.
    let mut polite = sh("(setsid sh -c 'trap \"sleep 0.3; exit\" TERM; echo ready; while :; do sleep 0.02; done' &); \
                         until grep -q ready /proc/self/fd/1; do sleep 0.02; done");
    polite.grace = Duration::from_secs(3600);
    assert_eq!(client.run(polite).await.outcome, AttemptOutcome::Exited { code: 0 });

    // Another program, in the same group, finds its attempts there and moves no further.
    let running = until_told(&bench, "go", "setsid sleep 1000 & exit 7");
    client.handle.launch(vec![running.clone()]).await.unwrap();
    client.start_of(running.attempt).await;
    let host = bench.config.host_command.last().unwrap().clone();
    let copy = bench.path("new build");
    assert!(std::process::Command::new("cp").arg(host).arg(&copy).status().unwrap().success());
    let other = Config { host_command: vec![copy.into()], ..bench.config.clone() };
    upgrade_host(&other).await.unwrap();
    tell(&bench, "go");
    assert_eq!(client.end_of(running.attempt).await.outcome, AttemptOutcome::Exited { code: 7 });
    let own = std::fs::read_to_string(group.0.join("host/cgroup.procs")).unwrap();
    assert_eq!(own.trim(), bench.host_pid().unwrap().to_string());
}
