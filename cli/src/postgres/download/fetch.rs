//! Bytes from a Maven repository into a file, hashed as they come.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use super::archive::Archive;
use crate::failure::{Failure, Result, say};

/// A mirror of Maven Central, for machines that reach only that.
const MIRROR: &str = "GRIDFLOW_MAVEN_MIRROR";
const CENTRAL: &str = "https://repo1.maven.org/maven2";

/// The largest has 60 MiB.
const BYTES_MAX: u64 = 256 << 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// 60 MiB over a slow line.
const ALL_WITHIN: Duration = Duration::from_secs(1_800);
const TRIES: u32 = 3;
const TELL_EVERY: Duration = Duration::from_secs(2);
/// How soon a person who presses Ctrl-C is heard.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
const PIECE_BYTES: usize = 1 << 16;

/// Downloads and verifies. On an error the file is not what it should be.
pub fn fetch(archive: Archive, file: &Path, is_stopped: &dyn Fn() -> bool) -> Result<()> {
    let mirror = std::env::var(MIRROR).unwrap_or_else(|_| CENTRAL.to_owned());
    let url = format!("{}/{}", mirror.trim_end_matches('/'), archive.path());
    let hash = until_stopped(&url, file, is_stopped)?;
    if hash == archive.sha256 {
        return Ok(());
    }
    Err(Failure::ours(format!("`{url}` is not the archive that it should be"))
        .because_text(format!("its SHA-256 is {hash}, not {}", archive.sha256))
        .help("a proxy may have changed it; install PostgreSQL with the system's package manager instead"))
}

/// Downloads on a thread of its own, which nobody waits for once the program shall stop: then it ends with it.
fn until_stopped(url: &str, file: &Path, is_stopped: &dyn Fn() -> bool) -> Result<String> {
    let (done, waiting) = mpsc::channel();
    let (url, file) = (url.to_owned(), file.to_owned());
    thread::Builder::new()
        .name("download".into())
        .spawn(move || done.send(with_patience(&url, &file)))
        .map_err(|error| Failure::ours("cannot start a thread").because(&error))?;
    loop {
        match waiting.recv_timeout(LISTEN_EVERY) {
            Ok(hash) => return hash,
            Err(mpsc::RecvTimeoutError::Timeout) if !is_stopped() => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(Failure::user("stopped while PostgreSQL was being downloaded"));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::ours("the download panicked")),
        }
    }
}

fn with_patience(url: &str, file: &Path) -> Result<String> {
    let mut tries = 1;
    loop {
        match download(url, file) {
            Ok(hash) => return Ok(hash),
            Err(Trouble::File(error)) => {
                return Err(Failure::ours(format!("cannot write `{}`", file.display())).because(&error));
            }
            Err(Trouble::Http(error)) if tries == TRIES || is_final(&error) => return Err(out_of_reach(url, &error)),
            Err(Trouble::Http(error)) => say(format!("the download failed ({error}): trying again")),
        }
        tries += 1;
    }
}

/// Asked again, the server would say the same.
fn is_final(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::StatusCode(400..=499))
}

fn out_of_reach(url: &str, error: &ureq::Error) -> Failure {
    Failure::user(format!("`{url}` can't be downloaded")).because(error).help(format!(
        "it is the PostgreSQL of `standalone`: install one, set `{MIRROR}` to a mirror or `HTTPS_PROXY` to a proxy,\n\
         or set `GRIDFLOW__DATABASE__URL` to a server of yours"
    ))
}

#[derive(Debug)]
enum Trouble {
    Http(ureq::Error),
    File(std::io::Error),
}

/// The SHA-256 of what came, in hexadecimal digits. Trusts what the system trusts, and goes through the proxy that
/// the environment names.
fn download(url: &str, path: &Path) -> Result<String, Trouble> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_global(Some(ALL_WITHIN))
        .tls_config(tls)
        .build();
    let answer = Agent::new_with_config(config).get(url).call().map_err(Trouble::Http)?;
    let total = answer.body().content_length();
    let mut body = answer.into_body().into_with_config().limit(BYTES_MAX).reader();
    let mut file = File::create(path).map_err(Trouble::File)?;
    let (mut hasher, mut bytes, mut told) = (Sha256::new(), 0, Instant::now());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = body.read(&mut piece).map_err(|error| Trouble::Http(error.into()))?;
        if length == 0 {
            break;
        }
        bytes += length as u64;
        hasher.update(&piece[..length]);
        file.write_all(&piece[..length]).map_err(Trouble::File)?;
        if TELL_EVERY < told.elapsed() {
            told = Instant::now();
            let total = total.map_or_else(String::new, |total| format!(" of {}", total >> 20));
            say(format!("downloading PostgreSQL … {}{total} MiB", bytes >> 20));
        }
    }
    file.sync_all().map_err(Trouble::File)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers every request with these bytes, and then no more.
    fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/x", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let _ = stream.read(&mut [0; 4_096]);
                let _ = stream.write_all(answer);
            }
        });
        url
    }

    fn get(answer: &'static [u8]) -> (Result<String, Trouble>, Vec<u8>) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("file");
        let done = download(&server(answer), &path);
        (done, std::fs::read(path).unwrap_or_default())
    }

    #[test]
    fn what_came_is_in_the_file_and_its_hash_is_known() {
        let (hash, bytes) = get(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!(bytes, b"abc");
        assert_eq!(hash.expect("complete"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_answer_that_breaks_off_or_is_refused_is_an_error() {
        let (broken, _) = get(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\nabc");
        assert!(matches!(broken, Err(Trouble::Http(_))), "{broken:?}");
        let (refused, _) = get(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        assert!(matches!(refused, Err(Trouble::Http(_))), "{refused:?}");
    }

    #[test]
    fn somebody_who_stops_the_program_does_not_wait_for_the_download() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/x", listener.local_addr().expect("bound"));
        let folder = tempfile::tempdir().expect("temporary folder");
        let stopped = until_stopped(&url, &folder.path().join("file"), &|| true);
        assert!(format!("{stopped:?}").contains("stopped while"), "{stopped:?}");
    }
}
