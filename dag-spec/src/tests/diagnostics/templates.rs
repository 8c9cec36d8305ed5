use super::*;

#[test]
fn a_template_that_does_not_close_is_pointed_at() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: echo {{ ds
  b: echo {{ ds | }}
  c: echo {% if ds %}x
  d: echo {{ ds }
"#), @r#"
    error[GF0501]: `{{` is not closed with `}}`
     --> dags/demo.yaml:2:14
      |
    2 |   a: echo {{ ds
      |              ^^

    error[GF0501]: template: unexpected end of variable block, expected identifier
     --> dags/demo.yaml:3:19
      |
    3 |   b: echo {{ ds | }}
      |                   ^^

    error[GF0501]: a `{% … %}` block is not closed, or not ended
     --> dags/demo.yaml:4:22
      |
    4 |   c: echo {% if ds %}x
      |                      ^

    error[GF0501]: `{{` is closed with `}}`, this is one `}`
     --> dags/demo.yaml:5:17
      |
    5 |   d: echo {{ ds }
      |                 ^
    "#);
}

#[test]
fn unknown_variables_say_what_was_meant() {
    assert_snapshot!(diagnose(r#"
params: {table: x}
tasks:
  a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
  b: echo
"#), @r#"
    error[GF0502]: there is no variable `dss`
     --> dags/demo.yaml:3:14
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |              ^^^
      = help: did you mean `ds`?

    error[GF0502]: there is no variable `execution_date`
     --> dags/demo.yaml:3:24
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |                        ^^^^^^^^^^^^^^
      = help: it is `logical_date` since Airflow 3

    error[GF0502]: there is no variable `next_ds`
     --> dags/demo.yaml:3:45
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |                                             ^^^^^^^
      = help: use `data_interval_end | ds`

    error[GF0502]: there is no variable `table`
     --> dags/demo.yaml:3:59
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |                                                           ^^^^^
      = help: did you mean `params.table`?

    error[GF0502]: there is no variable `b`
     --> dags/demo.yaml:3:71
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |                                                                       ^
      = help: did you mean `tasks.b`?

    error[GF0502]: there is no variable `macros`
     --> dags/demo.yaml:3:79
      |
    3 |   a: echo {{ dss }} {{ execution_date }} {{ next_ds }} {{ table }} {{ b }} {{ macros.ds_add(ds, 1) }}
      |                                                                               ^^^^^^
      = help: macros are not available in this version; dates have methods such as `logical_date.add(days=1)`
    "#);
}

#[test]
fn unknown_params_say_what_was_meant() {
    assert_snapshot!(diagnose(r#"
params: {table: x}
tasks:
  a: echo {{ params.tabel | sh }}
  b: echo {{ params['other'] | sh }}
"#), @r#"
    error[GF0503]: there is no param `tabel`
     --> dags/demo.yaml:3:21
      |
    3 |   a: echo {{ params.tabel | sh }}
      |                     ^^^^^
      = help: did you mean `table`?

    error[GF0503]: there is no param `other`
     --> dags/demo.yaml:4:21
      |
    4 |   b: echo {{ params['other'] | sh }}
      |                     ^^^^^^^
      = help: declare it: `params: {other: {type: string}}`
    "#);
}

#[test]
fn carets_point_into_blocks() {
    assert_snapshot!(diagnose(r#"
params: {table: x}
tasks:
  a:
    bash: |
      set -e
      echo "start"
        echo {{ params.tabel | sh }}
  b:
    bash: >
      one
      {{ nothing }}
  c:
    exec: ["a \"b\" {{ params.x }}", 'it''s {{ params.y }}']
"#), @r#"
    error[GF0503]: there is no param `tabel`
     --> dags/demo.yaml:7:24
      |
    7 |         echo {{ params.tabel | sh }}
      |                        ^^^^^
      = help: did you mean `table`?

    error[GF0502]: there is no variable `nothing`
      --> dags/demo.yaml:11:10
       |
    11 |       {{ nothing }}
       |          ^^^^^^^

    error[GF0503]: there is no param `x`
      --> dags/demo.yaml:13:31
       |
    13 |     exec: ["a \"b\" {{ params.x }}", 'it''s {{ params.y }}']
       |                               ^
       = help: declare it: `params: {x: {type: string}}`

    error[GF0503]: there is no param `y`
      --> dags/demo.yaml:13:55
       |
    13 |     exec: ["a \"b\" {{ params.x }}", 'it''s {{ params.y }}']
       |                                                       ^
       = help: declare it: `params: {y: {type: string}}`
    "#);
}

#[test]
fn unknown_filters_say_what_was_meant() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: echo {{ ds | uper }} {{ ds is strng }} {{ rnge(3) }} {{ ds | foo }}
"#), @r#"
    error[GF0509]: templates have no filter `uper`
     --> dags/demo.yaml:2:19
      |
    2 |   a: echo {{ ds | uper }} {{ ds is strng }} {{ rnge(3) }} {{ ds | foo }}
      |                   ^^^^
      = help: did you mean `upper`?

    error[GF0509]: templates have no test `strng`
     --> dags/demo.yaml:2:36
      |
    2 |   a: echo {{ ds | uper }} {{ ds is strng }} {{ rnge(3) }} {{ ds | foo }}
      |                                    ^^^^^
      = help: did you mean `string`?

    error[GF0509]: templates have no function `rnge`
     --> dags/demo.yaml:2:48
      |
    2 |   a: echo {{ ds | uper }} {{ ds is strng }} {{ rnge(3) }} {{ ds | foo }}
      |                                                ^^^^
      = help: did you mean `range`?

    error[GF0509]: templates have no filter `foo`
     --> dags/demo.yaml:2:67
      |
    2 |   a: echo {{ ds | uper }} {{ ds is strng }} {{ rnge(3) }} {{ ds | foo }}
      |                                                                   ^^^
    "#);
}

#[test]
fn a_trigger_is_needed_for_trigger() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {exec: ["{{ trigger.path }}"]}
  b: {exec: ["{{ trigger.path | default('x') }}"]}
"#), @r#"
    error[GF0510]: the DAG has no trigger, so there is no `trigger`
     --> dags/demo.yaml:2:18
      |
    2 |   a: {exec: ["{{ trigger.path }}"]}
      |                  ^^^^^^^
      = help: add `trigger:`, or pass the value as a param
    "#);
}

#[test]
fn trigger_fields_are_known() {
    assert_snapshot!(diagnose(r#"
trigger: {file: {path: /in, filter: "{{ trigger.sise > 0 and ds }}", map: {file: "{{ trigger.nam }}"}}}
tasks:
  a: {exec: ["{{ trigger.key }}"]}
"#), @r#"
    error[GF0512]: `trigger` has no `sise`
     --> dags/demo.yaml:1:49
      |
    1 | trigger: {file: {path: /in, filter: "{{ trigger.sise > 0 and ds }}", map: {file: "{{ trigger.nam }}"}}}
      |                                                 ^^^^
      = help: did you mean `size`?

    error[GF0502]: `ds` is not known here: `filter` and `map` see `trigger` and nothing else
     --> dags/demo.yaml:1:62
      |
    1 | trigger: {file: {path: /in, filter: "{{ trigger.sise > 0 and ds }}", map: {file: "{{ trigger.nam }}"}}}
      |                                                              ^^

    error[GF0503]: `map` fills the param `file`, which does not exist
     --> dags/demo.yaml:1:76
      |
    1 | trigger: {file: {path: /in, filter: "{{ trigger.sise > 0 and ds }}", map: {file: "{{ trigger.nam }}"}}}
      |                                                                            ^^^^
      = help: declare it: `params: {file: {type: string}}`

    error[GF0512]: `trigger` has no `nam`
     --> dags/demo.yaml:1:94
      |
    1 | trigger: {file: {path: /in, filter: "{{ trigger.sise > 0 and ds }}", map: {file: "{{ trigger.nam }}"}}}
      |                                                                                              ^^^
      = help: did you mean `name`?

    error[GF0512]: `trigger` has no `key`
     --> dags/demo.yaml:3:26
      |
    3 |   a: {exec: ["{{ trigger.key }}"]}
      |                          ^^^
      = help: it has `kind`, `path`, `uri`, `name`, `stem`, `suffix`, `folder`, `relative`, `size`, `mtime` and `sha256`
    "#);
}

#[test]
fn attributes_are_known() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: echo {{ dag_run.id }} {{ ti.tri_number }} {{ logical_date.yaer }} {{ logical_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logical_date.year }}
"#), @r#"
    error[GF0512]: `dag_run` has no attribute `id`
     --> dags/demo.yaml:2:22
      |
    2 |   a: echo {{ dag_run.id }} {{ ti.tri_number }} {{ logical_date.yaer }} {{ logical_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logic
      |                      ^^
      = help: it has `dag_id`, `run_id`, `run_type`, `conf`, `logical_date`, `data_interval_start`, `data_interval_end`, `run_after` and `start_date`

    error[GF0512]: `ti` has no attribute `tri_number`
     --> dags/demo.yaml:2:34
      |
    2 |   a: echo {{ dag_run.id }} {{ ti.tri_number }} {{ logical_date.yaer }} {{ logical_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logic
      |                                  ^^^^^^^^^^
      = help: did you mean `try_number`?

    error[GF0512]: a date has no `yaer`
     --> dags/demo.yaml:2:64
      |
    2 |  }} {{ ti.tri_number }} {{ logical_date.yaer }} {{ logical_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logical_date.year }}
      |                                         ^^^^
      = help: did you mean `year`?

    error[GF0512]: a date has no `strftim`
     --> dags/demo.yaml:2:88
      |
    2 | {{ logical_date.yaer }} {{ logical_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logical_date.year }}
      |                                         ^^^^^^^
      = help: did you mean `strftime`?

    error[GF0512]: a date has no `isoformat`
     --> dags/demo.yaml:2:121
      |
    2 | l_date.strftim('%Y') }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logical_date.year }}
      |                                         ^^^^^^^^^
      = help: call it: `isoformat()`

    error[GF0512]: `ds` has no attribute `x`
     --> dags/demo.yaml:2:140
      |
    2 | ) }} {{ logical_date.isoformat }} {{ ds.x }} {{ dag_run.logical_date.year }}
      |                                         ^
    "#);
}

#[test]
fn names_are_written_out() {
    assert_snapshot!(diagnose(r#"
params: {a: 1}
tasks:
  x: echo
  a: {needs: x, exec: ["{{ params[ds] }}", "{{ tasks[ds] }}", "{{ ti.xcom_pull(task_ids=ds) }}", "{{ ti.xcom_pull() }}"]}
"#), @r#"
    error[GF0513]: the name of a param must be written out, so that it can be checked
     --> dags/demo.yaml:4:35
      |
    4 |   a: {needs: x, exec: ["{{ params[ds] }}", "{{ tasks[ds] }}", "{{ ti.xcom_pull(task_ids=ds) }}", "{{ ti.xcom_pull() }}"]}
      |                                   ^^

    error[GF0513]: the name of a task must be written out: `tasks.ID` or `tasks['group.id']`
     --> dags/demo.yaml:4:54
      |
    4 |   a: {needs: x, exec: ["{{ params[ds] }}", "{{ tasks[ds] }}", "{{ ti.xcom_pull(task_ids=ds) }}", "{{ ti.xcom_pull() }}"]}
      |                                                      ^^

    error[GF0513]: the task of `xcom_pull` must be a plain text, so that it can be checked
     --> dags/demo.yaml:4:89
      |
    4 |   a: {needs: x, exec: ["{{ params[ds] }}", "{{ tasks[ds] }}", "{{ ti.xcom_pull(task_ids=ds) }}", "{{ ti.xcom_pull() }}"]}
      |                                                                                         ^^

    error[GF0513]: `xcom_pull` needs the task: `xcom_pull(task_ids='…')`
     --> dags/demo.yaml:4:104
      |
    4 |   a: {needs: x, exec: ["{{ params[ds] }}", "{{ tasks[ds] }}", "{{ ti.xcom_pull(task_ids=ds) }}", "{{ ti.xcom_pull() }}"]}
      |                                                                                                        ^^^^^^^^^^^^
    "#);
}

#[test]
fn other_templates_cannot_be_included() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: echo {% include 'x' %}
"#), @r#"
    error[GF0501]: `{% include %}` is not possible in a value
     --> dags/demo.yaml:2:14
      |
    2 |   a: echo {% include 'x' %}
      |              ^^^^^^^^^^^
    "#);
}

#[test]
fn secrets_are_not_there_yet() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {bash: x, env: {A: "{{ secret('a/b') }}"}}
"#), @r#"
    error[GF0901]: `secret(…)` is not available in this version
     --> dags/demo.yaml:2:29
      |
    2 |   a: {bash: x, env: {A: "{{ secret('a/b') }}"}}
      |                             ^^^^^^
      = help: give the value to the process that starts Gridflow's tasks, or read it from a file in the task
    "#);
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    assert_snapshot!(diagnose(r#"
schedule: @daily
timezone: Europe/Berln
params: {a: 1}
tasks:
  x: {bash: "echo {{ params.b | sh }}", retires: 2}
  y: {needs: z, bash: x, retry_delay: 5}
  z: {needs: y, bash: x}
"#), @r#"
    error[GF0112]: an unquoted `@` at the start of a value is a reserved character in YAML
     --> dags/demo.yaml:1:11
      |
    1 | schedule: @daily
      |           ^^^^^^
      = help: quote the value:
              schedule: "@daily"

    error[GF0404]: there is no time zone `Europe/Berln`
     --> dags/demo.yaml:2:11
      |
    2 | timezone: Europe/Berln
      |           ^^^^^^^^^^^^
      = help: did you mean `Europe/Berlin`?

    error[GF0503]: there is no param `b`
     --> dags/demo.yaml:5:29
      |
    5 |   x: {bash: "echo {{ params.b | sh }}", retires: 2}
      |                             ^
      = help: declare it: `params: {b: {type: string}}`

    error[GF0201]: unknown key `retires` in a task
     --> dags/demo.yaml:5:41
      |
    5 |   x: {bash: "echo {{ params.b | sh }}", retires: 2}
      |                                         ^^^^^^^
      = help: did you mean `retries`?

    error[GF0402]: `5` is no duration
     --> dags/demo.yaml:6:39
      |
    6 |   y: {needs: z, bash: x, retry_delay: 5}
      |                                       ^
      = help: say the unit: `5s` or `5m`

    error[GF0305]: tasks need each other in a circle: `y` → `z` → `y`
     --> dags/demo.yaml:7:14
      |
    7 |   z: {needs: y, bash: x}
      |              ^
      = help: each task needs the one behind its arrow; remove one of these `needs`
    "#);
}
