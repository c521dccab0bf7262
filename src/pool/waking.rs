//! Wakes the lanes as soon as there are jobs, and not before.
//!
//! A lane that found less than it asked for asks the waker. The waker looks once more and arms in the
//! same step, so that no push is missed in between; then the pool sleeps until the store tells of a change.
//! Every `timeout` the waker checks that it would be told, and after several checks it looks anyway.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::core::Core;
use crate::backoff;
use crate::event::{Event, EventKind};
use crate::store::handle::Waker;
use crate::store::wake::{ArmedState, Watch};
use crate::supervise::pulse::Pulse;

/// After how many checks that the waker would be told it looks anyway.
const CHECKS: u32 = 24;

/// How long each instance waits for the one whose turn is before it.
const TURN: Duration = Duration::from_millis(1);
/// The last turn, however many instances there are.
const MOST_TURNS: u32 = 25;

/// What the waker does, for messages.
const WATCHING: &str = "watch the queues";

/// Wakes lanes for as long as it is polled.
pub(super) async fn wake_lanes(core: Rc<Core>, pulse: Pulse) {
    let Some(waker) = core.waker.get() else { return };
    let mut futile = FutileWakes::default();
    core.hunger.ask_waker();
    loop {
        let asked = pulse.wait(async {
            tokio::select! {
                () = core.hunger.waker_asked() => {}
                () = core.hunger.arming_wanted() => {}
            }
        });
        asked.await;
        let timeout = core.settings.config().timeout;
        core.hunger.forget_announcement();
        let seen = arm(&core, waker, &pulse).await;
        core.hunger.set_polled(seen.polled);
        if core.bus.wants(EventKind::WorkerPoll) {
            core.bus.emit(Event::WorkerPoll { queues: core.queues.matching().len() });
        }
        if seen.ready {
            core.announcements.stir.tell();
        }
        if seen.ready && core.orders.accept() {
            // Jobs that are there but cannot be claimed (a key of another type) must not make this loop spin.
            if let Some(pause) = futile.judge(core.hunger.claims()) {
                pulse.wait(sleep(pause.min(timeout))).await;
            } else if core.hunger.peers() > 1 {
                // This instance took its share, or another one was faster. Idle instances come first now.
                sleep(TURN).await;
            }
        } else {
            futile.times = 0;
            if core.bus.wants(EventKind::WorkerPause) {
                core.bus.emit(Event::WorkerPause);
            }
            let stir = &core.announcements.stir;
            let complete = if seen.polled {
                None
            } else if core.queues.are_all() {
                Some(stir.completely())
            } else {
                core.queues.patterns().is_none().then(|| stir.completely_of(core.queues.matching()))
            };
            let woken = tokio::select! {
                () = waker.woken() => true,
                () = listens(&core, waker, &pulse), if !seen.polled => false,
                () = core.hunger.arming_wanted() => false,
            };
            drop(complete);
            // Nothing was told, but it is time to look.
            let woken = woken && !seen.polled;
            if woken {
                stir.tell();
            }
            let turn = if woken { turn(core.hunger.peers()) } else { 0 };
            if turn > 0 {
                sleep(TURN * turn).await;
            }
            // Announced jobs that were claimed by now are what it was woken for.
            if !woken || turn > 0 || core.hunger.has_met_announcement() {
                core.hunger.ask_waker();
                continue;
            }
        }
        // This wake answers all lanes that came short before it. The waker arms again only if one comes short after it.
        let _ = core.hunger.waker_asked().now_or_never();
        core.wake();
    }
}

/// Wakes a lane for jobs that the scheduler of this instance says are on their way, for as long as it is polled.
pub(super) async fn wake_when_announced(core: Rc<Core>, pulse: Pulse) {
    let mut announced = core.announcements.queued.subscribe();
    loop {
        pulse.wait(announced.due()).await;
        if core.orders.accept() {
            core.hunger.announced();
            core.wake();
        }
    }
}

