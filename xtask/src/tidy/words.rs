//! Words that must not stay in the project.

use super::{Finding, TextFile, sources::is_test};

/// In every Rust file that is part of the program; each with the reason.
const IN_CODE: [(&str, &str); 6] = [
    ("dbg!(", "left over from looking for a fault"),
    ("todo!(", "what is missing fails at runtime; build it or leave it out"),
    ("unimplemented!(", "what is missing fails at runtime; build it or leave it out"),
    ("#[allow(", "use `#[expect(…, reason = \"…\")]`, which says why and tells when it is over"),
    ("println!(", "answers go through the command's output, all else through tracing"),
    (".unwrap()", "say why it cannot fail with `expect`, or hand the error on"),
];

/// In every file.
const EVERYWHERE: [(&str, &str); 4] = [
    ("<<<<<<< ", "a merge that is not finished"),
    (">>>>>>> ", "a merge that is not finished"),
    ("/home/", "a path of somebody's machine"),
    ("/root/", "a path of somebody's machine"),
];

/// Tools print, and build scripts speak to cargo through stdout.
const PRINTERS: [&str; 4] = ["xtask/", "bench/", "/examples/", "build.rs"];

pub fn check(file: &TextFile) -> Vec<Finding> {
    // This list names them.
    if file.path.starts_with("xtask/src/tidy/") || file.path == "Cargo.lock" {
        return Vec::new();
    }
    let mut findings = search(file, file.text.lines(), &EVERYWHERE);
    if file.path.ends_with(".rs") {
        findings.extend(search(file, file.text.lines(), &[("#[ignore", "what is not run proves nothing")]));
        let code = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        if !is_test(&file.path) && !PRINTERS.iter().any(|place| file.path.contains(place)) {
            findings.extend(search(file, code, &IN_CODE));
        }
    }
    findings
}

fn search<'a>(file: &TextFile, lines: impl Iterator<Item = &'a str>, words: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in lines.enumerate() {
        let comment = line.trim_start().starts_with("//");
        for (word, reason) in words {
            if line.contains(word) && !(comment && word.ends_with('(')) {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: number + 1,
                    rule: "words",
                    message: format!("`{}`: {reason}", word.trim()),
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&TextFile { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn code_of_the_program_is_held_to_more_than_tests() {
        assert_eq!(found("web/src/a.rs", "let x = y.unwrap();\n"), 1);
        assert_eq!(found("web/src/a.rs", "#[cfg(test)]\nlet x = y.unwrap();\n"), 0);
        assert_eq!(found("web/tests/a.rs", "let x = y.unwrap();\n"), 0);
        assert_eq!(found("web/tests/a.rs", "#[ignore]\n"), 1);
        assert_eq!(found("web/src/a.rs", "// dbg!( is banned\n"), 0);
    }

    #[test]
    fn no_file_names_somebodys_machine() {
        assert_eq!(found("docs/a.md", "see /home/me/x\n"), 1);
    }
}
