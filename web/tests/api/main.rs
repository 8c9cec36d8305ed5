//! The API over real connections and a real PostgreSQL.

mod dag;
mod error;
mod security;
mod support;
mod trigger;
