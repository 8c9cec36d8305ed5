//! Any bytes as a DAG file: a DAG exactly when there is no error, and everything said about it can be shown.
#![no_main]

use gridflow_dag_spec::{Diagnostic, NoFiles, compile, render_json, render_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let compiled = compile("fuzz.yaml", bytes, &NoFiles);
    assert_eq!(compiled.dag.is_none(), compiled.diagnostics.iter().any(Diagnostic::is_error));
    let _ = render_text(&compiled.diagnostics);
    let _ = render_json(&compiled.diagnostics);
});
