//! `gridflow dags validate` and `dags list --dags`, on real files.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::program::{Said, gridflow, run};

/// A folder with a good DAG, a bad one, and a file that is none.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::create_dir(folder.path().join("sub")).expect("folder");
    for (name, text) in [
        ("hello.yaml", "tasks:\n  greet: {bash: echo hello}\n"),
        ("sub/bad.yaml", "tasks:\n  greet:\n    bsh: echo hello\n"),
        ("values.yaml", "colour: blue\n"),
    ] {
        fs::write(folder.path().join(name), text).expect("file");
    }
    folder
}

/// In the folder, so that no path of the machine gets into the answers.
fn dags(folder: &TempDir, arguments: &[&str]) -> Said {
    run(gridflow().arg("dags").args(arguments).current_dir(folder.path()))
}

#[test]
fn the_array_for_programs_has_exactly_these_fields() {
    let folder = folder();
    let said = dags(&folder, &["validate", "sub/bad.yaml", "hello.yaml", "-o", "json"]);
    assert_eq!(said.code, 1);
    assert_snapshot!(said.stdout, @r#"
    [
      {
        "code": "GF0201",
        "severity": "error",
        "message": "unknown key `bsh` in a task",
        "file": "sub/bad.yaml",
        "line": 3,
        "column": 5,
        "help": "did you mean `bash`?"
      }
    ]
    "#);
    assert_eq!(said.stderr, "");

    let fine = dags(&folder, &["validate", "hello.yaml", "-o", "json"]);
    assert_eq!((fine.code, fine.stdout.as_str()), (0, "[]\n"));
}

#[test]
fn people_see_the_place_and_a_count() {
    let said = dags(&folder(), &["validate", "."]);
    assert_eq!(said.code, 1);
    assert_snapshot!(said.stdout, @r"
    error[GF0201]: unknown key `bsh` in a task
     --> ./sub/bad.yaml:3:5
      |
    3 |     bsh: echo hello
      |     ^^^
      = help: did you mean `bash`?
    ");
    assert_eq!(said.stderr, "1 error; DAGs without errors: 1\n");
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_that_file() {
    let said = dags(&folder(), &["validate", "gone.yaml"]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("cannot read `gone.yaml`"), "{}", said.stdout);
}

#[test]
fn a_folder_is_listed_without_a_server() {
    let folder = folder();
    let said = dags(&folder, &["list", "--dags", "."]);
    assert_eq!(said.code, 1, "a broken file among them is said by the exit code too");
    assert_snapshot!(said.stdout, @r"
    DAG    FILE
    hello  hello.yaml
    ");
    assert!(said.stderr.contains("error[GF0201]"), "{}", said.stderr);

    let ignored = dags(&folder, &["list", "--dags", ".", "--ignored"]);
    assert_eq!((ignored.code, ignored.stdout.as_str()), (0, "IGNORED\nvalues.yaml\n"));
}
