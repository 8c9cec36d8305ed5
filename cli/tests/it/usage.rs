//! Exit codes, and what goes to stdout and what to stderr.

use crate::program::{gridflow, run};

#[test]
fn wrong_usage_is_the_users_problem_and_help_is_an_answer() {
    for (arguments, code, on_stdout) in [
        (vec!["--help"], 0, true),
        (vec!["--version"], 0, true),
        (vec!["runs"], 1, false),
        (vec!["no-such-command"], 1, false),
        (vec!["runs", "trigger"], 1, false),
        (vec!["runs", "trigger", "d", "--conf", "[1]"], 1, false),
        (vec!["explain", "GF9999"], 1, false),
    ] {
        let said = run(gridflow().args(&arguments));
        assert_eq!(said.code, code, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout.is_empty(), !on_stdout, "{arguments:?}");
        assert_eq!(said.stderr.is_empty(), on_stdout, "{arguments:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    // Port 1 of loopback: nobody listens there.
    let said = run(gridflow().args(["dags", "list", "--server", "http://127.0.0.1:1"]));
    assert_eq!(said.code, 1);
    assert!(said.stderr.starts_with("error: no server answers at `http://127.0.0.1:1`"), "{}", said.stderr);
    assert!(said.stderr.contains("gridflow standalone --dags DIR"), "{}", said.stderr);
}

#[test]
fn a_setting_with_a_typo_is_refused() {
    let said = run(gridflow().args(["scheduler", "--dags", "."]).env("GRIDFLOW__DATABSE__URL", "x"));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("`GRIDFLOW__DATABSE__URL` is no setting"), "{}", said.stderr);
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(gridflow().args(["completions", shell]));
        assert_eq!(said.code, 0, "{shell}");
        assert!(said.stdout.contains("standalone"), "{shell}");
    }
}

#[test]
fn answers_come_as_programs_want_them() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(gridflow().args(["version"])).stdout, format!("gridflow {version}\n"));
    assert_eq!(run(gridflow().args(["version", "-o", "yaml"])).stdout, format!("version: \"{version}\"\n"));
    assert_eq!(
        run(gridflow().args(["version", "-o", "json"])).stdout,
        format!("{{\n  \"version\": \"{version}\"\n}}\n")
    );
}
