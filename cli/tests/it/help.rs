//! The help of every command, as it is read: a change shows in review.

use crate::program::{gridflow, run};

/// Every command that people call.
const COMMANDS: [&str; 28] = [
    "",
    "standalone",
    "scheduler",
    "web",
    "down",
    "host",
    "run",
    "dags",
    "dags list",
    "dags show",
    "dags validate",
    "runs",
    "runs trigger",
    "runs list",
    "runs show",
    "runs wait",
    "runs cancel",
    "tasks",
    "tasks list",
    "tasks logs",
    "nodes",
    "nodes list",
    "clusters",
    "clusters clean",
    "recover",
    "db migrate",
    "explain",
    "completions",
];

#[test]
fn the_help_of_every_command() {
    let mut text = String::new();
    for command in COMMANDS {
        let said = run(gridflow().args(command.split_whitespace()).arg("--help"));
        assert_eq!(said.code, 0, "{command}: {}", said.stderr);
        text.push_str(&format!("$ gridflow {command} --help\n\n{}\n\n", said.stdout));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_command_that_does_something_teaches_by_example() {
    for command in COMMANDS.iter().filter(|command| !["dags", "runs", "tasks", "nodes", "clusters"].contains(command)) {
        let said = run(gridflow().args(command.split_whitespace()).arg("--help"));
        assert!(said.stdout.contains("Example"), "no example in the help of `{command}`");
    }
}
