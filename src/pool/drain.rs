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

/// What a drain does, and when.
struct Steps {
    /// The next one is the last.
    steps: Vec<(Instant, Stop)>,
    /// When all must be over; never if runs may take as long as they need.
    deadline: Option<Instant>,
}

impl Steps {
    /// Those of a drain that was ordered now and may take so long.
    fn of(limit: Option<Duration>, grace: Duration) -> Self {
        let Some(limit) = limit else { return Self { steps: Vec::new(), deadline: None } };
        // The time between the kill and the deadline is for reaping, settling and unregistering.
        let reserve = (grace / 4).min(Duration::from_secs(1));
        let begun = Instant::now();
        Self {
            steps: vec![(begun + limit - reserve, Stop::Kill), (begun + limit - grace, Stop::Terminate)],
            deadline: Some(begun + limit),
        }
    }

    /// What was killed now is to be settled.
    fn kill(&mut self) {
        self.steps.clear();
        let settled = Instant::now() + KILLED_SETTLE;
        self.deadline = Some(self.deadline.map_or(settled, |deadline| deadline.min(settled)));
    }

    async fn next(&mut self) -> Option<Stop> {
        match self.steps.last().map(|(at, _)| *at).or(self.deadline) {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
        self.steps.pop().map(|(_, how)| how)
    }
}

/// Lets runs end, then asks them to end, then kills them. Everything is over before the deadline. Where another instance has
/// taken over, runs have until `upgrade_timeout`, or as long as they need, unless an order to drain comes.
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
    let mut phase = control.borrow().phase.min(Phase::Drain);
    let retires = phase == Phase::Retire;
    if busy > 0 {
        let jobs = counted(busy, "job is", "jobs are");
        let text = if retires { "another daemon has taken over" } else { "draining" };
        core.bus.emit(Event::Notice { text: format!("{text}: {jobs} still running") });
    }
    let (timeout, grace) = (config.shutdown.timeout, config.shutdown.kill_grace);
    let mut steps = Steps::of(if retires { config.shutdown.upgrade_timeout } else { Some(timeout) }, grace);
    loop {
        pulse.turn();
        tokio::select! {
            biased;
            () = lanes.ended() => return Some(Ended::Clean),
            Some(now) = orders(control, phase, interrupts.heeded()), if phase < Phase::Kill => {
                interrupts.heed(core, now.kills);
                if now.phase > phase {
                    phase = now.phase;
                    if phase == Phase::Kill {
                        core.warn("killing the jobs that still run".to_owned());
                        core.slots.stop_all(Stop::Kill);
                        steps.kill();
                    } else {
                        steps = Steps::of(Some(timeout), grace);
                    }
                }
            }
            () = core.orders.died() => {}
            () = sleep(TURN) => {}
            step = steps.next() => match step {
                Some(how) => {
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
