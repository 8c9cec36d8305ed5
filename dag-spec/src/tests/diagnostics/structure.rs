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
fn operators_of_later_versions_are_named() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {spark: {}}
  b: {s3_copy: {from: a, to: b}}
"#), @r"
    error[GF0202]: `spark` needs `main_file`, or `jar` and `main_class`
     --> dags/demo.yaml:2:14
      |
    2 |   a: {spark: {}}
      |              ^^

    error[GF0901]: the operator `s3_copy` (copies in object storage) is not available in this version
     --> dags/demo.yaml:3:7
      |
    3 |   b: {s3_copy: {from: a, to: b}}
      |       ^^^^^^^
      = help: available are `bash`, `exec`, `python`, `empty`, `trigger_dag`, `validate_file`, `copy_file`, `move_file`, `pod`, `spark` and `spark_submit`
    ");
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
fn needs_names_tasks_that_exist() {
    assert_snapshot!(diagnose(r#"
tasks:
  extract: x
  load: {needs: [extarct, nothing], bash: x}
"#), @r#"
    error[GF0302]: there is no task `extarct`
     --> dags/demo.yaml:3:18
      |
    3 |   load: {needs: [extarct, nothing], bash: x}
      |                  ^^^^^^^
      = help: did you mean `extract`?

    error[GF0302]: there is no task `nothing`
     --> dags/demo.yaml:3:27
      |
    3 |   load: {needs: [extarct, nothing], bash: x}
      |                           ^^^^^^^
    "#);
}

#[test]
fn a_task_cannot_need_itself() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {needs: a, bash: x}
  b: {needs: [c, c], bash: x}
  c: x
"#), @r#"
    error[GF0303]: task `a` needs itself
     --> dags/demo.yaml:2:14
      |
    2 |   a: {needs: a, bash: x}
      |              ^

    error[GF0304]: `c` is needed twice
     --> dags/demo.yaml:3:18
      |
    3 |   b: {needs: [c, c], bash: x}
      |                  ^
      = help: remove one of them
    "#);
}

#[test]
fn a_cycle_is_named_by_its_whole_path() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {needs: c, bash: x}
  b: {needs: a, bash: x}
  c: {needs: b, bash: x}
  d: {needs: a, bash: x}
"#), @r#"
    error[GF0305]: tasks need each other in a circle: `a` → `c` → `b` → `a`
     --> dags/demo.yaml:3:14
      |
    3 |   b: {needs: a, bash: x}
      |              ^
      = help: each task needs the one behind its arrow; remove one of these `needs`
    "#);
}

#[test]
fn two_cycles_are_two_problems() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {needs: b, bash: x}
  b: {needs: a, bash: x}
  c: {needs: d, bash: x}
  d: {needs: c, bash: x}
"#), @r#"
    error[GF0305]: tasks need each other in a circle: `a` → `b` → `a`
     --> dags/demo.yaml:3:14
      |
    3 |   b: {needs: a, bash: x}
      |              ^
      = help: each task needs the one behind its arrow; remove one of these `needs`

    error[GF0305]: tasks need each other in a circle: `c` → `d` → `c`
     --> dags/demo.yaml:5:14
      |
    5 |   d: {needs: c, bash: x}
      |              ^
      = help: each task needs the one behind its arrow; remove one of these `needs`
    "#);
}

#[test]
fn a_task_behind_only_empty_ones_cannot_wait_for_a_failure() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {empty: {}}
  b: {needs: a, trigger_rule: all_failed, bash: x}
  c: {needs: b, bash: x}
"#), @r#"
    error[GF0307]: task `b` can never run: however `a` ends, `all_failed` is not satisfied
     --> dags/demo.yaml:3:31
      |
    3 |   b: {needs: a, trigger_rule: all_failed, bash: x}
      |                               ^^^^^^^^^^
      = help: change `trigger_rule` or `needs`
    "#);
}

#[test]
fn nothing_that_ends_skipped_is_waited_for_in_vain() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {trigger_dag: other}
  b: {needs: a, trigger_rule: all_skipped, bash: x}
"#), @r#"
    error[GF0307]: task `b` can never run: however `a` ends, `all_skipped` is not satisfied
     --> dags/demo.yaml:3:31
      |
    3 |   b: {needs: a, trigger_rule: all_skipped, bash: x}
      |                               ^^^^^^^^^^^
      = help: change `trigger_rule` or `needs`
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

