//! Checks whether all long-lived tasks turn, names those that do not, and feeds systemd's watchdog while all do.
//!
//! It has a thread of its own, so that it also detects a core that hangs.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::time::Instant;

use super::systemd;
use crate::event::{Bus, Event};
use crate::supervise::pulse::{Observer, Pulses};
use crate::supervise::scope::own_thread;

/// How often it checks, unless systemd's watchdog asks for more.
const LOOK: Duration = Duration::from_secs(10);

/// A running watchdog. Dropping it ends the watchdog.
pub(super) struct Watchdog {
    _alive: Sender<()>,
}

/// Starts the watchdog.
pub(super) fn start(pulses: Pulses, bus: Bus) -> io::Result<Watchdog> {
    let (alive, end) = channel();
    let period = systemd::patience().map_or(LOOK, |patience| (patience / 2).min(LOOK));
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        own_thread("watchdog");
        let mut observer = Observer::default();
        let mut named: Vec<&'static str> = Vec::new();
        while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(period) {
            let look = observer.look(&pulses, Instant::now(), period * 2);
            for name in look.recovered {
                bus.emit(Event::Warning { text: format!("{name} goes on") });
            }
            named.retain(|name| look.stalled.iter().any(|(stalled, _)| stalled == name));
            for (name, still) in &look.stalled {
                if !named.contains(name) {
                    named.push(name);
                    bus.emit(Event::InternalError { error: hung(name, *still) });
                    systemd::status(&format!("{name} hangs"));
                }
            }
            if look.stalled.is_empty() {
                systemd::alive();
            }
        }
    })?;
    Ok(Watchdog { _alive: alive })
}

fn hung(name: &str, still: Duration) -> String {
    let still = humantime::format_duration(Duration::from_secs(still.as_secs()));
    format!("{name} has not turned for {still} and seems to hang; if it does not go on, restart this instance")
}
