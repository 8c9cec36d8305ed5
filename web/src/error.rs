//! What a request can end in besides an answer, in exactly the shapes of Airflow's API.
//!
//! Every error is `{"detail": …}`: a text, an object (unique constraints) or FastAPI's list of issues (422).
//! What went wrong inside is logged with an id, which is all that the client sees of it. A database that is away is a
//! warning: nothing is to be mended here, and the client is told to ask again.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{issue::Issue, json::json};

/// How a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Well-formed, but refused for what it asks.
    #[error("{0}")]
    BadRequest(String),
    #[error("Not authenticated")]
    Unauthenticated,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    NotFound(String),
    #[error("Method Not Allowed")]
    MethodNotAllowed,
    #[error("{0}")]
    NotAcceptable(&'static str),
    #[error("{0}")]
    Conflict(String),
    /// A row with these unique values exists.
    #[error("{0}")]
    Duplicate(String),
    #[error("the request body has more than {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("a change needs `content-type: application/json`")]
    UnsupportedMediaType,
    /// Fields that are missing, unknown or of the wrong type; all of them at once.
    #[error("{} invalid values", .0.len())]
    Invalid(Vec<Issue>),
    /// A value outside its enumeration where Airflow answers with a text.
    #[error("{0}")]
    Unprocessable(String),
    /// Something bounded is full, or somebody who must answer does not.
    #[error("{0}")]
    Unavailable(String),
    /// The database can't be reached now. Whether a change was made is unknown: asking again is safe.
    #[error("reaching the database")]
    DatabaseGone(#[source] gridflow_store::Error),
    #[error("reading or writing the database")]
    Store(#[source] gridflow_store::Error),
    #[error("{0}")]
    Internal(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict(_) | Self::Duplicate(_) => StatusCode::CONFLICT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) | Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) | Self::DatabaseGone(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> Value {
        match self {
            Self::Invalid(issues) => json!(issues),
            Self::Duplicate(message) => json!({
                "reason": "Unique constraint violation",
                "statement": "hidden",
                "orig_error": "hidden",
                "message": message,
            }),
            Self::DatabaseGone(_) => {
                tracing::warn!(error.causes = %self.causes(), "request failed: {self}");
                Value::String("the database does not answer: try again in a moment".to_owned())
            }
            Self::Store(_) | Self::Internal(_) => {
                Value::String(format!("Internal Server Error, see the server's log for {}", self.log()))
            }
            Self::BadRequest(_)
            | Self::Unauthenticated
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::NotAcceptable(_)
            | Self::Conflict(_)
            | Self::BodyTooLarge { .. }
            | Self::UnsupportedMediaType
            | Self::Unprocessable(_)
            | Self::Unavailable(_) => Value::String(self.to_string()),
        }
    }

    /// Logs what the client must not see, and gives the id that leads to the line.
    fn log(&self) -> Uuid {
        let id = Uuid::now_v7();
        tracing::error!(error.id = %id, error.causes = %self.causes(), "request failed: {self}");
        id
    }

    fn causes(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

impl From<gridflow_store::Error> for Error {
    fn from(error: gridflow_store::Error) -> Self {
        if error.is_unavailable() { Self::DatabaseGone(error) } else { Self::Store(error) }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = json(self.status(), &json!({ "detail": self.detail() }));
        if let Some((name, value)) = extra_header(&self) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

fn extra_header(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    match error {
        Error::Unauthenticated => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        Error::Unavailable(_) | Error::DatabaseGone(_) => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
        Error::BadRequest(_)
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::MethodNotAllowed
        | Error::NotAcceptable(_)
        | Error::Conflict(_)
        | Error::Duplicate(_)
        | Error::BodyTooLarge { .. }
        | Error::UnsupportedMediaType
        | Error::Invalid(_)
        | Error::Unprocessable(_)
        | Error::Store(_)
        | Error::Internal(_) => None,
    }
}
