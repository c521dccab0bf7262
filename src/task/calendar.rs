//! Cron expressions with their time zone: at which seconds something is due. Pure: the caller says from when.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar(Arc<Read>);

#[derive(Debug)]
struct Read {
    expression: String,
    cron: Cron,
    zone: Tz,
}

/// Why a text is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The expression cannot be read.
    #[error("{0}")]
    Expression(String),
    /// No such time zone.
    #[error("no time zone is called {0:?}")]
    Zone(String),
    /// No time ever matches, such as 31 February.
    #[error("never comes")]
    Never,
}

impl Calendar {
    /// Reads an expression of 5 fields, or 6 with seconds first, in a zone of the IANA database (`None`: UTC).
    ///
    /// # Errors
    /// See [`CalendarError`].
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, CalendarError> {
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(expression)
            .map_err(|error| CalendarError::Expression(error.to_string()))?;
        let zone = match zone {
            None => Tz::UTC,
            Some(name) => Tz::from_str(name).map_err(|_| CalendarError::Zone(name.to_owned()))?,
        };
        let calendar = Self(Arc::new(Read { expression: expression.to_owned(), cron, zone }));
        // Any time will do: what matches at all matches again within the years that are searched.
        calendar.after(0).map(|_| ()).ok_or(CalendarError::Never)?;
        Ok(calendar)
    }

    /// The first second after this one (seconds since the Unix epoch) at which it is due; `None` if it never is
    /// again.
    #[must_use]
    pub fn after(&self, second: i64) -> Option<i64> {
        let from = DateTime::<Utc>::from_timestamp(second, 0)?.with_timezone(&self.0.zone);
        self.0.cron.find_next_occurrence(&from, false).ok().map(|next| next.timestamp())
    }

    /// The expression as it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.0.expression
    }

    /// The name of its time zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.zone.name()
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.0.expression == other.0.expression && self.0.zone == other.0.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_second_comes_after_the_given_one() {
        let calendar = Calendar::parse("*/10 * * * * *", None).unwrap();
        assert_eq!(calendar.after(1_795_490_770), Some(1_795_490_780));
        let daily = Calendar::parse("30 7 * * *", Some("Europe/Berlin")).unwrap();
        // 2026-11-24 03:26:18 UTC; half past seven in Berlin is 06:30 UTC.
        assert_eq!(daily.after(1_795_490_778), Some(1_795_501_800));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = |expression, zone| Calendar::parse(expression, zone).unwrap_err();
        assert_eq!(error("0 0 31 2 *", None), CalendarError::Never);
        assert_eq!(error("* * * * *", Some("Mars/Base")), CalendarError::Zone("Mars/Base".into()));
        assert!(matches!(error("61 * * * *", None), CalendarError::Expression(_)));
    }
}
