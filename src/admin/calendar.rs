//! Cron expressions, as they were understood.

use serde::Serialize;

use crate::task::calendar::Calendar;

/// An expression, as it was understood.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CalendarView {
    /// The id of the `[[schedule]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The expression as it was written.
    pub cron: String,
    /// Its time zone.
    pub time_zone: String,
    /// What it means, in English.
    pub means: String,
    /// Its next times in its zone, in RFC 3339.
    pub next: Vec<String>,
    /// The same in milliseconds since 1970.
    pub next_ms: Vec<i64>,
}

/// A time as the clocks of an expression's zone show it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ZonedView {
    /// The zone's name.
    pub time_zone: String,
    /// The time there: RFC 3339.
    pub at_in_zone: String,
    /// The same for people, with the name of the time there.
    #[serde(skip)]
    pub text: String,
}

impl ZonedView {
    pub(super) fn of(calendar: &Calendar, second: i64) -> Option<Self> {
        let there = calendar.in_zone(second)?;
        Some(Self {
            time_zone: calendar.zone().to_owned(),
            at_in_zone: there.to_rfc3339(),
            text: there.format("%Y-%m-%d %H:%M:%S %Z").to_string(),
        })
    }
}

/// How many times of a calendar are shown.
const TIMES: usize = 3;

impl CalendarView {
    pub(super) fn of(calendar: &Calendar, id: Option<&str>, now_ms: i64) -> Self {
        let next = std::iter::successors(calendar.after(now_ms.div_euclid(1000)), |last| calendar.after(*last));
        let next: Vec<i64> = next.take(TIMES).collect();
        Self {
            id: id.map(str::to_owned),
            cron: calendar.expression().to_owned(),
            time_zone: calendar.zone().to_owned(),
            means: calendar.description(),
            next: next.iter().filter_map(|second| Some(calendar.in_zone(*second)?.to_rfc3339())).collect(),
            next_ms: next.iter().map(|second| second.saturating_mul(1000)).collect(),
        }
    }
}
