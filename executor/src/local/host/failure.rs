//! Why a command could not be started, and what to do about it.

use std::{
    fs::File,
    io::{Error, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::libc;

use super::{
    super::wire::Command,
    spawn::{Failed, Step},
};

/// One sentence for the user. Looks at the files once more to say which one is missing.
pub(super) fn describe(failed: Failed, command: &Command) -> String {
    let error = Error::from_raw_os_error(failed.errno);
    let program = command.argv.first().map_or("", String::as_str);
    match failed.step {
        Step::Session | Step::Stdio | Step::Record => format!("cannot start `{program}`: {error}"),
        Step::Cwd => format!(
            "cannot enter the working directory `{}`: {error}; every folder above it must be searchable by the user \
             the task runs as",
            command.cwd
        ),
        Step::User => format!(
            "cannot run `{program}` as the user asked for with `run_as`: {error}; only a scheduler that runs as root \
             may switch users"
        ),
        Step::Exec => describe_exec(failed.errno, program, command, &error),
    }
}

fn describe_exec(errno: i32, program: &str, command: &Command, error: &Error) -> String {
    let found = find(program, command);
    match (errno, found) {
        (libc::ENOENT, Some(file)) => match interpreter(&file) {
            Some(interpreter) => format!(
                "cannot start `{program}`: its interpreter `{interpreter}` (first line of `{}`) does not exist; \
                 install it or correct the line",
                file.display()
            ),
            None => format!("cannot start `{}`: the loader or a library it names does not exist", file.display()),
        },
        (libc::ENOENT, None) if program.contains('/') => {
            format!("cannot start `{program}`: no such file (looked from `{}`); correct the path", command.cwd)
        }
        (libc::ENOENT, None) => {
            let path = command.env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
            format!(
                "cannot start `{program}`: no such program in the task's PATH `{path}`; install it, or give its full \
                 path"
            )
        }
        (libc::EACCES, Some(file)) if !is_executable(&file) => format!(
            "cannot start `{0}`: it is not executable; run `chmod +x {0}`, or name its interpreter",
            file.display()
        ),
        (libc::ENOEXEC, _) => format!(
            "cannot start `{program}`: not a program of this machine; a script needs a first line like `#!/bin/sh`, \
             a binary the right architecture"
        ),
        (libc::E2BIG, _) => {
            let bytes: usize = command.argv.iter().chain(&command.env).map(|text| text.len() + 1).sum();
            format!(
                "cannot start `{program}`: arguments and environment have {bytes} bytes, more than the system takes \
                 (or one of them more than 128 KiB); hand large values over in a file"
            )
        }
        _ => format!("cannot start `{program}` in `{}`: {error}", command.cwd),
    }
}

fn find(program: &str, command: &Command) -> Option<PathBuf> {
    let cwd = Path::new(&command.cwd);
    if program.contains('/') {
        return Some(cwd.join(program)).filter(|file| file.exists());
    }
    let path = command.env.iter().find_map(|entry| entry.strip_prefix("PATH="))?;
    path.split(':').map(|dir| cwd.join(dir).join(program)).find(|file| file.is_file())
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What a script's first line asks for.
fn interpreter(script: &Path) -> Option<String> {
    let mut head = [0; 256];
    let length = File::open(script).ok()?.read(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let line = head.lines().next()?.strip_prefix("#!")?;
    // A line that ends in CR LF names an interpreter that nobody can see is wrong.
    let shown = line.split_whitespace().next().map(str::to_owned)?;
    Some(if head.split('\n').next().is_some_and(|line| line.ends_with('\r')) { format!("{shown}\\r") } else { shown })
}
