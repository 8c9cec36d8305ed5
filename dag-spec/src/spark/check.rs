//! What is commonly wrong with SparkApplications, found when the file is loaded.

use super::API_VERSION;
use crate::{
    code::Code,
    diagnostic::Severity,
    kubernetes::check::{containers, foreign_keys, is_templated, literal, pod_spec, starts_again, volumes},
    read::Cx,
    source::Span,
    yaml::{Map, Node},
};

const APPLICATION_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const SPEC_KEYS: &[&str] = &[
    "arguments",
    "batchScheduler",
    "batchSchedulerOptions",
    "deps",
    "driver",
    "driverIngressOptions",
    "dynamicAllocation",
    "executor",
    "failureRetries",
    "hadoopConf",
    "hadoopConfigMap",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "mainApplicationFile",
    "mainClass",
    "memoryOverheadFactor",
    "mode",
    "monitoring",
    "nodeSelector",
    "proxyUser",
    "pythonVersion",
    "restartPolicy",
    "retryInterval",
    "sparkConf",
    "sparkConfigMap",
    "sparkUIOptions",
    "sparkVersion",
    "suspend",
    "timeToLiveSeconds",
    "type",
    "volumes",
];

const POD_KEYS: &[&str] = &[
    "affinity",
    "annotations",
    "configMaps",
    "coreLimit",
    "coreRequest",
    "cores",
    "deleteOnTermination",
    "dnsConfig",
    "env",
    "envFrom",
    "envSecretKeyRefs",
    "envVars",
    "gpu",
    "hostAliases",
    "hostNetwork",
    "image",
    "initContainers",
    "instances",
    "javaOptions",
    "kubernetesMaster",
    "labels",
    "lifecycle",
    "memory",
    "memoryOverhead",
    "nodeSelector",
    "podName",
    "podSecurityContext",
    "ports",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "secrets",
    "securityContext",
    "serviceAccount",
    "serviceAnnotations",
    "serviceLabels",
    "shareProcessNamespace",
    "sidecars",
    "template",
    "terminationGracePeriodSeconds",
    "tolerations",
    "volumeMounts",
];

/// A whole manifest of an application, or a part of one.
pub fn application(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = node.map() else { return };
    if let (None, Some(inner)) = (map.get("kind"), map.get("spark").filter(|entry| entry.value.map().is_some())) {
        application(&inner.value, cx);
        if let Some(entry) = map.get("kubernetes") {
            let message = "what Airflow reads below `kubernetes` is not read here";
            let diagnostic = cx.report(Code::BadManifest, entry.key_span, message);
            diagnostic.help = Some("clusters are described in the clusters file; name one with `cluster:`".into());
            diagnostic.severity = Severity::Warning;
        }
        return;
    }
    if let Some((kind, span)) = literal(map, "kind").filter(|(kind, _)| *kind != "SparkApplication") {
        cx.report(Code::BadManifest, span, format!("this is a `{kind}`, expected a `SparkApplication`")).help =
            match kind {
                "ScheduledSparkApplication" => {
                    Some("keep what is below its `template:`, and give the DAG `schedule:`".into())
                }
                "Pod" => Some("use the operator `pod:`".into()),
                _ => None,
            };
        return;
    }
    if let Some((version, span)) = literal(map, "apiVersion").filter(|(version, _)| *version != API_VERSION) {
        cx.report(Code::BadManifest, span, format!("the API `{version}` is not known")).help =
            Some(format!("write `apiVersion: {API_VERSION}`"));
    }
    for entry in &map.entries {
        match entry.key.as_str() {
            "spec" => spec(&entry.value, cx),
            key if SPEC_KEYS.contains(&key) => {
                cx.report(Code::BadManifest, entry.key_span, format!("`{key}` belongs below `spec:`"));
            }
            _ => {}
        }
    }
    foreign_keys(map, APPLICATION_KEYS, "a SparkApplication", cx);
}

/// The `spec` of an application, or a part of one.
pub fn spec(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = node.map() else {
        if !is_templated(node) && !node.is_null() && !node.is_poisoned() {
            let message = format!("an application's `spec` is a map, found {}", node.describe());
            cx.report(Code::BadManifest, cx.head(node), message);
        }
        return;
    };
    for entry in &map.entries {
        let (key, value) = (entry.key.as_str(), &entry.value);
        match key {
            "restartPolicy" => restart_policy(value, cx),
            "failureRetries" | "retryInterval" => {
                starts_again(entry.key_span, &format!("`{key}` would start the work again inside of one try"), cx);
            }
            "timeToLiveSeconds" => {
                let message = "`timeToLiveSeconds` would delete the application before its end is recorded";
                cx.report(Code::StartsAgain, entry.key_span, message).help = Some(
                    "remove it: finished applications stay as long as `keep:` in the clusters file says; to try again, give the task `retries:`"
                        .into(),
                );
            }
            "mode" => {
                if let Some((mode, span)) = literal(map, key).filter(|(mode, _)| *mode != "cluster") {
                    let message = format!("`mode: {mode}` has no driver pod that could be followed");
                    cx.report(Code::BadManifest, span, message).help = Some("write `mode: cluster`".into());
                }
            }
            "mainApplicationFile" => main_file(map, cx),
            "arguments" => crate::kubernetes::check::command(key, value, cx),
            "volumes" => volumes(value, cx),
            "driver" | "executor" => pod(value, key, cx),
            "sparkConf" | "hadoopConf" => configuration(value, cx),
            _ => {}
        }
    }
    foreign_keys(map, SPEC_KEYS, "an application's `spec`", cx);
}

