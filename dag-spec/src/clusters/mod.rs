//! The clusters file: which Kubernetes clusters there are, and what all pods of them share.
//!
//! It is the server's configuration and no part of a DAG, but it is read by the same hands: every
//! problem at once, each with its place.

mod keys;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    code::Code,
    diagnostic::Diagnostic,
    limit::YAML_BYTES_MAX,
    read::{Cx, Fields, Spec},
    source::{Source, Span},
    yaml::{self, Entry, Node, NodeKind, Scalar, Style},
};

pub(crate) use keys::{ClusterKeys, ClustersKeys, KeepKeys};

/// The clusters of an installation. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// In the order of the file; the first is the default one.
    pub clusters: Vec<Cluster>,
    /// What every DAG version has as [`crate::SERVER_FILE`]; `None` where the file says nothing for all tasks.
    pub defaults: Option<Arc<[u8]>>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// What tasks and attempts name it by: letters, digits, `_`, `-` and `.`.
    pub name: String,
    pub access: Access,
    /// The first is the default one; all are watched, and a task may name only these.
    pub namespaces: Vec<String>,
    /// Gridflow's own image, for the step that unpacks files and for operators of Gridflow's own.
    pub image: Option<String>,
    /// For process tasks that name none.
    pub task_image: Option<String>,
    pub service_account: Option<String>,
    /// Under every pod: a fragment of a pod's manifest.
    pub pod: Option<Value>,
    /// Under every application: a fragment of a SparkApplication.
    pub spark: Option<Value>,
    pub keep: Keep,
    /// How long a pod may wait for a node before its attempt fails.
    pub unschedulable_after: Duration,
}

/// How a cluster's API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By the service account of the pod that Gridflow itself runs in.
    InCluster,
    Kubeconfig {
        /// `None`: where `kubectl` looks, too.
        path: Option<PathBuf>,
        /// `None`: the file's current one.
        context: Option<String>,
    },
}

/// How long finished pods and applications stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub succeeded: Duration,
    pub failed: Duration,
}

impl Clusters {
    /// A cluster by its name, or the default one.
    pub fn find(&self, name: Option<&str>) -> Option<&Cluster> {
        match name {
            Some(name) => self.clusters.iter().find(|cluster| cluster.name == name),
            None => self.clusters.first(),
        }
    }
}

/// Reads a clusters file. `path` is how messages name it.
pub fn read(path: &str, text: &str) -> Result<Clusters, Vec<Diagnostic>> {
    if YAML_BYTES_MAX < text.len() {
        let message = format!("the file has more than {YAML_BYTES_MAX} bytes");
        return Err(vec![Diagnostic::of_file(path, Code::TooLarge, message)]);
    }
    let source = Source::new(path, text);
    let mut diagnostics = Vec::new();
    let root = yaml::parse(&source, &mut diagnostics);
    let mut cx = Cx::new(&source, &crate::files::NoFiles);
    cx.diagnostics = diagnostics;
    let clusters = match &root {
        Some(root) => lower(root, &mut cx),
        None if cx.diagnostics.is_empty() => {
            cx.report(Code::EmptyFile, Span::default(), "the file is empty").help =
                Some("name a cluster: `clusters: {default: {namespaces: [default]}}`".into());
            None
        }
        None => None,
    };
    let mut diagnostics = cx.diagnostics;
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.code));
    diagnostics.dedup();
    match clusters.filter(|_| !diagnostics.iter().any(Diagnostic::is_error)) {
        Some(clusters) => Ok(clusters),
        None => Err(diagnostics),
    }
}

fn lower(root: &yaml::Node, cx: &mut Cx<'_>) -> Option<Clusters> {
    let Some(map) = root.map() else {
        cx.wrong_type(root, "a map with `clusters:`");
        return None;
    };
    let mut fields = Fields::new(root, map, cx);
    let keys = ClustersKeys::read_fields(&mut fields, cx);
    fields.finish("the clusters file", cx);
    let ClustersKeys { clusters, defaults } = keys?;
    let clusters = clusters.0;
    if clusters.is_empty() {
        cx.report(Code::MissingKey, cx.head(root), "the file names no cluster");
    }
    let defaults = for_all_tasks(defaults, clusters.first());
    Some(Clusters { clusters, defaults })
}

/// The defaults as a file of their own. Where Gridflow itself is a pod, what it starts beside itself would end with it:
/// tasks are pods, too, unless somebody says otherwise.
fn for_all_tasks(given: Option<keys::Defaults>, default: Option<&Cluster>) -> Option<Arc<[u8]>> {
    let mut defaults = given.and_then(|given| given.0.map().cloned()).unwrap_or_default();
    let is_inside = default.is_some_and(|cluster| cluster.access == Access::InCluster);
    if is_inside && defaults.get("executor").is_none() {
        let kubernetes = Scalar { text: "kubernetes".into(), style: Style::Plain };
        let value = Node { span: Span::default(), kind: NodeKind::Scalar(kubernetes) };
        defaults.entries.push(Entry { key: "executor".into(), key_span: Span::default(), value });
    }
    if defaults.entries.is_empty() {
        return None;
    }
    let defaults = Node { span: Span::default(), kind: NodeKind::Map(defaults) };
    Some(format!("defaults: {}\n", yaml::to_flow(&defaults)).into_bytes().into())
}
