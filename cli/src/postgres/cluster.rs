//! First use: a data directory with an empty database in it.

use std::{
    fs,
    io::{self, Write},
    process::{Child, Command, Stdio},
};

use super::{find::Installation, place::Place, user::RunUser};
use crate::{
    failure::{Failure, Result},
    progress,
};

/// The database and its owner.
pub const NAME: &str = "gridflow";

/// Makes the data directory. What an interrupted first start left is thrown away: only a complete one gets
/// its name.
pub fn create(installation: &Installation, place: &Place, user: &RunUser) -> Result<()> {
    progress::step("creating the database (first start only)", || {
        let failed = |error: io::Error| Failure::ours("cannot create the database").because(&error);
        match fs::remove_dir_all(&place.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir(&place.draft).map_err(failed)?;
        user.own(&place.draft)?;
        initdb(installation, place, user)?;
        create_database(installation, place, user)?;
        fs::rename(&place.draft, &place.data).map_err(failed)
    })
}

/// Text sorts by its bytes: the same on every machine, and indexes survive an upgrade of the C library.
/// `trust`: the way in is the socket, and only its owner may enter the socket's folder.
fn initdb(installation: &Installation, place: &Place, user: &RunUser) -> Result<()> {
    let mut command = user.command(&installation.program("initdb"));
    command
        .args(["--username", NAME, "--encoding=UTF8", "--locale=C", "--auth=trust", "--data-checksums"])
        .arg("--pgdata")
        .arg(&place.draft)
        .stdin(Stdio::null());
    run(&mut command, "initdb", |_| Ok(()))
}

/// In single-user mode: there is no server yet, and client programs may not be installed.
fn create_database(installation: &Installation, place: &Place, user: &RunUser) -> Result<()> {
    let mut command = user.command(&installation.program("postgres"));
    command.arg("--single").arg("-D").arg(&place.draft).arg("postgres").stdin(Stdio::piped());
    run(&mut command, "postgres --single", |child| {
        let mut stdin = child.stdin.take().expect("it was asked to be a pipe");
        writeln!(stdin, "CREATE DATABASE {NAME}")
    })
}

fn run(command: &mut Command, name: &str, feed: impl FnOnce(&mut Child) -> io::Result<()>) -> Result<()> {
    let failed = |error: io::Error| Failure::ours(format!("cannot run `{name}`")).because(&error);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let fed = feed(&mut child);
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return fed.map_err(failed);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Failure::ours(format!("`{name}` failed ({})", output.status)).because_text(String::from_utf8_lossy(&text)))
}
