//! What a panic means, told through the bus.
//!
//! On a thread or in a task of ours nobody would do any more what it did: the process ends at once. The parent kills the
//! children, the service manager starts it again, and the start recovers the jobs. A panic of a handler or a plugin is
//! the job's failure, and is only told.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::systemd;
use crate::event::{Bus, Event, EventKind};
use crate::supervise::scope::{Scope, message, scope};
use crate::telemetry::log::{LOG_THREAD, Log};
use crate::telemetry::stderr::write_line;

/// How long the log may take to write the reason.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// From now on panics of this process are told through the bus, and those of ours end it.
pub(super) fn watch(bus: Bus, log: Log) {
    let ending = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |panic| {
        let what = describe(panic);
        let Scope::Ours(task) = scope() else {
            return bus.emit(Event::Warning { text: format!("{} panicked: {what}", culprit()) });
        };
        if ending.swap(true, Ordering::SeqCst) {
            // Another one was faster, and this process is about to end.
            loop {
                std::thread::park();
            }
        }
        let error = format!("{task} panicked: {what}; this process ends at once, and its jobs are recovered");
        if task == LOG_THREAD {
            // Nobody is left who could write what the bus is told.
            write_line(&error);
            systemd::status(&format!("{task} panicked"));
            std::process::abort();
        }
        if bus.wants(EventKind::InternalError) {
            bus.emit(Event::InternalError { error });
        } else {
            bus.emit(Event::Warning { text: error });
        }
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            trace.to_string().lines().for_each(|line| bus.emit(Event::Notice { text: line.to_owned() }));
        }
        systemd::status(&format!("{task} panicked"));
        log.close(LAST_WORDS);
        std::process::abort();
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    format!("{}{place}", message(panic.payload()))
}

/// Who panicked, where it was none of our tasks.
fn culprit() -> String {
    match scope() {
        // The log contains what it does with a line that is not its own.
        Scope::Guest if std::thread::current().name() == Some("log") => "formatting a log line".to_owned(),
        Scope::Guest => "a handler or plugin".to_owned(),
        _ => format!("thread {:?}", std::thread::current().name().unwrap_or("without a name")),
    }
}
