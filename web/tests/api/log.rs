//! Logs of attempts.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
};

use gridflow_core::AttemptId;
use insta::assert_snapshot;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Api, log_path, shown};

const HELLO: &str = "tasks:\n  hello: echo hello\n";
const PATH: &str = "/dags/hello/dagRuns/r/taskInstances/hello/logs/1";

async fn running() -> (Api, AttemptId, PathBuf) {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    api.start_run("r");
    let attempt = api.attempt("r", "hello", 1, "running");
    let path = log_path(api.state.path(), attempt);
    (api, attempt, path)
}

fn events(answer: &Value) -> Vec<&str> {
    answer["content"].as_array().unwrap().iter().map(|line| line["event"].as_str().unwrap()).collect()
}

async fn ndjson(api: &Api, path: &str) -> Response {
    let response = api.request(Method::GET, path).header("accept", "application/x-ndjson").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    response
}

#[tokio::test]
async fn the_log_of_an_ended_try_is_whole_and_says_how_it_ended() {
    let (api, attempt, path) = running().await;
    fs::write(path, "one\r\n\nä \"two\"\nno end").unwrap();
    api.close(attempt, 3, "failed");
    assert_snapshot!(shown(&api.get(PATH).await), @r#"
    {
      "content": [
        {
          "event": "one"
        },
        {
          "event": ""
        },
        {
          "event": "ä \"two\""
        },
        {
          "event": "no end"
        },
        {
          "timestamp": "[instant]",
          "event": "the command ended with exit code 3",
          "level": "error",
          "logger": "gridflow"
        }
      ],
      "continuation_token": null
    }
    "#);
    let text = ndjson(&api, PATH).await.text().await.unwrap();
    assert_eq!(text.lines().count(), 5);
    assert_eq!(text.lines().nth(2), Some("{\"event\":\"ä \\\"two\\\"\"}"));
}

#[tokio::test]
async fn success_needs_no_closing_line_and_bytes_need_not_be_text() {
    let (api, attempt, path) = running().await;
    fs::write(path, b"\xff\xfe ok\n").unwrap();
    api.close(attempt, 0, "success");
    let log = api.get(PATH).await;
    assert_eq!(events(&log), ["\u{fffd}\u{fffd} ok"]);
    assert_eq!(log["continuation_token"], Value::Null);
}

#[tokio::test]
async fn a_log_is_followed_from_token_to_token() {
    let (api, attempt, path) = running().await;
    let log = api.get(PATH).await;
    assert_eq!(events(&log), [""; 0], "nothing written yet");
    let next = async |token: &Value| api.get(&format!("{PATH}?token={}", token.as_str().unwrap())).await;
    let mut file = File::create(path).unwrap();
    file.write_all(b"one\ntw").unwrap();
    let log = next(&log["continuation_token"]).await;
    assert_eq!(events(&log), ["one"], "half a line waits for its end");
    file.write_all(b"o\nthree").unwrap();
    let log = next(&log["continuation_token"]).await;
    assert_eq!(events(&log), ["two"]);
    let again = next(&log["continuation_token"]).await;
    assert_eq!(events(&again), [""; 0]);
    assert_eq!(again["continuation_token"], log["continuation_token"]);
    api.close(attempt, 0, "success");
    let log = next(&log["continuation_token"]).await;
    assert_eq!(events(&log), ["three"]);
    assert_eq!(log["continuation_token"], Value::Null);
}

#[tokio::test]
async fn a_chunk_is_bounded_and_the_token_leads_on() {
    let (api, attempt, path) = running().await;
    let mut file = File::create(path).unwrap();
    for number in 0..200_000 {
        writeln!(file, "line {number}").unwrap();
    }
    api.close(attempt, 0, "success");
    let mut path = PATH.to_owned();
    let mut lines = 0;
    let mut answers = 0;
    loop {
        let response = ndjson(&api, &path).await;
        let token =
            response.headers().get("airflow-continuation-token").map(|token| token.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        assert!(text.len() < 4 << 20);
        for line in text.lines() {
            assert_eq!(line, format!("{{\"event\":\"line {lines}\"}}"));
            lines += 1;
        }
        answers += 1;
        match token {
            Some(token) => path = format!("{PATH}?token={token}"),
            None => break,
        }
    }
    assert_eq!(lines, 200_000);
    assert!(3 < answers, "{answers}");
}

#[tokio::test]
async fn the_full_content_is_streamed_in_both_forms() {
    let (api, attempt, path) = running().await;
    let mut file = File::create(path).unwrap();
    for number in 0..100_000 {
        writeln!(file, "line {number}").unwrap();
    }
    write!(file, "{}", "x".repeat(1 << 20)).unwrap();
    api.close(attempt, 1, "failed");
    let whole = api.get(&format!("{PATH}?full_content=true")).await;
    let lines = events(&whole);
    assert_eq!(lines[99_999], "line 99999");
    assert_eq!(lines.last(), Some(&"the command ended with exit code 1"));
    let long: usize = lines[100_000..lines.len() - 1].iter().map(|line| line.len()).sum();
    assert_eq!(long, 1 << 20, "a line without an end is cut, and nothing of it is lost");
    assert_eq!(whole["continuation_token"], Value::Null);
    let text = ndjson(&api, &format!("{PATH}?full_content=true")).await.text().await.unwrap();
    assert_eq!(text.lines().count(), lines.len());
}

#[tokio::test]
async fn a_gigabyte_is_never_in_memory() {
    let (api, attempt, path) = running().await;
    // A hole of zeros, so that nothing is written.
    let file = File::create(path).unwrap();
    file.set_len(1 << 30).unwrap();
    api.close(attempt, 0, "success");
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = resident();
    let chunk = api.get(PATH).await;
    assert!(chunk["continuation_token"].is_string());
    let mut stream = ndjson(&api, &format!("{PATH}?full_content=true")).await;
    let mut read = 0;
    while read < 64 << 20 {
        read += stream.chunk().await.unwrap().unwrap().len();
    }
    // This process is server and client; other tests run beside it.
    assert!(resident() < before + 400, "{before} MiB before, {} MiB now", resident());
}

#[tokio::test]
async fn links_and_pipes_in_place_of_a_log_are_not_followed() {
    let (api, _, path) = running().await;
    let secret = api.state.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    assert_eq!(api.status(PATH).await.0, 500);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(api.status(PATH).await.0, 500);
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    let (api, attempt, path) = running().await;
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(b"one\n").unwrap();
    for token in ["x", "1.2", "-1", &format!("{attempt}.x"), &format!("{attempt}.-1"), &format!("{attempt}.99")] {
        assert_eq!(api.status(&format!("{PATH}?token={token}")).await.0, 400, "{token}");
    }
}

#[tokio::test]
async fn a_try_without_a_launch_says_so_or_is_waited_for() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let waiting = api.get(PATH).await;
    assert_eq!(waiting, json!({"content": [], "continuation_token": "0"}));
    assert_eq!(api.get(&format!("{PATH}?token=0")).await, waiting);
    api.start_run("r");
    api.sql("UPDATE task_instance SET state = 'skipped', reason = 'upstream was skipped'");
    let log = api.get(PATH).await;
    assert_eq!(events(&log), ["nothing was launched: the task instance is skipped (upstream was skipped)"]);
    assert_eq!(log["continuation_token"], Value::Null);
    assert_eq!(api.status(&PATH.replace("logs/1", "logs/7")).await, (404, json!({"detail": "TaskInstance not found"})));
    assert_eq!(api.status(&PATH.replace("logs/1", "logs/x")).await.0, 422);
}
