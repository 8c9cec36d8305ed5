//! What every handler shares.

use std::{ops::Deref, sync::Arc, time::Duration};

use gridflow_store::{Database, Reader};
use tokio_util::sync::CancellationToken;

use crate::{error::Result, log::LogPlace, version_cache::VersionCache, watch::Watch};

/// A cheap handle to what handlers share.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

#[derive(Debug)]
pub struct Shared {
    pub database: Database,
    pub logs: LogPlace,
    pub watch: Watch,
    pub versions: VersionCache,
    pub command_timeout: Duration,
    /// Streams end when it is cancelled.
    pub shutdown: CancellationToken,
}

impl Shared {
    /// A connection of the pool, given back when dropped.
    pub async fn conn(&self) -> Result<Reader> {
        Ok(self.database.reader().await?)
    }
}

impl App {
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
