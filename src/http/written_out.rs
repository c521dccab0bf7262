//! Writes out in every answer in JSON what must not reach a terminal raw: an answer is looked at with `curl`, too. As in JSON of
//! the command line these characters are escaped within their strings, so that the content is the same. All answers pass here,
//! so that nobody can forget it; arguments are among them as their producer wrote them.

use std::borrow::Cow;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};

use super::redact::is_ours;
use crate::text::clean;

/// Writes them out.
pub(super) async fn write_out(response: &mut Response) {
    if response.body().size_hint().exact() == Some(0) || !is_ours(response) {
        return;
    }
    let body = std::mem::take(response.body_mut());
    if body.size_hint().exact().is_none() {
        *response.body_mut() = in_parts(body);
        return;
    }
    // It is held already, and reading it cannot fail.
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let written = written(&whole);
    if written.is_some() {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    *response.body_mut() = Body::from(written.unwrap_or(whole));
}

/// The same of a stream, whose parts may end within a character.
fn in_parts(body: Body) -> Body {
    let state = (body.into_data_stream(), Vec::new());
    let parts = stream::unfold(state, |(mut parts, mut held): (_, Vec<u8>)| async move {
        let part: Result<Bytes, axum::Error> = match parts.next().await {
            None if held.is_empty() => return None,
            None => Ok(Bytes::from(std::mem::take(&mut held))),
            Some(Err(error)) => Err(error),
            Some(Ok(part)) if held.is_empty() && !begins_character(&part) => Ok(written(&part).unwrap_or(part)),
            Some(Ok(part)) => {
                held.extend_from_slice(&part);
                let rest = held.split_off(held.len() - begun(&held));
                let whole = std::mem::replace(&mut held, rest);
                Ok(written(&whole).unwrap_or(whole.into()))
            }
        };
        Some((part, (parts, held)))
    });
    Body::from_stream(parts)
}

fn begins_character(part: &[u8]) -> bool {
    begun(part) > 0
}

/// How many bytes at the end belong to a character that is not whole.
fn begun(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last();
    last.map_or(
        0,
        |chunk| if chunk.invalid().len() < 4 && !is_wrong(chunk.invalid()) { chunk.invalid().len() } else { 0 },
    )
}

/// Can these bytes not begin a character?
fn is_wrong(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// The bytes with what must be written out; `None`: there is nothing.
fn written(bytes: &[u8]) -> Option<Bytes> {
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')) {
        return None;
    }
    // What we write is UTF-8.
    let text = String::from_utf8_lossy(bytes);
    match clean::json_lines(&text) {
        Cow::Owned(written) => Some(Bytes::from(written)),
        Cow::Borrowed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::*;

    const RAW: &str = "{\"a\":\"\u{9b}31m\u{7f}\u{202e}\u{feff}é😀\u{e0041}\"}\n";

    async fn told(body: Body, kind: &str) -> String {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        write_out(&mut response).await;
        String::from_utf8(to_bytes(response.into_body(), 9999).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn nothing_raw_leaves_in_json_whole_or_in_parts_and_the_content_is_the_same() {
        let expected = "{\"a\":\"\\u009b31m\\u007f\\u202e\\ufeffé😀\\udb40\\udc41\"}\n";
        assert_eq!(told(Body::from(RAW), "application/problem+json").await, expected);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(RAW).unwrap(),
            serde_json::from_str::<serde_json::Value>(expected).unwrap()
        );
        for cut in 0..=RAW.len() {
            let (one, other) = RAW.as_bytes().split_at(cut);
            let parts = [one, other].map(|part| Ok::<_, std::io::Error>(Bytes::copy_from_slice(part)));
            let body = Body::from_stream(stream::iter(parts));
            assert_eq!(told(body, "application/x-ndjson").await, expected, "{cut}");
        }
        let byte_by_byte = RAW.bytes().map(|byte| Ok::<_, std::io::Error>(Bytes::from(vec![byte]))).collect::<Vec<_>>();
        assert_eq!(told(Body::from_stream(stream::iter(byte_by_byte)), "text/event-stream").await, expected);
        assert_eq!(told(Body::from(RAW), "application/octet-stream").await, RAW, "who asks for it raw");
    }
}
