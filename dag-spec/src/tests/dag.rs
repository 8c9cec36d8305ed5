//! What files compile to.

use std::{num::NonZeroU32, time::Duration};

use gridflow_core::{Schedule, TaskKind, TriggerRule, WeightRule};
use insta::assert_snapshot;

use super::*;
use crate::EventDecision;

#[test]
fn hello_world_is_three_lines() {
    let dag = compiled("tasks:\n  hello:\n    bash: echo hello\n");
    assert_eq!(dag.dag.id().as_str(), "demo");
    assert_eq!(Launch::default().command(&dag, "hello"), "bash -c echo hello");
}

#[test]
fn a_bare_text_is_a_shell_command() {
    let dag = compiled("tasks: {hello: echo hello}");
    assert_eq!(Launch::default().command(&dag, "hello"), "bash -c echo hello");
}

#[test]
fn without_a_word_everything_is_as_in_airflow() {
    let dag = compiled("tasks: {a: echo}");
    let parts = dag.dag.parts();
    assert!(matches!(parts.timetable.schedule, Schedule::Manual));
    assert_eq!((parts.timetable.catchup, parts.is_paused_at_creation, parts.fail_fast), (false, false, false));
    assert_eq!((parts.max_active_runs.get(), parts.max_active_tasks.get()), (16, 16));
    assert_eq!((parts.max_consecutive_failed_runs, parts.dagrun_timeout), (None, None));
    let task = &parts.tasks[0];
    assert_eq!((task.retries, task.retry_delay), (0, Duration::from_secs(300)));
    assert_eq!(
        (task.trigger_rule, task.weight_rule, task.priority_weight),
        (TriggerRule::AllSuccess, WeightRule::Downstream, 1)
    );
    assert_eq!(
        (task.pool.as_str(), task.pool_slots.get(), task.skip_exit_codes.as_slice()),
        ("default_pool", 1, [99].as_slice())
    );
}

