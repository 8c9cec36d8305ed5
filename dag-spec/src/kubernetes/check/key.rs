//! Keys that are meant to be others.

use crate::{code::Code, diagnostic::Severity, read::Cx, yaml::Map};

/// Reports keys in the spelling of Python (`node_selector`), which Kubernetes does not know, and
/// warns of those that are a slip away from a known one.
pub fn foreign_keys(map: &Map, known: &[&str], what: &str, cx: &mut Cx<'_>) {
    for entry in map.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let camel = camel(&entry.key);
        if known.contains(&camel.as_str()) {
            cx.report(Code::BadManifest, entry.key_span, format!("{what} has no `{}`", entry.key)).help =
                Some(format!("Kubernetes writes `{camel}`"));
        } else if let Some(near) = near(&entry.key, known) {
            let diagnostic =
                cx.report(Code::BadManifest, entry.key_span, format!("{what} has no `{}` that is known", entry.key));
            diagnostic.help = Some(format!("did you mean `{near}`?"));
            diagnostic.severity = Severity::Warning;
        }
    }
}

/// `node_selector` → `nodeSelector`.
pub fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

/// A known key of which this is a slip. A newer field is longer than two letters away from all.
fn near<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |name: &&str| strsim::levenshtein(&key.to_lowercase(), &name.to_lowercase());
    known.iter().copied().filter(|name| 5 < name.len() && distance(name) <= 2).min_by_key(distance)
}
