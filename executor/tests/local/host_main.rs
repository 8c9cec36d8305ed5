//! `gridflow host` for the tests: `gridflow-test-host --state-dir DIR`.

use std::process::ExitCode;

use gridflow_executor::local::host::{Error, HostConfig, run};

fn main() -> ExitCode {
    let Some(state_dir) = std::env::args_os().skip_while(|argument| argument != "--state-dir").nth(1) else {
        eprintln!("usage: gridflow-test-host --state-dir DIR");
        return ExitCode::from(2);
    };
    match run(&HostConfig { state_dir: state_dir.into() }) {
        Ok(()) | Err(Error::AlreadyRuns { .. }) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}
