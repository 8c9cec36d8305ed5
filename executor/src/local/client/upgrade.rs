//! Having the host replaced by the program that we would start as a host today.

use std::{io, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::{
    super::{
        host::parse_handover_versions,
        program::ProgramFile,
        wire::{FromHost, ToHost, Upgrade},
    },
    Config, Error,
    link::{self, Link},
};

/// For a program that only says which versions it knows.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The host reads its records anew.
const EXEC_TIME_MAX: Duration = Duration::from_secs(10);

/// Does the host run another file than the one we would start?
pub(super) fn is_due(config: &Config, running: Option<ProgramFile>) -> bool {
    let ours = config.host_command.first().and_then(|program| ProgramFile::of(program.as_ref()).ok());
    running.is_some() && ours.is_some() && running != ours
}

/// Asks the host to become our program. It has when this returns; else the old one goes on, and the error says why.
pub(super) async fn upgrade(config: &Config) -> Result<(), Error> {
    let refused = |reason: String| Error::NotUpgraded { reason };
    let command = config.host_command.iter().map(|part| part.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let command = command.ok_or_else(|| refused("the path of the program is no UTF-8".into()))?;
    // The host would not survive a program that does not start, so it is started beside it first.
    let (handover_oldest, handover_newest) = versions(config)
        .await
        .map_err(|error| refused(format!("the new program does not say what it can take over: {error}")))?;
    let mut link = Link::open(&config.state_dir).await.map_err(Error::Connection)?;
    link.push(&ToHost::Upgrade(Upgrade { command, handover_oldest, handover_newest }));
    match timeout(EXEC_TIME_MAX, link.answer()).await {
        Ok(Ok(FromHost::Refused { reason, .. })) => Err(refused(reason)),
        // The connection does not survive the exec; what is behind the socket now is seen from its greeting.
        Ok(Ok(_) | Err(_)) => Ok(()),
        Err(_) => Err(link::silent(config)),
    }
}

async fn versions(config: &Config) -> io::Result<(u32, u32)> {
    let Some((program, arguments)) = config.host_command.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    // As the host will run it.
    command.args(arguments).arg("--handover-versions").env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(ANSWER_TIME_MAX, command.output()).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    parse_handover_versions(&answer).filter(|_| output.status.success()).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{}: {}{}", output.status, answer.trim(), said.trim()))
    })
}
