//! The keys of the clusters file.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Access, Cluster, Keep};
use crate::{
    code::Code,
    dag::TaskDefaults,
    kubernetes::check,
    read::{Cx, Definitions, OneOrMany, Read, Shape, Spanned, Timeout, spec},
    source::Span,
    spark,
    yaml::{self, Node, NodeKind},
};

spec! {
    /// The file that `--kubernetes` names: the clusters that tasks may run on.
    pub struct ClustersKeys "clusters" {
        /// Task keys that every task of every DAG has unless its DAG, or the [`gridflow.yaml`](#bundle) of its bundle,
        /// says otherwise. `executor` is `kubernetes` here unless given, where the first cluster is the one that
        /// Gridflow itself runs in (`in_cluster: true`).
        pub defaults: Option<Defaults>,
        /// The clusters by their names; the first is the default one.
        pub clusters: ClusterMap,
    }
}

spec! {
    /// One cluster. Without `kubeconfig`, `context` and `in_cluster` it is looked for where `kubectl` looks.
    pub struct ClusterKeys "clusters.cluster" {
        /// The file with the address and the credentials, as `kubectl` has it. `~/` is the home of the user.
        pub kubeconfig: Option<Spanned<String>>,
        /// The context in that file. Its current one unless given.
        pub context: Option<String>,
        /// Whether the scheduler runs in this cluster itself, and uses the service account of its pod.
        pub in_cluster: Option<Spanned<bool>>,
        /// The namespaces; the first is the default one. All are watched, and a task may name only these.
        pub namespaces: OneOrMany<Spanned<String>>,
        /// Gridflow's own image, for the step that unpacks the files of a task, and for operators such as `copy_file`.
        pub image: Option<String>,
        /// The image of tasks that name none.
        pub task_image: Option<String>,
        /// The service account of pods that name none.
        pub service_account: Option<String>,
        /// A fragment of a pod's manifest that lies under every pod: `{metadata: …, spec: …}`. Tasks are stronger:
        /// what has a name is merged by it, other lists (`tolerations`, `envFrom`) are replaced as a whole.
        pub pod: Option<PodFragment>,
        /// The same under every SparkApplication.
        pub spark: Option<SparkFragment>,
        /// How long finished pods and applications stay.
        pub keep: Option<KeepKeys>,
        /// How long a pod may wait for a node before its attempt fails.
        pub unschedulable_after: Timeout = "10m",
    }
}

spec! {
    /// How long finished pods and applications stay. Logs and outputs are kept whatever is said here.
    pub struct KeepKeys "clusters.keep" {
        /// Those that succeeded.
        pub succeeded: Duration = "0s",
        /// Those that failed.
        pub failed: Duration = "1h",
    }
}

/// `defaults:`, checked, and kept as it is written: each DAG version has it as a file.
#[derive(Debug, Clone)]
pub struct Defaults(pub Node);

impl Read for Defaults {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        TaskDefaults::read(node, cx).map(|_| Self(node.clone()))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        TaskDefaults::shape(definitions)
    }
}

/// `clusters:`, in the order of the file.
#[derive(Debug, Clone)]
pub struct ClusterMap(pub Vec<Cluster>);

/// A fragment without templates.
#[derive(Debug, Clone)]
pub struct PodFragment(Value);

#[derive(Debug, Clone)]
pub struct SparkFragment(Value);

impl Read for ClusterMap {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map of names to clusters");
            if let (NodeKind::List(_), Some(last)) = (&node.kind, cx.diagnostics.last_mut()) {
                last.help = Some("write `NAME: {namespaces: […]}` instead of a list".into());
            }
            return None;
        };
        let mut clusters = Vec::new();
        for entry in &map.entries {
            check::place_name(&entry.key, check::Place::Cluster, entry.key_span, cx);
            let keys = match entry.value.is_null() {
                true => None,
                false => ClusterKeys::read(&entry.value, cx),
            };
            match keys {
                Some(keys) => clusters.extend(cluster(&entry.key, keys, entry.key_span, cx)),
                None if entry.value.is_null() => no_namespaces(&entry.key, entry.key_span, cx),
                None => {}
            }
        }
        Some(Self(clusters))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let cluster = ClusterKeys::shape(definitions);
        Shape::new(
            format!("map of name to {}", cluster.phrase),
            json!({ "type": "object", "additionalProperties": cluster.schema, "minProperties": 1 }),
        )
    }
}

