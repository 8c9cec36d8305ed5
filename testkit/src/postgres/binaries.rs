//! Where PostgreSQL is installed, and who it runs as.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, User};

/// Where `postgres` and `initdb` are: on PATH or where distributions put them, newest first.
pub fn find_binaries() -> Result<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut candidates = on_path.unwrap_or_default();
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr/pgsql"] {
        let mut versions: Vec<PathBuf> =
            fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        versions.sort_by_key(|path| std::cmp::Reverse(version_of(path)));
        candidates.extend(versions.into_iter().map(|path| path.join("bin")));
    }
    candidates
        .into_iter()
        .find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .map(|bin| installed_in(&bin).unwrap_or(bin))
        .ok_or_else(|| anyhow!("no PostgreSQL found: install its server, or put its `bin` folder on PATH"))
}

/// Where a link on PATH leads to: the other tools lie there.
fn installed_in(bin: &Path) -> Option<PathBuf> {
    fs::canonicalize(bin.join("postgres")).ok()?.parent().map(Path::to_owned)
}

fn version_of(path: &Path) -> u32 {
    let digits: String =
        path.file_name().unwrap_or_default().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

pub(super) fn tool(bin: &Path, name: &str) -> PathBuf {
    let beside = bin.join(name);
    if beside.is_file() { beside } else { name.into() }
}

/// PostgreSQL refuses to run as root: then it runs as the first of these users that exists.
pub(super) fn unprivileged_owner() -> Result<Option<(Uid, Gid)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name).context("reading the users")? {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    bail!("running as root, and there is neither a user `postgres` nor `nobody` to run PostgreSQL as")
}

pub(super) fn as_owner(mut command: Command, owner: Option<(Uid, Gid)>) -> Command {
    if let Some((uid, gid)) = owner {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    command
}
