//! Tests on real PostgreSQL, each with a database of its own.

mod fixture;

mod command;
mod commit;
mod dag;
mod database;
mod differential;
mod doctor;
mod event;
mod leader;
mod links;
mod migration;
mod node;
mod notify;
mod partition;
mod pooler;
mod query_plan;
mod recovery;
mod run;
mod waits;
