//! The one list of exceptions: `RULE PATH REASON…`, one a line.

use super::{Finding, TextFile};

const LIST: &str = "xtask/exceptions.txt";

/// Takes away what the list excuses, and adds what is wrong with the list.
pub fn apply(files: &[TextFile], mut findings: Vec<Finding>) -> Vec<Finding> {
    let list = files.iter().find(|file| file.path == LIST).map_or("", |file| &file.text);
    let mut complaints = Vec::new();
    for (number, line) in list.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let mut complain = |message: &str| {
            let message = message.to_owned();
            complaints.push(Finding { path: LIST.to_owned(), line: number + 1, rule: "exceptions", message });
        };
        let mut words = line.splitn(3, ' ');
        let (Some(rule), Some(path), Some(_reason)) = (words.next(), words.next(), words.next()) else {
            complain("a line is a rule, a path and a reason");
            continue;
        };
        let before = findings.len();
        findings.retain(|finding| (finding.rule, finding.path.as_str()) != (rule, path));
        if findings.len() == before {
            complain("no longer needed: take it out");
        }
    }
    findings.extend(complaints);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str) -> Finding {
        Finding { path: path.to_owned(), line: 3, rule: "size", message: "long".to_owned() }
    }

    #[test]
    fn an_exception_excuses_its_file_and_goes_when_it_is_over() {
        let text = "# why\nsize a.rs generated\nsize gone.rs was long\n".to_owned();
        let list = [TextFile { path: LIST.to_owned(), text }];
        let left: Vec<_> =
            apply(&list, vec![finding("a.rs"), finding("b.rs")]).into_iter().map(|f| f.to_string()).collect();
        assert_eq!(
            left,
            ["b.rs:3: long [size]", "xtask/exceptions.txt:3: no longer needed: take it out [exceptions]",]
        );
    }
}
