//! Schedules that enqueue tasks with arguments, once for each occurrence.
//!
//! The leader of the duties enqueues. The other instances enqueue some seconds later, for schedules that the leader
//! does not know. The store decides which instance is first, so that no occurrence is enqueued twice. Occurrences are
//! judged by the store's time, so that a machine whose clock is ahead does not enqueue early for all. All occurrences
//! of the last minute are enqueued. Of older ones, which no instance enqueued in time, only the last is enqueued,
//! unless it is older than the schedule's `missed_max_age`. While the last occurrence lies ahead, the schedule waits
//! ([`super::set_back`]).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::failures::Bulkheads;
use super::set_back::{Judgement, PATIENCE};
use super::{Failing, SchedulerContext, sleep_or_reload};
use crate::event::Event;
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::outage::Asker;
use crate::store::path::Path;
use crate::store::queueing::{Enqueue, Enqueued};
use crate::store::scheduling::{Fire, Fired, LastFired, ReadTime, read_stopped};
use crate::supervise::pulse::LONGEST;
use crate::task::definition::TaskDefinition;
use crate::task::schedule::{JobSchedule, scheduled_at};

/// How many seconds the other instances wait for the leader.
const FOLLOWER_DELAY_S: i64 = 10;
/// The longest sleep, because the tasks and the leader may change.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Enqueues until `stop` is true. `leads` tells whether this instance leads the duties.
pub async fn run(context: SchedulerContext, leads: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = run_forever(&context, &leads) => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
}

async fn run_forever(context: &SchedulerContext, leads: &watch::Receiver<bool>) {
    let mut failing = Failing::new(Asker::Schedules, "the schedules");
    let mut bulkheads = Bulkheads::default();
    let mut config = context.config.clone();
    let pulse = context.pulses.begin("scheduler cron", LONGEST);
    loop {
        pulse.turn();
        // The duties decide the leader, so that an instance that fails at them does not hold up the others here.
        let leads = *leads.borrow();
        let wait = match run_once(context, &mut bulkheads, leads).await {
            Ok(next) => {
                failing.worked(context);
                next.map_or(LONGEST_SLEEP, |next| next.wait.saturating_sub(next.told.elapsed()))
            }
            Err(error) => {
                failing.failed(context, &error);
                error.longest_wait()
            }
        };
        sleep_or_reload(&mut config, wait.min(LONGEST_SLEEP)).await;
    }
}

/// When an occurrence is due next.
#[derive(Debug, Clone, Copy)]
pub struct NextLook {
    /// When the store told its time. What is enqueued after that takes long over a long path.
    told: Instant,
    /// How long after that the occurrence is due.
    pub wait: Duration,
}

/// Enqueues what is due by the store's time, and returns when the next occurrence is due, if there is one.
///
/// # Errors
/// Fails when the store cannot be reached; the call may be repeated.
pub async fn run_once(
    context: &SchedulerContext,
    bulkheads: &mut Bulkheads,
    leads: bool,
) -> Result<Option<NextLook>, StoreError> {
    let registry = context.registry();
    let all: Vec<(&TaskDefinition, &JobSchedule)> =
        registry.iter().flat_map(|task| task.schedules.iter().map(|schedule| (&**task, schedule))).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let ids: Vec<String> = all.iter().map(|(_, schedule)| schedule.id.clone()).collect();
    // The time is read last: then an occurrence that lies ahead of it was written by another time.
    let last = context.store.run(LastFired { ids }).await?;
    let asked = Instant::now();
    let now_ms = context.store.run(ReadTime).await?;
    let told = asked + asked.elapsed() / 2;
    let mut path = Path::default();
    path.note(asked.elapsed());
    let now_s = now_ms.div_euclid(1000);
    context.set_back.look(now_s);
    let mut next_s: Option<i64> = None;
    for ((task, schedule), seen_s) in all.into_iter().zip(last) {
        if read_stopped(seen_s).0 {
            continue;
        }
        let until_s = if leads || seen_s.is_none() { now_s } else { now_s - FOLLOWER_DELAY_S };
        let what = format!("schedule {}", schedule.id);
        if bulkheads.may_try(&what) {
            let is_ahead = |seen_s: &i64| {
                JobSchedule::is_ahead(*seen_s, now_s) || *seen_s > now_s && context.set_back.goes_on(&what)
            };
            let from_s = match seen_s.filter(is_ahead) {
                Some(ahead_s) => goes_on_from(context, schedule, ahead_s, now_s),
                None => {
                    context.set_back.forget(&what);
                    Some(seen_s)
                }
            };
            let result = match from_s {
                Some(from_s) => enqueue_due(context, &path, (task, schedule), (seen_s, from_s), until_s).await,
                None => Ok(()),
            };
            bulkheads.note(&context.bus, &what, result)?;
        }
        next_s = next_s.into_iter().chain(schedule.calendar.after(now_s)).min();
    }
    let wait_ms = next_s.map(|next_s| next_s.saturating_mul(1000).saturating_sub(now_ms).max(20));
    let wait = wait_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    Ok(wait.map(|wait| NextLook { told, wait }))
}

