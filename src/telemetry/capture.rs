//! How finished lines come out of `tracing`.
//!
//! `tracing` formats an event on the thread that tells it, and hands the line to a writer there. Only the log's own thread
//! may write to stderr, which can block for ever. There the line is captured, for the log to write it; on any other thread
//! (a handler in Rust that writes to `tracing` itself) it goes to the bus, which never blocks.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{PoisonError, RwLock};

use tracing_subscriber::fmt::MakeWriter;

use crate::event::{Bus, Event};

thread_local! {
    /// The line that is being captured, on the log's thread.
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// When what is being told happened.
    static EVENT_TIME: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Where lines of other threads go. Of the process, as its `tracing` subscriber is.
static FORWARD_BUS: RwLock<Option<Bus>> = RwLock::new(None);

/// Sends the lines of all other threads to this bus.
pub(super) fn forward_to(bus: Bus) {
    *FORWARD_BUS.write().unwrap_or_else(PoisonError::into_inner) = Some(bus);
}

/// What `tell` tells to `tracing` at this time, as finished lines; empty if its level is filtered out.
pub(super) fn capture(at_ms: Option<i64>, tell: impl FnOnce()) -> Vec<u8> {
    EVENT_TIME.set(at_ms);
    CAPTURED.set(Some(Vec::new()));
    tell();
    EVENT_TIME.set(None);
    CAPTURED.take().unwrap_or_default()
}

/// The time of what is being told on this thread, if it is told later than it happened.
pub(super) fn event_time() -> Option<i64> {
    EVENT_TIME.get()
}

/// The writer that `tracing` is given.
pub(super) struct CaptureWriter;

impl<'a> MakeWriter<'a> for CaptureWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for CaptureWriter {
    /// Takes one whole event, which is how `tracing-subscriber` writes. Never fails: it would complain on stderr.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let captured =
            CAPTURED.with_borrow_mut(|captured| captured.as_mut().map(|captured| captured.extend_from_slice(line)));
        if captured.is_none()
            && let Some(bus) = &*FORWARD_BUS.read().unwrap_or_else(PoisonError::into_inner)
        {
            bus.emit(Event::FormattedLine { text: String::from_utf8_lossy(line).trim_end().to_owned() });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
