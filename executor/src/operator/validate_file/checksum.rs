//! The checksum that a file should have: from the spec, or from a file beside it.

use std::{fs, io::ErrorKind, path::Path};

use super::finding::{Finding, Findings, Rule};
use crate::operator::{
    digest::{self, Content},
    error::Error,
    location,
    spec::{Checksum, ChecksumAlgorithm},
};

/// A list of checksums beyond this is not one for a person's folder.
const SIDECAR_BYTES_MAX: u64 = 4 << 20;

/// The expected checksum and where it is from.
pub(super) struct Expected {
    sha256: String,
    source: String,
}

/// Finds what the checksum should be; `None` if only a file beside it could tell and there is none.
pub(super) fn expected(checksum: &Checksum, path: &Path) -> Result<Option<Expected>, Error> {
    match checksum {
        Checksum::Short(ChecksumAlgorithm::Sha256) => {
            let mut sidecar = path.as_os_str().to_owned();
            sidecar.push(".sha256");
            from_sidecar(Path::new(&sidecar), path)
        }
        Checksum::Long { expected: Some(text), sidecar: None, .. } => {
            let sha256 = digest::parse_sha256("checksum.expected", text.trim())?;
            Ok(Some(Expected { sha256, source: "the task".to_owned() }))
        }
        Checksum::Long { expected: None, sidecar: Some(text), .. } => {
            let sidecar = location::parse("checksum.sidecar", text)?;
            match from_sidecar(&sidecar, path)? {
                Some(expected) => Ok(Some(expected)),
                None => Err(Error::Missing { path: sidecar }),
            }
        }
        Checksum::Long { .. } => Err(Error::Field {
            field: "checksum",
            message: "give either `expected` or `sidecar`, or `sha256` alone for the file beside it".to_owned(),
        }),
    }
}

pub(super) fn compare(expected: &Expected, content: &Content, findings: &mut Findings) {
    if expected.sha256 == content.sha256 {
        return;
    }
    let message = format!("the sha256 is {}, but {} says {}", content.sha256, expected.source, expected.sha256);
    findings.add_first(Finding::file(Rule::Checksum, message));
}

fn from_sidecar(sidecar: &Path, path: &Path) -> Result<Option<Expected>, Error> {
    match fs::metadata(sidecar) {
        Ok(metadata) if SIDECAR_BYTES_MAX < metadata.len() => {
            return Err(wrong(sidecar, "is too big for a checksum file"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at", sidecar)(error)),
    }
    let text = fs::read_to_string(sidecar).map_err(Error::io("read", sidecar))?;
    match in_list(&text, &location::name(path)) {
        Some(sha256) => Ok(Some(Expected { sha256, source: format!("`{}`", sidecar.display()) })),
        None => Err(wrong(sidecar, &format!("has no sha256 of `{}`", location::name(path)))),
    }
}

fn wrong(sidecar: &Path, message: &str) -> Error {
    Error::Field { field: "checksum", message: format!("`{}` {message}", sidecar.display()) }
}

/// Finds a file's checksum in what `sha256sum`, `shasum` or `openssl dgst` print.
fn in_list(text: &str, name: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if let [line] = lines.as_slice()
        && digest::is_sha256(line)
    {
        return Some(line.to_ascii_lowercase());
    }
    lines.iter().find_map(|line| {
        let (sha256, file) = parse_line(line)?;
        (digest::is_sha256(sha256) && Path::new(file).file_name()?.to_str()? == name)
            .then(|| sha256.to_ascii_lowercase())
    })
}

/// `HEX  NAME`, `HEX *NAME` or `SHA256 (NAME) = HEX`.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    if let Some((tag, rest)) = line.split_once('(')
        && tag.trim().eq_ignore_ascii_case("sha256")
    {
        let (file, sha256) = rest.rsplit_once(')')?;
        return Some((sha256.trim_start_matches([' ', '=']), file));
    }
    let (sha256, file) = line.split_once([' ', '\t'])?;
    Some((sha256, file.trim_start().trim_start_matches('*')))
}
