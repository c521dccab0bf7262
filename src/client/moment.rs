//! Times and delays as people and programs write them, and as listings show them.
//!
//! A time is RFC 3339, an integer of milliseconds since the Unix epoch (as ActionHero has it), or
//! `@seconds`. A delay is a humantime string, or a bare number of milliseconds.

use chrono::{DateTime, Datelike as _, SecondsFormat};

use crate::config::element::duration;

/// The last millisecond that a JavaScript `Date` can hold: later times could not be read by
/// node-resque.
const LAST_MS: i64 = 8_640_000_000_000_000;

/// Smaller integers (before March 1973 in milliseconds) were most likely meant as seconds.
const LOOKS_LIKE_SECONDS_MS: i64 = 100_000_000_000;

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

/// Why a text is not a time or not a delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MomentError {
    /// The text has none of the three forms.
    #[error(
        "{0:?} is no time: expected RFC 3339 with its zone (2026-11-24T03:26:18Z), \
         milliseconds (1795490778000) or @seconds (@1795490778)"
    )]
    NoTime(String),
    /// The number is most likely meant as seconds: what is due in January 1970 would run at once.
    #[error("{text} counts as milliseconds and means {means}; for seconds write @{text}")]
    Seconds {
        /// The number.
        text: String,
        /// The time that it means as milliseconds.
        means: String,
    },
    /// The time is before 1970 or after the year 275760.
    #[error("{0:?} lies outside of what the Resque world can hold (1970 to the year 275760)")]
    OutOfRange(String),
    /// The text is not a duration.
    #[error("{0:?} is no duration: expected one such as 90s, 10m or 1h 30m")]
    NoDuration(String),
    /// The number has no unit, and nobody said which one.
    #[error("{number:?} has no unit: for seconds write {number}s, for milliseconds {number}ms")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// The number is no time of any failure, and has no unit.
    #[error(
        "{text:?} has no unit: for how long ago write {number}h, {number}m or {number}s; for a time @seconds, or RFC 3339 with its zone"
    )]
    NoUnitAgo {
        /// The text.
        text: String,
        /// Its number.
        number: String,
    },
    /// The text has months by the letter `M`, which most likely was meant for minutes.
    #[error("{text:?} would be {means}, because M stands for months: write {minutes:?} for minutes, or {months:?}")]
    Months {
        /// The text.
        text: String,
        /// How long that is, in words.
        means: String,
        /// The same with minutes.
        minutes: String,
        /// The same with months that are spelled.
        months: String,
    },
}

impl Moment {
    /// Reads a time.
    ///
    /// # Errors
    /// Fails for any other text; the message lists the forms.
    pub fn parse(text: &str) -> Result<Self, MomentError> {
        let text = text.trim();
        let no_time = || MomentError::NoTime(text.to_owned());
        let out_of_range = || MomentError::OutOfRange(text.to_owned());
        let is_integer = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let ms = if let Some(seconds) = text.strip_prefix('@').filter(|seconds| is_integer(seconds)) {
            seconds.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000)).ok_or_else(out_of_range)?
        } else if is_integer(text) {
            text.parse().map_err(|_| out_of_range())?
        } else {
            DateTime::parse_from_rfc3339(text).map_err(|_| no_time())?.timestamp_millis()
        };
        if is_integer(text) && (1..LOOKS_LIKE_SECONDS_MS).contains(&ms) {
            return Err(MomentError::Seconds { text: text.to_owned(), means: Self(ms).rfc3339() });
        }
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err(out_of_range()) }
    }

    /// The time of so many milliseconds since the Unix epoch, if a date holds it.
    #[must_use]
    pub fn of_ms(ms: i64) -> Option<Self> {
        (-LAST_MS..=LAST_MS).contains(&ms).then_some(Self(ms))
    }

    /// The time of a unix second.
    #[must_use]
    pub fn of_second(second: i64) -> Self {
        Self(second.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// The second under which a job due at this time is kept: rounded half up, as JavaScript's
    /// `Math.round` does.
    #[must_use]
    pub fn second(self) -> i64 {
        self.0.saturating_add(500).div_euclid(1000)
    }

    /// RFC 3339 in UTC, with milliseconds only if they are not zero. A time outside of its years, which have four digits,
    /// is shown as `@seconds`, so that whatever is shown can be read again.
    #[must_use]
    pub fn rfc3339(self) -> String {
        match DateTime::from_timestamp_millis(self.0).filter(|date| (0..=9999).contains(&date.year())) {
            Some(date) => date.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            None => format!("@{}", self.0.div_euclid(1000)),
        }
    }

    /// The same, always with milliseconds.
    #[must_use]
    pub fn rfc3339_ms(self) -> String {
        match DateTime::from_timestamp_millis(self.0).filter(|date| (0..=9999).contains(&date.year())) {
            Some(date) => date.to_rfc3339_opts(SecondsFormat::Millis, true),
            None => self.rfc3339(),
        }
    }
}

/// Reads a delay, in milliseconds. A negative number means at once, as in node-resque.
///
/// # Errors
/// Fails for any other text; the message lists the forms.
pub fn parse_delay(text: &str) -> Result<i64, MomentError> {
    let text = text.trim();
    let no_duration = || MomentError::NoDuration(text.to_owned());
    let digits = text.strip_prefix('-').unwrap_or(text);
    let ms = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // One second in the past stays in the past after rounding to seconds.
        text.parse::<i64>().map_err(|_| no_duration())?.max(-1000)
    } else {
        let duration = humantime::parse_duration(text).map_err(|_| no_duration())?;
        // On a command line there is nobody who would read a warning before it is too late.
        if let Some((minutes, months)) = duration::in_months(text, "m").zip(duration::in_months(text, "months")) {
            let means = duration::words(duration);
            return Err(MomentError::Months { text: text.to_owned(), means, minutes, months });
        }
        i64::try_from(duration.as_millis()).map_err(|_| no_duration())?
    };
    if ms <= LAST_MS { Ok(ms) } else { Err(MomentError::OutOfRange(text.to_owned())) }
}

