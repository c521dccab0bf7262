//! Parsers of single values on the command line.

use std::path::PathBuf;
use std::time::Duration;

use super::meant::{object, pair, repaired};
use crate::admin::filter::Filter;
use crate::client::moment::{Moment, MomentError, parse_ago, parse_typed_delay};
use crate::client::once::{LONGEST_KEY, OnceKey};
use crate::client::wall_time::{TimeName, WallTime};
use crate::clock::{Clock as _, SystemClock};
use crate::config::error::closest;
use crate::job::Args;
use crate::job::ecma::{self, EcmaError};
use crate::task::calendar::Calendar;
use crate::task::zone::NamedZone;
use crate::text::shell::word;

/// A key under which a job is enqueued once. The keys of the command line are those of the programs of this machine over HTTP.
///
/// # Errors
/// If it is none.
pub(super) fn once(text: &str) -> Result<OnceKey, String> {
    OnceKey::new("", text).ok_or_else(|| format!("expected 1 to {LONGEST_KEY} bytes without control characters"))
}

/// A time, and how it was written.
#[derive(Debug, Clone)]
pub(super) struct TimeArg {
    /// The time.
    pub time: TimeForm,
    /// As it was written.
    pub text: String,
}

/// What a time is counted by.
#[derive(Debug, Clone, Copy)]
pub(super) enum TimeForm {
    /// By the world.
    Moment(Moment),
    /// By the clocks of a zone.
    Wall(WallTime),
    /// The same, when they call the time so: as listings show it.
    Named(WallTime, TimeName),
}

/// `--at TIME`.
pub(super) fn time(text: &str) -> Result<TimeArg, String> {
    // As a listing shows it beside how long ago that was.
    let written = text.split_once(" (").filter(|(_, rest)| rest.ends_with(')')).map_or(text, |(time, _)| time);
    let time = match (Moment::parse(written), WallTime::parse(written)) {
        (Ok(moment), _) => TimeForm::Moment(moment),
        (Err(_), Some(wall)) => TimeForm::Wall(wall),
        (Err(error @ MomentError::NoTime(_)), None) => {
            let now_ms = SystemClock.now_ms();
            let apart = apart(written).and_then(|ms| Moment::of_ms(now_ms.saturating_add(ms)));
            match (apart, WallTime::parse_named(written)) {
                (Some(moment), _) => TimeForm::Moment(moment),
                (None, Some((wall, name))) => TimeForm::Named(wall, name),
                (None, None) => {
                    return Err(format!(
                        "{error}, or as clocks show it: \"tomorrow 10:00\", \"2026-12-24 08:00\", \"fri 9:30\""
                    ));
                }
            }
        }
        (Err(error), None) => return Err(error.to_string()),
    };
    Ok(TimeArg { time, text: text.to_owned() })
}

/// How many milliseconds from now a listing says: `in 3h`, `2m 5s ago`, `now`.
fn apart(text: &str) -> Option<i64> {
    match text.strip_prefix("in ") {
        Some(ahead) => parse_typed_delay(ahead).ok().filter(|ms| *ms >= 0),
        None if text == "now" || text.ends_with(" ago") => parse_ago(text).ok()?.map(|ms| -ms),
        None => None,
    }
}

/// `--since`: a time, or how long ago.
#[derive(Debug, Clone)]
pub(super) enum Since {
    /// So many milliseconds ago.
    Ago(i64),
    /// Since a time.
    Time(TimeArg),
}

/// `--since TIME|DURATION`. A number without a unit is a time if it can be one.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Some(ago) = parse_ago(text).map_err(|error| error.to_string())? {
        return Ok(Since::Ago(ago));
    }
    time(text).map(Since::Time).map_err(|error| format!("{error}; or how long ago: 2h, 1day"))
}

/// `--limit N`. An answer of nothing would look as if there were nothing.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err("expected a number from 1 on".to_owned()),
    }
}

/// `--scan N`. Nothing would be looked at, and the answer would look as if nothing stood there.
pub(super) fn scan(text: &str) -> Result<u64, String> {
    limit(text).map(|number| number as u64)
}

/// `--filter FILTER`. An empty one would match everything.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    if text.trim().is_empty() {
        return Err(
            "the filter is empty, so that every job would match: is the shell variable set from which it comes?"
                .to_owned(),
        );
    }
    let read = |text: &str| match time(text) {
        Ok(time) => time.said(None).map(|said| Some(said.moment.ms())).map_err(|error| error.to_string()),
        Err(_) => Ok(None),
    };
    Filter::parse_by(text, SystemClock.now_ms(), &read).map_err(|error| error.to_string())
}

