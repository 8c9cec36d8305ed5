//! A watch against a server that answers by a script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use gridflow_core::{AttemptId, AttemptState, ExecutorKind, RunKey, Turn};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

use super::{
    super::super::{
        config::{Access, ClusterConfig},
        fleet::{Fleet, Happened, Todo},
        launch::Open,
        pod::{
            RawPod,
            sample::{self, ATTEMPT, bound, confirmed, ended, running, version},
        },
    },
    *,
};

/// One answer: a status and a body. `Cut` ends the connection after the body, as if there were more to come.
enum Answer {
    Whole(u16, String),
    Cut(String),
}

struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    words: mpsc::Receiver<Words>,
}

/// Plays the script to a watch, and the last answer for ever after.
async fn serve(script: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        let mut script = VecDeque::from(script);
        while let Ok((stream, _)) = listener.accept().await {
            let Some(answer) = script.pop_front() else { std::future::pending().await };
            let target = answer_one(stream, answer).await;
            noted.lock().expect("no test panicked with it").push(target);
        }
    });
    let url = format!("http://{address}").parse().expect("an address is a URL");
    let client = kube::Client::try_from(kube::Config::new(url)).expect("nothing is needed for it");
    let (words, heard) = mpsc::channel(64);
    let cluster = Cluster { name: "c".into(), client: client.clone(), log_client: client };
    let site = Site { cluster: 0, namespace: "ns".into() };
    tokio::spawn(run::<RawPod>(Watch { cluster, site, installation: InstallationId(Uuid::nil()), words }));
    Server { asked, words: heard }
}

async fn answer_one(stream: TcpStream, answer: Answer) -> String {
    let mut stream = BufReader::new(stream);
    let mut target = String::new();
    stream.read_line(&mut target).await.expect("a request");
    let mut line = String::new();
    while stream.read_line(&mut line).await.expect("a header") != 0 && line.trim() != "" {
        line.clear();
    }
    let text = match answer {
        Answer::Whole(status, body) => {
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Answer::Cut(body) => {
            format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1000)
        }
    };
    stream.write_all(text.as_bytes()).await.expect("somebody reads");
    let mut words = target.split_whitespace();
    words.nth(1).unwrap_or_default().to_owned()
}

fn pod(count: u64) -> Value {
    json!({"metadata": {
        "name": format!("gf-{ATTEMPT}"),
        "uid": "u1",
        "resourceVersion": version(count)["metadata"]["resourceVersion"],
        "labels": {"gridflow.io/attempt": ATTEMPT},
    }})
}

fn list(at: u64, next: Option<&str>, pods: &[u64]) -> Answer {
    list_of(at, next, &pods.iter().map(|count| pod(*count)).collect::<Vec<_>>())
}

fn list_of(at: u64, next: Option<&str>, items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": at.to_string(), "continue": next});
    Answer::Whole(200, json!({"kind": "PodList", "metadata": metadata, "items": items}).to_string())
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// Of what is to be done.
fn name(todo: &Todo) -> String {
    let text = match todo {
        Todo::Attempt(_, effect) => format!("{effect:?}"),
        Todo::Report(report) => format!("{report:?}"),
        other => format!("{other:?}"),
    };
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn expired() -> Value {
    json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
}

impl Server {
    /// What the watch said, until that many words.
    async fn heard(&mut self, count: usize) -> String {
        let mut heard = Vec::new();
        while heard.len() < count {
            let (_, words) = self.next().await.unwrap_or_else(|| panic!("only {heard:?}"));
            heard.extend(words.iter().map(|word| match word {
                Word::ListBegan => "[".to_owned(),
                Word::ListEnded => "]".to_owned(),
                Word::Listed(pod) => pod.version.to_string(),
                Word::Applied(pod) => format!("+{}", pod.version),
                Word::Deleted(pod) => format!("-{}", pod.version),
                other => panic!("no word of pods: {other:?}"),
            }));
        }
        heard.join(" ")
    }

    async fn next(&mut self) -> Option<Words> {
        let words = timeout(Duration::from_secs(30), self.words.recv()).await.ok()?;
        Some(words.expect("it watches for ever"))
    }

    /// What a fleet wants done about everything until the end of a list.
    async fn list_to(&mut self, fleet: &mut Fleet) -> Vec<String> {
        let now = "2026-01-01T00:02:10Z".parse().expect("it is a time");
        let mut told = Vec::new();
        let mut is_over = false;
        while !is_over {
            let (site, words) = self.next().await.unwrap_or_else(|| panic!("only {told:?}"));
            for word in words {
                is_over |= matches!(word, Word::ListEnded);
                told.extend(fleet.step(Happened::Watched(site.clone(), word), now).iter().map(name));
            }
        }
        told
    }

    /// What it asked for from which version on, or which page.
    fn asked(&self) -> Vec<String> {
        let wanted = |target: &String| {
            let part = |key: &str| {
                let (_, value) = target.split_once(key)?;
                Some(value.split('&').next().unwrap_or_default().to_owned())
            };
            match (part("&resourceVersion="), part("continue=")) {
                (Some(version), _) => format!("watch {version}"),
                (None, Some(page)) => format!("page {page}"),
                (None, None) => "list".to_owned(),
            }
        };
        self.asked.lock().expect("no test panicked with it").iter().map(wanted).collect()
    }
}

#[tokio::test]
async fn a_list_comes_in_pages_and_a_watch_goes_on_from_it() {
    let events = event("ADDED", &pod(11)) + &event("DELETED", &pod(12));
    let mut server = serve(vec![
        list(0, Some("p2"), &[3]),
        list(10, None, &[4, 5]),
        Answer::Whole(200, events),
        Answer::Whole(200, event("MODIFIED", &pod(20))),
    ])
    .await;
    assert_eq!(server.heard(8).await, "[ 3 4 5 ] +11 -12 +20");
    assert_eq!(server.asked()[..3], ["list", "page p2", "watch 10"]);
    assert_eq!(server.asked()[3..4], ["watch 12"]);
}

#[tokio::test]
async fn a_bookmark_is_a_place_to_go_on_from() {
    let mark = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "77"}});
    let mut server = serve(vec![
        list(10, None, &[]),
        Answer::Whole(200, event("BOOKMARK", &mark)),
        Answer::Whole(200, event("ADDED", &pod(80))),
    ])
    .await;
    assert_eq!(server.heard(3).await, "[ ] +80");
    assert_eq!(server.asked()[2], "watch 77");
}

