//! The account a command runs under.

use nix::unistd::{User, getgrouplist};

use super::wire;

/// A user of this machine, looked up once for a launch.
#[derive(Debug, Clone)]
pub(super) struct Account {
    user: User,
    groups: Vec<u32>,
}

/// The message is for the task's owner.
pub(super) fn account(name: &str) -> Result<Account, String> {
    let user = User::from_name(name)
        .map_err(|error| format!("cannot look up the user `{name}` of `run_as`: {error}"))?
        .ok_or_else(|| format!("the user `{name}` of `run_as` does not exist on this machine"))?;
    let c_name = std::ffi::CString::new(name).map_err(|_| "the user of `run_as` contains a NUL byte".to_owned())?;
    let groups = getgrouplist(&c_name, user.gid)
        .map_err(|error| format!("cannot look up the groups of the user `{name}` of `run_as`: {error}"))?;
    Ok(Account { user, groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect() })
}

impl Account {
    pub(super) fn wire(&self) -> wire::User {
        wire::User { uid: self.uid(), gid: self.gid(), groups: self.groups.clone() }
    }

    pub(super) fn uid(&self) -> u32 {
        self.user.uid.as_raw()
    }

    pub(super) fn gid(&self) -> u32 {
        self.user.gid.as_raw()
    }

    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("HOME", self.user.dir.to_string_lossy().into_owned()),
            ("USER", self.user.name.clone()),
            ("LOGNAME", self.user.name.clone()),
            ("SHELL", self.user.shell.to_string_lossy().into_owned()),
        ]
    }
}
