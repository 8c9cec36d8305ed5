//! `gridflow host` for the tests: `gridflow-test-host --state-dir DIR [--handover FD]`.

use std::process::ExitCode;

use gridflow_executor::local::host::{Error, HostConfig, handover_versions, run};

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--handover-versions") {
        println!("{}", handover_versions());
        return ExitCode::SUCCESS;
    }
    let value_of = |name: &str| std::env::args_os().skip_while(|argument| argument != name).nth(1);
    let Some(state_dir) = value_of("--state-dir") else {
        eprintln!("usage: gridflow-test-host --state-dir DIR");
        return ExitCode::from(2);
    };
    let handover = value_of("--handover").map(|fd| fd.to_str().and_then(|fd| fd.parse().ok()).expect("a number"));
    let stays = std::env::args().any(|argument| argument == "--stay");
    match run(&HostConfig { handover, stays, ..HostConfig::new(state_dir.into()) }) {
        Ok(_) | Err(Error::AlreadyRuns { .. }) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}
