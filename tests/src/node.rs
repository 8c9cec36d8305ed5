//! A node beside others on one machine: a pid namespace, and with it a boot, and a state directory of its own.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Cluster, Program, can_contain, gridflow, wait_for};

const PATIENCE: Duration = Duration::from_secs(10);

/// A boot of a node. All its processes end with it, as when a machine loses its power.
#[derive(Debug)]
pub struct Node<'a> {
    cluster: &'a Cluster,
    name: String,
    /// Made the namespace, and ends it when it is killed.
    maker: Child,
    /// The namespace's first process, by its number outside.
    init: Pid,
}

/// A scheduler of a node.
#[derive(Debug)]
pub struct Scheduler {
    /// Entered the namespace, and waits for the scheduler.
    program: Program,
    pid: Pid,
}

impl<'a> Node<'a> {
    /// Whether this process may make namespaces. A test that needs them says that it was left out.
    pub fn is_possible() -> bool {
        let possible = can_contain();
        if !possible {
            eprintln!("LEFT OUT: this test needs to be root, with pid namespaces");
        }
        possible
    }

    /// Boots the node of this name: again, if its state directory is there.
    pub fn boot(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let maker = Command::new("unshare")
            // The first process collects whoever is orphaned.
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", "sleep infinity & wait"])
            .stdin(Stdio::null())
            .spawn()
            .context("making a pid namespace")?;
        let outside = Pid::from_raw(maker.id().cast_signed());
        let init = wait_for("the first process", PATIENCE, || Ok(children_of(outside).first().copied()))?;
        // It has a child of its own as soon as its `/proc` is there.
        wait_for("the first process", PATIENCE, || Ok(children_of(init).first().copied()))?;
        Ok(Self { cluster, name: name.to_owned(), maker, init })
    }

    pub fn state(&self) -> PathBuf {
        self.cluster.path(&format!("state-{}", self.name))
    }

    /// The id that the node has given itself.
    pub fn id(&self) -> Result<String> {
        let id = wait_for("the node's id", PATIENCE, || Ok(fs::read_to_string(self.state().join("node-id")).ok()))?;
        Ok(id.trim().to_owned())
    }

    /// Starts a scheduler on the node.
    pub fn scheduler(&self, more: &[(&str, &str)]) -> Result<Scheduler> {
        let mut command = Command::new("nsenter");
        command
            .args(["--pid", "--mount", "--target", &self.init.to_string(), "--"])
            .arg(gridflow()?)
            .args(["scheduler", "--dags"])
            .arg(self.cluster.path("dags"))
            .arg("--state-dir")
            .arg(self.state())
            .env("GRIDFLOW__DATABASE__URL", self.cluster.url())
            .env("GRIDFLOW__SCHEDULER__PARALLELISM", "128")
            .envs(more.iter().copied());
        let program = Program::run(command, &[], &self.cluster.path(&format!("{}.log", self.name)))?;
        let entered = program.pid();
        let pid = wait_for("the scheduler", PATIENCE, || Ok(children_of(entered).first().copied()))?;
        Ok(Scheduler { program, pid })
    }

    /// Starts one and waits until it leads, which it must be able to.
    pub fn leader(&self, more: &[(&str, &str)]) -> Result<Scheduler> {
        let scheduler = self.scheduler(more)?;
        self.until_it_leads().with_context(|| scheduler.log())?;
        Ok(scheduler)
    }

    pub fn until_it_leads(&self) -> Result<()> {
        let sql = format!(
            "SELECT count(*) FROM node JOIN leader ON leader.holder = node.leads WHERE node.id = '{}'",
            self.id()?
        );
        self.cluster.until(&sql, "1")
    }

    /// What people see when the machine loses its power: every process of the node is gone at once.
    pub fn lose_power(self) {}
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // The kernel ends the rest of the namespace before the first process is gone.
        let _ = kill(self.init, Signal::SIGKILL);
        let _ = self.maker.wait();
    }
}

impl Scheduler {
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid, signal).with_context(|| format!("sending {signal}"))
    }

    /// `kill -9`, and its end waited for.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        wait_for("its end", PATIENCE, || Ok((!self.program.is_running()?).then_some(())))
    }

    pub fn is_running(&mut self) -> Result<bool> {
        self.program.is_running()
    }

    pub fn log(&self) -> String {
        self.program.log()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent.as_raw())).map(Pid::from_raw).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
