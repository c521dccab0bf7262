//! The door for the fuzz target of the log: what the log's thread would write about events.

use std::sync::Arc;

use tracing::subscriber::with_default;

use super::capture::CaptureWriter;
use super::format::{JsonTimestamp, TextFormat};
use super::log::line;
use super::log_line::LineStyle;
use crate::clock::{Clock, ManualClock};
use crate::config::element::logging::EventLevel;
use crate::config::model::{SchedulerLogging, WorkerLogging};
use crate::event::Event;

/// The line of each event, as it is written to stderr, with all levels on.
pub(crate) fn written(events: impl IntoIterator<Item = Event>, redact: &[String], json: bool) -> Vec<String> {
    let level = EventLevel::Info;
    let worker = WorkerLogging {
        failure: level,
        retry: level,
        later: level,
        success: level,
        start: level,
        end: level,
        cleaning_worker: level,
        poll: level,
        job: level,
        pause: level,
        re_enqueue: level,
        internal_error: level,
        multi_worker_action: level,
    };
    let scheduler = SchedulerLogging {
        start: level,
        end: level,
        poll: level,
        enqueue: level,
        re_enqueue: level,
        working_timestamp: level,
        transferred_job: level,
    };
    let style = LineStyle::new(worker, scheduler, redact.to_vec());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(99_000));
    let builder = tracing_subscriber::fmt().with_writer(CaptureWriter).with_target(false).log_internal_errors(false);
    let events = events.into_iter();
    let tell = || events.map(|event| line(&style, 1_000, event).as_str().to_owned()).collect();
    if json {
        let builder = builder.json().flatten_event(true).with_current_span(false);
        with_default(builder.with_timer(JsonTimestamp { clock }).finish(), tell)
    } else {
        with_default(builder.with_ansi(false).event_format(TextFormat { clock }).finish(), tell)
    }
}
