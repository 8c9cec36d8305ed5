//! Files as the two keys of a Secret: an index, and all contents one behind the other.
//!
//! Keys of a Secret can't be paths, and the kubelet makes a file, a link and a write of every key: two keys serve any
//! number of files.

use std::path::{Component, Path};

use serde_json::{Value, json};

pub const INDEX: &str = "index.json";
pub const CONTENT: &str = "content";

/// Below what a Secret may hold (1 MiB), with room for what else the object carries.
pub const BYTES_MAX: usize = 1_000_000;

/// Why files do not fit, or cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    TooLarge { bytes: usize },
    Outside { path: String },
    Twice { path: String },
    Damaged { what: &'static str },
}

impl std::error::Error for Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "the task's files and context have {bytes} bytes, and a pod can be given {BYTES_MAX}; keep large files \
                 in the image or in storage"
            ),
            Self::Outside { path } => {
                write!(f, "the file `{path}` would lie outside of the task's working directory")
            }
            Self::Twice { path } => write!(f, "the file `{path}` is there twice"),
            Self::Damaged { what } => write!(f, "the payload is damaged: {what}"),
        }
    }
}

/// The keys of the Secret.
pub fn pack<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<[(&'static str, Vec<u8>); 2], Error> {
    let mut index = Vec::new();
    let mut content = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (path, bytes) in files {
        if !stays_inside(path) {
            return Err(Error::Outside { path: path.to_owned() });
        }
        if !seen.insert(path) {
            return Err(Error::Twice { path: path.to_owned() });
        }
        index.push(json!({ "path": path, "bytes": bytes.len() }));
        content.extend_from_slice(bytes);
    }
    let index = json!({ "files": index }).to_string().into_bytes();
    let bytes = index.len() + content.len();
    if BYTES_MAX < bytes {
        return Err(Error::TooLarge { bytes });
    }
    Ok([(INDEX, index), (CONTENT, content)])
}

/// The inverse of [`pack`]. Nothing leaves the working folder, whatever the index says.
pub fn unpack<'a>(index: &[u8], content: &'a [u8]) -> Result<Vec<(String, &'a [u8])>, Error> {
    let damaged = |what| Error::Damaged { what };
    let index: Value = serde_json::from_slice(index).map_err(|_| damaged("its index is no JSON"))?;
    let entries = index["files"].as_array().ok_or(damaged("its index has no files"))?;
    let mut rest = content;
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries {
        let path = entry["path"].as_str().ok_or(damaged("a file has no path"))?;
        if !stays_inside(path) {
            return Err(Error::Outside { path: path.to_owned() });
        }
        let bytes = entry["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
        let (file, behind) =
            bytes.and_then(|bytes| rest.split_at_checked(bytes)).ok_or(damaged("a file is cut off"))?;
        rest = behind;
        files.push((path.to_owned(), file));
    }
    Ok(files)
}

fn stays_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_cannot_leave_the_working_folder_on_either_side() {
        for path in ["", "/etc/passwd", "../x", "a/../../x"] {
            assert_eq!(pack([(path, &b"x"[..])]), Err(Error::Outside { path: path.to_owned() }));
            let index = json!({ "files": [{ "path": path, "bytes": 1 }] }).to_string();
            assert_eq!(unpack(index.as_bytes(), b"x"), Err(Error::Outside { path: path.to_owned() }));
        }
    }

    #[test]
    fn what_does_not_fit_into_a_secret_says_how_much_it_is() {
        let large = vec![b'x'; BYTES_MAX];
        let error = pack([("large.csv", &large[..])]).unwrap_err().to_string();
        assert!(error.contains("have 1000048 bytes, and a pod can be given 1000000"), "{error}");
    }

    #[test]
    fn a_damaged_payload_is_told_and_not_half_used() {
        assert_eq!(unpack(b"{", b""), Err(Error::Damaged { what: "its index is no JSON" }));
        assert_eq!(unpack(b"{}", b""), Err(Error::Damaged { what: "its index has no files" }));
        let index = json!({ "files": [{ "path": "a", "bytes": 3 }] }).to_string();
        assert_eq!(unpack(index.as_bytes(), b"xy"), Err(Error::Damaged { what: "a file is cut off" }));
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(contents in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let files: Vec<_> = contents.iter().enumerate().map(|(n, bytes)| (format!("d{n}/f"), bytes)).collect();
            let [(_, index), (_, content)] = pack(files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..]))).unwrap();
            let back = unpack(&index, &content).unwrap();
            prop_assert_eq!(back.len(), files.len());
            for ((path, bytes), (path_back, bytes_back)) in files.iter().zip(back) {
                prop_assert_eq!(path, &path_back);
                prop_assert_eq!(&bytes[..], bytes_back);
            }
        }
    }
}
