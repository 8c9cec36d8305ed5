//! The API server and what it stands on.

use std::thread;

use anyhow::Result;
use gridflow_testkit::kubernetes::Part;
use gridflow_tests::Ground;

use crate::{MANY, WAITS, alone_for_long, ends_well, go, many_that_wait};

#[test]
fn a_restart_of_the_api_server_is_not_noticed_by_what_runs() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(&many_that_wait())?;
        ground.until_running(4, &scheduler)?;
        go(&ground)?;
        kubernetes.stop(Part::ApiServer)?;
        kubernetes.start(Part::ApiServer)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn an_api_server_that_is_killed_again_and_again_costs_time_alone() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(MANY)?;
        ground.until_started(1, &scheduler)?;
        for started in [2, 6, 10] {
            ground.until_started(started, &scheduler)?;
            kubernetes.kill(Part::ApiServer)?;
            kubernetes.start(Part::ApiServer)?;
        }
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn what_ends_while_there_is_no_api_server_is_collected_afterwards() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        kubernetes.kill(Part::ApiServer)?;
        go(&ground)?;
        ground.until_ended(1)?;
        kubernetes.start(Part::ApiServer)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_watch_from_before_what_the_api_server_remembers_begins_with_a_list_again() -> Result<()> {
    alone_for_long(|kubernetes| {
        let (ground, wire) = Ground::wired(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        ground.until("SELECT count(*) FROM attempt WHERE state = 'running'", "1", &scheduler)?;
        wire.refuse();
        go(&ground)?;
        ground.until_ended(1)?;
        // From here on it remembers nothing of what the watch has seen.
        kubernetes.stop(Part::ApiServer)?;
        kubernetes.start(Part::ApiServer)?;
        wire.heal();
        ends_well(&ground, &scheduler)?;
        let log = scheduler.log();
        assert!(log.contains("what was seen of pods is too old to go on from"), "{log}");
        Ok(())
    })
}

#[test]
fn without_etcd_everything_waits_and_then_goes_on() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(&many_that_wait())?;
        ground.until_running(4, &scheduler)?;
        kubernetes.stop(Part::Etcd)?;
        // Those that run end meanwhile.
        go(&ground)?;
        ground.until_ended(5)?;
        kubernetes.start(Part::Etcd)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_takeover_while_there_is_no_api_server_loses_and_doubles_nothing() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let first = ground.begin(WAITS)?;
        ground.until_running(1, &first)?;
        kubernetes.kill(Part::ApiServer)?;
        first.kill()?;
        let second = ground.scheduler("second")?;
        ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &second)?;
        go(&ground)?;
        ground.until_ended(1)?;
        // Restarted by somebody, while its successor waits for it.
        let starting = thread::scope(|scope| scope.spawn(|| kubernetes.start(Part::ApiServer)).join());
        starting.expect("a test that panics has said why")?;
        ends_well(&ground, &second)
    })
}
