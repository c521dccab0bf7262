//! Cron expressions, as they were understood.

use serde::Serialize;

use crate::task::calendar::Calendar;

/// An expression, as it was understood.
#[derive(Debug, Clone, Serialize)]
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
