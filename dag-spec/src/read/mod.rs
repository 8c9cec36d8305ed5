//! Nodes → types. Every type that can be written in YAML knows how it is read and how it is
//! described; the parser, the JSON Schema and the reference come from that one place.

mod context;
mod shape;
mod spec;
mod value;

pub use context::Cx;
pub use shape::{Definitions, Shape, object_schema};
pub(crate) use spec::spec;
pub use spec::{Field, Fields, Spec, read_map, unknown_key};
pub use value::{Date, OneOrMany, Pattern, Prose, Size, Spanned, Timeout, named, parse_duration};

use crate::yaml::Node;

/// A type that is written in YAML.
pub trait Read: Sized {
    /// Reads a node. `None` says that a diagnostic was pushed (or the node was broken before).
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// What may be written, for people and as JSON Schema.
    fn shape(definitions: &mut Definitions) -> Shape;

    /// What it is when its key is absent; `None` makes the key required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() {
            return Some(None);
        }
        T::read(node, cx).map(Some)
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        T::shape(definitions)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}
