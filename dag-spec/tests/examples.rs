//! Every DAG of `examples/` compiles without a word to say about it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridflow_dag_spec::{FileError, Files, compile};

struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError> {
        fs::read(self.0.join(relative)).map(Into::into).map_err(|_| FileError::NotFound)
    }
}

#[test]
fn every_example_compiles_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut compiled = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "yaml") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let compilation = compile(name, &fs::read(&path).unwrap(), &Folder(folder.clone()));
        assert!(compilation.diagnostics.is_empty(), "{}", gridflow_dag_spec::render_text(&compilation.diagnostics));
        compiled.push(compilation.dag.expect("without an error there is a DAG"));
    }
    assert!(8 <= compiled.len(), "the examples are somewhere else");
}
