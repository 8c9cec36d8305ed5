//! The figures as a table in the documents.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::{
    line::{Line, number},
    results::Results,
};

const BEGIN: &str = "<!-- figures: written by `make bench-record` -->";
const END: &str = "<!-- end of figures -->";

/// The page with the figures between its two marks replaced.
pub fn with_figures(page: &str, results: &Results) -> Result<String> {
    let (head, rest) = page.split_once(BEGIN).with_context(|| format!("the page has no `{BEGIN}`"))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("the page has no `{END}`"))?;
    Ok(format!("{head}{BEGIN}\n{}{END}{tail}", figures(results)))
}

fn figures(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, commit {}: {}, {} cores, {} GiB, Linux {}, {}, PostgreSQL {}, load {} before.\n\n",
        results.date,
        results.commit,
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.file_system,
        machine.postgresql,
        machine.load
    );
    text.push_str("| | What | Figure | Limit | Ratio | Target | |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for line in &results.lines {
        let _ = writeln!(text, "{}", row(line));
    }
    for failed in &results.failed {
        let _ = writeln!(text, "\nNot measured: {failed}");
    }
    text
}

fn row(line: &Line) -> String {
    let limit = line.limit.as_ref().map_or(String::new(), |limit| format!("{} ({})", number(limit.value), limit.what));
    let ratio = line.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
    format!(
        "| {} | {} | {} {} | {limit} | {ratio} | {} | {} |",
        line.item,
        line.what,
        number(line.value),
        line.unit,
        line.target_text(),
        line.verdict()
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::{line::Target, machine::Machine};

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let lines = vec![
            Line::higher("W2", "fan", 1_200.0, "tasks/s").limit("bare spawn", 2_000.0).target(Target::Ratio(0.5)),
            Line::lower("W6", "idle: memory", 15.7, "MB").target(Target::Absolute(60.0)),
        ];
        let machine = Machine { cpu: "a CPU".into(), cores: 2, ..Machine::default() };
        let results = Results { date: "a day".into(), commit: "abc".into(), machine, failed: vec![], lines };
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nafter\n");
        assert_snapshot!(with_figures(&page, &results).expect("a page with marks"), @r"
        # Title
        <!-- figures: written by `make bench-record` -->
        a day, commit abc: a CPU, 2 cores, 0 GiB, Linux , , PostgreSQL , load 0 before.

        | | What | Figure | Limit | Ratio | Target | |
        | --- | --- | --- | --- | --- | --- | --- |
        | W2 | fan | 1,200 tasks/s | 2,000 (bare spawn) | 0.60 | ≥ 0.500 × limit (1,000) | met |
        | W6 | idle: memory | 15.7 MB |  |  | ≤ 60.0 | met |
        <!-- end of figures -->
        after
        ");
        assert!(with_figures("no marks", &results).is_err());
    }
}
