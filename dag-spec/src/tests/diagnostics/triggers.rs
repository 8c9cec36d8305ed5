//! What starts runs.

use super::*;

#[test]
fn a_trigger_has_known_keys() {
    assert_snapshot!(diagnose(r#"
trigger:
  file: {path: /in, sufix: .csv, ripen: {stable: 2s}}
tasks: {a: b}
"#), @r#"
    error[GF0201]: unknown key `sufix` in `trigger.file`
     --> dags/demo.yaml:2:21
      |
    2 |   file: {path: /in, sufix: .csv, ripen: {stable: 2s}}
      |                     ^^^^^
      = help: did you mean `suffix`?

    error[GF0201]: unknown key `stable` in `trigger.file.ripen`
     --> dags/demo.yaml:2:42
      |
    2 |   file: {path: /in, sufix: .csv, ripen: {stable: 2s}}
      |                                          ^^^^^^
      = help: did you mean `stable_for`?
    "#);
}

#[test]
fn triggers_of_later_versions_are_named() {
    assert_snapshot!(diagnose(r#"
trigger:
  - kafka: {topic: x}
  - s3: {bucket: x}
  - mail: {}
  - {file: {path: /in}, schedule: 1h}
tasks: {a: b}
"#), @r#"
    error[GF0901]: `kafka` triggers are not available in this version
     --> dags/demo.yaml:2:5
      |
    2 |   - kafka: {topic: x}
      |     ^^^^^
      = help: available are `file` and `schedule`

    error[GF0901]: `s3` triggers are not available in this version
     --> dags/demo.yaml:3:5
      |
    3 |   - s3: {bucket: x}
      |     ^^
      = help: available are `file` and `schedule`

    error[GF0201]: unknown key `mail` in `trigger`
     --> dags/demo.yaml:4:5
      |
    4 |   - mail: {}
      |     ^^^^
      = help: known keys: `schedule` and `file`

    error[GF0208]: one trigger is a map with one key, this has 2
     --> dags/demo.yaml:5:5
      |
    5 |   - {file: {path: /in}, schedule: 1h}
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write several triggers as a list: `trigger: [{file: …}, {schedule: …}]`
    "#);
}

#[test]
fn two_schedules_are_one_too_many() {
    assert_snapshot!(diagnose(r#"
schedule: 1h
trigger: {schedule: 2h}
tasks: {a: b}
"#), @r#"
    error[GF0208]: the schedule is written twice: `schedule` and `trigger.schedule`
     --> dags/demo.yaml:2:11
      |
    2 | trigger: {schedule: 2h}
      |           ^^^^^^^^
      = help: remove one of them
    "#);
}

#[test]
fn two_triggers_of_one_kind_need_names() {
    assert_snapshot!(diagnose(r#"
trigger:
  - file: {path: /a}
  - file: {path: /b}
tasks: {a: b}
"#), @r#"
    error[GF0306]: two triggers have the name `file`
     --> dags/demo.yaml:3:5
      |
    3 |   - file: {path: /b}
      |     ^^^^
      = help: give each of them a `name:` of its own; it is the trigger's identity
    "#);
}
