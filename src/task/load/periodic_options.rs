//! Reads when a task runs by itself: `frequency`, or `schedule` with its options.

use std::time::Duration;

use super::values::whole_seconds;
use crate::config::element::duration::{self, Unit, show};
use crate::config::error::closest;
use crate::config::reader::{Table, Value};
use crate::task::calendar::{Calendar, CalendarError};
use crate::task::schedule::Cadence;

/// How late a tick may be at most to run in spite of `missed = "skip"`.
const ON_TIME: Duration = Duration::from_secs(60);

/// The keys that go with a schedule.
const OF_SCHEDULE: [&str; 4] = ["time_zone", "missed", "missed_max_age", "jitter"];

/// When a task runs by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PeriodicOptions {
    pub(super) cadence: Option<Cadence>,
    /// Is the task meant to be periodic? Also if its frequency or expression has a mistake.
    pub(super) is_meant: bool,
    pub(super) missed_max_age_s: Option<u64>,
    pub(super) overlap: bool,
    pub(super) jitter_s: u64,
}

pub(super) fn read(table: &mut Table<'_>, schedule: Option<&Value<'_>>, warnings: &mut Vec<String>) -> PeriodicOptions {
    let said = table.take("frequency");
    let before = said.as_ref().map(|value| value.document().problem_count());
    let every = said.as_ref().and_then(|value| frequency(value, warnings));
    let is_wrong = said.as_ref().map(|value| value.document().problem_count()) > before;
    let is_meant = every.is_some() || is_wrong || schedule.is_some();
    let mut periodic = PeriodicOptions { cadence: every.map(Cadence::Every), is_meant, ..PeriodicOptions::default() };
    if let (Some(_), Some(schedule)) = (&every, schedule) {
        schedule.report("goes without frequency: a task has one of them");
    }
    if schedule.is_none() {
        for key in OF_SCHEDULE {
            table.refuse(key, "goes with schedule only");
        }
    }
    if let Some(schedule) = schedule {
        let zone = table.take("time_zone");
        periodic.cadence = calendar(schedule, zone.as_ref()).map(Cadence::Calendar).or(periodic.cadence);
        periodic.missed_max_age_s = missed(table).map(whole_seconds);
        let jitter = table.take("jitter");
        if let Some(jitter) = jitter.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::ZERO)) {
            periodic.jitter_s = whole_seconds(jitter);
        }
    }
    if let Some(value) = table.take("overlap") {
        if periodic.cadence.is_none() && every.is_none() && schedule.is_none() {
            value.report("goes with frequency or schedule only");
        }
        let words = [("forbid", false), ("allow", true)];
        periodic.overlap = value.one_of("\"forbid\" or \"allow\"", &words).unwrap_or(false);
    }
    periodic
}

/// Reads an expression in a zone (UTC without one).
pub(super) fn calendar(expression: &Value<'_>, zone: Option<&Value<'_>>) -> Option<Calendar> {
    let text = expression.string()?;
    let name = match zone {
        Some(zone) => Some(zone.string()?),
        None => None,
    };
    match Calendar::parse(text, name) {
        Ok(calendar) => return Some(calendar),
        Err(CalendarError::Zone(name)) => {
            if let Some(zone) = zone {
                let nearest = closest(&name, Calendar::zones());
                zone.report_with("expected a time zone's name, such as \"Europe/Berlin\"", nearest);
            }
        }
        Err(CalendarError::Never) => {
            expression.expected("a time that comes (this one never does)");
        }
        Err(CalendarError::Expression(reason)) => expression.expected(&format!(
            "a cron expression of 5 fields, or 6 with seconds first, such as \"30 7 * * MON-FRI\": {reason}"
        )),
    }
    None
}

