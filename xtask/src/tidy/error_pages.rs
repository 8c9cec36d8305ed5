//! Every error code has its page, every page its code.

use std::collections::BTreeMap;

use super::{Finding, TextFile, sources::is_test};

const FOLDER: &str = "docs/errors/";

pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut codes = BTreeMap::new();
    for file in files.iter().filter(|file| is_source(&file.path)) {
        let code = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        for (number, line) in code.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for code in codes_in(line) {
                codes.entry(code).or_insert((&file.path, number + 1));
            }
        }
    }
    let pages: BTreeMap<&str, &TextFile> = files
        .iter()
        .filter_map(|file| Some((file.path.strip_prefix(FOLDER)?.strip_suffix(".md")?, file)))
        .filter(|(name, _)| name.starts_with("GF"))
        .collect();

    let mut findings = Vec::new();
    let mut find = |path: &str, line, message| {
        findings.push(Finding { path: path.to_owned(), line, rule: "error-pages", message });
    };
    for (code, (path, line)) in &codes {
        if !pages.contains_key(code.as_str()) {
            find(path, *line, format!("`{code}` has no page `{FOLDER}{code}.md`"));
        }
    }
    for (name, page) in pages {
        if !codes.contains_key(name) {
            find(&page.path, 0, format!("no code `{name}` in the program"));
        }
        if !page.text.starts_with(&format!("# {name}")) {
            find(&page.path, 1, format!("the page begins with `# {name}: ` and its title"));
        }
    }
    findings
}

fn is_source(path: &str) -> bool {
    path.ends_with(".rs") && !is_test(path) && !path.starts_with("xtask/") && !path.starts_with("cli/")
}

/// `GF` and four digits, standing alone.
fn codes_in(line: &str) -> impl Iterator<Item = String> + '_ {
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_code(word)).map(str::to_owned)
}

fn is_code(word: &str) -> bool {
    word.strip_prefix("GF").is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn codes_and_pages_come_in_pairs() {
        let files = [
            file("dag-spec/src/code.rs", "A => \"GF0001\",\nB => \"GF0002\",\n"),
            file("docs/errors/GF0001.md", "# GF0001: something\n"),
            file("docs/errors/GF0003.md", "text\n"),
        ];
        let messages: Vec<_> = check(&files).into_iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            messages,
            [
                "dag-spec/src/code.rs:2: `GF0002` has no page `docs/errors/GF0002.md` [error-pages]",
                "docs/errors/GF0003.md: no code `GF0003` in the program [error-pages]",
                "docs/errors/GF0003.md:1: the page begins with `# GF0003: ` and its title [error-pages]",
            ]
        );
    }
}
