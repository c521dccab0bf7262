//! Hides in answers what the log hides (`log.redact`): an answer may end in a browser's cache or a chat.
//!
//! Every answer in JSON passes here, as a whole or line by line, whatever it is made from: the words of plugins, errors that
//! quote arguments, output. The members of our own answers are no keys of arguments: a key such as `name` hides what stands
//! within `args` and within texts, never a member `name` beside them. All else stays byte for byte.
//!
//! Arguments stay JSON. Where hiding leaves none, because there is too much to hide, they are left out.

use std::borrow::Cow;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use serde_json::value::RawValue;

use crate::text::redact::{Redactor, Stream};

/// What is told in place of arguments that cannot be shown in part.
const LEFT_OUT: &str = "null,\"args_left_out\":\"(redacted)\"";
/// The longest line of a stream that is held. What is longer is judged in pieces, as a text.
const LONGEST_LINE: usize = 4 << 20;

/// Hides in an answer.
pub(super) async fn hide(redactor: &Redactor, response: &mut Response) {
    // An answer to HEAD has no body, and tells the length of the one that it stands for.
    let is_empty = response.body().size_hint().exact() == Some(0);
    if redactor.is_idle() || is_empty || !is_ours(response) {
        return;
    }
    let body = std::mem::take(response.body_mut());
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = if body.size_hint().exact().is_some() {
        // It is held already, and reading it cannot fail.
        let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Body::from(hidden(redactor, &whole))
    } else {
        by_lines(redactor.clone(), body)
    };
}

/// Marks an answer that holds no word of others.
#[derive(Debug, Clone, Copy)]
pub(super) struct OurWords;

