//! The builtins that every daemon has: `noop`, `log` and `sleep`.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::event::kind::LONGEST_LINE;
use crate::event::{Bus, Event, EventKind, OutputStream};
use crate::handler::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use crate::job::{Failure, Outcome};
use crate::text::cut::cut_bytes;

/// `builtin = "noop"`: every job succeeds at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

impl Handler for Noop {
    fn begin(&self, _job: Invocation, _stop: watch::Receiver<Stop>) -> StartedRun {
        StartedRun::Ended(Outcome::Success { result: None })
    }
}

/// `builtin = "log"`: the arguments are logged as the job's output, as a program would print them.
#[derive(Debug, Clone)]
pub struct Log {
    bus: Bus,
}

impl Log {
    /// Makes a log handler that writes to this bus.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

impl Handler for Log {
    fn begin(&self, job: Invocation, _stop: watch::Receiver<Stop>) -> StartedRun {
        if self.bus.wants(EventKind::Output) {
            self.bus.emit(Event::Output {
                id: job.identity.id,
                task: job.task.name.clone(),
                stream: OutputStream::Stdout,
                line: cut_bytes(&job.args, LONGEST_LINE),
            });
        }
        StartedRun::Ended(Outcome::Success { result: None })
    }
}

/// `builtin = "sleep"`: waits for as long as its first argument says, a number of milliseconds,
/// `{"ms": number}` or a duration such as `"2s"`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sleep;

impl Handler for Sleep {
    fn begin(&self, job: Invocation, mut stop: watch::Receiver<Stop>) -> StartedRun {
        let duration = match duration(&job.args) {
            Ok(duration) => duration,
            Err(error) => {
                let error = format!("task \"{}\": {error}", job.task.name);
                return StartedRun::Ended(Outcome::Failure(Failure::new("ArgumentError", error)));
            }
        };
        StartedRun::Running(Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(duration) => Outcome::Success { result: None },
                // A run that can end by itself before the last moment may do so.
                _ = stopped(&mut stop, Stop::Terminate) => Outcome::Interrupted,
            }
        }))
    }
}

fn duration(args: &[u8]) -> Result<Duration, String> {
    const EXPECTED: &str = "expected milliseconds, {\"ms\": milliseconds} or a duration such as \"2s\"";
    let args: Vec<Value> = serde_json::from_slice(args).map_err(|_| "its arguments are not a JSON array".to_owned())?;
    let first = args.into_iter().next().unwrap_or_default();
    let value = if let Value::Object(mut members) = first { members.remove("ms").unwrap_or_default() } else { first };
    match &value {
        Value::Number(ms) => ms.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
        Value::String(text) => humantime::parse_duration(text).ok(),
        _ => None,
    }
    .ok_or_else(|| format!("{EXPECTED}, found {}", kind(&value)))
}

/// What a value is. The value itself may be a secret, and errors go to the log.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number that is no time",
        Value::String(_) => "another text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::fixture::{begin, invocation};

    #[test]
    fn durations_are_read_or_refused() {
        for (args, ms) in
            [("[250]", 250), ("[1.5]", 1), (r#"[{"ms":20},9]"#, 20), (r#"["2s"]"#, 2000), (r#"["1m 1s"]"#, 61_000)]
        {
            assert_eq!(duration(args.as_bytes()).unwrap().as_millis(), ms, "{args}");
        }
        for bad in ["", "{}", "[]", "[{}]", "[null]", "[-1]", "[true]", "[\"soon\"]", "[1e300]", "[{\"ms\":null}]"] {
            assert!(duration(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(!duration(br#"["hunter2"]"#).unwrap_err().contains("hunter2"), "errors go to the log");
    }

    #[tokio::test(start_paused = true)]
    async fn it_sleeps_for_as_long_as_it_was_told() {
        let begun = tokio::time::Instant::now();
        let (outcome, _stop) = begin(&Sleep, invocation("[1500]"));
        assert_eq!(outcome.await, Outcome::Success { result: None });
        assert_eq!(begun.elapsed().as_millis(), 1500);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_until_the_last_moment() {
        let (outcome, stop) = begin(&Sleep, invocation("[20]"));
        stop.send(Stop::Terminate).unwrap();
        assert_eq!(outcome.await, Outcome::Success { result: None });
        let (outcome, stop) = begin(&Sleep, invocation("[\"1h\"]"));
        stop.send(Stop::Kill).unwrap();
        assert_eq!(outcome.await, Outcome::Interrupted);
        let (outcome, _) = begin(&Sleep, invocation("[\"later\"]"));
        assert!(matches!(outcome.await, Outcome::Failure(failure) if failure.exception == "ArgumentError"));
    }
}
