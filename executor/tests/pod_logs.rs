//! Logs of pods, from an API server that breaks off: what arrives in the attempt's file, and which output.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use gridflow_executor::kubernetes::{
    logs::{Ended, Log, Source, follow},
    output::Left,
};
use gridflow_pod::{frame, hex, report};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, oneshot},
};

/// A container's log on a node, and the server that shows it.
#[derive(Default)]
struct Node {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lines: Vec<(DateTime<Utc>, Vec<u8>)>,
    has_ended: bool,
    /// How the next answers go wrong.
    faults: Vec<Fault>,
    requests: Vec<String>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The connection breaks after so many bytes.
    BreakAfter(usize),
    /// The answer ends after so many bytes, as if that were all.
    EndAfter(usize),
    Status(u16),
    /// What a kubelet answers for a container that it has removed.
    Removed,
}

impl Node {
    /// Every line is half a second later than the one before.
    fn write(&self, line: impl Into<Vec<u8>>) {
        let mut state = self.state.lock().unwrap();
        let at = DateTime::from_timestamp_millis(1_000_000 + 500 * state.lines.len() as i64).unwrap();
        state.lines.push((at, line.into()));
        drop(state);
        self.changed.notify_waiters();
    }

    fn end(&self) {
        self.state.lock().unwrap().has_ended = true;
        self.changed.notify_waiters();
    }

    fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push(fault);
    }

    fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&self).answer(stream));
        }
    }

    /// One request a connection.
    async fn answer(self: Arc<Self>, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await.ok()?;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            if header.trim().is_empty() {
                break;
            }
        }
        let target = request.split(' ').nth(1)?.to_owned();
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(target.clone());
            (!state.faults.is_empty()).then(|| state.faults.remove(0))
        };
        if let Some(Fault::Status(code)) = fault {
            let body = format!(
                r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"x","code":{code}}}"#
            );
            let head = format!(
                "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            return stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n").await.ok()?;
        let since = parameter(&target, "sinceTime").map(|at| at.parse::<DateTime<Utc>>().unwrap());
        let follows = parameter(&target, "follow").is_some();
        let mut left = match fault {
            Some(Fault::BreakAfter(bytes) | Fault::EndAfter(bytes)) => bytes,
            Some(Fault::Status(_) | Fault::Removed) | None => usize::MAX,
        };
        if let Some(Fault::Removed) = fault {
            let words = "unable to retrieve container logs for containerd://0";
            return stream.write_all(format!("{:x}\r\n{words}\r\n0\r\n\r\n", words.len()).as_bytes()).await.ok();
        }
        let mut shown = 0;
        loop {
            let changed = self.changed.notified();
            let (new, is_over) = {
                let state = self.state.lock().unwrap();
                let lines = state.lines[shown..].iter().filter(|(at, _)| since.is_none_or(|since| since <= *at));
                let new: Vec<u8> = lines.flat_map(|(at, line)| stamped(*at, line)).collect();
                shown = state.lines.len();
                (new, state.has_ended || !follows)
            };
            let count = new.len().min(left);
            left -= count;
            if 0 < count {
                stream.write_all(format!("{count:x}\r\n").as_bytes()).await.ok()?;
                stream.write_all(&new[..count]).await.ok()?;
                stream.write_all(b"\r\n").await.ok()?;
                stream.flush().await.ok()?;
            }
            match fault {
                Some(Fault::BreakAfter(_)) if left == 0 => return None,
                Some(Fault::EndAfter(_)) if left == 0 => break,
                _ if is_over => break,
                _ => changed.await,
            }
        }
        stream.write_all(b"0\r\n\r\n").await.ok()
    }
}

fn stamped(at: DateTime<Utc>, line: &[u8]) -> Vec<u8> {
    [at.format("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string().as_bytes(), line, b"\n"].concat()
}

fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(value.replace("%3A", ":"))
}

struct Following {
    node: Arc<Node>,
    source: Source,
    path: PathBuf,
    ended: Option<oneshot::Sender<Ended>>,
    left: tokio::task::JoinHandle<Left>,
    _dir: tempfile::TempDir,
}

async fn following(faults: &[Fault]) -> Following {
    let node = Arc::new(Node::default());
    faults.iter().for_each(|fault| node.fault(*fault));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Arc::clone(&node).serve(listener));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs/a.log");
    let source = Source {
        client: kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(),
        namespace: "data".into(),
        pod: "gf-a1".into(),
        container: "task".into(),
        attempt: "a1".into(),
        path: path.clone(),
        looks: Arc::new(Semaphore::new(1)),
    };
    let (ended, receiver) = oneshot::channel();
    let left = tokio::spawn(follow(source.clone(), receiver));
    Following { node, source, path, ended: Some(ended), left, _dir: dir }
}

impl Following {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !is_so(&self.log()) {
            assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", self.log());
            tokio::task::yield_now().await;
        }
    }

    /// The scheduler is killed, and another one takes over.
    async fn taken_over(mut self) -> Self {
        self.left.abort();
        let _ = (&mut self.left).await;
        let (ended, receiver) = oneshot::channel();
        self.left = tokio::spawn(follow(self.source.clone(), receiver));
        Self { ended: Some(ended), ..self }
    }

    async fn end(mut self, message: Option<&str>, log: Log, notes: &[&str]) -> (String, Left, Vec<String>) {
        self.node.end();
        let notes = notes.iter().map(ToString::to_string).collect();
        let ended = Ended { message: message.map(Into::into), log, notes };
        self.ended.take().unwrap().send(ended).unwrap();
        let left = (&mut self.left).await.unwrap();
        (self.log(), left, self.node.requests())
    }
}

