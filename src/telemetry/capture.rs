//! How finished lines come out of `tracing`.
//!
//! `tracing` formats an event on the thread that tells it, and hands the line to a writer there. Only the log's own thread
//! may write to stderr, which can block for ever. There the line is caught, for the log to write it; on any other thread
//! (a handler in Rust that writes to `tracing` itself) it goes to the bus, which never blocks.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{PoisonError, RwLock};

use tracing_subscriber::fmt::MakeWriter;

use crate::event::{Bus, Event};

thread_local! {
    /// The line that is being caught, on the log's thread.
    static CAUGHT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// When what is being told happened.
    static TIME: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Where lines of other threads go. Of the process, as its `tracing` subscriber is.
static OTHERS: RwLock<Option<Bus>> = RwLock::new(None);

/// Sends the lines of all other threads to this bus.
pub(super) fn carry(bus: Bus) {
    *OTHERS.write().unwrap_or_else(PoisonError::into_inner) = Some(bus);
}

/// What `tell` tells to `tracing` at this time, as finished lines; empty if its level is filtered out.
pub(super) fn catch(at_ms: Option<i64>, tell: impl FnOnce()) -> Vec<u8> {
    TIME.set(at_ms);
    CAUGHT.set(Some(Vec::new()));
    tell();
    TIME.set(None);
    CAUGHT.take().unwrap_or_default()
}

/// The time of what is being told on this thread, if it is told later than it happened.
pub(super) fn time() -> Option<i64> {
    TIME.get()
}

/// The writer that `tracing` is given.
pub(super) struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Lines {
    /// Takes one whole event, which is how `tracing-subscriber` writes. Never fails: it would complain on stderr.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let caught = CAUGHT.with_borrow_mut(|caught| caught.as_mut().map(|caught| caught.extend_from_slice(line)));
        if caught.is_none()
            && let Some(bus) = &*OTHERS.read().unwrap_or_else(PoisonError::into_inner)
        {
            bus.emit(Event::Line { text: String::from_utf8_lossy(line).trim_end().to_owned() });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
