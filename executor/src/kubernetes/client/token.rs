//! A token in a file, which somebody exchanges while clients use it: that of a service account, for one.
//!
//! kube's own reader takes the file as it is, and `kubectl create token … > FILE` ends it with a line break, which no
//! header may hold; it also keeps an old one for a minute.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderValue;

/// An old token is good for some seconds after it was exchanged, and usually for minutes.
const READ_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct TokenFile {
    path: Arc<PathBuf>,
    last: Arc<Mutex<Option<Last>>>,
}

#[derive(Debug)]
struct Last {
    header: HeaderValue,
    read_at: Instant,
}

impl TokenFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), last: Arc::default() }
    }

    /// The header of a request made now. A file that can't be read for a moment leaves the last token in use; without
    /// any the server says that there is none.
    pub fn header(&self, now: Instant) -> Option<HeaderValue> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| READ_AGAIN <= now.saturating_duration_since(last.read_at)) {
            let read = fs::read_to_string(&*self.path).ok().and_then(|text| header(&text));
            let header = read.or_else(|| last.take().map(|last| last.header));
            *last = header.map(|header| Last { header, read_at: now });
        }
        last.as_ref().map(|last| last.header.clone())
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let token = Some(token.trim()).filter(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchanged_token_is_taken_after_seconds_and_an_absent_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let file = TokenFile::new(path.clone());
        let begun = Instant::now();
        let after = |seconds| file.header(begun + Duration::from_secs(seconds));
        assert_eq!(after(0), None);
        fs::write(&path, "one\n").expect("written");
        assert_eq!(after(0).expect("a token"), "Bearer one", "as kubectl writes it");
        fs::write(&path, "two").expect("written");
        assert_eq!(after(9).expect("a token"), "Bearer one");
        assert_eq!(after(10).expect("a token"), "Bearer two");
        fs::remove_file(&path).expect("removed");
        assert_eq!(after(20).expect("a token"), "Bearer two");
        assert!(after(20).expect("a token").is_sensitive());
    }
}
