//! What is commonly wrong with objects of Kubernetes, found when the file is loaded.
//!
//! Only known mistakes are reported: a field that is not known here is newer than this crate.

mod container;
mod key;
mod label;
mod restart;

pub use container::{command, containers, env, env_from, init_containers, is_dns_label, volume_mounts};
pub use key::{camel, foreign_keys};
pub use label::{annotations, labels};
pub use restart::{duration_elsewhere, starts_again};

use crate::{
    code::Code,
    read::Cx,
    source::Span,
    template::{Kind, Template},
    yaml::{Map, Node, NodeKind},
};

const POD_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const POD_SPEC_KEYS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// Keys of a container that people put beside `containers`.
const OF_CONTAINERS: &[&str] = &["image", "command", "args", "env", "envFrom", "volumeMounts", "workingDir", "ports"];

/// A whole manifest of a pod, or a part of one.
pub fn pod(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = map(node, "a pod's manifest", cx) else { return };
    if let Some(kind) = literal(map, "kind").filter(|kind| kind.0 != "Pod") {
        cx.report(Code::BadManifest, kind.1, format!("this is a `{}`, expected a `Pod`", kind.0)).help = match kind.0 {
            "Job" | "CronJob" | "Deployment" | "PodTemplate" | "ReplicaSet" | "StatefulSet" => Some(
                "keep what is below its `template:`, with `kind: Pod`; Gridflow itself retries and schedules".into(),
            ),
            "SparkApplication" => Some("use the operator `spark:`".into()),
            _ => None,
        };
        return;
    }
    if let Some((version, span)) = literal(map, "apiVersion").filter(|version| version.0 != "v1") {
        cx.report(Code::BadManifest, span, format!("a pod has the `apiVersion` `v1`, not `{version}`"));
    }
    for entry in &map.entries {
        match entry.key.as_str() {
            "metadata" => metadata(&entry.value, cx),
            "spec" => pod_spec(&entry.value, cx),
            key if POD_SPEC_KEYS.contains(&key) => {
                cx.report(Code::BadManifest, entry.key_span, format!("`{key}` belongs below `spec:`"));
            }
            _ => {}
        }
    }
    foreign_keys(map, POD_KEYS, "a pod", cx);
}

/// What matters of `metadata`.
pub fn metadata(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = map(node, "`metadata`", cx) else { return };
    for entry in &map.entries {
        match entry.key.as_str() {
            "labels" => labels(&entry.value, cx),
            "annotations" => annotations(&entry.value, cx),
            _ => {}
        }
    }
}

/// The `spec` of a pod, or a part of one.
pub fn pod_spec(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = map(node, "a pod's `spec`", cx) else { return };
    for entry in &map.entries {
        let value = &entry.value;
        match entry.key.as_str() {
            "restartPolicy" => restart::policy(value, cx),
            "containers" => containers(value, cx),
            "initContainers" => init_containers(value, cx),
            "volumes" => volumes(value, cx),
            "tolerations" => tolerations(value, cx),
            "nodeSelector" => texts(value, "`nodeSelector`", cx),
            "imagePullSecrets" => named_items(value, "imagePullSecrets", cx),
            "activeDeadlineSeconds" => duration_elsewhere(entry, "execution_timeout", cx),
            "terminationGracePeriodSeconds" => duration_elsewhere(entry, "grace", cx),
            "metadata" => {
                cx.report(Code::BadManifest, entry.key_span, "`metadata` stands beside `spec`, not in it").help =
                    Some("use `labels:` and `annotations:`".into());
            }
            key if OF_CONTAINERS.contains(&key) => {
                cx.report(
                    Code::BadManifest,
                    entry.key_span,
                    format!("`{key}` belongs to a container, not to the pod"),
                )
                .help = Some(format!("write `containers: [{{name: task, {key}: …}}]`"));
            }
            _ => {}
        }
    }
    foreign_keys(map, POD_SPEC_KEYS, "a pod's `spec`", cx);
}

/// The volumes of a pod.
pub fn volumes(node: &Node, cx: &mut Cx<'_>) {
    named_items(node, "volumes", cx);
    for volume in items(node) {
        let Some(map) = volume.map() else { continue };
        if map.entries.len() == 1 && map.get("name").is_some() && !is_directive(map) {
            cx.report(Code::BadManifest, cx.head(volume), "a volume says where it comes from").help = Some(
                "add one of `emptyDir: {}`, `secret: {secretName: …}`, `configMap: {name: …}` or `persistentVolumeClaim: {claimName: …}`"
                    .into(),
            );
        }
        foreign_keys(map, VOLUME_KEYS, "a volume", cx);
    }
}

const VOLUME_KEYS: &[&str] = &[
    "name",
    "emptyDir",
    "secret",
    "configMap",
    "persistentVolumeClaim",
    "hostPath",
    "projected",
    "downwardAPI",
    "ephemeral",
    "csi",
    "nfs",
    "image",
];

