//! The API as the commands see it: one request, one JSON answer, and errors that say what to do.

use std::net::IpAddr;

use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::{
    failure::{Failure, Result},
    state_dir::StateDirArgs,
};

/// Which server a command speaks to, and as whom.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The server to speak to
    #[arg(
        long,
        env = "GRIDFLOW_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        help_heading = "Server"
    )]
    server: String,

    /// The API token; other users of this machine see it in the list of processes, so prefer `GRIDFLOW_TOKEN`
    /// [default: the file `api-token` in the state directory]
    #[arg(long, env = "GRIDFLOW_TOKEN", hide_env_values = true, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,

    #[command(flatten)]
    state_dir: StateDirArgs,
}

pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// Runs a command that only speaks to the server.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours("cannot start").because(&error))?;
    runtime.block_on(work)
}

impl ServerArgs {
    pub fn client(&self) -> Result<Client> {
        let server =
            Url::parse(&self.server).ok().filter(|url| url.scheme() == "http" && url.has_host()).ok_or_else(|| {
                Failure::user(format!("`{}` is not the address of a server", self.server))
                    .help("an address looks like `http://127.0.0.1:8080`")
            })?;
        // The token of this machine's server is for no other server.
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None if is_loopback(&server) => self.state_dir.locate()?.existing_token()?,
            None => None,
        };
        let mut http = reqwest::Client::builder().user_agent(concat!("gridflow/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&server) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Failure::ours("cannot start an HTTP client").because(&error))?;
        let mut base = server;
        base.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(["api", "v2"]);
        Ok(Client { http, base, token })
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The parts of a path below `/api/v2`, as they are: they get their escapes here.
pub type Path<'a> = &'a [&'a str];

impl Client {
    pub async fn get(&self, path: Path<'_>, query: &[(&str, String)]) -> Result<Value> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    pub async fn post(&self, path: Path<'_>, body: &Value) -> Result<Value> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: Path<'_>, body: &Value) -> Result<Value> {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// All items of a list, page by page; at most `limit`.
    pub async fn list(
        &self,
        path: Path<'_>,
        items: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<Value>> {
        /// The server's own bound on a page.
        const PAGE: usize = 100;
        let mut all = Vec::new();
        while all.len() < limit {
            let page = PAGE.min(limit - all.len());
            let mut query = query.to_vec();
            query.extend([("limit", page.to_string()), ("offset", all.len().to_string())]);
            let Value::Array(found) = self.get(path, &query).await?[items].take() else { break };
            let last = found.len() < page;
            all.extend(found);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// Reads an answer to its end, which comes when what it tells of has ended.
    pub async fn wait(&self, path: Path<'_>, query: &[(&str, String)]) -> Result<()> {
        let response = self.checked(self.request(Method::GET, path).query(query)).await?;
        response.bytes().await.map_err(|error| self.unreachable(&error)).map(drop)
    }

    /// A log from where `token` left off: one JSON object a line, and the token to go on with.
    pub async fn log(&self, path: Path<'_>, query: &[(&str, String)]) -> Result<(String, Option<String>)> {
        let request = self.request(Method::GET, path).query(query).header("accept", "application/x-ndjson");
        let response = self.checked(request).await?;
        let token = response.headers().get("airflow-continuation-token");
        let token = token.and_then(|token| token.to_str().ok()).map(str::to_owned);
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        Ok((text, token))
    }

    fn request(&self, method: Method, path: Path<'_>) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").extend(path);
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = self.checked(request).await?;
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::ours(format!("`{}` did not answer with JSON", self.server()))
                .because(&error)
                .help("is it a Gridflow server? name another with `--server URL` or `GRIDFLOW_SERVER`")
        })
    }

    async fn checked(&self, request: reqwest::RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(self.refused(status, &text))
    }

    fn server(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::user(format!("no server answers at `{}`", self.server())).because(error).help(
            "start one with `gridflow standalone --dags DIR`, or name it with `--server URL` or `GRIDFLOW_SERVER`",
        )
    }

    fn refused(&self, status: StatusCode, body: &str) -> Failure {
        let detail = detail(body);
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            return Failure::user(format!("`{}` does not accept the API token", self.server())).help(
                "set `GRIDFLOW_TOKEN`, or name the server's state directory with `--state-dir DIR` or `GRIDFLOW_STATE_DIR`",
            );
        }
        let what = if detail.is_empty() { format!("the server answered {status}") } else { detail };
        if status.is_server_error() {
            Failure::ours(what).help("the reason is in the server's log")
        } else {
            Failure::user(what)
        }
    }
}

/// The text in an error of Airflow's API: `{"detail": text | {"reason", "message"} | [{"loc", "msg"}]}`.
fn detail(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    match &body["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(problems) => problems.iter().map(problem).collect::<Vec<_>>().join("\n"),
        other => other["message"].as_str().or(other["reason"].as_str()).unwrap_or_default().to_owned(),
    }
}

fn problem(problem: &Value) -> String {
    let place = problem["loc"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    format!("{}: {}", place.join("."), problem["msg"].as_str().unwrap_or("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_an_error_becomes_text() {
        assert_eq!(detail(r#"{"detail": "no such DAG"}"#), "no such DAG");
        assert_eq!(detail(r#"{"detail": {"reason": "r", "message": "taken"}}"#), "taken");
        assert_eq!(
            detail(r#"{"detail": [{"loc": ["body", "conf"], "msg": "not an object"}]}"#),
            "body.conf: not an object"
        );
        assert_eq!(detail("<html>"), "");
    }

    #[test]
    fn the_local_token_goes_to_loopback_only() {
        for (url, local) in [("http://127.0.0.1:1", true), ("http://[::1]:1", true), ("http://10.0.0.1", false)] {
            assert_eq!(is_loopback(&Url::parse(url).expect("url")), local, "{url}");
        }
    }
}
