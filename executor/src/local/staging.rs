//! What a command needs before it starts: a fresh working folder with its files and context, and a place for its log.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Component, Path, PathBuf},
};

use nix::libc;

use super::{
    environment::environment,
    launch::Launch,
    layout::{self, CONTEXT_FILE},
    run_as::{Account, account},
    scratch::Scratch,
    wire::Command,
};

/// The command for the host. `Err` is a fault of the machine that may pass, like a full disk.
///
/// A fault of the launch itself makes an unfit command: the host records it, so that nothing else starts it either.
pub(super) fn stage(
    state_dir: &Path,
    scratch: &Scratch,
    allowed: &BTreeMap<String, String>,
    launch: &Launch,
    stage: u32,
) -> io::Result<Command> {
    let dir = layout::scratch_dir(state_dir, launch.attempt.0, stage);
    let log = layout::log_path(state_dir, launch.attempt);
    let mut command = Command {
        attempt: launch.attempt.0,
        run: launch.run.0,
        turn: launch.turn.0,
        spec_hash: launch.spec_hash,
        stage,
        argv: launch.argv.clone(),
        env: Vec::new(),
        cwd: dir.to_string_lossy().into_owned(),
        log: log.to_string_lossy().into_owned(),
        user: None,
        timeout_ms: launch.execution_timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        grace_ms: u64::try_from(launch.grace.as_millis()).unwrap_or(u64::MAX),
        unfit: None,
    };
    let account = match launch.run_as.as_deref().map(account).transpose() {
        Ok(account) => account,
        Err(message) => return Ok(Command { unfit: Some(message), ..command }),
    };
    if let Some((path, _)) = launch.files.iter().find(|(path, _)| !stays_inside(path)) {
        let message = format!("the file `{path}` would lie outside of the task's working directory");
        return Ok(Command { unfit: Some(message), ..command });
    }
    command.env = environment(allowed, account.as_ref(), launch, &dir);
    command.user = account.as_ref().map(Account::wire);
    match fill(scratch, launch, stage, account.as_ref()) {
        Ok(()) => Ok(command),
        Err(error) => {
            let _ = fs::remove_dir_all(&dir);
            if is_passing(&error) {
                return Err(error);
            }
            let hint = match &launch.run_as {
                Some(user) => format!(" for `{user}` (`run_as`); only a scheduler that runs as root may switch users"),
                None => String::new(),
            };
            let message = format!("cannot prepare the working directory `{}`: {error}{hint}", dir.display());
            Ok(Command { unfit: Some(message), ..command })
        }
    }
}

/// The machine's trouble and not the launch's: it may be over in a moment.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::EIO)
    )
}

fn fill(scratch: &Scratch, launch: &Launch, stage: u32, account: Option<&Account>) -> io::Result<()> {
    let give = |path: &Path| match account {
        Some(account) => chown(path, Some(account.uid()), Some(account.gid())),
        None => Ok(()),
    };
    let context = serde_json::to_vec(&launch.context)?;
    let dir = scratch.make(launch.attempt.0, stage, &context)?;
    give(&dir.join(CONTEXT_FILE))?;
    for (path, bytes) in &launch.files {
        let path = dir.join(path);
        for parent in missing_parents(&path, &dir) {
            DirBuilder::new().mode(0o700).create(&parent)?;
            give(&parent)?;
        }
        // Executable: a script of the bundle can be a command.
        OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?.write_all(bytes)?;
        give(&path)?;
    }
    // Last: the folder is given away whole.
    give(&dir)
}

/// Outermost first.
fn missing_parents(path: &Path, scratch: &Path) -> Vec<PathBuf> {
    let parents = path.ancestors().skip(1).take_while(|dir| *dir != scratch && !dir.exists());
    let mut parents: Vec<PathBuf> = parents.map(Path::to_owned).collect();
    parents.reverse();
    parents
}

fn stays_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_cannot_leave_the_working_directory() {
        assert!(stays_inside("jobs/load.py"));
        for path in ["", "/etc/passwd", "../x", "a/../../x", "./x"] {
            assert!(!stays_inside(path), "{path}");
        }
    }
}
