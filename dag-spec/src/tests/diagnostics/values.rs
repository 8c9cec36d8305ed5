use super::*;

#[test]
fn durations_say_their_unit() {
    assert_snapshot!(diagnose(r#"
dagrun_timeout: 90
tasks:
  a: {bash: x, retry_delay: 5 minuts, execution_timeout: "1:30", grace: -5s}
"#), @r#"
    error[GF0402]: `90` is no duration
     --> dags/demo.yaml:1:17
      |
    1 | dagrun_timeout: 90
      |                 ^^
      = help: say the unit: `90s` or `90m`

    error[GF0402]: `5 minuts` is no duration
     --> dags/demo.yaml:3:29
      |
    3 |   a: {bash: x, retry_delay: 5 minuts, execution_timeout: "1:30", grace: -5s}
      |                             ^^^^^^^^
      = help: a duration is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), such as `30s`, `1h30m` or `2d`

    error[GF0402]: `1:30` is no duration
     --> dags/demo.yaml:3:58
      |
    3 |   a: {bash: x, retry_delay: 5 minuts, execution_timeout: "1:30", grace: -5s}
      |                                                          ^^^^^^
      = help: write it with units, such as `1h30m`

    error[GF0402]: `-5s` is no duration
     --> dags/demo.yaml:3:73
      |
    3 |   a: {bash: x, retry_delay: 5 minuts, execution_timeout: "1:30", grace: -5s}
      |                                                                         ^^^
      = help: a duration is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), such as `30s`, `1h30m` or `2d`
    "#);
}

