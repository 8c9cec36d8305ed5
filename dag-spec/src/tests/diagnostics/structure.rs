use super::*;

#[test]
fn unknown_keys_say_what_was_meant() {
    assert_snapshot!(diagnose(r#"
onwer: me
retries: 3
tasks:
  a: {bash: x, retires: 3, neds: b}
  b: {bsh: x}
"#), @r#"
    error[GF0201]: unknown key `onwer` in a DAG
     --> dags/demo.yaml:1:1
      |
    1 | onwer: me
      | ^^^^^
      = help: did you mean `owner`?

    error[GF0201]: unknown key `retries` in a DAG
     --> dags/demo.yaml:2:1
      |
    2 | retries: 3
      | ^^^^^^^
      = help: `retries` is a key of tasks; put it into `defaults:` to set it for all of them

    error[GF0201]: unknown key `retires` in a task
     --> dags/demo.yaml:4:16
      |
    4 |   a: {bash: x, retires: 3, neds: b}
      |                ^^^^^^^
      = help: did you mean `retries`?

    error[GF0201]: unknown key `neds` in a task
     --> dags/demo.yaml:4:28
      |
    4 |   a: {bash: x, retires: 3, neds: b}
      |                            ^^^^
      = help: did you mean `needs`?

    error[GF0201]: unknown key `bsh` in a task
     --> dags/demo.yaml:5:7
      |
    5 |   b: {bsh: x}
      |       ^^^
      = help: did you mean `bash`?
    "#);
}

#[test]
fn a_dag_needs_tasks() {
    assert_snapshot!(diagnose(r#"
dag: demo
"#), @r#"
    error[GF0204]: the DAG has no tasks
     --> dags/demo.yaml:1:1
      |
    1 | dag: demo
      | ^^^
      = help: add one: `tasks: {hello: echo hello}`
    "#);
}

#[test]
fn tasks_must_not_be_empty() {
    assert_snapshot!(diagnose(r#"
tasks:
"#), @r#"
    error[GF0204]: the DAG has no tasks
     --> dags/demo.yaml:1:1
      |
    1 | tasks:
      | ^^^^^
      = help: add one: `tasks: {hello: echo hello}`
    "#);
}

#[test]
fn tasks_are_no_list() {
    assert_snapshot!(diagnose(r#"
tasks:
  - bash: echo
"#), @r#"
    error[GF0203]: expected a map of task ids to tasks, found a list
     --> dags/demo.yaml:2:3
      |
    2 |   - bash: echo
      |   ^^^^^^^^^^^^
      = help: write `ID: {OPERATOR: …}` instead of a list
    "#);
}

#[test]
fn a_task_needs_an_operator() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {retries: 2}
  b:
  c: []
"#), @r"
    error[GF0205]: task `a` has no operator
     --> dags/demo.yaml:2:3
      |
    2 |   a: {retries: 2}
      |   ^
      = help: add one of `bash`, `exec`, `python`, `empty`, `trigger_dag`, `validate_file`, `copy_file`, `move_file`, `pod`, `spark` and `spark_submit`

    error[GF0205]: task `b` has no operator
     --> dags/demo.yaml:3:3
      |
    3 |   b:
      |   ^
      = help: write a shell command, or an operator such as `bash:` or `python:`

    error[GF0203]: expected a task: a map, or a shell command, found a list
     --> dags/demo.yaml:4:6
      |
    4 |   c: []
      |      ^^
    ");
}

#[test]
fn a_task_has_one_operator() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {bash: x, python: print(1), empty: {}}
"#), @r#"
    error[GF0206]: task `a` has several operators: `bash`, `python` and `empty`
     --> dags/demo.yaml:2:16
      |
    2 |   a: {bash: x, python: print(1), empty: {}}
      |                ^^^^^^
      = help: keep `bash`, and make a task of its own of the other
    "#);
}

#[test]
fn ids_are_checked() {
    assert_snapshot!(diagnose(r#"
dag: my dag
tasks:
  load data: echo
  a.b: echo
  "": echo
"#), @r#"
    error[GF0301]: a DAG id must not contain ` `: allowed are letters, digits and _.-
     --> dags/demo.yaml:1:6
      |
    1 | dag: my dag
      |      ^^^^^^

    error[GF0301]: a task id must not contain ` `: allowed are letters, digits and _.-
     --> dags/demo.yaml:3:3
      |
    3 |   load data: echo
      |   ^^^^^^^^^
      = help: write `load_data`

    error[GF0301]: `a.b` has a `.`, which separates a group from its tasks
     --> dags/demo.yaml:4:3
      |
    4 |   a.b: echo
      |   ^^^
      = help: write `a_b`, or put the task into a group

    error[GF0301]: a task id must not be empty
     --> dags/demo.yaml:5:3
      |
    5 |   "": echo
      |   ^^
    "#);
}

#[test]
fn a_group_needs_tasks_and_known_keys() {
    assert_snapshot!(diagnose(r#"
groups:
  g: {tasks: {}}
  h: {tasks: {a: x}, retrys: 2}
tasks: {a: b}
"#), @r#"
    error[GF0204]: group `g` has no tasks
     --> dags/demo.yaml:2:3
      |
    2 |   g: {tasks: {}}
      |   ^

    error[GF0201]: unknown key `retrys` in a group
     --> dags/demo.yaml:3:22
      |
    3 |   h: {tasks: {a: x}, retrys: 2}
      |                      ^^^^^^
      = help: did you mean `retries`?
    "#);
}
