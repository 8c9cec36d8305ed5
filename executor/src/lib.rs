//! Placeholder.
pub mod operator;
