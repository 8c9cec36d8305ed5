use super::*;

#[test]
fn what_starts_no_process_has_no_executor() {
    assert_snapshot!(diagnose(r#"
executor: kubernetes
tasks:
  a: {empty: {}, executor: local}
  b: {trigger_dag: other, kubernetes: {image: x}}
  c: {pod: {image: x}, executor: kubernetes}
  d: {bash: x, executor: kubernets}
  e: {bash: x, executor: local, kubernetes: {image: x}}
  f: {bash: x, run_as: me}
  g: {copy_file: {from: /a, to: /b}, kubernetes: {image: mine}}
  h: {bash: x, executor_config: {pod_override: x}}
  i: {bash: x, kubernetes: {namespace: My_Space, secrets: {name: s, env: {GRIDFLOW_X: a, b-c: d}}}}
"#), @r"
    error[GF0601]: task `a` has no choice of its executor: `empty` starts no process
     --> dags/demo.yaml:3:28
      |
    3 |   a: {empty: {}, executor: local}
      |                            ^^^^^
      = help: remove `executor:`

    error[GF0601]: task `b` has no pod to set up: `trigger_dag` starts no process
     --> dags/demo.yaml:4:3
      |
    4 |   b: {trigger_dag: other, kubernetes: {image: x}}
      |   ^
      = help: remove `kubernetes:`

    error[GF0601]: task `c` has no choice of its executor: `pod` is a pod on Kubernetes whatever is said
     --> dags/demo.yaml:5:34
      |
    5 |   c: {pod: {image: x}, executor: kubernetes}
      |                                  ^^^^^^^^^^
      = help: remove `executor:`

    error[GF0407]: there is no executor `kubernets`
     --> dags/demo.yaml:6:26
      |
    6 |   d: {bash: x, executor: kubernets}
      |                          ^^^^^^^^^
      = help: did you mean `kubernetes`?

    warning[GF0602]: task `e` has settings of a pod, and runs on this machine
     --> dags/demo.yaml:7:3
      |
    7 |   e: {bash: x, executor: local, kubernetes: {image: x}}
      |   ^
      = help: add `executor: kubernetes`, or remove `kubernetes:`

    error[GF0208]: task `f` has `run_as`, and runs in a pod
     --> dags/demo.yaml:8:3
      |
    8 |   f: {bash: x, run_as: me}
      |   ^
      = help: write `kubernetes: {security_context: {runAsUser: 1000}}`

    error[GF0208]: `copy_file` runs in Gridflow's own image, and in no other
     --> dags/demo.yaml:9:58
      |
    9 |   g: {copy_file: {from: /a, to: /b}, kubernetes: {image: mine}}
      |                                                          ^^^^
      = help: remove `image:`

    error[GF0201]: unknown key `executor_config` in a task
      --> dags/demo.yaml:10:16
       |
    10 |   h: {bash: x, executor_config: {pod_override: x}}
       |                ^^^^^^^^^^^^^^^
       = help: write `executor: kubernetes` and `kubernetes:`; `pod_override` is its `spec:`

    error[GF0301]: `My_Space` is no name of a namespace
      --> dags/demo.yaml:11:40
       |
    11 |   i: {bash: x, kubernetes: {namespace: My_Space, secrets: {name: s, env: {GRIDFLOW_X: a, b-c: d}}}}
       |                                        ^^^^^^^^
       = help: it has at most 63 lower-case letters, digits and `-`, and no `-` at its ends

    error[GF0410]: `GRIDFLOW_X` belongs to Gridflow, which sets it for every task
      --> dags/demo.yaml:11:75
       |
    11 |   i: {bash: x, kubernetes: {namespace: My_Space, secrets: {name: s, env: {GRIDFLOW_X: a, b-c: d}}}}
       |                                                                           ^^^^^^^^^^

    error[GF0410]: `b-c` is no name of an environment variable
      --> dags/demo.yaml:11:90
       |
    11 |   i: {bash: x, kubernetes: {namespace: My_Space, secrets: {name: s, env: {GRIDFLOW_X: a, b-c: d}}}}
       |                                                                                          ^^^
       = help: a name has letters, digits and `_`, and does not begin with a digit
    ");
}

#[test]
fn names_of_airflow_and_kubernetes_are_understood() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
  b: {bash: x, executor: kubernetes, kubernetes: {command: [x], active_deadline_seconds: 5}}
"#), @r"
    error[GF0201]: unknown key `cmds` in `pod`
     --> dags/demo.yaml:2:23
      |
    2 |   a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
      |                       ^^^^
      = help: write `command:`, as Kubernetes does

    error[GF0201]: unknown key `nodeSelector` in `pod`
     --> dags/demo.yaml:2:34
      |
    2 |   a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
      |                                  ^^^^^^^^^^^^
      = help: write `node_selector`

    error[GF0201]: unknown key `do_xcom_push` in `pod`
     --> dags/demo.yaml:2:56
      |
    2 |   a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
      |                                                        ^^^^^^^^^^^^
      = help: remove it: what a command writes as JSON to `$GRIDFLOW_OUTPUT` is the output

    error[GF0201]: unknown key `env_vars` in `pod`
     --> dags/demo.yaml:2:76
      |
    2 |   a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
      |                                                                            ^^^^^^^^
      = help: use the task's own `env:`

    error[GF0201]: unknown key `servce_account` in `pod`
     --> dags/demo.yaml:2:94
      |
    2 |   a: {pod: {image: x, cmds: [a], nodeSelector: {a: b}, do_xcom_push: true, env_vars: {A: b}, servce_account: x}}
      |                                                                                              ^^^^^^^^^^^^^^
      = help: did you mean `service_account`?

    error[GF0201]: unknown key `command` in `kubernetes`
     --> dags/demo.yaml:3:51
      |
    3 |   b: {bash: x, executor: kubernetes, kubernetes: {command: [x], active_deadline_seconds: 5}}
      |                                                   ^^^^^^^
      = help: the task's operator says what runs; a container of its own making is the operator `pod:`

    error[GF0201]: unknown key `active_deadline_seconds` in `kubernetes`
     --> dags/demo.yaml:3:65
      |
    3 |   b: {bash: x, executor: kubernetes, kubernetes: {command: [x], active_deadline_seconds: 5}}
      |                                                                 ^^^^^^^^^^^^^^^^^^^^^^^
      = help: use the task's `execution_timeout:`
    ");
}

#[test]
fn a_pod_needs_an_image() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {pod: {command: [x]}}
  b: {pod: busybox}
  c: {pod: {command: [x], spec: {containers: [{name: task, image: y}]}}}
  d: {pod: {command: [x]}, kubernetes: {image: x}}
"#), @r"
    error[GF0202]: the pod of task `a` has no image
     --> dags/demo.yaml:2:3
      |
    2 |   a: {pod: {command: [x]}}
      |   ^
      = help: write `pod: {image: …}`

    error[GF0203]: expected a map, found the text `busybox`
     --> dags/demo.yaml:3:12
      |
    3 |   b: {pod: busybox}
      |            ^^^^^^^
      = help: write `pod: {image: …, command: […]}`
    ");
}

