//! The jobs that will run: ticks of periodic tasks, occurrences of schedules and delayed jobs, in order of time.

mod coming;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use self::coming::{PutOff, delayed_to, occurrences, ticks, ticks_after};
use super::calendar::ZonedView;
use super::delayed::{SecondsWalk, TimeView};
use super::error::AdminError;
use super::job_view::JobView;
use super::waiting_clock::ClockWait;
use super::waiting_tick::{self, WaitingTick};
use crate::job::{PayloadView, TaskName};
use crate::plugin::chain::Chain;
use crate::store::effect::HALTED_S;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::periodic::Periodic;
use crate::store::role::Admin;
use crate::store::scheduling::{LastFired, read_stopped};
use crate::task::calendar::Calendar;
use crate::task::definition::Registry;
use crate::task::definition::TaskDefinition;
use crate::task::schedule::Cadence;

/// Why a job will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum PlanReason {
    /// `frequency` or `schedule` of a periodic task.
    Periodic,
    /// `[[schedule]]` of a task.
    Schedule,
    /// Somebody delayed it.
    Delayed,
    /// An attempt of a periodic task failed, and Retry runs it again.
    Retry,
}

/// A job that will run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct PlanEntry {
    /// The unix second at which it is due.
    #[serde(skip)]
    pub second: i64,
    /// When it is due.
    #[serde(flatten)]
    pub time: TimeView,
    /// The time zone of the expression that says so, and the time there.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub zoned: Option<ZonedView>,
    /// The task.
    pub task: String,
    /// The queue its job goes to.
    pub queue: String,
    /// Its arguments.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<serde_json::value::RawValue>>,
    /// Why it will run.
    pub why: PlanReason,
}

/// The jobs that will run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Plan {
    /// The entries, in order of time.
    pub plan: Vec<PlanEntry>,
    /// Are there more entries than the limit?
    pub more: bool,
    /// The periodic tasks and schedules of which nothing is due until somebody starts them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_rest: Vec<AtRest>,
    /// What waits because a clock was set back, and why; for people.
    #[serde(skip)]
    pub waiting: Vec<String>,
}

/// A periodic task or a schedule of which nothing is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct AtRest {
    /// The task, or the id of the schedule.
    pub name: String,
    /// `stopped`, or `halted` (it failed and its `re_enqueue_after_failure` is false).
    pub state: &'static str,
}

/// Lists what is due after `now_ms` and up to `until_ms`, at most `limit` entries. A frequency counts from the due time
/// in the store. While the present run of a periodic task waits for its next attempt, that is planned, and the ticks after it.
/// What is overdue counts as due now, what was written before a clock was set back as the scheduler's next
/// look moves it, and what waits for such a clock as due when the wait ends at the latest. Runs that take longer than their
/// period skip ticks; the plan cannot know that.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn plan(
    store: &Store<Admin>,
    registry: &Registry,
    now_ms: i64,
    until_ms: i64,
    limit: usize,
) -> Result<Plan, AdminError> {
    plan_where(store, registry, |_| true, (now_ms, until_ms), limit).await
}

/// The same for one task.
///
/// # Errors
/// Fails for an unknown task, and when the store cannot be reached.
pub async fn plan_task(
    store: &Store<Admin>,
    registry: &Registry,
    task: &str,
    now_ms: i64,
    until_ms: i64,
    limit: usize,
) -> Result<Plan, AdminError> {
    super::tasks::show(registry, task, now_ms)?;
    plan_where(store, registry, |name| name == task, (now_ms, until_ms), limit).await
}

