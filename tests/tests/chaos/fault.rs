//! The faults, and how each strikes.

use std::{thread, time::Duration};

use anyhow::Result;
use gridflow_testkit::postgres::Stop;
use gridflow_tests::{Moment, wait_for};
use nix::sys::signal::{Signal, kill};

use crate::{dice::Dice, node::Site};

/// A stopped leader, or one that nobody hears, is deposed after three seconds; a bit more on a busy machine.
const DEPOSED_WITHIN: Duration = Duration::from_secs(15);
/// A turn is made within that.
const MOMENT_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    LeaderKilled,
    StandbyKilled,
    WebKilled,
    HostKilled,
    EverythingKilled,
    /// And the database with it.
    MachineKilled,
    HostAndLeaderKilled,
    LeaderStopped,
    SessionsEnded,
    DatabaseRestarted,
    DatabaseKilled,
    NetworkCut,
    NetworkRefused,
    NetworkSlow,
    BlackHole,
    ClocksSet,
    At(Moment),
}

const ALL: [Fault; 20] = [
    Fault::LeaderKilled,
    Fault::At(Moment::CommitAnswerSwallowed),
    Fault::HostKilled,
    Fault::DatabaseKilled,
    Fault::At(Moment::BlackHoleInTurn),
    Fault::EverythingKilled,
    Fault::LeaderStopped,
    Fault::At(Moment::CommitAnswerCut),
    Fault::WebKilled,
    Fault::MachineKilled,
    Fault::HostAndLeaderKilled,
    Fault::SessionsEnded,
    Fault::NetworkCut,
    Fault::DatabaseRestarted,
    Fault::At(Moment::CutInTurn),
    Fault::StandbyKilled,
    Fault::NetworkSlow,
    Fault::ClocksSet,
    Fault::BlackHole,
    Fault::NetworkRefused,
];

/// That many faults in random order, each kind before any comes again.
pub fn deck(dice: &mut Dice, count: usize) -> Vec<Fault> {
    dice.deck(&ALL, count)
}

impl Fault {
    pub fn strike(self, site: &mut Site<'_>, dice: &mut Dice) -> Result<()> {
        let server = site.workload.cluster.server;
        let a_moment = Duration::from_millis(dice.below(1_500));
        match self {
            Self::LeaderKilled => {
                let leader = site.leader()?;
                site.kill(leader)
            }
            Self::StandbyKilled => {
                let standby = 1 - site.leader()?;
                site.kill(standby)
            }
            Self::WebKilled => site.kill_web(),
            Self::HostKilled => {
                if let Some(host) = site.workload.cluster.host() {
                    // It may end by itself at this very moment.
                    let _ = kill(host, Signal::SIGKILL);
                }
                Ok(())
            }
            Self::HostAndLeaderKilled => {
                let leader = site.leader()?;
                if let Some(host) = site.workload.cluster.host() {
                    let _ = kill(host, Signal::SIGKILL);
                }
                site.kill(leader)
            }
            Self::EverythingKilled | Self::MachineKilled => {
                if self == Self::MachineKilled {
                    server.stop(Stop::Crash)?;
                }
                site.workload.kill_everything()?;
                if self == Self::MachineKilled {
                    server.start_again()?;
                }
                for no in 0..site.schedulers.len() {
                    site.schedulers[no].program.end()?;
                    site.start(no)?;
                }
                Ok(())
            }
            Self::LeaderStopped => {
                let leader = site.leader()?;
                let before = site.epoch();
                site.schedulers[leader].program.signal(Signal::SIGSTOP)?;
                let deposed = deposed(site, before);
                thread::sleep(a_moment);
                site.schedulers[leader].program.signal(Signal::SIGCONT)?;
                deposed
            }
            Self::SessionsEnded => {
                site.leader()?;
                let database = &site.workload.cluster.database;
                server.terminate(database, "application_name LIKE 'gridflow%'").map(drop)
            }
            Self::DatabaseRestarted | Self::DatabaseKilled => {
                let how = if self == Self::DatabaseKilled { Stop::Crash } else { Stop::Fast };
                server.stop(how)?;
                thread::sleep(a_moment);
                server.start_again()
            }
            Self::NetworkCut => {
                let leader = site.leader()?;
                site.schedulers[leader].proxy.cut();
                Ok(())
            }
            Self::NetworkRefused => {
                let leader = site.leader()?;
                let proxy = &site.schedulers[leader].proxy;
                proxy.refuse(true);
                proxy.cut();
                thread::sleep(a_moment);
                proxy.heal();
                Ok(())
            }
            Self::NetworkSlow => {
                let leader = site.leader()?;
                site.schedulers[leader].proxy.slow(Duration::from_millis(1 + dice.below(30)));
                thread::sleep(a_moment * 2);
                site.schedulers[leader].proxy.heal();
                Ok(())
            }
            Self::BlackHole => {
                let leader = site.leader()?;
                let before = site.epoch();
                site.schedulers[leader].proxy.black_hole();
                let deposed = deposed(site, before);
                thread::sleep(a_moment);
                site.schedulers[leader].proxy.heal();
                deposed
            }
            Self::ClocksSet => {
                site.part_clocks(dice)?;
                thread::sleep(a_moment);
                // Half of the time, the next leader's clock is not the last one's.
                if dice.below(2) == 0 {
                    let leader = site.leader()?;
                    site.kill(leader)?;
                    site.leader()?;
                    thread::sleep(a_moment);
                }
                site.join_clocks()
            }
            Self::At(moment) => at(moment, site),
        }
    }
}

/// Waits for the moment. A leader may lose its lead before it comes: then it is the next one's.
fn at(moment: Moment, site: &mut Site<'_>) -> Result<()> {
    const LEADERS: usize = 3;
    let mut fired = Ok(());
    for _ in 0..LEADERS {
        let leader = site.leader()?;
        let before = site.epoch();
        site.schedulers[leader].proxy.arm(moment);
        fired = site.schedulers[leader].proxy.wait_until_fired(MOMENT_WITHIN);
        let deposed = if fired.is_ok() { deposed(site, before) } else { Ok(()) };
        site.schedulers[leader].proxy.heal();
        deposed?;
        if fired.is_ok() {
            break;
        }
    }
    fired
}

/// Waits until there is another leader than the one before, or the same one anew.
fn deposed(site: &Site<'_>, before: Option<i64>) -> Result<()> {
    wait_for("a new leader", DEPOSED_WITHIN, || {
        let now = site.epoch();
        Ok((now.is_some() && before < now).then_some(()))
    })
}
