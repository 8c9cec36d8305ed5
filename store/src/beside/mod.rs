//! What executors say of attempts, for people.
//!
//! It goes past the core, since nothing is decided from it, and is written beside the turns, fenced as all that is
//! ([`crate::fence`]). What a turn has in its hands is passed over and told again, so that neither waits for the other.

mod links;
mod waits;

use gridflow_core::AttemptId;
use sqlx::PgConnection;

pub use self::{links::Links, waits::Waits};
use crate::{Error, leader::Pass};

/// Something that is said of an attempt.
pub trait Word: Sized + Send + Sync {
    fn attempt(&self) -> AttemptId;

    /// Writes it down; of each attempt only once in a call. Closed ones are left alone, and a leader that was deposed
    /// writes nothing. Returns those that are to be told again.
    fn write(
        conn: &mut PgConnection,
        pass: Pass,
        words: &[Self],
    ) -> impl Future<Output = Result<Vec<AttemptId>, Error>> + Send;

    /// Forgets what earlier leaders were told: a new term hears it all anew. False: some are in the hands of a turn,
    /// and it has to be asked again.
    fn forget(conn: &mut PgConnection, pass: Pass) -> impl Future<Output = Result<bool, Error>> + Send;
}
