//! The clusters file.

use insta::{assert_debug_snapshot, assert_snapshot};

use super::*;
use crate::clusters::{self, Access};

fn wrong(text: &str) -> String {
    render_text(&clusters::read("clusters.yaml", text.trim_start_matches('\n')).unwrap_err())
}

#[test]
fn a_clusters_file_names_clusters() {
    let text = "
clusters:
  prod:
    kubeconfig: /etc/kube.yaml
    context: prod
    namespaces: [data, ml]
    image: gridflow:0.1
    task_image: python:3.12
    service_account: tasks
    pod: {metadata: {labels: {a: b}}, spec: {tolerations: [{key: batch, operator: Exists}], newerField: 1}}
    spark: {spec: {sparkVersion: \"4.0.2\"}}
    keep: {failed: 2h}
    unschedulable_after: 5m
  lab: {in_cluster: true, namespaces: default}
";
    let read = clusters::read("clusters.yaml", text).unwrap();
    assert_debug_snapshot!(read.clusters[0], @r#"
    Cluster {
        name: "prod",
        access: Kubeconfig {
            path: Some(
                "/etc/kube.yaml",
            ),
            context: Some(
                "prod",
            ),
        },
        namespaces: [
            "data",
            "ml",
        ],
        image: Some(
            "gridflow:0.1",
        ),
        task_image: Some(
            "python:3.12",
        ),
        service_account: Some(
            "tasks",
        ),
        pod: Some(
            Object {
                "metadata": Object {
                    "labels": Object {
                        "a": String("b"),
                    },
                },
                "spec": Object {
                    "tolerations": Array [
                        Object {
                            "key": String("batch"),
                            "operator": String("Exists"),
                        },
                    ],
                    "newerField": Number(1),
                },
            },
        ),
        spark: Some(
            Object {
                "spec": Object {
                    "sparkVersion": String("4.0.2"),
                },
            },
        ),
        keep: Keep {
            succeeded: 0ns,
            failed: 7200s,
        },
        unschedulable_after: 300s,
    }
    "#);
    assert_eq!(read.find(None).unwrap().name, "prod");
    assert_eq!(read.find(Some("lab")).unwrap().access, Access::InCluster);
    assert_eq!(read.find(Some("other")), None);
}

#[test]
fn what_is_wrong_with_it_is_said_at_once() {
    assert_snapshot!(wrong("
clusters:
  P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
  lab:
  dev:
    namespaces: default
    image_pull: x
    pod: {nodeSelector: {a: b}, spec: {restartPolicy: Always, containers: [{image: \"{{ ds }}\"}]}}
    spark: {spec: {timeToLiveSeconds: 60}}
    keep: 1h
    unschedulable_after: 10
cluster: {}
"), @r#"
    error[GF0301]: `P/od` is no name of a cluster
     --> clusters.yaml:2:3
      |
    2 |   P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
      |   ^^^^
      = help: it has letters, digits, `_`, `-` and `.`, and begins with none of the latter

    error[GF0109]: `data` is named twice
     --> clusters.yaml:2:29
      |
    2 |   P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
      |                             ^^^^

    error[GF0301]: `My_Space` is no name of a namespace
     --> clusters.yaml:2:35
      |
    2 |   P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
      |                                   ^^^^^^^^
      = help: it has at most 63 lower-case letters, digits and `-`, and no `-` at its ends

    error[GF0208]: `in_cluster` needs no `kubeconfig` and no `context`
     --> clusters.yaml:2:58
      |
    2 |   P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
      |                                                          ^^^^
      = help: keep one of them

    error[GF0201]: unknown key `kubconfig` in `clusters.cluster`
     --> clusters.yaml:2:76
      |
    2 |   P/od: {namespaces: [data, data, My_Space], in_cluster: true, context: x, kubconfig: /x}
      |                                                                            ^^^^^^^^^
      = help: did you mean `kubeconfig`?

    error[GF0202]: cluster `lab` has no namespaces
     --> clusters.yaml:3:3
      |
    3 |   lab:
      |   ^^^
      = help: name those that tasks may run in: `namespaces: [default]`

    error[GF0201]: unknown key `image_pull` in `clusters.cluster`
     --> clusters.yaml:6:5
      |
    6 |     image_pull: x
      |     ^^^^^^^^^^
      = help: did you mean `image`?

    error[GF0604]: `nodeSelector` belongs below `spec:`
     --> clusters.yaml:7:11
      |
    7 |     pod: {nodeSelector: {a: b}, spec: {restartPolicy: Always, containers: [{image: "{{ ds }}"}]}}
      |           ^^^^^^^^^^^^

    error[GF0605]: `restartPolicy: Always` would start the work again inside of one try
     --> clusters.yaml:7:55
      |
    7 |     pod: {nodeSelector: {a: b}, spec: {restartPolicy: Always, containers: [{image: "{{ ds }}"}]}}
      |                                                       ^^^^^^
      = help: remove it, and give the task `retries:`; each try is an attempt with a log of its own

    error[GF0604]: a container has a `name`
     --> clusters.yaml:7:76
      |
    7 |     pod: {nodeSelector: {a: b}, spec: {restartPolicy: Always, containers: [{image: "{{ ds }}"}]}}
      |                                                                            ^^^^^^^^^^^^^^^^^^^
      = help: the one that does the task's work is `name: task`

    error[GF0511]: a template is not possible here: this holds for every task
     --> clusters.yaml:7:84
      |
    7 |     pod: {nodeSelector: {a: b}, spec: {restartPolicy: Always, containers: [{image: "{{ ds }}"}]}}
      |                                                                                    ^^^^^^^^^^

    error[GF0605]: `timeToLiveSeconds` would delete the application before its end is recorded
     --> clusters.yaml:8:20
      |
    8 |     spark: {spec: {timeToLiveSeconds: 60}}
      |                    ^^^^^^^^^^^^^^^^^
      = help: remove it: finished applications stay as long as `keep:` in the clusters file says; to try again, give the task `retries:`

    error[GF0203]: expected a map, found the text `1h`
     --> clusters.yaml:9:11
      |
    9 |     keep: 1h
      |           ^^

    error[GF0402]: `10` is no duration
      --> clusters.yaml:10:26
       |
    10 |     unschedulable_after: 10
       |                          ^^
       = help: say the unit: `10s` or `10m`

    error[GF0201]: unknown key `cluster` in the clusters file
      --> clusters.yaml:11:1
       |
    11 | cluster: {}
       | ^^^^^^^
       = help: did you mean `clusters`?
    "#);
    assert_snapshot!(wrong(""), @r"
    error[GF0117]: the file is empty
     --> clusters.yaml:1:1
      = help: name a cluster: `clusters: {default: {namespaces: [default]}}`
    ");
    assert_snapshot!(wrong("clusters: {}"), @r"
    error[GF0202]: the file names no cluster
     --> clusters.yaml:1:1
      |
    1 | clusters: {}
      | ^^^^^^^^^^^^
    ");
    assert_snapshot!(wrong("clusters: [a]"), @r"
    error[GF0203]: expected a map of names to clusters, found a list
     --> clusters.yaml:1:11
      |
    1 | clusters: [a]
      |           ^^^
      = help: write `NAME: {namespaces: […]}` instead of a list
    ");
}
