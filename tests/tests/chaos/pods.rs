//! What strikes the pods of a history, and the way to them. All of it within a namespace and a wire of its own.

use std::{thread, time::Duration};

use anyhow::Result;
use gridflow_testkit::kubernetes;
use gridflow_tests::{Cluster, Pods, Wire, wait_for};
use serde_json::{Value, json};

use crate::dice::Dice;

/// There is one soon, since runs are asked for all the time.
const POD_WITHIN: Duration = Duration::from_secs(60);
/// A name stays taken until the end of its pod is committed.
const NAME_FREE_WITHIN: Duration = Duration::from_secs(20);
const QUOTA: &str = "chaos";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodFault {
    Deleted,
    DeletedByForce,
    /// And another one made under its name.
    MadeAnew,
    WatchesCut,
    ApiServerRefuses,
    ApiServerSilent,
    NoQuota,
}

const ALL: [PodFault; 7] = [
    PodFault::DeletedByForce,
    PodFault::WatchesCut,
    PodFault::NoQuota,
    PodFault::ApiServerSilent,
    PodFault::MadeAnew,
    PodFault::ApiServerRefuses,
    PodFault::Deleted,
];

/// Where pods can be had: their namespace, and the schedulers' way to the API server.
pub fn pods(cluster: &Cluster) -> Result<Option<(Pods, Wire)>> {
    match kubernetes::Cluster::shared()? {
        Some(kubernetes) => Pods::wired(&kubernetes, cluster).map(Some),
        None => {
            eprintln!("LEFT OUT: this history has no pods");
            Ok(None)
        }
    }
}

/// That many faults in random order, each kind before any comes again.
pub fn deck(dice: &mut Dice, count: usize) -> Vec<PodFault> {
    dice.deck(&ALL, count)
}

impl PodFault {
    pub fn strike(self, pods: &Pods, wire: &Wire, dice: &mut Dice) -> Result<()> {
        let a_moment = Duration::from_millis(dice.below(3_000));
        match self {
            Self::Deleted => delete(pods, &name(&any(pods, dice)?), &[]),
            Self::DeletedByForce => delete(pods, &name(&any(pods, dice)?), &["--force", "--grace-period=0"]),
            Self::MadeAnew => made_anew(pods, &any(pods, dice)?),
            Self::WatchesCut => {
                wire.cut();
                Ok(())
            }
            Self::ApiServerRefuses => {
                wire.refuse();
                thread::sleep(a_moment);
                wire.heal();
                Ok(())
            }
            Self::ApiServerSilent => {
                wire.silence();
                thread::sleep(a_moment);
                wire.heal();
                Ok(())
            }
            Self::NoQuota => {
                pods.namespace.apply(&json!({
                    "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA},
                    "spec": {"hard": {"pods": "0"}},
                }))?;
                thread::sleep(a_moment);
                pods.namespace.kubectl(&["delete", "resourcequota", QUOTA]).map(drop)
            }
        }
    }
}

/// One that is on its way, or runs.
fn any(pods: &Pods, dice: &mut Dice) -> Result<Value> {
    let is_under_way = |pod: &Value| {
        let is_over = pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed";
        !is_over && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let mut found = wait_for("a pod", POD_WITHIN, || {
        let found: Vec<Value> = pods.namespace.pods()?.into_iter().filter(is_under_way).collect();
        Ok((!found.is_empty()).then_some(found))
    })?;
    let choice = dice.below(found.len() as u64) as usize;
    Ok(found.swap_remove(choice))
}

fn name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// It may be gone by itself meanwhile.
fn delete(pods: &Pods, name: &str, how: &[&str]) -> Result<()> {
    let args = ["delete", "pod", name, "--wait=false", "--ignore-not-found"];
    pods.namespace.kubectl(&[&args, how].concat()).map(drop)
}

/// As it was before it was let go: somebody had saved its manifest. Without its gate it would be somebody's own pod,
/// whose command runs because that person wanted it.
fn made_anew(pods: &Pods, pod: &Value) -> Result<()> {
    let mut copy = pod.clone();
    let (labels, annotations) = (copy["metadata"]["labels"].take(), copy["metadata"]["annotations"].take());
    copy["metadata"] = json!({"name": name(pod), "labels": labels, "annotations": annotations});
    copy["spec"]["schedulingGates"] = json!([{"name": "gridflow.io/confirm"}]);
    if let Some(spec) = copy["spec"].as_object_mut() {
        spec.remove("nodeName");
    }
    copy["status"] = Value::Null;
    delete(pods, &name(pod), &["--force", "--grace-period=0"])?;
    let text = copy.to_string();
    let args = ["--namespace", pods.namespace.name(), "create", "--filename", "-"];
    wait_for("a name that is free", NAME_FREE_WITHIN, || match pods.namespace.cluster().kubectl_with(&args, &text) {
        Ok(_) => Ok(Some(())),
        Err(error) if format!("{error:#}").contains("AlreadyExists") => Ok(None),
        Err(error) => Err(error),
    })
}
