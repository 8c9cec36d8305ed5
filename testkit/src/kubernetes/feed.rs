//! Running a program that reads and writes.

use std::{
    io::{self, Write},
    process::{Command, Output, Stdio},
    thread,
};

/// Feeds `input` while the output is read, so that neither fills up.
pub(super) fn output_of(mut command: Command, input: &str) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Whoever does not read it ends with an error of its own.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input.as_bytes());
            }
        });
        child.wait_with_output()
    })
}