/// `--error TEXT`. An empty text is in every error, and comes from a variable of the shell that nobody set.
pub(super) fn part(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => {
            Err("the text is empty, so that every error would hold it: is the shell variable set from which it comes?"
                .to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// `--zone ZONE`.
pub(super) fn zone(name: &str) -> Result<NamedZone, String> {
    name.parse().map_err(|_| {
        let nearest = closest(name, Calendar::zones()).map(|zone| format!("; did you mean {zone}?"));
        format!("there is no such zone: expected a name such as Europe/Berlin{}", nearest.unwrap_or_default())
    })
}

/// `--args`: as JSON, or a file that holds it.
#[derive(Debug, Clone)]
pub(super) enum ArgsSource {
    /// The text itself.
    Json(Args),
    /// `@FILE`, `@-`.
    File(PathBuf),
}

/// `--in DURATION`, in milliseconds.
pub(super) fn delay(text: &str) -> Result<i64, MomentError> {
    parse_typed_delay(text)
}

/// `--older-than DURATION`, in milliseconds. Every worker that works has worked for longer than nothing.
pub(super) fn age(text: &str) -> Result<i64, String> {
    match parse_typed_delay(text).map_err(|error| error.to_string())? {
        ms if ms > 0 => Ok(ms),
        _ => Err("every worker with a job would be removed: expected a duration above 0, such as 2h".to_owned()),
    }
}

/// `--wait DURATION`.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let ms = parse_typed_delay(text).map_err(|error| error.to_string())?;
    let ms = u64::try_from(ms).map_err(|_| "expected a duration from 0 on, such as 60s".to_owned())?;
    Ok(Duration::from_millis(ms))
}

/// `--args JSON`. A file is read by the command: a line may be parsed twice, and stdin can be read once.
pub(super) fn args(text: &str) -> Result<ArgsSource, String> {
    match text.strip_prefix('@') {
        Some("") => Err("expected a file after the @, or @- for stdin".to_owned()),
        Some(file) => Ok(ArgsSource::File(file.into())),
        None => Args::from_json(text).map(ArgsSource::Json).map_err(|error| explain(text, &error)),
    }
}

/// `--arg JSON`: checked, and kept as text until all are read.
pub(super) fn arg(text: &str) -> Result<String, String> {
    ecma::check(text).map(|()| text.to_owned()).map_err(|error| explain(text, &error))
}

/// Says where the text stops being JSON, and how to quote a bare word.
fn explain(text: &str, error: &EcmaError) -> String {
    if pair(text).is_some() {
        return format!("{error}; as a JSON object it is {}", word(&object(&[text])));
    }
    if let Some(object) = repaired(text) {
        return format!(
            "{error}; did the shell take its quotes away? Put single quotes around all of it: {}",
            word(&object)
        );
    }
    if text.trim_start().starts_with(['{', '[']) && !text.contains('"') && text.contains(char::is_alphabetic) {
        return format!(
            "{error}; did the shell take its quotes away? Put single quotes around all of it: '{{\"name\":\"Ada\"}}'"
        );
    }
    let is_word = !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "-_.@ ".contains(char));
    if is_word { format!("{error}; as a JSON string it is '\"{text}\"'") } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_listings_show_them() {
        let ms = |text: &str| match time(text).unwrap().time {
            TimeForm::Moment(moment) => moment.ms(),
            _ => panic!("{text} is told by clocks"),
        };
        let now_ms = SystemClock.now_ms();
        for (text, apart_ms) in [("in 3h", 10_800_000), ("2m 5s ago", -125_000), ("now", 0)] {
            assert!((ms(text) - now_ms - apart_ms).abs() < 60_000, "{text}");
        }
        let shown = "2026-11-24 03:26:18 UTC (2m 5s ago)";
        let said = time(shown).unwrap().said(None).unwrap();
        assert_eq!(said.moment.rfc3339(), "2026-11-24T03:26:18Z");
        let told = |text: &str, zone: &str| time(text).unwrap().said(Some(zone.parse().unwrap()));
        let berlin =
            |text: &str| told(text, "Europe/Berlin").map(|said| said.moment.rfc3339()).map_err(|e| e.to_string());
        assert_eq!(berlin("2026-11-24 04:26:18 CET").as_deref(), Ok("2026-11-24T03:26:18Z"));
        assert_eq!(berlin("2026-10-25 02:30:00 CEST").as_deref(), Ok("2026-10-25T00:30:00Z"));
        assert_eq!(berlin("2026-10-25 02:30:00 CET").as_deref(), Ok("2026-10-25T01:30:00Z"), "the second time");
        let wrong = berlin("2026-11-24 04:26:18 CEST").unwrap_err();
        assert!(wrong.contains("clocks in Europe/Berlin call that time CET"), "{wrong}");
        assert_eq!(told("2026-11-24 00:26:18 -03", "UTC").unwrap().moment.rfc3339(), "2026-11-24T03:26:18Z");
        let refused = time("1795490778").unwrap_err();
        assert!(refused.ends_with("for seconds write @1795490778"), "{refused}");
        for bad in ["in", "in soon", "ago", "soon ago", "2026-11-24 CET", "2026-11-24 04:26:18 C3T"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_json_is_told_with_its_place() {
        assert_eq!(args("{\"a\":}").unwrap_err(), "not valid JSON: expected value at line 1 column 6");
        assert!(arg("ann@x.org").unwrap_err().ends_with("as a JSON string it is '\"ann@x.org\"'"));
        assert!(args("name=Ada").unwrap_err().ends_with("as a JSON object it is '{\"name\":\"Ada\"}'"));
        assert!(args("name=it's").unwrap_err().ends_with(r#"as a JSON object it is '{"name":"it'\''s"}'"#));
        assert!(args("{name:Ada}").unwrap_err().ends_with(r#"Put single quotes around all of it: '{"name":"Ada"}'"#));
        assert!(args("{a:{b:c}}").unwrap_err().contains("did the shell take its quotes away?"));
        assert_eq!(arg("\"ann\"").unwrap(), "\"ann\"");
    }
}
