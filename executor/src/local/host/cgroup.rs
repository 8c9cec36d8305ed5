//! A control group for each attempt, where we were given a tree to do so (systemd's `Delegate=yes`).
//!
//! Nothing leaves its group unasked, not even a daemon that wiped its environment: an empty group is the proof that an
//! attempt is gone. Without a delegated tree, processes are matched by session, descent and environment.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// Our own group; those of attempts are below it.
#[derive(Debug)]
pub(super) struct Cgroups {
    own: PathBuf,
}

impl Cgroups {
    /// `None` where the tree is not ours to change.
    pub(super) fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = own_group(&own, &mounts)?;
        is_delegated(&own).then_some(Self { own })
    }

    /// Opened for a clone into it.
    pub(super) fn make(&self, attempt: Uuid) -> io::Result<File> {
        let path = self.path(attempt);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        File::open(path)
    }

    /// Does any process live in it, or in a group below it?
    pub(super) fn is_populated(&self, attempt: Uuid) -> bool {
        let events = fs::read_to_string(self.path(attempt).join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    pub(super) fn pids(&self, attempt: Uuid) -> Vec<i32> {
        let mut pids = Vec::new();
        visit(&self.path(attempt), &mut |group| {
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(list.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        });
        pids
    }

    /// SIGKILL to all at once; nothing can fork its way out. Kernels before 5.14 cannot, and are left to the signals.
    pub(super) fn kill(&self, attempt: Uuid) {
        let _ = fs::write(self.path(attempt).join("cgroup.kill"), "1");
    }

    /// Once it is empty. Commands may have made groups below it.
    pub(super) fn remove(&self, attempt: Uuid) {
        visit(&self.path(attempt), &mut |group| {
            let _ = fs::remove_dir(group);
        });
    }

    fn path(&self, attempt: Uuid) -> PathBuf {
        self.own.join(format!("attempt-{attempt}"))
    }
}

/// Innermost first.
fn visit(group: &Path, each: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), each);
        }
    }
    each(group);
}

/// Where the unified hierarchy shows our group.
fn own_group(cgroup: &str, mounts: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        rest.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
    })?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some(Path::new(mount).join(below))
}

/// systemd marks what it hands over, so that others know to keep their hands off the rest.
fn is_delegated(group: &Path) -> bool {
    let marked = |name: &str| xattr::get(group, name).is_ok_and(|value| value.as_deref() == Some(b"1"));
    marked("user.delegate") || marked("trusted.delegate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_group_is_found_below_the_mount_also_when_only_a_part_is_mounted() {
        let mounts =
            "30 1 0:20 / /sys/fs/cgroup rw - tmpfs t rw\n41 31 0:38 /a /sys/fs/cgroup/unified rw - cgroup2 c rw";
        let group = own_group("4:memory:/x\n0::/a/b.service", mounts);
        assert_eq!(group.as_deref(), Some(Path::new("/sys/fs/cgroup/unified/b.service")));
        assert_eq!(own_group("0::/other", mounts), None);
        assert_eq!(own_group("4:memory:/x", mounts), None);
    }
}
