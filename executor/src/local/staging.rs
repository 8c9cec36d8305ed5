//! What a command needs before it starts: a fresh working folder with its files and context, and a place for its log.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Component, Path, PathBuf},
};

use uuid::Uuid;

use super::{
    environment::environment,
    launch::Launch,
    layout::{self, CONTEXT_FILE, scratch_dir, scratch_root},
    run_as::{Account, account},
    wire::Command,
};

/// The command for the host. `Err` is a fault of the machine that may pass, like a full disk.
///
/// A fault of the launch itself makes an unfit command: the host records it, so that nothing else starts it either.
pub(super) fn stage(
    state_dir: &Path,
    allowed: &BTreeMap<String, String>,
    launch: &Launch,
    stage: u32,
) -> io::Result<Command> {
    let scratch = scratch_dir(state_dir, launch.attempt.0, stage);
    let log = layout::log_path(state_dir, launch.attempt);
    let mut command = Command {
        attempt: launch.attempt.0,
        run: launch.run.0,
        turn: launch.turn.0,
        spec_hash: launch.spec_hash,
        stage,
        argv: launch.argv.clone(),
        env: Vec::new(),
        cwd: scratch.to_string_lossy().into_owned(),
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
    command.env = environment(allowed, account.as_ref(), launch, &scratch);
    command.user = account.as_ref().map(Account::wire);
    match fill(&scratch, launch, account.as_ref()) {
        Ok(()) => Ok(command),
        Err(error) => {
            let _ = fs::remove_dir_all(&scratch);
            // Only root may give files away; trying again would not change that.
            if error.kind() == io::ErrorKind::PermissionDenied && account.is_some() {
                let message = format!("cannot prepare a working directory for the user of `run_as`: {error}");
                return Ok(Command { unfit: Some(message), ..command });
            }
            Err(error)
        }
    }
}

fn fill(scratch: &Path, launch: &Launch, account: Option<&Account>) -> io::Result<()> {
    let give = |path: &Path| match account {
        Some(account) => chown(path, Some(account.uid()), Some(account.gid())),
        None => Ok(()),
    };
    let write = |path: &Path, bytes: &[u8], mode: u32| {
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(bytes)?;
        give(path)
    };
    make_scratch(scratch)?;
    let context = serde_json::to_vec(&launch.context)?;
    write(&scratch.join(CONTEXT_FILE), &context, 0o600)?;
    for (path, bytes) in &launch.files {
        let path = scratch.join(path);
        for dir in missing_parents(&path, scratch) {
            DirBuilder::new().mode(0o700).create(&dir)?;
            give(&dir)?;
        }
        // Executable: a script of the bundle can be a command.
        write(&path, bytes, 0o700)?;
    }
    // Last: the folder is given away whole.
    give(scratch)
}

fn make_scratch(scratch: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(root) = scratch.parent() {
                make_root(root)?;
            }
            DirBuilder::new().mode(0o700).create(scratch)
        }
        other => other,
    }
}

/// Commands of other users pass through it to their own folder, but cannot look around.
fn make_root(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(root)
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

/// The attempt is over. What is not there was removed by another client.
pub(super) fn clear(state_dir: &Path, attempt: Uuid, stage: u32) -> io::Result<()> {
    match fs::remove_dir_all(scratch_dir(state_dir, attempt, stage)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Younger folders may belong to a launch that another client has under way.
const LEFTOVER_AGE: std::time::Duration = std::time::Duration::from_secs(3600);

/// Removes the folders of crashed clients: old, and of no attempt that the host still has open.
pub(super) fn clear_leftovers(state_dir: &Path, is_open: impl Fn(Uuid) -> bool) -> io::Result<usize> {
    let entries = match fs::read_dir(scratch_root(state_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((attempt, _)) = name.to_str().and_then(layout::parse_scratch_name) else { continue };
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| LEFTOVER_AGE < age) && !is_open(attempt) {
            fs::remove_dir_all(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
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