#[test]
fn a_command_that_is_a_line_gets_its_list() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {pod: {image: x, command: python job.py --n 3, args: "{{ ds }}"}}
  b: {pod: {image: x, command: 'echo "$HOME" | wc'}}
  c: {pod: {image: x, spec: {initContainers: [{name: a, command: echo hi}]}}}
"#), @r#"
    error[GF0604]: `command` is a list, found the text `python job.py --n 3`
     --> dags/demo.yaml:2:32
      |
    2 |   a: {pod: {image: x, command: python job.py --n 3, args: "{{ ds }}"}}
      |                                ^^^^^^^^^^^^^^^^^^^
      = help: write `command: [python, job.py, --n, "3"]`

    error[GF0604]: `command` is a list, found the text `echo "$HOME" | wc`
     --> dags/demo.yaml:3:32
      |
    3 |   b: {pod: {image: x, command: 'echo "$HOME" | wc'}}
      |                                ^^^^^^^^^^^^^^^^^^^
      = help: write `command: [sh, -c, 'echo "$HOME" | wc']`

    error[GF0604]: `command` is a list, found the text `echo hi`
     --> dags/demo.yaml:4:66
      |
    4 |   c: {pod: {image: x, spec: {initContainers: [{name: a, command: echo hi}]}}}
      |                                                                  ^^^^^^^
      = help: write `command: [echo, hi]`
    "#);
}

