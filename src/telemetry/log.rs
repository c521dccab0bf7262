//! The log: events as lines on stderr, through `tracing`, from a thread of its own.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::format::{Text, Timestamp};
use super::line::{Line, Words};
use crate::clock::Clock;
use crate::config::element::event_level::EventLevel;
use crate::config::element::log_format::LogFormat;
use crate::config::model::LogConfig;
use crate::event::{Kind, Listener};

/// Every kind of event.
const KINDS: [Kind; 21] = [
    Kind::WorkerStart,
    Kind::WorkerEnd,
    Kind::WorkerPoll,
    Kind::WorkerPause,
    Kind::Job,
    Kind::Success,
    Kind::Failure,
    Kind::ReEnqueue,
    Kind::CleaningWorker,
    Kind::InternalError,
    Kind::MultiWorkerAction,
    Kind::SchedulerStart,
    Kind::SchedulerEnd,
    Kind::SchedulerPoll,
    Kind::SchedulerEnqueue,
    Kind::SchedulerReEnqueue,
    Kind::WorkingTimestamp,
    Kind::TransferredJob,
    Kind::Output,
    Kind::Notice,
    Kind::Warning,
];

/// How many events may wait for the log before some are dropped (and counted).
pub const DEPTH: usize = 16 * 1024;

/// Sets up the process' log and tells which events it wants.
///
/// # Errors
/// Says what is wrong with the level, which is a `tracing` filter.
pub fn init(config: &LogConfig, words: &Words, clock: Arc<dyn Clock>) -> Result<u32, String> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| format!("log level {:?}: {error}", config.level))?;
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Set once per process; a second time (in a test) the first stands.
    let _ = match config.format {
        LogFormat::Text => builder.with_ansi(false).event_format(Text { clock }).try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_timer(Timestamp { clock }).try_init()
        }
    };
    let wanted = |kind: &&Kind| tracing_level(words.level(**kind)).is_some_and(|level| level <= most);
    Ok(KINDS.iter().filter(wanted).fold(0, |all, kind| all | kind.bit()))
}

fn tracing_level(level: EventLevel) -> Option<tracing::Level> {
    match level {
        EventLevel::Off => None,
        EventLevel::Error => Some(tracing::Level::ERROR),
        EventLevel::Warn => Some(tracing::Level::WARN),
        EventLevel::Info => Some(tracing::Level::INFO),
        EventLevel::Debug => Some(tracing::Level::DEBUG),
        EventLevel::Trace => Some(tracing::Level::TRACE),
    }
}

/// Writes events until every sender is gone.
pub fn write(listener: &Listener, words: &Words) {
    while let Some(event) = listener.next() {
        put(words.level(event.kind()), &words.line(&event));
        let lost = listener.take_lost();
        if lost > 0 {
            let message = format!("{lost} log lines were dropped, for they came faster than they could be written");
            put(EventLevel::Warn, &Line { message, ..Line::default() });
        }
    }
}

fn put(level: EventLevel, line: &Line) {
    // The level of a `tracing` event is part of its static metadata, hence one call for each.
    macro_rules! event {
        ($level:expr) => {
            tracing::event!(
                target: "windlass",
                $level,
                worker = line.worker.as_deref().map(tracing::field::display),
                class = line.class.as_deref().map(tracing::field::display),
                queue = line.queue.as_deref().map(tracing::field::display),
                args = line.args.as_deref().map(tracing::field::display),
                id = line.id.as_deref().map(tracing::field::display),
                result = line.result.as_deref().map(tracing::field::display),
                error = line.error.as_deref().map(tracing::field::display),
                why = line.why.as_deref().map(tracing::field::display),
                duration_ms = line.duration_ms,
                "{}",
                line.message
            )
        };
    }
    match level {
        EventLevel::Off => {}
        EventLevel::Error => event!(tracing::Level::ERROR),
        EventLevel::Warn => event!(tracing::Level::WARN),
        EventLevel::Info => event!(tracing::Level::INFO),
        EventLevel::Debug => event!(tracing::Level::DEBUG),
        EventLevel::Trace => event!(tracing::Level::TRACE),
    }
}
