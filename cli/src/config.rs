//! What the program is told by its environment.

use crate::failure::{Failure, Result};

/// Which database a role works on.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// PostgreSQL 15 or newer, such as `postgres://user@host/name`; a password is safer in the variable,
    /// since others see arguments in the list of processes
    #[arg(long, env = DATABASE_URL, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

pub const DATABASE_URL: &str = "GRIDFLOW__DATABASE__URL";

impl DatabaseArgs {
    pub fn url(&self) -> Result<&str> {
        self.database_url.as_deref().ok_or_else(|| {
            Failure::user("no database is named")
                .help(format!("set `{DATABASE_URL}`, or use `gridflow standalone`, which brings its own"))
        })
    }
}
