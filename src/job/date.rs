//! The dates that workers write: ISO 8601, JavaScript's, Ruby's.

use chrono::{DateTime, NaiveDateTime};

/// The time in milliseconds since the Unix epoch, of any of the formats that the Resque world writes.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let zoned = [
        // node-resque: Tue Nov 24 2026 03:26:17 GMT+0000 (Coordinated Universal Time)
        "%a %b %d %Y %H:%M:%S GMT%z",
        // Ruby's Time#to_s, and Go's with a fraction
        "%Y-%m-%d %H:%M:%S%.f %z",
    ];
    let plain = text.split(" (").next().unwrap_or(text);
    let go = plain.split(" UTC").next().unwrap_or(plain);
    DateTime::parse_from_rfc3339(text)
        .ok()
        .or_else(|| zoned.iter().find_map(|format| DateTime::parse_from_str(plain, format).ok()))
        .or_else(|| DateTime::parse_from_str(go, zoned[1]).ok())
        .map(|date| date.timestamp_millis())
        // Ruby's failures: 2026/11/24 03:28:21 UTC
        .or_else(|| Some(NaiveDateTime::parse_from_str(go, "%Y/%m/%d %H:%M:%S").ok()?.and_utc().timestamp_millis()))
}

/// A whole second since the Unix epoch as RFC 3339; `None` beyond the range of dates.
#[must_use]
pub fn of_second(second: i64) -> Option<String> {
    Some(DateTime::from_timestamp(second, 0)?.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_writers_date_is_read() {
        for (text, ms) in [
            ("2026-11-24T03:26:18.000Z", 1_795_490_778_000),
            ("Tue Nov 24 2026 03:26:18 GMT+0000 (Coordinated Universal Time)", 1_795_490_778_000),
            ("Tue Nov 24 2026 04:26:18 GMT+0100 (Central European Standard Time)", 1_795_490_778_000),
            ("2026-11-24T03:35:27.969266851Z", 1_795_491_327_969),
            ("2026-11-24 03:26:18 +0000", 1_795_490_778_000),
            ("2026/11/24 03:26:18 UTC", 1_795_490_778_000),
            ("2026-11-24 03:26:18.5 +0000 UTC m=+0.000228681", 1_795_490_778_500),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
        for bad in ["", "now", "1795490778", "2026-13-01T00:00:00Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
