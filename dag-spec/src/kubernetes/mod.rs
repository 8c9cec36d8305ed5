//! Pods: what `kubernetes:` and `pod:` hold, and the fragments of manifests that they become.
//!
//! Keys of Kubernetes' own objects go through as JSON, unchanged, so that fields this crate has never
//! heard of survive. What people commonly get wrong is reported all the same.

pub mod check;
mod hint;
mod keys;
mod layer;
mod manifest;
mod patch;
mod quantity;
mod resources;
mod source;
mod text;

pub use hint::hint;
pub(crate) use keys::objects;
pub use keys::{
    Annotations, EnvFrom, InitContainers, Kubernetes, KubernetesKeys, Labels, Level, Object, PodRun, PullPolicy, Texts,
    Tolerations, VolumeMounts, Volumes,
};
pub use layer::{Accumulated, PodLayers, is_wrapped, pod_layers, short_keys};
pub use manifest::{ManifestFile, ManifestKind};
pub use patch::{JsonPatch, join as join_patches};
pub use quantity::check_node as check_quantity;
pub use resources::Resources;
pub use source::SourceUse;
pub use text::{as_texts, pod_texts};

/// The container of a pod that does the task's work.
pub const TASK_CONTAINER: &str = "task";

/// The working folder of a task in a pod: the files of the DAG version lie there.
pub const POD_WORK_DIR: &str = "/gridflow/work";
