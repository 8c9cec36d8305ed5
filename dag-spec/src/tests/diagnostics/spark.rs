use super::*;

#[test]
fn a_program_has_a_place_and_a_language() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {spark: {args: [x]}}
  b: {spark: {main_file: jobs/missing.py}}
  c: {spark: {main_file: /opt/a.jar}}
  d: {spark: {main_file: /opt/run, conf: {a: b}}}
  e: {spark: {main_file: /opt/a.py, jar: /opt/a.jar, main_class: a.B}}
  f: {spark: {main_file: /opt/a.py, main_class: a.B, type: python}}
  g: {spark: job.py}
  h: {spark: {main_file: /opt/a.py}, executor: kubernetes, kubernetes: {image: x}}
"#), @r"
    error[GF0202]: `spark` needs `main_file`, or `jar` and `main_class`
     --> dags/demo.yaml:2:14
      |
    2 |   a: {spark: {args: [x]}}
      |              ^^^^^^^^^^^

    error[GF0801]: there is no file `jobs/missing.py`
     --> dags/demo.yaml:3:26
      |
    3 |   b: {spark: {main_file: jobs/missing.py}}
      |                          ^^^^^^^^^^^^^^^
      = help: paths are relative to the DAG file

    error[GF0202]: `/opt/a.jar` is a jar, and `main_class` is missing
     --> dags/demo.yaml:4:26
      |
    4 |   c: {spark: {main_file: /opt/a.jar}}
      |                          ^^^^^^^^^^

    error[GF0202]: the language of `/opt/run` is not known
     --> dags/demo.yaml:5:26
      |
    5 |   d: {spark: {main_file: /opt/run, conf: {a: b}}}
      |                          ^^^^^^^^
      = help: add `type: Python`, `Scala`, `Java` or `R`

    error[GF0208]: `main_file` and `jar` are the same; write one of them
     --> dags/demo.yaml:6:42
      |
    6 |   e: {spark: {main_file: /opt/a.py, jar: /opt/a.jar, main_class: a.B}}
      |                                          ^^^^^^^^^^

    error[GF0208]: `/opt/a.py` is Python, which has no `main_class`
     --> dags/demo.yaml:7:26
      |
    7 |   f: {spark: {main_file: /opt/a.py, main_class: a.B, type: python}}
      |                          ^^^^^^^^^

    error[GF0203]: expected a map, found the text `job.py`
     --> dags/demo.yaml:8:14
      |
    8 |   g: {spark: job.py}
      |              ^^^^^^
      = help: write `spark: {main_file: job.py, executor: {instances: 2}}`

    error[GF0601]: task `h` has no pod to set up: `spark` is a SparkApplication on Kubernetes whatever is said
     --> dags/demo.yaml:9:3
      |
    9 |   h: {spark: {main_file: /opt/a.py}, executor: kubernetes, kubernetes: {image: x}}
      |   ^
      = help: say it in `spark:`, for driver and executors

    error[GF0601]: task `h` has no choice of its executor: `spark` is a SparkApplication on Kubernetes whatever is said
     --> dags/demo.yaml:9:48
      |
    9 |   h: {spark: {main_file: /opt/a.py}, executor: kubernetes, kubernetes: {image: x}}
      |                                                ^^^^^^^^^^
      = help: remove `executor:`
    ");
}

#[test]
fn sizes_are_sparks() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    spark:
      main_file: /opt/a.py
      driver: {memory: 2Gi, cores: some, core_request: 1GB, resources: {cpu: 1}}
      executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      dynamic_allocation: {minimum: 2}
