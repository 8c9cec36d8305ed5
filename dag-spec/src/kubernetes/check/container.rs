//! Containers.

use super::{foreign_keys, is_directive, is_templated, list, literal, map};
use crate::{
    code::Code,
    kubernetes::quantity,
    read::Cx,
    yaml::{Core, Entry, Node},
};

const CONTAINER_KEYS: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// The main containers of a pod.
pub fn containers(node: &Node, cx: &mut Cx<'_>) {
    for item in list(node, "`containers`", cx) {
        container(item, cx);
    }
}

/// What runs before them. One that restarts is a sidecar, as Kubernetes has them.
pub fn init_containers(node: &Node, cx: &mut Cx<'_>) {
    for item in list(node, "`initContainers`", cx) {
        container(item, cx);
    }
}

fn container(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = map(node, "a container", cx).filter(|map| !is_directive(map)) else { return };
    match literal(map, "name") {
        None if map.get("name").is_none() => {
            cx.report(Code::BadManifest, cx.head(node), "a container has a `name`").help =
                Some("the one that does the task's work is `name: task`".into());
        }
        Some((name, span)) if !is_dns_label(name) => {
            let message = format!("`{name}` is no name of a container");
            cx.report(Code::BadManifest, span, message).help =
                Some("it has at most 63 lower-case letters, digits and `-`".into());
        }
        _ => {}
    }
    for entry in &map.entries {
        match entry.key.as_str() {
            "command" | "args" => command(&entry.key, &entry.value, cx),
            "env" => env(&entry.value, cx),
            "envFrom" => env_from(&entry.value, cx),
            "volumeMounts" => volume_mounts(&entry.value, cx),
            "resources" => resources(&entry.value, cx),
            _ => {}
        }
    }
    foreign_keys(map, CONTAINER_KEYS, "a container", cx);
}

pub fn is_dns_label(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 63 && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

/// A list of words; says whether it is one. A line of text gets the list that it would be.
pub fn command(key: &str, node: &Node, cx: &mut Cx<'_>) {
    let Some(scalar) = node.scalar().filter(|_| !node.is_null()) else {
        list(node, &format!("`{key}`"), cx);
        return;
    };
    if scalar.text.starts_with("{{") && scalar.text.ends_with("}}") {
        return;
    }
    let words = match key {
        "command" if scalar.text.contains(['|', '&', ';', '<', '>', '$', '`', '"', '\'', '\n', '(', '*']) => {
            format!("sh, -c, {}", crate::yaml::quoted(scalar.text.trim()))
        }
        _ => scalar.text.split_whitespace().map(word).collect::<Vec<_>>().join(", "),
    };
    cx.report(Code::BadManifest, cx.head(node), format!("`{key}` is a list, found {}", node.describe())).help =
        Some(format!("write `{key}: [{words}]`"));
}

/// A word as it is written in a list.
fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-=".contains(c);
    let is_plain = word.chars().all(plain)
        && word.starts_with(|c: char| c.is_ascii_alphanumeric() || "/-.".contains(c))
        && word != "-";
    let is_text = word.parse::<f64>().is_err() && !["true", "false", "null"].contains(&word);
    if is_plain && is_text { word.to_owned() } else { crate::yaml::quoted(word) }
}

/// The environment of a container.
pub fn env(node: &Node, cx: &mut Cx<'_>) {
    if let Some(first) = node.map().and_then(|map| map.entries.first()) {
        let value = first.value.scalar().map_or("…", |scalar| scalar.text.as_str());
        let message = "`env` is a list of names and values here, found a map";
        cx.report(Code::BadManifest, cx.head(node), message).help =
            Some(format!("write `env: [{{name: {}, value: \"{value}\"}}]`, or use the task's own `env:`", first.key));
        return;
    }
    for item in list(node, "`env`", cx) {
        let Some(map) = map(item, "a variable", cx).filter(|map| !is_directive(map)) else { continue };
        if map.get("name").is_none() {
            cx.report(Code::BadManifest, cx.head(item), "a variable has a `name`");
        }
        if let Some(Entry { value, .. }) = map.get("value") {
            let is_text =
                value.scalar().is_some_and(|scalar| matches!(scalar.core(), Core::Text)) || is_templated(value);
            if !is_text && !value.is_poisoned() {
                let text = value.scalar().map(|scalar| format!("write `value: \"{}\"`", scalar.text));
                cx.report(
                    Code::BadManifest,
                    cx.head(value),
                    format!("the value of a variable is a text, found {}", value.describe()),
                )
                .help = text;
            }
        }
        foreign_keys(map, &["name", "value", "valueFrom"], "a variable", cx);
    }
}

/// Where a container's environment comes from.
pub fn env_from(node: &Node, cx: &mut Cx<'_>) {
    for item in list(node, "`envFrom`", cx) {
        if let Some(scalar) = item.scalar().filter(|_| !is_templated(item)) {
            let message = format!("`{}` may be a Secret or a ConfigMap", scalar.text);
            cx.report(Code::BadManifest, item.span, message).help =
                Some(format!("write `{{secretRef: {{name: {0}}}}}` or `{{configMapRef: {{name: {0}}}}}`", scalar.text));
            continue;
        }
        let Some(map) = map(item, "a source of variables", cx) else { continue };
        for entry in &map.entries {
            let is_reference = matches!(entry.key.as_str(), "secretRef" | "configMapRef");
            if let (true, Some(scalar)) = (is_reference, entry.value.scalar().filter(|_| !entry.value.is_null())) {
                let message = format!("`{}` is a map with a `name`", entry.key);
                cx.report(Code::BadManifest, entry.value.span, message).help =
                    Some(format!("write `{}: {{name: {}}}`", entry.key, scalar.text));
            }
        }
        foreign_keys(map, &["secretRef", "configMapRef", "prefix"], "a source of variables", cx);
    }
}

/// Where a container finds volumes.
pub fn volume_mounts(node: &Node, cx: &mut Cx<'_>) {
    const KEYS: &[&str] =
        &["name", "mountPath", "subPath", "subPathExpr", "readOnly", "mountPropagation", "recursiveReadOnly"];
    for item in list(node, "`volumeMounts`", cx) {
        let Some(map) = map(item, "a mount", cx).filter(|map| !is_directive(map)) else { continue };
        for key in ["name", "mountPath"].iter().filter(|key| map.get(key).is_none()) {
            let is_misspelt = map.entries.iter().any(|entry| super::camel(&entry.key) == *key);
            if !is_misspelt {
                cx.report(Code::BadManifest, cx.head(item), format!("a mount has a `{key}`"));
            }
        }
        if let Some((path, span)) = literal(map, "mountPath").filter(|(path, _)| !path.starts_with('/')) {
            cx.report(Code::BadManifest, span, format!("`{path}` is no absolute path"));
        }
        foreign_keys(map, KEYS, "a mount", cx);
    }
}

fn resources(node: &Node, cx: &mut Cx<'_>) {
    let Some(found) = map(node, "`resources`", cx) else { return };
    for entry in &found.entries {
        match entry.key.as_str() {
            "requests" | "limits" => {
                for amount in entry.value.map().iter().flat_map(|map| &map.entries) {
                    if let Some(scalar) = amount.value.scalar().filter(|_| !is_templated(&amount.value)) {
                        quantity::check(&scalar.text, &amount.key, &amount.value, cx);
                    }
                }
            }
            "cpu" | "memory" => {
                cx.report(
                    Code::BadManifest,
                    entry.key_span,
                    format!("`{}` belongs below `requests` or `limits`", entry.key),
                );
            }
            _ => {}
        }
    }
}
