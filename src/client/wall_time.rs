//! A time as clocks show it: `tomorrow 10:00`, `2026-12-24 08:00`, `fri 9:30`, `18:00`.
//!
//! Which moment that is depends on the zone and on now. Where clocks change, the rule is that of schedules: a time that is
//! skipped is the first moment after the gap, and one that comes twice is the first of the two. Either is told.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc, Weekday};

use super::moment::Moment;

/// How far from a time in one zone its moment lies at most. Samoa left out a whole day.
const FARTHEST_S: i64 = 60 * 3600;

/// A time of day, and the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    day: Day,
    time: NaiveTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// The first on which the time has not passed.
    Next,
    /// So many days from today.
    In(u64),
    /// The first such day after today.
    Weekday(Weekday),
    Date(NaiveDate),
}

/// What clocks call a time: what a listing shows behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeName {
    /// So many seconds ahead of UTC, which needs no zone: `UTC`, `+01:00`, `-03`.
    Offset(i32),
    /// The letters that the clocks of a zone show, such as `CET`.
    Letters([u8; LONGEST_NAME]),
}

/// The longest name of a time.
const LONGEST_NAME: usize = 6;

impl TimeName {
    /// The time of the world.
    pub const UTC: Self = Self::Offset(0);

    fn parse(word: &str) -> Option<Self> {
        if ["UTC", "GMT", "Z"].contains(&word) {
            return Some(Self::UTC);
        }
        if let Some(digits) = word.strip_prefix(['+', '-']).filter(|digits| digits.is_ascii()) {
            let (hours, minutes) = digits.split_once(':').unwrap_or_else(|| digits.split_at(digits.len().min(2)));
            let part = |text: &str, most: i32| {
                let number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() == 2;
                text.parse::<i32>().ok().filter(|value| number && *value <= most)
            };
            let minutes = if minutes.is_empty() { 0 } else { part(minutes, 59)? };
            let seconds = part(hours, 23)? * 3600 + minutes * 60;
            return Some(Self::Offset(if word.starts_with('-') { -seconds } else { seconds }));
        }
        let is_name = (3..=LONGEST_NAME).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let mut letters = [0; LONGEST_NAME];
        letters.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
        is_name.then_some(Self::Letters(letters))
    }

    /// Do clocks call a time so?
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match self {
            Self::Offset(_) => false,
            Self::Letters(letters) => letters.iter().copied().filter(|letter| *letter > 0).eq(name.bytes()),
        }
    }
}

/// The moment of a wall time in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The moment.
    pub moment: Moment,
    /// What the clocks do there.
    pub clocks: Clocks,
}

/// What clocks do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// They show it once.
    Once,
    /// They skip it: the moment is the first after the gap.
    Skip,
    /// They show it twice: the moment is the first time, and this the second.
    Twice(Moment),
}

impl WallTime {
    /// Reads one; `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (day, time) = match text.split_once([' ', 'T']) {
            Some((day, time)) => (day_of(day)?, time.trim_start()),
            None => (Day::Next, text),
        };
        Some(Self { day, time: time_of(time)? })
    }

    /// Reads one of a date, with what clocks call it behind it: `2026-11-24 04:26:18 CET`. `None`: it is none.
    #[must_use]
    pub fn parse_named(text: &str) -> Option<(Self, TimeName)> {
        let (time, name) = text.trim().rsplit_once(' ')?;
        let wall = Self::parse(time).filter(|wall| matches!(wall.day, Day::Date(_)))?;
        Some((wall, TimeName::parse(name)?))
    }

    /// The moment in this zone. `None`: it lies outside of the years that can be counted.
    #[must_use]
    pub fn find<Z: TimeZone>(self, zone: &Z, now_ms: i64) -> Option<Found> {
        let now = DateTime::from_timestamp_millis(now_ms)?;
        let today = now.with_timezone(zone).date_naive();
        let date = match self.day {
            Day::Next => {
                let found = on(today.and_time(self.time), zone)?;
                if found.moment.ms() > now_ms {
                    return Some(found);
                }
                today.checked_add_days(Days::new(1))?
            }
            Day::In(days) => today.checked_add_days(Days::new(days))?,
            Day::Weekday(weekday) => {
                let ahead = weekday.days_since(today.weekday());
                today.checked_add_days(Days::new(if ahead == 0 { 7 } else { ahead.into() }))?
            }
            Day::Date(date) => date,
        };
        on(date.and_time(self.time), zone)
    }
}

