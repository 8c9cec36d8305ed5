//! The way in for fuzzing; not part of the program.

use crate::{body::Fields, dag_run_trigger, error::Result, instant, query::Query};

/// Reads the bytes as the bodies and queries of requests. Whether they are refused does not matter.
pub fn body(bytes: &[u8]) {
    let _ = Fields::parse(bytes).and_then(dag_run_trigger::read);
    let _ = Fields::parse(bytes).and_then(every_kind);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = instant::parse(text);
        let _ = queried(Query::parse(text));
    }
}

fn every_kind(mut body: Fields) -> Result<()> {
    body.require("a");
    let _ = (body.text("a"), body.text_up_to("note", 10), body.object("conf"), body.boolean("is_paused"));
    let _ = (body.one_of("state", &["queued", "failed"]), body.instant("logical_date"));
    body.finish()
}

fn queried(mut query: Query) -> Result<()> {
    let _ = (query.text("a").is_some(), query.texts("a"), query.instant("g"));
    let _ = (query.boolean("b"), query.integer("c"), query.number("d"));
    let _ = (query.small_integers("e"), query.positive("f"), query.page());
    query.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_the_bytes_there_is_an_answer() {
        for bytes in
            [&b""[..], b"{", b"[]", b"\xff", b"{\"a\": 1e999}", b"{\"logical_date\": 7}", b"a=1&b=%ff&e=7&g=now"]
        {
            super::body(bytes);
        }
    }
}
