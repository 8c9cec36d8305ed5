//! Texts from outside, made fit for PostgreSQL.

use std::borrow::Cow;

/// PostgreSQL's texts can't hold NUL. A message with one must not fail a whole turn, again and again.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// See [`clean`].
pub(crate) fn clean_opt(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(clean)
}

/// See [`clean`].
pub(crate) fn cleaned(text: Option<&str>) -> Option<String> {
    text.map(|text| clean(text).into_owned())
}
