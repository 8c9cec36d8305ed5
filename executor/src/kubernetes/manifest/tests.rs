//! Settings in, manifest out.

use insta::assert_snapshot;

use super::{sample::identity, *};

struct Fixture {
    process: &'static str,
    cluster: Value,
    layers: Vec<Value>,
    patch: Option<Value>,
    env: Vec<(String, String)>,
    files: Vec<(String, Arc<[u8]>)>,
}

impl Default for Fixture {
    fn default() -> Self {
        Self { process: "command", cluster: json!({}), layers: vec![], patch: None, env: vec![], files: vec![] }
    }
}

impl Fixture {
    fn layers(layers: impl Into<Vec<Value>>) -> Self {
        Self { layers: layers.into(), ..Self::default() }
    }

    fn image(layer: Value) -> Self {
        Self { process: "image", ..Self::layers([layer]) }
    }

    fn build(&self) -> Result<PodManifest, ManifestError> {
        let argv = ["bash".to_owned(), "-c".to_owned(), "echo $$ $(HOME)".to_owned()];
        let process = match self.process {
            "command" => Process::Command(&argv),
            "operator" => Process::Operator(&argv),
            "image" => Process::Image { wrap: Wrap::WhereThereIsACommand },
            other => panic!("{other}"),
        };
        pod(&PodRequest {
            identity: identity(),
            cluster: ClusterDefaults {
                image: Some("gridflow:1"),
                task_image: Some("python:3.12"),
                service_account: None,
                pod: Some(&self.cluster),
            },
            namespace: "data",
            process,
            layers: &self.layers,
            json_patch: self.patch.as_ref(),
            env: &self.env,
            files: &self.files,
            context: &json!({ "dag_id": "d" }),
            grace: Duration::from_secs(30),
        })
    }

    fn pod(&self) -> Value {
        self.build().unwrap().pod
    }

