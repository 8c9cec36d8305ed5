//! What launches are made of.

use insta::assert_snapshot;

use super::*;

#[test]
fn dates_print_as_airflows_do() {
    assert_eq!(rendered("{{ ds }} {{ ds_nodash }}"), "2025-01-31 20250131");
    assert_eq!(rendered("{{ ts }} {{ ts_nodash }}"), "2025-01-31T06:00:00+00:00 20250131T060000");
    assert_eq!(rendered("{{ ts_nodash_with_tz }}"), "20250131T060000+0000");
    assert_eq!(rendered("x {{ logical_date }}"), "x 2025-01-31 06:00:00+00:00");
    assert_eq!(
        rendered("{{ data_interval_start | ds }} {{ data_interval_end | ts }}"),
        "2025-01-31 2025-01-31T06:00:00+00:00"
    );
    assert_eq!(rendered("{{ run_after | ts_nodash }}"), "20250131T060001");
    assert_eq!(rendered("{{ '2025-02-01T00:00:00+00:00' | ds_nodash }}"), "20250201");
}

#[test]
fn dates_can_be_asked_and_moved() {
    assert_eq!(rendered("{{ logical_date.year }}-{{ logical_date.month }} q{{ logical_date.quarter }}"), "2025-1 q1");
    assert_eq!(rendered("{{ logical_date.strftime('%d/%m/%y %H:%M:%S.%f') }}"), "31/01/25 06:00:00.000000");
    assert_eq!(
        rendered("{{ logical_date.isoformat() }} {{ logical_date.isoformat(' ') }}"),
        "2025-01-31T06:00:00+00:00 2025-01-31 06:00:00+00:00"
    );
    assert_eq!(rendered("{{ logical_date.add(months=1, hours=2) }}"), "2025-02-28 08:00:00+00:00");
    assert_eq!(rendered("{{ logical_date.subtract(days=1) | ds }}"), "2025-01-30");
    assert_eq!(
        rendered("{{ logical_date.start_of('month') | ds }} {{ logical_date.end_of('month') }}"),
        "2025-01-01 2025-01-31 23:59:59.999999+00:00"
    );
    assert_eq!(rendered("{{ logical_date.in_timezone('America/New_York') }}"), "2025-01-31 01:00:00-05:00");
    assert_eq!(rendered("{{ logical_date < run_after }} {{ logical_date == data_interval_start }}"), "True True");
    assert_eq!(rendered("{{ logical_date.int_timestamp }} {{ logical_date.timestamp() }}"), "1738303200 1738303200.0");
}

#[test]
fn what_a_date_cannot_do_is_an_error_and_no_panic() {
    assert_snapshot!(rendered("{{ logical_date.strftime('%Q') }}"), @"error: template `{{ logical_date.strftime('%Q') }}`: `%Q` is no format of dates");
    assert_snapshot!(rendered("{{ logical_date.in_tz('Mars/Base') }}"), @"error: template `{{ logical_date.in_tz('Mars/Base') }}`: there is no time zone `Mars/Base`");
    assert_snapshot!(rendered("{{ logical_date.add(years=99999999) }}"), @"error: template `{{ logical_date.add(years=99999999) }}`: the date is out of range");
    assert_snapshot!(rendered("{{ logical_date.add(eons=1) }}"), @"error: template `{{ logical_date.add(eons=1) }}`: unknown keyword argument 'eons'");
    assert_snapshot!(rendered("{{ 'yesterday' | ds }}"), @"error: template `{{ 'yesterday' | ds }}`: `yesterday` is no date");
}

#[test]
fn dates_are_in_the_zone_of_the_dag() {
    let dag = compiled("timezone: Asia/Tokyo\ntasks:\n  a: echo {{ ds }} {{ ts }} {{ logical_date.hour }}\n");
    let launch = Launch { logical_date: Some(at("2025-01-31T20:00:00Z")), ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "bash -c echo 2025-02-01 2025-02-01T05:00:00+09:00 5");
}

