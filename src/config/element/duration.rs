//! Durations: `"5s"`, or a bare number in the unit that ActionHero counts the key in.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::reader::Value;

/// The longest duration. A longer one is taken for a mistaken unit.
pub const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// The unit of a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Milliseconds: nearly all keys.
    Milliseconds,
    /// Seconds: `lock_timeout`.
    Seconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
        }
    }

    fn seconds(self, number: f64) -> f64 {
        match self {
            Self::Milliseconds => number / 1000.0,
            Self::Seconds => number,
        }
    }
}

/// Reads a duration of at least `min`, and warns where another unit was probably meant.
#[must_use]
pub fn read(value: &Value<'_>, unit: Unit, min: Duration) -> Option<Duration> {
    let found = read_short(value, unit, min)?;
    let is_number = matches!(value.raw(), DeValue::Integer(_) | DeValue::Float(_));
    if is_number && unit == Unit::Milliseconds && !found.is_zero() && found < Duration::from_secs(1) {
        let number = found.as_secs_f64() * 1000.0;
        value.warn(&format!(
            "{number} means {}, because a bare number counts milliseconds; for seconds write \"{number}s\" (and \"{}\" if \
             it is meant)",
            words(found),
            show(found)
        ));
    }
    Some(found)
}

/// The same for what is usually shorter than a second, so that a small number is no mistake.
#[must_use]
pub fn read_short(value: &Value<'_>, unit: Unit, min: Duration) -> Option<Duration> {
    let found = match value.raw() {
        DeValue::String(text) => humantime::parse_duration(text.trim()).ok(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .map(|number| match unit {
                Unit::Milliseconds => Duration::from_millis(number),
                Unit::Seconds => Duration::from_secs(number),
            }),
        DeValue::Float(float) => {
            float.as_str().parse().ok().and_then(|number| Duration::try_from_secs_f64(unit.seconds(number)).ok())
        }
        _ => None,
    };
    if let (Some(duration), Some(text)) = (found, value.raw().as_str())
        && let Some(minutes) = in_months(text, "m")
    {
        value
            .warn(&format!("{text:?} means {}, because M stands for months; minutes are {minutes:?}", words(duration)));
    }
    match found {
        None => value.expected(&format!("a duration such as \"5s\", or a number of {}", unit.name())),
        Some(duration) if duration > MAX_DURATION => value.expected("a duration of at most ten years"),
        Some(duration) if duration < min => value.expected(&format!("a duration of at least {}", show(min))),
        Some(duration) => return Some(duration),
    }
    None
}

/// A duration in the notation of the configuration.
#[must_use]
pub fn show(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A duration as it is said: `1 hour 30 minutes`.
#[must_use]
pub fn words(duration: Duration) -> String {
    let said = show(duration);
    let word = |part: &str| {
        let unit_from = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let (number, unit) = part.split_at(unit_from);
        let unit = match unit.trim_end_matches('s') {
            "" => "second",
            "m" if unit == "ms" => "millisecond",
            "m" => "minute",
            "h" => "hour",
            "u" => "microsecond",
            "n" => "nanosecond",
            // Years, months and days are written out.
            other => other,
        };
        format!("{number} {unit}{}", if number == "1" { "" } else { "s" })
    };
    said.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The text with another unit in the place of months, if it has months by the letter `M`.
#[must_use]
pub fn in_months(text: &str, unit: &str) -> Option<String> {
    let letters: Vec<char> = text.trim().chars().collect();
    let is_unit = |at: usize| {
        let beside = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(|letter| letter.is_alphabetic());
        letters[at] == 'M' && !beside(at.checked_sub(1)) && !beside(Some(at + 1))
    };
    let has_months = (0..letters.len()).any(is_unit);
    let written = |at: usize| if is_unit(at) { unit.to_owned() } else { letters[at].to_string() };
    has_months.then(|| (0..letters.len()).map(written).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader::Document;

    fn read_one(text: &str, unit: Unit, min: Duration) -> Result<Duration, String> {
        let document = Document::new(Path::new("f"), format!("a = {text}"));
        let parsed = document.parse().unwrap();
        let found = document.top(&parsed).take("a").and_then(|value| read(&value, unit, min));
        drop(parsed);
        found.ok_or_else(|| document.into_problems()[0].message.clone())
    }

    #[test]
    fn texts_are_in_any_unit_and_numbers_in_the_original_one() {
        let ms = |text| read_one(text, Unit::Milliseconds, Duration::ZERO);
        assert_eq!(ms("\"1h 5s\""), Ok(Duration::from_secs(3605)));
        assert_eq!(ms("5_000"), Ok(Duration::from_secs(5)));
        assert_eq!(ms("0x10"), Ok(Duration::from_millis(16)));
        assert_eq!(ms("2.5"), Ok(Duration::from_micros(2500)));
        assert_eq!(read_one("1.5", Unit::Seconds, Duration::ZERO), Ok(Duration::from_millis(1500)));
        assert_eq!(read_one("90", Unit::Seconds, Duration::ZERO), Ok(Duration::from_secs(90)));
    }

    fn warned(text: &str, unit: Unit) -> Vec<String> {
        let document = Document::new(Path::new("f"), format!("a = {text}"));
        let parsed = document.parse().unwrap();
        let _ = document.top(&parsed).take("a").and_then(|value| read(&value, unit, Duration::ZERO));
        document.take_warnings()
    }

    #[test]
    fn a_unit_that_was_probably_not_meant_is_told_with_what_it_means() {
        assert_eq!(
            warned("\"5M\"", Unit::Milliseconds),
            ["f:1:5: a: \"5M\" means 5 months, because M stands for months; minutes are \"5m\""]
        );
        assert_eq!(
            warned("\"1h 30M\"", Unit::Seconds),
            ["f:1:5: a: \"1h 30M\" means 2 years 6 months 2 hours 26 minutes 24 seconds, because M stands for \
              months; minutes are \"1h 30m\""]
        );
        assert_eq!(
            warned("30", Unit::Milliseconds),
            [
                "f:1:5: a: 30 means 30 milliseconds, because a bare number counts milliseconds; for seconds write \"30s\" \
              (and \"30ms\" if it is meant)"
            ]
        );
        for text in ["0", "1000", "\"30ms\"", "\"5m\"", "\"5months\"", "\"1min\""] {
            assert_eq!(warned(text, Unit::Milliseconds), Vec::<String>::new(), "{text}");
        }
        assert_eq!(warned("90", Unit::Seconds), Vec::<String>::new(), "ActionHero counts this key in seconds");
    }

    #[test]
    fn durations_are_told_in_words() {
        for (duration, said) in [
            (Duration::from_secs(90), "1 minute 30 seconds"),
            (Duration::from_secs(3600), "1 hour"),
            (Duration::from_millis(30), "30 milliseconds"),
            (Duration::from_micros(2500), "2 milliseconds 500 microseconds"),
            (Duration::from_secs(2 * 86400 + 1), "2 days 1 second"),
            (Duration::ZERO, "0 seconds"),
        ] {
            assert_eq!(words(duration), said);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let expected = "expected a duration such as \"5s\", or a number of milliseconds";
        for text in ["-1", "-0.5", "nan", "inf", "\"soon\"", "\"5\"", "true", "[1]", "99999999999999999999"] {
            let message = read_one(text, Unit::Milliseconds, Duration::ZERO).unwrap_err();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
        assert_eq!(
            read_one("\"99y\"", Unit::Milliseconds, Duration::ZERO),
            Err("expected a duration of at most ten years (found \"99y\")".to_owned())
        );
        assert_eq!(
            read_one("0", Unit::Seconds, Duration::from_secs(1)),
            Err("expected a duration of at least 1s (found 0)".to_owned())
        );
    }
}
