//! `gridflow-pod`: the small program in a task's pod. Statically linked, so that it runs in any image.

mod init;
mod output;
mod run;
mod say;
mod signals;

use std::{path::PathBuf, process::ExitCode};

use gridflow_pod::layout;

const USAGE: &str = "usage: gridflow-pod init [--payload DIR] [--root DIR]
       gridflow-pod run [--message FILE] [--message-max BYTES] [--codes-tell-signals] -- COMMAND [ARG]…

Runs in the pods of Gridflow's tasks: `init` lays out the task's files, `run` runs its command and hands over its output.";

/// Told apart from what commands return.
const USAGE_ERROR: u8 = 64;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next();
    let code = match verb.as_deref().and_then(|verb| verb.to_str()) {
        Some("init") => init_options(args).map(|options| init::init(&options)),
        Some("run") => run_options(args).map(|options| run::run(&options)),
        Some("--version") => {
            say::answer(concat!("gridflow-pod ", env!("CARGO_PKG_VERSION")));
            Ok(0)
        }
        Some(_) | None => Err("a verb is needed".to_owned()),
    };
    ExitCode::from(code.unwrap_or_else(|problem| {
        say::problem(&format!("gridflow-pod: {problem}\n{USAGE}"));
        USAGE_ERROR
    }))
}

type Args = std::iter::Skip<std::env::ArgsOs>;

fn init_options(mut args: Args) -> Result<init::Options, String> {
    let mut options = init::Options { payload: layout::PAYLOAD.into(), root: layout::ROOT.into() };
    while let Some(name) = args.next() {
        match name.to_str() {
            Some("--payload") => options.payload = value(&name, args.next())?,
            Some("--root") => options.root = value(&name, args.next())?,
            Some(_) | None => return Err(unknown(&name)),
        }
    }
    Ok(options)
}

fn run_options(mut args: Args) -> Result<run::Options, String> {
    let mut options = run::Options {
        message: layout::TERMINATION_MESSAGE.into(),
        message_bytes_max: layout::MESSAGE_BYTES_MAX,
        codes_tell_signals: false,
        command: Vec::new(),
    };
    while let Some(name) = args.next() {
        match name.to_str() {
            Some("--message") => options.message = value(&name, args.next())?,
            Some("--message-max") => {
                let text = value(&name, args.next())?;
                let number = text.to_str().and_then(|text| text.parse().ok());
                options.message_bytes_max = number.ok_or("`--message-max` is a number of bytes")?;
            }
            Some("--codes-tell-signals") => options.codes_tell_signals = true,
            Some("--") => {
                options.command = args.collect();
                break;
            }
            Some(_) | None => return Err(unknown(&name)),
        }
    }
    if options.command.is_empty() {
        return Err("`run` needs a command behind `--`".to_owned());
    }
    Ok(options)
}

fn value(name: &std::ffi::OsStr, value: Option<std::ffi::OsString>) -> Result<PathBuf, String> {
    value.map(PathBuf::from).ok_or_else(|| format!("`{}` needs a value", name.display()))
}

fn unknown(name: &std::ffi::OsStr) -> String {
    format!("`{}` is not known", name.display())
}
