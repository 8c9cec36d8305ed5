//! The `Accept` header, as far as the API needs it.

use axum::http::{HeaderMap, header};

/// The first of the offered types that the client takes; none where it takes none of them.
/// A client that says nothing takes the first one.
pub fn choose(headers: &HeaderMap, offered: &[&'static str]) -> Option<&'static str> {
    let mut wanted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if wanted.peek().is_none() {
        return offered.first().copied();
    }
    let ranges = wanted.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or("").trim());
    ranges.filter_map(|range| offered.iter().find(|kind| covers(range, kind)).copied()).next()
}

fn covers(range: &str, kind: &str) -> bool {
    match range.split_once('/') {
        Some(("*", "*")) => true,
        Some((main, "*")) => kind.starts_with(main) && kind.as_bytes().get(main.len()) == Some(&b'/'),
        Some(_) => range.eq_ignore_ascii_case(kind),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<&'static str> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        choose(&headers, &["application/json", "text/plain"])
    }

    #[test]
    fn the_first_range_that_fits_decides() {
        assert_eq!(choose(&HeaderMap::new(), &["application/json"]), Some("application/json"));
        assert_eq!(chosen("*/*"), Some("application/json"));
        assert_eq!(chosen("text/plain"), Some("text/plain"));
        assert_eq!(chosen("text/html, text/*;q=0.9, */*;q=0.1"), Some("text/plain"));
        assert_eq!(chosen("image/png"), None);
    }
}
