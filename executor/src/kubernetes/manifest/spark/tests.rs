//! From layers to a SparkApplication, as text.

use std::{sync::Arc, time::Duration};

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{
    super::{ClusterDefaults, sample::identity},
    SparkRequest, spark,
};

/// What `then` makes of a request that says nothing but its layers.
fn with<T>(layers: &[Value], then: impl FnOnce(SparkRequest<'_>) -> T) -> T {
    then(SparkRequest {
        identity: identity(),
        cluster: ClusterDefaults { image: Some("gridflow:1"), ..ClusterDefaults::default() },
        spark: None,
        namespace: "data",
        layers,
        json_patch: None,
        env: &[],
        files: &[],
        context: &Value::Null,
        grace: Duration::from_secs(30),
    })
}

fn small() -> Value {
    json!({"spec": {
        "type": "Python", "sparkVersion": "4.0.2", "image": "spark:4.0.2", "mainApplicationFile": "local:///job.py",
    }})
}

/// As text, without the variables that every command is promised.
fn text(mut application: Value) -> String {
    for role in ["driver", "executor"] {
        let containers = application["spec"][role].pointer_mut("/template/spec/containers");
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(env) = container["env"].as_array_mut() {
                let is_promised = |name: &str| {
                    name.starts_with("GRIDFLOW_") && name != "GRIDFLOW_OUTPUT" || name.starts_with("AIRFLOW_")
                };
                env.retain(|variable| !variable["name"].as_str().is_some_and(is_promised));
            }
        }
    }
    serde_json::to_string_pretty(&application).unwrap()
}

/// The object, or why there is none.
fn built(layers: &[Value]) -> String {
    match with(layers, |request| spark(&request)) {
        Ok(made) => text(made.application),
        Err(error) => format!("error: {error}"),
    }
}

fn refused(key: &str, value: Value) -> String {
    let mut layer = small();
    let place = key.split('/').fold(&mut layer["spec"], |place, part| &mut place[part]);
    *place = value;
    built(&[layer])
}

#[test]
fn the_least_that_can_be_said_makes_a_whole_application() {
    assert_snapshot!(built(&[small()]), @r#"
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "metadata": {},
      "spec": {
        "mode": "cluster",
        "restartPolicy": {
          "type": "Never"
        },
        "driver": {
          "template": {
            "metadata": {
              "labels": {
                "sparkoperator.k8s.io/mutated-by-spark-operator": "true"
              }
            },
            "spec": {
              "containers": [
                {
                  "name": "spark-kubernetes-driver",
                  "terminationMessagePolicy": "File",
                  "env": [
                    {
                      "name": "GRIDFLOW_OUTPUT",
                      "value": "/dev/termination-log"
                    }
                  ]
                }
              ],
              "terminationGracePeriodSeconds": 30
            }
          }
        },
        "executor": {},
        "type": "Python",
        "sparkVersion": "4.0.2",
        "image": "spark:4.0.2",
        "mainApplicationFile": "local:///job.py"
      }
    }
    "#);
}

