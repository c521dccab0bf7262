//! What a panic does. It is logged through the bus.
//!
//! A panic of one of our threads or tasks ends the process at once, because nothing else does the work of that task. The
//! parent kills the children, the service manager starts the daemon again, and the start recovers the jobs. A panic of a
//! handler or a plugin fails the job and is only logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::systemd;
use crate::event::{Bus, Event, EventKind};
use crate::supervise::scope::{Scope, message, scope};
use crate::telemetry::log::{LOG_THREAD, Log};
use crate::telemetry::stderr::write_line;

/// How long the log may take to write why the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Installs the panic hook: it logs through the bus, and ends the process if the panic is ours.
pub(super) fn watch(bus: Bus, log: Log) {
    let ending = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |panic| {
        let what = describe(panic);
        let Scope::Ours(task) = scope() else {
            return bus.emit(Event::Warning { text: format!("{} panicked: {what}", culprit()) });
        };
        if ending.swap(true, Ordering::SeqCst) {
            // Another panic is ending this process already.
            loop {
                std::thread::park();
            }
        }
        let error = format!("{task} panicked: {what}; this process ends at once, and its jobs are recovered");
        if task == LOG_THREAD {
            // No thread reads the bus any more.
            systemd::status(&format!("{task} panicked"));
            write_line(&error);
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

/// What panicked, if it was none of our tasks.
fn culprit() -> String {
    match scope() {
        // The log formats lines in a guest scope.
        Scope::Guest if std::thread::current().name() == Some("log") => "formatting a log line".to_owned(),
        Scope::Guest => "a handler or plugin".to_owned(),
        _ => format!("thread {:?}", std::thread::current().name().unwrap_or("without a name")),
    }
}
