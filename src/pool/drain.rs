//! How a life of the pool ends: with a drain, or with runs whose claims were lost. Both obey signals and have a deadline.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::control::{Control, Ended, Phase};
use super::core::Core;
use super::interrupt::Interrupts;
use super::tasks::Tasks;
use crate::event::Event;
use crate::handler::contract::Stop;
use crate::store::instance::Halt;
use crate::supervise::pulse::{Pulse, TURN};
use crate::text::count::counted;

/// How long a second signal waits for what it killed to be settled.
const KILLED_SETTLE: Duration = Duration::from_secs(3);
/// How long the pool waits for runs whose claims were lost and which were killed.
const LOST_RUNS: Duration = Duration::from_secs(10);
/// How long it waits for them if the process is to end.
const LOST_RUNS_AT_LAST: Duration = Duration::from_secs(1);

/// Waits for the runs of an instance that was declared dead, which were killed. `None` if the instance may begin anew: a
/// run that has not ended by then is left behind. If an order to end comes, the wait is short.
pub(super) async fn end_lost_runs(
    core: &Rc<Core>,
    lanes: &mut Tasks,
    control: &mut watch::Receiver<Control>,
    interrupts: &mut Interrupts,
) -> Option<Ended> {
    let mut deadline = Instant::now() + LOST_RUNS;
    let mut phase = Phase::Run;
    loop {
        tokio::select! {
            biased;
            () = lanes.ended() => return (phase > Phase::Run).then_some(Ended::Clean),
            () = sleep_until(deadline) => break,
            Some(now) = orders(control, phase, interrupts.heeded()) => {
                interrupts.heed(core, now.kills);
                core.slots.stop_all(Stop::Kill);
                if now.phase > phase {
                    phase = now.phase;
                    let patience = if phase == Phase::Kill { Duration::ZERO } else { LOST_RUNS_AT_LAST };
                    deadline = deadline.min(Instant::now() + patience);
                }
            }
        }
    }
    let (_, busy) = core.slots.census();
    core.warn(format!(
        "{} left behind; nothing more is recorded",
        counted(
            busy,
            "run whose claim was lost has not ended and is",
            "runs whose claims were lost have not ended and are"
        )
    ));
    (phase > Phase::Run).then_some(Ended::Unsettled)
}

/// Lets runs end, then asks them to end, then kills them. Everything is over before the deadline.
pub(super) async fn drain(
    core: &Rc<Core>,
    lanes: &mut Tasks,
    control: &mut watch::Receiver<Control>,
    interrupts: &mut Interrupts,
    pulse: &Pulse,
) -> Option<Ended> {
    let config = core.settings.config();
    core.orders.drain();
    core.lease.change_record(|record| record.halt = Some(Halt::Draining));
    core.hunger.notify_all();
    let (_, busy) = core.slots.census();
    if busy > 0 {
        core.bus
            .emit(Event::Notice { text: format!("draining: {} still running", counted(busy, "job is", "jobs are")) });
    }
    let (timeout, grace) = (config.shutdown.timeout, config.shutdown.kill_grace);
    // The time between the kill and the deadline is for reaping, settling and unregistering.
    let reserve = (grace / 4).min(Duration::from_secs(1));
    let begun = Instant::now();
    let mut deadline = begun + timeout;
    let mut steps = vec![(begun + timeout - reserve, Stop::Kill), (begun + timeout - grace, Stop::Terminate)];
    loop {
        pulse.turn();
        let next = steps.last().map_or(deadline, |(at, _)| *at);
        tokio::select! {
            biased;
            () = lanes.ended() => return Some(Ended::Clean),
            Some(now) = orders(control, Phase::Drain, interrupts.heeded()), if !steps.is_empty() => {
                interrupts.heed(core, now.kills);
                if now.phase == Phase::Kill {
                    core.warn("killing the jobs that still run".to_owned());
                    core.slots.stop_all(Stop::Kill);
                    steps.clear();
                    deadline = deadline.min(Instant::now() + KILLED_SETTLE);
                }
            }
            () = core.orders.died() => {}
            () = sleep(TURN) => {}
            () = sleep_until(next) => match steps.pop() {
                Some((_, how)) => {
                    let (_, busy) = core.slots.census();
                    core.warn(late(busy, how));
                    core.slots.stop_all(how);
                }
                None => {
                    core.warn("the deadline of the drain is over; what is unsettled stays on record".to_owned());
                    return Some(Ended::Unsettled);
                }
            },
        }
    }
}

/// What is told when a drain takes too long, of so many jobs that run.
fn late(busy: usize, how: Stop) -> String {
    let verb = if how == Stop::Kill { "killed" } else { "asked to end" };
    match busy {
        // All have ended: how they ended is not in the store yet.
        0 => "the drain takes too long: no job runs any more, and the store has not taken the end of all".to_owned(),
        busy => format!("the drain takes too long: {} {verb}", counted(busy, "job is", "jobs are")),
    }
}

/// Orders that are more urgent than those that were obeyed. `None` if none can come any more.
async fn orders(control: &mut watch::Receiver<Control>, phase: Phase, heeded: u32) -> Option<Control> {
    control.wait_for(|now| now.phase > phase || now.kills != heeded).await.ok().map(|now| *now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_waits_for_the_store_alone_asks_no_job_to_end() {
        assert!(late(0, Stop::Terminate).contains("the store has not taken the end of all"));
        assert!(late(1, Stop::Terminate).ends_with("1 job is asked to end"));
        assert!(late(2, Stop::Kill).ends_with("2 jobs are killed"));
    }
}
