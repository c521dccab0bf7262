//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a request that is repeated does nothing twice.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use crate::client::once::{LONGEST_KEY, OnceKey};
use crate::http::guard::caller::Scope;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::underway::Begun;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// A request with a key.
#[derive(Debug)]
pub(super) struct Once {
    /// The key.
    pub(super) key: OnceKey,
    /// Keeps others with this key out until the work is done.
    pub(super) begun: Begun,
}

/// The key of a request, if it has one. Callers do not meet under the keys of others.
pub(super) fn begin(site: &Site, headers: &HeaderMap, scope: &Scope) -> Result<Option<Once>, Problem> {
    let mut all = headers.get_all(KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| all.next().is_none()).and_then(unquoted);
    let Some(key) = text.and_then(|text| OnceKey::new(&scope.0, &text)) else {
        let detail = format!(
            "expected one header Idempotency-Key of 1 to {LONGEST_KEY} visible characters, such as a UUID in quotes"
        );
        return Err(Problem::new(Kind::Malformed, detail));
    };
    let Some(begun) = site.underway.begin(&key) else {
        let detail =
            "a request with this Idempotency-Key is under way; the same request tells its outcome when it is done";
        return Err(Problem::new(Kind::Underway, detail).retry_after_s(1));
    };
    Ok(Some(Once { key, begun }))
}

/// Refuses a key where it would not count.
pub(super) fn none(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(KEY) {
        return Ok(());
    }
    let detail = "this route takes no Idempotency-Key, because a part of its jobs may have been enqueued when it is repeated; \
                  send each job that must not be there twice to /api/v1/jobs with a key of its own";
    Err(Problem::new(Kind::Malformed, detail))
}

/// Says that this is what was done before.
pub(super) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAY, HeaderValue::from_static("true"));
    response
}

/// A string as structured fields write it, or a bare text, as many clients do.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let (mut out, mut rest) = (String::new(), inner.strip_suffix('"')?.chars());
    while let Some(next) = rest.next() {
        match next {
            '\\' => out.push(rest.next().filter(|escaped| ['"', '\\'].contains(escaped))?),
            '"' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_or_bare() {
        let read = |text: &str| unquoted(text);
        assert_eq!(read("\"8e03-40d5\"").as_deref(), Some("8e03-40d5"));
        assert_eq!(read("8e03-40d5").as_deref(), Some("8e03-40d5"));
        assert_eq!(read(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        for bad in ["\"", "\"a", "\"a\"b\"", r#""a\n""#, r#""a\""#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
