//! The log: events as lines on stderr, through `tracing`, from a thread of its own.
//!
//! That thread is the only one that waits for stderr. If stderr blocks or fails (an unread pipe, a full disk, a closed
//! pipe), senders continue. Lines that could not be written are counted, and the count is logged as soon as writing
//! works.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry, reload};

use super::capture::{self, CaptureWriter};
use super::format::{JsonTimestamp, TextFormat};
use super::log_line::{LineStyle, LogLine};
use super::stderr::{CleanLine, Sink};
use crate::clock::Clock;
use crate::config::element::logging::{self, EventLevel, LogFormat};
use crate::config::model::LogConfig;
use crate::event::{Bus, Event, EventKind, Listener, Received};
use crate::supervise::fault::strike;
use crate::supervise::scope::{contained, own_thread};

/// Every kind of event that has a level.
const KINDS: [EventKind; 24] = [
    EventKind::WorkerStart,
    EventKind::WorkerEnd,
    EventKind::WorkerPoll,
    EventKind::WorkerPause,
    EventKind::Job,
    EventKind::Success,
    EventKind::Failure,
    EventKind::Retry,
    EventKind::Later,
    EventKind::ReEnqueue,
    EventKind::CleaningWorker,
    EventKind::InternalError,
    EventKind::MultiWorkerAction,
    EventKind::SchedulerStart,
    EventKind::SchedulerEnd,
    EventKind::SchedulerPoll,
    EventKind::SchedulerEnqueue,
    EventKind::SchedulerReEnqueue,
    EventKind::WorkingTimestamp,
    EventKind::TransferredJob,
    EventKind::Output,
    EventKind::Notice,
    EventKind::Missed,
    EventKind::Warning,
];

/// The capacity of the log's event queue in bytes. Events beyond it are dropped and counted.
pub const CAPACITY: usize = 8 * 1024 * 1024;
/// By this name the log's thread is ours.
pub const LOG_THREAD: &str = "the log";
/// How often the log tries whether writing works again, and tells of lines that were dropped.
const RETRY: Duration = Duration::from_secs(1);

/// Changes the level of a log that is set up.
pub struct LevelControl(reload::Handle<Targets, registry::Registry>);

impl std::fmt::Debug for LevelControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LevelControl")
    }
}

impl LevelControl {
    /// Sets another level, and returns which events the log wants with it. The style has the level of each event.
    ///
    /// # Errors Says what is wrong with the level, which is then unchanged.
    pub fn set(&self, config: &LogConfig, style: &LineStyle) -> Result<u32, String> {
        let filter = filter(config)?;
        let interest = interest(&filter, style);
        // The log that it controlled may be gone.
        let _ = self.0.reload(filter);
        Ok(interest)
    }
}

/// Sets up the log of the process, and returns which events it wants.
///
/// # Errors
/// Says what is wrong with the level, which is a `tracing` filter.
pub fn init(config: &LogConfig, style: &LineStyle, clock: Arc<dyn Clock>) -> Result<(u32, LevelControl), String> {
    let filter = filter(config)?;
    let interest = interest(&filter, style);
    let (filter, handle) = reload::Layer::new(filter);
    let filtered = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(CaptureWriter).with_target(false).log_internal_errors(false);
    // The subscriber is set once per process. A second call (in a test) keeps the first one, and its level control has no
    // effect.
    let _ = match config.format {
        LogFormat::Text => {
            let layer = layer.with_ansi(false).event_format(TextFormat { clock });
            filtered.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_timer(JsonTimestamp { clock });
            filtered.with(layer).try_init()
        }
    };
    Ok((interest, LevelControl(handle)))
}

fn filter(config: &LogConfig) -> Result<Targets, String> {
    logging::targets(&config.level).ok_or_else(|| format!("log level {:?} is no filter", config.level))
}

/// What windlass itself tells.
const TARGET: &str = "windlass";

