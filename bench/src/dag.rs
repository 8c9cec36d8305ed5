//! DAG files of the driver, as text.

use std::fmt::Write;

/// `count` tasks, each behind the one before.
pub fn chain(head: &str, count: usize, operator: &str) -> String {
    file(head, count, |no| match no {
        0 => operator.to_owned(),
        _ => format!("needs: {}, {operator}", name(no - 1)),
    })
}

/// `count` tasks without upstreams.
pub fn wide(head: &str, count: usize, operator: &str) -> String {
    file(head, count, |_| operator.to_owned())
}

/// One task, `count` behind it, and one behind all of them.
pub fn fan(head: &str, count: usize, operator: &str) -> String {
    let middle: Vec<String> = (1..=count).map(name).collect();
    file(head, count + 2, |no| match no {
        0 => operator.to_owned(),
        no if no <= count => format!("needs: {}, {operator}", name(0)),
        _ => format!("needs: [{}], {operator}", middle.join(", ")),
    })
}

fn file(head: &str, count: usize, task: impl Fn(usize) -> String) -> String {
    let mut text = head.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("tasks:\n");
    for no in 0..count {
        let _ = writeln!(text, "  {}: {{{}}}", name(no), task(no));
    }
    text
}

fn name(no: usize) -> String {
    format!("t{no:04}")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_three_shapes() {
        assert_snapshot!(chain("max_active_runs: 5", 2, "empty: {}"), @r"
        max_active_runs: 5
        tasks:
          t0000: {empty: {}}
          t0001: {needs: t0000, empty: {}}
        ");
        assert_snapshot!(wide("", 2, "empty: {}"), @r"
        tasks:
          t0000: {empty: {}}
          t0001: {empty: {}}
        ");
        assert_snapshot!(fan("", 2, "exec: ['true']"), @r"
        tasks:
          t0000: {exec: ['true']}
          t0001: {needs: t0000, exec: ['true']}
          t0002: {needs: t0000, exec: ['true']}
          t0003: {needs: [t0001, t0002], exec: ['true']}
        ");
    }
}