#[tokio::test]
async fn a_watch_that_hears_410_lists_again_and_goes_on_from_that_list() {
    let mut server = serve(vec![
        list(10, None, &[3]),
        Answer::Whole(200, event("ADDED", &pod(11)) + &event("ERROR", &expired())),
        list(50, None, &[48]),
        Answer::Whole(200, event("ADDED", &pod(51))),
    ])
    .await;
    assert_eq!(server.heard(8).await, "[ 3 ] +11 [ 48 ] +51");
    assert_eq!(server.asked()[..4], ["list", "watch 10", "list", "watch 50"]);
}

#[tokio::test]
async fn a_watch_that_is_refused_with_410_lists_again_as_often_as_it_takes() {
    let refused = || Answer::Whole(410, expired().to_string());
    let mut server = serve(vec![
        list(10, None, &[3]),
        refused(),
        list(50, None, &[48]),
        refused(),
        list(60, None, &[]),
        Answer::Whole(200, event("ADDED", &pod(61))),
    ])
    .await;
    assert_eq!(server.heard(9).await, "[ 3 ] [ 48 ] [ ] +61");
    assert_eq!(server.asked()[..6], ["list", "watch 10", "list", "watch 50", "list", "watch 60"]);
}

#[tokio::test]
async fn what_changed_while_versions_were_too_old_is_learnt_from_the_next_list() {
    let runs = sample::raw(&[confirmed(), bound(), running()]);
    let over = sample::raw(&[confirmed(), bound(), ended(0, "Completed")]);
    for (later, told) in [(vec![], "Look"), (vec![over], "EndLog")] {
        let mut server = serve(vec![
            list_of(10, None, std::slice::from_ref(&runs)),
            Answer::Whole(200, event("ERROR", &expired())),
            list_of(50, None, &later),
        ])
        .await;
        let mut fleet = fleet_with_one_running();
        assert_eq!(server.list_to(&mut fleet).await, ["Follow", "Synced"]);
        assert_eq!(server.list_to(&mut fleet).await, [told]);
    }
}

fn fleet_with_one_running() -> Fleet {
    let open = Open {
        attempt: AttemptId(ATTEMPT.parse().expect("it is a uuid")),
        run: RunKey(Uuid::nil()),
        executor: ExecutorKind::Kubernetes,
        state: AttemptState::Running,
        claim: Some("c/ns/u1".into()),
        place: Some("n1/b1".into()),
        queued_turn: Turn(42),
    };
    Fleet::new(&[ClusterConfig::new("c", Access::InCluster, &["ns"])], &[open])
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_from_what_was_seen_last() {
    let mut server = serve(vec![
        list(10, None, &[]),
        Answer::Cut(event("ADDED", &pod(11)) + r#"{"type": "ADDED", "object": {"meta"#),
        Answer::Whole(500, "{}".into()),
        Answer::Whole(200, event("ADDED", &pod(12))),
    ])
    .await;
    assert_eq!(server.heard(4).await, "[ ] +11 +12");
    assert_eq!(server.asked()[2..4], ["watch 11", "watch 11"]);
}

#[tokio::test]
async fn a_list_that_breaks_off_begins_anew() {
    let mut server =
        serve(vec![list(0, Some("p2"), &[3]), Answer::Whole(410, expired().to_string()), list(10, None, &[3, 4])])
            .await;
    assert_eq!(server.heard(6).await, "[ 3 [ 3 4 ]");
    assert_eq!(server.asked()[..3], ["list", "page p2", "list"]);
}
