//! Commands that are told to end, and those that take too long.

use anyhow::Result;
use gridflow_tests::{Executor, Ground};

pub fn a_canceled_command_is_asked_to_end_first(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a:
    grace: 30s
    env: {GOES_WITH_THE_DRIVER: unasked}
    bash: |
      . $LIBRARY
      trap 'echo asked > \"$(dirname \"$MARKS\")/asked\"; exit 0' TERM
      ${DRIVER:+kill -STOP $DRIVER}
      sleep 600 & wait
";
    let scheduler = ground.begin(tasks)?;
    ground.until_running(1, &scheduler)?;
    let unasked = ground.cluster.path("unasked");
    assert_eq!(unasked.exists(), ground.executor == Executor::Spark);
    ground.cancel()?;
    ground.until_over("failed", &scheduler)?;
    assert_eq!(ground.written("asked"), "asked\n");
    assert!(!unasked.exists(), "Spark did not end in order");
    assert_eq!(ground.cluster.sql("SELECT outcome FROM attempt")?, "canceled");
    Ok(())
}

pub fn a_canceled_command_that_does_not_listen_is_killed(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a:
    grace: 1s
    env: {GOES_WITH_THE_DRIVER: unasked}
    bash: |
      . $LIBRARY
      trap '' TERM
      ${DRIVER:+kill -STOP $DRIVER}
      sleep 600
";
    let scheduler = ground.begin(tasks)?;
    ground.until_running(1, &scheduler)?;
    ground.cancel()?;
    ground.until_over("failed", &scheduler)?;
    assert_eq!(ground.cluster.sql("SELECT outcome FROM attempt")?, "canceled");
    assert_eq!(ground.cluster.path("unasked").exists(), ground.executor == Executor::Spark);
    ground.note_that_all_are_killed()
}

pub fn a_command_that_takes_too_long_is_ended(ground: &Ground) -> Result<()> {
    let timeout = match ground.executor {
        Executor::Local | Executor::Kubernetes => "1s",
        // In which a JVM has started on a busy machine.
        Executor::Spark => "40s",
    };
    let tasks = format!(
        "tasks:
  a:
    retries: 1
    retry_delay: 100ms
    execution_timeout: {timeout}
    grace: 30s
    bash: |
      . $LIBRARY
      if test $GRIDFLOW_TRY_NUMBER -eq 1; then ${{DRIVER:+kill -STOP $DRIVER}}; sleep 600 & wait; fi
"
    );
    ground.run(&tasks, "success")?;
    assert_eq!(ground.outcomes("a")?, "timed_out, exited 0");
    Ok(())
}

pub fn what_is_canceled_before_it_starts_never_starts(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a: {bash: '. $LIBRARY; sleep 600 & wait'}
  b: {needs: a, bash: '. $LIBRARY; true'}
";
    let scheduler = ground.begin(tasks)?;
    ground.until("SELECT state FROM dag_run", "running", &scheduler)?;
    ground.cancel()?;
    ground.until_over("failed", &scheduler)?;
    let outcome = ground.cluster.sql("SELECT coalesce(string_agg(outcome, ' '), '') FROM attempt")?;
    // It may have begun: then it was asked to end.
    assert!(["", "never_started", "canceled"].contains(&outcome.as_str()), "{outcome}");
    Ok(())
}
