//! A DAG file becomes a DAG, or a list of what is wrong with it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use gridflow_dag_spec::{BUNDLE_FILE, Code, Compilation, Diagnostic, FILE_BYTES_MAX, FileError, Files, YAML_BYTES_MAX};

use super::{
    files::{self, BundleFiles, Dependency},
    snapshot::{FileState, LoadedDag},
    walk::{IGNORE_FILE, plain},
};

/// A file that was named by a person: always a DAG, also where a scan would pass it over.
///
/// Its bundle is the nearest folder upwards that looks like the root of one, else its own folder.
/// Diagnostics name the file as it was given.
pub fn compile_file(path: &Path) -> Result<LoadedDag, Vec<Diagnostic>> {
    let shown = path.to_string_lossy();
    let real = path.canonicalize().map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { Code::MissingFile } else { Code::FileUnreadable };
        vec![Diagnostic::of_file(&shown, code, format!("cannot read `{shown}`: {}", plain(&error)))]
    })?;
    let root = root_of(&real);
    let bytes = match files::read(&root, &real, YAML_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) => return Err(vec![unreadable(&shown, &error)]),
    };
    let relative = real.strip_prefix(&root).unwrap_or(&real).to_string_lossy().into_owned();
    let files = BundleFiles::of(&root, &relative, FILE_BYTES_MAX);
    compile(&shown, &bytes, &files)
}

/// What a file of a scanned folder is, and which files it stands on.
pub(crate) fn compile_in(
    (root, server): (&Path, Option<&Arc<[u8]>>),
    path: &Arc<str>,
    bytes: &[u8],
) -> (FileState, BTreeMap<PathBuf, Dependency>) {
    let files = BundleFiles::of(root, path, FILE_BYTES_MAX).under(server.cloned());
    let state = match compile(path, bytes, &files) {
        Ok(loaded) => FileState::Dag(Arc::new(loaded)),
        Err(diagnostics) => FileState::Broken(diagnostics.into()),
    };
    (state, files.into_dependencies())
}

fn compile(path: &str, bytes: &[u8], files: &dyn Files) -> Result<LoadedDag, Vec<Diagnostic>> {
    // A bug in the compiler must cost one file, not the loader with all the others.
    let compiled = catch_unwind(AssertUnwindSafe(|| gridflow_dag_spec::compile(path, bytes, files)));
    let Compilation { dag, diagnostics } = compiled.unwrap_or_else(|_| {
        let diagnostic = Diagnostic::of_file(path, Code::Syntax, "the compiler failed on this file".to_owned());
        let diagnostics = vec![diagnostic.help("this is a bug of Gridflow: please report it with the file")];
        Compilation { dag: None, diagnostics }
    });
    match dag {
        Some(compiled) => Ok(LoadedDag { path: path.into(), compiled }),
        None => Err(diagnostics),
    }
}

pub(crate) fn unreadable(path: &str, error: &FileError) -> Diagnostic {
    let code = match error {
        FileError::NotFound => Code::MissingFile,
        FileError::Outside => Code::FileOutside,
        FileError::TooLarge => Code::TooLarge,
        FileError::Unreadable(_) => Code::FileUnreadable,
    };
    let diagnostic = Diagnostic::of_file(path, code, format!("cannot read `{path}`: {error}"));
    match error {
        FileError::NotFound => diagnostic,
        FileError::Outside => diagnostic.help("put the file itself into the bundle instead of a link"),
        FileError::TooLarge => diagnostic.help(format!("a DAG file has at most {} MiB", YAML_BYTES_MAX >> 20)),
        FileError::Unreadable(_) => diagnostic.help("check its permissions; it is loaded as soon as it can be read"),
    }
}

/// The root of the bundle that a single file belongs to.
fn root_of(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new("/"));
    let is_root = |dir: &&Path| [BUNDLE_FILE, IGNORE_FILE, ".git"].iter().any(|name| dir.join(name).exists());
    own.ancestors().find(is_root).unwrap_or(own).to_owned()
}