fn on<Z: TimeZone>(wall: NaiveDateTime, zone: &Z) -> Option<Found> {
    let moment = |at: &DateTime<Z>| Moment::of_second(at.timestamp());
    let found = match zone.from_local_datetime(&wall) {
        chrono::LocalResult::Single(at) => Found { moment: moment(&at), clocks: Clocks::Once },
        chrono::LocalResult::Ambiguous(first, second) => {
            Found { moment: moment(&first), clocks: Clocks::Twice(moment(&second)) }
        }
        chrono::LocalResult::None => {
            let shows = |second: i64| {
                DateTime::<Utc>::from_timestamp(second, 0)
                    .map(|at| zone.from_utc_datetime(&at.naive_utc()).naive_local())
            };
            // Before the gap clocks show less, from its end on more.
            let middle = wall.and_utc().timestamp();
            let (mut before, mut after) = (middle.checked_sub(FARTHEST_S)?, middle.checked_add(FARTHEST_S)?);
            while after - before > 1 {
                let between = before + (after - before) / 2;
                if shows(between)? < wall { before = between } else { after = between }
            }
            Found { moment: Moment::of_second(after), clocks: Clocks::Skip }
        }
    };
    (found.moment.ms() >= 0).then_some(found)
}

fn day_of(word: &str) -> Option<Day> {
    match word.to_lowercase().as_str() {
        "today" => Some(Day::In(0)),
        "tomorrow" => Some(Day::In(1)),
        word => word.parse().map(Day::Weekday).ok().or_else(|| {
            let date = NaiveDate::parse_from_str(word, "%Y-%m-%d").ok()?;
            (0..=9999).contains(&date.year()).then_some(Day::Date(date))
        }),
    }
}

fn time_of(word: &str) -> Option<NaiveTime> {
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(word, form).ok())?;
    // A leap second is none of the store's.
    (chrono::Timelike::nanosecond(&time) == 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::zone::NamedZone;

    /// 2026-11-29 22:00 in Berlin, a Sunday.
    const NOW_MS: i64 = 1_795_986_000_000;

    fn found(text: &str, zone: &str) -> (String, Clocks) {
        let zone: NamedZone = zone.parse().unwrap();
        let found = WallTime::parse(text).unwrap().find(&zone, NOW_MS).unwrap();
        (found.moment.rfc3339(), found.clocks)
    }

    #[test]
    fn a_time_is_that_of_the_zone_and_of_the_next_day_that_is_meant() {
        for (text, at) in [
            ("tomorrow 10:00", "2026-11-30T09:00:00Z"),
            ("today 23:30", "2026-11-29T22:30:00Z"),
            ("today 08:00", "2026-11-29T07:00:00Z"),
            ("23:30", "2026-11-29T22:30:00Z"),
            ("08:00", "2026-11-30T07:00:00Z"),
            ("8:05:09", "2026-11-30T07:05:09Z"),
            ("Sunday 08:00", "2026-12-06T07:00:00Z"),
            ("mon 08:00", "2026-11-30T07:00:00Z"),
            ("2026-12-24 08:00", "2026-12-24T07:00:00Z"),
            ("2026-12-24T08:00:30", "2026-12-24T07:00:30Z"),
            ("2026-07-24 08:00", "2026-07-24T06:00:00Z"),
        ] {
            assert_eq!(found(text, "Europe/Berlin"), (at.to_owned(), Clocks::Once), "{text}");
        }
        assert_eq!(found("tomorrow 10:00", "Pacific/Auckland").0, "2026-11-30T21:00:00Z", "it is Monday there");
    }

    #[test]
    fn a_time_that_is_skipped_is_the_first_after_the_gap() {
        let spring = found("2027-03-28 02:30", "Europe/Berlin");
        assert_eq!(spring, ("2027-03-28T01:00:00Z".to_owned(), Clocks::Skip));
        let samoa = found("2011-12-30 12:00", "Pacific/Apia");
        assert_eq!(samoa, ("2011-12-30T10:00:00Z".to_owned(), Clocks::Skip), "a day was left out");
    }

    #[test]
    fn of_a_time_that_comes_twice_it_is_the_first() {
        let (at, clocks) = found("2027-10-31 02:30", "Europe/Berlin");
        assert_eq!(at, "2027-10-31T00:30:00Z");
        assert!(matches!(clocks, Clocks::Twice(second) if second.rfc3339() == "2027-10-31T01:30:00Z"), "{clocks:?}");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for bad in
            ["", "noon", "tomorrow", "25:00", "tomorrow 10", "2026-13-01 08:00", "yesterday 1:00", "10:00:60", "1 2"]
        {
            assert_eq!(WallTime::parse(bad), None, "{bad}");
        }
        let before = WallTime::parse("1960-01-01 00:00").unwrap();
        assert_eq!(before.find(&NamedZone::utc(), NOW_MS), None);
    }
}
