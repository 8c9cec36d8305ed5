//! The init step: the task's files out of the Secret into the working folder, and this program beside them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use gridflow_pod::payload;

use crate::say;

pub struct Options {
    /// Where the Secret is mounted.
    pub payload: PathBuf,
    pub root: PathBuf,
}

/// The task's container may run as any user, and nobody else sees the volume: so everything is everyone's.
const MODE: u32 = 0o777;

const FAILED: u8 = 1;

pub fn init(options: &Options) -> u8 {
    match lay_out(options) {
        Ok(()) => 0,
        Err(problem) => {
            say::problem(&problem);
            FAILED
        }
    }
}

/// May be done again: a pod's init steps are repeated when its sandbox is.
fn lay_out(options: &Options) -> Result<(), String> {
    let fail = |what: &Path| {
        let what = what.to_owned();
        move |error: io::Error| format!("cannot write `{}`: {error}", what.display())
    };
    let work = options.root.join("work");
    make_folder(&work).map_err(fail(&work))?;
    let index = read(&options.payload.join(payload::INDEX))?;
    let content = read(&options.payload.join(payload::CONTENT))?;
    for (path, bytes) in payload::unpack(&index, &content).map_err(|error| error.to_string())? {
        let path = work.join(path);
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != work).collect::<Vec<_>>();
        for folder in folders.into_iter().rev() {
            make_folder(folder).map_err(fail(folder))?;
        }
        write(&path, bytes).map_err(fail(&path))?;
    }
    let bin = options.root.join("bin");
    make_folder(&bin).map_err(fail(&bin))?;
    let program = bin.join("gridflow-pod");
    copy_self(&program).map_err(fail(&program))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    allow_all(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    options.open(path)?.write_all(bytes)?;
    allow_all(path)
}

/// Not by the mode at creation: the umask takes from that.
fn allow_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
}

/// By way of another name, so that a copy that runs already is left alone.
fn copy_self(to: &Path) -> io::Result<()> {
    let part = to.with_extension("part");
    write(&part, &fs::read("/proc/self/exe")?)?;
    fs::rename(part, to)
}
