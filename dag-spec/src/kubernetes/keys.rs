//! The keys of `kubernetes:`, which are also those of `pod:`.

use std::sync::Arc;

use serde_json::json;

use super::{JsonPatch, ManifestFile, ManifestKind, Resources, SourceUse, check};
use crate::{
    read::{Cx, Definitions, Fields, OneOrMany, Read, Shape, Spec, named, read_map, spec},
    source::Span,
    template::{Template, Tree},
    yaml::Node,
};

spec! {
    /// How pods are made: where they run, with what image, with how much. On a DAG, a group, in `defaults:` and on
    /// a task; inner levels lay theirs over those of outer ones. What has a name (variables, volumes, containers)
    /// is merged by it; `env_from`, `secrets`, `config_maps` and `tolerations` add up; anything else takes the
    /// place of what an outer level says.
    pub struct KubernetesKeys "kubernetes" {
        /// The cluster, by its name in the [clusters file](#clusters). The first one unless given.
        pub cluster: Option<Template>,
        /// The namespace: one of those that the clusters file names. The first one unless given.
        pub namespace: Option<Template>,
        /// The image of the container. For process tasks the `task_image` of the cluster unless given. Gridflow's
        /// own operators (`copy_file` and so on) run in its own image whatever is said here.
        pub image: Option<Template>,
        /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
        pub image_pull_policy: Option<PullPolicy>,
        /// The Secrets with the credentials of the registry.
        pub image_pull_secrets: OneOrMany<Template>,
        /// Secrets and ConfigMaps that are environment variables as a whole, as Kubernetes writes them:
        /// `[{secretRef: {name: minio}}]`.
        pub env_from: Option<EnvFrom>,
        /// Secrets: a name (each key is an environment variable), or what is done with it; one, or a list.
        pub secrets: OneOrMany<SourceUse>,
        /// ConfigMaps, as `secrets`.
        pub config_maps: OneOrMany<SourceUse>,
        /// What the container gets. `{cpu: 500m, memory: 1Gi}` requests both and limits the memory; other resources
        /// (`nvidia.com/gpu`) are requested and limited.
        pub resources: Option<Resources>,
        /// Labels of the nodes that will do.
        pub node_selector: Option<Texts>,
        /// Affinity to nodes and to other pods, as Kubernetes writes it.
        pub affinity: Option<Object>,
        /// Taints of nodes that do not matter, as Kubernetes writes them.
        pub tolerations: Option<Tolerations>,
        /// The service account of the pod.
        pub service_account: Option<Template>,
        /// Volumes of the pod, as Kubernetes writes them.
        pub volumes: Option<Volumes>,
        /// Where the container finds volumes, as Kubernetes writes it.
        pub volume_mounts: Option<VolumeMounts>,
        /// Containers that run before, as Kubernetes writes them.
        pub init_containers: Option<InitContainers>,
        /// The security context of the container.
        pub security_context: Option<Object>,
        /// The security context of the pod.
        pub pod_security_context: Option<Object>,
        /// The priority class of the pod.
        pub priority_class: Option<Template>,
        /// The runtime class of the pod.
        pub runtime_class: Option<Template>,
        /// The scheduler that finds a node for the pod.
        pub scheduler_name: Option<Template>,
        /// Whether the pod uses the network of its node.
        pub host_network: Option<bool>,
        /// How names are resolved: `ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`.
        pub dns_policy: Option<DnsPolicy>,
        /// Whether the pod gets a token for the API of Kubernetes.
        pub automount_service_account_token: Option<bool>,
        /// Labels of the pod.
        pub labels: Option<Labels>,
        /// Annotations of the pod.
        pub annotations: Option<Annotations>,
        /// Anything else: a pod's `spec`, or a part of one, as Kubernetes writes it. The task's container is `task`.
        /// The keys above are stronger.
        pub spec: Option<PodSpec>,
        /// A file beside the DAG with a manifest of a pod, in YAML or JSON, which may hold templates. `spec` and the keys above are stronger.
        pub template_file: Option<PodFile>,
        /// Operations of JSON Patch on the finished manifest.
        pub json_patch: Option<JsonPatch>,
    }
}

