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
pub use keys::{Kubernetes, KubernetesKeys, Level, PodRun};
pub use layer::{Image, PodLayers, is_wrapped, pod_layers};
pub use manifest::ManifestFile;
pub use patch::JsonPatch;
pub use resources::Resources;
pub use source::SourceUse;

/// The container of a pod that does the task's work.
pub const TASK_CONTAINER: &str = "task";

/// The working folder of a task in a pod: the files of the DAG version lie there.
pub const POD_WORK_DIR: &str = "/gridflow/work";