#[test]
fn files_variables_and_identity_reach_the_driver_and_variables_the_executors() {
    let cluster = json!({"spec": {"sparkConf": {"spark.eventLog.enabled": "true"}}});
    let env = [("REGION".to_owned(), "eu".to_owned())];
    let files = [("jobs/load.py".to_owned(), Arc::from(&b"print(1)"[..]))];
    let made = with(&[small()], |request| {
        spark(&SparkRequest {
            spark: Some(&cluster),
            cluster: ClusterDefaults { service_account: Some("tasks"), ..request.cluster },
            env: &env,
            files: &files,
            ..request
        })
    });
    let made = made.unwrap();
    assert!(made.payload.is_some());
    assert_snapshot!(text(made.application), @r#"
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "metadata": {},
      "spec": {
        "mode": "cluster",
        "restartPolicy": {
          "type": "Never"
        },
        "driver": {
          "serviceAccount": "tasks",
          "template": {
            "metadata": {
              "labels": {
                "sparkoperator.k8s.io/mutated-by-spark-operator": "true"
              }
            },
            "spec": {
              "containers": [
                {
                  "name": "spark-kubernetes-driver",
                  "terminationMessagePolicy": "File",
                  "env": [
                    {
                      "name": "REGION",
                      "value": "eu"
                    },
                    {
                      "name": "GRIDFLOW_OUTPUT",
                      "value": "/dev/termination-log"
                    }
                  ],
                  "workingDir": "/gridflow/work",
                  "volumeMounts": [
                    {
                      "name": "gridflow",
                      "mountPath": "/gridflow"
                    }
                  ]
                }
              ],
              "terminationGracePeriodSeconds": 30,
              "initContainers": [
                {
                  "name": "gridflow-init",
                  "image": "gridflow:1",
                  "command": [
                    "gridflow-pod",
                    "init"
                  ],
                  "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {
                      "drop": [
                        "ALL"
                      ]
                    },
                    "readOnlyRootFilesystem": true
                  },
                  "volumeMounts": [
                    {
                      "name": "gridflow",
                      "mountPath": "/gridflow"
                    },
                    {
                      "name": "gridflow-payload",
                      "mountPath": "/gridflow-payload"
                    }
                  ]
                }
              ],
              "volumes": [
                {
                  "name": "gridflow",
                  "emptyDir": {}
                },
                {
                  "name": "gridflow-payload",
                  "secret": {
                    "secretName": "gf-00000000-0000-0000-0000-000000000007"
                  }
                }
              ]
            }
          }
        },
        "executor": {
          "template": {
            "metadata": {
              "labels": {
                "sparkoperator.k8s.io/mutated-by-spark-operator": "true"
              }
            },
            "spec": {
              "containers": [
                {
                  "name": "spark-kubernetes-executor",
                  "env": [
                    {
                      "name": "REGION",
                      "value": "eu"
                    }
                  ]
                }
              ]
            }
          }
        },
        "sparkConf": {
          "spark.eventLog.enabled": "true"
        },
        "type": "Python",
        "sparkVersion": "4.0.2",
        "image": "spark:4.0.2",
        "mainApplicationFile": "local:///job.py"
      }
    }
    "#);
}

#[test]
fn a_command_that_is_written_for_the_driver_is_wrapped() {
    let driver = json!({"containers": [{
        "name": "spark-kubernetes-driver", "command": ["/opt/entrypoint.sh"], "args": ["--first"],
    }]});
    let layer = json!({"spec": {"driver": {"template": {"spec": driver}}}});
    let made = with(&[small(), layer], |request| spark(&request)).unwrap();
    assert!(made.payload.is_some(), "the program that wraps it has to come from somewhere");
    let template = &made.application["spec"]["driver"]["template"]["spec"];
    let container = &template["containers"][0];
    let line: Vec<_> = container["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_snapshot!(line.join(" "), @"/gridflow/bin/gridflow-pod run --codes-tell-signals --message-max 2457 -- /opt/entrypoint.sh");
    assert_eq!(container["args"], json!(["--first"]), "Spark's own come behind them");
    assert!(container["workingDir"].is_null(), "there are no files");
    let env = container["env"].as_array().unwrap();
    let value = |name: &str| env.iter().find(|it| it["name"] == name).map(|it| it["value"].clone());
    assert_eq!(value("GRIDFLOW_OUTPUT"), Some("/gridflow/work/.gridflow-output.json".into()));
    assert_eq!(value("GRIDFLOW_CONTEXT"), Some("/gridflow/work/.gridflow-context.json".into()));
    assert_eq!(template["initContainers"][0]["name"], "gridflow-init");
}

#[test]
fn executors_have_the_files_if_anything_but_the_program_is_one() {
    let files = [("lib.zip".to_owned(), Arc::from(&b"PK"[..]))];
    let has_files = |layer: Value| {
        with(&[small(), layer], |request| {
            let made = spark(&SparkRequest { files: &files, ..request }).unwrap();
            let spec = &made.application["spec"];
            let has = !spec["executor"]["template"]["spec"]["initContainers"].is_null();
            let works_there = spec["driver"]["template"]["spec"]["containers"][0]["workingDir"] == "/gridflow/work";
            assert_eq!(works_there, !has, "Spark would copy them onto themselves");
            has
        })
    };
    assert!(!has_files(json!({"spec": {"mainApplicationFile": "local:///gridflow/work/job.py"}})));
    assert!(has_files(json!({"spec": {"deps": {"pyFiles": ["local:///gridflow/work/lib.zip"]}}})));
}

#[test]
fn a_team_s_template_is_kept_and_stronger_layers_win() {
    let template = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "nightly", "namespace": "data", "labels": {"team": "lake"}},
        "spec": {
            "type": "Scala", "sparkVersion": "4.0.2", "image": "lake/spark:7", "mainClass": "lake.Nightly",
            "mainApplicationFile": "s3a://jars/nightly.jar", "restartPolicy": {"type": "Never"},
            "sparkConf": {"spark.sql.shuffle.partitions": "400"},
            "driver": {"cores": 2, "serviceAccount": "lake", "template": {"spec": {
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "containers": [
                    {"name": "sidecar", "image": "x"},
                    {"name": "spark-kubernetes-driver", "envFrom": [{"secretRef": {"name": "lake"}}]},
                ]}}},
            "executor": {"instances": 2, "fieldOfTomorrow": true},
        },
    });
    let task = json!({"spec": {"executor": {"instances": 8}, "sparkConf": {"spark.sql.shuffle.partitions": "800"}}});
    assert_snapshot!(built(&[template, task]), @r#"
    {
      "apiVersion": "sparkoperator.k8s.io/v1beta2",
      "kind": "SparkApplication",
      "metadata": {
        "labels": {
          "team": "lake"
        }
      },
      "spec": {
        "mode": "cluster",
        "restartPolicy": {
          "type": "Never"
        },
        "driver": {
          "cores": 2,
          "serviceAccount": "lake",
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
                  "name": "sidecar",
                  "image": "x",
                  "env": null
                },
                {
                  "name": "spark-kubernetes-driver",
                  "envFrom": [
                    {
                      "secretRef": {
                        "name": "lake"
                      }
                    }
                  ],
                  "terminationMessagePolicy": "File",
                  "env": [
                    {
                      "name": "GRIDFLOW_OUTPUT",
                      "value": "/dev/termination-log"
                    }
                  ]
                }
              ],
              "terminationGracePeriodSeconds": 30
            },
            "metadata": {
              "labels": {
                "sparkoperator.k8s.io/mutated-by-spark-operator": "true"
              }
            }
          }
        },
        "executor": {
          "instances": 8,
          "fieldOfTomorrow": true
        },
        "type": "Scala",
        "sparkVersion": "4.0.2",
        "image": "lake/spark:7",
        "mainClass": "lake.Nightly",
        "mainApplicationFile": "s3a://jars/nightly.jar",
        "sparkConf": {
          "spark.sql.shuffle.partitions": "800"
        }
      }
    }
    "#);
}

