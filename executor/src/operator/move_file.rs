//! `move_file`: one file, away from where it was. With a reason, the reason is beside it first.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    Done, Verdict,
    context::Context,
    copy_file::{fill_part, output},
    digest::{self, Content},
    error::Error,
    location, origin,
    publish::{self, Existing, Renamed},
    reason, say,
    spec::MoveFile,
};

struct Move {
    from: PathBuf,
    to: PathBuf,
    existing: Existing,
    expected: Option<String>,
    /// DAG and run, by which a repeated move knows its file.
    run: String,
    /// The reason and where it goes.
    reason: Option<(PathBuf, Value)>,
}

/// What a look at both ends found.
enum Situation {
    /// The source is there, the target is free or may be replaced.
    ToDo(Content),
    /// An earlier try got as far as the target; the source may still be there.
    Arrived(Content),
}

pub(super) fn run(spec: &MoveFile, context: &Context, log: &mut dyn Write) -> Result<Done, Error> {
    let work = plan(spec, context)?;
    let (content, is_new) = match look(&work)? {
        Situation::ToDo(content) => {
            write_reason(&work)?;
            (carry(&work, content)?, true)
        }
        Situation::Arrived(content) => {
            write_reason(&work)?;
            remove_source(&work)?;
            (content, false)
        }
    };
    let (from, to) = (work.from.display(), work.to.display());
    let did = if is_new { "moved" } else { "is there already:" };
    say(log, &format!("{did} `{from}` to `{to}`: {} bytes, sha256 {}", content.bytes, content.sha256));

    let mut output = output(&work.to, &content);
    if let Some((place, _)) = &work.reason {
        say(log, &format!("the reason is in `{}`", place.display()));
        output["reason_file"] = Value::from(place.to_string_lossy());
    }
    Ok(Done { verdict: Verdict::Good, output })
}

fn plan(spec: &MoveFile, context: &Context) -> Result<Move, Error> {
    let from = location::parse("from", &spec.from)?;
    let to = location::parse_target("to", &spec.to, &from)?;
    if spec.reason.is_none() && spec.reason_file.is_some() {
        return Err(Error::Field { field: "reason_file", message: "there is no `reason` to write there".to_owned() });
    }
    let reason = match &spec.reason {
        None => None,
        Some(given) => {
            let place = match &spec.reason_file {
                Some(text) => reason::parse_place(text, &from)?,
                None => reason::beside(&to),
            };
            let mut text = json!({"file": location::name(&from), "from": from.to_string_lossy()});
            text.as_object_mut().expect("made as an object one line above").extend(context.names());
            text["reason"] = given.clone();
            Some((place, text))
        }
    };
    Ok(Move {
        expected: spec.sha256.as_deref().map(|text| digest::parse_sha256("sha256", text)).transpose()?,
        existing: Existing::from_overwrite(spec.overwrite),
        run: context.run(),
        from,
        to,
        reason,
    })
}

fn look(work: &Move) -> Result<Situation, Error> {
    let Move { from, to, .. } = work;
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

/// The reason comes first: a refused file that nobody can explain is worse than a reason that waits for its file.
fn write_reason(work: &Move) -> Result<(), Error> {
    match &work.reason {
        Some((place, text)) => reason::write(place, text),
        None => Ok(()),
    }
}

fn carry(work: &Move, content: Content) -> Result<Content, Error> {
    let Move { from, to, existing, .. } = work;
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
fn carry_across(work: &Move) -> Result<Content, Error> {
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
fn taken(work: &Move, content: Content) -> Result<Content, Error> {
    if digest::content_of(&work.to)? != content {
        return Err(Error::TargetExists { path: work.to.clone() });
    }
    remove_source(work)?;
    Ok(content)
}

/// Removes the source, unless it *is* the target under another spelling.
fn remove_source(work: &Move) -> Result<(), Error> {
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
