//! As whom the private server runs: PostgreSQL refuses root.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use nix::unistd::{Gid, Uid, User};

use crate::failure::{Failure, Result};

/// Who may become the server's owner when we are root; the first that exists.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The owner of the server and its files.
#[derive(Debug, Clone)]
pub struct RunUser {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    switch: Switch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    /// We are root and become another user for the server.
    Needed,
    /// We are that user.
    No,
}

/// Ourselves, or as root somebody without rights.
pub fn choose() -> Result<RunUser> {
    let uid = Uid::effective();
    let lookup = |user: Result<Option<User>, nix::Error>| {
        user.map_err(|error| Failure::ours("cannot read the machine's users").because(&error))
    };
    if !uid.is_root() {
        let user = lookup(User::from_uid(uid))?.ok_or_else(|| {
            Failure::user(format!("the user {uid} has no name on this machine, so PostgreSQL will not run as it"))
                .help("add it to `/etc/passwd`, or set `GRIDFLOW__DATABASE__URL` to a server of yours")
        })?;
        return Ok(RunUser { name: user.name, uid, gid: Gid::effective(), switch: Switch::No });
    }
    for name in UNPRIVILEGED {
        if let Some(user) = lookup(User::from_name(name))? {
            return Ok(RunUser { name: user.name, uid: user.uid, gid: user.gid, switch: Switch::Needed });
        }
    }
    Err(Failure::user("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")
        .help("run gridflow as an ordinary user, or set `GRIDFLOW__DATABASE__URL` to a server of yours"))
}

impl RunUser {
    /// `program` as this user, with nothing of our environment but the PATH: no `PG…` variable of the caller's
    /// shell may change what the server does.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if self.switch == Switch::Needed {
            // Supplementary groups are dropped with the uid.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<()> {
        if self.switch == Switch::No {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(|error| {
            Failure::ours(format!("cannot give `{}` to user `{}`", path.display(), self.name)).because(&error)
        })
    }

    /// Refuses a folder that this user cannot reach, naming the parent in the way.
    pub fn must_reach(&self, folder: &Path) -> Result<()> {
        if self.switch == Switch::No {
            return Ok(());
        }
        let blocked = folder.ancestors().find(|parent| !self.may_enter(parent));
        match blocked {
            None => Ok(()),
            Some(parent) => Err(Failure::user(format!(
                "user `{}`, as which PostgreSQL has to run, cannot enter `{}`",
                self.name,
                parent.display()
            ))
            .help(format!(
                "choose another folder with `--state-dir DIR`, or open this one with `chmod o+x {}`",
                parent.display()
            ))),
        }
    }

    fn may_enter(&self, folder: &Path) -> bool {
        let Ok(metadata) = fs::metadata(folder) else { return true };
        let shift = if metadata.uid() == self.uid.as_raw() {
            6
        } else if metadata.gid() == self.gid.as_raw() {
            3
        } else {
            0
        };
        metadata.mode() >> shift & 1 == 1
    }
}
