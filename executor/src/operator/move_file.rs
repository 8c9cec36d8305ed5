//! `move_file`: one file, away from where it was. With a reason, the reason is beside it first.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{
    Done,
    context::Context,
    copy_file::fill_part,
    digest::{self, Content},
    error::Error,
    location, origin,
    publish::{self, Existing, Renamed},
    spec,
    transfer::{self, Arrival, Transfer},
};

/// What a look at both ends found.
enum Situation {
    /// The source is there, the target is free or may be replaced.
    ToDo(Content),
    /// An earlier try got as far as the target; the source may still be there.
    Arrived(Content),
}

pub(super) fn run(spec: &spec::Transfer, context: &Context, log: &mut dyn Write) -> Result<Done, Error> {
    let work = transfer::parse(spec, context)?;
    let situation = look(&work)?;
    work.write_reason()?;
    let arrival = match situation {
        Situation::ToDo(content) => Arrival::Now(carry(&work, content)?),
        Situation::Arrived(content) => {
            remove_source(&work)?;
            Arrival::Before(content)
        }
    };
    Ok(work.done("moved", &arrival, log))
}

fn look(work: &Transfer) -> Result<Situation, Error> {
    let Transfer { from, to, .. } = work;
    let expected = work.expected.as_deref();
    let source = location::regular_file_itself(from)?;
    let there = location::regular_file_itself(to)?.map(|_| digest::content_of(to)).transpose()?;
    match (source, there) {
        (None, None) => Err(Error::Missing { path: from.clone() }),
        (None, Some(there)) => match expected {
            Some(expected) if there.sha256 == expected => Ok(Situation::Arrived(there)),
            None if origin::is(to, from, &work.run) => Ok(Situation::Arrived(there)),
            Some(_) | None => Err(Error::MovedUnproven { from: from.clone(), to: to.clone() }),
        },
        (Some(_), there) => {
            let content = digest::content_of(from)?;
            content.expect(from, expected)?;
            match there {
                Some(there) if there == content => Ok(Situation::Arrived(content)),
                Some(_) if work.existing == Existing::Keep => Err(Error::TargetExists { path: to.clone() }),
                Some(_) | None => Ok(Situation::ToDo(content)),
            }
        }
    }
}

fn carry(work: &Transfer, content: Content) -> Result<Content, Error> {
    let Transfer { from, to, existing, .. } = work;
    publish::create_folder(publish::folder_of(to))?;
    File::open(from).and_then(|file| file.sync_all()).map_err(Error::io("sync", from))?;
    origin::note(from, from, &work.run);
    match publish::rename(from, to, *existing)? {
        Renamed::Done => {
            publish::sync_folder(publish::folder_of(to))?;
            publish::sync_folder(publish::folder_of(from))?;
            Ok(content)
        }
        Renamed::Taken => taken(work, content),
        Renamed::OtherFileSystem => carry_across(work),
    }
}

/// Another file system: copy, read back, publish, and only then let go of the source.
fn carry_across(work: &Transfer) -> Result<Content, Error> {
    let (part, content) = fill_part(&work.from, &work.to, work.expected.as_deref())?;
    if digest::content_of(part.path())? != content {
        let path = part.path().to_owned();
        part.discard();
        return Err(Error::ReadBack { path });
    }
    origin::note(part.path(), &work.from, &work.run);
    match part.publish(work.existing)? {
        Renamed::Done => {
            remove_source(work)?;
            Ok(content)
        }
        Renamed::Taken | Renamed::OtherFileSystem => taken(work, content),
    }
}

/// Somebody took the target's name since we looked. With the same content it is as good as ours.
fn taken(work: &Transfer, content: Content) -> Result<Content, Error> {
    if digest::content_of(&work.to)? != content {
        return Err(Error::TargetExists { path: work.to.clone() });
    }
    remove_source(work)?;
    Ok(content)
}

/// Removes the source, unless it *is* the target under another spelling.
fn remove_source(work: &Transfer) -> Result<(), Error> {
    let Some(source) = location::regular_file_itself(&work.from)? else { return Ok(()) };
    if is_one_name(&work.from, &work.to, &source)? {
        return Ok(());
    }
    fs::remove_file(&work.from).map_err(Error::io("remove", &work.from))?;
    publish::sync_folder(publish::folder_of(&work.from))
}

/// Whether two paths are one name of one file. Two hard links to one file are two names.
fn is_one_name(from: &Path, to: &Path, source: &fs::Metadata) -> Result<bool, Error> {
    let target = fs::symlink_metadata(to).map_err(Error::io("look at", to))?;
    if (source.dev(), source.ino()) != (target.dev(), target.ino()) {
        return Ok(false);
    }
    // One link means that both paths end at the same name, however they are spelt.
    if source.nlink() == 1 {
        return Ok(true);
    }
    let real = |path: &Path| fs::canonicalize(path).map_err(Error::io("look at", path));
    Ok(real(from)? == real(to)?)
}