/// The plan of the tasks that `wanted` selects by name.
async fn plan_where(
    store: &Store<Admin>,
    registry: &Registry,
    wanted: impl Fn(&str) -> bool,
    (now_ms, until_ms): (i64, i64),
    limit: usize,
) -> Result<Plan, AdminError> {
    let (now_s, until_s) = (now_ms.div_euclid(1000), until_ms.div_euclid(1000));
    let tasks = registry.periodic().map(|task| task.name.clone()).collect();
    let (entries, _) = store.run(Periodic { tasks, ..Periodic::default() }).await?;
    let ids = |task: &TaskDefinition| task.schedules.iter().map(|schedule| schedule.id.clone()).collect::<Vec<_>>();
    let ids: Vec<String> =
        registry.iter().filter(|task| wanted(task.name.as_str())).flat_map(|task| ids(task)).collect();
    let mut last = if ids.is_empty() { Vec::new() } else { store.run(LastFired { ids }).await? }.into_iter();
    let (mut plan, mut at_rest, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    // One more than the limit shows whether there are more.
    let most = limit.saturating_add(1);
    let periodic: Vec<_> = registry.periodic().filter(|task| wanted(task.name.as_str())).collect();
    let places: Vec<_> = periodic.iter().map(|task| (&task.name, &task.queue)).collect();
    let put_off = waiting_tick::of_tasks(store, &places).await?;
    let put_off: HashMap<&TaskName, WaitingTick> = places.into_iter().map(|(name, _)| name).zip(put_off).collect();
    // Runs that overlap may wait in the second of the next tick.
    let due_s = |task: &TaskDefinition| entries.iter().find(|entry| entry.task == task.name).map(|entry| entry.due_s);
    let shared = |task: &&Arc<TaskDefinition>| {
        let second = delayed_to(task, due_s(task).filter(|_| task.overlap)?);
        put_off.get(&task.name)?.seconds.contains(&second).then_some(second)
    };
    let shared: Vec<_> = periodic.iter().filter_map(|task| Some((&task.name, &task.queue, shared(task)?))).collect();
    let both = waiting_tick::put_off_until(store, &shared).await?;
    let both: HashSet<&TaskName> =
        shared.iter().zip(both).filter(|(_, both)| *both).map(|((name, ..), _)| *name).collect();
    for task in registry.iter().filter(|task| wanted(task.name.as_str())) {
        let entry = entries.iter().find(|entry| entry.task == task.name);
        let state = entry.and_then(|entry| match entry {
            entry if entry.stopped => Some("stopped"),
            entry => (entry.due_s == HALTED_S).then_some("halted"),
        });
        if let Some(state) = state.filter(|_| task.cadence.is_some()) {
            at_rest.push(AtRest { name: task.name.as_str().to_owned(), state });
        }
        if let Some(cadence) = task.cadence.as_ref().filter(|_| state.is_none()) {
            let last_s = entry.and_then(|entry| entry.last_s);
            let stored = (entry.map(|entry| entry.due_s), last_s);
            if let (Cadence::Calendar(_), Some(wait)) = (cadence, ClockWait::of(last_s, now_s)) {
                waiting.push(format!("periodic task {}: {}", task.name, wait.text()));
            }
            let due_s = stored.0;
            let waits = put_off
                .get(&task.name)
                .map(|waiting| PutOff::of(task, waiting, due_s, both.contains(&task.name)))
                .unwrap_or_default();
            let why = if waits.is_retry { PlanReason::Retry } else { PlanReason::Periodic };
            let beside = waits.seconds.iter().map(|second| (*second).max(now_s)).filter(|second| *second <= until_s);
            plan.extend(beside.map(|second| of_task(task, task.queue.as_str(), "[{}]", second, (why, None))));
            let seconds = match waits.until_s {
                Some(second) => ticks_after(task, cadence, due_s, second.max(now_s), until_s, most),
                None => ticks(task, cadence, stored, now_s, until_s, most),
            };
            let zone = if let Cadence::Calendar(calendar) = cadence { Some(calendar) } else { None };
            let entry = |second| of_task(task, task.queue.as_str(), "[{}]", second, (PlanReason::Periodic, zone));
            plan.extend(seconds.into_iter().map(entry));
        }
        for schedule in &task.schedules {
            let seen_s = last.next().flatten();
            if read_stopped(seen_s).0 {
                at_rest.push(AtRest { name: schedule.id.clone(), state: "stopped" });
                continue;
            }
            if let Some(wait) = ClockWait::of(seen_s, now_s) {
                waiting.push(format!("schedule {}: {}", schedule.id, wait.text()));
            }
            let seconds = occurrences(schedule, seen_s, now_s, until_s, most);
            let args = schedule.args.as_str();
            let entry = |second| {
                of_task(task, schedule.queue.as_str(), args, second, (PlanReason::Schedule, Some(&schedule.calendar)))
            };
            plan.extend(seconds.into_iter().map(entry));
        }
    }
    plan.extend(delayed(store, registry, wanted, (now_s, until_s), most).await?);
    plan.sort_by(|one, other| (one.second, one.why, &one.task).cmp(&(other.second, other.why, &other.task)));
    let more = plan.len() > limit;
    plan.truncate(limit);
    at_rest.sort_by(|one, other| one.name.cmp(&other.name));
    waiting.sort();
    Ok(Plan { plan, more, at_rest, waiting })
}

fn of_task(
    task: &TaskDefinition,
    queue: &str,
    args: &str,
    second: i64,
    (why, calendar): (PlanReason, Option<&Calendar>),
) -> PlanEntry {
    PlanEntry {
        second,
        time: TimeView::of(second),
        zoned: calendar.and_then(|calendar| ZonedView::of(calendar, second)),
        task: task.name.as_str().to_owned(),
        queue: queue.to_owned(),
        args: serde_json::value::RawValue::from_string(args.to_owned()).ok(),
        why,
    }
}

/// How many jobs of a second are read at a time.
const PAGE: i64 = 200;

/// The first `most` delayed jobs that are not ticks of a periodic task, of the tasks that `wanted` selects.
async fn delayed(
    store: &Store<Admin>,
    registry: &Registry,
    wanted: impl Fn(&str) -> bool,
    (now_s, until_s): (i64, i64),
    most: usize,
) -> Result<Vec<PlanEntry>, AdminError> {
    let (mut found, mut walk) = (Vec::new(), SecondsWalk::new(store));
    while let Some(page) = walk.next().await? {
        for due in page {
            let mut start = 0;
            loop {
                if due.due_s > until_s || found.len() >= most {
                    return Ok(found);
                }
                let list = JobList::Delayed(due.second);
                let jobs = store.run(ListJobs { list, start, stop: start + PAGE - 1 }).await?;
                found.extend(jobs.iter().filter_map(|job| of_job(job, registry, &wanted, due.due_s.max(now_s))));
                if i64::try_from(jobs.len()).unwrap_or(i64::MAX) < PAGE {
                    break;
                }
                start += PAGE;
            }
        }
    }
    Ok(found)
}

/// The entry of a delayed job, unless it is a tick or `wanted` does not select its class.
fn of_job(listed: &ListedJob, registry: &Registry, wanted: impl Fn(&str) -> bool, second: i64) -> Option<PlanEntry> {
    // A tick is never long.
    if let Some(payload) = listed.whole()
        && let Ok(view) = PayloadView::parse(payload)
        && registry.get(&view.class).is_some_and(|task| Chain::of(task).is_tick(&view))
    {
        return None;
    }
    let job = JobView::of_listed(listed);
    wanted(job.class_text()).then(|| PlanEntry {
        second,
        time: TimeView::of(second),
        zoned: None,
        task: job.class_text().to_owned(),
        queue: job.queue.clone().unwrap_or_default(),
        args: job.args,
        why: PlanReason::Delayed,
    })
}
