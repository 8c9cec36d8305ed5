//! Labels and annotations.

use crate::{
    code::Code,
    read::Cx,
    yaml::{Map, Node},
};

/// Keys below this belong to Gridflow.
const OURS: &str = "gridflow.io/";

pub fn labels(node: &Node, cx: &mut Cx<'_>) {
    super::texts(node, "`labels`", cx);
    let Some(map) = node.map() else { return };
    keys(map, cx);
    for entry in &map.entries {
        let Some(scalar) = entry.value.scalar().filter(|_| !super::is_templated(&entry.value)) else { continue };
        if !is_value(&scalar.text) {
            let message = format!("`{}` is no value of a label", scalar.text);
            cx.report(Code::BadManifest, entry.value.span, message).help = Some(
                "it has at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; `annotations:` take any text"
                    .into(),
            );
        }
    }
}

pub fn annotations(node: &Node, cx: &mut Cx<'_>) {
    super::texts(node, "`annotations`", cx);
    if let Some(map) = node.map() {
        keys(map, cx);
    }
}

fn keys(map: &Map, cx: &mut Cx<'_>) {
    for entry in &map.entries {
        if entry.key.starts_with(OURS) {
            let message = format!("`{}` belongs to Gridflow, which sets it for every pod", entry.key);
            cx.report(Code::BadManifest, entry.key_span, message);
        } else if !is_key(&entry.key) {
            let message = format!("`{}` is no name of a label or annotation", entry.key);
            cx.report(Code::BadManifest, entry.key_span, message).help = Some(
                "it is `name` or `domain/name`; a name has at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
                    .into(),
            );
        }
    }
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_key(key: &str) -> bool {
    let (domain, name) = key.rsplit_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !domain.is_empty() && domain.len() <= 253 && domain.chars().all(fits)
    };
    is_name(name) && domain.is_none_or(is_domain)
}

fn is_name(text: &str) -> bool {
    let at_ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && at_ends(text.chars().next())
        && at_ends(text.chars().last())
}
