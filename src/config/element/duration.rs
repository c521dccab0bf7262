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

/// Reads a duration of at least `min`.
#[must_use]
pub fn read(value: &Value<'_>, unit: Unit, min: Duration) -> Option<Duration> {
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