"#), @r"
    error[GF0603]: `2Gi` is no memory of Spark
     --> dags/demo.yaml:5:24
      |
    5 |       driver: {memory: 2Gi, cores: some, core_request: 1GB, resources: {cpu: 1}}
      |                        ^^^
      = help: Spark writes `2g`

    error[GF0203]: expected a whole number, found the text `some`
     --> dags/demo.yaml:5:36
      |
    5 |       driver: {memory: 2Gi, cores: some, core_request: 1GB, resources: {cpu: 1}}
      |                                    ^^^^

    error[GF0603]: `1GB` is no quantity
     --> dags/demo.yaml:5:56
      |
    5 |       driver: {memory: 2Gi, cores: some, core_request: 1GB, resources: {cpu: 1}}
      |                                                        ^^^
      = help: did you mean `1G`?

    error[GF0201]: Spark has no `resources`
     --> dags/demo.yaml:5:61
      |
    5 |       driver: {memory: 2Gi, cores: some, core_request: 1GB, resources: {cpu: 1}}
      |                                                             ^^^^^^^^^
      = help: write `cores: 2` and `memory: 4g`; `core_request` and `core_limit` are what Kubernetes sees

    error[GF0203]: expected a whole number, found the number `-1`
     --> dags/demo.yaml:6:29
      |
    6 |       executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      |                             ^^

    error[GF0603]: `4` is no memory of Spark
     --> dags/demo.yaml:6:41
      |
    6 |       executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      |                                         ^
      = help: say the unit: `4m` or `4g`

    error[GF0603]: `1.5g` is no memory of Spark
     --> dags/demo.yaml:6:61
      |
    6 |       executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      |                                                             ^^^^
      = help: Spark writes `1536m`

    error[GF0201]: unknown key `serviceAccount` in `spark.executor`
     --> dags/demo.yaml:6:67
      |
    6 |       executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      |                                                                   ^^^^^^^^^^^^^^
      = help: write `service_account`

    error[GF0201]: unknown key `core` in `spark.executor`
     --> dags/demo.yaml:6:86
      |
    6 |       executor: {instances: -1, memory: 4, memory_overhead: 1.5g, serviceAccount: x, core: 2}
      |                                                                                      ^^^^
      = help: did you mean `cores`?

    error[GF0201]: unknown key `minimum` in `spark.dynamic_allocation`
     --> dags/demo.yaml:7:28
      |
    7 |       dynamic_allocation: {minimum: 2}
      |                            ^^^^^^^
      = help: did you mean `min`?
    ");
}