/// From when on a schedule goes on whose last occurrence lies ahead, if it does.
fn goes_on_from(context: &SchedulerContext, schedule: &JobSchedule, ahead_s: i64, now_s: i64) -> Option<Option<i64>> {
    let what = format!("schedule {}", schedule.id);
    match context.set_back.judge(&what, ahead_s, now_s) {
        Judgement::Waits(true) => {
            context.bus.emit(Event::Warning { text: waiting_text(&what, ahead_s, now_s) });
            None
        }
        Judgement::Waits(false) => None,
        Judgement::GoesOn(from_s) => Some(Some(from_s)),
    }
}

/// What is said when a task begins to wait for its last occurrence to pass.
pub(super) fn waiting_text(what: &str, ahead_s: i64, now_s: i64) -> String {
    let (ahead, now) = (scheduled_at(ahead_s), scheduled_at(now_s));
    let minutes = PATIENCE.as_secs() / 60;
    format!(
        "{what} ran for {ahead}, but it is only {now}, because a clock was set back; it waits, so that nothing runs twice. If \
         the clock still shows such a time in {minutes} minutes, it goes on by that time"
    )
}

/// Enqueues the occurrences of a schedule after one second up to another. `seen_s` is the last one in the store.
async fn enqueue_due(
    context: &SchedulerContext,
    path: &Path,
    (task, schedule): (&TaskDefinition, &JobSchedule),
    (mut seen_s, from_s): (Option<i64>, Option<i64>),
    until_s: i64,
) -> Result<(), StoreError> {
    for (occurrence, runs) in schedule.due(from_s, until_s) {
        let job = runs.then(|| Enqueue {
            queue: schedule.queue.clone(),
            payload: schedule.payload(&task.name, occurrence),
            front: false,
            admissions: Chain::of(task).admissions(&schedule.queue, &schedule.args),
        });
        let fire = Fire { id: schedule.id.clone(), seen_s, last_s: occurrence, job };
        if runs {
            context.announcements.queued.announce(path);
        }
        match context.store.run(fire).await? {
            Fired::No => return Ok(()),
            Fired::Yes(enqueued) if seen_s.is_some() => tell(context, task, schedule, occurrence, runs, &enqueued),
            Fired::Yes(_) => {}
        }
        seen_s = Some(occurrence);
    }
    Ok(())
}

fn tell(
    context: &SchedulerContext,
    task: &TaskDefinition,
    schedule: &JobSchedule,
    occurrence: i64,
    runs: bool,
    enqueued: &Enqueued,
) {
    let at = scheduled_at(occurrence);
    context.bus.emit(match enqueued {
        Enqueued::Yes if runs => Event::SchedulerEnqueue {
            task: task.name.clone(),
            queue: schedule.queue.clone(),
            why: "its schedule says so",
        },
        Enqueued::Yes => {
            let text = format!("schedule {} skips {at}: it was missed, and is too old now", schedule.id);
            Event::Missed { task: task.name.clone(), text }
        }
        Enqueued::Refused { plugin } => {
            Event::Notice { text: format!("schedule {} enqueued nothing for {at}: {plugin} refused", schedule.id) }
        }
    });
}
