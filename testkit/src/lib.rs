//! Servers and tools for tests. Nothing here is shipped.

pub mod kubernetes;
pub mod postgres;
pub mod spark;
