//! The names in the path of a request: tasks, queues, keys. They are percent-encoded, so that they may hold slashes and dots.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::http::problem::{Kind, Problem};

/// The name in the path.
#[derive(Debug, Clone)]
pub(in crate::http) struct Name(pub(in crate::http) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(Problem::new(
                Kind::Malformed,
                "the name in the path is not UTF-8 after the decoding of its percent signs",
            )),
        }
    }
}
