//! `500m`, `1Gi`: quantities of Kubernetes.

use crate::{code::Code, read::Cx, yaml::Node};

const SUFFIXES: &[&str] = &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Whether Kubernetes reads a text as a quantity.
pub fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, suffix) = split(text);
    is_number(number) && (SUFFIXES.contains(&suffix) || is_exponent(suffix))
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

fn is_number(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit()) && text.matches('.').count() <= 1
}

fn is_exponent(suffix: &str) -> bool {
    let digits = suffix.strip_prefix(['e', 'E']).map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
    digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

/// What was probably meant by a text that is no quantity.
fn meant(text: &str) -> Option<String> {
    let (number, suffix) = split(text.trim());
    let suffix = suffix.trim().to_lowercase();
    let letter = suffix.trim_end_matches("ib").trim_end_matches('i').trim_end_matches('b');
    let unit = match (letter, suffix.contains('i')) {
        ("k", false) => "k".to_owned(),
        ("k" | "m" | "g" | "t" | "p" | "e", true) => {
            let first = letter.to_uppercase();
            format!("{first}i")
        }
        ("m" | "g" | "t" | "p" | "e", false) => letter.to_uppercase(),
        _ => return None,
    };
    let proposal = format!("{number}{unit}");
    is_quantity(&proposal).then_some(proposal)
}

/// Reports a literal that is no quantity of a resource; says whether it is one.
pub fn check(text: &str, resource: &str, node: &Node, cx: &mut Cx<'_>) -> bool {
    if !is_quantity(text) {
        let help = match meant(text) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "a quantity is a number with a unit: `500m` (thousandths), `2`, `512Mi`, `1Gi`, `1G`".into(),
        };
        cx.report(Code::BadQuantity, node.span, format!("`{text}` is no quantity")).help = Some(help);
        return false;
    }
    let is_bytes = matches!(resource, "memory" | "ephemeral-storage" | "storage");
    if let (true, Some(number)) = (is_bytes, text.strip_suffix('m')) {
        cx.report(Code::BadQuantity, node.span, format!("`{text}` of {resource} is thousandths of a byte")).help =
            Some(format!("did you mean `{number}Mi`?"));
        return false;
    }
    true
}

/// Reports a literal scalar that is no quantity of a resource.
pub fn check_node(resource: &str, node: &Node, cx: &mut Cx<'_>) {
    if let Some(scalar) = node.scalar().filter(|_| !super::check::is_templated(node)) {
        check(&scalar.text, resource, node, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for text in ["1", "0.5", ".5", "5.", "500m", "1Gi", "1G", "128974848", "129e6", "129E+6", "123Mi", "-1", "1E"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "Gi", "1GB", "1gi", "1.5.2", "1 Gi", "1K", "1e", "one", "1Mb"] {
            assert!(!is_quantity(text), "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_proposed() {
        assert_eq!(meant("1GB").as_deref(), Some("1G"));
        assert_eq!(meant("512mib").as_deref(), Some("512Mi"));
        assert_eq!(meant("1 gi").as_deref(), Some("1Gi"));
        assert_eq!(meant("1K").as_deref(), Some("1k"));
        assert_eq!(meant("two"), None);
    }
}
