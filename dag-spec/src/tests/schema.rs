//! The JSON Schema takes what the parser takes.

use std::{fs, path::Path};

use super::*;
use crate::{Code, json_schema, source::Source, yaml};

/// Why a value does not satisfy a schema: the subset of JSON Schema that ours uses.
fn check(schema: &Value, value: &Value, root: &Value) -> Result<(), String> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).ok_or_else(|| format!("no {name}"))?;
        return check(target, value, root);
    }
    let all = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(any) = all("anyOf") {
        let errors: Vec<_> = any.iter().map(|one| check(one, value, root)).collect();
        if errors.iter().all(Result::is_err) {
            return Err(errors.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; "));
        }
    }
    if let Some(one) = all("oneOf")
        && one.iter().filter(|one| check(one, value, root).is_ok()).count() != 1
    {
        return Err("not exactly one of".into());
    }
    if let Some(allowed) = all("enum")
        && !allowed.contains(value)
    {
        return Err(format!("{value} is none of {allowed:?}"));
    }
    check_type(schema, value)?;
    if let (Some(minimum), Some(number)) = (schema.get("minimum").and_then(Value::as_f64), value.as_f64())
        && number < minimum
    {
        return Err(format!("{number} < {minimum}"));
    }
    if let (Some(pattern), Some(text)) = (schema.get("pattern").and_then(Value::as_str), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        return Err(format!("{text} does not match"));
    }
    if let (Some(items), Some(found)) = (schema.get("items"), value.as_array()) {
        found.iter().try_for_each(|item| check(items, item, root))?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for required in all("required").into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            return Err(format!("{required} is missing"));
        }
    }
    for (key, value) in object {
        match schema.pointer(&format!("/properties/{}", key.replace('~', "~0").replace('/', "~1"))) {
            Some(schema) => check(schema, value, root).map_err(|error| format!("{key}: {error}"))?,
            None => match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => return Err(format!("{key} is unknown")),
                Some(schema) if schema.is_object() => {
                    check(schema, value, root).map_err(|error| format!("{key}: {error}"))?
                }
                _ => {}
            },
        }
    }
    Ok(())
}

fn check_type(schema: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    };
    if fits { Ok(()) } else { Err(format!("{value} is not of type {}", schema["type"])) }
}

fn conforms(text: &str) -> Result<(), String> {
    let node = yaml::parse(&Source::new("a.yaml", text), &mut Vec::new()).ok_or("not YAML")?;
    let schema = json_schema();
    check(&schema, &yaml::to_json(&node), &schema)
}

#[test]
fn every_example_conforms() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_dag = path.extension().is_some_and(|it| it == "yaml" || it == "yml")
                && text.lines().any(|line| line.starts_with("tasks:"));
            if is_dag {
                found += 1;
                assert_eq!(conforms(&text), Ok(()), "{}", path.display());
            }
        }
    }
    assert!(8 <= found, "{found}");
}

#[test]
fn every_right_example_of_the_pages_conforms() {
    for code in Code::ALL.iter().filter(|code| !code.page().good.is_empty()) {
        assert_eq!(conforms(code.page().good), Ok(()), "{code}");
    }
}

#[test]
fn what_a_schema_can_tell_it_tells() {
    for code in ["GF0201", "GF0202", "GF0203", "GF0205", "GF0206", "GF0402", "GF0406", "GF0407"] {
        let code: Code = code.parse().unwrap();
        assert!(conforms(code.page().bad).is_err(), "{code}");
    }
}

#[test]
fn every_default_of_a_declaration_can_be_read() {
    // A default is written as YAML; one that cannot be read would make its key required.
    let dag = compiled(
        "tasks: {a: {copy_file: {from: /a, to: /b}}, b: {validate_file: {path: /a}}}\ntrigger: {file: {path: /in}}",
    );
    assert_eq!(dag.operators.len(), 2);
    fn defaults(value: &Value) -> usize {
        match value {
            Value::Object(map) => {
                map.iter().map(|(key, value)| usize::from(key == "default" && !value.is_null()) + defaults(value)).sum()
            }
            Value::Array(items) => items.iter().map(defaults).sum(),
            _ => 0,
        }
    }
    assert!(20 <= defaults(&json_schema()));
}
