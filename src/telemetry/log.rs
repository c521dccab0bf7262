//! The log: events as lines on stderr, through `tracing`, from a thread of its own.

use std::sync::{Arc, PoisonError, RwLock};

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

/// Changes the level of a log that is set up.
pub struct Dial(Box<dyn Fn(EnvFilter) + Send>);

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    /// Turns the log to another level and tells which events it wants then. The words are for whoever writes it.
    ///
    /// # Errors
    /// Says what is wrong with the level; nothing is changed then.
    pub fn turn(&self, config: &LogConfig, words: &Words) -> Result<u32, String> {
        let filter = filter(config)?;
        let interest = interest(&filter, words);
        (self.0)(filter);
        Ok(interest)
    }
}

/// Sets up the process' log and tells which events it wants.
///
/// # Errors
/// Says what is wrong with the level, which is a `tracing` filter.
pub fn init(config: &LogConfig, words: &Words, clock: Arc<dyn Clock>) -> Result<(u32, Dial), String> {
    let filter = filter(config)?;
    let interest = interest(&filter, words);
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    // Each format has a dial of another type. Set once per process; a second time (in a test) the first stands, and
    // the dial turns nothing.
    let dial: Box<dyn Fn(EnvFilter) + Send> = match config.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(false).event_format(Text { clock });
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_timer(Timestamp { clock });
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    Ok((interest, Dial(dial)))
}

fn filter(config: &LogConfig) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&config.level).map_err(|error| format!("log level {:?}: {error}", config.level))
}

fn interest(filter: &EnvFilter, words: &Words) -> u32 {
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let wanted = |kind: &&Kind| tracing_level(words.level(**kind)).is_some_and(|level| level <= most);
    KINDS.iter().filter(wanted).fold(0, |all, kind| all | kind.bit())
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

/// Writes events until every sender is gone, in the words that hold when each is written.
pub fn write(listener: &Listener, words: &RwLock<Words>) {
    while let Some(event) = listener.next() {
        let words = words.read().unwrap_or_else(PoisonError::into_inner);
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
