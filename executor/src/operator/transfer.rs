//! What a copy and a move have in common: from, to, what the file must be, and why it goes there.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    Done, Verdict,
    context::Context,
    digest::{self, Content},
    error::Error,
    location,
    publish::Existing,
    reason, say, spec,
};

/// A transfer with everything parsed.
pub(super) struct Transfer {
    pub from: PathBuf,
    pub to: PathBuf,
    pub existing: Existing,
    pub expected: Option<String>,
    /// DAG and run, by which a repeated move knows its file.
    pub run: String,
    /// The reason and where it goes.
    reason: Option<(PathBuf, Value)>,
}

/// How a transfer ended: the content at the target, and who put it there.
pub(super) enum Arrival {
    Now(Content),
    /// An earlier try, or somebody else with the same content.
    Before(Content),
}

pub(super) fn parse(spec: &spec::Transfer, context: &Context) -> Result<Transfer, Error> {
    let from = location::parse("from", &spec.from)?;
    let to = location::parse_target("to", &spec.to, &from)?;
    let reason = match (&spec.reason, &spec.reason_file) {
        (None, None) => None,
        (None, Some(_)) => {
            let message = "there is no `reason` to write there".to_owned();
            return Err(Error::Field { field: "reason_file", message });
        }
        (Some(given), place) => {
            let place = match place {
                Some(text) => reason::parse_place(text, &from)?,
                None => reason::beside(&to),
            };
            Some((place, reason_of(&from, given, context)))
        }
    };
    Ok(Transfer {
        expected: spec.sha256.as_deref().map(|text| digest::parse_sha256("sha256", text)).transpose()?,
        existing: Existing::from_overwrite(spec.overwrite),
        run: context.run(),
        from,
        to,
        reason,
    })
}

fn reason_of(from: &Path, given: &Value, context: &Context) -> Value {
    let mut text = json!({"file": location::name(from), "from": from.to_string_lossy()});
    text.as_object_mut().expect("made as an object one line above").extend(context.names());
    text["reason"] = given.clone();
    text
}

impl Transfer {
    /// The reason comes before the file: a refused file that nobody can explain is worse than a reason
    /// that waits for its file.
    pub fn write_reason(&self) -> Result<(), Error> {
        match &self.reason {
            Some((place, text)) => reason::write(place, text),
            None => Ok(()),
        }
    }

    /// Tells the log, and makes the output.
    pub fn done(&self, verb: &str, arrival: &Arrival, log: &mut dyn Write) -> Done {
        let (did, content) = match arrival {
            Arrival::Now(content) => (verb, content),
            Arrival::Before(content) => ("is there already:", content),
        };
        let (from, to) = (self.from.display(), self.to.display());
        say(log, &format!("{did} `{from}` to `{to}`: {} bytes, sha256 {}", content.bytes, content.sha256));
        let mut output = json!({
            "path": self.to.to_string_lossy(),
            "uri": location::uri(&self.to),
            "name": location::name(&self.to),
            "bytes": content.bytes,
            "sha256": content.sha256,
        });
        if let Some((place, _)) = &self.reason {
            say(log, &format!("the reason is in `{}`", place.display()));
            output["reason_file"] = Value::from(place.to_string_lossy());
        }
        Done { verdict: Verdict::Good, output }
    }
}
