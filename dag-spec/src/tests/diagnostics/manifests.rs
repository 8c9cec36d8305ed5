//! Kubernetes' own words in manifests.

use super::*;

#[test]
fn quantities_are_read() {
    assert_snapshot!(diagnose(r#"
executor: kubernetes
kubernetes: {resources: {cpu: 1, memory: 1GB}}
tasks:
  a: {bash: x, kubernetes: {resources: {memory: 500m, gpu: 1}}}
  b: {bash: x, kubernetes: {resources: {requests: {cpu: "{{ 'x' }}", memory: lots}}}}
  c: {bash: x, kubernetes: {resources: 1Gi}}
  d: {bash: x, kubernetes: {spec: {containers: [{name: task, resources: {cpu: 1, limits: {memory: 2gb}}}]}}}
"#), @r#"
    error[GF0603]: `1GB` is no quantity
     --> dags/demo.yaml:2:42
      |
    2 | kubernetes: {resources: {cpu: 1, memory: 1GB}}
      |                                          ^^^
      = help: did you mean `1G`?

    error[GF0603]: `500m` of memory is thousandths of a byte
     --> dags/demo.yaml:4:49
      |
    4 |   a: {bash: x, kubernetes: {resources: {memory: 500m, gpu: 1}}}
      |                                                 ^^^^
      = help: did you mean `500Mi`?

    error[GF0604]: Kubernetes has no resource `gpu`
     --> dags/demo.yaml:4:55
      |
    4 |   a: {bash: x, kubernetes: {resources: {memory: 500m, gpu: 1}}}
      |                                                       ^^^
      = help: write the resource of your cluster: `nvidia.com/gpu: 1`

    error[GF0603]: `lots` is no quantity
     --> dags/demo.yaml:5:78
      |
    5 |   b: {bash: x, kubernetes: {resources: {requests: {cpu: "{{ 'x' }}", memory: lots}}}}
      |                                                                              ^^^^
      = help: a quantity is a number with a unit: `500m` (thousandths), `2`, `512Mi`, `1Gi`, `1G`

    error[GF0203]: expected a map of resources, found the text `1Gi`
     --> dags/demo.yaml:6:40
      |
    6 |   c: {bash: x, kubernetes: {resources: 1Gi}}
      |                                        ^^^
      = help: write `resources: {cpu: 500m, memory: 1Gi}`

    error[GF0604]: `cpu` belongs below `requests` or `limits`
     --> dags/demo.yaml:7:74
      |
    7 |   d: {bash: x, kubernetes: {spec: {containers: [{name: task, resources: {cpu: 1, limits: {memory: 2gb}}}]}}}
      |                                                                          ^^^

    error[GF0603]: `2gb` is no quantity
     --> dags/demo.yaml:7:99
      |
    7 |   d: {bash: x, kubernetes: {spec: {containers: [{name: task, resources: {cpu: 1, limits: {memory: 2gb}}}]}}}
      |                                                                                                   ^^^
      = help: did you mean `2G`?
    "#);
}

#[test]
fn known_mistakes_of_manifests_are_told() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    pod:
      image: x
      spec:
        restartPolicy: Always
        activeDeadlineSeconds: 300
        node_name: n
        nodeName: n
        tolerationss: []
        brandNewField: {a: b}
        image: x
        containers:
          - image: y
          - {name: Task_1, env: {A: 1}}
          - {name: b, env: [{name: A, value: 1}, {value: x}], envFrom: [minio, {secretRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}]}
        volumes: {name: x}
        initContainers: [{name: sidecar, restartPolicy: Always}]
"#), @r#"
    error[GF0605]: `restartPolicy: Always` would start the work again inside of one try
     --> dags/demo.yaml:6:24
      |
    6 |         restartPolicy: Always
      |                        ^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    error[GF0604]: `activeDeadlineSeconds` is said by the task's `execution_timeout:`
     --> dags/demo.yaml:7:9
      |
    7 |         activeDeadlineSeconds: 300
      |         ^^^^^^^^^^^^^^^^^^^^^
      = help: remove it, and write `execution_timeout: 300s` on the task

    error[GF0604]: a pod's `spec` has no `node_name`
     --> dags/demo.yaml:8:9
      |
    8 |         node_name: n
      |         ^^^^^^^^^
      = help: Kubernetes writes `nodeName`

    warning[GF0604]: a pod's `spec` has no `tolerationss` that is known
      --> dags/demo.yaml:10:9
       |
    10 |         tolerationss: []
       |         ^^^^^^^^^^^^
       = help: did you mean `tolerations`?

    error[GF0604]: `image` belongs to a container, not to the pod
      --> dags/demo.yaml:12:9
       |
    12 |         image: x
       |         ^^^^^
       = help: write `containers: [{name: task, image: …}]`

    error[GF0604]: a container has a `name`
      --> dags/demo.yaml:14:13
       |
    14 |           - image: y
       |             ^^^^^^^^
       = help: the one that does the task's work is `name: task`

    error[GF0604]: `Task_1` is no name of a container
      --> dags/demo.yaml:15:20
       |
    15 |           - {name: Task_1, env: {A: 1}}
       |                    ^^^^^^
       = help: it has at most 63 lower-case letters, digits and `-`

    error[GF0604]: `env` is a list of names and values here, found a map
      --> dags/demo.yaml:15:33
       |
    15 |           - {name: Task_1, env: {A: 1}}
       |                                 ^^^^^^
       = help: write `env: [{name: A, value: "1"}]`, or use the task's own `env:`

    error[GF0604]: the value of a variable is a text, found the number `1`
      --> dags/demo.yaml:16:46
       |
    16 |      - {name: b, env: [{name: A, value: 1}, {value: x}], envFrom: [minio, {secretRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}
       |                                         ^
       = help: write `value: "1"`

    error[GF0604]: a variable has a `name`
      --> dags/demo.yaml:16:50
       |
    16 |  - {name: b, env: [{name: A, value: 1}, {value: x}], envFrom: [minio, {secretRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}]}
       |                                         ^^^^^^^^^^

    error[GF0604]: `minio` may be a Secret or a ConfigMap
      --> dags/demo.yaml:16:73
       |
    16 | e: A, value: 1}, {value: x}], envFrom: [minio, {secretRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}]}
       |                                         ^^^^^
       = help: write `{secretRef: {name: minio}}` or `{configMapRef: {name: minio}}`

    error[GF0604]: `secretRef` is a map with a `name`
      --> dags/demo.yaml:16:92
       |
    16 | alue: x}], envFrom: [minio, {secretRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}]}
       |                                         ^^^^^
       = help: write `secretRef: {name: minio}`

    error[GF0604]: a mount has no `mount_path`
      --> dags/demo.yaml:16:126
       |
    16 | tRef: minio}], volumeMounts: [{name: a, mount_path: /x}, {name: a, mountPath: x}]}
       |                                         ^^^^^^^^^^
       = help: Kubernetes writes `mountPath`

    error[GF0604]: `x` is no absolute path
      --> dags/demo.yaml:16:164
       |
    16 | , mount_path: /x}, {name: a, mountPath: x}]}
       |                                         ^

    error[GF0604]: `volumes` is a list, found a map
      --> dags/demo.yaml:17:18
       |
    17 |         volumes: {name: x}
       |                  ^^^^^^^^^
       = help: begin each item with `- `
    "#);
}

