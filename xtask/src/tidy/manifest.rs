//! Who may use what: the layers of our crates, and the one home of each heavy dependency.

use super::{Finding, TextFile};

/// Our crates by layer; imports go to a lower one. Crates for tests and chores stand outside.
const LAYERS: [(&str, u8); 10] = [
    ("failpoint", 0),
    ("pod", 0),
    ("core", 1),
    ("dag-spec", 2),
    ("store", 2),
    ("connectors", 2),
    ("executor", 3),
    ("scheduler", 4),
    ("web", 4),
    ("cli", 5),
];

/// Crates that never become part of the program.
const DEV: [&str; 5] = ["testkit", "tests", "bench", "fuzz", "xtask"];

/// Dependencies and the crates that may have them.
const HOMES: [(&str, &[&str]); 15] = [
    ("anyhow", &[]),
    ("axum", &["web"]),
    ("clap", &["cli"]),
    ("comfy-table", &["cli"]),
    ("hyper", &["executor", "web"]),
    ("ignore", &["scheduler"]),
    ("inotify", &["scheduler"]),
    ("kube", &["executor"]),
    ("minijinja", &["dag-spec"]),
    ("petgraph", &["core"]),
    ("reqwest", &["cli", "connectors"]),
    ("saphyr-parser", &["dag-spec"]),
    ("schemars", &["dag-spec"]),
    ("sqlx", &["store"]),
    ("tracing-subscriber", &["cli"]),
];

/// Crates that are pure because they cannot be otherwise, and what would end that.
const PURE: [&str; 2] = ["core", "dag-spec"];
const IMPURE: [&str; 7] = ["tokio", "sqlx", "kube", "reqwest", "nix", "rand", "getrandom"];

pub fn check(file: &TextFile) -> Vec<Finding> {
    let Some((krate, "Cargo.toml")) = file.path.split_once('/') else { return Vec::new() };
    let mut findings = Vec::new();
    for Dependency { line, name, kind } in dependencies(&file.text) {
        let message = layer_problem(krate, &name, kind)
            .or_else(|| home_problem(krate, &name, kind))
            .or_else(|| purity_problem(krate, &name, kind));
        findings.extend(message.map(|message| Finding { path: file.path.clone(), line, rule: "layers", message }));
    }
    findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Dev,
}

struct Dependency {
    line: usize,
    name: String,
    kind: Kind,
}

/// The names in every `[…dependencies]` table.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut kind = None;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            kind = match table.rsplit('.').next() {
                Some("dependencies" | "build-dependencies") => Some(Kind::Normal),
                Some("dev-dependencies") => Some(Kind::Dev),
                Some(_) | None => None,
            };
            continue;
        }
        let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        if let (Some(kind), false) = (kind, name.is_empty()) {
            found.push(Dependency { line: number + 1, name, kind });
        }
    }
    found
}

fn layer_problem(krate: &str, dependency: &str, kind: Kind) -> Option<String> {
    let used = dependency.strip_prefix("gridflow-")?;
    if DEV.contains(&krate) {
        return None;
    }
    if DEV.contains(&used) {
        return (kind == Kind::Normal).then(|| format!("`{krate}` uses `{used}`, which is for tests alone"));
    }
    match (layer(krate), layer(used)) {
        (Some(upper), Some(lower)) if lower < upper => None,
        (Some(_), Some(_)) => Some(format!("`{krate}` must not know `{used}`: imports go to a lower layer")),
        (None, _) => Some(format!("`{krate}` has no layer: give it one in `xtask/src/tidy/manifest.rs`")),
        (_, None) => Some(format!("`{used}` has no layer: give it one in `xtask/src/tidy/manifest.rs`")),
    }
}

fn layer(krate: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == krate).map(|(_, layer)| *layer)
}

fn home_problem(krate: &str, dependency: &str, kind: Kind) -> Option<String> {
    let (_, homes) = HOMES.iter().find(|(name, _)| *name == dependency)?;
    if kind == Kind::Dev || DEV.contains(&krate) || homes.contains(&krate) {
        return None;
    }
    let home = if homes.is_empty() { "tests and chores alone".to_owned() } else { format!("`{}`", homes.join("`, `")) };
    Some(format!("`{dependency}` is for {home}"))
}

fn purity_problem(krate: &str, dependency: &str, kind: Kind) -> Option<String> {
    let impure = kind == Kind::Normal && PURE.contains(&krate) && IMPURE.contains(&dependency);
    impure.then(|| format!("`{krate}` is pure and cannot have `{dependency}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(krate: &str, manifest: &str) -> Vec<String> {
        let file = TextFile { path: format!("{krate}/Cargo.toml"), text: manifest.to_owned() };
        check(&file).into_iter().map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
    }

    #[test]
    fn imports_go_down() {
        assert_eq!(messages("web", "[dependencies]\ngridflow-store.workspace = true\n"), Vec::<String>::new());
        assert_eq!(
            messages("web", "[dependencies]\ngridflow-scheduler.workspace = true\n"),
            ["2: `web` must not know `scheduler`: imports go to a lower layer"]
        );
        assert_eq!(
            messages("store", "[dependencies]\ngridflow-testkit = { path = \"x\" }\n"),
            ["2: `store` uses `testkit`, which is for tests alone"]
        );
        assert_eq!(messages("store", "[dev-dependencies]\ngridflow-testkit.workspace = true\n"), Vec::<String>::new());
    }

    #[test]
    fn a_heavy_dependency_has_one_home() {
        assert_eq!(messages("store", "[dependencies]\nsqlx.workspace = true\n"), Vec::<String>::new());
        assert_eq!(messages("web", "[dependencies]\nsqlx.workspace = true\n"), ["2: `sqlx` is for `store`"]);
        assert_eq!(messages("web", "[dev-dependencies]\nsqlx.workspace = true\n"), Vec::<String>::new());
        assert_eq!(messages("web", "[dependencies]\nanyhow = \"1\"\n"), ["2: `anyhow` is for tests and chores alone"]);
    }

    #[test]
    fn the_core_stays_pure_in_every_table() {
        let manifest = "[target.'cfg(unix)'.dependencies]\ntokio = { version = \"1\" }\n";
        assert_eq!(messages("core", manifest), ["2: `core` is pure and cannot have `tokio`"]);
    }
}
