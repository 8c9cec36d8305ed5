//! Rules for Rust files: how long they may be, and where SQL may stand.

use super::{Finding, TextFile};

/// Above this a file holds more than one concern. Tests at its end do not count.
const LINES_MAX: usize = 800;

/// How statements begin, as nobody begins a sentence.
const STATEMENTS: [&str; 6] = ["SELECT ", "INSERT INTO ", "DELETE FROM ", "LISTEN ", "CREATE TABLE ", "ALTER TABLE "];

pub fn check(file: &TextFile) -> Vec<Finding> {
    if !file.path.ends_with(".rs") || is_test(&file.path) {
        return Vec::new();
    }
    let code: Vec<&str> = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect();
    let mut findings = Vec::new();
    if LINES_MAX < code.len() {
        findings.push(Finding {
            path: file.path.clone(),
            line: 0,
            rule: "size",
            message: format!("{} lines, more than {LINES_MAX}: find the second concern", code.len()),
        });
    }
    // The chores make a database, and the bench reads what Gridflow recorded in its own.
    if !["store/", "xtask/", "bench/"].iter().any(|place| file.path.starts_with(place)) {
        findings.extend(code.iter().enumerate().filter(|(_, line)| has_sql(line)).map(|(number, _)| Finding {
            path: file.path.clone(),
            line: number + 1,
            rule: "sql",
            message: "SQL belongs into `store`".to_owned(),
        }));
    }
    findings
}

/// Files of integration tests and of crates that hold nothing else.
pub fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.starts_with("testkit/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

fn has_sql(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("//") {
        return false;
    }
    line.contains("sqlx::") || STATEMENTS.iter().any(|statement| line.contains(statement))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&TextFile { path: path.to_owned(), text: text.to_owned() }).into_iter().map(|found| found.rule).collect()
    }

    #[test]
    fn sql_stands_in_store_alone() {
        let text = "let rows = query(\"SELECT 1\");\n";
        assert_eq!(rules("web/src/a.rs", text), ["sql"]);
        assert_eq!(rules("store/src/a.rs", text), Vec::<&str>::new());
        assert_eq!(rules("web/tests/a.rs", text), Vec::<&str>::new());
        assert_eq!(rules("web/src/a.rs", "// SELECT is store's affair\n"), Vec::<&str>::new());
    }

    #[test]
    fn a_file_has_one_concern_and_tests_do_not_count() {
        let long = "let x = 1;\n".repeat(LINES_MAX + 1);
        assert_eq!(rules("web/src/a.rs", &long), ["size"]);
        assert_eq!(rules("web/src/a.rs", &format!("#[cfg(test)]\n{long}")), Vec::<&str>::new());
    }
}
