//! The checks that need the whole DAG: its graph, and what templates refer to.

mod cycle;
mod graph;
mod place;
mod reach;
mod reference;

pub use graph::{FlatTask, flatten, resolve};
pub use place::check_place;
pub use reference::{Known, check_templates, check_trigger_templates};

use crate::read::Cx;

/// Reports cycles; if there are none, tasks that can never run. Returns an order of the tasks with
/// upstreams first, if there is one.
pub fn check_graph(tasks: &[FlatTask], cx: &mut Cx<'_>) -> Option<Vec<usize>> {
    let order = cycle::check(tasks, cx)?;
    reach::check(tasks, &order, cx);
    Some(order)
}
