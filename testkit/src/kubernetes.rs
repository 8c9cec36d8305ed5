//! A real Kubernetes of one node, which all tests of this machine share: `tests/services/kubernetes`.
//!
//! It is spoken to by `kubectl`, so that a test sees what people see, and shares no client with what it tests.

mod feed;
mod image;
mod namespace;
mod part;
mod rights;

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

pub use image::{BUSYBOX, DEBIAN};
pub use namespace::Namespace;
pub use part::Part;
pub use rights::Rights;

/// The name of the one node.
pub const NODE: &str = "gridflow-node";

/// The cluster, held as long as this lives.
#[derive(Debug)]
pub struct Cluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// Shared by tests that use the cluster; of one alone that breaks it.
    _hold: Flock<File>,
}

impl Cluster {
    /// The cluster, started if need be. Nothing where this machine can't have one: the test says that it is left out,
    /// and fails where `CI` is set.
    pub fn shared() -> Result<Option<Arc<Self>>> {
        Self::held(FlockArg::LockShared)
    }

    /// The same, once nobody else uses it: its servers may be stopped and killed. Whoever does starts them again.
    pub fn alone() -> Result<Option<Arc<Self>>> {
        Self::held(FlockArg::LockExclusive)
    }

    fn held(how: FlockArg) -> Result<Option<Arc<Self>>> {
        let folder = folder()?;
        std::fs::create_dir_all(folder.join("run")).context("making a folder for the cluster")?;
        let lock = File::create(folder.join("run/tests.lock")).context("opening the lock of the cluster")?;
        let hold = Flock::lock(lock, how).map_err(|(_, error)| error).context("waiting for the cluster")?;
        let ensured = script("kubernetes", &["ensure"])?;
        if !ensured.status.success() {
            let why = String::from_utf8_lossy(&ensured.stderr).trim().to_owned();
            if std::env::var_os("CI").is_some() {
                bail!("{why}");
            }
            eprintln!("LEFT OUT: this test needs a real Kubernetes: {why}");
            return Ok(None);
        }
        let cluster = Self {
            kubectl: folder.join("bin/kubectl"),
            kubeconfig: folder.join("conf/k8s/gridflow.kubeconfig"),
            _hold: hold,
        };
        if how == FlockArg::LockExclusive {
            // Whoever broke it before may have been killed before it was whole again.
            cluster.mend()?;
        }
        Ok(Some(Arc::new(cluster)))
    }

    /// An administrator's.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What `kubectl` answers.
    pub fn kubectl<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<String> {
        self.kubectl_with(args, "")
    }

    /// The same with something to read, as for `-f -`.
    pub fn kubectl_with<A: AsRef<OsStr>>(&self, args: &[A], input: &str) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        let output = feed::output_of(command, input).context("running kubectl")?;
        if !output.status.success() {
            let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("what kubectl says")
    }
}

/// Where the scripts keep programs and state: the same rule as theirs.
pub(crate) fn folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("GRIDFLOW_SERVICES")
        .or_else(|| Some(cache()?.join("gridflow-services")))
        .context("neither `HOME` nor `GRIDFLOW_SERVICES` is set")
}

/// Runs one of `tests/services/`.
pub(crate) fn script<A: AsRef<OsStr>>(name: &str, args: &[A]) -> Result<Output> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/services").join(name);
    let mut command = Command::new(&path);
    command.args(args).stdin(Stdio::null());
    command.output().with_context(|| format!("running {}", path.display()))
}
