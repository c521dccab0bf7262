//! Turns signals into orders.
//!
//! TERM, INT and QUIT drain; a second one kills what still runs. Copies of one wish count once ([`wishes`](super::wishes)). USR1 kills what runs, and the daemon continues. USR2
//! pauses. CONT resumes, except one that ends a stop of this process. HUP reloads, unless the daemon drains.

use std::io;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use tokio::sync::watch;
use tokio::time::Instant;

use super::stops::Stops;
use super::supervisor;
use super::wishes::{Sender, Wishes};
use crate::event::{Bus, Event};
use crate::pool::{Control, Phase, Work};
use crate::supervise::scope::own_thread;
use crate::telemetry::log::Log;

/// How long after `shutdown.timeout` the process of an unfinished drain is ended. Resigning, unregistering, and ending
/// the handlers' runtime and the log take part of that time.
const AFTER_DRAIN: Duration = Duration::from_secs(6);
/// How long a stop at once may take.
const AT_ONCE: Duration = Duration::from_secs(9);

/// Ends this process if it was told to end and does not.
pub(super) struct LastResort {
    pub(super) work: watch::Receiver<Work>,
    pub(super) bus: Bus,
    pub(super) log: Log,
}

impl LastResort {
    /// Starts the countdown.
    fn begin(&self, phase: Phase) -> io::Result<()> {
        let drain = self.work.borrow().config.shutdown.timeout + AFTER_DRAIN;
        let patience = if phase == Phase::Kill { AT_ONCE } else { drain };
        let (bus, log) = (self.bus.clone(), self.log.clone());
        let end = move || {
            own_thread("the last resort");
            std::thread::sleep(patience);
            let error = "the end of this process took too long; it ends now, and what is left of its jobs is recovered";
            bus.emit(Event::InternalError { error: error.to_owned() });
            log.close(Duration::from_secs(1));
            // The parent kills what is left of us.
            std::process::exit(1);
        };
        std::thread::Builder::new().name("last-resort".to_owned()).spawn(end).map(drop)
    }
}

/// Listens on a thread of its own for as long as the process lives.
///
/// # Errors
/// Fails when the system takes no handlers.
pub(super) fn listen(
    control: watch::Sender<Control>,
    bus: Bus,
    reload: SyncSender<()>,
    last: LastResort,
) -> io::Result<()> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT])?;
    let obey = move || {
        own_thread("the signals");
        let mut stops = Stops::default();
        let mut wishes = Wishes::default();
        for Origin { signal, process, .. } in &mut signals {
            let is_repeatable = matches!(signal, SIGTERM | SIGINT | SIGQUIT | SIGUSR1);
            let by_parent = process.is_some_and(|process| supervisor::is_our_parent(process.pid));
            let sender = if by_parent { Sender::Parent } else { Sender::Other };
            if is_repeatable && !wishes.is_new(signal, sender, Instant::now()) {
                continue;
            }
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            match signal {
                SIGHUP if control.borrow().phase > Phase::Run => {
                    bus.emit(Event::Notice { text: format!("{name}: nothing is reloaded, because this daemon drains") })
                }
                // If a reload is already waiting, it will also read what has changed until now.
                SIGHUP => drop(reload.try_send(())),
                SIGCONT if control.borrow().paused && stops.just_ended() => {
                    let text = format!("{name} after a stop: still paused; {name} again resumes");
                    bus.emit(Event::Notice { text });
                }
                _ => {
                    if signal == SIGUSR2
                        && let Err(error) = stops.watch()
                    {
                        let text = format!("any SIGCONT ends this pause, even one after a stop: {error}");
                        bus.emit(Event::Warning { text });
                    }
                    let before = control.borrow().phase;
                    // Another daemon may take over in this moment, and orders it as well.
                    control.send_modify(|orders| obey(orders, signal));
                    let orders = *control.borrow();
                    if orders.phase > before && orders.phase > Phase::Retire {
                        let text = match orders.phase {
                            Phase::Kill => format!("{name} again: stopping now"),
                            _ => format!("{name}: draining; once more stops at once"),
                        };
                        bus.emit(Event::Notice { text });
                        if let Err(error) = last.begin(orders.phase) {
                            let text = format!("the time limit of the shutdown is not enforced: {error}");
                            bus.emit(Event::Warning { text });
                        }
                    }
                }
            }
        }
        panic!("no more signals come");
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(obey).map(drop)
}

fn obey(orders: &mut Control, signal: i32) {
    match signal {
        SIGTERM | SIGINT | SIGQUIT => {
            orders.phase = if orders.phase < Phase::Drain { Phase::Drain } else { Phase::Kill };
        }
        SIGUSR1 => orders.kills = orders.kills.wrapping_add(1),
        SIGUSR2 => orders.paused = true,
        SIGCONT => orders.paused = false,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_kills() {
        let mut orders = Control::default();
        obey(&mut orders, SIGUSR2);
        assert!(orders.paused);
        obey(&mut orders, SIGCONT);
        assert_eq!(orders, Control::default());
        obey(&mut orders, SIGUSR1);
        assert_eq!((orders.phase, orders.kills), (Phase::Run, 1));
        obey(&mut orders, SIGINT);
        assert_eq!(orders.phase, Phase::Drain);
        obey(&mut orders, SIGTERM);
        assert_eq!(orders.phase, Phase::Kill);
    }

    #[test]
    fn a_daemon_that_was_replaced_is_drained_by_the_first_signal() {
        let mut orders = Control { phase: Phase::Retire, ..Control::default() };
        obey(&mut orders, SIGTERM);
        assert_eq!(orders.phase, Phase::Drain);
    }
}