fn interest(filter: &Targets, style: &LineStyle) -> u32 {
    let wanted =
        |kind: &&EventKind| tracing_level(style.level(**kind)).is_some_and(|level| filter.would_enable(TARGET, &level));
    // A finished line was filtered where it was made.
    KINDS.iter().filter(wanted).fold(EventKind::FormattedLine.bit(), |all, kind| all | kind.bit())
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

/// The running log.
#[derive(Debug, Clone)]
pub struct Log {
    bus: Bus,
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl Log {
    /// The log of a bus. It does not run yet, so that its thread can be watched over when it starts.
    #[must_use]
    pub fn new(bus: &Bus) -> Self {
        Self { bus: bus.clone(), ended: Arc::default() }
    }

    /// Starts the thread that writes what this listener hears to stderr, in the style that holds when each line is
    /// written. Lines that other code of this process writes to `tracing` go to the bus.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(&self, listener: Listener, style: Arc<RwLock<LineStyle>>) -> io::Result<()> {
        // A separate descriptor, because the standard library's stderr has a lock, which a panicking thread takes.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        capture::forward_to(self.bus.clone());
        let end = Arc::clone(&self.ended);
        let run = move || {
            own_thread(LOG_THREAD);
            write(&listener, &style, stderr);
            *end.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            end.1.notify_all();
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(run).map(drop)
    }

    /// Closes the bus and waits until all events are written, for at most `patience`, because an unread stderr must not
    /// keep a process from exiting.
    pub fn close(&self, patience: Duration) {
        self.bus.close();
        let (ended, told) = &*self.ended;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        drop(told.wait_timeout_while(ended, patience, |ended| !*ended));
    }
}

/// Writes events until the bus is closed or every sender is gone, in the style that holds when each is written.
pub(super) fn write(listener: &Listener, style: &RwLock<LineStyle>, out: impl Write) {
    let (mut sink, mut dropped) = (Sink::new(out), DroppedLines::default());
    loop {
        strike(LOG_THREAD);
        let patience = if sink.is_failing() { Some(RETRY) } else { dropped.patience(Instant::now()) };
        match listener.wait(patience) {
            Received::Event(at_ms, event) => {
                let style = style.read().unwrap_or_else(PoisonError::into_inner);
                // If formatting panics, only that line is lost.
                match contained(|| line(&style, at_ms, event)) {
                    Ok(line) => drop(sink.write(&line, failed)),
                    Err(_) => sink.skip("making the line panicked"),
                }
            }
            Received::TimedOut => drop(sink.recover(failed)),
            Received::Closed => {
                sink.recover(failed);
                dropped.count += listener.take_lost();
                dropped.tell(&mut sink);
                return;
            }
        }
        dropped.count += listener.take_lost();
        if dropped.patience(Instant::now()) == Some(Duration::ZERO) {
            dropped.tell(&mut sink);
        }
    }
}

/// The events that found no room, which are told at most once a second.
#[derive(Default)]
struct DroppedLines {
    count: u64,
    told: Option<Instant>,
}

impl DroppedLines {
    /// How long to wait until they may be told, if there are any.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let next = self.told.map_or(Duration::ZERO, |told| RETRY.saturating_sub(now.saturating_duration_since(told)));
        (self.count > 0).then_some(next)
    }

    fn tell(&mut self, sink: &mut Sink<impl Write>) {
        if self.count == 0 || sink.is_failing() {
            return;
        }
        let why = "because they came faster than they could be written";
        if sink.write(&warning(format!("{} log lines were dropped {why}", self.count)), failed) {
            *self = Self { count: 0, told: Some(Instant::now()) };
        }
    }
}

/// The formatted line of an event.
pub(super) fn line(style: &LineStyle, at_ms: i64, event: Event) -> CleanLine {
    match event {
        event @ Event::FormattedLine { .. } => CleanLine::of(&style.line(&event).message),
        event => captured(Some(at_ms), style.level(event.kind()), &style.line(&event)),
    }
}

fn failed(count: u64, error: &str) -> CleanLine {
    warning(format!("{count} log lines were lost because writing the log failed: {error}"))
}

/// The formatted line of a warning from the log itself.
fn warning(message: String) -> CleanLine {
    captured(None, EventLevel::Warn, &LogLine::of(message))
}

fn captured(at_ms: Option<i64>, level: EventLevel, line: &LogLine) -> CleanLine {
    CleanLine::of(&String::from_utf8_lossy(&capture::capture(at_ms, || put(level, line))))
}

fn put(level: EventLevel, line: &LogLine) {
    let written = line.written.as_ref();
    let message: &dyn std::fmt::Display = written.map_or(&line.message, |written| written);
    // The level of a `tracing` event is part of its static metadata, hence one call for each.
    macro_rules! event {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                worker = line.worker.as_ref().map(tracing::field::display),
                class = line.class.as_ref().map(tracing::field::display),
                queue = line.queue.as_ref().map(tracing::field::display),
                args = line.args.as_ref().map(tracing::field::display),
                id = line.id.as_ref().map(tracing::field::display),
                result = line.result.as_ref().map(tracing::field::display),
                error = line.error.as_ref().map(tracing::field::display),
                why = line.why.as_ref().map(tracing::field::display),
                duration_ms = line.duration_ms,
                task = written.map(|written| tracing::field::display(&written.task)),
                stream = written.and_then(|written| written.stream),
                pid = written.and_then(|written| written.pid),
                line = written.map(|written| tracing::field::display(&written.line)),
                "{}",
                message
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing::subscriber::with_default;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::load::{Sources, load};
    use crate::event::OutputStream;
    use crate::job::TaskName;

    fn test_style() -> RwLock<LineStyle> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        std::fs::write(&file, "").unwrap();
        let config = load(&Sources { file: Some(file), working_dir: "/".into(), ..Sources::default() }).unwrap().config;
        RwLock::new(LineStyle::new(config.worker_logging, config.scheduler_logging, Vec::new()))
    }

    /// Runs the log on this thread, as it is set up for people, until the bus is closed.
    fn log_of(listener: &Listener, out: impl Write) {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(99_000));
        let subscriber =
            tracing_subscriber::fmt().with_writer(CaptureWriter).with_ansi(false).event_format(TextFormat { clock });
        with_default(subscriber.finish(), || write(listener, &test_style(), out));
    }

    /// A stderr whose writes wait for permission, and which reports each written line.
    struct Gate {
        leave: Receiver<io::Result<()>>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().map_err(io::Error::other)??;
            let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_carry_the_time_of_their_events_and_output_is_cut_at_16_kib() {
        let clock = Arc::new(ManualClock::at(1_000));
        let (bus, listeners) = Bus::timed(&[u32::MAX], CAPACITY, Arc::clone(&clock) as Arc<dyn Clock>);
        let output = |line: String| Event::Output {
            id: Arc::from("7"),
            task: TaskName::as_stored("t"),
            stream: OutputStream::Stdout,
            line,
        };
        let (kept, cut) = ("x".repeat(16 * 1024), "y".repeat(16 * 1024 + 1));
        bus.emit(output(kept.clone()));
        clock.advance(1_500);
        bus.emit(output(cut));
        bus.emit(Event::FormattedLine { text: "made elsewhere".into() });
        drop(bus);
        let mut written = Vec::new();
        log_of(&listeners[0], &mut written);
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines[0], format!("1970-01-01T00:00:01.000Z - info: [ t ] {kept} id=7"));
        assert!(lines[1].starts_with("1970-01-01T00:00:02.500Z - info: [ t ] yyyy"), "{}", &lines[1][..60]);
        assert!(lines[1].ends_with("... (16385 bytes) id=7"));
        assert_eq!(lines[2..], ["made elsewhere"]);
    }

    #[test]
    fn a_stderr_that_blocks_and_fails_holds_up_nobody_and_is_told_of_what_it_missed() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 4 * Event::WorkerPause.weight() + 100);
        let ((leave, gate), (written, lines)) = (channel(), channel());
        std::thread::scope(|scope| {
            scope.spawn(|| log_of(&listeners[0], Gate { leave: gate, written }));
            // While stderr blocks, each event is queued or dropped at once.
            for n in 0..1000 {
                bus.emit(Event::Warning { text: format!("w{n}") });
            }
            leave.send(Ok(())).unwrap();
            assert!(lines.recv().unwrap().contains("w0"));
            // Then it fails, and at last it works again.
            for _ in 0..2 {
                leave.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
            }
            for _ in 0..100 {
                let _ = leave.send(Ok(()));
            }
            bus.close();
            let began = Instant::now();
            let rest: String = lines.iter().collect();
            let notices = rest.matches("log lines were dropped").count() as u64;
            assert!(notices <= 2 + began.elapsed().as_secs(), "at most one a second: {rest}");
            assert!(rest.contains("log lines were lost because writing the log failed: no storage space"), "{rest}");
            assert!(rest.contains("log lines were dropped because they came faster"), "{rest}");
        });
    }
}
