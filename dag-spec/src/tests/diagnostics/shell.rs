//! Values from outside in a command line.

use super::*;

#[test]
fn values_from_outside_need_quotes_in_a_shell() {
    assert_snapshot!(diagnose(r#"
params: {name: x}
trigger: {file: {path: /in}}
tasks:
  a: cp {{ trigger.path }} /data/{{ ds }}/
  b: echo "/data/{{ params.name }}/out"
  c: echo '{{ params.name }}'
  d: echo {{ params.name | upper }} {{ params.name | sh }} {{ params.name | raw }} {{ params.name | int }}
  e: echo {{ dag_run.conf.x }} {{ dag_run.run_id }} {{ var.value.x }}
  f: echo {% for p in params.name %}{{ p }}{% endfor %}
  g: echo "{{ params.name | sh }}"
  h:
    bash: |
      # don't worry
      cat <<EOF
      it's {{ params.name | sh }}
      EOF
      echo {{ params.name }}
"#), @r#"
    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:4:9
      |
    4 |   a: cp {{ trigger.path }} /data/{{ ds }}/
      |         ^^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              cp {{ trigger.path | sh }} /data/{{ ds }}/

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:5:18
      |
    5 |   b: echo "/data/{{ params.name }}/out"
      |                  ^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo "/data/"{{ params.name | sh }}"/out"

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:6:12
      |
    6 |   c: echo '{{ params.name }}'
      |            ^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo {{ params.name | sh }}

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:7:11
      |
    7 |   d: echo {{ params.name | upper }} {{ params.name | sh }} {{ params.name | raw }} {{ params.name | int }}
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo {{ params.name | upper | sh }} {{ params.name | sh }} {{ params.name | raw }} {{ params.name | int }}

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:8:11
      |
    8 |   e: echo {{ dag_run.conf.x }} {{ dag_run.run_id }} {{ var.value.x }}
      |           ^^^^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo {{ dag_run.conf.x | sh }} {{ dag_run.run_id }} {{ var.value.x }}

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:8:53
      |
    8 |   e: echo {{ dag_run.conf.x }} {{ dag_run.run_id }} {{ var.value.x }}
      |                                                     ^^^^^^^^^^^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo {{ dag_run.conf.x }} {{ dag_run.run_id }} {{ var.value.x | sh }}

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
     --> dags/demo.yaml:9:37
      |
    9 |   f: echo {% for p in params.name %}{{ p }}{% endfor %}
      |                                     ^^^^^^^
      = help: quote it with `sh` (or pass it through `env:`):
              echo {% for p in params.name %}{{ p | sh }}{% endfor %}

    error[GF0508]: `sh` quotes the value itself; inside of `"…"` that undoes the quotes
      --> dags/demo.yaml:10:12
       |
    10 |   g: echo "{{ params.name | sh }}"
       |            ^^^^^^^^^^^^^^^^^^^^^^
       = help: take it out of the quotes:
               echo {{ params.name | sh }}

    error[GF0508]: this value goes into the shell as it is, and could be read as a command
      --> dags/demo.yaml:17:12
       |
    17 |       echo {{ params.name }}
       |            ^^^^^^^^^^^^^^^^^
       = help: quote it with `sh` (or pass it through `env:`):
               echo {{ params.name | sh }}
    "#);
}
