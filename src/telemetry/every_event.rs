//! What must hold for every kind of event and every field of it, in both formats of the log.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tracing::subscriber::with_default;

use super::capture::CaptureWriter;
use super::format::{JsonTimestamp, TextFormat};
use super::log::{CAPACITY, write};
use super::log_line::LineStyle;
use crate::clock::{Clock, ManualClock};
use crate::config::load::{Sources, load};
use crate::event::kind::JobInfo;
use crate::event::{Bus, Event, OutputStream};
use crate::job::{Failure, QueueName, TaskName, WorkerName};
use crate::text::clean;

/// How many kinds of events there are; the match in [`number`] does not compile without all of them.
const EVENTS: usize = 28;

/// Every event, with this text wherever others have a say.
fn every_event(text: &str) -> Vec<Event> {
    let (task, queue, worker) = (TaskName::as_stored(text), QueueName::as_stored(text), WorkerName::parse(text));
    let text = || text.to_owned();
    let (args, id) = (text().into_boxed_str(), Arc::from(text()));
    let job = Arc::new(JobInfo::new(worker.clone(), queue.clone(), task.clone(), args, id));
    let job = || Arc::clone(&job);
    let failure = Failure::new(text(), text()).with_backtrace(vec![text()]);
    let duration = Duration::from_millis(7);
    vec![
        Event::WorkerStart { worker: worker.clone() },
        Event::WorkerEnd { worker: worker.clone() },
        Event::WorkerPoll { queues: 3 },
        Event::WorkerPause,
        Event::Job { job: job() },
        Event::Success { job: job(), result: Some(text()), duration },
        Event::failure(job(), &failure, duration),
        Event::Retry { job: job(), error: text(), why: text(), duration },
        Event::Later { job: job(), why: text() },
        Event::ReEnqueue { job: job(), why: text() },
        Event::Vetoed { job: job(), plugin: Arc::from(text()), reason: Some(text()) },
        Event::CleaningWorker { worker, why: text() },
        Event::InternalError { error: text() },
        Event::MultiWorkerAction { verb: "--", delay: duration, processors: 2 },
        Event::SchedulerStart { name: text() },
        Event::SchedulerEnd { name: text() },
        Event::SchedulerPoll,
        Event::SchedulerEnqueue { task: task.clone(), queue, why: "why" },
        Event::SchedulerReEnqueue { task: task.clone() },
        Event::WorkingTimestamp { second: 9 },
        Event::TransferredJob { second: 9, payload: text().into_boxed_str() },
        Event::Output { id: Arc::from(text()), task: task.clone(), stream: OutputStream::Stderr, line: text() },
        Event::ChildOutput { task: task.clone(), pid: 4, line: text() },
        Event::Notice { text: text() },
        Event::Warning { text: text() },
        Event::Missed { task, text: text() },
        Event::Swallowed { job: job(), error: text(), duration },
        Event::FormattedLine { text: format!("made elsewhere: {}", text()) },
    ]
}

fn number(event: &Event) -> usize {
    match event {
        Event::WorkerStart { .. } => 0,
        Event::WorkerEnd { .. } => 1,
        Event::WorkerPoll { .. } => 2,
        Event::WorkerPause => 3,
        Event::Job { .. } => 4,
        Event::Success { .. } => 5,
        Event::Failure { .. } => 6,
        Event::Retry { .. } => 7,
        Event::Later { .. } => 8,
        Event::ReEnqueue { .. } => 9,
        Event::Vetoed { .. } => 10,
        Event::CleaningWorker { .. } => 11,
        Event::InternalError { .. } => 12,
        Event::MultiWorkerAction { .. } => 13,
        Event::SchedulerStart { .. } => 14,
        Event::SchedulerEnd { .. } => 15,
        Event::SchedulerPoll => 16,
        Event::SchedulerEnqueue { .. } => 17,
        Event::SchedulerReEnqueue { .. } => 18,
        Event::WorkingTimestamp { .. } => 19,
        Event::TransferredJob { .. } => 20,
        Event::Output { .. } => 21,
        Event::ChildOutput { .. } => 22,
        Event::Notice { .. } => 23,
        Event::Warning { .. } => 24,
        Event::Missed { .. } => 25,
        Event::Swallowed { .. } => 26,
        #[cfg(feature = "otel")]
        Event::Sent { .. } => unreachable!("it is not logged"),
        Event::FormattedLine { .. } => EVENTS - 1,
    }
}

/// A style that shows every event.
fn style(redact: &[&str]) -> RwLock<LineStyle> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tasks.toml");
    let keys = "start end poll pause job success failure retry later reEnqueue cleaning_worker internalError multiWorkerAction";
    let level = |keys: &str| keys.split(' ').map(|key| format!("{key} = \"info\"\n")).collect::<String>();
    let scheduler = "start end poll enqueue reEnqueue working_timestamp transferred_job";
    let text = format!("[worker_logging]\n{}[scheduler_logging]\n{}", level(keys), level(scheduler));
    std::fs::write(&file, text).unwrap();
    let loaded = load(&Sources { file: Some(file), working_dir: "/".into(), ..Sources::default() });
    let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
    let redact = redact.iter().map(|key| (*key).to_owned()).collect();
    RwLock::new(LineStyle::new(config.worker_logging, config.scheduler_logging, redact))
}

