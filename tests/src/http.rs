//! Just enough HTTP to ask for something while the one who answers may be killed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result};

const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a JSON body and returns the status of the answer. An error: nobody knows what came of it.
pub fn post(address: &str, token: &str, path: &str, body: &str) -> Result<u16> {
    let authority = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .context("asking")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the answer")?;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")
}
