//! Packs the pages of `docs/errors/` into the program, for `gridflow explain`.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .filter(|(code, _)| code.starts_with("GF"))
        .collect();
    pages.sort();

    let mut source = String::from("&[\n");
    for (code, path) in pages {
        let _ = writeln!(source, "    ({code:?}, include_str!({path:?})),");
    }
    source.push(']');
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("error_pages.rs");
    fs::write(target, source).expect("the build folder is writable");
}
