//! Local commands against real processes.

mod commands;
mod recovery;
mod stop;
mod support;
mod upgrade;

#[test]
fn all_this_holds_for_a_scheduler_without_rights() {
    support::repeat_as_ordinary_user("all_this_holds");
}