fn no_namespaces(name: &str, span: Span, cx: &mut Cx<'_>) {
    cx.report(Code::MissingKey, span, format!("cluster `{name}` has no namespaces")).help =
        Some("name those that tasks may run in: `namespaces: [default]`".into());
}

fn cluster(name: &str, keys: ClusterKeys, span: Span, cx: &mut Cx<'_>) -> Option<Cluster> {
    if keys.namespaces.0.is_empty() {
        no_namespaces(name, span, cx);
    }
    let mut namespaces: Vec<String> = Vec::new();
    for namespace in keys.namespaces.0 {
        check::place_name(&namespace.value, check::Place::Namespace, namespace.span, cx);
        if namespaces.contains(&namespace.value) {
            cx.report(Code::DuplicateKey, namespace.span, format!("`{}` is named twice", namespace.value));
        }
        namespaces.push(namespace.value);
    }
    let access = access(keys.kubeconfig, keys.context, keys.in_cluster, cx);
    let keep = keys.keep.unwrap_or_default();
    Some(Cluster {
        name: name.to_owned(),
        access,
        namespaces,
        image: keys.image,
        task_image: keys.task_image,
        service_account: keys.service_account,
        pod: keys.pod.map(|pod| pod.0),
        spark: keys.spark.map(|spark| spark.0),
        keep: Keep { succeeded: keep.succeeded, failed: keep.failed },
        unschedulable_after: keys.unschedulable_after.0,
    })
}

impl Default for KeepKeys {
    fn default() -> Self {
        Self { succeeded: Duration::ZERO, failed: Duration::from_secs(3_600) }
    }
}

fn access(
    kubeconfig: Option<Spanned<String>>,
    context: Option<String>,
    in_cluster: Option<Spanned<bool>>,
    cx: &mut Cx<'_>,
) -> Access {
    match in_cluster.filter(|it| it.value) {
        Some(in_cluster) => {
            if kubeconfig.is_some() || context.is_some() {
                let message = "`in_cluster` needs no `kubeconfig` and no `context`";
                cx.report(Code::KeyConflict, in_cluster.span, message).help = Some("keep one of them".into());
            }
            Access::InCluster
        }
        None => Access::Kubeconfig { path: kubeconfig.map(|path| path.value.into()), context },
    }
}

macro_rules! fragments {
    ($($type:ident $phrase:literal $check:path;)*) => {$(
        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                if node.map().is_none() {
                    cx.wrong_type(node, concat!("a fragment of ", $phrase, ": `{spec: …}`"));
                    return None;
                }
                no_templates(node, cx);
                $check(node, cx);
                Some(Self(yaml::to_json(node)))
            }

            fn shape(_: &mut Definitions) -> Shape {
                Shape::new(concat!("fragment of ", $phrase), json!({ "type": "object" }))
            }
        }
    )*};
}

fragments! {
    PodFragment "a pod" check::pod;
    SparkFragment "a SparkApplication" spark::check::application;
}

/// There is no run here whose values a template could use.
fn no_templates(node: &Node, cx: &mut Cx<'_>) {
    match &node.kind {
        NodeKind::Scalar(scalar) if scalar.text.contains("{{") || scalar.text.contains("{%") => {
            let message = "a template is not possible here: this holds for every task";
            cx.report(Code::TemplateNotAllowed, cx.head(node), message);
        }
        NodeKind::Scalar(_) | NodeKind::Poisoned => {}
        NodeKind::List(items) => items.iter().for_each(|item| no_templates(item, cx)),
        NodeKind::Map(map) => map.entries.iter().for_each(|entry| no_templates(&entry.value, cx)),
    }
}
