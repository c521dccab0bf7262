//! Captures the lines that `tracing` formats.
//!
//! `tracing` formats an event on the thread that emits it, and passes the line to a writer there. Only the log's own
//! thread may write to stderr, which can block for ever. On that thread the line is captured, and the log writes it. On
//! any other thread (a handler in Rust that uses `tracing`) the line is sent to the bus, which never blocks.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{PoisonError, RwLock};

use tracing_subscriber::fmt::MakeWriter;

use crate::event::{Bus, Event};

thread_local! {
    /// The line that is being captured, on the log's thread.
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// The time of the event that is being formatted.
    static EVENT_TIME: Cell<Option<i64>> = const { Cell::new(None) };
}

/// The bus for lines of other threads. It is global, like the `tracing` subscriber.
static FORWARD_BUS: RwLock<Option<Bus>> = RwLock::new(None);

/// Sends the lines of all other threads to this bus.
pub(super) fn forward_to(bus: Bus) {
    *FORWARD_BUS.write().unwrap_or_else(PoisonError::into_inner) = Some(bus);
}

/// The lines that `tell` writes to `tracing`, with this time; empty if the level is filtered out.
pub(super) fn capture(at_ms: Option<i64>, tell: impl FnOnce()) -> Vec<u8> {
    EVENT_TIME.set(at_ms);
    CAPTURED.set(Some(Vec::new()));
    tell();
    EVENT_TIME.set(None);
    CAPTURED.take().unwrap_or_default()
}

/// The time of the event that this thread formats, if it is not the present.
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
    /// Takes one whole event, which is how `tracing-subscriber` writes. Never fails, because `tracing-subscriber` would
    /// report an error on stderr.
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
