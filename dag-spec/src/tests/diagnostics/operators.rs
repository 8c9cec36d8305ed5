//! The keys of each operator.

use super::*;

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
