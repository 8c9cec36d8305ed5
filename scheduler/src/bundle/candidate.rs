//! Which YAML files are meant to be DAGs.

/// Whether a file has a top-level `tasks:`, told from its lines: a file that is broken elsewhere
/// must not count as none of ours, or its error would never be seen.
pub(crate) fn is_dag(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.trim_ascii_start().starts_with(b"{") {
        // One flow map, as in JSON: the key may stand anywhere in a line.
        return bytes.split(|byte| b"{,\r\n".contains(byte)).any(|part| starts_with_key(part.trim_ascii_start()));
    }
    bytes.split(|byte| b"\r\n".contains(byte)).any(starts_with_key)
}

fn starts_with_key(line: &[u8]) -> bool {
    let quoted = |quote: &[u8]| line.strip_prefix(quote)?.strip_prefix(b"tasks")?.strip_prefix(quote);
    let rest = quoted(b"\"").or_else(|| quoted(b"'")).or_else(|| line.strip_prefix(b"tasks"));
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::is_dag;

    #[test]
    fn a_file_with_top_level_tasks_is_a_dag_even_if_it_is_broken() {
        for text in [
            "tasks:\n  a: {empty: }\n",
            "dag: x\r\ntasks:\r\n",
            "\u{feff}tasks: {}",
            "'tasks' : {}",
            "a: [\ntasks: {",
            "{dag: x, tasks: {a: {empty: }}}",
            "{\n  \"tasks\": {}\n}",
        ] {
            assert!(is_dag(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn other_yaml_is_none() {
        for text in
            ["", "a: 1", "  tasks: {}", "#tasks:", "tasks", "task: {}", "tasks_of: 1", "- tasks: 1", "\u{0}\u{1}"]
        {
            assert!(!is_dag(text.as_bytes()), "{text:?}");
        }
    }
}
