//! Outputs of other tasks in templates.

use super::*;

#[test]
fn unknown_tasks_in_templates_say_what_was_meant() {
    assert_snapshot!(diagnose(r#"
groups: {g: {tasks: {x: echo}}}
tasks:
  extract: echo
  a: {needs: [extract, g], exec: ["{{ tasks.extrakt }}", "{{ tasks.g.x }}", "{{ tasks.x }}", "{{ tasks['g.x'] }}", "{{ ti.xcom_pull(task_ids='nope') }}"]}
"#), @r#"
    error[GF0504]: there is no task `extrakt`
     --> dags/demo.yaml:4:45
      |
    4 |   a: {needs: [extract, g], exec: ["{{ tasks.extrakt }}", "{{ tasks.g.x }}", "{{ tasks.x }}", "{{ tasks['g.x'] }}", "{{ ti.xcom_pull(task_ids='nope') }}"]}
      |                                             ^^^^^^^
      = help: did you mean `extract`?

    error[GF0504]: there is no task `g`
     --> dags/demo.yaml:4:68
      |
    4 |   a: {needs: [extract, g], exec: ["{{ tasks.extrakt }}", "{{ tasks.g.x }}", "{{ tasks.x }}", "{{ tasks['g.x'] }}", "{{ ti.xcom_pull(task_ids='nope') }}"]}
      |                                                                    ^
      = help: a task of a group is written `tasks['g.x']`

    error[GF0504]: there is no task `x`
     --> dags/demo.yaml:4:87
      |
    4 |   a: {needs: [extract, g], exec: ["{{ tasks.extrakt }}", "{{ tasks.g.x }}", "{{ tasks.x }}", "{{ tasks['g.x'] }}", "{{ ti.xcom_pull(task_ids='nope') }}"]}
      |                                                                                       ^

    error[GF0504]: there is no task `nope`
     --> dags/demo.yaml:4:142
      |
    4 |   a: {needs: [extract, g], exec: ["{{ tasks.extrakt }}", "{{ tasks.g.x }}", "{{ tasks.x }}", "{{ tasks['g.x'] }}", "{{ ti.xcom_pull(task_ids='nope') }}"]}
      |                                                                                                                                              ^^^^^^
    "#);
}

#[test]
fn unknown_outputs_list_the_known_ones() {
    assert_snapshot!(diagnose(r#"
tasks:
  v: {validate_file: {path: x}}
  e: {empty: {}}
  d: {bash: x, outputs: [rows, uri]}
  a: {needs: [v, e, d], exec: ["{{ tasks.v.row }}", "{{ tasks.e }}", "{{ tasks.e.x }}", "{{ tasks.d.ris }}", "{{ tasks.d.uri }}"]}
"#), @r#"
    error[GF0505]: the output of task `v` has no field `row`
     --> dags/demo.yaml:5:44
      |
    5 |   a: {needs: [v, e, d], exec: ["{{ tasks.v.row }}", "{{ tasks.e }}", "{{ tasks.e.x }}", "{{ tasks.d.ris }}", "{{ tasks.d.uri }}"]}
      |                                            ^^^
      = help: did you mean `rows`?

    error[GF0505]: task `e` has no output
     --> dags/demo.yaml:5:57
      |
    5 |   a: {needs: [v, e, d], exec: ["{{ tasks.v.row }}", "{{ tasks.e }}", "{{ tasks.e.x }}", "{{ tasks.d.ris }}", "{{ tasks.d.uri }}"]}
      |                                                         ^^^^^^^

    error[GF0505]: the output of task `e` has no field `x`
     --> dags/demo.yaml:5:82
      |
    5 |   a: {needs: [v, e, d], exec: ["{{ tasks.v.row }}", "{{ tasks.e }}", "{{ tasks.e.x }}", "{{ tasks.d.ris }}", "{{ tasks.d.uri }}"]}
      |                                                                                  ^

    error[GF0505]: the output of task `d` has no field `ris`
     --> dags/demo.yaml:5:101
      |
    5 |   a: {needs: [v, e, d], exec: ["{{ tasks.v.row }}", "{{ tasks.e }}", "{{ tasks.e.x }}", "{{ tasks.d.ris }}", "{{ tasks.d.uri }}"]}
      |                                                                                                     ^^^
      = help: its fields are `rows` and `uri`
    "#);
}

#[test]
fn an_output_needs_a_path() {
    assert_snapshot!(diagnose(r#"
tasks:
  x: echo
  y: {needs: x, bash: echo}
  z: {needs: y, exec: ["{{ tasks.x }}"]}
  w: {exec: ["{{ tasks.x }}", "{{ tasks.w }}"]}
"#), @r#"
    error[GF0506]: task `w` uses the output of `x` without waiting for it
     --> dags/demo.yaml:5:18
      |
    5 |   w: {exec: ["{{ tasks.x }}", "{{ tasks.w }}"]}
      |                  ^^^^^^^
      = help: add `x` to its `needs`

    error[GF0506]: task `w` uses its own output
     --> dags/demo.yaml:5:35
      |
    5 |   w: {exec: ["{{ tasks.x }}", "{{ tasks.w }}"]}
      |                                   ^^^^^^^
    "#);
}

#[test]
fn an_output_under_a_loose_rule_needs_a_default() {
    assert_snapshot!(diagnose(r#"
tasks:
  x: echo
  a: {needs: x, trigger_rule: all_done, exec: ["{{ tasks.x.rows }}"]}
  b: {needs: x, trigger_rule: all_done, exec: ["{{ tasks.x.rows | default(0) }}"]}
  c: {needs: a, exec: ["{{ tasks.x }}"]}
  d: {needs: x, trigger_rule: one_success, exec: ["{{ tasks.x }}"]}
"#), @r#"
    error[GF0507]: task `a` can run although `x` has no output: it may have failed or been skipped
     --> dags/demo.yaml:3:52
      |
    3 |   a: {needs: x, trigger_rule: all_done, exec: ["{{ tasks.x.rows }}"]}
      |                                                    ^^^^^^^^^^^^
      = help: say what stands in for it: `tasks.x.rows | default(…)`

    error[GF0507]: task `c` can run although `x` has no output: it may have failed or been skipped
     --> dags/demo.yaml:5:28
      |
    5 |   c: {needs: a, exec: ["{{ tasks.x }}"]}
      |                            ^^^^^^^
      = help: say what stands in for it: `tasks.x | default(…)`
    "#);
}

#[test]
fn outputs_do_not_belong_into_the_env_of_all() {
    assert_snapshot!(diagnose(r#"
env: {A: "{{ tasks.x }}", B: "{{ dss }}"}
tasks:
  x: echo
"#), @r#"
    error[GF0506]: outputs of tasks are not possible here: this holds for every task, also for those before
     --> dags/demo.yaml:1:14
      |
    1 | env: {A: "{{ tasks.x }}", B: "{{ dss }}"}
      |              ^^^^^^^
      = help: say it on the task that needs the output

    error[GF0502]: there is no variable `dss`
     --> dags/demo.yaml:1:34
      |
    1 | env: {A: "{{ tasks.x }}", B: "{{ dss }}"}
      |                                  ^^^
      = help: did you mean `ds`?
    "#);
}