/// What the log writes of these events, in one of its formats.
fn written(json: bool, style: &RwLock<LineStyle>, events: Vec<Event>) -> String {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_000));
    let (bus, listeners) = Bus::timed(&[u32::MAX], CAPACITY, Arc::clone(&clock));
    events.into_iter().for_each(|event| bus.emit(event));
    drop(bus);
    let mut out = Vec::new();
    let builder = tracing_subscriber::fmt().with_writer(CaptureWriter).with_target(false);
    if json {
        let builder = builder.json().flatten_event(true).with_current_span(false).with_timer(JsonTimestamp { clock });
        with_default(builder.finish(), || write(&listeners[0], style, &mut out));
    } else {
        let builder = builder.with_ansi(false).event_format(TextFormat { clock });
        with_default(builder.finish(), || write(&listeners[0], style, &mut out));
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn every_event_is_there() {
    let numbers: Vec<usize> = every_event("x").iter().map(number).collect();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn names_and_values_that_could_be_read_as_more_stand_in_quotes() {
    let text = written(false, &style(&[]), every_event("x id=7 \"y\""));
    let quoted = r#""x id=7 \"y\"""#;
    for line in text.lines().filter(|line| line.contains(" job failure ")) {
        let head = format!("1970-01-01T00:00:01.000Z - info: [ worker ] job failure {quoted} ");
        assert_eq!(line.strip_prefix(&head).unwrap().matches(quoted).count(), 5, "{line}");
    }
    assert!(text.contains(" job failure "));
    let json = written(true, &style(&[]), every_event("a\u{1b}\u{202e}b"));
    let line = json.lines().find(|line| line.contains(" job failure ")).unwrap();
    assert!(line.contains(r#""queue":"a\u001b\u202eb""#), "JSON keeps the content by its own escapes: {line}");
}

/// What a strict reader of logfmt finds: `key=value` with a bare word or a JSON string, with one blank between.
fn logfmt(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once('=')?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let (value, rest) = if rest.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let value = values.next()?.ok()?;
            (value, rest.get(values.byte_offset()..)?)
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            let bare = &rest[..end];
            if bare.is_empty() || bare.contains(['"', '=']) || bare.contains(clean::is_unsafe) {
                return None;
            }
            (bare.to_owned(), &rest[end..])
        };
        if !is_key {
            return None;
        }
        fields.push((key.to_owned(), value));
        text = match rest {
            "" => "",
            rest => rest.strip_prefix(' ')?,
        };
    }
    Some(fields)
}

#[test]
fn a_line_of_output_has_its_parts_as_fields_of_json() {
    let text = "a\u{1b}[2J\u{202e}\u{7f}\t\"b\" \\ c=d";
    let json = written(true, &style(&[]), every_event(text));
    let lines: Vec<serde_json::Value> =
        json.lines().take(EVENTS - 1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let output: Vec<_> = lines.iter().filter(|line| line.get("line").is_some()).collect();
    assert_eq!(output.len(), 2, "{json}");
    for line in &output {
        assert_eq!((&line["line"], &line["task"]), (&json!(text), &json!(text)), "the content is as it was written");
    }
    assert_eq!((&output[0]["stream"], &output[0]["id"]), (&json!("stderr"), &json!(text)));
    assert_eq!((output[1].get("stream"), &output[1]["pid"]), (None, &json!(4)));
    let plain = written(false, &style(&[]), every_event("x"));
    assert!(plain.contains(" - info: [ x stderr ] x id=x\n") && plain.contains(" - info: [ x 4 ] x\n"), "{plain}");
}

/// JSON with the secret under a secret key, in an array, in an object, in a string, in a string in a string.
fn secretive(secret: &str, wraps: &[u8]) -> String {
    let value = wraps.iter().fold(json!({ "user": "u", "Pass": secret }), |inner, wrap| match wrap % 4 {
        0 => json!([1, inner]),
        1 => json!({ "a\"b": inner, "c": null }),
        2 => json!(inner.to_string()),
        _ => json!({ "text": format!("it's {inner:#}") }),
    });
    json!([value]).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_secret_leaves_in_any_event(
        wraps in proptest::collection::vec(any::<u8>(), 0..5), cut in 0.2..1.0_f64, filler in 0..1500_usize
    ) {
        let style = style(&["pass"]);
        let text = format!("{}{}", " ".repeat(filler), secretive("hunter2", &wraps));
        let part = &text[..text.floor_char_boundary((text.len() as f64 * cut) as usize)];
        for text in [&text, part] {
            for json in [false, true] {
                let written = written(json, &style, every_event(text));
                prop_assert_eq!(written.lines().count(), EVENTS);
                prop_assert!(!written.contains("hunter2"), "{text}: {written}");
            }
        }
    }

    #[test]
    fn one_event_is_one_clean_line(
        text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}\u{61c}\" =\\\\]|\n2026-01-01T00:00:00.000Z - info: x){0,40}"
    ) {
        let style = style(&[]);
        for json in [false, true] {
            let written = written(json, &style, every_event(&text));
            prop_assert!(!written.replace('\n', "").contains(clean::is_unsafe), "{written:?}");
            let lines: Vec<&str> = written.lines().collect();
            prop_assert_eq!(lines.len(), EVENTS, "{}", written);
            for line in &lines[..EVENTS - 1] {
                if json {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
                } else {
                    prop_assert!(line.starts_with("1970-01-01T00:00:01.000Z - "), "{line}");
                    // Whatever the texts are, what follows the message of a job can be read, and is what was meant.
                    let name = clean::value(&text);
                    let head = format!("[ worker ] job failure {name} ");
                    if let Some((_, fields)) = line.split_once(" - info: ").filter(|(_, rest)| rest.starts_with(&head)) {
                        let fields = logfmt(&fields[head.len()..]);
                        prop_assert!(fields.is_some(), "{line}");
                        for (key, value) in fields.unwrap_or_default() {
                            prop_assert!(["duration_ms", "error", "worker"].contains(&key.as_str()) || value == text, "{key}: {line}");
                        }
                    }
                }
            }
        }
    }
}
