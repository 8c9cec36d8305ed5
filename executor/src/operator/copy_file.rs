//! `copy_file`: one file, to a place of its own.

use std::{
    fs::{File, FileTimes, Metadata, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{
    Done,
    context::Context,
    digest::{self, Content},
    error::Error,
    location,
    publish::{self, Existing, Part, Renamed},
    spec,
    transfer::{self, Arrival, Transfer},
};

pub(super) fn run(spec: &spec::Transfer, context: &Context, log: &mut dyn Write) -> Result<Done, Error> {
    let work = transfer::parse(spec, context)?;
    let arrival = copy(&work)?;
    Ok(work.done("copied", &arrival, log))
}

fn copy(work: &Transfer) -> Result<Arrival, Error> {
    let Transfer { from, to, existing, .. } = work;
    let expected = work.expected.as_deref();
    let there = location::regular_file_itself(to)?.map(|_| digest::content_of(to)).transpose()?;
    if location::regular_file(from)?.is_none() {
        // An earlier try may have copied it before it went away, which only its checksum can tell.
        return match (there, expected) {
            (Some(content), Some(expected)) if content.sha256 == expected => Ok(Arrival::Before(content)),
            (Some(_) | None, _) => Err(Error::Missing { path: from.clone() }),
        };
    }
    if let Some(there) = there {
        if there == digest::content_of(from)? {
            there.expect(from, expected)?;
            work.write_reason()?;
            return Ok(Arrival::Before(there));
        }
        if *existing == Existing::Keep {
            return Err(Error::TargetExists { path: to.clone() });
        }
    }
    let (part, content) = fill_part(from, to, expected)?;
    work.write_reason()?;
    match part.publish(*existing)? {
        Renamed::Done => Ok(Arrival::Now(content)),
        // Somebody was faster; fine if with the same content.
        Renamed::Taken if digest::content_of(to)? == content => Ok(Arrival::Before(content)),
        Renamed::Taken | Renamed::OtherFileSystem => Err(Error::TargetExists { path: to.clone() }),
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
    let mode = Permissions::from_mode(before.permissions().mode() & 0o777);
    part.file().set_permissions(mode).map_err(Error::io("set the mode of", &path))?;
    let modified = before.modified().map_err(Error::io("look at", from))?;
    part.file().set_times(FileTimes::new().set_modified(modified)).map_err(Error::io("set the times of", &path))?;
    Ok(content)
}