#[test]
fn every_key_of_a_task_arrives() {
    let dag = compiled(
        "
timezone: Europe/Berlin
tasks:
  a: echo
  b:
    needs: a
    bash: echo
    trigger_rule: none_failed
    retries: 3
    retry_delay: 10s
    retry_exponential_backoff: true
    max_retry_delay: 1h
    execution_timeout: 5m
    pool: ware house
    pool_slots: 2
    priority_weight: -7
    weight_rule: absolute
    max_active_tis_per_dag: 4
    max_active_tis_per_dagrun: 2
    start_date: 2025-07-01
    end_date: 2025-08-01T00:00:00Z
    skip_on_exit_code: [98, 99]
    idempotent: true
    run_as: etl
    grace: 1m
    doc_md: \"# hello {{ world }}\"
",
    );
    assert_snapshot!(format!("{:#?}", dag.dag.parts().tasks[1]), @r#"
    Task {
        id: "b",
        kind: Attempt(
            Local,
        ),
        upstream: [
            TaskNo(
                0,
            ),
        ],
        trigger_rule: NoneFailed,
        retries: 3,
        retry_delay: 10s,
        retry_backoff: Some(
            2.0,
        ),
        retry_delay_max: Some(
            3600s,
        ),
        execution_timeout: Some(
            300s,
        ),
        pool: "ware house",
        pool_slots: 2,
        priority_weight: -7,
        weight_rule: Absolute,
        max_active_per_dag: Some(
            4,
        ),
        max_active_per_run: Some(
            2,
        ),
        start_date: Some(
            2025-06-30T22:00:00Z,
        ),
        end_date: Some(
            2025-08-01T00:00:00Z,
        ),
        skip_exit_codes: [
            98,
            99,
        ],
    }
    "#);
    assert_snapshot!(format!("{:#?}", dag.settings[1]), @r##"
    TaskSettings {
        group: None,
        idempotent: true,
        run_as: Some(
            "etl",
        ),
        grace: 60s,
        doc_md: Some(
            "# hello {{ world }}",
        ),
    }
    "##);
}

#[test]
fn every_key_of_a_dag_arrives() {
    let dag = compiled(
        "
dag: nightly
description: about {{ braces }}
owner: me
tags: [a, 0012]
doc_md: '# hi'
schedule: 0 6 * * MON-FRI
timezone: Europe/Berlin
start_date: 2025-01-01
end_date: 2026-01-01
catchup: true
paused: true
max_active_runs: 4
max_active_tasks: 8
max_consecutive_failed_dag_runs: 3
dagrun_timeout: PT2H
fail_fast: true
tasks: {a: echo}
",
    );
    let parts = dag.dag.parts();
    assert_eq!(parts.timetable.start_date, Some(at("2024-12-31T23:00:00Z")));
    assert_eq!(parts.max_consecutive_failed_runs, NonZeroU32::new(3));
    assert_eq!(parts.dagrun_timeout, Some(Duration::from_secs(7200)));
    assert!(parts.timetable.catchup && parts.is_paused_at_creation && parts.fail_fast);
    assert_eq!(
        (dag.tags.as_slice(), dag.owner.as_deref()),
        (["a".to_owned(), "0012".to_owned()].as_slice(), Some("me"))
    );
    assert_eq!(dag.description.as_deref(), Some("about {{ braces }}"));
}

fn schedule(text: &str) -> String {
    match &compiled(&format!("schedule: {text}\ntasks: {{a: echo}}")).dag.parts().timetable.schedule {
        Schedule::Cron(crons) => crons.iter().map(|cron| cron.text.as_str()).collect::<Vec<_>>().join(" | "),
        other => format!("{other:?}"),
    }
}

#[test]
fn schedules_have_many_forms() {
    assert_eq!(schedule("'0 6 * * *'"), "0 6 * * *");
    assert_eq!(schedule("0   6 * * mon-fri"), "0 6 * * mon-fri");
    assert_eq!(schedule("'*/5 * L * *'"), "*/5 * L * *");
    assert_eq!(schedule("'0 0 * * MON#1'"), "0 0 * * MON#1");
    assert_eq!(schedule("'0 0 * JAN,JUL 0,7'"), "0 0 * JAN,JUL 0,7");
    assert_eq!(schedule("'@daily'"), "0 0 * * *");
    assert_eq!(schedule("'@quarterly'"), "0 0 1 */3 *");
    assert_eq!(schedule("{cron: ['0 6 * * *', '@hourly']}"), "0 6 * * * | 0 * * * *");
    assert_eq!(schedule("90m"), "Interval(5400s)");
    assert_eq!(schedule("'1h 30m'"), "Interval(5400s)");
    assert_eq!(schedule("'@once'"), "Once");
    assert_eq!(schedule("'@continuous'"), "Continuous");
    assert_eq!(schedule("null"), "Manual");
    assert_eq!(schedule(""), "Manual");
    assert_eq!(
        schedule("{dates: [2025-02-01, 2025-01-01, 2025-02-01T00:00:00Z]}"),
        "Dates([2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z])"
    );
}

fn edges(yaml: &str) -> String {
    let dag = compiled(yaml);
    let names = |nos: Vec<_>| nos.into_iter().map(|no| dag.dag.task(no).id.to_string()).collect::<Vec<_>>();
    dag.dag
        .tasks()
        .map(|(no, task)| {
            let mut upstream = names(dag.dag.upstream(no).collect());
            upstream.sort();
            format!("{} <- {}", task.id, upstream.join(" ")).trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn groups_are_laid_flat() {
    assert_snapshot!(edges("
tasks:
  start: echo
  end: {needs: load, bash: echo}
groups:
  load:
    needs: start
    tasks:
      a: echo
      b: {needs: a, bash: echo}
      c: {needs: inner, bash: echo}
    groups:
      inner:
        needs: a
        tasks:
          x: echo
          y: {needs: x, bash: echo}
          z: {needs: [a, start], bash: echo}
"), @r#"
    start <-
    end <- load.b load.c
    load.a <- start
    load.b <- load.a
    load.c <- load.inner.y load.inner.z
    load.inner.x <- load.a
    load.inner.y <- load.inner.x
    load.inner.z <- load.a start
    "#);
}

#[test]
fn a_group_behind_a_group_joins_its_ends() {
    assert_snapshot!(edges("
tasks: {}
groups:
  one: {tasks: {a: echo, b: echo, c: {needs: a, bash: echo}}}
  two: {needs: one, tasks: {a: echo, b: {needs: a, bash: echo}}}
"), @r#"
    one.a <-
    one.b <-
    one.c <- one.a
    two.a <- one.b one.c
    two.b <- two.a
    "#);
}

#[test]
fn kinds_of_tasks_are_known_to_the_core() {
    let dag = compiled(
        "tasks: {a: {empty: {}}, b: {trigger_dag: {dag: x, wait_for_completion: true}}, c: echo, d: {empty: }}",
    );
    let kinds: Vec<_> = dag.dag.tasks().map(|(_, task)| task.kind).collect();
    assert_eq!(kinds[0], TaskKind::Empty);
    assert_eq!(kinds[1], TaskKind::TriggerDag { wait_for_completion: true });
    assert!(matches!(kinds[2], TaskKind::Attempt(_)));
    assert_eq!(kinds[3], TaskKind::Empty);
}

#[test]
fn the_hash_is_of_the_text_and_the_files() {
    let hash = |yaml: &str, files: &[(&str, &str)]| {
        compile("a.yaml", yaml.as_bytes(), &in_memory(files)).dag.unwrap().hash.clone()
    };
    let yaml = "files: [q.sql]\ntasks: {a: echo}";
    assert_eq!(hash(yaml, &[("q.sql", "a"), ("other.sql", "x")]), hash(yaml, &[("q.sql", "a")]));
    assert_ne!(hash(yaml, &[("q.sql", "a")]), hash(yaml, &[("q.sql", "b")]));
    assert_ne!(hash(yaml, &[("q.sql", "a")]), hash(&format!("{yaml}\n"), &[("q.sql", "a")]));
}

#[test]
fn files_are_laid_beside_the_command() {
    let files = [("jobs/x.sh", "echo"), ("../shared/q.sql", "select")];
    let compilation = compile(
        "a.yaml",
        b"files: ../shared/q.sql\ntasks: {a: {bash: {file: ./jobs/../jobs/x.sh, args: [\"{{ ds }}\"]}}}",
        &in_memory(&files),
    );
    let dag = compilation.dag.unwrap();
    let Rendered::Command { argv, files, .. } = Launch::default().render(&dag, "a").unwrap() else { panic!() };
    assert_eq!(argv, ["bash", "jobs/x.sh", "2025-01-31"]);
    assert_eq!(files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["__/shared/q.sql", "jobs/x.sh"]);
}

fn params(yaml: &str, conf: Value) -> String {
    match compiled(&format!("{}tasks: {{a: echo}}", yaml.trim_start())).params(&conf) {
        Ok(values) => Value::Object(values).to_string(),
        Err(errors) => errors
            .iter()
            .map(|error| format!("{error}{}", error.help.as_ref().map_or(String::new(), |help| format!(" ({help})"))))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn params_have_types_defaults_and_bounds() {
    let yaml = "
params:
  table: sales
  day: {type: string, format: date}
  rows: {type: [integer, \"null\"], minimum: 1, maximum: 9, default: null}
  mode: {enum: [full, delta], default: full}
  zip: {type: string, default: 0012, pattern: '^[0-9]+$', minLength: 2, maxLength: 5}
";
    assert_snapshot!(params(yaml, json!({"day": "2025-01-31"})), @r#"{"table":"sales","day":"2025-01-31","rows":null,"mode":"full","zip":"0012"}"#);
    assert_snapshot!(params(yaml, json!({"day": "31.1.", "rows": 12, "mode": "x", "zip": "a", "tabel": 1, "table": 3})), @r#"
    param `table`: must be of type string, not 3
    param `day`: must be a date such as 2025-01-31, not "31.1."
    param `rows`: must be at most 9, not 12
    param `mode`: must be one of "full", "delta", not "x"
    param `zip`: must have at least 2 characters, not 1
    param `tabel`: the DAG has no such param (did you mean `table`?)
    "#);
    assert_snapshot!(params(yaml, json!({"zip": "123456", "rows": "1"})), @r#"
    param `day`: it has no default and must be given
    param `rows`: must be of type integer or null, not "1"
    param `zip`: must have at most 5 characters, not 6
    "#);
    assert_snapshot!(params(yaml, json!([1])), @"param `conf`: the configuration of a run is a map of params");
    assert_snapshot!(params("", json!({"x": 1})), @"param `x`: the DAG has no such param (this DAG has no params)");
}

#[test]
fn an_event_is_filtered_and_mapped() {
    let dag = compiled(
        "
trigger:
  file:
    path: /in
    min_size: 1
    max_size: 1k
    filter: \"{{ trigger.name.startswith('a') and trigger.size < 500 }}\"
    map: {file: \"{{ trigger.path }}\", size: \"{{ trigger.size }}\"}
params: {file: {type: string}, size: 0}
tasks: {a: {exec: [cat, \"{{ params.file }}\"]}}
",
    );
    let decide = |name: &str, size: u64| {
        dag.map_event("file", &json!({"name": name, "path": format!("/in/{name}"), "size": size}))
    };
    assert_eq!(
        decide("b.csv", 5),
        Ok(EventDecision::Ignore {
            reason: "filter `{{ trigger.name.startswith('a') and trigger.size < 500 }}` does not hold".into()
        })
    );
    assert_eq!(decide("a.csv", 0), Ok(EventDecision::Ignore { reason: "0 bytes are less than `min_size`".into() }));
    assert_eq!(
        decide("a.csv", 2_000),
        Ok(EventDecision::Ignore { reason: "2000 bytes are more than `max_size`".into() })
    );
    let conf = json!({"file": "/in/a.csv", "size": 5});
    assert_eq!(decide("a.csv", 5), Ok(EventDecision::Fire { conf: conf.as_object().unwrap().clone() }));
    assert!(dag.map_event("other", &json!({})).is_err());
    assert!(dag.map_event("file", &json!({"size": 5})).is_err());
}

#[test]
fn warnings_do_not_stop_a_dag() {
    let dag = compiled("tasks: {a: {python: \"print('{{ ds }}')\"}}");
    assert_eq!(dag.warnings.len(), 1);
}

#[test]
fn text_keys_take_the_raw_scalar() {
    let dag = compiled("owner: yes\ntags: [0012, 1e3, true]\ntasks: {a: {exec: [echo, 0012, yes, 1.50, true, ~x]}}");
    assert_eq!(Launch::default().command(&dag, "a"), "echo 0012 yes 1.50 true ~x");
    assert_eq!((dag.owner.as_deref(), dag.tags.join(" ")), (Some("yes"), "0012 1e3 true".into()));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let dag = compiled("\u{feff}tasks:\r\n  a: |\r\n    echo one\r\n    echo two\r\n");
    assert_eq!(Launch::default().command(&dag, "a"), "bash -c echo one\necho two\n");
}
