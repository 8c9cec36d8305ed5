//! What every executor promises: the same DAGs, run by the real program, end the same way on each of them.
//!
//! Everything that a command does is checked afterwards by the checker of all histories, too.

mod adoption;
mod ending;
mod output;
mod stopping;
mod surroundings;

use anyhow::Result;
use gridflow_tests::{Executor, Ground};

/// One module for each executor, with one test for each promise.
macro_rules! promises {
    ($($module:ident::$name:ident,)*) => {
        mod local { $(#[test] fn $name() -> anyhow::Result<()> { super::kept_by(super::Executor::Local, super::$module::$name) })* }
        mod kubernetes { $(#[test] fn $name() -> anyhow::Result<()> { super::kept_by(super::Executor::Kubernetes, super::$module::$name) })* }
        mod spark { $(#[test] fn $name() -> anyhow::Result<()> { super::kept_by(super::Executor::Spark, super::$module::$name) })* }
    };
}

promises! {
    ending::a_command_that_ends_well_is_a_success,
    ending::the_exit_code_of_a_command_is_told,
    ending::a_command_that_kills_itself_fails,
    ending::a_failed_command_is_tried_again_as_often_as_the_task_says,
    ending::a_program_that_is_not_there_fails_the_task,
    ending::many_commands_at_once_all_end,
    output::what_a_command_writes_is_what_its_downstream_gets,
    output::a_large_output_arrives_whole,
    output::an_output_that_is_no_json_fails_the_task,
    output::the_output_of_a_failed_command_is_kept,
    output::lines_are_logged_in_the_order_in_which_they_were_written,
    output::a_megabyte_of_log_arrives_whole,
    surroundings::values_of_the_environment_arrive_unchanged,
    surroundings::the_context_of_a_task_is_in_its_environment,
    surroundings::a_command_finds_the_files_of_its_version,
    surroundings::nothing_of_the_scheduler_is_in_the_environment,
    stopping::a_canceled_command_is_asked_to_end_first,
    stopping::a_canceled_command_that_does_not_listen_is_killed,
    stopping::a_command_that_takes_too_long_is_ended,
    stopping::what_is_canceled_before_it_starts_never_starts,
    adoption::a_command_goes_on_when_its_scheduler_is_killed,
    adoption::what_ends_while_no_scheduler_lives_is_collected,
    adoption::a_second_scheduler_takes_over_what_runs,
}

fn kept_by(executor: Executor, promise: fn(&Ground) -> Result<()>) -> Result<()> {
    let Some(ground) = Ground::new(executor)? else { return Ok(()) };
    promise(&ground)?;
    ground.check()
}