#[test]
fn ids_and_objects_are_airflows() {
    assert_eq!(rendered("{{ run_id }}"), "manual__2025-01-31T06:00:00+00:00");
    assert_eq!(
        rendered("{{ dag.dag_id }} {{ dag_run.run_type }} {{ task.task_id }} {{ ti.task_id }}"),
        "demo manual a a"
    );
    assert_eq!(rendered("{{ try_number }} {{ ti.try_number }} {{ task_instance.map_index }}"), "2 2 -1");
    assert_eq!(rendered("{{ task_instance_key_str }} {{ task.retries }}"), "demo__a__20250131 0");
    assert_eq!(rendered("{{ dag_run.logical_date | ds }} {{ dag_run.conf }}"), "2025-01-31 {}");
}

#[test]
fn a_run_without_a_logical_date_says_what_to_use_instead() {
    let dag = compiled(
        "tasks:\n  a: echo {{ ds }}\n  b: echo {{ run_after | ds }}\n  c: echo {{ data_interval_start | default('none') }}\n  d: echo {{ logical_date }}\n",
    );
    let launch = Launch { logical_date: None, ..Launch::default() };
    assert_snapshot!(launch.command(&dag, "a"), @"error: `ds` has no value here: this run has no logical date; use `run_after`, which every run has (`{{ run_after | ds }}`)");
    assert_snapshot!(launch.command(&dag, "d"), @"error: `logical_date` has no value here: this run has no logical date; use `run_after`, which every run has (`{{ run_after | ds }}`)");
}

#[test]
fn a_run_that_an_event_started_takes_its_day_from_the_event() {
    let dag = compiled(
        "trigger: {file: {path: /in}}\ntasks:\n  a: {exec: [cp, \"{{ trigger.path }}\", \"/data/{{ ds }}/\"]}\n",
    );
    let launch = Launch { logical_date: None, trigger: Some(json!({"path": "/in/a.csv"})), ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "cp /in/a.csv /data/2025-01-31/");
    let by_hand = Launch { logical_date: None, ..Launch::default() };
    assert_snapshot!(by_hand.command(&dag, "a"), @"error: `trigger` has no value here: no event started this run; a `default` filter can take its place");
}

