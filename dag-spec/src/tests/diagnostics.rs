//! Every diagnostic as people see it.

use insta::assert_snapshot;

use super::*;

mod graph;
mod kubernetes;
mod manifests;
mod operators;
mod outputs;
mod schedules;
mod shell;
mod spark;
mod structure;
mod syntax;
mod templates;
mod triggers;
mod values;
