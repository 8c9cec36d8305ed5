//! What tasks need of each other.

use super::*;

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
