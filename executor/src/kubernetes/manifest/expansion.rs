//! Kubernetes replaces `$(NAME)` in commands and variables, and `$$` by `$`. What is to arrive as it is, is written for it.

/// The text that arrives as `text`.
pub(super) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}