/// Is this an answer in JSON with texts of others?
pub(super) fn is_ours(response: &Response) -> bool {
    if response.extensions().get::<OurWords>().is_some() {
        return false;
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence == "text/event-stream" || essence == "application/x-ndjson" || essence.ends_with("json")
}

/// The same of a stream, whose lines are whole when they go on.
fn by_lines(redactor: Redactor, body: Body) -> Body {
    let parts = body.into_data_stream();
    let lines = stream::unfold((parts, Vec::new(), redactor), |(mut parts, mut held, redactor)| async move {
        loop {
            let Some(part) = parts.next().await else {
                let rest = std::mem::take(&mut held);
                return (!rest.is_empty()).then(|| (Ok(hidden(&redactor, &rest)), (parts, held, redactor)));
            };
            match part {
                Err(error) => return Some((Err(error), (parts, held, redactor))),
                Ok(part) => held.extend_from_slice(&part),
            }
            let end = held.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            if let Some(end) = end.or((held.len() > LONGEST_LINE).then_some(held.len())) {
                let rest = held.split_off(end);
                return Some((Ok(hidden(&redactor, &held)), (parts, rest, redactor)));
            }
        }
    });
    Body::from_stream(lines)
}

fn hidden(redactor: &Redactor, bytes: &[u8]) -> Bytes {
    // What we write is UTF-8.
    let text = String::from_utf8_lossy(bytes);
    Bytes::from(of_json(redactor, &text))
}

/// JSON, or several lines of it, without what is hidden.
fn of_json(redactor: &Redactor, text: &str) -> String {
    let (mut out, mut copied, mut at) = (String::with_capacity(text.len()), 0, 0);
    // The lines of a list, such as the last words of a program, are one text.
    let (mut lines, mut last) = (Stream::default(), 0);
    while let Some(begin) = text[at..].find('"').map(|found| at + found) {
        let end = end_of_string(text, begin);
        let token = &text[begin..end];
        let behind = behind_blanks(text, end);
        if text[behind..].starts_with(':') {
            at = behind + 1;
            if token == "\"args\"" {
                let value = behind_blanks(text, at);
                at = end_of_value(text, value);
                if let Cow::Owned(hidden) = redactor.hide(&text[value..at]) {
                    out.push_str(&text[copied..value]);
                    let is_json = serde_json::from_str::<&RawValue>(&hidden).is_ok();
                    out.push_str(if is_json { &hidden } else { LEFT_OUT });
                    copied = at;
                }
            }
            continue;
        }
        at = end;
        if text[last..begin].trim() != "," {
            lines = Stream::default();
        }
        last = end;
        // Nothing is hidden in a text without a quote.
        if (token.contains(['\\', '\'']) || lines.is_open())
            && let Ok(value) = serde_json::from_str::<String>(token)
            && let Cow::Owned(hidden) = lines.hide(redactor, "", &value, false)
        {
            out.push_str(&text[copied..begin]);
            // Texts always become JSON.
            out.push_str(&serde_json::to_string(&hidden).unwrap_or_default());
            copied = end;
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Where the string that begins here ends, behind its closing quote.
fn end_of_string(text: &str, begin: usize) -> usize {
    let mut escaped = false;
    let closing = |(_, byte): &(usize, u8)| match (escaped, byte) {
        (true, _) => {
            escaped = false;
            false
        }
        (false, b'\\') => {
            escaped = true;
            false
        }
        (false, byte) => *byte == b'"',
    };
    text.bytes().enumerate().skip(begin + 1).find(closing).map_or(text.len(), |(at, _)| at + 1)
}

/// Where the value that begins here ends.
fn end_of_value(text: &str, begin: usize) -> usize {
    let (mut at, mut depth) = (begin, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at = end_of_string(text, at),
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => (at, depth) = (at + 1, depth - 1),
            _ => at += 1,
        }
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at;
        }
    }
    text.len()
}

fn behind_blanks(text: &str, from: usize) -> usize {
    text.len() - text[from..].trim_start_matches([' ', '\n', '\r', '\t']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: &str) -> String {
        of_json(&Redactor::new(&["password".to_owned(), "reason".to_owned()]), answer)
    }

    #[test]
    fn arguments_stay_json_and_the_rest_stays_as_it_was() {
        let same = r#"{"args": [1.0, {"a": "password"}], "é": "\u00e9\n", "n": 1.50, "x": [{}, [], "", null]}"#;
        assert_eq!(shown(same), same);
        assert_eq!(
            shown(r#"{"args":[{"password": "x", "to":"a"}],"queue":"q"}"#),
            r#"{"args":[{"password": "[redacted]", "to":"a"}],"queue":"q"}"#
        );
        let many = format!(r#"{{"args":[{}],"next":null}}"#, [r#"{"password":{"a":["b"]}}"#; 100].join(","));
        let told: serde_json::Value = serde_json::from_str(&shown(&many)).unwrap();
        assert!(!told["args"].to_string().contains("\"b\""), "{told}");
        assert_eq!(told["args"].is_null(), told["args_left_out"].is_string());
    }

    #[test]
    fn the_words_of_others_are_hidden_wherever_they_stand() {
        for (answer, expected) in [
            (r#"{"reason":"no {\"password\":\"x\"}"}"#, r#"{"reason":"no {\"password\":\"[redacted]\"}"}"#),
            (
                r#"{"after_enqueue_errors":["a","'password': 'x'"]}"#,
                r#"{"after_enqueue_errors":["a","'password': [redacted]"]}"#,
            ),
            (
                "{\"line\":1,\"problem\":{\"detail\":\"{\\\"password\\\":7}\"}}\n{\"line\":2}\n",
                "{\"line\":1,\"problem\":{\"detail\":\"{\\\"password\\\":\\\"[redacted]\\\"}\"}}\n{\"line\":2}\n",
            ),
            (
                r#"{"backtrace":["{\"password\":","\"x\"","}"],"a":["\"password\":"],"b":["\"x\""]}"#,
                r#"{"backtrace":["{\"password\":","\"[redacted]\"","}"],"a":["\"password\":"],"b":["\"x\""]}"#,
            ),
            (r#"{"key":"lock:t:[{\"password\":\"x\"}]"}"#, r#"{"key":"lock:t:[{\"password\":\"[redacted]\"}]"}"#),
        ] {
            assert_eq!(shown(answer), expected);
        }
    }

    #[test]
    fn the_members_of_an_answer_are_no_keys_of_arguments() {
        let answer = r#"{"reason":"it is paused","password":"a member of ours"}"#;
        assert_eq!(shown(answer), answer);
    }

    #[tokio::test]
    async fn a_stream_is_hidden_line_by_line_wherever_it_was_cut() {
        let text = "{\"a\":\"{\\\"password\\\":\\\"xyz\\\"}\"}\n{\"b\":1}\n{\"args\":[{\"password\":\"xyz\"}]}";
        for cut in 0..text.len() {
            let (one, other) = text.split_at(cut);
            let parts = [one, other].map(|part| Ok::<_, std::io::Error>(Bytes::from(part.to_owned())));
            let mut response = Response::new(Body::from_stream(stream::iter(parts)));
            response.headers_mut().insert(CONTENT_TYPE, "application/x-ndjson".parse().unwrap());
            hide(&Redactor::new(&["password".to_owned()]), &mut response).await;
            let told = to_bytes(response.into_body(), 9999).await.unwrap();
            let told = std::str::from_utf8(&told).unwrap();
            assert!(!told.contains("xyz") && told.lines().count() == 3, "cut at {cut}: {told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_it(text in "[\\[\\]{}\"':,a\\\\0-9 é\n]{0,60}", json in "[a-z\"'{}:\\\\ é]{0,30}") {
            let redactor = Redactor::new(&["a".to_owned()]);
            let _ = of_json(&redactor, &text);
            let answer = serde_json::json!({"args": [json, {"a": json}], "b": [json], "c": {"args": json}}).to_string();
            let told = of_json(&redactor, &answer);
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&told).is_ok(), "{} became {}", answer, told);
        }
    }
}
