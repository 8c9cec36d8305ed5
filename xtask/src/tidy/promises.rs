//! Every test that `docs/reliability.md` names exists.

use super::{Finding, TextFile};

const PAGE: &str = "docs/reliability.md";

/// Names of tests are sentences: shorter names in backticks are commands, folders, settings.
const WORDS_MIN: usize = 4;

pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let sources: Vec<&str> =
        files.iter().filter(|file| file.path.ends_with(".rs")).map(|file| file.text.as_str()).collect();
    let is_there = |name: &str| {
        let function = format!("fn {name}(");
        sources.iter().any(|text| text.contains(&function))
    };
    let mut findings = Vec::new();
    for (number, line) in page.text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_test_name(name) && !is_there(name)) {
            let message = format!("no test `{name}`");
            findings.push(Finding { path: PAGE.to_owned(), line: number + 1, rule: "promises", message });
        }
    }
    findings
}

fn is_test_name(text: &str) -> bool {
    WORDS_MIN <= text.split('_').count() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_found_and_other_words_are_not_taken_for_one() {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file(PAGE, "`make fuzz`, `GRIDFLOW_A_B_C`, `node_id`:\n`it_is_here_still`, `it_is_gone_now`"),
            file("a.rs", "fn it_is_here_still() {}"),
        ];
        let found = check(&files);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].message.as_str()), (2, "no test `it_is_gone_now`"));
    }
}