/// `missed` and `missed_max_age`: how late a tick may be and still run.
pub(super) fn missed(table: &mut Table<'_>) -> Option<Duration> {
    let words = [("once", false), ("skip", true)];
    let skips = table.take("missed").and_then(|value| value.one_of("\"once\" or \"skip\"", &words)).unwrap_or(false);
    let age = table.take("missed_max_age");
    let age = age.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_secs(1)));
    age.or(skips.then_some(ON_TIME))
}

/// Whole seconds, because ticks are stored in lists that are named by the second. Zero means not periodic.
fn frequency(value: &Value<'_>, warnings: &mut Vec<String>) -> Option<Duration> {
    let said = duration::read(value, Unit::Milliseconds, Duration::ZERO).filter(|said| !said.is_zero())?;
    let whole = Duration::from_secs(whole_seconds(said));
    if whole != said {
        let (said, whole) = (show(said), show(whole));
        warnings.push(format!("{}: {said} is rounded up to {whole}", value.location_and_key()));
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::definition::TaskDefinition;
    use crate::task::load::load;

    fn read(lines: &str) -> Result<TaskDefinition, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("name = \"t\"\n{lines}\n[run]\nbuiltin = \"noop\"\n");
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        if !tasks.problems.is_empty() {
            let told = |problem: &crate::config::error::Problem| format!("{}: {}", problem.key, problem.message);
            return Err(tasks.problems.iter().map(told).collect());
        }
        Ok(TaskDefinition::clone(tasks.registry.get("t").unwrap()))
    }

    #[test]
    fn a_schedule_has_its_zone_and_its_rules() {
        let task = read(
            "schedule = \"0,10,20,30,40,50 * * * * *\"\ntimeZone = \"Europe/Berlin\"\nmissed = \"skip\"\njitter = \"1500ms\"",
        )
        .unwrap();
        let Some(Cadence::Calendar(calendar)) = &task.cadence else { panic!("{:?}", task.cadence) };
        assert_eq!((calendar.expression(), calendar.zone()), ("0,10,20,30,40,50 * * * * *", "Europe/Berlin"));
        assert_eq!((task.missed_max_age_s, task.jitter_s, task.overlap), (Some(60), 2, false));
        let plugins: Vec<_> = task.plugins.iter().map(crate::task::plugin_spec::PluginSpec::name).collect();
        assert_eq!(plugins, ["JobLock", "QueueLock", "DelayQueueLock"]);
        let age =
            read("schedule = \"@daily\"\nmissed = \"once\"\nmissed_max_age = \"2h\"\noverlap = \"allow\"").unwrap();
        assert_eq!((age.missed_max_age_s, age.overlap), (Some(7200), true));
        let plugins: Vec<_> = age.plugins.iter().map(crate::task::plugin_spec::PluginSpec::name).collect();
        assert_eq!(plugins, ["QueueLock", "DelayQueueLock"], "overlapping runs need no JobLock");
    }

    #[test]
    fn what_never_comes_or_is_nowhere_is_refused() {
        for (lines, said) in [
            ("schedule = \"0 0 31 2 *\"", "schedule: expected a time that comes"),
            ("schedule = \"@reboot\"", "schedule: expected a cron expression"),
            ("schedule = \"* * * *\"", "schedule: expected a cron expression"),
            ("schedule = \"1 2 3 4 5 6 7 8\"", "schedule: expected a cron expression"),
            ("schedule = \"* * * * *\"\ntime_zone = \"Europe/Berln\"", "time_zone: expected a time zone's name"),
            ("schedule = \"* * * * *\"\nfrequency = 5000", "schedule: goes without frequency"),
            ("schedule = \"* * * * *\"\noverlap = true", "overlap: expected \"forbid\" or \"allow\""),
            ("frequency = 5000\njitter = 5", "jitter: goes with schedule only"),
            ("overlap = \"allow\"", "overlap: goes with frequency or schedule only"),
            ("time_zone = \"UTC\"", "time_zone: goes with schedule only"),
        ] {
            let problems = read(lines).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(said), "{lines}: {problems:?}");
        }
    }
}
