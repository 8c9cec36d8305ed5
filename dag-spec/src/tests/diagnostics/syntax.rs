use super::*;

#[test]
fn a_tab_is_named_as_one() {
    assert_snapshot!(diagnose(r#"
tasks:
	hello: echo hello
"#), @r#"
    error[GF0103]: a tab cannot indent YAML
     --> dags/demo.yaml:2:1
      |
    2 |  hello: echo hello
      | ^
      = help: indent with spaces
    "#);
}

#[test]
fn a_line_that_fits_nowhere_is_pointed_at() {
    assert_snapshot!(diagnose(r#"
tasks:
  hello:
    bash: echo
   retries: 2
"#), @r#"
    error[GF0105]: this line does not fit the lines above it
     --> dags/demo.yaml:4:4
      |
    4 |    retries: 2
      |    ^
      = help: check the indentation, and that each key is followed by `: `
    "#);
}

#[test]
fn an_open_bracket_is_pointed_at() {
    assert_snapshot!(diagnose(r#"
tags: [a, b
tasks: {a: b}
"#), @r#"
    error[GF0106]: this bracket is not closed, or what is in it is no list or map
     --> dags/demo.yaml:1:7
      |
    1 | tags: [a, b
      |       ^
      = help: close it with `]` or `}`, and separate its items with `,`
    "#);
}

#[test]
fn an_open_quote_is_pointed_at() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: 'echo
  b: echo b
"#), @r#"
    error[GF0106]: this quote is not closed, or not all of its lines are indented
     --> dags/demo.yaml:2:6
      |
    2 |   a: 'echo
      |      ^
      = help: close the quote; a quote inside a quoted text is doubled (`''`) or escaped (`\"`)
    "#);
}

#[test]
fn every_reserved_start_is_found_in_one_go() {
    assert_snapshot!(diagnose(r#"
schedule: @daily
tags: [*a, b]
tasks:
  a: % foo
  b: `ls`
  c: !important
  d: & wait
  e: {bash: @x, retries: x}
"#), @r#"
    error[GF0112]: an unquoted `@` at the start of a value is a reserved character in YAML
     --> dags/demo.yaml:1:11
      |
    1 | schedule: @daily
      |           ^^^^^^
      = help: quote the value:
              schedule: "@daily"

    error[GF0112]: an unquoted `*` at the start of a value is an alias of a value marked with `&` in YAML
     --> dags/demo.yaml:2:8
      |
    2 | tags: [*a, b]
      |        ^^
      = help: quote the value:
              tags: ["*a", b]

    error[GF0112]: an unquoted `%` at the start of a value is a directive in YAML
     --> dags/demo.yaml:4:6
      |
    4 |   a: % foo
      |      ^^^^^
      = help: quote the value:
              a: "% foo"

    error[GF0112]: an unquoted backtick at the start of a value is a reserved character in YAML
     --> dags/demo.yaml:5:6
      |
    5 |   b: `ls`
      |      ^^^^
      = help: quote the value:
              b: "`ls`"

    error[GF0112]: an unquoted `!` at the start of a value is a tag, the type of a value in YAML
     --> dags/demo.yaml:6:6
      |
    6 |   c: !important
      |      ^^^^^^^^^^
      = help: quote the value:
              c: "!important"

    error[GF0112]: an unquoted `&` at the start of a value is an anchor, a mark for aliases in YAML
     --> dags/demo.yaml:7:6
      |
    7 |   d: & wait
      |      ^^^^^^
      = help: quote the value:
              d: "& wait"

    error[GF0112]: an unquoted `@` at the start of a value is a reserved character in YAML
     --> dags/demo.yaml:8:13
      |
    8 |   e: {bash: @x, retries: x}
      |             ^^
      = help: quote the value:
              e: {bash: "@x", retries: x}

    error[GF0203]: expected a whole number, found the text `x`
     --> dags/demo.yaml:8:26
      |
    8 |   e: {bash: @x, retries: x}
      |                          ^
    "#);
}

#[test]
fn an_unquoted_cron_expression_shows_the_corrected_line() {
    assert_snapshot!(diagnose(r#"
schedule: * * * * *
tasks: {a: b}
"#), @r#"
    error[GF0112]: an unquoted `*` at the start of a value is an alias of a value marked with `&` in YAML
     --> dags/demo.yaml:1:11
      |
    1 | schedule: * * * * *
      |           ^^^^^^^^^
      = help: quote the value:
              schedule: "* * * * *"
    "#);
}

#[test]
fn an_unquoted_glob_is_explained() {
    assert_snapshot!(diagnose(r#"
trigger:
  file:
    path: /in
    glob: *.csv
tasks: {a: b}
"#), @r#"
    error[GF0112]: an unquoted `*` at the start of a value is an alias of a value marked with `&` in YAML
     --> dags/demo.yaml:4:11
      |
    4 |     glob: *.csv
      |           ^^^^^
      = help: quote the value:
              glob: "*.csv"
    "#);
}

#[test]
fn unquoted_templates_show_the_corrected_line() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    bash: echo
    env:
      A: {{ ds }}
      B: {{ ds }}/x
      C: {% if x %}y{% endif %}
      D: [{{ ds }}]
"#), @r#"
    error[GF0113]: an unquoted `{` at the start of a value begins a map in YAML
     --> dags/demo.yaml:5:10
      |
    5 |       A: {{ ds }}
      |          ^^^^^^^^
      = help: quote the value:
              A: "{{ ds }}"

    error[GF0113]: an unquoted `{` at the start of a value begins a map in YAML
     --> dags/demo.yaml:6:10
      |
    6 |       B: {{ ds }}/x
      |          ^^^^^^^^^^
      = help: quote the value:
              B: "{{ ds }}/x"

    error[GF0113]: an unquoted `{` at the start of a value begins a map in YAML
     --> dags/demo.yaml:7:10
      |
    7 |       C: {% if x %}y{% endif %}
      |          ^^^^^^^^^^^^^^^^^^^^^^
      = help: quote the value:
              C: "{% if x %}y{% endif %}"

    error[GF0203]: expected a text, found a list
     --> dags/demo.yaml:8:10
      |
    8 |       D: [{{ ds }}]
      |          ^^^^^^^^^^

    error[GF0113]: an unquoted `{` at the start of a value begins a map in YAML
     --> dags/demo.yaml:8:11
      |
    8 |       D: [{{ ds }}]
      |           ^^^^^^^^
      = help: quote the value:
              D: ["{{ ds }}"]
    "#);
}

#[test]
fn an_unquoted_template_in_a_list_keeps_the_list() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    exec: [echo, {{ ds }}, b]
"#), @r#"
    error[GF0113]: an unquoted `{` at the start of a value begins a map in YAML
     --> dags/demo.yaml:3:18
      |
    3 |     exec: [echo, {{ ds }}, b]
      |                  ^^^^^^^^
      = help: quote the value:
              exec: [echo, "{{ ds }}", b]
    "#);
}

#[test]
fn a_colon_in_a_command_shows_the_corrected_line() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: echo status: ok
  b:
    bash: curl -H 'A: b' http://x
  c:
    - echo x: y
"#), @r#"
    error[GF0114]: `: ` inside an unquoted value begins a new key
     --> dags/demo.yaml:2:6
      |
    2 |   a: echo status: ok
      |      ^^^^^^^^^^^^^^^
      = help: quote the value:
              a: "echo status: ok"

    error[GF0114]: `: ` inside an unquoted value begins a new key
     --> dags/demo.yaml:4:11
      |
    4 |     bash: curl -H 'A: b' http://x
      |           ^^^^^^^^^^^^^^^^^^^^^^^
      = help: quote the value:
              bash: "curl -H 'A: b' http://x"

    error[GF0203]: expected a task: a map, or a shell command, found a list
     --> dags/demo.yaml:6:5
      |
    6 |     - echo x: y
      |     ^^^^^^^^^^^
    "#);
}

#[test]
fn text_after_a_quote_shows_the_corrected_line() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: "$HOME/bin/x" --all   # go
"#), @r#"
    error[GF0115]: a value that begins with a quote ends with it; something follows
     --> dags/demo.yaml:2:6
      |
    2 |   a: "$HOME/bin/x" --all   # go
      |      ^^^^^^^^^^^^^^^^^^^
      = help: quote the value:
              a: '"$HOME/bin/x" --all'   # go
    "#);
}

#[test]
fn a_comment_that_cuts_a_quote_shows_the_corrected_line() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: grep " # " file
  b: echo hi # a fine comment
  c: awk '{print $1 # x}' f
"#), @r#"
    error[GF0116]: ` #` begins a comment in YAML, so the command ends before it
     --> dags/demo.yaml:2:13
      |
    2 |   a: grep " # " file
      |             ^^^^^^^^
      = help: quote the command:
              a: 'grep " # " file'

    error[GF0116]: ` #` begins a comment in YAML, so the command ends before it
     --> dags/demo.yaml:4:21
      |
    4 |   c: awk '{print $1 # x}' f
      |                     ^^^^^^^
      = help: quote the command:
              c: "awk '{print $1 # x}' f"
    "#);
}

#[test]
fn a_second_document_is_refused() {
    assert_snapshot!(diagnose(r#"
tasks: {a: b}
---
tasks: {c: d}
"#), @r#"
    error[GF0108]: a second document begins here; one file is one DAG
     --> dags/demo.yaml:2:1
      |
    2 | ---
      | ^^^
      = help: put each DAG into a file of its own
    "#);
}

#[test]
fn duplicate_keys_name_the_first_line() {
    assert_snapshot!(diagnose(r#"
owner: a
owner: b
tasks:
  a: echo
  a: echo
"#), @r#"
    error[GF0109]: duplicate key `owner`
     --> dags/demo.yaml:2:1
      |
    2 | owner: b
      | ^^^^^
      = help: the first one is on line 1; remove one of them

    error[GF0109]: duplicate key `a`
     --> dags/demo.yaml:5:3
      |
    5 |   a: echo
      |   ^
      = help: the first one is on line 4; remove one of them
    "#);
}

#[test]
fn a_key_that_is_a_list_is_refused() {
    assert_snapshot!(diagnose(r#"
tasks:
  ? [a, b]
  : echo
"#), @r#"
    error[GF0110]: a key is a text, this is a list
     --> dags/demo.yaml:2:5
      |
    2 |   ? [a, b]
      |     ^^^^^^
    "#);
}

#[test]
fn a_tag_is_refused() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: !shell echo
  b: !!str 12
"#), @r#"
    error[GF0111]: unknown tag `!shell`
     --> dags/demo.yaml:2:6
      |
    2 |   a: !shell echo
      |      ^^^^^^^^^^^
      = help: remove the tag, or quote the value if it begins with `!`
    "#);
}

#[test]
fn an_alias_without_an_anchor_is_explained() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: *cmd
"#), @r#"
    error[GF0112]: an unquoted `*` at the start of a value is an alias of a value marked with `&` in YAML
     --> dags/demo.yaml:2:6
      |
    2 |   a: *cmd
      |      ^^^^
      = help: quote the value:
              a: "*cmd"
    "#);
}

#[test]
fn an_alias_in_its_own_anchor_is_refused() {
    assert_snapshot!(diagnose(r#"
description: &a [*a]
tasks: {a: b}
"#), @r#"
    error[GF0107]: an alias repeats the value that it is part of
     --> dags/demo.yaml:1:18
      |
    1 | description: &a [*a]
      |                  ^^
    "#);
}

#[test]
fn merge_keys_have_a_hint() {
    assert_snapshot!(diagnose(r#"
defaults: &d {retries: 2}
tasks:
  a:
    <<: *d
    bash: echo
"#), @r#"
    error[GF0201]: unknown key `<<` in a task
     --> dags/demo.yaml:4:5
      |
    4 |     <<: *d
      |     ^^
      = help: merge keys are not part of YAML 1.2; put common keys into `defaults:`
    "#);
}

#[test]
fn an_empty_file_says_what_a_dag_needs() {
    assert_snapshot!(diagnose(r#"
# nothing
"#), @r#"
    error[GF0117]: the file is empty
     --> dags/demo.yaml:1:1
      |
    1 | # nothing
      | ^
      = help: a DAG needs `tasks:`
    "#);
}

#[test]
fn a_file_that_is_a_list_is_refused() {
    assert_snapshot!(diagnose(r#"
- a
- b
"#), @r#"
    error[GF0203]: expected a map with `tasks:`, found a list
     --> dags/demo.yaml:1:1
      |
    1 | - a
      | ^^^
    "#);
}

#[test]
fn a_file_that_is_a_text_is_refused() {
    assert_snapshot!(diagnose(r#"
tasks
"#), @r#"
    error[GF0203]: expected a map with `tasks:`, found the text `tasks`
     --> dags/demo.yaml:1:1
      |
    1 | tasks
      | ^^^^^
    "#);
}
