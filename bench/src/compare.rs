//! Two results side by side. What counts is the ratio to the machine's own limit, since machines and days differ.

use std::fmt::Write;

use crate::{
    line::{Better, Line, number},
    results::Results,
};

/// Beyond this a change is more than the noise of the same program measured twice.
pub const TOLERANCE: f64 = 0.15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Better,
    Same,
    Worse,
}

/// The comparison for people, and how many figures got worse.
pub fn compare(before: &Results, after: &Results) -> (String, usize) {
    let mut text = format!("before: {}, {}\nafter:  {}, {}\n\n", before.date, before.commit, after.date, after.commit);
    let mut worse = 0;
    for line in &after.lines {
        let Some(old) = before.lines.iter().find(|old| old.key() == line.key()) else {
            let _ = writeln!(text, "{:<5} {:<58} new", line.item, line.what);
            continue;
        };
        let (from, to, of) = measures(old, line);
        let word = match change(line.better, from, to) {
            Change::Better => "better",
            Change::Same => "",
            Change::Worse => {
                worse += 1;
                "WORSE"
            }
        };
        let (from, to) = (number(from), number(to));
        let row = format!("{:<5} {:<58} {of} {from:>9} → {to:>9}  {word}", line.item, line.what);
        let _ = writeln!(text, "{}", row.trim_end());
    }
    for old in before.lines.iter().filter(|old| after.lines.iter().all(|line| line.key() != old.key())) {
        let _ = writeln!(text, "{:<5} {:<58} not measured", old.item, old.what);
    }
    (text, worse)
}

/// The ratios where both have one, else the figures themselves.
fn measures(old: &Line, new: &Line) -> (f64, f64, &'static str) {
    match (old.ratio(), new.ratio()) {
        (Some(from), Some(to)) => (from, to, "ratio "),
        (None, _) | (_, None) => (old.value, new.value, "figure"),
    }
}

fn change(better: Better, from: f64, to: f64) -> Change {
    let (low, high) = (from * (1.0 - TOLERANCE), from * (1.0 + TOLERANCE));
    match better {
        _ if low <= to && to <= high => Change::Same,
        Better::Lower if to < low => Change::Better,
        Better::Higher if high < to => Change::Better,
        Better::Lower | Better::Higher => Change::Worse,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::machine::Machine;

    fn results(lines: Vec<Line>) -> Results {
        Results { date: "a day".into(), commit: "abc".into(), machine: Machine::default(), failed: vec![], lines }
    }

    #[test]
    fn ratios_are_compared_where_there_are_any() {
        let rate = |value, limit| Line::higher("W2", "fan", value, "tasks/s").limit("spawn", limit);
        let before = results(vec![
            rate(1_000.0, 2_000.0),
            Line::lower("W1", "chain", 1.0, "ms").limit("commit", 1.0),
            Line::lower("W6", "memory", 50.0, "MB"),
            Line::lower("W9", "memory", 50.0, "MB"),
        ]);
        let after = results(vec![
            // Half as fast, on a machine that is half as fast.
            rate(500.0, 1_000.0),
            Line::lower("W1", "chain", 1.0, "ms").limit("commit", 0.5),
            Line::lower("W6", "memory", 40.0, "MB"),
            Line::lower("W3", "python", 1.0, "ms"),
        ]);
        let (text, worse) = compare(&before, &after);
        assert_eq!(worse, 1);
        assert_snapshot!(text, @r"
        before: a day, abc
        after:  a day, abc

        W2    fan                                                        ratio      0.500 →     0.500
        W1    chain                                                      ratio       1.00 →      2.00  WORSE
        W6    memory                                                     figure      50.0 →      40.0  better
        W3    python                                                     new
        W9    memory                                                     not measured
        ");
    }
}
