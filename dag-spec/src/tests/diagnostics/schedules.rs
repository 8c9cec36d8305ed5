//! Schedules, and the dates that bound them.

use super::*;

#[test]
fn cron_expressions_name_the_bad_field() {
    assert_snapshot!(diagnose(r#"
schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
tasks: {a: b}
"#), @r#"
    error[GF0401]: `0 25 * * *` is no cron expression: `25` is no hour
     --> dags/demo.yaml:1:19
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                   ^^^^^^^^^^^^
      = help: the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)

    error[GF0401]: a cron expression has 5 fields, `* * * *` has 4
     --> dags/demo.yaml:1:33
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                                 ^^^^^^^^^
      = help: the fields are minute, hour, day of month, month, day of week: `0 6 * * MON-FRI`

    error[GF0401]: a cron expression has 5 fields, `0 0 0 * * *` has 6
     --> dags/demo.yaml:1:44
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                                            ^^^^^^^^^^^^^
      = help: seconds are not part of it: minute, hour, day of month, month, day of week

    error[GF0401]: `0 0 * FOO *` is no cron expression: `FOO` is no month
     --> dags/demo.yaml:1:59
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                                                           ^^^^^^^^^^^^^
      = help: the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)

    error[GF0401]: `61 * * * *` is no cron expression: `61` is no minute
     --> dags/demo.yaml:1:74
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                                                                          ^^^^^^^^^^^^
      = help: the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)

    error[GF0401]: `0 0 31 2 *` never comes: no date is like that
     --> dags/demo.yaml:1:88
      |
    1 | schedule: {cron: ["0 25 * * *", "* * * *", "0 0 0 * * *", "0 0 * FOO *", "61 * * * *", "0 0 31 2 *"]}
      |                                                                                        ^^^^^^^^^^^^
    "#);
}

#[test]
fn a_cron_list_with_a_gap_is_refused_before_anybody_looks_for_its_next_date() {
    assert_snapshot!(diagnose(r#"
schedule: {cron: [", 2 * * MON-FRI", "0 6,, * * *"]}
tasks: {a: b}
"#), @r#"
    error[GF0401]: `, 2 * * MON-FRI` is no cron expression: `,` is no minute
     --> dags/demo.yaml:1:19
      |
    1 | schedule: {cron: [", 2 * * MON-FRI", "0 6,, * * *"]}
      |                   ^^^^^^^^^^^^^^^^^
      = help: the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)

    error[GF0401]: `0 6,, * * *` is no cron expression: `6,,` is no hour
     --> dags/demo.yaml:1:38
      |
    1 | schedule: {cron: [", 2 * * MON-FRI", "0 6,, * * *"]}
      |                                      ^^^^^^^^^^^^^
      = help: the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)
    "#);
}

#[test]
fn a_schedule_that_is_nothing_lists_what_it_could_be() {
    assert_snapshot!(diagnose(r#"
schedule: sometimes
tasks: {a: b}
"#), @r#"
    error[GF0402]: `sometimes` is no schedule
     --> dags/demo.yaml:1:11
      |
    1 | schedule: sometimes
      |           ^^^^^^^^^
      = help: use a cron expression such as `0 6 * * *`, a preset such as `@daily`, or a duration such as `90m`; a duration is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), such as `30s`, `1h30m` or `2d`
    "#);
}

#[test]
fn presets_are_suggested() {
    assert_snapshot!(diagnose(r#"
schedule: "@dayly"
tasks: {a: b}
"#), @r#"
    error[GF0401]: there is no preset `@dayly`
     --> dags/demo.yaml:1:11
      |
    1 | schedule: "@dayly"
      |           ^^^^^^^^
      = help: did you mean `@daily`?
    "#);
}

#[test]
fn a_list_of_crons_has_a_key() {
    assert_snapshot!(diagnose(r#"
schedule: ["0 1 * * *", "0 2 * * *"]
tasks: {a: b}
"#), @r#"
    error[GF0203]: expected a schedule, found a list
     --> dags/demo.yaml:1:11
      |
    1 | schedule: ["0 1 * * *", "0 2 * * *"]
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: several cron expressions are written as `{cron: […]}`
    "#);
}

#[test]
fn a_schedule_map_is_checked() {
    assert_snapshot!(diagnose(r#"
schedule: {crons: x}
tasks: {a: b}
"#), @r#"
    error[GF0202]: a schedule needs `cron` or `dates`
     --> dags/demo.yaml:1:11
      |
    1 | schedule: {crons: x}
      |           ^^^^^^^^^^

    error[GF0201]: unknown key `crons` in `schedule`
     --> dags/demo.yaml:1:12
      |
    1 | schedule: {crons: x}
      |            ^^^^^
      = help: did you mean `cron`?
    "#);
}

#[test]
fn time_zones_are_suggested() {
    assert_snapshot!(diagnose(r#"
timezone: Europe/Berln
tasks: {a: b}
"#), @r#"
    error[GF0404]: there is no time zone `Europe/Berln`
     --> dags/demo.yaml:1:11
      |
    1 | timezone: Europe/Berln
      |           ^^^^^^^^^^^^
      = help: did you mean `Europe/Berlin`?
    "#);
}

#[test]
fn a_time_zone_from_nowhere_has_an_example() {
    assert_snapshot!(diagnose(r#"
timezone: CEST+1
tasks: {a: b}
"#), @r#"
    error[GF0404]: there is no time zone `CEST+1`
     --> dags/demo.yaml:1:11
      |
    1 | timezone: CEST+1
      |           ^^^^^^
      = help: did you mean `CET`?
    "#);
}

#[test]
fn dates_have_one_form() {
    assert_snapshot!(diagnose(r#"
start_date: 31.01.2025
end_date: 2025-13-01
tasks: {a: b}
"#), @r#"
    error[GF0405]: `31.01.2025` is no date
     --> dags/demo.yaml:1:13
      |
    1 | start_date: 31.01.2025
      |             ^^^^^^^^^^
      = help: write it as `2025-01-31`, `2025-01-31T06:00` or `2025-01-31T06:00:00+02:00`

    error[GF0405]: `2025-13-01` is no date
     --> dags/demo.yaml:2:11
      |
    2 | end_date: 2025-13-01
      |           ^^^^^^^^^^
      = help: write it as `2025-01-31`, `2025-01-31T06:00` or `2025-01-31T06:00:00+02:00`
    "#);
}

#[test]
fn an_end_is_behind_its_start() {
    assert_snapshot!(diagnose(r#"
start_date: 2025-02-01
end_date: 2025-01-01
tasks:
  a: {bash: x, start_date: 2025-02-01, end_date: 2025-01-01}
"#), @r#"
    error[GF0409]: `end_date` is before `start_date`
     --> dags/demo.yaml:2:11
      |
    2 | end_date: 2025-01-01
      |           ^^^^^^^^^^

    error[GF0409]: `end_date` of task `a` is before its `start_date`
     --> dags/demo.yaml:4:50
      |
    4 |   a: {bash: x, start_date: 2025-02-01, end_date: 2025-01-01}
      |                                                  ^^^^^^^^^^
    "#);
}

#[test]
fn a_cron_that_never_comes_is_refused() {
    let start = std::time::Instant::now();
    assert_snapshot!(diagnose("schedule: 0 0 31 2 *\ntasks: {a: b}"), @r#"
    error[GF0401]: `0 0 31 2 *` never comes: no date is like that
     --> dags/demo.yaml:1:11
      |
    1 | schedule: 0 0 31 2 *
      |           ^^^^^^^^^^
    "#);
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(diagnose("schedule: 0 0 29 2 *\ntasks: {a: b}"), "");
}