#[test]
fn labels_have_rules() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {pod: {image: x, labels: {gridflow.io/run: x, team: "data & ml", "a b": c, ok: "{{ ds }}", example.com/x: 1}, annotations: {note: "any & text"}}}
"#), @r#"
    error[GF0604]: `gridflow.io/run` belongs to Gridflow, which sets it for every pod
     --> dags/demo.yaml:2:32
      |
    2 |   a: {pod: {image: x, labels: {gridflow.io/run: x, team: "data & ml", "a b": c, ok: "{{ ds }}", example.com/x: 1}, annotations: {note: "any & text"}}}
      |                                ^^^^^^^^^^^^^^^

    error[GF0604]: `data & ml` is no value of a label
     --> dags/demo.yaml:2:58
      |
    2 |   a: {pod: {image: x, labels: {gridflow.io/run: x, team: "data & ml", "a b": c, ok: "{{ ds }}", example.com/x: 1}, annotations: {note: "any & text"}}}
      |                                                          ^^^^^^^^^^^
      = help: it has at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; `annotations:` take any text

    error[GF0604]: `a b` is no name of a label or annotation
     --> dags/demo.yaml:2:71
      |
    2 |   a: {pod: {image: x, labels: {gridflow.io/run: x, team: "data & ml", "a b": c, ok: "{{ ds }}", example.com/x: 1}, annotations: {note: "any & text"}}}
      |                                                                       ^^^^^
      = help: it is `name` or `domain/name`; a name has at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
    "#);
}

#[test]
fn mistakes_in_files_have_their_place_there() {
    let files = [
        ("a.yaml", "apiVersion: batch/v1\nkind: Job\n"),
        ("b.yaml", "spec:\n  restartPolicy: OnFailure\n  containers:\n    - image: \"{{ nope }} {{ params.x }}\"\n"),
        ("c.yaml", "spec: {\n"),
        ("d.yaml", ""),
        ("e.yaml", "{% for x in y %}\nspec: {{ tasks.nope }}\n"),
        ("f.yaml", "kind: Pod\nrestartPolicy: Never\n"),
    ];
    let tasks: String =
        files.iter().map(|(file, _)| format!("  {}: {{pod: {{template_file: {file}}}}}\n", &file[..1])).collect();
    assert_snapshot!(diagnose_with(&format!("tasks:\n{tasks}"), &files), @r#"
    error[GF0604]: this is a `Job`, expected a `Pod`
     --> dags/a.yaml:2:7
      |
    2 | kind: Job
      |       ^^^
      = help: keep what is below its `template:`, with `kind: Pod`; Gridflow itself retries and schedules

    error[GF0605]: `restartPolicy: OnFailure` would start the work again inside of one try
     --> dags/b.yaml:2:18
      |
    2 |   restartPolicy: OnFailure
      |                  ^^^^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    error[GF0604]: a container has a `name`
     --> dags/b.yaml:4:7
      |
    4 |     - image: "{{ nope }} {{ params.x }}"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: the one that does the task's work is `name: task`

    error[GF0502]: there is no variable `nope`
     --> dags/b.yaml:4:18
      |
    4 |     - image: "{{ nope }} {{ params.x }}"
      |                  ^^^^

    error[GF0503]: there is no param `x`
     --> dags/b.yaml:4:36
      |
    4 |     - image: "{{ nope }} {{ params.x }}"
      |                                    ^
      = help: declare it: `params: {x: {type: string}}`

    error[GF0106]: this bracket is not closed, or what is in it is no list or map
     --> dags/c.yaml:1:7
      |
    1 | spec: {
      |       ^
      = help: close it with `]` or `}`, and separate its items with `,`

    error[GF0604]: the file is empty
     --> dags/d.yaml:1:1

    error[GF0501]: a `{% … %}` block is not closed, or not ended
     --> dags/e.yaml:2:21
      |
    2 | spec: {{ tasks.nope }}
      |                     ^^

    error[GF0604]: `restartPolicy` belongs below `spec:`
     --> dags/f.yaml:2:1
      |
    2 | restartPolicy: Never
      | ^^^^^^^^^^^^^
    "#);
}
