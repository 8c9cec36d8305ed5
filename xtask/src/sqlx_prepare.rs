//! Keeps `.sqlx/` in step with the queries and the migrations, so that builds need no database.
//!
//! The query macros describe each statement on a live server when `DATABASE_URL` is set, and write what they learn
//! to `SQLX_OFFLINE_DIR`. So: an empty database, the migrations, one check of the store.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, time::SystemTime};

use anyhow::{Context, Result, bail};
use gridflow_testkit::postgres::{Durability, Postgres};

type Data = BTreeMap<String, Vec<u8>>;

/// Replaces `.sqlx/`.
pub fn write(root: &Path) -> Result<()> {
    let fresh = describe(root)?;
    let dir = root.join(".sqlx");
    fs::create_dir_all(&dir)?;
    for stale in read(&dir)?.into_keys().filter(|name| !fresh.contains_key(name)) {
        fs::remove_file(dir.join(stale))?;
    }
    for (name, content) in &fresh {
        fs::write(dir.join(name), content)?;
    }
    eprintln!("{} queries described", fresh.len());
    Ok(())
}

/// Fails if `.sqlx/` is not what [`write`] would make it.
pub fn check(root: &Path) -> Result<()> {
    let fresh = describe(root)?;
    let present = read(&root.join(".sqlx"))?;
    if fresh != present {
        bail!("`.sqlx` is out of date: run `cargo xtask sqlx-prepare` and commit it");
    }
    Ok(())
}

fn describe(root: &Path) -> Result<Data> {
    let server = Postgres::start(Durability::None)?;
    let url = server.create_database()?;
    let mut migrations: Vec<_> =
        fs::read_dir(root.join("migrations"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    migrations.sort();
    for migration in migrations {
        let sql = fs::read_to_string(&migration)?;
        let database = url.rsplit('/').next().context("a URL ends with its database")?;
        server.psql(database, &sql).with_context(|| format!("applying {}", migration.display()))?;
    }
    let dir = tempfile::tempdir()?;
    // Cargo does not know that the macros read a database: a touched file makes it expand them again.
    fs::File::options().write(true).open(root.join("store/src/lib.rs"))?.set_modified(SystemTime::now())?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--quiet", "--package", "gridflow-store"])
        .current_dir(root)
        .env("DATABASE_URL", &url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", dir.path())
        .status()
        .context("running cargo check")?;
    if !status.success() {
        bail!("the store does not compile against its migrations");
    }
    read(dir.path())
}

fn read(dir: &Path) -> Result<Data> {
    let mut data = Data::new();
    if !dir.exists() {
        return Ok(data);
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        data.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    Ok(data)
}
