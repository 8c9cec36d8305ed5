//! What a DAG has from outside its file: `gridflow.yaml` at the root of its bundle, and the server's own defaults.
//!
//! Both are files of the DAG's version, stored and hashed with it: what a run is pinned to means the same on every
//! scheduler and in every web server, whatever the folder or the server says by then.

use std::sync::Arc;

use crate::{
    code::Code,
    dag::TaskDefaults,
    diagnostic::Diagnostic,
    files::{FileError, Files},
    limit::YAML_BYTES_MAX,
    read::{Cx, Fields, Spec, spec},
    source::Source,
    template::Template,
    yaml,
};

/// The name of the file at the root of a bundle.
pub const BUNDLE_FILE: &str = "gridflow.yaml";

/// Where a version keeps it. No DAG can name a path that begins with `/`.
const OF_BUNDLE: &str = "/gridflow.yaml";
/// Where a version keeps the server's defaults, and where [`Files`] are asked for them.
pub const SERVER_FILE: &str = "//server.yaml";
/// How messages name them: the text was made from a part of the clusters file.
const SERVER_FILE_SHOWN: &str = "defaults of the clusters file";

spec! {
    /// The file `gridflow.yaml` at the root of a bundle, which is the folder of DAGs: what holds for all DAGs in it.
    pub struct BundleKeys "bundle" {
        /// Task keys that every task of the bundle has unless its DAG says otherwise. Paths of files begin at the root
        /// of the bundle.
        pub defaults: Option<TaskDefaults>,
    }
}

/// What outer levels say, the bundle over the server.
pub struct Inherited {
    pub defaults: TaskDefaults,
    /// Every template in it, with places that the context knows.
    pub templates: Vec<Template>,
}

/// Reads what a DAG inherits, and takes it into the version. What is wrong in it is reported.
pub fn read(cx: &mut Cx<'_>) -> Inherited {
    let outer = std::mem::take(&mut cx.templates);
    let server = level(SERVER_FILE, SERVER_FILE_SHOWN, cx);
    let bundle = level(OF_BUNDLE, BUNDLE_FILE, cx);
    let templates = std::mem::replace(&mut cx.templates, outer);
    let defaults = match (bundle, server) {
        (Some(bundle), Some(server)) => bundle.over(&server),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => TaskDefaults::none(),
    };
    Inherited { defaults, templates }
}

fn level(path: &str, shown: &str, cx: &mut Cx<'_>) -> Option<TaskDefaults> {
    let access = cx.access();
    let bytes = match access.read(path) {
        Ok(bytes) => bytes,
        Err(FileError::NotFound) => return None,
        Err(error) => {
            let message = format!("cannot read `{shown}`: {error}");
            cx.diagnostics.push(Diagnostic::of_file(shown, Code::FileUnreadable, message));
            return None;
        }
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) if text.len() <= YAML_BYTES_MAX => text.strip_prefix('\u{feff}').unwrap_or(text),
        Ok(_) => {
            let message = format!("the file has more than {YAML_BYTES_MAX} bytes");
            cx.diagnostics.push(Diagnostic::of_file(shown, Code::TooLarge, message));
            return None;
        }
        Err(_) => {
            let diagnostic = Diagnostic::of_file(shown, Code::NotUtf8, "the file is not UTF-8");
            cx.diagnostics.push(diagnostic.help("save the file as UTF-8"));
            return None;
        }
    };
    let source = Source::new(shown, text);
    let at_root = AtRoot(access);
    let mut inner = Cx::new(&source, &at_root);
    let keys = keys(&source, &mut inner);
    let parts = inner.into_parts();
    cx.files.insert(path.to_owned(), bytes.clone());
    cx.files.extend(parts.files.iter().map(|(path, bytes)| (format!("/{path}"), bytes.clone())));
    let start = cx.adopt(source, parts);
    Some(keys?.defaults?.moved(start))
}

/// An empty file says nothing, which is no mistake.
fn keys(source: &Source, cx: &mut Cx<'_>) -> Option<BundleKeys> {
    let mut diagnostics = Vec::new();
    let root = yaml::parse(source, &mut diagnostics);
    cx.diagnostics = diagnostics;
    let root = root.filter(|root| !root.is_null())?;
    let Some(map) = root.map() else {
        cx.wrong_type(&root, "a map with `defaults:`");
        return None;
    };
    let mut fields = Fields::new(&root, map, cx);
    let keys = BundleKeys::read_fields(&mut fields, cx);
    fields.finish("the file of a bundle", cx);
    keys
}

/// Files by their paths from the root of the bundle.
struct AtRoot<'a>(&'a dyn Files);

impl Files for AtRoot<'_> {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError> {
        self.0.read(&format!("/{relative}"))
    }
}