/// A path without a scheme is one of the machine that submits, which is the operator's pod.
fn main_file(map: &Map, cx: &mut Cx<'_>) {
    let Some((path, span)) = literal(map, "mainApplicationFile").filter(|(path, _)| !path.contains(":/")) else {
        return;
    };
    let help = match path.starts_with('/') {
        true => format!("a file of the image is `local://{path}`"),
        false => {
            format!("a file beside the DAG is `main_file: {path}`, a key of `spark:`; one of the image is `local:///…`")
        }
    };
    cx.report(Code::BadManifest, span, format!("nobody finds `{path}`: it has no scheme")).help = Some(help);
}

fn restart_policy(node: &Node, cx: &mut Cx<'_>) {
    let again = |span: Span, policy: &str, cx: &mut Cx<'_>| {
        starts_again(span, &format!("`restartPolicy: {policy}` would start the work again inside of one try"), cx);
    };
    if let Some(scalar) = node.scalar().filter(|_| !is_templated(node) && !node.is_null()) {
        if scalar.text == "Never" {
            cx.report(Code::BadManifest, node.span, "`restartPolicy` of an application is a map").help =
                Some("write `restartPolicy: {type: Never}`, or remove it".into());
        } else {
            again(node.span, &scalar.text, cx);
        }
        return;
    }
    let Some(map) = node.map() else { return };
    match literal(map, "type").filter(|(policy, _)| *policy != "Never") {
        Some((policy, span)) => again(span, policy, cx),
        None => {
            for entry in map.entries.iter().filter(|entry| entry.key.ends_with("Retries")) {
                let is_nothing = entry.value.scalar().is_some_and(|scalar| scalar.text == "0");
                if !is_nothing {
                    let message = format!("`{}` would start the work again inside of one try", entry.key);
                    starts_again(entry.key_span, &message, cx);
                }
            }
        }
    }
}

fn pod(node: &Node, what: &str, cx: &mut Cx<'_>) {
    let Some(map) = node.map() else { return };
    for entry in &map.entries {
        match entry.key.as_str() {
            "template" => {
                if let Some(spec) = entry.value.map().and_then(|template| template.get("spec")) {
                    pod_spec(&spec.value, cx);
                }
            }
            "sidecars" | "initContainers" => containers(&entry.value, cx),
            "env" => crate::kubernetes::check::env(&entry.value, cx),
            "envFrom" => crate::kubernetes::check::env_from(&entry.value, cx),
            "memory" | "memoryOverhead" => super::size::check(&entry.value, cx),
            _ => {}
        }
    }
    foreign_keys(map, POD_KEYS, &format!("`{what}`"), cx);
}

/// Properties that the operator, or Gridflow, sets; with what to write instead.
const TAKEN: &[(&str, &str)] = &[
    ("spark.kubernetes.driver.podTemplateFile", "write `driver:`, or `spec: {driver: {template: …}}`"),
    ("spark.kubernetes.driver.podTemplateContainerName", "the driver's container is `spark-kubernetes-driver`"),
    ("spark.kubernetes.executor.podTemplateFile", "write `executor:`, or `spec: {executor: {template: …}}`"),
    ("spark.kubernetes.driver.pod.name", "remove it: a driver is named after its attempt"),
    ("spark.kubernetes.submission.waitAppCompletion", "remove it: the driver is watched"),
];

/// Properties of Spark or Hadoop.
pub fn configuration(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = node.map() else { return };
    for entry in &map.entries {
        if let Some((name, help)) = TAKEN.iter().find(|(name, _)| *name == entry.key) {
            let message = format!("`{name}` is not for an application to say");
            cx.report(Code::BadManifest, entry.key_span, message).help = Some((*help).into());
        }
    }
    secrets(map, cx);
}

/// Warns of values that look like secrets.
fn secrets(map: &Map, cx: &mut Cx<'_>) {
    for key in secret_keys(map) {
        let entry = map.get(&key).expect("the key was found in it");
        let diagnostic = cx.report(
            Code::SecretInObject,
            entry.key_span,
            format!("`{key}` would stand in the application, for everyone who may read it"),
        );
        diagnostic.severity = Severity::Warning;
        diagnostic.help = Some(
            "keep it in a Kubernetes Secret: `secrets: NAME` makes environment variables of it, which Hadoop reads as `${env.VARIABLE}`"
                .into(),
        );
    }
}

fn secret_keys(map: &Map) -> Vec<String> {
    let looks_secret = |key: &str| {
        let key = key.to_lowercase();
        let words = ["password", "secret.key", "secret-key", "secretkey", "session.token", "credential", "private.key"];
        words.iter().any(|word| key.contains(word)) && !key.ends_with("provider") && !key.ends_with("path")
    };
    // What is taken from the environment, or out of a file, is no secret itself.
    let is_elsewhere = |text: &str| text.contains("${") || text.contains("$(") || text.starts_with(['/', '$']);
    let entries = map.entries.iter().filter(|entry| looks_secret(&entry.key));
    let entries = entries.filter(|entry| entry.value.scalar().is_some_and(|scalar| !is_elsewhere(&scalar.text)));
    entries.map(|entry| entry.key.clone()).collect()
}
