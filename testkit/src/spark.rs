//! The real Spark operator on the real Kubernetes: `tests/services/spark`.

use std::{
    fs::{self, File},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::kubernetes::{self, Cluster, Namespace};

/// Spark for drivers and executors.
pub const IMAGE: &str = "gridflow.local/spark:4.0.2";
/// The version of Spark in it.
pub const VERSION: &str = "4.0.2";
/// The account of drivers, in namespaces that were [prepared](Operator::prepare).
pub const ACCOUNT: &str = "spark";
/// Drivers reach the API server here: there is nothing that makes its service's address work.
pub const MASTER: &str = "https://198.19.255.1:6443";

const HELD_WITHIN: Duration = Duration::from_secs(120);

/// The operator, held as long as this lives. It watches all namespaces.
#[derive(Debug)]
pub struct Operator {
    run: PathBuf,
    /// Shared by tests that use it; of one alone that breaks it.
    _hold: Flock<File>,
}

impl Operator {
    /// The operator, started if need be. Nothing where this machine can't have it: the test says that it is left
    /// out, and fails where `GRIDFLOW_SPARK` is set.
    pub fn shared(_: &Cluster) -> Result<Option<Self>> {
        Self::held(FlockArg::LockShared)
    }

    /// The same, once nobody else uses it: it may be stopped and killed. Whoever does starts it again.
    pub fn alone(_: &Cluster) -> Result<Option<Self>> {
        Self::held(FlockArg::LockExclusive)
    }

    fn held(how: FlockArg) -> Result<Option<Self>> {
        let run = kubernetes::folder()?.join("run");
        let lock = File::create(run.join("spark-tests.lock")).context("opening the lock of the Spark operator")?;
        let hold = Flock::lock(lock, how).map_err(|(_, error)| error).context("waiting for the Spark operator")?;
        let ensured = kubernetes::script("spark", &["ensure"])?;
        if !ensured.status.success() {
            let why = String::from_utf8_lossy(&ensured.stderr).trim().to_owned();
            if std::env::var_os("GRIDFLOW_SPARK").is_some() {
                bail!("{why}");
            }
            eprintln!("LEFT OUT: this test needs a real Spark operator: {why}");
            return Ok(None);
        }
        let operator = Self { run, _hold: hold };
        operator.go_on()?;
        Ok(Some(operator))
    }

    /// Lets drivers of a namespace make their executors.
    pub fn prepare(&self, namespace: &Namespace) -> Result<()> {
        change(&["namespace", namespace.name()])
    }

    /// `kill -9`, with the `spark-submit` it may be running.
    pub fn kill(&self) -> Result<()> {
        change(&["kill"])
    }

    pub fn stop(&self) -> Result<()> {
        change(&["stop"])
    }

    /// Starts it unless it runs, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        change(&["start"])
    }

    /// Takes its definitions out of the cluster: to the cluster there are no SparkApplications any more.
    pub fn undefine(&self) -> Result<()> {
        change(&["undefine"])
    }

    /// From now on a `spark-submit` of the operator does its work, and does not return.
    pub fn hold_submissions(&self) -> Result<()> {
        let _ = fs::remove_file(self.run.join("spark-operator.held"));
        fs::write(self.run.join("spark-operator.hold"), "").context("holding the operator's submissions")
    }

    /// Waits until one has done its work and is held.
    pub fn await_held(&self) -> Result<()> {
        let began = Instant::now();
        while !self.run.join("spark-operator.held").exists() {
            if HELD_WITHIN < began.elapsed() {
                bail!("the operator submitted nothing within {HELD_WITHIN:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Lets them return.
    pub fn go_on(&self) -> Result<()> {
        match fs::remove_file(self.run.join("spark-operator.hold")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("letting submissions go on")
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn change(args: &[&str]) -> Result<()> {
    let output = kubernetes::script("spark", args)?;
    if !output.status.success() {
        bail!("spark {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
