//! The REST API over one kept connection: blocking and thin, so that the driver costs little of the two cores that
//! it shares with what it measures.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Beyond this the server hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Api {
    stream: BufReader<TcpStream>,
    address: String,
    token: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Api {
    pub fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned(), token: token.to_owned() })
    }

    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, "")
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.send("PATCH", path, &body.to_string())?.json()
    }

    /// Creates a run.
    pub fn trigger(&mut self, dag: &str, run_id: &str) -> Result<()> {
        let body = json!({ "dag_run_id": run_id, "logical_date": null }).to_string();
        self.send("POST", &format!("/dags/{dag}/dagRuns"), &body)?.ok().map(drop)
    }

    pub fn set_paused(&mut self, dag: &str, is_paused: bool) -> Result<()> {
        self.patch(&format!("/dags/{dag}"), &json!({ "is_paused": is_paused })).map(drop)
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let head = format!(
            "{method} /api/v2{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        // One write, one packet.
        self.stream.get_mut().write_all(head.as_bytes()).context("sending a request")?;
        read_answer(&mut self.stream).with_context(|| format!("{method} {path}"))
    }
}

impl Answer {
    fn ok(self) -> Result<Vec<u8>> {
        let text = || String::from_utf8_lossy(&self.body).into_owned();
        ensure!((200..300).contains(&self.status), "the API answered {}: {}", self.status, text());
        Ok(self.body)
    }

    pub fn json(self) -> Result<Value> {
        serde_json::from_slice(&self.ok()?).context("the API did not answer with JSON")
    }
}

/// One answer with a `content-length`, as all of Gridflow's have that are no streams.
fn read_answer(stream: &mut impl BufRead) -> Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let Some(status) = status else { bail!("no answer but `{}`", line.trim_end()) };
    let mut length = None;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().context("content-length is a number")?);
        }
    }
    let mut body = vec![0; length.context("an answer without `content-length`")?];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_follow_each_other_on_one_connection() {
        let mut text =
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"[..];
        assert_eq!(read_answer(&mut text).expect("an answer").json().expect("JSON"), json!({}));
        let second = read_answer(&mut text).expect("an answer");
        assert_eq!(second.status, 409);
        assert!(second.json().is_err());
        assert!(read_answer(&mut text).is_err(), "the connection has ended");
    }
}