    fn error(&self) -> String {
        let error = self.build().unwrap_err();
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn task(pod: &Value) -> &Value {
    pod["spec"]["containers"].as_array().unwrap().iter().find(|it| it["name"] == "task").unwrap()
}

#[test]
fn a_command_runs_wrapped_behind_an_init_step() {
    assert_snapshot!(pretty(&Fixture::default().pod()), @r#"
    {
      "apiVersion": "v1",
      "kind": "Pod",
      "metadata": {
        "annotations": {
          "kubectl.kubernetes.io/default-container": "task"
        }
      },
      "spec": {
        "restartPolicy": "Never",
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "containers": [
          {
            "name": "task",
            "image": "python:3.12",
            "command": [
              "/gridflow/bin/gridflow-pod",
              "run",
              "--message-max",
              "2457",
              "--",
              "bash",
              "-c",
              "echo $$$$ $$(HOME)"
            ],
            "workingDir": "/gridflow/work",
            "terminationMessagePolicy": "File",
            "env": [
              {
                "name": "GRIDFLOW_ATTEMPT_ID",
                "value": "00000000-0000-0000-0000-000000000007"
              },
              {
                "name": "GRIDFLOW_DAG_ID",
                "value": "d"
              },
              {
                "name": "GRIDFLOW_TASK_ID",
                "value": "t"
              },
              {
                "name": "GRIDFLOW_RUN_ID",
                "value": "r"
              },
              {
                "name": "GRIDFLOW_TRY_NUMBER",
                "value": "1"
              },
              {
                "name": "GRIDFLOW_MAP_INDEX",
                "value": "-1"
              },
              {
                "name": "AIRFLOW_CTX_DAG_ID",
                "value": "d"
              },
              {
                "name": "AIRFLOW_CTX_TASK_ID",
                "value": "t"
              },
              {
                "name": "AIRFLOW_CTX_DAG_RUN_ID",
                "value": "r"
              },
              {
                "name": "AIRFLOW_CTX_TRY_NUMBER",
                "value": "1"
              },
              {
                "name": "AIRFLOW_CTX_DAG_OWNER",
                "value": "me"
              },
              {
                "name": "GRIDFLOW_CONTEXT",
                "value": "/gridflow/work/.gridflow-context.json"
              },
              {
                "name": "GRIDFLOW_OUTPUT",
                "value": "/gridflow/work/.gridflow-output.json"
              }
            ],
            "volumeMounts": [
              {
                "name": "gridflow",
                "mountPath": "/gridflow"
              }
            ],
            "securityContext": {
              "allowPrivilegeEscalation": false
            }
          }
        ],
        "automountServiceAccountToken": false,
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
    "#);
}

#[test]
fn what_kubernetes_would_expand_arrives_as_it_is_written() {
    let pod = Fixture { env: vec![("PRICE".into(), "$$(HOME)".into())], ..Fixture::default() }.pod();
    let command = task(&pod)["command"].as_array().unwrap();
    assert_eq!(command.last().unwrap(), "echo $$$$ $$(HOME)");
    let env = task(&pod)["env"].as_array().unwrap();
    assert_eq!(env.last().unwrap(), &json!({ "name": "PRICE", "value": "$$$$(HOME)" }));
}

#[test]
fn stronger_layers_win_and_everything_else_stays() {
    let cluster = json!({ "spec": {
        "priorityClassName": "low",
        "newerField": { "kept": [1, 2] },
        "tolerations": [{ "key": "a", "operator": "Exists" }],
        "containers": [{ "name": "task", "env": [{ "name": "TZ", "value": "UTC" }], "newer": true }],
    } });
    let dag = json!({ "metadata": { "labels": { "team": "x" } }, "spec": { "containers": [
        { "name": "task", "image": "python:3.13", "env": [{ "name": "A", "value": "1" }] },
        { "name": "proxy", "image": "proxy:1" },
    ] } });
    let task_layer = json!({ "spec": { "priorityClassName": "high", "containers": [
        { "name": "task", "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }] },
    ] } });
    let env = vec![("TZ".to_owned(), "Europe/Berlin".to_owned())];
    let pod = Fixture { cluster, layers: vec![dag, task_layer], env, ..Fixture::default() }.pod();
    assert_eq!(pod["spec"]["priorityClassName"], "high");
    assert_eq!(pod["spec"]["newerField"], json!({ "kept": [1, 2] }));
    assert_eq!(pod["metadata"]["labels"], json!({ "team": "x" }));
    assert_eq!(pod["spec"]["containers"][0]["name"], "task");
    assert_eq!(pod["spec"]["containers"][1]["image"], "proxy:1");
    assert_eq!((&task(&pod)["image"], &task(&pod)["newer"]), (&json!("python:3.13"), &json!(true)));
    let variable = |name: &str| task(&pod)["env"].as_array().unwrap().iter().find(|it| it["name"] == name).cloned();
    assert_eq!(variable("TZ").unwrap()["value"], "Europe/Berlin");
    let from = json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    assert_eq!(variable("A").unwrap(), from);
}

#[test]
fn a_volume_of_another_kind_takes_the_place_of_the_weaker_one() {
    let volume = |source: Value| json!({ "spec": { "volumes": [source] } });
    let pod = Fixture::layers([
        volume(json!({ "name": "data", "emptyDir": { "sizeLimit": "1Gi" } })),
        volume(json!({ "name": "data", "persistentVolumeClaim": { "claimName": "c" } })),
    ])
    .pod();
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({ "name": "data", "persistentVolumeClaim": { "claimName": "c" } })), "{volumes:?}");
}

#[test]
fn replacing_what_is_not_there_sets_it() {
    let affinity = json!({ "$patch": "replace", "podAntiAffinity": { "x": 1 } });
    let pod = Fixture::layers([json!({ "spec": { "affinity": affinity } })]).pod();
    assert_eq!(pod["spec"]["affinity"], json!({ "podAntiAffinity": { "x": 1 } }));
}

#[test]
fn the_image_of_a_dag_is_not_that_of_an_operator() {
    let layer = json!({ "spec": { "containers": [{ "name": "task", "image": "python:3.12" }] } });
    let pod = Fixture { process: "operator", ..Fixture::layers([layer]) }.pod();
    assert_eq!(task(&pod)["image"], "gridflow:1");
}

#[test]
fn a_pod_without_a_command_runs_as_its_image_says() {
    let layer = json!({ "spec": { "containers": [{ "name": "task", "image": "job:1", "args": ["--day", "1"] }] } });
    let built = Fixture::image(layer).build().unwrap();
    assert!(built.payload.is_none());
    let container = task(&built.pod);
    assert_eq!((container.get("command"), &container["args"]), (None, &json!(["--day", "1"])));
    assert!(built.pod["spec"].get("initContainers").is_none());
    let output = container["env"].as_array().unwrap().iter().find(|it| it["name"] == "GRIDFLOW_OUTPUT").unwrap();
    assert_eq!(output["value"], "/dev/termination-log");
}

#[test]
fn a_pod_without_a_command_finds_its_files_nevertheless() {
    let layer = json!({ "spec": { "containers": [{ "name": "task", "image": "job:1" }] } });
    let files = vec![("conf.yaml".to_owned(), Arc::from(&b"a: 1"[..]))];
    let built = Fixture { files, ..Fixture::image(layer) }.build().unwrap();
    assert!(built.payload.is_some());
    assert!(task(&built.pod).get("command").is_none());
    assert_eq!(built.pod["spec"]["initContainers"][0]["name"], "gridflow-init");
}

#[test]
fn a_pod_with_a_command_is_wrapped_and_keeps_its_own_folder() {
    let container = json!({
        "name": "task", "image": "job:1", "command": ["/app/run", "$(MODE)"], "args": ["--fast"],
        "terminationMessagePath": "/tmp/end",
    });
    let built = Fixture::image(json!({ "spec": { "containers": [container] } })).build().unwrap();
    let command = task(&built.pod)["command"].as_array().unwrap().clone();
    let expected = json!([
        "/gridflow/bin/gridflow-pod",
        "run",
        "--message",
        "/tmp/end",
        "--message-max",
        "2457",
        "--",
        "/app/run",
        "$(MODE)",
        "--fast"
    ]);
    assert_eq!(Value::from(command), expected);
    assert!(task(&built.pod).get("args").is_none() && task(&built.pod).get("workingDir").is_none());
}

#[test]
fn the_payload_holds_files_and_context() {
    let files = vec![("jobs/load.py".to_owned(), Arc::from(&b"print()"[..]))];
    let payload = Fixture { files, ..Fixture::default() }.build().unwrap().payload.unwrap();
    let key = |name: &str| payload.files.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let unpacked = gridflow_pod::payload::unpack(&key("index.json"), &key("content")).unwrap().len();
    assert_eq!(unpacked, 2);
    let large = vec![("large".to_owned(), Arc::from(vec![0; 1_000_000]))];
    let error = Fixture { files: large, ..Fixture::default() }.error();
    assert!(error.starts_with("the task's files and context have 1000"), "{error}");
}

#[test]
fn many_containers_leave_less_room_for_a_termination_message() {
    let side = |no: usize| json!({ "name": format!("side-{no}"), "image": "s" });
    let layer = json!({ "spec": { "containers": (0..4).map(side).collect::<Vec<_>>() } });
    let pod = Fixture::layers([layer]).pod();
    let command = task(&pod)["command"].as_array().unwrap();
    // Five containers, the init step, and three that the cluster may add.
    assert_eq!(command[3], "1365");
}

#[test]
fn the_init_step_can_be_adjusted_by_its_name() {
    let layer = json!({ "spec": { "initContainers": [
        { "name": "prepare", "image": "p" },
        { "name": "gridflow-init", "imagePullPolicy": "Never", "securityContext": { "runAsUser": 7 } },
    ] } });
    let pod = Fixture::layers([layer]).pod();
    let steps = pod["spec"]["initContainers"].as_array().unwrap();
    assert_eq!((&steps[0]["name"], &steps[1]["name"], steps.len()), (&json!("gridflow-init"), &json!("prepare"), 2));
    assert_eq!(steps[0]["imagePullPolicy"], "Never");
    assert_eq!(steps[0]["securityContext"]["runAsUser"], 7);
    assert_eq!(steps[0]["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn the_init_step_has_the_tasks_resources_but_no_devices() {
    let resources = json!({ "limits": { "cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 1 } });
    let layer = json!({ "spec": { "containers": [{ "name": "task", "resources": resources }] } });
    let pod = Fixture::layers([layer]).pod();
    let expected = json!({ "limits": { "cpu": "1", "memory": "1Gi" } });
    assert_eq!(pod["spec"]["initContainers"][0]["resources"], expected);
}

#[test]
fn a_node_by_name_becomes_a_required_affinity_of_every_term() {
    let wanted = json!({ "key": "metadata.name", "operator": "In", "values": ["n1"] });
    let pod = Fixture::layers([json!({ "spec": { "nodeName": "n1" } })]).pod();
    assert!(pod["spec"].get("nodeName").is_none());
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    assert_eq!(pod.pointer(required).unwrap(), &json!([{ "matchFields": [wanted] }]));

    let terms = json!([{ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }, { "matchFields": [] }]);
    let affinity =
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } });
    let pod = Fixture::layers([json!({ "spec": { "nodeName": "n1", "affinity": affinity } })]).pod();
    let terms = pod.pointer(required).unwrap().as_array().unwrap();
    assert!(terms.iter().all(|term| term["matchFields"] == json!([wanted])) && terms.len() == 2);
}

#[test]
fn gates_of_others_stay() {
    let pod = Fixture::layers([json!({ "spec": { "schedulingGates": [{ "name": "quota.io/wait" }] } })]).pod();
    assert_eq!(pod["spec"]["schedulingGates"], json!([{ "name": "quota.io/wait" }]));
}

#[test]
fn tokens_are_mounted_only_for_a_service_account_that_is_named() {
    assert_eq!(Fixture::default().pod()["spec"]["automountServiceAccountToken"], false);
    let named = Fixture::layers([json!({ "spec": { "serviceAccountName": "loader" } })]).pod();
    assert!(named["spec"].get("automountServiceAccountToken").is_none());
    let wanted = Fixture::layers([json!({ "spec": { "automountServiceAccountToken": true } })]).pod();
    assert_eq!(wanted["spec"]["automountServiceAccountToken"], true);
}

#[test]
fn no_privileges_are_gained_unless_a_layer_speaks_of_them() {
    let security = |context: Value| {
        let layer = json!({ "spec": { "containers": [{ "name": "task", "securityContext": context }] } });
        task(&Fixture::layers([layer]).pod())["securityContext"].clone()
    };
    assert_eq!(security(json!({ "runAsUser": 5 })), json!({ "runAsUser": 5, "allowPrivilegeEscalation": false }));
    assert_eq!(security(json!({ "allowPrivilegeEscalation": true })), json!({ "allowPrivilegeEscalation": true }));
    assert_eq!(security(json!({ "privileged": true })), json!({ "privileged": true }));
}

#[test]
fn a_json_patch_has_the_last_word_but_one() {
    let patch = json!([
        { "op": "replace", "path": "/spec/containers/0/image", "value": "patched:1" },
        { "op": "add", "path": "/spec/nodeName", "value": "n1" },
    ]);
    let pod = Fixture { patch: Some(patch), ..Fixture::default() }.pod();
    assert_eq!(task(&pod)["image"], "patched:1");
    assert!(pod["spec"].get("nodeName").is_none());
}

#[test]
fn what_a_server_wrote_into_a_template_is_left_behind() {
    let copied = json!({
        "apiVersion": "v1", "kind": "Pod", "status": { "phase": "Running" },
        "metadata": { "name": "x", "uid": "u", "resourceVersion": "1", "labels": { "a": "b" } },
        "spec": {},
    });
    let pod = Fixture::layers([copied]).pod();
    assert!(pod.get("status").is_none());
    let keys: Vec<_> = pod["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["annotations", "labels"]);
}

#[test]
fn errors_name_the_layer_and_the_key() {
    let layers = |layer: Value| Fixture::layers([json!({}), layer]).error();
    let spec = |spec: Value| layers(json!({ "spec": spec }));
    let errors = [
        layers(json!("x")),
        layers(json!({ "kind": "Deployment" })),
        spec(json!({ "containers": [{ "image": "x" }] })),
        spec(json!({ "containers": [{ "name": "task", "env": [{ "value": "x" }] }] })),
        spec(json!({ "containers": [{ "name": "task", "env": ["A=b"] }] })),
        spec(json!({ "volumes": [{ "name": "v", "$retainKeys": "x" }] })),
        spec(json!({ "affinity": { "$patch": "remove" } })),
        spec(json!({ "restartPolicy": "OnFailure" })),
        spec(json!({ "containers": [{ "name": "Side", "image": "s" }] })),
        spec(json!({ "containers": [{ "name": "task", "env": [{ "name": "N", "value": 1 }] }] })),
        spec(
            json!({ "containers": [{ "name": "task", "volumeMounts": [{ "mountPath": "/gridflow/", "name": "x" }] }] }),
        ),
        spec(json!({ "volumes": [{ "name": "gridflow", "emptyDir": {} }] })),
        spec(json!({ "containers": [{ "$patch": "replace" }, { "name": "main", "image": "x" }] })),
        layers(json!({ "metadata": { "namespace": "other" } })),
        layers(json!({ "metadata": { "labels": { "gridflow.io/attempt": "x" } } })),
        layers(json!({ "metadata": { "annotations": { "port": 8080 } } })),
        Fixture { cluster: json!({ "spec": { "containers": {}, "volumes": [1] } }), ..Fixture::default() }.error(),
        Fixture { patch: Some(json!([{ "op": "remove", "path": "/spec/no" }])), ..Fixture::default() }.error(),
        Fixture { patch: Some(json!([{ "op": "replace", "path": "/spec", "value": 1 }])), ..Fixture::default() }
            .error(),
        Fixture { patch: Some(json!([{ "op": "set" }])), ..Fixture::default() }.error(),
        Fixture::image(json!({})).error(),
    ];
    assert_snapshot!(errors.join("\n"), @r#"
    layer 2 of the task's settings: a map is needed
    layer 2 of the task's settings: `kind` is "Deployment", and "Pod" is needed
    layer 2 of the task's settings: the key `name` is missing: the elements of this list are merged by it at `spec.containers[0]`
    layer 2 of the task's settings: the key `name` is missing: the elements of this list are merged by it at `spec.containers[task].env[0]`
    layer 2 of the task's settings: a map is needed at `spec.containers[task].env[0]`
    layer 2 of the task's settings: `$retainKeys` is a list of keys at `spec.volumes[v]`
    layer 2 of the task's settings: `$patch` is `replace`, `delete` or `merge` at `spec.affinity`
    `spec.restartPolicy`: `OnFailure` is not possible, each try is a pod of its own: write `retries:`
    `spec.containers`: `Side` is no name of a container: at most 63 of a-z, 0-9 and `-`
    `spec.containers[task].env`: `N` is 1, and text is needed: write it in quotes
    `spec.containers[task].volumeMounts`: `/gridflow` is where the task's files are: mount it elsewhere
    `spec.volumes`: "gridflow" is Gridflow's own: name yours otherwise
    `spec.containers`: there is no container `task`: the task's container has that name
    `metadata.namespace`: it is "other", and the task runs in `data`: write `namespace:` under `kubernetes:`
    `metadata.labels`: `gridflow.io/attempt` is Gridflow's own
    `metadata.annotations`: `port` is 8080, and text is needed: write it in quotes
    the cluster's settings: a map is needed at `spec.volumes[0]`
    `json_patch`: operation '/0' failed at path '/spec/no': path is invalid
    `spec`: a map is needed
    `json_patch`: unknown variant `set`, expected one of `add`, `remove`, `replace`, `move`, `copy`, `test`
    the task needs an image: write `image:` under `kubernetes:`, or `task_image:` in the clusters file
    "#);
}
