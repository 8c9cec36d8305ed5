//! The state directory: one program at a time, its token, and what its parts keep below it.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    unistd::Uid,
};

use crate::failure::{Failure, Result};

/// Bytes of randomness in a token: beyond guessing.
const TOKEN_BYTES: usize = 32;

const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Where a role keeps its files.
#[derive(Debug, Clone, clap::Args)]
pub struct StateDirArgs {
    /// Folder for the database, logs and the API token
    /// [default: $XDG_STATE_HOME/gridflow, else ~/.local/state/gridflow, as root /var/lib/gridflow]
    #[arg(long, value_name = "DIR", env = "GRIDFLOW_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// Held as long as the program may change the state directory. The kernel releases it when the process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its effect")] Flock<File>);

impl StateDirArgs {
    /// Where the state directory is, or would be; touches nothing.
    pub fn locate(&self) -> Result<StateDir> {
        let path = match &self.state_dir {
            Some(path) => path.clone(),
            None => default_path()?,
        };
        std::path::absolute(&path)
            .map(StateDir)
            .map_err(|error| Failure::user(format!("`{}` is not a folder name", path.display())).because(&error))
    }
}

fn default_path() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = variable("XDG_STATE_HOME") {
        return Ok(folder.join("gridflow"));
    }
    if Uid::effective().is_root() {
        return Ok("/var/lib/gridflow".into());
    }
    variable("HOME").map(|home| home.join(".local/state/gridflow")).ok_or_else(|| {
        Failure::user("no place for the state directory: `HOME` is not set")
            .help("name a folder with `--state-dir DIR`")
    })
}

impl StateDir {
    pub fn path(&self) -> &Path {
        &self.0
    }

    #[cfg(test)]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Held by a program that wants the folder for itself.
    pub fn lock_path(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn token_path(&self) -> PathBuf {
        self.0.join("api-token")
    }

    /// Makes the folder. Others may not list it; as root they may walk through it, because the database and
    /// tasks of other users live below.
    pub fn create(&self) -> Result<()> {
        let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
        let made = fs::create_dir_all(&self.0);
        made.and_then(|()| fs::set_permissions(&self.0, Permissions::from_mode(mode))).map_err(|error| {
            let shown = self.0.display();
            // The folder of a volume belongs to root, also where others may write into it.
            let help = match error.raw_os_error() {
                Some(nix::libc::EPERM) => {
                    format!("it belongs to another user: name a folder in it, `--state-dir {shown}/state`")
                }
                _ => "name another folder with `--state-dir DIR`".to_owned(),
            };
            Failure::user(format!("cannot use `{shown}` as state directory")).because(&error).help(help)
        })
    }

    /// Takes the folder for this process alone.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.lock_path();
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::ours(format!("cannot lock `{}`", path.display())).because(error)
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(&error))?;
        let mut lock = lock_soon(file).map_err(|(file, errno)| match errno {
            Errno::EWOULDBLOCK => self.in_use(file),
            other => failed(&other),
        })?;
        lock.set_len(0)
            .and_then(|()| writeln!(&mut *lock, "{}", std::process::id()))
            .map_err(|error| failed(&error))?;
        Ok(Lock(lock))
    }

    fn in_use(&self, mut file: File) -> Failure {
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let pid = text.trim();
        Failure::user(format!("another gridflow (pid {pid}) already uses `{}`", self.0.display())).help(
            "stop it with `gridflow down`, or give this one a folder of its own with `--state-dir DIR` and `--port N`",
        )
    }

    /// The API's bearer token; made on first use, readable by the owner alone.
    pub fn token(&self) -> Result<String> {
        let path = self.token_path();
        if let Some(token) = self.existing_token()? {
            return Ok(token);
        }
        let failed = |error: std::io::Error| {
            Failure::ours(format!("cannot write the API token `{}`", path.display())).because(&error)
        };
        let token = random_token().map_err(failed)?;
        // Whole or not at all, and never readable by others, not even for a moment. Of two that start together, the
        // first one's holds.
        let draft = self.0.join(format!(".api-token.{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
        let linked = writeln!(file, "{token}").and_then(|()| fs::hard_link(&draft, &path));
        let _ = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let first = self.existing_token()?;
                return first.ok_or_else(|| Failure::user(format!("the API token `{}` is empty", path.display())));
            }
            linked => linked.map_err(failed)?,
        }
        Ok(token)
    }

    /// The token if there is one.
    pub fn existing_token(&self) -> Result<Option<String>> {
        let path = self.token_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::user(format!("cannot read the API token `{}`", path.display()))
                .because(&error)
                .help("run as the user who started the server, or set `GRIDFLOW_TOKEN`")),
        }
    }
}

/// A process that was just killed may hold its lock for a moment longer.
fn lock_soon(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = again,
            locked => return locked,
        }
        thread::sleep(LOCK_RETRY);
    }
}

fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_is_refused_and_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let state_dir = StateDir(folder.path().join("state"));
        state_dir.create().expect("folder");
        let first = state_dir.lock().expect("free");
        let refused = format!("{:?}", state_dir.lock().expect_err("taken"));
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        state_dir.lock().expect("free again");
    }

    #[test]
    fn the_token_is_made_once_and_only_the_owner_reads_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let state_dir = StateDir(folder.path().to_owned());
        let token = state_dir.token().expect("token");
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(state_dir.token().expect("token"), token);
        let mode = fs::metadata(state_dir.token_path()).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
