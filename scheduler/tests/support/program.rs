//! The two commands of `gridflow` that runs stand on, for the tests: `host` and `operator`.

use std::{path::PathBuf, process::ExitCode};

use gridflow_executor::{
    local::host::{Error, HostConfig, run},
    operator,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "host", "--state-dir", dir] => host(dir.into()),
        [_, "operator", name, spec] => {
            let spec = std::fs::read_to_string(spec).expect("the spec lies in the working directory");
            let spec = serde_json::from_str(&spec).expect("the spec is JSON");
            let context = operator::Context::from_vars(std::env::vars());
            ExitCode::from(operator::run(name, spec, &context, &mut std::io::stdout()))
        }
        _ => {
            eprintln!("usage: gridflow-test-program host --state-dir DIR | operator NAME SPEC");
            ExitCode::from(2)
        }
    }
}

fn host(state_dir: PathBuf) -> ExitCode {
    match run(&HostConfig::new(state_dir)) {
        Ok(_) | Err(Error::AlreadyRuns { .. }) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}
