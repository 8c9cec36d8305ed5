//! Which PostgreSQL of this machine to use.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{download, user::RunUser};
use crate::failure::{Failure, Result};

/// The oldest that the store accepts.
const MAJOR_MIN: u32 = 15;

/// Where packages put servers off the PATH; `*` stands for any name of one folder.
const FOLDERS: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// The programs of one PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installation {
    pub major: u32,
    pub bin: PathBuf,
}

impl Installation {
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// Names the folder of the programs to use; `download` stands for the one that we download.
pub const CHOICE: &str = "GRIDFLOW_POSTGRESQL";

/// The newest PostgreSQL of this machine, or, for data that exists already, the newest of that major version.
/// What was downloaded comes last.
pub fn find(data_major: Option<u32>) -> Result<Installation> {
    let found = match std::env::var_os(CHOICE) {
        None => installations(std::env::var_os("PATH").unwrap_or_default().as_ref()),
        Some(choice) if choice == "download" => BTreeSet::new(),
        Some(folder) => installation(folder.into()).into_iter().collect(),
    };
    let wanted = |one: &&Installation| match data_major {
        Some(major) => one.major == major,
        None => MAJOR_MIN <= one.major,
    };
    let downloaded = download::installed().map(|bin| Installation { major: download::MAJOR, bin });
    let best = found.iter().rev().chain(&downloaded).find(wanted);
    best.cloned().ok_or_else(|| none_found(data_major, &found))
}

/// Sees to it that [`find`] finds one: where the machine has none, it is downloaded.
pub fn ensure(data_major: Option<u32>, user: &RunUser, is_stopped: &dyn Fn() -> bool) -> Result<()> {
    let may_download = data_major.is_none_or(|major| major == download::MAJOR);
    match find(data_major) {
        Err(_) if may_download => download::install(user, is_stopped).map(drop),
        found => found.map(drop),
    }
}

fn none_found(data_major: Option<u32>, found: &BTreeSet<Installation>) -> Failure {
    let seen = found.iter().map(|one| format!("{} in `{}`", one.major, one.bin.display())).collect::<Vec<_>>();
    let what = match data_major {
        Some(major) => format!("the data was written by PostgreSQL {major}, which is not on this machine"),
        None if seen.is_empty() => "no PostgreSQL found on this machine".to_owned(),
        None => format!("no PostgreSQL {MAJOR_MIN} or newer found on this machine"),
    };
    let failure = Failure::user(what).help(
        "install it, or set `GRIDFLOW__DATABASE__URL` to a server of yours\n\
         Debian, Ubuntu:  sudo apt-get install postgresql\n\
         Fedora, RHEL:    sudo dnf install postgresql-server\n\
         Alpine:          sudo apk add postgresql\n\
         macOS:           brew install postgresql",
    );
    if seen.is_empty() { failure } else { failure.because_text(format!("found only {}", seen.join(", "))) }
}

fn installations(path: &Path) -> BTreeSet<Installation> {
    let on_path = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let configured = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()));
    let packaged = FOLDERS.iter().flat_map(|pattern| matching_folders(pattern));
    let folders: BTreeSet<PathBuf> = on_path.chain(configured).chain(packaged).collect();
    folders.into_iter().filter_map(installation).collect()
}

fn installation(bin: PathBuf) -> Option<Installation> {
    if !bin.join("postgres").is_file() || !bin.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Installation { major, bin })
}

/// From `postgres (PostgreSQL) 15.8 (Debian 15.8-0)`, or `18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn matching_folders(pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/")];
    for part in pattern.trim_start_matches('/').split('/') {
        folders = match part.split_once('*') {
            None => folders.into_iter().map(|folder| folder.join(part)).collect(),
            Some((prefix, _)) => folders
                .iter()
                .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                .map(|entry| entry.path())
                .collect(),
        };
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn a_pattern_matches_folders_at_any_level() {
        let root = tempfile::tempdir().expect("temporary folder");
        for name in ["pg-14/bin", "pg-15/bin", "other/bin"] {
            fs::create_dir_all(root.path().join(name)).expect("folder");
        }
        let mut found = matching_folders(&format!("{}/pg-*/bin", root.path().display()));
        found.sort();
        assert_eq!(found, [root.path().join("pg-14/bin"), root.path().join("pg-15/bin")]);
    }

    #[test]
    fn a_folder_with_half_a_server_is_no_installation() {
        let root = tempfile::tempdir().expect("temporary folder");
        fs::write(root.path().join("postgres"), "").expect("file");
        assert_eq!(installation(root.path().to_owned()), None);
    }
}
