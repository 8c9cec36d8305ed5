//! The private PostgreSQL of `standalone`.
//!
//! ```text
//! find or download binaries ─▶ (first use: initdb, create database) ─▶ take over what still runs, or start ─▶ wait
//! until ready
//! ```
//!
//! It lives below the state directory, listens on a unix socket that only its owner reaches, and keeps
//! PostgreSQL's durable defaults. It survives the program's death: the next start takes it over.
//!
//! **Architecture Invariant:** no SQL client here. Whether the server is ready is read from the status
//! that it writes into `postmaster.pid` itself.

mod cluster;
mod download;
mod find;
mod pid_file;
mod place;
mod server;
mod user;

pub use server::Server;

use crate::{failure::Result, state_dir::StateDir};

/// Stops a server that a `standalone` which was killed left behind. `false` if none runs. The caller holds the state
/// directory's lock.
pub fn stop_left_behind(state_dir: &StateDir) -> Result<bool> {
    server::stop_left_behind(&place::data(state_dir.path()))
}

/// The address of the private server of this state directory, if it runs. Touches nothing.
pub fn url_of_running(state_dir: &StateDir) -> Option<String> {
    let running = pid_file::running(&place::data(state_dir.path()))?;
    (running.status == pid_file::Status::Ready).then(|| server::url(&running.sockets))
}

/// Starts the private server of this state directory, or takes over the one that still runs.
/// Blocks until it accepts connections. The caller holds the state directory's lock.
/// While PostgreSQL itself is downloaded, `is_stopped` is asked now and then whether to go on.
pub fn start(state_dir: &StateDir, is_stopped: &dyn Fn() -> bool) -> Result<Server> {
    let user = user::choose()?;
    let place = place::Place::prepare(state_dir.path(), &user)?;
    find::ensure(place.data_major()?, &user, is_stopped)?;
    server::start(place, user)
}

/// The address of this state directory's private server, if it runs. Touches nothing.
pub fn running_url(state_dir: &StateDir) -> Option<String> {
    server::running_url(&place::data(state_dir.path()))
}
