//! Why a manifest cannot be made. The text is for the author of the DAG or of the clusters file.

use super::strategic;

/// Which layer of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// `pod:` or `spark:` in the clusters file.
    Cluster,
    /// One of the DAG's settings, weakest first.
    Settings(usize),
    JsonPatch,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster's settings"),
            Self::Settings(no) => write!(f, "layer {} of the task's settings", no + 1),
            Self::JsonPatch => f.write_str("`json_patch`"),
        }
    }
}

/// Why a manifest cannot be made: a fault of what was written, so another try ends the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{layer}: {problem}")]
    Layer { layer: Layer, problem: String },
    #[error("{layer}")]
    Merge { layer: Layer, source: strategic::Error },
    #[error("`json_patch`")]
    JsonPatch { source: json_patch::PatchError },
    #[error("`{path}`: {problem}")]
    Unfit { path: String, problem: String },
    #[error("the task needs an image: write `image:` under `kubernetes:`, or `task_image:` in the clusters file")]
    NoImage,
    #[error("`image:` of the cluster is missing in the clusters file: {purpose}")]
    NoOwnImage { purpose: &'static str },
    #[error(transparent)]
    Payload(#[from] gridflow_pod::payload::Error),
}

impl Error {
    pub(super) fn unfit(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Unfit { path: path.into(), problem: problem.into() }
    }
}
