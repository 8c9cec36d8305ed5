//! The pages of codes, the reference and the schema: complete, true and current.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::*;
use crate::{Code, bundle_schema, clusters_schema, json_schema, reference_markdown};

/// Files that examples refer to.
const FILES: &[(&str, &str)] = &[("extract.sh", "echo extract\n"), ("jobs/load.py", "def main(day): return day\n")];

fn codes_of(yaml: &str) -> Vec<Code> {
    compile("dags/demo.yaml", yaml.as_bytes(), &in_memory(FILES)).diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn the_wrong_example_of_each_code_gives_that_code_and_no_other() {
    for code in Code::ALL.iter().filter(|code| !code.page().bad.is_empty()) {
        let found: BTreeSet<_> = codes_of(code.page().bad).into_iter().collect();
        assert_eq!(found, BTreeSet::from([*code]), "{}", diagnose_with(code.page().bad, FILES));
    }
}

#[test]
fn the_right_example_of_each_code_compiles() {
    for code in Code::ALL.iter().filter(|code| !code.page().good.is_empty()) {
        let found = codes_of(code.page().good);
        assert_eq!(found, [], "{code}:\n{}", diagnose_with(code.page().good, FILES));
    }
}

#[test]
fn codes_are_unique_and_sorted() {
    let ids: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "{ids:?}");
}

/// Compares a generated file with the one in `docs/`; with `UPDATE=1` writes it.
fn check_generated(path: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is not current: run `UPDATE=1 cargo test -p gridflow-dag-spec`", path.display());
}

#[test]
fn every_code_has_a_current_page() {
    for code in Code::ALL {
        check_generated(&format!("errors/{code}.md"), &code.markdown());
    }
    let index: String = Code::ALL.iter().map(|code| format!("- [{code}]({code}.md): {}\n", code.title())).collect();
    check_generated("errors/README.md", &format!("# Diagnostics of DAG files\n\n{index}"));
}

#[test]
fn the_reference_is_current() {
    check_generated("yaml-reference.md", &reference_markdown());
}

#[test]
fn the_schema_is_current() {
    check_generated("dag.schema.json", &(serde_json::to_string_pretty(&json_schema()).unwrap() + "\n"));
}

#[test]
fn the_schema_of_bundles_is_current() {
    check_generated("bundle.schema.json", &(serde_json::to_string_pretty(&bundle_schema()).unwrap() + "\n"));
}

#[test]
fn the_schema_of_clusters_is_current() {
    check_generated("clusters.schema.json", &(serde_json::to_string_pretty(&clusters_schema()).unwrap() + "\n"));
}
