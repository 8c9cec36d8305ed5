//! What a running server says about itself in `postmaster.pid`, and whether that is still true.

use std::{fs, io, path::Path};

use nix::{errno::Errno, sys::signal, unistd::Pid};

/// A server of our data directory that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub pid: Pid,
    /// The folder of its socket, as it was told when it started.
    pub sockets: String,
    pub status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Starting,
    Ready,
    Stopping,
}

/// The server that runs on `data`, if any. A file left by a crash names a process that is gone, or by now
/// another one: that one is not our server, and must not get its signals.
pub fn running(data: &Path) -> Option<Running> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let found = parse(&text)?;
    (is_alive(found.pid) && is_server_of(found.pid, data)).then_some(found)
}

/// The lines are: pid, data directory, start time, port, socket folder, listen address, shared memory, status.
fn parse(text: &str) -> Option<Running> {
    let lines: Vec<_> = text.lines().collect();
    // In single-user mode the pid is negative; such a one is no server.
    let pid = lines.first()?.trim().parse().ok().filter(|pid| 0 < *pid)?;
    let status = match lines.get(7).map_or("", |line| line.trim()) {
        "ready" | "standby" => Status::Ready,
        "stopping" => Status::Stopping,
        // Also while the later lines are still to be written.
        _ => Status::Starting,
    };
    Some(Running { pid: Pid::from_raw(pid), sockets: (*lines.get(4).unwrap_or(&"")).to_owned(), status })
}

/// Lets a new server start where the old one is dead but not collected by its parent, as under a PID 1 that
/// collects nobody: by its number alone the new one would take it for alive, for ever.
///
/// The file keeps all but that number, for which ours is put: a server takes the pid of its parent for a stale one,
/// and goes on to look whether the shared memory named in the file is still in use. Removing the file would remove
/// that guard against backends that outlived their server.
pub fn bury(data: &Path) -> io::Result<()> {
    let path = data.join("postmaster.pid");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let Some(found) = parse(&text).filter(|found| is_zombie(found.pid)) else { return Ok(()) };
    let (_, rest) = text.split_once('\n').unwrap_or_default();
    fs::write(&path, format!("{}\n{rest}", std::process::id()))?;
    // The socket's lock holds nothing but the same number.
    for name in [".s.PGSQL.5432.lock", ".s.PGSQL.5432"] {
        match fs::remove_file(Path::new(&found.sockets).join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

pub fn is_alive(pid: Pid) -> bool {
    // A process of another user is alive too.
    !matches!(signal::kill(pid, None), Err(Errno::ESRCH)) && !is_zombie(pid)
}

/// A dead child of a parent that does not collect it still has its number.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// A server's working directory is its data directory, which no other process shares by accident; a
/// comparison of start times would depend on nobody setting the clock. Where there is no `/proc`, the number
/// has to do: the server itself refuses to start beside another one.
fn is_server_of(pid: Pid, data: &Path) -> bool {
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) => fs::canonicalize(data).is_ok_and(|data| data == folder),
        Err(_) => !Path::new("/proc/self/cwd").exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data\n1700000000\n5432\n/run/gf\n\n  123 456\nready   \n";

    #[test]
    fn the_servers_own_words_are_understood() {
        let running = parse(READY).expect("complete");
        assert_eq!(
            (running.pid, running.sockets.as_str(), running.status),
            (Pid::from_raw(4711), "/run/gf", Status::Ready)
        );
        assert_eq!(parse("4711\n/data\n").expect("half written").status, Status::Starting);
        assert_eq!(parse(&READY.replace("ready", "stopping")).expect("complete").status, Status::Stopping);
        assert_eq!(parse("-4711\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_number_that_now_belongs_to_another_process_is_not_our_server() {
        let data = tempfile::tempdir().expect("temporary folder");
        let text = READY.replace("4711", &std::process::id().to_string());
        fs::write(data.path().join("postmaster.pid"), text).expect("file");
        assert_eq!(running(data.path()), None);
    }
}
