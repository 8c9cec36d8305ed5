//! Which files a trigger is about.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use globset::{Glob, GlobSet, GlobSetBuilder};
use gridflow_dag_spec::FileTrigger;
use serde_json::{Value, json};

/// The folder of a trigger and the names it looks for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub folder: PathBuf,
    pub is_recursive: bool,
    globs: Vec<String>,
    suffixes: Vec<String>,
    matcher: GlobSet,
}

impl Scope {
    /// A relative folder begins at the root of the bundle.
    pub fn of(root: &Path, spec: &FileTrigger) -> Result<Self, globset::Error> {
        Self::new(watched(root, Path::new(&spec.path)), spec.recursive, spec.glob.clone(), spec.suffix.clone())
    }

    fn new(
        folder: PathBuf,
        is_recursive: bool,
        globs: Vec<String>,
        suffixes: Vec<String>,
    ) -> Result<Self, globset::Error> {
        let mut matcher = GlobSetBuilder::new();
        for glob in &globs {
            matcher.add(Glob::new(glob)?);
        }
        // Without `.` and `..` in between, two spellings of a folder are one.
        let folder = folder.components().collect();
        Ok(Self { folder, is_recursive, globs, suffixes, matcher: matcher.build()? })
    }

    /// Whether a file is one of those looked for, by its path.
    ///
    /// Hidden files are not, unless a pattern begins with a dot itself: tools that copy in steps
    /// (rsync, browsers) write them under such a name first.
    pub fn covers(&self, path: &Path) -> bool {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else { return false };
        let is_in_place = if self.is_recursive { dir.starts_with(&self.folder) } else { dir == self.folder };
        let is_shown = !name.starts_with('.') || self.globs.iter().any(|glob| glob.starts_with('.'));
        let fits_glob = self.globs.is_empty() || self.matcher.is_match(name);
        let fits_suffix =
            self.suffixes.is_empty() || self.suffixes.iter().any(|suffix| name.ends_with(suffix.as_str()));
        is_in_place && is_shown && fits_glob && fits_suffix
    }

    /// For the trigger's cursor: what it has been looking at.
    pub fn to_json(&self) -> Value {
        json!({
            "folder": self.folder.to_string_lossy(),
            "recursive": self.is_recursive,
            "glob": self.globs,
            "suffix": self.suffixes,
        })
    }

    /// None where a cursor holds something else.
    pub fn from_json(value: &Value) -> Option<Self> {
        let texts = |name: &str| -> Option<Vec<String>> {
            value.get(name)?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let folder = value.get("folder")?.as_str()?.into();
        Self::new(folder, value.get("recursive")?.as_bool()?, texts("glob")?, texts("suffix")?).ok()
    }
}

/// The folder that a path in a DAG file names, the same wherever the scheduler was started.
///
/// A `..` at its beginning is taken out: no link is left in the root, so it means the root's parent.
fn watched(root: &Path, path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let mut folder = root.canonicalize().unwrap_or_else(|_| absolute());
    let mut rest = path;
    while let Ok(below) = rest.strip_prefix("..") {
        folder.pop();
        rest = below;
    }
    folder.join(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_beside_the_dags_is_named_without_a_detour() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let dags = root.join("dags");
        std::fs::create_dir(&dags).unwrap();
        assert_eq!(watched(&dags, Path::new("../data/in")), root.join("data/in"));
        assert_eq!(watched(&dags, Path::new("in")), dags.join("in"));
        assert_eq!(watched(&dags, Path::new("/in")), Path::new("/in"));
        std::os::unix::fs::symlink(&dags, root.join("link")).unwrap();
        assert_eq!(watched(&root.join("link"), Path::new("../in")), root.join("in"));
    }

    fn scope(is_recursive: bool, globs: &[&str], suffixes: &[&str]) -> Scope {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Scope::new("/in/./box/".into(), is_recursive, texts(globs), texts(suffixes)).unwrap()
    }

    #[test]
    fn a_scope_is_a_folder_and_names() {
        let plain = scope(false, &[], &[]);
        assert!(plain.covers(Path::new("/in/box/a.csv")));
        assert!(!plain.covers(Path::new("/in/box/sub/a.csv")));
        assert!(!plain.covers(Path::new("/in/box/.a.csv.Xy12")));
        assert!(scope(true, &[], &[]).covers(Path::new("/in/box/sub/a.csv")));
        assert!(!scope(true, &[], &[]).covers(Path::new("/in/boxes/a.csv")));

        let csv = scope(false, &["orders-??.csv", "*.json"], &[]);
        assert!(csv.covers(Path::new("/in/box/orders-01.csv")) && csv.covers(Path::new("/in/box/x.json")));
        assert!(!csv.covers(Path::new("/in/box/orders-1.csv")));
        assert!(scope(false, &[], &[".csv", ".json"]).covers(Path::new("/in/box/x.json")));
        assert!(scope(false, &[".env*"], &[]).covers(Path::new("/in/box/.env.local")));
    }

    #[test]
    fn a_cursor_brings_a_scope_back() {
        let scope = scope(true, &["*.csv"], &[".csv"]);
        let back = Scope::from_json(&scope.to_json()).unwrap();
        assert_eq!(back.to_json(), scope.to_json());
        assert!(back.covers(Path::new("/in/box/x/y.csv")));
        assert!(Scope::from_json(&json!({"folder": 1})).is_none());
    }
}
