//! Object storage and an Iceberg REST catalog that pods reach: `tests/services/lake`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kubernetes::{self, Cluster};

/// Both, for all tests of this machine.
#[derive(Debug)]
pub struct Lake {
    /// What a job needs in its environment, secrets among it.
    pub variables: BTreeMap<String, String>,
}

impl Lake {
    /// Started if need be. Nothing where it is not installed: the test says that it is left out, and fails where
    /// `GRIDFLOW_SPARK` is set.
    pub fn shared(_: &Cluster) -> Result<Option<Self>> {
        let ensured = kubernetes::script("lake", &["ensure"])?;
        if !ensured.status.success() {
            let why = String::from_utf8_lossy(&ensured.stderr).trim().to_owned();
            if std::env::var_os("GRIDFLOW_SPARK").is_some() {
                bail!("{why}");
            }
            eprintln!("LEFT OUT: this test needs object storage and a catalog: {why}");
            return Ok(None);
        }
        let told = kubernetes::script("lake", &["env"])?;
        let told = String::from_utf8(told.stdout).context("what the script says")?;
        let pairs = told.split_whitespace().filter_map(|word| word.split_once('='));
        Ok(Some(Self { variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }))
    }

    /// A table as the catalog shows it to clients.
    pub fn table(&self, namespace: &str, table: &str) -> Result<Value> {
        let told = kubernetes::script("lake", &["table", namespace, table])?;
        if !told.status.success() {
            bail!("asking for a table: {}", String::from_utf8_lossy(&told.stderr).trim());
        }
        serde_json::from_slice(&told.stdout).context("what the catalog says")
    }
}
