//! `executor:`: where the process of a task runs.

use gridflow_core::ExecutorKind;
use serde_json::json;

use crate::{
    read::{Cx, Definitions, Read, Shape, named},
    yaml::Node,
};

/// Where the process of a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executor(pub ExecutorKind);

const EXECUTORS: &[(&str, Executor)] =
    &[("local", Executor(ExecutorKind::Local)), ("kubernetes", Executor(ExecutorKind::Kubernetes))];

impl Read for Executor {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        named(node, "executor", EXECUTORS, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        let names = EXECUTORS.iter().map(|(name, _)| *name);
        Shape::new("`local` or `kubernetes`", json!({ "enum": names.collect::<Vec<_>>() }))
    }
}
