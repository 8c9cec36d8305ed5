//! As the first process of a container, the program is the child of a host that stays.

use std::process::ExitCode;

use gridflow_executor::local::host::{self, HostConfig, Part};

use crate::{
    failure::{Failure, Result},
    state_dir::StateDir,
};

/// In the first process of a container: runs the host to the container's end, and gives the exit code of the program.
/// Nothing in the program itself, and anywhere else. To be called before there is any thread.
pub fn host_of_container(state_dir: &StateDir) -> Result<Option<ExitCode>> {
    if std::process::id() != 1 {
        return Ok(None);
    }
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::ours("the host of local commands ended, and with it the container").because(error)
    };
    match host::split().map_err(|error| failed(&error))? {
        Part::Program => Ok(None),
        Part::Host(ward) => {
            let config = HostConfig { ward: Some(ward), ..HostConfig::new(state_dir.path().to_owned()) };
            let code = host::run(&config).map_err(|error| failed(&error))?;
            Ok(Some(ExitCode::from(code.unwrap_or(0))))
        }
    }
}
