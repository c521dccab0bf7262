//! Times and durations as people are told them on a terminal: in one form everywhere.

use chrono::{DateTime, Datelike as _, Utc};

use super::here::shown;

/// Milliseconds since the Unix epoch of a date in a document.
#[must_use]
pub(super) fn ms_of(date: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(date).ok().map(|date| date.timestamp_millis())
}

/// A time by the clocks here or in UTC, to the second, with what its zone is called then: `2026-11-24 04:26:18 CET`.
#[must_use]
pub(super) fn time(ms: i64, utc: bool) -> String {
    const FORMAT: &str = "%Y-%m-%d %H:%M:%S %Z";
    let Some(at) = DateTime::<Utc>::from_timestamp_millis(ms).filter(|at| (0..=9999).contains(&at.year())) else {
        // What lies beyond has no form that people read.
        return format!("@{}", ms.div_euclid(1000));
    };
    if utc { at.format(FORMAT).to_string() } else { shown(at, FORMAT) }
}

/// How long ago or ahead a time is: `2m 5s ago`, `in 3h`, `now`.
#[must_use]
pub(super) fn distance(ms: i64, now_ms: i64) -> String {
    let (past, ahead) = (now_ms.saturating_sub(ms), ms.saturating_sub(now_ms));
    match (u64::try_from(past / 1000), u64::try_from(ahead / 1000)) {
        (Ok(1..), _) => format!("{} ago", span(past.unsigned_abs() / 1000 * 1000)),
        (_, Ok(1..)) => format!("in {}", span(ahead.unsigned_abs() / 1000 * 1000)),
        _ => "now".to_owned(),
    }
}

/// A duration: milliseconds below a second, a tenth below ten seconds, and else its two largest units: `850ms`, `1.2s`,
/// `41s`, `1m 5s`, `1h 30m`, `2d 4h`.
#[must_use]
pub(super) fn span(ms: u64) -> String {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let of = |unit: u64, name: char, rest: u64, rest_name: char| {
        let (whole, part) = (ms / unit, ms % unit / rest);
        if part == 0 { format!("{whole}{name}") } else { format!("{whole}{name} {part}{rest_name}") }
    };
    match ms {
        0 => "0s".to_owned(),
        1..SECOND => format!("{ms}ms"),
        SECOND..10_000 if !(ms / 100).is_multiple_of(10) => format!("{}.{}s", ms / SECOND, ms % SECOND / 100),
        SECOND..MINUTE => format!("{}s", ms / SECOND),
        MINUTE..HOUR => of(MINUTE, 'm', SECOND, 's'),
        HOUR..DAY => of(HOUR, 'h', MINUTE, 'm'),
        _ => of(DAY, 'd', HOUR, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_units_at_most() {
        let told = [0, 7, 999, 1000, 1234, 9_999, 10_500, 59_999, 60_000, 65_000, 3_600_000, 5_430_000, 187_200_000];
        assert_eq!(
            told.map(span),
            ["0s", "7ms", "999ms", "1s", "1.2s", "9.9s", "10s", "59s", "1m", "1m 5s", "1h", "1h 30m", "2d 4h"]
        );
    }

    #[test]
    fn times_are_near_or_far_in_both_directions() {
        let now = 1_795_490_778_000;
        let told = [-7_200_000, -1000, -999, 0, 999, 61_000].map(|ms| distance(now + ms, now));
        assert_eq!(told, ["2h ago", "1s ago", "now", "now", "now", "in 1m 1s"]);
        assert!(distance(i64::MIN, i64::MAX).ends_with(" ago") && distance(i64::MAX, i64::MIN).starts_with("in "));
    }

    #[test]
    fn a_time_names_its_zone() {
        assert_eq!(time(1_795_490_778_999, true), "2026-11-24 03:26:18 UTC");
        assert_eq!(time(i64::MAX, false), format!("@{}", i64::MAX / 1000));
        assert_eq!(ms_of("2026-11-24T04:26:18+01:00"), Some(1_795_490_778_000));
        assert_eq!(ms_of("24 Nov"), None);
    }
}
