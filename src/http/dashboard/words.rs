//! Numbers, spans and times as people read them.

use crate::client::moment::Moment;
use crate::text::clean;

/// A number, behind as many references as templates put before it.
pub(super) trait Figure<N: Copy> {
    fn figure(&self) -> N;
}

impl Figure<Self> for u64 {
    fn figure(&self) -> Self {
        *self
    }
}

impl Figure<Self> for f64 {
    fn figure(&self) -> Self {
        *self
    }
}

impl<N: Copy, F: Figure<N> + ?Sized> Figure<N> for &F {
    fn figure(&self) -> N {
        (**self).figure()
    }
}

/// `1,234,567`.
pub(super) fn count(number: impl Figure<u64>) -> String {
    let digits = number.figure().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A span of time in at most two units: `450 ms`, `2.1 s`, `3 min 20 s`, `2 d 4 h`.
pub(super) fn span(ms: impl Figure<u64>) -> String {
    let (ms, s) = (ms.figure(), ms.figure() / 1000);
    let two = |one: u64, of: &str, rest: u64, of_rest: &str| match rest {
        0 => format!("{one} {of}"),
        rest => format!("{one} {of} {rest} {of_rest}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..10 => match (ms % 1000) / 100 {
            0 => format!("{s} s"),
            tenths => format!("{s}.{tenths} s"),
        },
        10..60 => format!("{s} s"),
        60..600 => two(s / 60, "min", s % 60, "s"),
        600..3600 => format!("{} min", s / 60),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// A share as `4.2 %`.
pub(super) fn percent(share: impl Figure<f64>) -> String {
    let percent = share.figure() * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A point in time, beside the present one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Time {
    /// RFC 3339, or the text that is none.
    pub(super) iso: String,
    /// `3 min ago`, `in 2 h`.
    pub(super) told: String,
}

impl Time {
    pub(super) fn of_ms(at_ms: i64, now_ms: i64) -> Self {
        let iso = Moment::of_ms(at_ms).map(Moment::rfc3339).unwrap_or_default();
        let away = span(coarse(now_ms.abs_diff(at_ms)));
        let told = match now_ms.saturating_sub(at_ms) {
            -999..=999 => "now".to_owned(),
            past if past > 0 => format!("{away} ago"),
            _ => format!("in {away}"),
        };
        Self { iso, told }
    }

    /// Of a text in RFC 3339.
    pub(super) fn of(text: &str, now_ms: i64) -> Self {
        match Moment::parse(text) {
            Ok(at) => Self::of_ms(at.ms(), now_ms),
            Err(_) => Self { iso: text.to_owned(), told: text.to_owned() },
        }
    }
}

/// As exactly as somebody wants to know, so that a page does not change without need.
fn coarse(ms: u64) -> u64 {
    match ms {
        0..60_000 => ms / 1000 * 1000,
        60_000..3_600_000 => ms / 60_000 * 60_000,
        _ => ms / 3_600_000 * 3_600_000,
    }
}

/// A name, in which nothing is unseen and nothing turns the direction of what stands beside it: it passes for no other one.
pub(super) fn name(text: impl AsRef<str>) -> String {
    clean::label(text.as_ref()).into_owned()
}

/// What is encoded in a part of a path or of a query: `%2F` for a slash.
pub(super) fn encoded(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    // As a whole part, dots mean another place.
    match out.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_short() {
        assert_eq!([0_u64, 12, 123, 1234, 1_234_567].map(count), ["0", "12", "123", "1,234", "1,234,567"]);
        let spans = [0_u64, 450, 2100, 9000, 59_999, 200_000, 660_000, 7_500_000, 187_200_000].map(span);
        assert_eq!(spans, ["0 ms", "450 ms", "2.1 s", "9 s", "59 s", "3 min 20 s", "11 min", "2 h 5 min", "2 d 4 h"]);
        assert_eq!([0.0_f64, 0.0004, 0.042, 1.0].map(percent), ["0.0 %", "< 0.1 %", "4.2 %", "100.0 %"]);
    }

    #[test]
    fn times_are_told_beside_now() {
        let told = |at| Time::of_ms(at, 1_800_000_000_000).told;
        assert_eq!(told(1_800_000_000_000), "now");
        assert_eq!(told(1_799_999_996_500), "3 s ago");
        assert_eq!(told(1_799_999_800_000), "3 min ago", "seconds do not matter any more");
        assert_eq!(told(1_800_007_200_000), "in 2 h");
        assert_eq!(Time::of("2027-01-15T08:00:00.000Z", 1_800_000_000_000).told, "now");
        assert_eq!(Time::of("noon", 0).told, "noon");
    }

    #[test]
    fn a_name_shows_all_of_itself() {
        assert_eq!(
            [name("mail"), name("ma\u{200b}il\u{202e}"), name("é <b>")],
            ["mail", "ma\\u200bil\\u202e", "é <b>"]
        );
    }

    #[test]
    fn names_become_one_part_of_a_path() {
        assert_eq!(encoded("a/b?c#d é"), "a%2Fb%3Fc%23d%20%C3%A9");
        assert_eq!([".", "..", "..."].map(encoded), ["%2E", "%2E%2E", "..."]);
    }
}