/// The same of what a person types: a number without a unit is refused, because people mean seconds or minutes by it as
/// often as milliseconds. Zero is the same in every unit, and what is negative means at once.
///
/// # Errors
/// Fails for any other text; the message says what to write.
pub fn parse_typed_delay(text: &str) -> Result<i64, MomentError> {
    let number = text.trim();
    let is_bare = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match parse_delay(text)? {
        ms if is_bare && ms != 0 => Err(MomentError::NoUnit { number: number.to_owned() }),
        ms => Ok(ms),
    }
}

/// How long ago, as a person types it: `2h`, or `-2h`, in milliseconds. `None`: it is none, and maybe a time. A number without
/// a unit is a time if it can be one in milliseconds.
///
/// # Errors
/// Fails for other numbers without a unit, which would mean a moment ago or 1970, and for months by the letter `M`.
pub fn parse_ago(text: &str) -> Result<Option<i64>, MomentError> {
    let text = text.trim();
    let number = text.strip_prefix('-').unwrap_or(text);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_time = number.len() == text.len();
        return match number.parse::<i64>() {
            Ok(0) => Ok((!is_time).then_some(0)),
            Ok(LOOKS_LIKE_SECONDS_MS..) | Err(_) if is_time => Ok(None),
            _ => Err(MomentError::NoUnitAgo { text: text.to_owned(), number: number.to_owned() }),
        };
    }
    // As listings show it.
    if text == "now" {
        return Ok(Some(0));
    }
    let number = number.strip_suffix(" ago").unwrap_or(number);
    match parse_delay(number) {
        Ok(ms) if ms >= 0 => Ok(Some(ms)),
        Err(error @ MomentError::Months { .. }) => Err(error),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_has_a_unit() {
        for (text, ago) in [
            ("2h", 7_200_000),
            ("-2h", 7_200_000),
            (" -1day 2h ", 93_600_000),
            ("-0", 0),
            ("0s", 0),
            ("2m 5s ago", 125_000),
            ("now", 0),
        ] {
            assert_eq!(parse_ago(text), Ok(Some(ago)), "{text}");
        }
        for text in ["0", "1795490778000", "@5", "2026-11-24", "soon", "", "-", "--2", "--2h", "99999999999999999999"] {
            assert_eq!(parse_ago(text), Ok(None), "{text}");
        }
        for text in ["-2", "5", "-1795490778000", "1795490778", "-99999999999999999999"] {
            assert!(matches!(parse_ago(text), Err(MomentError::NoUnitAgo { .. })), "{text}");
        }
        assert!(parse_ago("-2").unwrap_err().to_string().starts_with("\"-2\" has no unit: for how long ago write 2h,"));
        assert!(matches!(parse_ago("-2M"), Err(MomentError::Months { .. })));
    }

    #[test]
    fn the_three_forms_of_a_time_mean_the_same() {
        for text in
            ["2026-11-24T03:26:18Z", "2026-11-24T04:26:18+01:00", "1795490778000", "@1795490778", " @1795490778 "]
        {
            assert_eq!(Moment::parse(text), Ok(Moment(1_795_490_778_000)), "{text}");
        }
        assert_eq!(Moment::parse("2026-11-24T03:26:18.250Z").unwrap().ms(), 1_795_490_778_250);
        assert_eq!(Moment::parse("0").unwrap().ms(), 0);
    }

    #[test]
    fn what_is_no_time_is_told_so() {
        for bad in ["", "tomorrow", "2026-11-24T03:26:18", "2026-11-24", "@", "@x", "@1.5", "1e3", "-"] {
            assert!(matches!(Moment::parse(bad), Err(MomentError::NoTime(_))), "{bad}");
        }
        for far in
            ["-1", "@-5", "8640000000000001", "99999999999999999999", "@9223372036854775807", "1960-01-01T00:00:00Z"]
        {
            assert!(matches!(Moment::parse(far), Err(MomentError::OutOfRange(_))), "{far}");
        }
    }

    #[test]
    fn milliseconds_are_rounded_to_the_second_as_node_resque_rounds() {
        let second = |ms| Moment(ms).second();
        assert_eq!(second(1_999_999_999_500), 2_000_000_000);
        assert_eq!(second(1_999_999_999_499), 1_999_999_999);
        assert_eq!((second(0), second(499), second(500)), (0, 0, 1));
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(Moment::of_second(1_795_490_778).rfc3339(), "2026-11-24T03:26:18Z");
        assert_eq!(Moment(1_795_490_778_250).rfc3339(), "2026-11-24T03:26:18.250Z");
        assert_eq!(Moment::of_second(i64::MAX / 1000).rfc3339(), format!("@{}", i64::MAX / 1000));
    }

    #[test]
    fn a_time_that_is_shown_can_be_written() {
        for second in [0, 1_795_490_778, 253_402_300_799, 253_402_300_800, LAST_MS / 1000] {
            let shown = Moment::of_second(second).rfc3339();
            assert_eq!(Moment::parse(&shown), Ok(Moment::of_second(second)), "{shown}");
        }
    }

    #[test]
    fn seconds_that_would_be_taken_for_milliseconds_are_refused() {
        let refused = Moment::parse("1795490778").unwrap_err().to_string();
        assert_eq!(
            refused,
            "1795490778 counts as milliseconds and means 1970-01-21T18:44:50.778Z; for seconds write @1795490778"
        );
        for text in ["0", "@1", "100000000000", "1970-01-21T18:44:50Z", "@1795490778"] {
            assert!(Moment::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn delays_are_durations_or_milliseconds() {
        assert_eq!(parse_delay("90s"), Ok(90_000));
        assert_eq!(parse_delay("1h 30m"), Ok(5_400_000));
        assert_eq!(parse_delay("250"), Ok(250));
        assert_eq!((parse_delay("-1"), parse_delay("-86400000")), (Ok(-1), Ok(-1000)), "at once");
        let months = parse_delay("1h 5M").unwrap_err().to_string();
        assert_eq!(
            months,
            "\"1h 5M\" would be 5 months 1 hour, because M stands for months: write \"1h 5m\" for minutes, or \
             \"1h 5months\""
        );
        assert_eq!(parse_delay("5months"), Ok(5 * 2_630_016 * 1000));
        for bad in ["", "soon", "-", "-5s", "99999999999999999999", "1.5"] {
            assert!(parse_delay(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_people_type_has_a_unit() {
        let refused = |text: &str| parse_typed_delay(text).unwrap_err().to_string();
        assert_eq!(refused("5"), "\"5\" has no unit: for seconds write 5s, for milliseconds 5ms");
        assert_eq!(refused(" 3600 "), "\"3600\" has no unit: for seconds write 3600s, for milliseconds 3600ms");
        assert!(refused("").contains("is no duration"));
        for (text, ms) in [("5s", 5_000), ("5ms", 5), ("1h 30m", 5_400_000), ("0", 0), ("00", 0), ("-5", -5)] {
            assert_eq!(parse_typed_delay(text), Ok(ms), "{text}");
        }
    }
}
