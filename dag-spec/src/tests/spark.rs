//! Spark applications, by the operator and by `spark-submit`.

use std::fs;

use insta::assert_snapshot;

use super::*;
use crate::SparkLayers;

fn dag_of(yaml: &str, files: &[(&str, &str)]) -> Arc<CompiledDag> {
    let compilation = compile("dags/demo.yaml", yaml.trim_start_matches('\n').as_bytes(), &in_memory(files));
    compilation.dag.unwrap_or_else(|| panic!("{}", render_text(&compilation.diagnostics)))
}

fn application(yaml: &str, files: &[(&str, &str)]) -> String {
    match Launch::default().render(&dag_of(yaml, files), "a") {
        Ok(Rendered::Spark(layers)) => shown(&layers),
        Ok(other) => panic!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn shown(spark: &SparkLayers) -> String {
    let mut lines: Vec<_> = spark.layers.iter().map(|layer| serde_json::to_string_pretty(layer).unwrap()).collect();
    lines.extend(spark.json_patch.as_ref().map(|patch| format!("patch {patch}")));
    lines.extend(spark.cluster.as_ref().map(|cluster| format!("cluster {cluster}")));
    lines.extend(spark.namespace.as_ref().map(|namespace| format!("namespace {namespace}")));
    lines.extend(spark.env.iter().map(|(name, value)| format!("env {name}={value}")));
    lines.extend(spark.files.iter().map(|(path, _)| format!("file {path}")));
    lines.join("\n")
}

#[test]
fn the_short_form_is_a_whole_application() {
    let yaml = r#"
params: {cores: 2}
executor: kubernetes
kubernetes: {cluster: prod, namespace: ml, image: python, labels: {day: "{{ ds }}"}}
tasks:
  a:
    env: {DAY: "{{ ds }}"}
    spark:
      main_file: jobs/clean.py
      args: ["{{ ds }}", "{{ params.cores }}", 3]
      conf: {spark.sql.shuffle.partitions: 8, spark.eventLog.enabled: true}
      hadoop_conf: {fs.s3a.endpoint: http://minio:9000}
      image: spark:4.0.2
      spark_version: 4.0.2
      service_account: spark
      secrets: minio
      node_selector: {pool: batch}
      labels: {team: sales}
      driver: {cores: 1, core_request: 500m, memory: 1g, memory_overhead: 512m, env: {A: "{{ params.cores }}"}, secrets: {name: tls, mount: /etc/tls}}
      executor: {instances: "{{ params.cores }}", cores: "{{ params.cores }}", memory: 4g, service_account: workers, tolerations: [{key: spot, operator: Exists}]}
      dynamic_allocation: {min: 1, max: 10}
      deps:
        py_files: [jobs/lib.py, "s3a://code/more.zip"]
        jars: /opt/jars/a.jar,/opt/jars/b.jar
        packages: org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.0
      json_patch: [{op: add, path: /spec/timeZone, value: UTC}]
"#;
    let files = [("jobs/clean.py", "pass"), ("jobs/lib.py", "pass")];
    assert_snapshot!(application(yaml, &files), @r#"
    {
      "metadata": {
        "labels": {
          "team": "sales"
        }
      },
      "spec": {
        "driver": {
          "serviceAccount": "spark",
          "template": {
            "metadata": {
              "labels": {
                "team": "sales"
              }
            },
            "spec": {
              "nodeSelector": {
                "pool": "batch"
              },
              "containers": [
                {
                  "name": "spark-kubernetes-driver",
                  "envFrom": [
                    {
                      "secretRef": {
                        "name": "minio"
                      }
                    }
                  ]
                }
              ]
            }
          }
        },
        "executor": {
          "serviceAccount": "spark",
          "template": {
            "metadata": {
              "labels": {
                "team": "sales"
              }
            },
            "spec": {
              "nodeSelector": {
                "pool": "batch"
              },
              "containers": [
                {
                  "name": "spark-kubernetes-executor",
                  "envFrom": [
                    {
                      "secretRef": {
                        "name": "minio"
                      }
                    }
                  ]
                }
              ]
            }
          }
        }
      }
    }
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "spec": {
        "type": "Python",
        "mode": "cluster",
        "sparkVersion": "4.0.2",
        "image": "spark:4.0.2",
        "mainApplicationFile": "local:///gridflow/work/jobs/clean.py",
        "arguments": [
          "2025-01-31",
          "2",
          "3"
        ],
        "sparkConf": {
          "spark.sql.shuffle.partitions": "8",
          "spark.eventLog.enabled": "true"
        },
        "hadoopConf": {
          "fs.s3a.endpoint": "http://minio:9000"
        },
        "restartPolicy": {
          "type": "Never"
        },
        "driver": {
          "cores": 1,
          "coreRequest": "500m",
          "memory": "1g",
          "memoryOverhead": "512m",
          "template": {
            "spec": {
              "volumes": [
                {
                  "name": "secret-tls",
                  "secret": {
                    "secretName": "tls"
                  }
                }
              ],
              "containers": [
                {
                  "name": "spark-kubernetes-driver",
                  "volumeMounts": [
                    {
                      "name": "secret-tls",
                      "mountPath": "/etc/tls",
                      "readOnly": true
                    }
                  ],
                  "env": [
                    {
                      "name": "A",
                      "value": "2"
                    }
                  ]
                }
              ]
            }
          }
        },
        "executor": {
          "cores": 2,
          "memory": "4g",
          "serviceAccount": "workers",
          "template": {
            "spec": {
              "tolerations": [
                {
                  "key": "spot",
                  "operator": "Exists"
                }
              ],
              "containers": [
                {
                  "name": "spark-kubernetes-executor",
                  "env": [
                    {
                      "name": "PYTHONPATH",
                      "value": "/gridflow/work/jobs"
                    }
                  ]
                }
              ]
            }
          },
          "instances": 2
        },
        "dynamicAllocation": {
          "enabled": true,
          "minExecutors": 1,
          "maxExecutors": 10
        },
        "deps": {
          "jars": [
            "local:///opt/jars/a.jar",
            "local:///opt/jars/b.jar"
          ],
          "pyFiles": [
            "local:///gridflow/work/jobs/lib.py",
            "s3a://code/more.zip"
          ],
          "packages": [
            "org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.0"
          ]
        }
      }
    }
    patch [{"op":"add","path":"/spec/timeZone","value":"UTC"}]
    cluster prod
    namespace ml
    env DAY=2025-01-31
    file jobs/clean.py
    file jobs/lib.py
    "#);
}

#[test]
fn arguments_and_variables_are_written_so_that_kubernetes_changes_nothing_in_them() {
    let made =
        application("tasks: {a: {spark: {main_file: /a.py, args: ['$$ $(B)'], driver: {env: {B: '$(A)'}}}}}", &[]);
    assert!(made.contains(r#""$$$$ $$(B)""#) && made.contains(r#""value": "$$(A)""#), "{made}");
}

#[test]
fn a_jar_has_a_class() {
    assert_snapshot!(application("tasks: {a: {spark: {jar: 'local:///opt/spark-examples.jar', main_class: org.apache.spark.examples.SparkPi, args: [10], dynamic_allocation: true}}}", &[]), @r#"
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "spec": {
        "type": "Scala",
        "mode": "cluster",
        "mainApplicationFile": "local:///opt/spark-examples.jar",
        "mainClass": "org.apache.spark.examples.SparkPi",
        "arguments": [
          "10"
        ],
        "restartPolicy": {
          "type": "Never"
        },
        "dynamicAllocation": {
          "enabled": true
        }
      }
    }
    "#);
}

#[test]
fn applications_of_airflow_run_as_they_are() {
    let file = r#"apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata:
  name: "pi-{{ ds_nodash }}-{{ ti.try_number }}"
  namespace: spark
  labels: {version: "4"}
spec:
  type: Scala
  mode: cluster
  image: spark:4.0.2
  mainClass: org.apache.spark.examples.SparkPi
  mainApplicationFile: local:///opt/pi.jar
  arguments: ["{{ params.n }}"]
  sparkConf:
    "spark.eventLog.enabled": "{{ params.log }}"
  restartPolicy: {type: Never}
  driver: {cores: 1, memory: 512m, serviceAccount: spark}
  executor: {cores: 1, instances: "{{ params.n }}", memory: 512m, newerField: {a: [1]}}
"#;
    let yaml = "params: {n: 2, log: true}\nkubernetes: {namespace: other}\ntasks: {a: {spark: {template_file: pi.yaml, executor: {memory: 1g}}}}";
    assert_snapshot!(application(yaml, &[("pi.yaml", file)]), @r#"
    {
      "metadata": {
        "labels": {
          "version": "4"
        }
      },
      "spec": {
        "type": "Scala",
        "mode": "cluster",
        "image": "spark:4.0.2",
        "mainClass": "org.apache.spark.examples.SparkPi",
        "mainApplicationFile": "local:///opt/pi.jar",
        "arguments": [
          "2"
        ],
        "sparkConf": {
          "spark.eventLog.enabled": "true"
        },
        "restartPolicy": {
          "type": "Never"
        },
        "driver": {
          "cores": 1,
          "memory": "512m",
          "serviceAccount": "spark"
        },
        "executor": {
          "cores": 1,
          "instances": 2,
          "memory": "512m",
          "newerField": {
            "a": [
              1
            ]
          }
        }
      }
    }
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "spec": {
        "mode": "cluster",
        "restartPolicy": {
          "type": "Never"
        },
        "executor": {
          "memory": "1g"
        }
      }
    }
    namespace spark
    file pi.yaml
    "#);
    let wrapped = format!("spark:\n  {}", file.trim_end().replace('\n', "\n  "));
    assert_eq!(application(yaml, &[("pi.yaml", file)]), application(yaml, &[("pi.yaml", &wrapped)]));
}

#[test]
fn what_a_launch_makes_of_an_application_is_checked() {
    let yaml = |spark: &str| format!("params: {{x: OnFailure, n: many}}\ntasks: {{a: {{spark: {{{spark}}}}}}}");
    let file = [("a.yaml", "spec: {restartPolicy: {type: \"{{ params.x }}\"}}")];
    assert_snapshot!(application(&yaml("template_file: a.yaml"), &file), @"error: template `a.yaml`: `restartPolicy` is `OnFailure`; remove it, and give the task `retries:`");
    assert_snapshot!(application(&yaml("spec: {mode: \"{{ 'client' }}\"}"), &[]), @"error: template `spark.spec`: `mode` is `client`, expected `cluster`");
    assert_snapshot!(application(&yaml("spec: {driver: {template: \"{{ params.x }}\"}, executor: []}"), &[]), @r#"
    {
      "spec": {
        "driver": {
          "template": "OnFailure"
        },
        "executor": []
      }
    }
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "spec": {
        "mode": "cluster",
        "restartPolicy": {
          "type": "Never"
        }
      }
    }
    "#);
    assert_snapshot!(application(&yaml("main_file: \"{{ 'jobs/x.py' }}\", type: Python"), &[]), @"error: `the path of a file` is `jobs/x.py`, expected a file of the DAG (named by `files:`), an absolute path or a URI");
    assert_snapshot!(application(&yaml("main_file: /x.py, executor: {instances: \"{{ params.n }}\"}"), &[]), @"error: `instances` is `many`, expected a whole number");
}

fn command(yaml: &str, files: &[(&str, &str)]) -> String {
    let Ok(Rendered::Command { argv, env, files }) = Launch::default().render(&dag_of(yaml, files), "a") else {
        panic!()
    };
    let mut lines = vec![argv.join(" ")];
    lines.extend(env.iter().map(|(name, value)| format!("env {name}={value}")));
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".conf")) {
        lines.push(format!("{path}:\n{}", String::from_utf8_lossy(bytes).trim_end()));
    }
    lines.join("\n")
}

#[test]
fn a_submission_is_a_command() {
    let yaml = r#"
tasks:
  a:
    spark_submit:
      application: jobs/clean.py
      args: ["{{ ds }}", a b]
      master: local[2]
      conf: {spark.sql.shuffle.partitions: 8, spark.hadoop.fs.s3a.secret.key: "${env.AWS_SECRET_ACCESS_KEY}"}
      py_files: jobs/lib.py,/opt/more.zip
      packages: [a:b:1, c:d:2]
      driver_memory: 1g
      executor_cores: 2
      spark_home: /opt/spark
      verbose: true
"#;
    assert_snapshot!(command(yaml, &[("jobs/clean.py", ""), ("jobs/lib.py", "")]), @r"
    sh .gridflow/spark-submit.sh  /opt/spark/bin/spark-submit --master local[2] --name demo.a --packages a:b:1,c:d:2 --py-files jobs/lib.py,/opt/more.zip --driver-memory 1g --executor-cores 2 --verbose jobs/clean.py 2025-01-31 a b
    env SPARK_HOME=/opt/spark
    .gridflow/spark.conf:
    spark.sql.shuffle.partitions=8
    spark.hadoop.fs.s3a.secret.key=${env.AWS_SECRET_ACCESS_KEY}
    ");
    assert_snapshot!(command("tasks: {a: {spark_submit: {application: /opt/a.jar, java_class: org.A, application_args: [1], name: mine}}}", &[]), @"spark-submit --class org.A --name mine /opt/a.jar 1");
    assert_snapshot!(command("tasks: {a: {spark_submit: {application: 's3a://b/a.jar', main_class: org.A, deploy_mode: cluster, master: 'spark://h:7077', properties_file: /etc/spark.conf}}}", &[]), @r"
    sh .gridflow/spark-submit.sh /etc/spark.conf spark-submit --master spark://h:7077 --deploy-mode cluster --class org.A --name demo.a s3a://b/a.jar
    .gridflow/spark.conf:
    spark.standalone.submit.waitAppCompletion=true
    ");
}

/// With a program in the place of `spark-submit` that shows what it was given.
#[test]
fn properties_reach_spark_in_a_file_of_the_tasks_own() {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("spark");
    let work = folder.path().join("work");
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::create_dir_all(home.join("conf")).unwrap();
    fs::write(home.join("conf/spark-defaults.conf"), "spark.a 1").unwrap();
    let program = home.join("bin/spark-submit");
    fs::write(
        &program,
        "#!/bin/sh\necho \"$@\"; stat -c %a .gridflow/spark.properties; cat .gridflow/spark.properties\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let yaml = format!(
        "tasks: {{a: {{spark_submit: {{application: /a.py, conf: {{spark.b: 'x y'}}, spark_binary: {}}}}}}}",
        program.display()
    );
    let Ok(Rendered::Command { argv, files, .. }) = Launch::default().render(&dag_of(&yaml, &[]), "a") else {
        panic!()
    };
    for (path, bytes) in &files {
        let path = work.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let done = Command::new(&argv[0]).args(&argv[1..]).current_dir(&work).env_remove("SPARK_HOME").output().unwrap();
    assert_snapshot!(String::from_utf8_lossy(&done.stdout), @r"
    --properties-file .gridflow/spark.properties --name demo.a /a.py
    600
    spark.a 1
    spark.b=x y
    ");
}