#[test]
fn a_task_cannot_need_its_own_group() {
    assert_snapshot!(diagnose(r#"
groups:
  g:
    tasks:
      a: {needs: g, bash: x}
      b: x
  h:
    needs: h
    tasks: {c: x}
tasks: {z: x}
"#), @r#"
    error[GF0303]: task `g.a` needs the group that it is part of
     --> dags/demo.yaml:4:18
      |
    4 |       a: {needs: g, bash: x}
      |                  ^

    error[GF0303]: group `h` needs itself
     --> dags/demo.yaml:7:12
      |
    7 |     needs: h
      |            ^
    "#);
}

#[test]
fn past_dependencies_are_not_there_yet() {
    assert_snapshot!(diagnose(r#"
defaults: {depends_on_past: true}
tasks: {a: x}
"#), @r#"
    error[GF0901]: `depends_on_past` is not available in this version
     --> dags/demo.yaml:1:29
      |
    1 | defaults: {depends_on_past: true}
      |                             ^^^^
      = help: `max_active_runs: 1` keeps runs from overlapping
    "#);
}

#[test]
fn copy_needs_both_ends() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {copy_file: {from: /a}}
  b: {move_file: /a}
"#), @r#"
    error[GF0202]: the key `to` is missing in `copy_file`
     --> dags/demo.yaml:2:18
      |
    2 |   a: {copy_file: {from: /a}}
      |                  ^^^^^^^^^^

    error[GF0203]: expected a map, found the text `/a`
     --> dags/demo.yaml:3:18
      |
    3 |   b: {move_file: /a}
      |                  ^^
      = help: write `move_file` with its keys `from` and `to`
    "#);
}

#[test]
fn validate_file_takes_path_or_uri() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {validate_file: {path: a, uri: b}}
  b: {validate_file: {schema: {columns: []}}}
"#), @r#"
    error[GF0208]: `path` and `uri` are the same; write one of them
     --> dags/demo.yaml:2:22
      |
    2 |   a: {validate_file: {path: a, uri: b}}
      |                      ^^^^^^^^^^^^^^^^^

    error[GF0202]: `validate_file` needs `path`
     --> dags/demo.yaml:3:22
      |
    3 |   b: {validate_file: {schema: {columns: []}}}
      |                      ^^^^^^^^^^^^^^^^^^^^^^^

    error[GF0805]: a schema needs columns
     --> dags/demo.yaml:3:31
      |
    3 |   b: {validate_file: {schema: {columns: []}}}
      |                               ^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_column_is_checked() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    validate_file:
      path: a
      schema:
        columns:
          - {name: id, type: int}
          - {name: id, type: integer, min: a}
          - {nme: x, type: string, pattern: "["}
        unique: [idd]
"#), @r#"
    error[GF0407]: there is no type of column `int`
     --> dags/demo.yaml:7:30
      |
    7 |           - {name: id, type: int}
      |                              ^^^
      = help: did you mean `integer`?

    error[GF0805]: `min` of column `id` must be a number
     --> dags/demo.yaml:8:20
      |
    8 |           - {name: id, type: integer, min: a}
      |                    ^^

    error[GF0201]: unknown key `nme` in `file-schema-column`
     --> dags/demo.yaml:9:14
      |
    9 |           - {nme: x, type: string, pattern: "["}
      |              ^^^
      = help: did you mean `name`?

    error[GF0408]: `[` is no regular expression: unclosed character class
     --> dags/demo.yaml:9:45
      |
    9 |           - {nme: x, type: string, pattern: "["}
      |                                             ^^^

    error[GF0805]: `unique` names `idd`, which is no column
      --> dags/demo.yaml:10:18
       |
    10 |         unique: [idd]
       |                  ^^^
       = help: did you mean `id`?
    "#);
}

#[test]
fn a_schema_file_has_its_own_places() {
    assert_snapshot!(diagnose_with(r#"
tasks:
  a: {validate_file: {path: x, schema: schema.yaml}}
"#, &[("schema.yaml", "columns:\n  - {name: a, type: strng}\n  - {name: b, requird: true, type: date}\n")]), @r#"
    error[GF0407]: there is no type of column `strng`
     --> dags/schema.yaml:2:21
      |
    2 |   - {name: a, type: strng}
      |                     ^^^^^
      = help: did you mean `string`?

    error[GF0201]: unknown key `requird` in `file-schema-column`
     --> dags/schema.yaml:3:15
      |
    3 |   - {name: b, requird: true, type: date}
      |               ^^^^^^^
      = help: did you mean `required`?
    "#);
}

#[test]
fn python_is_checked() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {python: {code: x, file: b.py}}
  b: {python: {call: f}}
  c: {python: {code: x, args: {a: 1}}}
  d: {python: {code: x, call: "f()", requirements: [pandas]}}
  e: {python: {code: x, call: f, args: [1]}}
  f: {python: missing.py}
"#), @r#"
    error[GF0208]: `python` has `file` or `code`, not both
     --> dags/demo.yaml:2:15
      |
    2 |   a: {python: {code: x, file: b.py}}
      |               ^^^^^^^^^^^^^^^^^^^^^

    error[GF0202]: `python` needs `file` or `code`
     --> dags/demo.yaml:3:15
      |
    3 |   b: {python: {call: f}}
      |               ^^^^^^^^^

    error[GF0202]: `args` are for a function, and `call` is missing
     --> dags/demo.yaml:4:31
      |
    4 |   c: {python: {code: x, args: {a: 1}}}
      |                               ^^^^^^
      = help: name the function with `call:`, or pass values through `env:`

    error[GF0301]: `f()` is no name of a function
     --> dags/demo.yaml:5:31
      |
    5 |   d: {python: {code: x, call: "f()", requirements: [pandas]}}
      |                               ^^^^^

    error[GF0901]: `requirements` are not available in this version
     --> dags/demo.yaml:5:52
      |
    5 |   d: {python: {code: x, call: "f()", requirements: [pandas]}}
      |                                                    ^^^^^^^^
      = help: name an `interpreter` of an environment that has the packages

    error[GF0203]: `args` are a map of names to values
     --> dags/demo.yaml:6:40
      |
    6 |   e: {python: {code: x, call: f, args: [1]}}
      |                                        ^^^

    error[GF0801]: there is no file `missing.py`
     --> dags/demo.yaml:7:15
      |
    7 |   f: {python: missing.py}
      |               ^^^^^^^^^^
      = help: paths are relative to the DAG file
    "#);
}

#[test]
fn files_must_be_there_and_inside() {
    assert_snapshot!(diagnose(r#"
files: [a.sql, /etc/passwd, "*.sql"]
tasks:
  a: {bash: {file: ../../x.sh}}
  b: {bash: {file: "{{ params.x }}.sh"}}
"#), @r#"
    error[GF0801]: there is no file `a.sql`
     --> dags/demo.yaml:1:9
      |
    1 | files: [a.sql, /etc/passwd, "*.sql"]
      |         ^^^^^
      = help: paths are relative to the DAG file

    error[GF0802]: `/etc/passwd` lies outside the bundle
     --> dags/demo.yaml:1:16
      |
    1 | files: [a.sql, /etc/passwd, "*.sql"]
      |                ^^^^^^^^^^^
      = help: move the file into the bundle and name it by a path relative to the DAG file

    error[GF0803]: cannot look for `*.sql`: `*.sql` is a pattern, and there is no folder to look in
     --> dags/demo.yaml:1:29
      |
    1 | files: [a.sql, /etc/passwd, "*.sql"]
      |                             ^^^^^^^

    error[GF0801]: there is no file `../../x.sh`
     --> dags/demo.yaml:3:20
      |
    3 |   a: {bash: {file: ../../x.sh}}
      |                    ^^^^^^^^^^
      = help: paths are relative to the DAG file

    error[GF0511]: a template is not possible here: this is read when the file is loaded, before any run
     --> dags/demo.yaml:4:20
      |
    4 |   b: {bash: {file: "{{ params.x }}.sh"}}
      |                    ^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn exec_is_a_list() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {exec: ls -l}
  b: {exec: []}
"#), @r#"
    error[GF0203]: expected a list of a program and its arguments, found the text `ls -l`
     --> dags/demo.yaml:2:13
      |
    2 |   a: {exec: ls -l}
      |             ^^^^^
      = help: write `exec: [program, argument]`, or use `bash:` for a command line

    error[GF0202]: `exec` needs a program
     --> dags/demo.yaml:3:13
      |
    3 |   b: {exec: []}
      |             ^^
    "#);
}

#[test]
fn empty_takes_nothing() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {empty: {a: 1}}
"#), @r#"
    error[GF0203]: expected nothing: `empty: {}`, found a map
     --> dags/demo.yaml:2:14
      |
    2 |   a: {empty: {a: 1}}
      |              ^^^^^^
    "#);
}

#[test]
fn trigger_dag_is_checked() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {trigger_dag: {dag: my dag, params: {a: 1}, conf: {b: 1}}}
  b: {trigger_dag: {params: 3}}
"#), @r#"
    error[GF0301]: a DAG id must not contain ` `: allowed are letters, digits and _.-
     --> dags/demo.yaml:2:26
      |
    2 |   a: {trigger_dag: {dag: my dag, params: {a: 1}, conf: {b: 1}}}
      |                          ^^^^^^

    error[GF0208]: `params` and `conf` are the same; write one of them
     --> dags/demo.yaml:2:56
      |
    2 |   a: {trigger_dag: {dag: my dag, params: {a: 1}, conf: {b: 1}}}
      |                                                        ^^^^^^

    error[GF0202]: the key `dag` is missing in `trigger_dag`
     --> dags/demo.yaml:3:20
      |
    3 |   b: {trigger_dag: {params: 3}}
      |                    ^^^^^^^^^^^

    error[GF0203]: expected a map of params to values, found the number `3`
     --> dags/demo.yaml:3:29
      |
    3 |   b: {trigger_dag: {params: 3}}
      |                             ^
    "#);
}