/// The tolerations of a pod.
pub fn tolerations(node: &Node, cx: &mut Cx<'_>) {
    for item in list(node, "`tolerations`", cx) {
        let Some(map) = map(item, "a toleration", cx) else { continue };
        for (key, allowed) in
            [("operator", ["Exists", "Equal", ""]), ("effect", ["NoSchedule", "PreferNoSchedule", "NoExecute"])]
        {
            if let Some((value, span)) = literal(map, key).filter(|(value, _)| !allowed.contains(value)) {
                let help = crate::suggest::did_you_mean(value, allowed).unwrap_or_else(|| {
                    format!("one of {}", crate::suggest::list(allowed.into_iter().filter(|name| !name.is_empty())))
                });
                cx.report(Code::BadManifest, span, format!("a toleration has no {key} `{value}`")).help = Some(help);
            }
        }
        foreign_keys(map, &["key", "operator", "value", "effect", "tolerationSeconds"], "a toleration", cx);
    }
}

/// A name of a namespace or cluster, where it is written out.
pub fn name(template: Option<&Template>, what: Place, cx: &mut Cx<'_>) {
    if let Some(template) = template.filter(|template| template.kind == Kind::Literal) {
        place_name(&template.text, what, template.span, cx);
    }
}

/// What a pod runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Named as a connection is, so that a cluster can be one.
    Cluster,
    Namespace,
}

pub fn place_name(name: &str, what: Place, span: Span, cx: &mut Cx<'_>) {
    let (fits, noun, help) = match what {
        Place::Cluster => (
            is_cluster_name(name),
            "cluster",
            "it has letters, digits, `_`, `-` and `.`, and begins with none of the latter",
        ),
        Place::Namespace => (
            is_dns_label(name),
            "namespace",
            "it has at most 63 lower-case letters, digits and `-`, and no `-` at its ends",
        ),
    };
    if !fits {
        cx.report(Code::InvalidId, span, format!("`{name}` is no name of a {noun}")).help = Some(help.into());
    }
}

/// Claims name the cluster before a `/`.
fn is_cluster_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= CLUSTER_NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_inner)
}

/// As long as the id of a connection may be.
const CLUSTER_NAME_MAX: usize = 250;

/// A map that must be one, of whatever keys.
pub fn object(node: &Node, cx: &mut Cx<'_>) {
    map(node, "an object of Kubernetes", cx);
}

/// A map of texts: numbers and truths are what YAML makes of unquoted ones.
pub fn texts(node: &Node, what: &str, cx: &mut Cx<'_>) {
    let Some(map) = map(node, what, cx) else { return };
    for entry in &map.entries {
        if entry.value.scalar().is_none() {
            cx.report(
                Code::BadManifest,
                cx.head(&entry.value),
                format!("{what} holds texts, found {}", entry.value.describe()),
            );
        }
    }
}

/// Items that Kubernetes tells apart by their names.
fn named_items(node: &Node, what: &str, cx: &mut Cx<'_>) {
    for item in list(node, &format!("`{what}`"), cx) {
        let name = item.map().map(|map| map.get("name").is_some() || is_directive(map));
        if name == Some(true) || is_templated(item) || item.is_poisoned() {
            continue;
        }
        let written = item.scalar().map(|scalar| format!("write `{what}: [{{name: {}}}]`", scalar.text));
        cx.report(Code::BadManifest, cx.head(item), format!("an item of `{what}` has a `name`")).help = written;
    }
}

/// A map, or `None` after a word about what is here instead.
fn map<'n>(node: &'n Node, what: &str, cx: &mut Cx<'_>) -> Option<&'n Map> {
    if node.map().is_none() && !node.is_null() && !is_templated(node) && !node.is_poisoned() {
        cx.report(Code::BadManifest, cx.head(node), format!("{what} is a map, found {}", node.describe()));
    }
    node.map()
}

/// A list, or nothing after a word about what is here instead.
fn list<'n>(node: &'n Node, what: &str, cx: &mut Cx<'_>) -> &'n [Node] {
    if !matches!(node.kind, NodeKind::List(_)) && !node.is_null() && !is_templated(node) && !node.is_poisoned() {
        let diagnostic =
            cx.report(Code::BadManifest, cx.head(node), format!("{what} is a list, found {}", node.describe()));
        if node.map().is_some() {
            diagnostic.help = Some("begin each item with `- `".into());
        }
    }
    items(node)
}

/// Whether an item of a list is none, but says what becomes of the others.
fn is_directive(map: &Map) -> bool {
    map.get("$patch").is_some()
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::List(items) => items,
        NodeKind::Map(_) | NodeKind::Scalar(_) | NodeKind::Poisoned => &[],
    }
}

/// A value that only a launch knows.
pub fn is_templated(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.text.contains("{{") || scalar.text.contains("{%"))
}

/// The text of a scalar without templates.
pub fn literal<'n>(map: &'n Map, key: &str) -> Option<(&'n str, Span)> {
    let value = &map.get(key)?.value;
    let scalar = value.scalar().filter(|_| !is_templated(value))?;
    Some((scalar.text.as_str(), value.span))
}
