//! JSON values as YAML, for `-o yaml`. Every text that could be read as something else is quoted.

use std::fmt::Write;

use serde_json::Value;

/// A YAML document; ends with a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write_block(&mut out, value, 0);
    out
}

fn write_block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(out, "{:indent$}{}:", "", text(key));
                write_nested(out, value, indent + 2);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                let mut block = String::new();
                write_block(&mut block, item, indent + 2);
                // The first line of the item shares its line with the dash.
                let _ = write!(out, "{:indent$}- {}", "", block.trim_start());
            }
        }
        scalar => {
            let _ = writeln!(out, "{:indent$}{}", "", inline(scalar));
        }
    }
}

fn write_nested(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_block(out, value, indent);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            write_block(out, value, indent);
        }
        scalar => {
            let _ = writeln!(out, " {}", inline(scalar));
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// Plain where only one reading is possible, else a JSON string, which YAML reads the same.
fn text(value: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(word)
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { value.to_owned() } else { Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_blocks_and_doubtful_text_is_quoted() {
        let value = json!({
            "state": "success", "n": 1, "none": null, "yes": "no", "at": "2025-01-01T00:00:00Z", "empty": [],
            "tasks": [{"id": "a", "needs": ["b", "c"]}, {"id": "0012", "needs": {}}], "nested": [["x"], []],
        });
        assert_snapshot!(to_yaml(&value), @r#"
        state: success
        "n": 1
        none: null
        "yes": "no"
        at: "2025-01-01T00:00:00Z"
        empty: []
        tasks:
          - id: a
            needs:
              - b
              - c
          - id: "0012"
            needs: {}
        nested:
          - - x
          - []
        "#);
    }
}
