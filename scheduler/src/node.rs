//! This node's identity: made once in its state directory.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use gridflow_core::NodeId;
use uuid::Uuid;

use crate::Error;

/// What people call this machine.
pub(crate) fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// The id of the node that this state directory belongs to; written on first use.
pub(crate) fn node_id(state_dir: &Path) -> Result<NodeId, Error> {
    let path = state_dir.join("node-id");
    let failed = |source: io::Error| Error::StateDir { path: path.clone(), source };
    fs::create_dir_all(state_dir).map_err(failed)?;
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Under a name of our own first: of two schedulers that start together, one's link wins.
            let draft = state_dir.join(format!("node-id.{}", std::process::id()));
            write_durably(&draft, &format!("{}\n", Uuid::now_v7())).map_err(failed)?;
            let linked = fs::hard_link(&draft, &path);
            let _ = fs::remove_file(&draft);
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
            // A node that comes back from a power cut under another name would leave its attempts to nobody.
            fs::File::open(state_dir).and_then(|folder| folder.sync_all()).map_err(failed)?;
            fs::read_to_string(&path).and_then(|text| parse(&text)).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &str) -> io::Result<NodeId> {
    text.trim().parse().map(NodeId).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "it holds no node id; remove it if no command of this node runs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = node_id(dir.path()).unwrap();
        assert_eq!(node_id(dir.path()).unwrap(), first);
    }

    #[test]
    fn a_damaged_id_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("node-id"), "?").unwrap();
        assert!(matches!(node_id(dir.path()), Err(Error::StateDir { .. })));
        assert_eq!(fs::read_to_string(dir.path().join("node-id")).unwrap(), "?");
    }
}
