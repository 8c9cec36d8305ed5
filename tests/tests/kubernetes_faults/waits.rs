//! Why a pod does not begin, or does not end, said where people look.

use anyhow::Result;
use gridflow_tests::{Ground, Program, Web, check::Losses};
use serde_json::json;

use crate::{WAITS, beside_others, ends_well, go};

/// Waits until somebody who asks is told so of the one open attempt: at once by the database, then by another process.
fn is_told(ground: &Ground, scheduler: &Program, says_so: impl Fn(&str) -> bool, has_started: bool) -> Result<()> {
    let waits = format!("SELECT waits FROM attempt WHERE is_open AND waits_started = {has_started}");
    ground.until_true("the reason", scheduler, || Ok(says_so(&ground.cluster.sql(&waits)?)))?;
    let web = Web::start(&ground.cluster, "web")?;
    let tasks = web.ask(&["tasks", "list", "d", "one"])?;
    assert!(tasks[0]["reason"].as_str().is_some_and(says_so), "{tasks}");
    Ok(())
}

fn is_told_no_more(ground: &Ground, scheduler: &Program) -> Result<()> {
    ground.until("SELECT count(*) FROM attempt WHERE is_open AND waits IS NOT NULL", "0", scheduler)
}

#[test]
fn a_pod_whose_image_does_not_exist_says_so_where_people_look() -> Result<()> {
    const NO_IMAGE: &str =
        "tasks:\n  a: {bash: '. $LIBRARY; true', kubernetes: {image: 'localhost:1/nobody/has:this'}}\n";
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(NO_IMAGE)?;
        let says_so = |reason: &str| reason.contains("the image can't be pulled") && reason.contains("given up at");
        is_told(&ground, &scheduler, says_so, false)?;
        let web = Web::start(&ground.cluster, "later")?;
        ground.cancel()?;
        ground.until_over("failed", &scheduler)?;
        let tasks = web.ask(&["tasks", "list", "d", "one"])?;
        assert!(!tasks[0]["reason"].as_str().is_some_and(says_so), "it waits for nothing any more: {tasks}");
        ground.check_with(Losses::Expected)
    })
}

#[test]
fn a_volume_that_can_not_be_mounted_is_said_until_it_can() -> Result<()> {
    const NEEDS_SECRET: &str = "tasks:
  a:
    bash: '. $LIBRARY; test -e /late/word'
    kubernetes:
      volumes: [{name: late, secret: {secretName: late}}]
      volume_mounts: [{name: late, mountPath: /late}]
";
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(NEEDS_SECRET)?;
        let says_so = |reason: &str| reason.contains("its node can't start it: FailedMount") && reason.contains("late");
        is_told(&ground, &scheduler, says_so, false)?;
        ground.pods().namespace.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"word": "x"},
        }))?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_namespace_that_can_not_be_watched_is_said_of_what_runs_there() -> Result<()> {
    beside_others(|kubernetes| {
        let (ground, wire) = Ground::wired(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        ground.until("SELECT count(*) FROM attempt WHERE state = 'running'", "1", &scheduler)?;
        wire.refuse();
        is_told(&ground, &scheduler, |reason| reason.contains("can't be watched now"), true)?;
        wire.heal();
        is_told_no_more(&ground, &scheduler)?;
        go(&ground)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn an_attempt_whose_namespace_was_taken_out_of_the_file_says_so_until_it_is_back() -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let first = ground.begin(WAITS)?;
        ground.until_running(1, &first)?;
        ground.until("SELECT count(*) FROM attempt WHERE state = 'running'", "1", &first)?;
        first.kill()?;
        let namespace = ground.pods().namespace.name();
        ground.pods().rename_namespace(namespace, "default")?;
        let second = ground.scheduler("second")?;
        is_told(&ground, &second, |reason| reason.contains("the clusters file does not name any more"), true)?;
        second.kill()?;
        ground.pods().rename_namespace("default", namespace)?;
        let third = ground.scheduler("third")?;
        is_told_no_more(&ground, &third)?;
        go(&ground)?;
        ends_well(&ground, &third)
    })
}
