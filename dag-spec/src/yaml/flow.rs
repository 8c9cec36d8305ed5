//! A tree → YAML again, in one line: for a part of a file that is to be read as a file of its own.

use super::{Core, Node, NodeKind, Scalar};

/// The same values, each scalar as it was written: `1.10` stays `1.10`.
pub fn to_flow(node: &Node) -> String {
    match &node.kind {
        NodeKind::Poisoned => "null".to_owned(),
        NodeKind::Scalar(scalar) => of_scalar(scalar),
        NodeKind::List(items) => format!("[{}]", items.iter().map(to_flow).collect::<Vec<_>>().join(", ")),
        NodeKind::Map(map) => {
            let entries = map.entries.iter().map(|entry| format!("{}: {}", quoted(&entry.key), to_flow(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn of_scalar(scalar: &Scalar) -> String {
    match scalar.core() {
        Core::Null => "null".to_owned(),
        // None of these holds a character that means anything in YAML.
        Core::Bool(_) | Core::Integer(_) | Core::Float(_) => scalar.text.clone(),
        Core::Text => quoted(&scalar.text),
    }
}

/// A string of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        source::Source,
        yaml::{parse, to_json},
    };

    fn read(text: &str) -> Node {
        let mut diagnostics = Vec::new();
        let node = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
        assert_eq!(diagnostics, [], "{text}");
        node
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let text = "a: {b: 1.10, c: 0012, d: '0012', e: yes, f: ~, g: }\nh:\n  - \"x: y # z\"\n  - |\n    two\n    lines\n  - [true, .inf]\n'i\"': {}\n";
        let node = read(text);
        let flow = to_flow(&node);
        insta::assert_snapshot!(flow, @r#"{"a": {"b": 1.10, "c": 0012, "d": "0012", "e": "yes", "f": null, "g": null}, "h": ["x: y # z", "two\nlines\n", [true, .inf]], "i\"": {}}"#);
        assert_eq!(to_json(&read(&flow)), to_json(&node));
    }
}