#[test]
fn what_would_take_the_driver_out_of_our_hands_is_refused_with_what_to_do_instead() {
    let told = [
        refused("restartPolicy", json!({"type": "OnFailure", "onFailureRetries": 3})),
        refused("timeToLiveSeconds", json!(60)),
        refused("mode", json!("client")),
        refused("driver", json!({"podName": "mine"})),
        refused("driver", json!({"labels": {"gridflow.io/attempt": "x"}})),
        refused("driver", json!({"template": {"spec": {"nodeName": "node-1"}}})),
        refused("driver", json!({"template": []})),
        refused("sparkConf", json!({"spark.kubernetes.driver.pod.name": "mine"})),
        refused("sparkConf", json!({"spark.kubernetes.driver.label.gridflow.io/run": "x"})),
        refused("sparkConf", json!({"spark.kubernetes.submission.waitAppCompletion": "true"})),
        refused("type", Value::Null),
        refused("image", Value::Null),
        refused("mainApplicationFile", Value::Null),
        built(&[json!({"kind": "ScheduledSparkApplication"}), small()]),
    ];
    assert_snapshot!(told.join("\n"), @r#"
    error: `spec.restartPolicy.type`: "OnFailure" is not possible, each try is an application of its own: write `retries:`
    error: `spec.timeToLiveSeconds`: the cluster's `keep:` says how long applications stay: leave it out
    error: `spec.mode`: `cluster` is needed: the driver is a pod
    error: `spec.driver.podName`: the driver is named after its attempt: leave it out
    error: `spec.driver.labels`: `gridflow.io/attempt` is Gridflow's own
    error: `spec.driver.template.spec.nodeName`: it is not possible here: write `nodeSelector: {kubernetes.io/hostname: …}`
    error: `spec.driver.template`: a map is needed
    error: `spec.sparkConf`: `spark.kubernetes.driver.pod.name` is not possible: the driver is named after its attempt
    error: `spec.sparkConf`: `spark.kubernetes.driver.label.gridflow.io/run` is not possible: these labels are Gridflow's own
    error: `spec.sparkConf`: `spark.kubernetes.submission.waitAppCompletion` is not possible: the operator would never say that it has submitted
    error: `spec.type`: `Python`, `Scala`, `Java` or `R` is needed
    error: `spec.image`: an image with Spark is needed
    error: `spec.mainApplicationFile`: what Spark is to run is needed, such as `local:///opt/jobs/job.py`
    error: layer 1 of the task's settings: `kind` is "ScheduledSparkApplication", and "SparkApplication" is needed
    "#);
}