#[test]
fn short_forms_have_words_of_their_own() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    pod:
      image: x
      secrets: [{name: minio}, {name: tls, items: {a: b}}, {mount: /x}]
      tolerations: {key: gpu}
      volumes: [{name: a}, scratch]
      json_patch: [{op: ad, path: /a}, {path: /a}, {op: add, path: spec.nodeName, value: x}]
      image_pull_policy: always
"#), @r"
    error[GF0202]: nothing is done with it
     --> dags/demo.yaml:5:17
      |
    5 |       secrets: [{name: minio}, {name: tls, items: {a: b}}, {mount: /x}]
      |                 ^^^^^^^^^^^^^
      = help: add `env: true`, `env: {VARIABLE: key}` or `mount: /folder`

    error[GF0202]: nothing is done with it
     --> dags/demo.yaml:5:32
      |
    5 |       secrets: [{name: minio}, {name: tls, items: {a: b}}, {mount: /x}]
      |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: add `env: true`, `env: {VARIABLE: key}` or `mount: /folder`

    error[GF0202]: `items` are files of `mount`, which is missing
     --> dags/demo.yaml:5:32
      |
    5 |       secrets: [{name: minio}, {name: tls, items: {a: b}}, {mount: /x}]
      |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[GF0202]: the key `name` is missing in `kubernetes.source`
     --> dags/demo.yaml:5:60
      |
    5 |       secrets: [{name: minio}, {name: tls, items: {a: b}}, {mount: /x}]
      |                                                            ^^^^^^^^^^^

    error[GF0604]: `tolerations` is a list, found a map
     --> dags/demo.yaml:6:20
      |
    6 |       tolerations: {key: gpu}
      |                    ^^^^^^^^^^
      = help: begin each item with `- `

    error[GF0604]: a volume says where it comes from
     --> dags/demo.yaml:7:17
      |
    7 |       volumes: [{name: a}, scratch]
      |                 ^^^^^^^^^
      = help: add one of `emptyDir: {}`, `secret: {secretName: …}`, `configMap: {name: …}` or `persistentVolumeClaim: {claimName: …}`

    error[GF0604]: an item of `volumes` has a `name`
     --> dags/demo.yaml:7:28
      |
    7 |       volumes: [{name: a}, scratch]
      |                            ^^^^^^^
      = help: write `volumes: [{name: scratch}]`

    error[GF0604]: JSON Patch has no operation `ad`
     --> dags/demo.yaml:8:25
      |
    8 |       json_patch: [{op: ad, path: /a}, {path: /a}, {op: add, path: spec.nodeName, value: x}]
      |                         ^^
      = help: did you mean `add`?

    error[GF0604]: an operation of a JSON Patch needs `op`
     --> dags/demo.yaml:8:40
      |
    8 |       json_patch: [{op: ad, path: /a}, {path: /a}, {op: add, path: spec.nodeName, value: x}]
      |                                        ^^^^^^^^^^
      = help: one of `add`, `remove`, `replace`, `move`, `copy` and `test`

    error[GF0604]: `path` is a JSON pointer, which begins with `/`
     --> dags/demo.yaml:8:68
      |
    8 |       json_patch: [{op: ad, path: /a}, {path: /a}, {op: add, path: spec.nodeName, value: x}]
      |                                                                    ^^^^^^^^^^^^^
      = help: write `/spec/nodeName`

    error[GF0407]: there is no pull policy `always`
     --> dags/demo.yaml:9:26
      |
    9 |       image_pull_policy: always
      |                          ^^^^^^
      = help: did you mean `Always`?
    ");
}

#[test]
fn outputs_are_not_for_settings_of_all_tasks() {
    assert_snapshot!(diagnose(r#"
executor: kubernetes
kubernetes: {image: "{{ tasks.a.image }}", labels: {x: "{{ nope }}"}}
tasks:
  a: echo
"#), @r#"
    error[GF0506]: outputs of tasks are not possible here: this holds for every task, also for those before
     --> dags/demo.yaml:2:25
      |
    2 | kubernetes: {image: "{{ tasks.a.image }}", labels: {x: "{{ nope }}"}}
      |                         ^^^^^^^^^^^^^
      = help: say it on the task that needs the output

    error[GF0502]: there is no variable `nope`
     --> dags/demo.yaml:2:60
      |
    2 | kubernetes: {image: "{{ tasks.a.image }}", labels: {x: "{{ nope }}"}}
      |                                                            ^^^^
    "#);
}
