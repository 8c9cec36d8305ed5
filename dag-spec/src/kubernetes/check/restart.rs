//! What would start the work again behind Gridflow's back, or end it.

use crate::{
    code::Code,
    read::Cx,
    source::Span,
    yaml::{Entry, Node},
};

/// `restartPolicy` of a pod.
pub fn policy(node: &Node, cx: &mut Cx<'_>) {
    let Some(scalar) = node.scalar().filter(|_| !super::is_templated(node)) else { return };
    if scalar.text != "Never" {
        starts_again(
            node.span,
            &format!("`restartPolicy: {}` would start the work again inside of one try", scalar.text),
            cx,
        );
    }
}

/// Something starts the work again that is not Gridflow.
pub fn starts_again(span: Span, message: &str, cx: &mut Cx<'_>) {
    cx.report(Code::StartsAgain, span, message).help =
        Some("remove it, and give the task `retries:`; each try is an attempt with a log of its own".into());
}

/// A duration that a key of the task says.
pub fn duration_elsewhere(entry: &Entry, key: &str, cx: &mut Cx<'_>) {
    let seconds = entry.value.scalar().map_or("…", |scalar| scalar.text.as_str());
    let message = format!("`{}` is said by the task's `{key}:`", entry.key);
    let help = if super::is_templated(&entry.value) {
        format!("remove it, and give the task `{key}:`")
    } else {
        format!("remove it, and write `{key}: {seconds}s` on the task")
    };
    cx.report(Code::BadManifest, entry.key_span, message).help = Some(help);
}
