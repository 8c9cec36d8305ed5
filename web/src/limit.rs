//! Bounds on requests: how many at once, and how long one may take to begin its answer.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use crate::error::Error;

/// Each may hold a body of a megabyte; waiting ones hold only their headers.
const REQUESTS_MAX: usize = 128;
/// Until the head of the answer; the body of a stream may take longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The room for requests under way.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_MAX)))
    }
}

/// The layer that keeps the bounds.
pub async fn bound(State(room): State<Room>, request: Request, next: Next) -> Response {
    let answer = async {
        let _permit = room.0.acquire().await.expect("the semaphore is never closed");
        next.run(request).await
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(response) => response,
        Err(_) => Error::Unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())).into_response(),
    }
}
