//! `copy_file`: one file, to a place of its own.

use std::{
    fs::{File, FileTimes, Metadata},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::json;

use super::{
    Done, Verdict,
    digest::{self, Content},
    error::Error,
    location,
    publish::{self, Existing, Part, Renamed},
    say,
    spec::CopyFile,
};

pub(super) fn run(spec: &CopyFile, log: &mut dyn Write) -> Result<Done, Error> {
    let from = location::parse("from", &spec.from)?;
    let to = location::parse_target("to", &spec.to, &from)?;
    let expected = spec.sha256.as_deref().map(|text| digest::parse_sha256("sha256", text)).transpose()?;

    let (content, is_new) = copy(&from, &to, Existing::from_overwrite(spec.overwrite), expected.as_deref())?;
    let did = if is_new { "copied" } else { "is there already:" };
    say(
        log,
        &format!(
            "{did} `{}` to `{}`: {} bytes, sha256 {}",
            from.display(),
            to.display(),
            content.bytes,
            content.sha256
        ),
    );
    Ok(Done { verdict: Verdict::Good, output: output(&to, &content) })
}

/// The output of a copy or a move.
pub(super) fn output(to: &Path, content: &Content) -> serde_json::Value {
    json!({
        "path": to.to_string_lossy(),
        "uri": location::uri(to),
        "name": location::name(to),
        "bytes": content.bytes,
        "sha256": content.sha256,
    })
}

/// Copies; says what is at the target now, and whether this call put it there.
fn copy(from: &Path, to: &Path, existing: Existing, expected: Option<&str>) -> Result<(Content, bool), Error> {
    let there = location::regular_file_itself(to)?.map(|_| digest::content_of(to)).transpose()?;
    if location::regular_file(from)?.is_none() {
        // An earlier try may have copied it before it went away, which only its checksum can tell.
        return match (there, expected) {
            (Some(content), Some(expected)) if content.sha256 == expected => Ok((content, false)),
            (Some(_) | None, _) => Err(Error::Missing { path: from.to_owned() }),
        };
    }
    if let Some(content) = there {
        if content == digest::content_of(from)? {
            content.expect(from, expected)?;
            return Ok((content, false));
        }
        if existing == Existing::Keep {
            return Err(Error::TargetExists { path: to.to_owned() });
        }
    }
    let (part, content) = fill_part(from, to, expected)?;
    match part.publish(existing)? {
        Renamed::Done => Ok((content, true)),
        // Somebody was faster; fine if with the same content.
        Renamed::Taken if digest::content_of(to)? == content => Ok((content, false)),
        Renamed::Taken | Renamed::OtherFileSystem => Err(Error::TargetExists { path: to.to_owned() }),
    }
}

/// Writes the content, mode and times of `from` into a part file of `to`.
pub(super) fn fill_part(from: &Path, to: &Path, expected: Option<&str>) -> Result<(Part, Content), Error> {
    let mut source = File::open(from).map_err(Error::io("open", from))?;
    let before = source.metadata().map_err(Error::io("look at", from))?;
    let mut part = publish::stage(to, &from.to_string_lossy())?;
    match fill(&mut source, &before, from, &mut part, expected) {
        Ok(content) => Ok((part, content)),
        Err(error) => {
            part.discard();
            Err(error)
        }
    }
}

fn fill(
    source: &mut File,
    before: &Metadata,
    from: &Path,
    part: &mut Part,
    expected: Option<&str>,
) -> Result<Content, Error> {
    let path = part.path().to_owned();
    let content = digest::copy_content(source, part.file()).map_err(Error::io("copy into", &path))?;
    digest::unchanged(from, source, before)?;
    content.expect(from, expected)?;
    let mode = std::fs::Permissions::from_mode(before.permissions().mode() & 0o777);
    part.file().set_permissions(mode).map_err(Error::io("set the mode of", &path))?;
    let modified = before.modified().map_err(Error::io("look at", from))?;
    part.file().set_times(FileTimes::new().set_modified(modified)).map_err(Error::io("set the times of", &path))?;
    Ok(content)
}