#[test]
fn an_application_does_not_start_again_by_itself() {
    let file = "apiVersion: sparkoperator.k8s.io/v1beta1
kind: SparkApplication
spec:
  restartPolicy: {type: OnFailure, onFailureRetries: 3}
  timeToLiveSeconds: 60
  failureRetries: 3
  mode: client
  mainApplicationFile: jobs/a.py
  arguments: a b
  driver: {core_limit: 1, memory: 1Gi, env: {A: b}}
  executr: {}
";
    let files = [
        ("a.yaml", file),
        ("b.yaml", "kind: ScheduledSparkApplication\n"),
        ("c.yaml", "spark: {spec: {restartPolicy: Always}}\nkubernetes: {in_cluster: true}\n"),
        ("d.yaml", "type: Python\n"),
    ];
    let tasks: String =
        files.iter().map(|(file, _)| format!("  {}: {{spark: {{template_file: {file}}}}}\n", &file[..1])).collect();
    assert_snapshot!(diagnose_with(&format!("tasks:\n{tasks}"), &files), @r#"
    error[GF0604]: the API `sparkoperator.k8s.io/v1beta1` is not known
     --> dags/a.yaml:1:13
      |
    1 | apiVersion: sparkoperator.k8s.io/v1beta1
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write `apiVersion: sparkoperator.k8s.io/v1beta2`

    error[GF0605]: `restartPolicy: OnFailure` would start the work again inside of one try
     --> dags/a.yaml:4:25
      |
    4 |   restartPolicy: {type: OnFailure, onFailureRetries: 3}
      |                         ^^^^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    error[GF0605]: `timeToLiveSeconds` would delete the application before its end is recorded
     --> dags/a.yaml:5:3
      |
    5 |   timeToLiveSeconds: 60
      |   ^^^^^^^^^^^^^^^^^
      = help: remove it: finished applications stay as long as `keep:` in the clusters file says; to try again, give the task `retries:`

    error[GF0605]: `failureRetries` would start the work again inside of one try
     --> dags/a.yaml:6:3
      |
    6 |   failureRetries: 3
      |   ^^^^^^^^^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    error[GF0604]: `mode: client` has no driver pod that could be followed
     --> dags/a.yaml:7:9
      |
    7 |   mode: client
      |         ^^^^^^
      = help: write `mode: cluster`

    error[GF0604]: nobody finds `jobs/a.py`: it has no scheme
     --> dags/a.yaml:8:24
      |
    8 |   mainApplicationFile: jobs/a.py
      |                        ^^^^^^^^^
      = help: a file beside the DAG is `main_file: jobs/a.py`, a key of `spark:`; one of the image is `local:///…`

    error[GF0604]: `arguments` is a list, found the text `a b`
     --> dags/a.yaml:9:14
      |
    9 |   arguments: a b
      |              ^^^
      = help: write `arguments: [a, b]`

    error[GF0604]: `driver` has no `core_limit`
      --> dags/a.yaml:10:12
       |
    10 |   driver: {core_limit: 1, memory: 1Gi, env: {A: b}}
       |            ^^^^^^^^^^
       = help: Kubernetes writes `coreLimit`

    error[GF0603]: `1Gi` is no memory of Spark
      --> dags/a.yaml:10:35
       |
    10 |   driver: {core_limit: 1, memory: 1Gi, env: {A: b}}
       |                                   ^^^
       = help: Spark writes `1g`

    error[GF0604]: `env` is a list of names and values here, found a map
      --> dags/a.yaml:10:45
       |
    10 |   driver: {core_limit: 1, memory: 1Gi, env: {A: b}}
       |                                             ^^^^^^
       = help: write `env: [{name: A, value: "b"}]`, or use the task's own `env:`

    warning[GF0604]: an application's `spec` has no `executr` that is known
      --> dags/a.yaml:11:3
       |
    11 |   executr: {}
       |   ^^^^^^^
       = help: did you mean `executor`?

    error[GF0604]: this is a `ScheduledSparkApplication`, expected a `SparkApplication`
     --> dags/b.yaml:1:7
      |
    1 | kind: ScheduledSparkApplication
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: keep what is below its `template:`, and give the DAG `schedule:`

    error[GF0605]: `restartPolicy: Always` would start the work again inside of one try
     --> dags/c.yaml:1:31
      |
    1 | spark: {spec: {restartPolicy: Always}}
      |                               ^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    warning[GF0604]: what Airflow reads below `kubernetes` is not read here
     --> dags/c.yaml:2:1
      |
    2 | kubernetes: {in_cluster: true}
      | ^^^^^^^^^^
      = help: clusters are described in the clusters file; name one with `cluster:`

    error[GF0604]: `type` belongs below `spec:`
     --> dags/d.yaml:1:1
      |
    1 | type: Python
      | ^^^^
    "#);
}

#[test]
fn secrets_do_not_belong_into_a_configuration() {
    assert_snapshot!(diagnose(r#"
tasks:
  a:
    spark:
      main_file: /opt/a.py
      conf:
        spark.hadoop.fs.s3a.secret.key: hunter2
        spark.hadoop.fs.s3a.aws.credentials.provider: org.Provider
        spark.ssl.keyStorePassword: "${env.PASSWORD}"
        spark.kubernetes.driver.podTemplateFile: /etc/driver.yaml
"#), @r"
    warning[GF0606]: `spark.hadoop.fs.s3a.secret.key` would stand in the application, for everyone who may read it
     --> dags/demo.yaml:6:9
      |
    6 |         spark.hadoop.fs.s3a.secret.key: hunter2
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: keep it in a Kubernetes Secret: `secrets: NAME` makes environment variables of it, which Hadoop reads as `${env.VARIABLE}`

    error[GF0604]: `spark.kubernetes.driver.podTemplateFile` is not for an application to say
     --> dags/demo.yaml:9:9
      |
    9 |         spark.kubernetes.driver.podTemplateFile: /etc/driver.yaml
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write `driver:`, or `spec: {driver: {template: …}}`
    ");
}

#[test]
fn keys_of_a_submission_are_airflows() {
    assert_snapshot!(diagnose(r#"
tasks:
  a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
  b: {spark_submit: x.py}
  c: {spark_submit: {master: yarn}}
"#), @r"
    error[GF0801]: there is no file `x.py`
     --> dags/demo.yaml:2:35
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                   ^^^^
      = help: paths are relative to the DAG file

    error[GF0208]: `main_class` and `java_class` are the same; write one of them
     --> dags/demo.yaml:2:53
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                     ^^^

    error[GF0203]: expected a list of words, found the text `a`
     --> dags/demo.yaml:2:81
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                                                 ^

    error[GF0201]: unknown key `conn_id` in `spark_submit`
     --> dags/demo.yaml:2:84
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                                                    ^^^^^^^
      = help: name the cluster with `master:` and `deploy_mode:`

    error[GF0201]: unknown key `env_vars` in `spark_submit`
     --> dags/demo.yaml:2:100
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                                                                    ^^^^^^^^
      = help: use the task's own `env:`

    error[GF0603]: `1Gi` is no memory of Spark
     --> dags/demo.yaml:2:133
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                                                                                                     ^^^
      = help: Spark writes `1g`

    error[GF0407]: there is no mode of deployment `clster`
     --> dags/demo.yaml:2:151
      |
    2 |   a: {spark_submit: {application: x.py, java_class: a.B, main_class: c.D, args: a, conn_id: spark, env_vars: {A: b}, driver_memory: 1Gi, deploy_mode: clster}}
      |                                                                                                                                                       ^^^^^^
      = help: did you mean `cluster`?

    error[GF0203]: expected a map, found the text `x.py`
     --> dags/demo.yaml:3:21
      |
    3 |   b: {spark_submit: x.py}
      |                     ^^^^
      = help: write `spark_submit` with its keys `application`

    error[GF0202]: the key `application` is missing in `spark_submit`
     --> dags/demo.yaml:4:21
      |
    4 |   c: {spark_submit: {master: yarn}}
      |                     ^^^^^^^^^^^^^^
    ");
}
