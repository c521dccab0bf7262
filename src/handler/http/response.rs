//! Responses: what a status means, and how much of a body is read.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::http::{HeaderMap, header};

use super::connection_pool::ConnectionLease;
use super::retry_after;
use crate::task::handler_spec::RetryLater;

/// How much of a body is kept as the job's result.
pub(super) const RESULT_CAP: usize = 64 * 1024;
/// How much of a body is kept to explain a failure.
pub(super) const FAILURE_CAP: usize = 4 * 1024;
/// How many lines of such a body are kept.
const MAX_LINES: usize = 32;
/// How much of a body is read, so that its connection can serve the next job. The connection of a longer body is
/// closed.
const READ_CAP: usize = 128 * 1024;
/// How much of a redirect's target a message shows.
const TARGET_CAP: usize = 200;

/// What a status means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StatusMeaning {
    /// The job is done, if the response is complete.
    Done,
    /// The job should run again after this delay.
    Later(Duration),
    /// The job failed, with this message.
    Failed(String),
}

/// The meaning of a response by its status and headers. `earlier` is how often the job was put off before.
pub(crate) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    earlier: u32,
    later: RetryLater,
    now_s: i64,
) -> StatusMeaning {
    let code = status.as_u16();
    match code {
        200..=299 => StatusMeaning::Done,
        429 | 503 if earlier < later.limit => {
            StatusMeaning::Later(retry_after::read(headers, now_s).unwrap_or(later.delay))
        }
        429 | 503 => {
            let times = u64::from(earlier) + 1;
            StatusMeaning::Failed(format!("{code} (later) {times} times; retry_later_limit is {}", later.limit))
        }
        300..=399 => {
            let target = headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
            let target = target.map(|to| to.chars().take(TARGET_CAP).collect::<String>());
            let target = target.map(|to| format!(", to {to}")).unwrap_or_default();
            StatusMeaning::Failed(format!("{code}, a redirect{target}: redirects are not followed"))
        }
        _ => StatusMeaning::Failed(match status.canonical_reason() {
            Some(reason) => format!("{code} {reason}"),
            None => code.to_string(),
        }),
    }
}

/// How the reading of a body ended.
pub(super) enum BodyEnd {
    /// The whole body was read.
    Whole,
    /// The body is longer than we read.
    Long,
    /// The connection broke before the end.
    Broken(hyper::Error),
}

/// Reads a body, and keeps at most `keep` bytes of it.
pub(super) async fn read(
    lease: &mut ConnectionLease<'_>,
    body: &mut Incoming,
    keep: usize,
    kept: &mut Vec<u8>,
) -> BodyEnd {
    let mut seen = 0;
    while !body.is_end_stream() {
        match lease.frame(body).await {
            None => break,
            Some(Err(error)) => return BodyEnd::Broken(error),
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else { continue };
                kept.extend_from_slice(&data[..data.len().min(keep - kept.len())]);
                seen += data.len();
                if seen > READ_CAP {
                    return BodyEnd::Long;
                }
            }
        }
    }
    BodyEnd::Whole
}

/// Bytes as text. A character that was cut in the middle is dropped.
pub(crate) fn text(mut bytes: Vec<u8>) -> String {
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The first lines of a body, as a backtrace.
pub(crate) fn lines(bytes: Vec<u8>) -> Vec<String> {
    text(bytes).trim_end().lines().take(MAX_LINES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: u16, earlier: u32, name: header::HeaderName, value: &'static str) -> StatusMeaning {
        let mut headers = HeaderMap::new();
        headers.insert(name, header::HeaderValue::from_static(value));
        judge(StatusCode::from_u16(code).unwrap(), &headers, earlier, RetryLater::default(), 0)
    }

    #[test]
    fn the_status_alone_decides() {
        let plain = |code| judged(code, 0, header::SERVER, "x");
        let failed = |text: &str| StatusMeaning::Failed(text.to_owned());
        for code in [200, 201, 204, 299] {
            assert_eq!(plain(code), StatusMeaning::Done);
        }
        for code in [429, 503] {
            assert_eq!(plain(code), StatusMeaning::Later(Duration::from_secs(30)));
            assert_eq!(judged(code, 24, header::RETRY_AFTER, "7"), StatusMeaning::Later(Duration::from_secs(7)));
        }
        assert_eq!(judged(503, 25, header::RETRY_AFTER, "7"), failed("503 (later) 26 times; retry_later_limit is 25"));
        assert_eq!(plain(404), failed("404 Not Found"));
        assert_eq!(plain(799), failed("799"));
        assert_eq!(
            judged(302, 0, header::LOCATION, "/new"),
            failed("302, a redirect, to /new: redirects are not followed")
        );
        assert_eq!(plain(304), failed("304, a redirect: redirects are not followed"));
    }

    #[test]
    fn what_is_kept_of_a_body_is_text() {
        assert_eq!(text("aß".as_bytes()[..2].to_vec()), "a");
        assert_eq!(text(vec![b'a', 0xff, b'b']), "a\u{fffd}b");
        assert_eq!(lines(b"one\r\ntwo\n\n".to_vec()), ["one", "two"]);
        assert_eq!(lines("x\n".repeat(100).into_bytes()).len(), MAX_LINES);
    }
}