#[test]
fn numbers_have_ranges() {
    assert_snapshot!(diagnose(r#"
max_active_runs: 0
max_active_tasks: -1
tasks:
  a: {bash: x, retries: 1.5, pool_slots: 0, priority_weight: 99999999999}
"#), @r#"
    error[GF0406]: expected a number of at least 1, found `0`
     --> dags/demo.yaml:1:18
      |
    1 | max_active_runs: 0
      |                  ^

    error[GF0406]: expected a number of at least 1, found `-1`
     --> dags/demo.yaml:2:19
      |
    2 | max_active_tasks: -1
      |                   ^^

    error[GF0203]: expected a whole number, found the number `1.5`
     --> dags/demo.yaml:4:25
      |
    4 |   a: {bash: x, retries: 1.5, pool_slots: 0, priority_weight: 99999999999}
      |                         ^^^

    error[GF0406]: expected a number of at least 1, found `0`
     --> dags/demo.yaml:4:42
      |
    4 |   a: {bash: x, retries: 1.5, pool_slots: 0, priority_weight: 99999999999}
      |                                          ^

    error[GF0406]: expected a number of at most 2147483647, found `99999999999`
     --> dags/demo.yaml:4:62
      |
    4 |   a: {bash: x, retries: 1.5, pool_slots: 0, priority_weight: 99999999999}
      |                                                              ^^^^^^^^^^^
    "#);
}

#[test]
fn types_are_named() {
    assert_snapshot!(diagnose(r#"
catchup: yes
paused: 1
tags: {a: b}
tasks:
  a: {bash: [x], retries: "3", env: [a], needs: {a: b}}
"#), @r#"
    error[GF0203]: expected `true` or `false`, found the text `yes`
     --> dags/demo.yaml:1:10
      |
    1 | catchup: yes
      |          ^^^
      = help: write `true`

    error[GF0203]: expected `true` or `false`, found the number `1`
     --> dags/demo.yaml:2:9
      |
    2 | paused: 1
      |         ^
      = help: write `true`

    error[GF0203]: expected a text, found a map
     --> dags/demo.yaml:3:7
      |
    3 | tags: {a: b}
      |       ^^^^^^

    error[GF0203]: expected a text, found a list
     --> dags/demo.yaml:5:13
      |
    5 |   a: {bash: [x], retries: "3", env: [a], needs: {a: b}}
      |             ^^^

    error[GF0203]: expected a whole number, found the text `3`
     --> dags/demo.yaml:5:27
      |
    5 |   a: {bash: [x], retries: "3", env: [a], needs: {a: b}}
      |                           ^^^

    error[GF0203]: expected a map of names to values, found a list
     --> dags/demo.yaml:5:37
      |
    5 |   a: {bash: [x], retries: "3", env: [a], needs: {a: b}}
      |                                     ^^^

    error[GF0203]: expected a text, found a map
     --> dags/demo.yaml:5:49
      |
    5 |   a: {bash: [x], retries: "3", env: [a], needs: {a: b}}
      |                                                 ^^^^^^
    "#);
}

#[test]
fn names_are_suggested() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {bash: x, trigger_rule: all_succes, weight_rule: up}
"#), @r#"
    error[GF0407]: there is no trigger rule `all_succes`
     --> dags/demo.yaml:2:30
      |
    2 |   a: {bash: x, trigger_rule: all_succes, weight_rule: up}
      |                              ^^^^^^^^^^
      = help: did you mean `all_success`?

    error[GF0407]: there is no weight rule `up`
     --> dags/demo.yaml:2:55
      |
    2 |   a: {bash: x, trigger_rule: all_succes, weight_rule: up}
      |                                                       ^^
      = help: did you mean `upstream`?
    "#);
}

#[test]
fn sizes_have_units() {
    assert_snapshot!(diagnose(r#"
trigger: {file: {path: /in, max_size: 10 megs, dedup: hash, glob: "a/*.csv"}}
tasks: {a: b}
"#), @r#"
    error[GF0403]: `10 megs` is no size
     --> dags/demo.yaml:1:39
      |
    1 | trigger: {file: {path: /in, max_size: 10 megs, dedup: hash, glob: "a/*.csv"}}
      |                                       ^^^^^^^
      = help: a size is a number of bytes with a unit, such as `500k`, `10MiB` or `2Gi`

    error[GF0407]: there is no kind of `dedup` `hash`
     --> dags/demo.yaml:1:55
      |
    1 | trigger: {file: {path: /in, max_size: 10 megs, dedup: hash, glob: "a/*.csv"}}
      |                                                       ^^^^
      = help: one of `path` and `content`

    error[GF0408]: `a/*.csv` is no pattern of file names: it is matched against the name of a file, which has no `/`; use `recursive: true` for folders inside
     --> dags/demo.yaml:1:67
      |
    1 | trigger: {file: {path: /in, max_size: 10 megs, dedup: hash, glob: "a/*.csv"}}
      |                                                                   ^^^^^^^^^
    "#);
}

#[test]
fn env_names_are_checked() {
    assert_snapshot!(diagnose(r#"
env: {data-dir: x, 1A: y, GRIDFLOW_X: z}
tasks: {a: b}
"#), @r#"
    error[GF0410]: `data-dir` is no name of an environment variable
     --> dags/demo.yaml:1:7
      |
    1 | env: {data-dir: x, 1A: y, GRIDFLOW_X: z}
      |       ^^^^^^^^
      = help: a name has letters, digits and `_`, and does not begin with a digit

    error[GF0410]: `1A` is no name of an environment variable
     --> dags/demo.yaml:1:20
      |
    1 | env: {data-dir: x, 1A: y, GRIDFLOW_X: z}
      |                    ^^
      = help: a name has letters, digits and `_`, and does not begin with a digit

    error[GF0410]: `GRIDFLOW_X` belongs to Gridflow, which sets it for every task
     --> dags/demo.yaml:1:27
      |
    1 | env: {data-dir: x, 1A: y, GRIDFLOW_X: z}
      |                           ^^^^^^^^^^
    "#);
}

#[test]
fn params_are_checked() {
    assert_snapshot!(diagnose(r#"
params:
  a: {type: int}
  b: {type: integer, default: x}
  c: {type: string, pattern: "("}
  d: {type: string, enum: [x, y], default: z}
  e: {type: string, format: datetime}
  f: {default: 1, minimun: 0}
  2x: 1
tasks: {a: b}
"#), @r#"
    error[GF0407]: there is no type `int`
     --> dags/demo.yaml:2:13
      |
    2 |   a: {type: int}
      |             ^^^
      = help: did you mean `integer`?

    error[GF0411]: the default must be of type integer, not "x"
     --> dags/demo.yaml:3:31
      |
    3 |   b: {type: integer, default: x}
      |                               ^

    error[GF0408]: `(` is no regular expression: unclosed group
     --> dags/demo.yaml:4:30
      |
    4 |   c: {type: string, pattern: "("}
      |                              ^^^

    error[GF0411]: the default must be one of "x", "y", not "z"
     --> dags/demo.yaml:5:44
      |
    5 |   d: {type: string, enum: [x, y], default: z}
      |                                            ^

    error[GF0407]: there is no format `datetime`
     --> dags/demo.yaml:6:29
      |
    6 |   e: {type: string, format: datetime}
      |                             ^^^^^^^^
      = help: did you mean `date-time`?

    error[GF0201]: unknown key `minimun` in a param
     --> dags/demo.yaml:7:19
      |
    7 |   f: {default: 1, minimun: 0}
      |                   ^^^^^^^
      = help: did you mean `minimum`?

    error[GF0301]: `2x` is no name of a param
     --> dags/demo.yaml:8:3
      |
    8 |   2x: 1
      |   ^^
      = help: a name has letters, digits and `_`, and does not begin with a digit
    "#);
}

#[test]
fn a_template_is_not_possible_where_runs_do_not_reach() {
    assert_snapshot!(diagnose(r#"
params: {n: 1}
max_active_runs: "{{ params.n }}"
owner: "{{ ds }}"
tasks:
  a: {bash: x, retries: "{{ params.n }}", pool: "{{ ds }}", python: "print('{{ ds }}')"}
"#), @r#"
    error[GF0511]: a template is not possible here: this is read when the file is loaded; expected a whole number
     --> dags/demo.yaml:2:18
      |
    2 | max_active_runs: "{{ params.n }}"
      |                  ^^^^^^^^^^^^^^^^

    error[GF0511]: a template is not possible here: this is read when the file is loaded, before any run
     --> dags/demo.yaml:3:8
      |
    3 | owner: "{{ ds }}"
      |        ^^^^^^^^^^

    error[GF0511]: a template is not possible here: this is read when the file is loaded; expected a whole number
     --> dags/demo.yaml:5:25
      |
    5 |   a: {bash: x, retries: "{{ params.n }}", pool: "{{ ds }}", python: "print('{{ ds }}')"}
      |                         ^^^^^^^^^^^^^^^^

    error[GF0511]: a template is not possible here: this is read when the file is loaded, before any run
     --> dags/demo.yaml:5:49
      |
    5 |   a: {bash: x, retries: "{{ params.n }}", pool: "{{ ds }}", python: "print('{{ ds }}')"}
      |                                                 ^^^^^^^^^^

    error[GF0206]: task `a` has several operators: `bash` and `python`
     --> dags/demo.yaml:5:61
      |
    5 |   a: {bash: x, retries: "{{ params.n }}", pool: "{{ ds }}", python: "print('{{ ds }}')"}
      |                                                             ^^^^^^
      = help: keep `bash`, and make a task of its own of the other

    warning[GF0511]: templates are not rendered in Python code
     --> dags/demo.yaml:5:69
      |
    5 |   a: {bash: x, retries: "{{ params.n }}", pool: "{{ ds }}", python: "print('{{ ds }}')"}
      |                                                                     ^^^^^^^^^^^^^^^^^^^
      = help: pass the value as an argument (`call:` and `args:`) or through `env:`; `{{` in a format string is written `{{{{`
    "#);
}

#[test]
fn a_pool_name_is_checked() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {bash: x, pool: a/b}
"#), @r#"
    error[GF0301]: a pool name must not contain `/`: allowed are letters, digits and _.- 
     --> dags/demo.yaml:2:22
      |
    2 |   a: {bash: x, pool: a/b}
      |                      ^^^
    "#);
}

#[test]
fn a_backoff_is_a_multiplier() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {bash: x, retry_exponential_backoff: 0.5}
"#), @r#"
    error[GF0406]: the multiplier of the delay is between 1 and 100
     --> dags/demo.yaml:2:43
      |
    2 |   a: {bash: x, retry_exponential_backoff: 0.5}
      |                                           ^^^
    "#);
}

#[test]
fn ids_from_file_names_are_checked() {
    assert_snapshot!(diagnose(r#"
tasks: {a: b}
"#), @"");
}

#[test]
fn a_limit_of_no_time_is_refused() {
    assert_snapshot!(diagnose("dagrun_timeout: 0s\ntasks: {a: {bash: x, execution_timeout: 0m, grace: 0s}}"), @r#"
    error[GF0406]: a limit of time is longer than nothing
     --> dags/demo.yaml:1:17
      |
    1 | dagrun_timeout: 0s
      |                 ^^
      = help: leave the key out for no limit

    error[GF0406]: a limit of time is longer than nothing
     --> dags/demo.yaml:2:41
      |
    2 | tasks: {a: {bash: x, execution_timeout: 0m, grace: 0s}}
      |                                         ^^
      = help: leave the key out for no limit
    "#);
}
