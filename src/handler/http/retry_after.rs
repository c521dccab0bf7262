//! `retry-after`: how long a server asks us to wait.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use hyper::http::{HeaderMap, header};

/// The shortest wait, so that a server cannot cause a busy loop.
pub(super) const MIN_WAIT: Duration = Duration::from_secs(1);
/// The longest wait. A server that asks for more is asked again after this.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The wait that a response asks for, in seconds or until a date; `None` if there is none that can be read.
///
/// A date counts from the `date` of the response, because clocks differ; without that, from our clock.
pub(super) fn read(headers: &HeaderMap, now_s: i64) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long wait too.
        text.parse().unwrap_or(u64::MAX)
    } else {
        let until = date(text)?;
        let sent = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?));
        u64::try_from(until.saturating_sub(sent.unwrap_or(now_s))).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).clamp(MIN_WAIT, MAX_WAIT))
}

/// A date in one of the three formats of HTTP, in Unix seconds.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(found) = DateTime::parse_from_rfc2822(text) {
        return Some(found.timestamp());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|found| found.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 784_111_777;

    fn asked(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        read(&headers, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_taken_within_bounds() {
        assert_eq!(asked("120", None), Some(120));
        assert_eq!(asked(" 7 ", None), Some(7));
        assert_eq!(asked("0", None), Some(1));
        assert_eq!(asked("86401", None), Some(86400));
        assert_eq!(asked("99999999999999999999999", None), Some(86400));
    }

    #[test]
    fn dates_are_taken_in_every_form_of_http() {
        for form in ["Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994"] {
            assert_eq!(asked(form, None), Some(30), "{form}");
            assert_eq!(asked(form, Some("Sun, 06 Nov 1994 08:49:57 GMT")), Some(10), "{form}");
        }
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(1));
        assert_eq!(asked("Fri, 06 Nov 2150 08:49:37 GMT", None), Some(86400));
    }

    #[test]
    fn anything_else_asks_for_nothing() {
        for text in ["", "soon", "-1", "+5", "1.5", "5s", "Sun, 66 Nov 1994 08:49:37 GMT"] {
            assert_eq!(asked(text, None), None, "{text}");
        }
        assert_eq!(read(&HeaderMap::new(), NOW), None);
    }
}
