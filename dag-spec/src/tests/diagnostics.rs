//! Every diagnostic as people see it.

use insta::assert_snapshot;

use super::*;

mod kubernetes;
mod spark;
mod structure;
mod syntax;
mod templates;
mod values;
