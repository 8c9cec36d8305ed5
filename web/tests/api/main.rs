//! The API over real connections and a real PostgreSQL.

mod dag;
mod dag_run;
mod dependency;
mod error;
mod extra_link;
mod log;
mod node;
mod security;
mod support;
mod task_instance;
mod trigger;
mod wait;
