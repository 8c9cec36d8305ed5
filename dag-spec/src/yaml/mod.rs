//! Text → a tree of [`Node`]s. Knows YAML and nothing of DAGs.

mod flow;
mod node;
mod parse;
mod trap;

pub use flow::to_flow;
pub use node::{Core, Entry, Map, Node, NodeKind, Scalar, Style, to_json};
pub use parse::parse;
pub use trap::quoted;
