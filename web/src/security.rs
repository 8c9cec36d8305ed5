//! Who may ask: the gate in front of every handler.
//!
//! As long as there are no users there is one secret, the bearer token that the program writes beside its state.
//! The server listens on loopback only, so these are left: other users of the machine (they can connect, but cannot
//! read the token), and web pages in a browser of this machine. A page cannot read answers of another origin, nor
//! send a `content-type: application/json` or an `authorization` header without a preflight that nobody answers; with
//! a DNS name that points here it could pretend to be of our origin, so the `Host` must be one of our own names.
//!
//! **Reading needs the token too**, except health and version: logs, XComs and `conf` may hold what other users of the
//! machine must not see.

use std::{fmt, net::SocketAddr};

use axum::{
    body::HttpBody,
    extract::{Request, State},
    http::{HeaderMap, Method, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// Answered without a token, as in Airflow.
const PUBLIC_PATHS: [&str; 2] = ["/api/v2/monitor/health", "/api/v2/version"];

/// The secret that a request must carry. Never printed.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has at least {} visible ASCII characters", Token::CHARS_MIN)]
pub struct TokenError;

impl Token {
    const CHARS_MIN: usize = 16;

    /// Takes a text as a token: long enough not to be guessed, and fit for a header.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_fit = Self::CHARS_MIN <= text.len() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_fit { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }

    /// Takes the same time wherever the first difference lies.
    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What the gate compares with.
#[derive(Debug, Clone)]
pub struct Gate {
    token: Token,
    hosts: Vec<Authority>,
}

impl Gate {
    /// A gate of a server that is bound to this address.
    pub fn new(token: Token, bound: SocketAddr) -> Self {
        let port = bound.port();
        let named = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        // A client leaves out the port that its scheme implies.
        let implied = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let names = named.into_iter().chain(implied.into_iter().filter(|_| port == 80)).chain([bound.to_string()]);
        Self { token, hosts: names.filter_map(|name| name.parse().ok()).collect() }
    }

    fn check(&self, request: &Request) -> Result<()> {
        self.check_host(request)?;
        if !PUBLIC_PATHS.contains(&request.uri().path()) {
            self.check_token(request.headers())?;
        }
        if is_change(request.method()) {
            check_content_type(request)?;
        }
        Ok(())
    }

    fn check_host(&self, request: &Request) -> Result<()> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Error::Forbidden("a request needs exactly one `Host` header"));
        };
        let asked = std::iter::once(host.to_str().ok()).chain(request.uri().authority().map(|it| Some(it.as_str())));
        // `Authority` compares without regard to case.
        let is_known =
            asked.into_iter().all(|name| name.is_some_and(|name| self.hosts.iter().any(|own| *own == *name)));
        if is_known { Ok(()) } else { Err(Error::Forbidden("the `Host` is none of this server's names")) }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<()> {
        let header = headers.get(header::AUTHORIZATION).ok_or(Error::Unauthenticated)?;
        let sent = header.to_str().ok().and_then(bearer).ok_or(Error::Unauthenticated)?;
        // Airflow answers 403 to a token that is none.
        if self.token.is(sent) { Ok(()) } else { Err(Error::Forbidden("Invalid token")) }
    }
}

/// The layer that puts a [`Gate`] in front of every handler.
pub async fn guard(State(gate): State<std::sync::Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_change(method: &Method) -> bool {
    !(method == Method::GET || method == Method::HEAD || method == Method::OPTIONS)
}

/// A form or a plain text can be sent by any page without a preflight.
fn check_content_type(request: &Request) -> Result<()> {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = sent.is_some_and(|sent| {
        let kind = sent.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    // A DELETE without a body says nothing about its type.
    let is_bare = sent.is_none() && request.body().is_end_stream() && request.method() == Method::DELETE;
    if is_json || is_bare { Ok(()) } else { Err(Error::UnsupportedMediaType) }
}
