//! What the end of an attempt does to its task instance, its downstreams and its run.

mod common;

use std::sync::Arc;

use common::{
    Fixture, plan_of,
    stage::{Stage, finished},
};
use gridflow_core::{Event, Output, WorldConfig};
use insta::assert_snapshot;

#[test]
fn a_failed_upstream_fails_its_downstream() {
    assert_snapshot!(plan_of("
        extract         : running
        load <- extract : none
    ", "extract failed"), @r"
    extract: running -> failed (exit code 1)
    load: none -> upstream_failed
    attempt extract 1: running -> closed
    run: running -> failed
    ");
}

#[test]
fn a_success_queues_the_downstream_in_the_same_turn() {
    assert_snapshot!(plan_of("
        extract         : running
        load <- extract
    ", "extract succeeded"), @r"
    extract: running -> success
    load: none -> queued
    attempt extract 1: running -> closed
    attempt load 1: new -> queued
    ");
}

#[test]
fn a_report_of_the_end_without_one_of_the_start_is_enough() {
    assert_snapshot!(plan_of("extract : queued", "extract succeeded"), @r"
    extract: queued -> success
    attempt extract 1: queued -> closed
    run: running -> success
    ");
}

#[test]
fn exit_code_99_skips_and_the_skip_spreads() {
    assert_snapshot!(plan_of("
        extract : running
        load <- extract
        report <- load ; none_failed
    ", "extract skipped"), @r"
    extract: running -> skipped
    load: none -> skipped
    report: none -> queued
    attempt extract 1: running -> closed
    attempt report 1: new -> queued
    ");
}

#[test]
fn empty_tasks_run_through_in_one_turn() {
    assert_snapshot!(plan_of("
        a : running
        b <- a ; empty
        c <- b ; empty
    ", "a succeeded"), @r"
    a: running -> success
    b: none -> success
    c: none -> success
    attempt a 1: running -> closed
    run: running -> success
    ");
}

#[test]
fn a_failure_with_tries_left_waits_for_its_delay_and_then_runs_again() {
    let mut run = Fixture::new("a : running ; retries=1, delay=30");
    assert_snapshot!(run.turn("a failed"), @r"
    a: running -> up_for_retry (retry in 30 s)
    attempt a 1: running -> closed
    ");
    assert_snapshot!(run.turn("after 29"), @"nothing");
    assert_snapshot!(run.turn("after 1"), @r"
    a: up_for_retry -> queued
    attempt a 2: new -> queued
    ");
    assert_snapshot!(run.turn("a failed"), @r"
    a: queued -> failed (exit code 1)
    attempt a 2: queued -> closed
    run: running -> failed
    ");
}

#[test]
fn a_lost_attempt_does_not_use_a_try_of_the_task() {
    let mut run = Fixture::new("a : running ; retries=0");
    assert_snapshot!(run.turn("a lost"), @r"
    a: running -> queued
    attempt a 1: running -> closed
    attempt a 2: new -> queued
    ");
    assert_snapshot!(run.turn("a started"), @r"
    a: queued -> running
    attempt a 2: queued -> running
    ");
    assert_snapshot!(run.turn("a lost"), @r"
    a: running -> queued
    attempt a 2: running -> closed
    attempt a 3: new -> queued
    ");
    assert_snapshot!(run.turn("a lost"), @r"
    a: queued -> queued
    attempt a 3: queued -> closed
    attempt a 4: new -> queued
    ");
    assert_snapshot!(run.turn("a lost"), @r"
    a: queued -> failed (lost: its host died (given up after 4 losses))
    attempt a 4: queued -> closed
    run: running -> failed
    ");
}

#[test]
fn a_canceled_run_stops_what_runs_and_skips_the_rest() {
    let mut run = Fixture::new(
        "
        a : running
        b : queued
        c : up_for_retry
        d <- a
    ",
    );
    assert_snapshot!(run.turn("cancel"), @r"
    a: running -> failed (canceled)
    b: queued -> failed (canceled)
    c: up_for_retry -> skipped
    d: none -> skipped
    attempt a 1: running -> canceling
    attempt b 1: queued -> canceling
    run: running -> failed (canceled)
    ");
    assert_snapshot!(run.turn("a canceled"), @"attempt a 1: canceling -> closed");
}

#[test]
fn a_run_that_lasts_too_long_fails_and_its_unfinished_tasks_are_skipped() {
    let mut run = Fixture::new(
        "
        dag dagrun_timeout=600
        a : running
        b <- a
    ",
    );
    assert_snapshot!(run.turn("after 599"), @"nothing");
    assert_snapshot!(run.turn("after 1"), @r"
    a: running -> skipped
    b: none -> skipped
    attempt a 1: running -> canceling
    run: running -> failed (timed_out)
    ");
}

#[test]
fn fail_fast_stops_the_rest_at_the_first_failure() {
    assert_snapshot!(plan_of("
        dag fail_fast
        a : running
        b : running
        c : queued
        d <- b
        e <- a ; all_done
    ", "a failed"), @r"
    a: running -> failed (exit code 1)
    e: none -> skipped
    b: running -> failed (fail_fast)
    c: queued -> skipped
    d: none -> skipped
    attempt a 1: running -> closed
    attempt b 1: running -> canceling
    attempt c 1: queued -> canceling
    run: running -> failed
    ");
}

#[test]
fn a_failed_task_in_the_middle_does_not_fail_a_run_whose_leaf_succeeds() {
    assert_snapshot!(plan_of("
        a : failed
        b <- a : running ; all_done
    ", "b succeeded"), @r"
    b: running -> success
    attempt b 1: running -> closed
    run: running -> success
    ");
}

#[test]
fn a_finished_pool_slot_goes_to_the_next_of_highest_weight() {
    assert_snapshot!(plan_of("
        dag max_active_tasks=1
        a : running
        b : scheduled
        c : scheduled ; weight=5
    ", "a succeeded"), @r"
    a: running -> success
    c: scheduled -> queued
    attempt a 1: running -> closed
    attempt c 1: new -> queued
    ");
}

#[test]
fn only_the_output_of_the_last_try_counts() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a : none ; retries=1, delay=30");
    stage.run("d", 1);
    let ends_with_output = |stage: &mut Stage, code| {
        let order = stage.launched.remove(0);
        let mut event = finished(&order, code, stage.now);
        if let Event::AttemptFinished { output, .. } = &mut event {
            *output = Some(Output { value: Arc::new(code.into()), bytes: 1 });
        }
        stage.turn(vec![event]).xcoms
    };
    assert_eq!(ends_with_output(&mut stage, 1), [], "it is tried again");
    stage.now += chrono::TimeDelta::seconds(30);
    stage.turn(vec![Event::TimersDue]);
    // Also that of a failure, if nothing comes after it.
    let values: Vec<_> = ends_with_output(&mut stage, 1).into_iter().map(|xcom| xcom.output.value).collect();
    assert_eq!(values, [Arc::new(1.into())]);
}
