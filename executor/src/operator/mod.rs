//! Operators that read and move data: what `gridflow operator NAME` runs, one process per attempt.
//!
//! The rendered spec travels in as JSON, the output travels out as JSON in `$GRIDFLOW_OUTPUT`, and
//! what a person should know goes to the task's log. Nothing else goes in or out: no database, no
//! credentials.
//!
//! Every operator here is *repeatable*: run twice, or cut off anywhere and run again, it ends the
//! same way. A file appears under its final name complete and synced, or not at all.

mod context;
mod copy_file;
mod digest;
mod error;
mod location;
mod move_file;
mod origin;
mod publish;
mod reason;
mod spec;
mod transfer;
mod validate_file;

use std::io::Write;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use context::Context;
pub use error::{Error, Fault};
pub use spec::{Checksum, ChecksumAlgorithm, FileFormat, SchemaSource, Transfer, ValidateFile};
pub use validate_file::Schema;

/// The operators that [`run`] knows.
pub const NAMES: [&str; 3] = ["validate_file", "copy_file", "move_file"];

/// The exit code of `gridflow operator`: the work is done.
pub const EXIT_OK: u8 = 0;
/// The file, the spec or the target is at fault: another try with the same input ends the same.
pub const EXIT_REFUSED: u8 = 1;
/// The machine is at fault: no room, no permission, a device error.
pub const EXIT_BROKEN: u8 = 2;

/// What an operator came to: its output, and whether its task goes on.
struct Done {
    verdict: Verdict,
    output: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// The data was looked at and found wanting. The output says why.
    Refused,
}

/// Runs operator `name` with its rendered `spec` and returns the exit code of the process.
///
/// The output is written to `context.output`, also when data was refused. `log` gets text for people;
/// it is the task's log and failing to write to it changes nothing.
pub fn run(name: &str, spec: Value, context: &Context, log: &mut dyn Write) -> u8 {
    let done = dispatch(name, spec, context, log).and_then(|done| {
        context.write_output(&done.output)?;
        Ok(done.verdict)
    });
    match done {
        Ok(Verdict::Good) => EXIT_OK,
        Ok(Verdict::Refused) => EXIT_REFUSED,
        Err(error) => {
            error.report(log);
            match error.fault() {
                Fault::Task => EXIT_REFUSED,
                Fault::Machine => EXIT_BROKEN,
            }
        }
    }
}

fn dispatch(name: &str, spec: Value, context: &Context, log: &mut dyn Write) -> Result<Done, Error> {
    match name {
        "validate_file" => validate_file::run(&parse(name, spec)?, log),
        "copy_file" => copy_file::run(&parse(name, spec)?, context, log),
        "move_file" => move_file::run(&parse(name, spec)?, context, log),
        other => Err(Error::UnknownOperator { name: other.to_owned() }),
    }
}

fn parse<T: DeserializeOwned>(operator: &str, spec: Value) -> Result<T, Error> {
    serde_json::from_value(spec).map_err(|source| Error::Spec { operator: operator.to_owned(), source })
}

/// A line in the task's log. A log that can't be written must not fail the work it tells of.
fn say(log: &mut dyn Write, line: &str) {
    let _ = writeln!(log, "{line}");
}
