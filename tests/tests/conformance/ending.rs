//! How commands end, and what becomes of their tasks.

use anyhow::Result;
use gridflow_tests::{Executor, Ground};

pub fn a_command_that_ends_well_is_a_success(ground: &Ground) -> Result<()> {
    ground.run("tasks:\n  a: {bash: '. $LIBRARY; true'}\n  b: {needs: a, bash: '. $LIBRARY; true'}\n", "success")?;
    assert_eq!(ground.outcomes("a")?, "exited 0");
    assert_eq!(ground.outcomes("b")?, "exited 0");
    Ok(())
}

pub fn the_exit_code_of_a_command_is_told(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  one: {bash: '. $LIBRARY; exit 1'}
  seven: {bash: '. $LIBRARY; exit 7'}
  most: {bash: '. $LIBRARY; exit 255'}
  after: {needs: seven, bash: '. $LIBRARY; true'}
  anyway: {needs: seven, trigger_rule: all_done, bash: '. $LIBRARY; true'}
";
    ground.run(tasks, "failed")?;
    assert_eq!(ground.outcomes("one")?, "exited 1");
    assert_eq!(ground.outcomes("seven")?, "exited 7");
    assert_eq!(ground.outcomes("most")?, "exited 255");
    assert_eq!(ground.outcomes("after")?, "", "its upstream failed");
    assert_eq!(ground.outcomes("anyway")?, "exited 0");
    Ok(())
}

pub fn a_command_that_kills_itself_fails(ground: &Ground) -> Result<()> {
    ground.run("tasks:\n  a: {bash: 'kill -KILL $$'}\n", "failed")?;
    let outcome = ground.cluster.sql("SELECT outcome FROM attempt")?;
    assert_eq!(outcome, "signaled");
    Ok(())
}

pub fn a_failed_command_is_tried_again_as_often_as_the_task_says(ground: &Ground) -> Result<()> {
    let tasks = "defaults: {retries: 2, retry_delay: 200ms}
tasks:
  third_time: {bash: '. $LIBRARY; test $GRIDFLOW_TRY_NUMBER -eq 3'}
  never: {bash: '. $LIBRARY; exit 3'}
";
    ground.run(tasks, "failed")?;
    assert_eq!(ground.outcomes("third_time")?, "exited 1, exited 1, exited 0");
    assert_eq!(ground.outcomes("never")?, "exited 3, exited 3, exited 3");
    Ok(())
}

pub fn a_program_that_is_not_there_fails_the_task(ground: &Ground) -> Result<()> {
    let (task, outcome) = match ground.executor {
        Executor::Local | Executor::Kubernetes => ("{exec: [no-such-program, --help]}", "spawn_failed"),
        // What Spark runs is its own: to Gridflow it has started, and failed.
        Executor::Spark => ("{bash: '. $LIBRARY; no-such-program --help'}", "exited"),
    };
    ground.run(&format!("tasks:\n  a: {task}\n"), "failed")?;
    assert_eq!(ground.cluster.sql("SELECT outcome FROM attempt")?, outcome);
    Ok(())
}

pub fn many_commands_at_once_all_end(ground: &Ground) -> Result<()> {
    let count = match ground.executor {
        Executor::Local | Executor::Kubernetes => 16,
        // Each is two JVMs.
        Executor::Spark => 4,
    };
    let mut tasks = String::from("tasks:\n");
    for no in 0..count {
        tasks += &format!("  t{no}: {{bash: '. $LIBRARY; sleep 0.{no}'}}\n");
    }
    ground.run(&tasks, "success")?;
    assert_eq!(ground.cluster.sql("SELECT count(*), min(outcome) FROM attempt")?, format!("{count}|exited"));
    Ok(())
}