/// Waits for as long as the waker would be told of changes.
async fn listens(core: &Core, waker: &Waker, pulse: &Pulse) {
    for _ in 0..CHECKS {
        pulse.wait(sleep(core.settings.config().timeout)).await;
        match waker.check().await {
            Ok(is_told) => {
                core.findings.answered();
                if !is_told {
                    return;
                }
            }
            Err(error) => return core.findings.failed(WATCHING, &error),
        }
        if core.bus.wants(EventKind::WorkerPoll) {
            core.bus.emit(Event::WorkerPoll { queues: core.queues.matching().len() });
        }
    }
}

/// Arms until it works, and until the queues watched are all the queues there are.
async fn arm(core: &Core, waker: &Waker, pulse: &Pulse) -> ArmedState {
    let mut attempt = 0;
    loop {
        pulse.turn();
        let (queues, patterns) = (core.queues.matching().to_vec(), core.queues.patterns());
        let poll = Some(core.settings.config().timeout);
        // Nobody can wish anything while nothing runs.
        let wishes_for = core.slots.any(|slot| slot.is_at_work()).then(|| Arc::clone(&core.instance));
        let watch = Watch { queues, patterns, names: true, poll, wishes_for, ..Watch::default() };
        match waker.arm(&watch).await {
            Ok(seen) => {
                core.findings.answered();
                core.findings.accepted(WATCHING);
                if seen.wishes {
                    // The extension reads them. Queues may come and go for so long that this is armed again and again.
                    core.lease.want_extension();
                }
                // If a queue appeared or went, the new list is watched before what was seen counts.
                let all = core.queues.found(watch.patterns.as_ref(), seen.resolved.as_deref(), &watch.queues);
                core.queues.saw_busy(&seen.busy);
                if let Some(surplus) = core.queues.surplus() {
                    core.warn(surplus);
                }
                if all {
                    return seen;
                }
            }
            Err(error) => {
                core.findings.failed(WATCHING, &error);
                let (base, cap) = (Duration::from_millis(100), Duration::from_secs(2));
                sleep(backoff::exponential(attempt, base, cap, 0.5)).await;
                attempt += 1;
            }
        }
    }
}

/// The turn of this instance when all idle ones are told of one job: with 0 it claims at once, otherwise it first looks
/// whether anything is left. It is drawn anew each time, so that work is shared.
fn turn(peers: usize) -> u32 {
    if peers < 2 {
        return 0;
    }
    // Without randomness every instance goes first, which is only slower.
    let drawn = getrandom::u32().unwrap_or(0);
    drawn % u32::try_from(peers).unwrap_or(MOST_TURNS).min(MOST_TURNS)
}

/// Counts wakes that brought nothing.
#[derive(Default)]
struct FutileWakes {
    claims: u64,
    times: u32,
}

impl FutileWakes {
    /// How long to wait before the next look, if the last ones were futile.
    fn judge(&mut self, claims: u64) -> Option<Duration> {
        self.times = if claims == self.claims { self.times + 1 } else { 0 };
        self.claims = claims;
        // Losing a race or two to other instances is usual.
        let steps = self.times.checked_sub(3)?;
        Some(backoff::exponential(steps, Duration::from_millis(10), Duration::from_secs(5), 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_there_is_no_waiting_and_among_others_all_turns_come() {
        assert!((0..100).all(|_| turn(0) == 0 && turn(1) == 0));
        let drawn: std::collections::BTreeSet<_> = (0..1000).map(|_| turn(4)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!((0..1000).all(|_| turn(usize::MAX) < MOST_TURNS));
    }

    #[test]
    fn looking_in_vain_slows_down_until_something_is_claimed() {
        let mut futile = FutileWakes::default();
        let pauses: Vec<_> = (0..5).map(|_| futile.judge(0).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [None, None, Some(10), Some(20), Some(40)]);
        assert_eq!(futile.judge(1), None);
    }
}
