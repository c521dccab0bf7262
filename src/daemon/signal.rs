//! Signals, turned into orders.
//!
//! TERM, INT and QUIT drain; a second of them kills what still runs. USR1 kills what runs, and work goes on. USR2 pauses,
//! CONT resumes. HUP reloads, unless we drain.

use std::io;
use std::sync::mpsc::SyncSender;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::event::{Bus, Event};
use crate::pool::{Control, Phase};

/// Listens on a thread of its own for as long as the process lives.
///
/// # Errors
/// Fails when the system takes no handlers.
pub fn listen(control: watch::Sender<Control>, bus: Bus, reload: SyncSender<()>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT])?;
    let obey = move || {
        for signal in signals.forever() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            match signal {
                SIGHUP if control.borrow().phase > Phase::Run => {
                    bus.emit(Event::Notice { text: format!("{name}: nothing is reloaded, for we are about to end") })
                }
                // Where one is asked for already, it will see what has changed until now.
                SIGHUP => drop(reload.try_send(())),
                _ => {
                    let mut orders = *control.borrow();
                    obey(&mut orders, signal);
                    if orders.phase > control.borrow().phase {
                        let text = match orders.phase {
                            Phase::Kill => format!("{name} again: stopping now"),
                            _ => format!("{name}: draining; once more stops at once"),
                        };
                        bus.emit(Event::Notice { text });
                    }
                    control.send_replace(orders);
                }
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(obey).map(drop)
}

fn obey(orders: &mut Control, signal: i32) {
    match signal {
        SIGTERM | SIGINT | SIGQUIT => {
            orders.phase = if orders.phase == Phase::Run { Phase::Drain } else { Phase::Kill };
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
}
