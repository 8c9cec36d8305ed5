//! Servers and tools for tests. Nothing here is shipped.

pub mod kubernetes;
pub mod lake;
pub mod postgres;
pub mod spark;
