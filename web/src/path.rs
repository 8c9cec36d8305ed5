//! Path parameters, with errors in the API's shape.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The parameters of a path, percent-decoded.
pub struct Of<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Of<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        // PostgreSQL's texts hold no NUL, so nothing is named so.
        if parts.uri.path().contains("%00") {
            return Err(Error::NotFound("Not Found".into()));
        }
        // Only a text that is not UTF-8 gets here: handlers take texts and parse numbers themselves.
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Error::NotFound("Not Found".into())),
        }
    }
}

/// A number in a path; FastAPI's issue where it is none.
pub fn integer(name: &str, text: &str) -> Result<i32, Error> {
    use crate::issue::{Fault, Issue, Part};
    text.parse().map_err(|_| {
        Error::Invalid(vec![Issue::new(Part::Path, name, Fault::NotInteger, serde_json::Value::String(text.into()))])
    })
}
