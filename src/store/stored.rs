//! Numbers that any program may have written to the store, accepted only within bounds that are safe to calculate with.

use std::str::FromStr;

use serde_json::Number;
use serde_json::value::RawValue;

use crate::job::Beginning;

/// The last second that a JavaScript `Date` can hold. No Resque program writes a later one.
const LAST_S: u64 = 8_640_000_000_000;

/// A second since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Second(i64);

/// A number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u64);

/// The number is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a number of seconds within the range of dates")]
pub struct OutOfBounds;

impl Second {
    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Second {
    type Error = OutOfBounds;

    fn try_from(second: i64) -> Result<Self, OutOfBounds> {
        if second.unsigned_abs() <= LAST_S { Ok(Self(second)) } else { Err(OutOfBounds) }
    }
}

impl FromStr for Second {
    type Err = OutOfBounds;

    fn from_str(text: &str) -> Result<Self, OutOfBounds> {
        text.parse::<i64>().map_err(|_| OutOfBounds)?.try_into()
    }
}

impl Period {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Period {
    type Error = OutOfBounds;

    fn try_from(seconds: u64) -> Result<Self, OutOfBounds> {
        if seconds <= LAST_S { Ok(Self(seconds)) } else { Err(OutOfBounds) }
    }
}

impl FromStr for Period {
    type Err = OutOfBounds;

    fn from_str(text: &str) -> Result<Self, OutOfBounds> {
        text.parse::<u64>().map_err(|_| OutOfBounds)?.try_into()
    }
}

/// A worker's ping, as node-resque writes it: `{"time":1795490778,"name":"host:1","queues":"*"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// When it pinged, without fractions of a second.
    pub second: Second,
    /// The queues it works on.
    pub queues: Option<String>,
}

impl Ping {
    /// Reads the beginning of a ping that has so many bytes: one of many queues is long, and tells its time first.
    #[must_use]
    pub fn parse_beginning(begin: &[u8], length: u64) -> Option<Self> {
        if begin.len() as u64 == length {
            return Self::parse(begin);
        }
        let time = Beginning::parse(begin).raw("time")?;
        Self::parse(&[b"{\"time\":", time, b"}"].concat())
    }

    /// Reads a ping; `None` if it has no valid time.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let members: std::collections::HashMap<String, &RawValue> = serde_json::from_slice(raw).ok()?;
        let time: Number = serde_json::from_str(members.get("time")?.get()).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "it stops at the ends, which are out of bounds")]
        let second = time.as_i64().or_else(|| time.as_f64().map(|time| time as i64))?;
        let queues = members.get("queues").and_then(|queues| serde_json::from_str(queues.get()).ok());
        Some(Self { second: second.try_into().ok()?, queues })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_no_date_holds_are_none() {
        assert_eq!("-5".parse::<Second>().map(Second::get), Ok(-5));
        assert_eq!("8640000000000".parse::<Period>().map(Period::get), Ok(LAST_S));
        for bad in ["", "soon", "1.5", "8640000000001", "-8640000000001", "9223372036854775808", "-9223372036854775808"]
        {
            assert_eq!(bad.parse::<Second>(), Err(OutOfBounds), "{bad}");
            assert_eq!(bad.parse::<Period>(), Err(OutOfBounds), "{bad}");
        }
    }

    #[test]
    fn a_ping_tells_a_time_that_a_date_holds() {
        let ping = Ping::parse(br#"{"time":1795490778.5,"name":"h:1","queues":["odd"]}"#).unwrap();
        assert_eq!((ping.second.get(), ping.queues), (1_795_490_778, None));
        for bad in
            [&b"{"[..], b"{}", b"[1]", br#"{"time":"now"}"#, br#"{"time":-9223372036854775808}"#, br#"{"time":1e300}"#]
        {
            assert_eq!(Ping::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = Ping::parse(&raw);
        }

        #[test]
        fn no_time_breaks_the_reader(time in "-?[0-9]{0,25}(\\.[0-9]{0,5})?([eE][+-]?[0-9]{0,4})?") {
            if let Some(ping) = Ping::parse(format!("{{\"time\":{time}}}").as_bytes()) {
                proptest::prop_assert!(ping.second.get().unsigned_abs() <= LAST_S);
            }
        }
    }
}