#[tokio::test]
async fn a_log_is_there_while_it_is_written_and_complete_at_the_end() {
    let following = following(&[]).await;
    following.node.write("one");
    following.wait_for("live", |log| log == "one\n").await;
    following.node.write("two");
    let (log, left, _) = following.end(Some(r#"{"rows": 1}"#), Log::Complete, &["exit code 0\nthe end"]).await;
    assert_eq!(log, "one\ntwo\ngridflow: exit code 0\ngridflow: the end\n");
    let Left::Json(output) = left else { panic!("{left:?}") };
    assert_eq!(output.value["rows"], 1);
}

#[tokio::test]
async fn after_a_takeover_the_log_is_whole_and_there_once() {
    let following = following(&[]).await;
    following.node.write("one");
    following.node.write("two");
    following.wait_for("live", |log| log == "one\ntwo\n").await;
    let following = following.taken_over().await;
    following.node.write("three");
    following.wait_for("live again", |log| log == "one\ntwo\nthree\n").await;
    let (log, ..) = following.end(None, Log::Complete, &["the end"]).await;
    assert_eq!(log, "one\ntwo\nthree\ngridflow: the end\n");
}

#[tokio::test]
async fn streams_that_break_anywhere_lose_and_repeat_nothing() {
    let faults = [Fault::BreakAfter(50), Fault::EndAfter(100), Fault::Status(500), Fault::BreakAfter(31)];
    let following = following(&faults).await;
    let lines: Vec<String> = (0..20).map(|no| format!("line number {no}")).collect();
    lines.iter().for_each(|line| following.node.write(line.as_str()));
    let (log, _, requests) = following.end(None, Log::Complete, &[]).await;
    assert_eq!(log, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    assert!(5 <= requests.len(), "{requests:?}");
}

#[tokio::test]
async fn the_end_of_a_stream_is_not_the_end_of_the_log() {
    // All that is shown to the follower ends early, as when a kubelet restarts.
    let following = following(&[Fault::EndAfter(35)]).await;
    following.node.write("one");
    following.node.write("two");
    let (log, ..) = following.end(None, Log::Complete, &[]).await;
    assert_eq!(log, "one\ntwo\n");
}

#[tokio::test]
async fn a_line_of_a_megabyte_is_a_line() {
    let following = following(&[Fault::BreakAfter(300_000)]).await;
    let line = "x".repeat(1 << 20);
    following.node.write(line.as_str());
    following.node.write("after");
    let (log, ..) = following.end(None, Log::Complete, &[]).await;
    assert!(log == format!("{line}\nafter\n"), "{} bytes", log.len());
}

#[tokio::test]
async fn a_large_output_is_cut_out_of_the_log_and_checked() {
    let value = format!("[{}]", vec!["\"größer\""; 20_000].join(","));
    let mut framed = Vec::new();
    frame::write(&mut framed, "a1", &value).unwrap();
    let in_log = report::Output::InLog { bytes: value.len() as u64, sha256: hex::sha256(value.as_bytes()) };
    let message = report::Report { output: in_log, ..report::Report::default() }.write(4096).unwrap();

    // The stream breaks in the middle of it, too.
    let following = following(&[Fault::BreakAfter(90_000)]).await;
    following.node.write("before");
    framed[1..]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .for_each(|line| following.node.write(line));
    let (log, left, _) = following.end(Some(&message), Log::Complete, &[]).await;
    assert_eq!(log, "before\n");
    let Left::Json(output) = left else { panic!("{left:?}") };
    assert_eq!((output.bytes, output.value.as_array().unwrap().len()), (value.len() as u64, 20_000));
}

#[tokio::test]
async fn what_was_read_is_kept_where_nothing_more_can_be() {
    let following = following(&[]).await;
    following.node.write("one");
    following.wait_for("live", |log| log == "one\n").await;
    following.node.write("never seen");
    following.node.fault(Fault::Status(500));
    let (log, left, _) = following.end(None, Log::NoMore, &["the node is gone"]).await;
    assert!(log.starts_with("one\n") && log.ends_with("gridflow: the node is gone\n"), "{log}");
    assert_eq!(left, Left::Nothing);
}

#[tokio::test]
async fn a_container_that_was_removed_after_its_log_was_read_is_no_loss() {
    let following = following(&[]).await;
    following.node.write("one");
    following.wait_for("live", |log| log == "one\n").await;
    // The open stream ends in order; whatever is asked later comes too late.
    [Fault::Removed; 20].into_iter().for_each(|fault| following.node.fault(fault));
    let (log, ..) = following.end(None, Log::Complete, &["canceled"]).await;
    assert_eq!(log, "one\ngridflow: canceled\n");
}

#[tokio::test]
async fn a_container_that_was_removed_before_its_log_was_read_is_said_in_the_log() {
    let following = following(&[Fault::Removed; 20]).await;
    let (log, ..) = following.end(None, Log::Complete, &[]).await;
    assert!(log.starts_with("gridflow: the rest of the log could not be read: its node says: unable"), "{log}");
}

#[tokio::test]
async fn a_pod_that_is_gone_is_said_in_the_log() {
    let faults = [Fault::Status(404); 20];
    let following = following(&faults).await;
    let (log, ..) = following.end(None, Log::Complete, &["deleted"]).await;
    assert!(log.starts_with("gridflow: the rest of the log could not be read: "), "{log}");
    assert!(log.ends_with("gridflow: deleted\n"), "{log}");
}
