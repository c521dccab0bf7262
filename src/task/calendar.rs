//! Cron expressions with their time zone: at which seconds something is due. Pure: the caller passes the time.
//!
//! Daylight saving time: an expression of fixed seconds, minutes and hours (`30 2 * * *`) is due once a day. A time
//! that is skipped in spring is due at the first moment after the gap, one that is repeated in autumn is due the first
//! time. Anything with a wildcard or a step in seconds, minutes or hours (`*/10 * * * *`) is due at every real moment
//! that matches, so that its intervals are kept.

mod fields;

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use croner::parser::{CronParser, Seconds};
use croner::{Cron, Weekday};

use self::fields::Fields;
use super::zone::NamedZone;

/// The longest expression that is accepted, in bytes.
const MAX_EXPRESSION: usize = 1000;

/// Longer than the distance to any next occurrence that a skipped day can hide: a year and a day.
const BEYOND_A_GAP_S: i64 = 367 * 86_400;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar(Arc<ParsedCalendar>);

#[derive(Debug)]
struct ParsedCalendar {
    expression: String,
    cron: Cron,
    zone: NamedZone,
}

/// Why a text is not a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
        if expression.len() > MAX_EXPRESSION {
            return Err(CalendarError::Expression(format!("it is longer than {MAX_EXPRESSION} bytes")));
        }
        let Fields { text, both_days } = fields::read(expression).map_err(CalendarError::Expression)?;
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .dom_and_dow(both_days)
            .build()
            .parse(&text)
            .map_err(|error| CalendarError::Expression(error.to_string()))?;
        let zone = match zone {
            None => NamedZone::utc(),
            Some(name) => NamedZone::from_str(name).map_err(|_| CalendarError::Zone(name.to_owned()))?,
        };
        if !has_a_day(&cron) {
            return Err(CalendarError::Never);
        }
        let calendar = Self(Arc::new(ParsedCalendar { expression: expression.to_owned(), cron, zone }));
        // The start does not matter: an expression that ever matches does so within the years that are searched.
        calendar.after(0).map(|_| ()).ok_or(CalendarError::Never)?;
        Ok(calendar)
    }

    /// The first second after this one (seconds since the Unix epoch) at which the calendar is due; `None` if it never
    /// is again.
    #[must_use]
    pub fn after(&self, second: i64) -> Option<i64> {
        let next = |second: i64, inclusive: bool| {
            let from = DateTime::<Utc>::from_timestamp(second, 0)?.with_timezone(&self.0.zone);
            self.0.cron.find_next_occurrence(&from, inclusive).ok().map(|next| next.timestamp())
        };
        if let Some(next) = next(second, false) {
            return Some(next);
        }
        // The search fails at a gap of a whole day, such as Samoa's in 2011, although a match follows it. It fails from
        // every start before the gap and from none after it, so a binary search finds the end of the gap.
        let (mut before, mut behind) = (second, second.saturating_add(BEYOND_A_GAP_S));
        next(behind, false)?;
        while behind - before > 1 {
            let middle = before + (behind - before) / 2;
            match next(middle, false) {
                Some(_) => behind = middle,
                None => before = middle,
            }
        }
        next(behind, true)
    }

    /// The last second at or before this one at which the calendar was due; `None` if it never was.
    #[must_use]
    pub fn latest(&self, second: i64) -> Option<i64> {
        let from = DateTime::<Utc>::from_timestamp(second, 0)?.with_timezone(&self.0.zone);
        self.0.cron.find_previous_occurrence(&from, true).ok().map(|latest| latest.timestamp())
    }

    /// The names of all time zones.
    pub fn zones() -> impl Iterator<Item = &'static str> {
        NamedZone::names()
    }

    /// What it means, in English.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{}{}", self.0.cron.describe(), fields::uneven_steps(&self.0.expression))
    }

    /// A second as the clocks of its zone show it.
    #[must_use]
    pub fn in_zone(&self, second: i64) -> Option<DateTime<NamedZone>> {
        Some(DateTime::<Utc>::from_timestamp(second, 0)?.with_timezone(&self.0.zone))
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

/// Does any day match? Looking for the first time of an expression without any takes the library seconds.
///
/// Dates, with their weekdays, repeat after 28 years where no leap day is left out, and after 40 where one is.
fn has_a_day(cron: &Cron) -> bool {
    let pattern = &cron.pattern;
    let months: Vec<u32> = (1..=12).filter(|&month| pattern.month_match(month).unwrap_or(true)).collect();
    (2000..2041).any(|year| {
        months.iter().any(|&month| {
            (1..=31).filter_map(|day| NaiveDate::from_ymd_opt(year, month, day)).any(|date| {
                // What the library cannot judge is left to its search.
                pattern.day_match(year, month, date.day(), weekday(date)).unwrap_or(true)
            })
        })
    })
}

fn weekday(date: NaiveDate) -> Weekday {
    match date.weekday() {
        chrono::Weekday::Mon => Weekday::Monday,
        chrono::Weekday::Tue => Weekday::Tuesday,
        chrono::Weekday::Wed => Weekday::Wednesday,
        chrono::Weekday::Thu => Weekday::Thursday,
        chrono::Weekday::Fri => Weekday::Friday,
        chrono::Weekday::Sat => Weekday::Saturday,
        chrono::Weekday::Sun => Weekday::Sunday,
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.0.expression == other.0.expression && self.0.zone == other.0.zone
    }
}

#[cfg(test)]
mod tests;
