//! A control group for each attempt, where we were given a tree to do so (systemd's `Delegate=yes`).
//!
//! Nothing leaves its group unasked, not even a daemon that wiped its environment: an empty group is the proof that an
//! attempt is gone. Without a delegated tree, processes are matched by session, descent and environment.
//!
//! ```text
//! gridflow-host.service/   delegated: nobody lives in it, so that its controllers may reach down
//! ├── host/                we
//! └── attempt-0195…/       a command and whatever it starts; groups of its own below
//! ```

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// The group that we were given; ours and those of attempts are below it.
#[derive(Debug)]
pub(super) struct Cgroups {
    given: PathBuf,
}

/// Our own, below the one that we were given.
const HOST: &str = "host";

impl Cgroups {
    /// `None` where the tree is not ours to change.
    pub(super) fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = own_group(&own, &mounts)?;
        if own.ends_with(HOST)
            && let Some(given) = own.parent().filter(|given| is_delegated(given))
        {
            // Memory is counted for each attempt, so that one that takes too much is told apart and dies alone. Where
            // the controller is not ours to hand down, all else works.
            let _ = fs::write(given.join("cgroup.subtree_control"), "+memory");
            return Some(Self { given: given.to_owned() });
        }
        // A systemd that puts us beside the attempts. No controllers then: it could not start us again in a group that
        // hands them down.
        is_delegated(&own).then(|| move_below(&own)).map(|()| Self { given: own })
    }

    /// Opened for a clone into it.
    pub(super) fn make(&self, attempt: Uuid) -> io::Result<File> {
        let path = self.path(attempt);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // All of it or nothing: half an attempt is none. Not there without the memory controller.
        let _ = fs::write(path.join("memory.oom.group"), "1");
        File::open(path)
    }

    /// Did the kernel end any process of it for want of memory?
    pub(super) fn was_out_of_memory(&self, attempt: Uuid) -> bool {
        let events = fs::read_to_string(self.path(attempt).join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u64>().ok());
        kills.is_some_and(|kills| 0 < kills)
    }

    /// Tells of changes of [`is_populated`](Self::is_populated) from now on.
    pub(super) fn watch(&self, attempt: Uuid) -> io::Result<Watch> {
        let watch = Watch(File::open(self.path(attempt).join("cgroup.events"))?);
        watch.seen();
        Ok(watch)
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
        self.given.join(format!("attempt-{attempt}"))
    }
}

/// Readable out of band when something has changed since it was last seen.
#[derive(Debug)]
pub(super) struct Watch(pub File);

impl Watch {
    pub(super) fn seen(&self) {
        // A file of the kernel: what is there fits, and an error leaves the timers.
        let _ = self.0.read_at(&mut [0; 64], 0);
    }
}

/// Out of the attempts' way. If that is not allowed, we stay, which harms nothing.
fn move_below(given: &Path) {
    let own = given.join(HOST);
    let _ = fs::create_dir(&own);
    let _ = fs::write(own.join("cgroup.procs"), std::process::id().to_string());
}

/// Whether this process may give attempts control groups of their own, in its own group or the one above.
pub(crate) fn has_cgroups(pid: i32) -> bool {
    let group = || {
        let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        own_group(&own, &fs::read_to_string("/proc/self/mountinfo").ok()?)
    };
    group().is_some_and(|own| is_delegated(&own) || own.parent().is_some_and(is_delegated))
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

    #[test]
    fn a_kill_for_want_of_memory_is_read_from_the_attempts_group() {
        let dir = tempfile::tempdir().unwrap();
        let cgroups = Cgroups { given: dir.path().to_owned() };
        let attempt = Uuid::from_u128(1);
        assert!(!cgroups.was_out_of_memory(attempt), "no controller");
        cgroups.make(attempt).unwrap();
        let events = cgroups.path(attempt).join("memory.events");
        fs::write(&events, "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\noom_group_kill 0\n").unwrap();
        assert!(!cgroups.was_out_of_memory(attempt));
        fs::write(&events, "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert!(cgroups.was_out_of_memory(attempt));
    }
}