impl KubernetesKeys {
    /// What no key can see by itself.
    pub fn check(&self, cx: &mut Cx<'_>) {
        check::name(self.cluster.as_ref(), check::Place::Cluster, cx);
        check::name(self.namespace.as_ref(), check::Place::Namespace, cx);
    }

    /// Nothing set.
    pub fn none() -> Self {
        let map = crate::yaml::Map::default();
        let source = crate::source::Source::new("", "");
        let mut cx = Cx::new(&source, &crate::files::NoFiles);
        Self::read_fields(&mut Fields::of(Span::default(), &map), &mut cx).expect("every key is optional")
    }
}

/// One level of `kubernetes:`.
#[derive(Debug, Clone)]
pub struct Level {
    pub keys: KubernetesKeys,
    pub run: PodRun,
    /// Every template in it.
    pub templates: Vec<Template>,
}

/// What the container of a `pod:` runs.
#[derive(Debug, Clone, Default)]
pub struct PodRun {
    pub command: Option<Vec<Template>>,
    pub args: Option<Vec<Template>>,
}

/// `kubernetes:`, outer levels first.
#[derive(Debug, Clone)]
pub struct Kubernetes(pub Vec<Arc<Level>>);

impl Kubernetes {
    /// These levels over those of an outer one.
    pub fn over(&self, outer: &Self) -> Self {
        Self(outer.0.iter().chain(&self.0).cloned().collect())
    }

    /// Where the innermost level names an image.
    pub fn image_span(&self) -> Option<Span> {
        self.0.last()?.keys.image.as_ref().map(|image| image.span)
    }

    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.iter().flat_map(|level| &level.templates)
    }
}

impl Read for Kubernetes {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let before = cx.templates.len();
        let keys = read_map::<KubernetesKeys>(node, "`kubernetes`", cx)?;
        keys.check(cx);
        let templates = cx.templates[before..].to_vec();
        Some(Self(vec![Arc::new(Level { keys, run: PodRun::default(), templates })]))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        KubernetesKeys::shape(definitions)
    }
}

macro_rules! one_of {
    ($($(#[doc = $doc:literal])* $type:ident $what:literal [$($name:literal),*];)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $type(pub &'static str);

        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                named(node, $what, &[$(($name, Self($name))),*], cx)
            }

            fn shape(_: &mut Definitions) -> Shape {
                Shape::new([$(concat!("`", $name, "`")),*].join(", "), json!({ "enum": [$($name),*] }))
            }
        }
    )*};
}

one_of! {
    /// When an image is pulled.
    PullPolicy "pull policy" ["Always", "IfNotPresent", "Never"];
    /// How names are resolved.
    DnsPolicy "DNS policy" ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
}

/// Values that go through as Kubernetes writes them, once a check has told the known mistakes in them.
macro_rules! objects {
    ($($(#[doc = $doc:literal])* $type:ident $phrase:literal $json:literal $check:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $type(pub Tree);

        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let check: fn(&Node, &mut Cx<'_>) = $check;
                check(node, cx);
                Tree::read(node, cx).map(Self)
            }

            fn shape(_: &mut Definitions) -> Shape {
                // A template may be the whole value.
                Shape::new($phrase, json!({ "type": [$json, "string"] }))
            }
        }
    )*};
}

pub(crate) use objects;

objects! {
    /// Anything that is a map.
    Object "object of Kubernetes" "object" check::object;
    /// A map of texts.
    Texts "map of name to template" "object" |node, cx| check::texts(node, "it", cx);
    Labels "map of name to template" "object" check::labels;
    Annotations "map of name to template" "object" check::annotations;
    EnvFrom "list of sources" "array" check::env_from;
    Tolerations "list of tolerations" "array" check::tolerations;
    Volumes "list of volumes" "array" check::volumes;
    VolumeMounts "list of mounts" "array" check::volume_mounts;
    InitContainers "list of containers" "array" check::init_containers;
    PodSpec "a pod's `spec`" "object" check::pod_spec;
}

/// A pod's manifest in a file.
#[derive(Debug, Clone)]
pub struct PodFile(pub ManifestFile);

impl Read for PodFile {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        ManifestFile::read(node, ManifestKind::Pod, cx).map(Self)
    }

    fn shape(_: &mut Definitions) -> Shape {
        ManifestFile::shape()
    }
}
