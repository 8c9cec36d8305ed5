//! The gate.

use reqwest::Method;
use serde_json::json;

use crate::support::{Api, TOKEN, answer};

#[tokio::test]
async fn everything_but_health_and_version_needs_the_token() {
    let api = Api::start().await;
    let bare = |path: &str| api.client.get(format!("{}{path}", api.base));
    for path in ["/monitor/health", "/version"] {
        assert_eq!(answer(bare(path)).await.0, 200, "{path}");
    }
    let response = bare("/dags").send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.json::<serde_json::Value>().await.unwrap(), json!({"detail": "Not authenticated"}));
    assert_eq!(answer(bare("/nope")).await.0, 401, "what exists is not told");
    assert_eq!(answer(bare("/dags").bearer_auth("another-token-of-characters")).await.0, 403);
    assert_eq!(answer(bare("/dags").bearer_auth(format!("{TOKEN}x"))).await.0, 403);
    assert_eq!(answer(bare("/dags").basic_auth("admin", Some(TOKEN))).await.0, 401);
    assert_eq!(answer(bare("/dags").header("authorization", format!("bearer {TOKEN}"))).await.0, 200);
}

#[tokio::test]
async fn an_unknown_host_is_refused_before_anything_else() {
    let api = Api::start().await;
    let port = api.base.split([':', '/']).nth(4).unwrap().to_owned();
    let asked = async |host: String| answer(api.request(Method::GET, "/version").header("host", host)).await.0.as_u16();
    assert_eq!(asked(format!("localhost:{port}")).await, 200);
    assert_eq!(asked(format!("LocalHost:{port}")).await, 200);
    assert_eq!(asked(format!("[::1]:{port}")).await, 200);
    assert_eq!(asked(format!("127.0.0.1:{port}")).await, 200);
    assert_eq!(asked("localhost".to_owned()).await, 403);
    assert_eq!(asked(format!("evil.example:{port}")).await, 403);
    assert_eq!(asked(format!("127.0.0.1.evil.example:{port}")).await, 403);
    assert_eq!(asked(format!("user@localhost:{port}")).await, 403);
}

#[tokio::test]
async fn a_change_needs_a_type_that_no_page_can_send_unasked() {
    let api = Api::start().await;
    let sent = async |kind: Option<&str>| {
        let request = api.request(Method::POST, "/dags/x/dagRuns").body("{\"logical_date\": null}");
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        answer(request).await.0.as_u16()
    };
    assert_eq!(sent(None).await, 415);
    assert_eq!(sent(Some("text/plain")).await, 415);
    assert_eq!(sent(Some("application/x-www-form-urlencoded")).await, 415);
    assert_eq!(sent(Some("application/json")).await, 404);
    assert_eq!(sent(Some("Application/JSON; charset=utf-8")).await, 404);
}

#[tokio::test]
async fn headers_are_bounded() {
    let api = Api::start().await;
    let large = api.request(Method::GET, "/version").header("x-large", "x".repeat(1_000_000)).send().await.unwrap();
    assert_eq!(large.status(), 431);
    let mut many = api.request(Method::GET, "/version");
    for number in 0..100 {
        many = many.header(format!("x-{number}"), "x");
    }
    assert_eq!(many.send().await.unwrap().status(), 431);
}