#[test]
fn one_expression_keeps_its_type() {
    let dag = compiled(
        "
params: {n: 3, list: [1, 2], day: 2025-01-31}
tasks:
  a:
    trigger_dag:
      dag: other
      params:
        n: \"{{ params.n }}\"
        text: \"n={{ params.n }}\"
        list: \"{{ params.list }}\"
        deep: {x: [\"{{ params.n + 1 }}\", 5, true, ~]}
        date: \"{{ logical_date }}\"
        half: \"{{ params.n / 2 }}\"
        none: \"{{ none }}\"
        flag: \"{{ params.n > 2 }}\"
",
    );
    let Rendered::TriggerDag(run) = Launch::default().render(&dag, "a").unwrap() else { panic!() };
    assert_eq!(
        run.conf,
        json!({
            "n": 3, "text": "n=3", "list": [1, 2], "deep": {"x": [4, 5, true, null]}, "date": "2025-01-31T06:00:00+00:00",
            "half": 1.5, "none": null, "flag": true
        })
    );
}

#[test]
fn outputs_of_tasks_are_values() {
    let dag = compiled(
        "
groups: {g: {tasks: {x: echo}}}
tasks:
  v: echo
  a:
    needs: [v, g]
    exec: [\"{{ tasks.v.rows[1] }}\", \"{{ tasks['g.x'].uri }}\", \"{{ ti.xcom_pull(task_ids='v').rows | length }}\", \"{{ ti.xcom_pull('v', key='return_value')['rows'] | tojson }}\"]
",
    );
    let launch = Launch { outputs: json!({"v": {"rows": [1, 2]}, "g.x": {"uri": "s3://a"}}), ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "2 s3://a 2 [1, 2]");
    assert_snapshot!(Launch::default().command(&dag, "a"), @"error: template `{{ tasks.v.rows[1] }}`: `tasks.v` is undefined");
}

#[test]
fn a_default_stands_in_for_an_output_that_is_not_there() {
    let dag = compiled(
        "
tasks:
  v: echo
  a: {needs: v, trigger_rule: all_done, exec: [\"{{ tasks.v.rows | default(0) }}\", \"{{ tasks.v.a.b.c | default('deep') }}\"]}
  b: {needs: v, trigger_rule: all_done, exec: [\"{{ tasks.v | default('nothing') }}\", \"{{ tasks.v is defined }}\"]}
",
    );
    assert_eq!(Launch::default().command(&dag, "a"), "0 deep");
    assert_eq!(Launch::default().command(&dag, "b"), "nothing false");
    let launch = Launch { outputs: json!({"v": {"rows": 7, "a": {"b": {"c": 1}}}}), ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "7 1");
}

#[test]
fn undefined_is_an_error() {
    let dag = compiled(
        "tasks:\n  v: echo\n  a: {needs: v, exec: [\"{{ tasks.v.rows }}\"]}\n  b: {needs: v, exec: [\"x {{ tasks.v.rows.n }}\"]}\n  c: {exec: [\"{{ var.value.x }}\"]}\n",
    );
    let launch = Launch { outputs: json!({"v": {}}), ..Launch::default() };
    assert_snapshot!(launch.command(&dag, "a"), @"error: template `{{ tasks.v.rows }}`: `tasks.v.rows` is undefined");
    assert_snapshot!(launch.command(&dag, "b"), @"error: template `x {{ tasks.v.rows.n }}`: `tasks.v.rows` is undefined");
    assert_snapshot!(launch.command(&dag, "c"), @"error: template `{{ var.value.x }}`: `var.value.x` is undefined");
}

#[test]
fn variables_are_texts_or_json() {
    let dag = compiled(
        "tasks:\n  a: {exec: [\"{{ var.value.x }}\", \"{{ var.json.y.z }}\", \"{{ var.value.n | default('d') }}\", \"{{ var.value.get('x') }} {{ var.json.get('n', 'e') }}\"]}\n",
    );
    let launch = Launch { variables: json!({"x": "1", "y": "{\"z\": 2}"}), ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "1 2 d 1 e");
}

#[test]
fn sh_makes_one_word_of_a_value() {
    let dag = compiled("params: {x: y, l: [a b, c]}\ntasks:\n  a: echo {{ params.x | sh }} {{ params.l | sh }}\n");
    let launch = |x: &str| Launch { conf: json!({ "x": x }), ..Launch::default() }.command(&dag, "a");
    assert_eq!(launch("plain-1.csv"), "bash -c echo plain-1.csv 'a b' c");
    assert_eq!(launch("a b; rm -rf ~ #'\"$(x)`"), "bash -c echo 'a b; rm -rf ~ #'\"'\"'\"$(x)`' 'a b' c");
    assert_eq!(launch(""), "bash -c echo '' 'a b' c");
}

#[test]
fn a_truth_alone_is_yamls_and_in_a_text_jinjas() {
    assert_eq!(rendered("{{ 1 < 2 }}"), "true");
    assert_eq!(rendered("is {{ 1 < 2 }} {{ none }}"), "is True None");
    assert_eq!(rendered("{{ [1, {'a': true}] }}"), r#"[1,{"a":true}]"#);
}

#[test]
fn texts_and_maps_have_pythons_methods() {
    assert_eq!(
        rendered("{{ 'a,b,c'.split(',') | join('+') }} {{ 'a,b,c'.rsplit(',', 1)[0] }} {{ ' x '.strip() }}."),
        "a+b+c a,b x."
    );
    assert_eq!(
        rendered("{{ ds.replace('-', '/') }} {{ 'X.csv'.lower().removesuffix('.csv') }} {{ '7'.zfill(3) }}"),
        "2025/01/31 x 007"
    );
    assert_eq!(rendered("{{ 'a'.startswith('a') and 'b'.endswith('b') }}"), "true");
    assert_eq!(
        rendered("{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.items() | list }}"),
        "1 2 [['a', 1]]"
    );
    assert_eq!(rendered("{{ dag_run.conf.get('x', 'none') }}"), "none");
    assert_snapshot!(rendered("{{ 'a'.nothing() }}"), @"error: template `{{ 'a'.nothing() }}`: a text has no method `nothing`");
}

/// What a template renders to, or why it is not even tried.
fn tried(template: &str) -> String {
    let yaml = format!("tasks:\n  a:\n    exec: [{}]\n", crate::yaml::quoted(template));
    match compile("a.yaml", yaml.as_bytes(), &NoFiles) {
        Compilation { dag: Some(dag), .. } => Launch::default().command(&dag, "a"),
        Compilation { diagnostics, .. } => diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn no_template_takes_the_scheduler_with_it() {
    assert_snapshot!(tried("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"), @"error: template `{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}` takes too long; it is stopped after 100000 steps");
    assert_snapshot!(tried("{{ 'x' * 999999999 }}"), @"this could make a text of more than 64 MiB");
    assert_snapshot!(tried("{{ [0] * 999999999 }}"), @"this could make a text of more than 64 MiB");
    assert_snapshot!(tried("{% for a in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}"), @"error: template `{% for a in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}` takes too long; it is stopped after 100000 steps");
    assert_snapshot!(tried("{% set a = ds ~ ds ~ ds ~ ds %}{% set b = a ~ a ~ a ~ a %}{% set c = b ~ b ~ b ~ b ~ b %}{{ c }}"), @"this could make a text of more than 64 MiB");
    assert_snapshot!(tried("{{ range(99999) | join('xxxxxxxxxxxxxxxxx') }}"), @"error: template `{{ range(99999) | join('xxxxxxxxxxxxxxxxx') }}`: the text would have more than 1048576 bytes");
    assert_snapshot!(tried("{{ ('x' * 9999) | replace('x', 'y' * 9999) }}"), @"error: template `{{ ('x' * 9999) | replace('x', 'y' * 9999) }}`: the text would have more than 1048576 bytes");
    assert_snapshot!(tried("{{ ('x' * 9999).replace('x', 'y' * 9999) }}"), @"error: template `{{ ('x' * 9999).replace('x', 'y' * 9999) }}`: the text would be too large");
    assert_snapshot!(tried("{{ 'x' | indent(999999999, true) | length }}"), @"error: template `{{ 'x' | indent(999999999, true) | length }}`: an indentation is at most 200");
    assert_snapshot!(tried("{{ '%0999999999d' | format(1) }}"), @"error: template `{{ '%0999999999d' | format(1) }}`: a width has at most three digits");
    assert_eq!(tried("{{ '%05.1f %s' | format(1.25, ds) }}"), "001.2 2025-01-31");
    assert_snapshot!(tried("{{ '7'.zfill(999999999) | length }}"), @"1000");
    assert_eq!(tried("{{ range(99999) | list | length }}"), "99999");
    assert_snapshot!(tried("{{ 9 ** 99 ** 9 }}"), @"error: template `{{ 9 ** 99 ** 9 }}`: unable to calculate 9 ** 99");
    assert_snapshot!(tried("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), @r#"
    `{% macro %}` is not possible in a value
    templates have no function `f`
    "#);
    assert_snapshot!(tried("{% set x %}{% for a in range(9) %}x{% endfor %}{% endset %}"), @"`{% set … endset %}` is not possible in a value");
}

#[test]
fn env_is_merged_by_name_and_rendered() {
    let dag = compiled(
        "
env: {A: dag, B: dag, ZIP: 0012, FLAG: yes, EMPTY: }
defaults: {env: {B: defaults, C: defaults}}
groups:
  g:
    env: {C: group, D: \"{{ ds }}\"}
    tasks:
      x: {bash: env, env: {D: task, E: \"{{ task.task_id }}\"}}
tasks: {y: env}
",
    );
    let env = |task: &str| match Launch::default().render(&dag, task).unwrap() {
        Rendered::Command { env, .. } => {
            env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(env("g.x"), "A=dag B=defaults ZIP=0012 FLAG=yes EMPTY= C=group D=task E=g.x");
    assert_eq!(env("y"), "A=dag B=defaults ZIP=0012 FLAG=yes EMPTY= C=defaults");
}

#[test]
fn operators_of_gridflows_own_get_their_spec() {
    let dag = compiled(
        "
params: {f: /in/a.csv}
tasks:
  v:
    validate_file:
      path: \"{{ params.f }}\"
      format: csv
      schema: {columns: [{name: id, type: integer, min: 1}, {name: 0012, type: string, nullable: true, enum: [a]}], unique: id}
      checksum: {expected: \"{{ ds_nodash }}\"}
      reason_file: /tmp/r.json
  c: {needs: v, copy_file: {from: \"{{ tasks.v.path }}\", to: /out/, sha256: \"{{ tasks.v.sha256 }}\"}}
  m: {needs: v, trigger_rule: all_failed, move_file: {from: \"{{ params.f }}\", to: /bad/, overwrite: true, reason: \"{{ tasks.v | default({}) }}\"}}
",
    );
    let launch =
        Launch { outputs: json!({"v": {"path": "/in/a.csv", "sha256": "ab", "errors": [1]}}), ..Launch::default() };
    let spec = |task: &str| match launch.render(&dag, task).unwrap() {
        Rendered::Operator { name, spec, .. } => format!("{name} {spec}"),
        other => panic!("{other:?}"),
    };
    assert_snapshot!(spec("v"), @r#"validate_file {"path":"/in/a.csv","schema":{"columns":[{"name":"id","type":"integer","required":true,"nullable":false,"unique":false,"min":1},{"name":"0012","type":"string","required":true,"nullable":true,"unique":false,"enum":["a"]}],"unknown_columns":"error","unique":["id"]},"format":"csv","header":true,"checksum":{"algorithm":"sha256","expected":"20250131"},"max_errors":20,"reason_file":"/tmp/r.json"}"#);
    assert_snapshot!(spec("c"), @r#"copy_file {"from":"/in/a.csv","to":"/out/","overwrite":false,"sha256":"ab"}"#);
    assert_snapshot!(spec("m"), @r#"move_file {"from":"/in/a.csv","to":"/bad/","overwrite":true,"reason":{"errors":[1],"path":"/in/a.csv","sha256":"ab"}}"#);
}

#[test]
fn a_child_run_can_have_an_id_and_a_date() {
    let dag = compiled(
        "
tasks:
  a: {trigger_dag: {dag: \"{{ dag.dag_id }}_next\", conf: {a: 1}, run_id: \"child__{{ run_id }}\", logical_date: \"{{ logical_date }}\", wait_for_completion: true}}
  b: {trigger_dag: other}
  c: {trigger_dag: {dag: other, logical_date: \"{{ ds }}\"}}
  d: {trigger_dag: {dag: other, logical_date: \"{{ run_id }}\"}}
",
    );
    assert_snapshot!(format!("{:?}", Launch::default().render(&dag, "a").unwrap()), @r#"TriggerDag(TriggerDagRun { dag_id: "demo_next", conf: Object {"a": Number(1)}, run_id: Some("child__manual__2025-01-31T06:00:00+00:00"), logical_date: Some(2025-01-31T06:00:00Z), wait_for_completion: true })"#);
    assert_snapshot!(format!("{:?}", Launch::default().render(&dag, "b").unwrap()), @r#"TriggerDag(TriggerDagRun { dag_id: "other", conf: Object {}, run_id: None, logical_date: None, wait_for_completion: false })"#);
    assert_snapshot!(format!("{}", Launch::default().render(&dag, "d").unwrap_err()), @"`logical_date` is `manual__2025-01-31T06:00:00+00:00`, expected a date such as 2025-01-31T06:00:00Z");
    let Rendered::TriggerDag(run) = Launch::default().render(&dag, "c").unwrap() else { panic!() };
    assert_eq!(run.logical_date, Some(at("2025-01-31T00:00:00Z")));
}

#[test]
fn long_scripts_travel_as_files() {
    let line = format!("echo {}", "x".repeat(200_000));
    let dag = compiled(&format!("tasks:\n  a: {line}\n"));
    let Rendered::Command { argv, files, .. } = Launch::default().render(&dag, "a").unwrap() else { panic!() };
    assert_eq!(argv, ["bash", ".gridflow/script.sh"]);
    assert_eq!(&*files[0].1, line.as_bytes());
}
