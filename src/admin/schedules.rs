//! The `[[schedule]]` entries of tasks: show them; stop, start and run one.
//!
//! A stopped entry has an occurrence that never comes as its last one, so that nothing is due after it, on no instance and
//! over restarts.

use serde::Serialize;

use super::calendar::ZonedView;
use super::delayed::TimeView;
use super::error::AdminError;
use super::runs::{self, PastRunView};
use super::waiting_clock::ClockWait;
use crate::client::request::nearest;
use crate::plugin::chain::Chain;
use crate::store::handle::Store;
use crate::store::queueing::{Enqueue, EnqueueBatch, Enqueued};
use crate::store::role::Admin;
use crate::store::runs::RunList;
use crate::store::scheduling::{Fire, Fired, LastFired, ReadTime, read_stopped, stopped_after};
use crate::task::definition::{Registry, TaskDefinition};
use crate::task::schedule::JobSchedule;

/// How often a change is tried that others were faster at.
const ATTEMPTS: usize = 5;

/// A `[[schedule]]` of a task.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ScheduleView {
    /// Its id: the task's name with the name of the schedule.
    pub id: String,
    /// The task.
    pub task: String,
    /// Where its jobs go.
    pub queue: String,
    /// Their arguments.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<serde_json::value::RawValue>>,
    /// The cron expression.
    pub schedule: String,
    /// Its time zone.
    pub time_zone: String,
    /// `scheduled`, `stopped`, or `new` (no scheduler has seen it yet).
    pub state: &'static str,
    /// The last occurrence that was enqueued, skipped or refused. `None`: there was none yet.
    pub last: Option<TimeView>,
    /// The last run of its jobs that has ended, if its task keeps runs.
    pub last_run: Option<PastRunView>,
    /// What stands in its place and cannot be read.
    #[serde(skip)]
    pub unreadable: Option<String>,
    /// When it is due next.
    pub due: Option<TimeView>,
    /// The same in the zone of the expression: RFC 3339.
    pub due_in_zone: Option<String>,
    /// The same for people.
    #[serde(skip)]
    pub zoned: Option<ZonedView>,
    /// Why it waits, if a clock was set back; for people.
    #[serde(skip)]
    pub waits: Option<String>,
}

/// What came of running one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[non_exhaustive]
pub enum ScheduleRun {
    /// Its job is on its queue.
    Enqueued,
    /// A plugin of the task refused it.
    Refused {
        /// The plugin.
        refused_by: String,
    },
}

/// A schedule with its task.
#[derive(Debug, Clone, Copy)]
pub struct OfTask<'r> {
    task: &'r TaskDefinition,
    schedule: &'r JobSchedule,
}

impl OfTask<'_> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.schedule.id
    }
}

/// All schedules, in order of their ids, each with its last run.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, registry: &Registry) -> Result<Vec<ScheduleView>, AdminError> {
    let mut views = states(store, registry, None).await?;
    let lists = views.iter().map(|view| RunList::Schedule(view.id.clone())).collect();
    for (view, (last_run, unreadable)) in views.iter_mut().zip(runs::last(store, lists).await?) {
        (view.last_run, view.unreadable) = (last_run, unreadable);
    }
    Ok(views)
}

/// The same without their last runs; one of them, or those of one task, if that is wanted.
pub(super) async fn states(
    store: &Store<Admin>,
    registry: &Registry,
    wanted: Option<&str>,
) -> Result<Vec<ScheduleView>, AdminError> {
    let is_wanted =
        |one: &OfTask<'_>| wanted.is_none_or(|wanted| wanted == one.schedule.id || wanted == one.task.name.as_str());
    let all: Vec<OfTask<'_>> = each(registry).filter(is_wanted).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let ids = all.iter().map(|one| one.schedule.id.clone()).collect();
    let last = store.run(LastFired { ids }).await?;
    let now_s = store.run(ReadTime).await?.div_euclid(1000);
    let mut views: Vec<_> = all.iter().zip(last).map(|(one, last_s)| view(*one, last_s, now_s)).collect();
    views.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(views)
}

fn each(registry: &Registry) -> impl Iterator<Item = OfTask<'_>> {
    registry.iter().flat_map(|task| task.schedules.iter().map(move |schedule| OfTask { task, schedule }))
}

fn view(OfTask { task, schedule }: OfTask<'_>, last_s: Option<i64>, now_s: i64) -> ScheduleView {
    let calendar = &schedule.calendar;
    let (is_stopped, last_s) = read_stopped(last_s);
    let state = match last_s {
        _ if is_stopped => "stopped",
        Some(_) => "scheduled",
        None => "new",
    };
    let wait = ClockWait::of(last_s.filter(|_| !is_stopped), now_s);
    let due_s = match wait {
        _ if is_stopped => None,
        Some(wait) => wait.next_s(calendar),
        None => calendar.after(last_s.unwrap_or(now_s).max(now_s)),
    };
    // A schedule begins at the second in which it is first seen, which is mostly no occurrence.
    let last_s = last_s.filter(|last_s| calendar.latest(*last_s) == Some(*last_s));
    let zoned = due_s.and_then(|due_s| ZonedView::of(calendar, due_s));
    ScheduleView {
        id: schedule.id.clone(),
        task: task.name.as_str().to_owned(),
        queue: schedule.queue.as_str().to_owned(),
        args: serde_json::value::RawValue::from_string(schedule.args.as_str().to_owned()).ok(),
        schedule: calendar.expression().to_owned(),
        time_zone: calendar.zone().to_owned(),
        state,
        last: last_s.map(TimeView::of),
        last_run: None,
        unreadable: None,
        waits: wait.map(ClockWait::text),
        due: due_s.map(TimeView::of),
        due_in_zone: zoned.as_ref().map(|zoned| zoned.at_in_zone.clone()),
        zoned,
    }
}

/// The schedule of this id, or the only one of this task; `None` if the name is of neither.
///
/// # Errors
/// Fails if the task has several.
pub fn find<'r>(registry: &'r Registry, name: &str) -> Result<Option<OfTask<'r>>, AdminError> {
    if let Some(found) = each(registry).find(|one| one.schedule.id == name) {
        return Ok(Some(found));
    }
    let of_task: Vec<_> = each(registry).filter(|one| one.task.name.as_str() == name).collect();
    match of_task[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let mut candidates: Vec<_> = of_task.iter().map(|one| one.schedule.id.clone()).collect();
            candidates.sort_unstable();
            Err(AdminError::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

/// The schedule that a name is of, unless it is that of a periodic task.
///
/// # Errors
/// Fails if the task has several.
pub fn unless_periodic<'r>(registry: &'r Registry, name: &str) -> Result<Option<OfTask<'r>>, AdminError> {
    if registry.get(name).is_some_and(|task| task.cadence.is_some()) {
        return Ok(None);
    }
    find(registry, name)
}

/// The nearest id to a name that is of none.
#[must_use]
pub fn nearest_id(registry: &Registry, name: &str) -> Option<String> {
    nearest(name, each(registry).map(|one| one.schedule.id.as_str()))
}

/// Stops it until it is started; false if it was stopped before.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn stop(store: &Store<Admin>, one: OfTask<'_>) -> Result<bool, AdminError> {
    set(store, one, |seen_s, _| (!read_stopped(seen_s).0).then(|| stopped_after(seen_s))).await
}

/// Starts it: it goes on from now; false if it was not stopped.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn start(store: &Store<Admin>, one: OfTask<'_>) -> Result<bool, AdminError> {
    let next = |seen_s, now_s| match read_stopped(seen_s) {
        (false, _) => None,
        // Nothing was left out meanwhile, so the last one stays the last.
        (true, Some(last_s))
            if last_s <= now_s && one.schedule.calendar.after(last_s).is_none_or(|next| next > now_s) =>
        {
            Some(last_s)
        }
        (true, _) => Some(now_s),
    };
    set(store, one, next).await
}

/// Sets its last occurrence to what `next` makes of it; false if that is nothing.
async fn set(
    store: &Store<Admin>,
    one: OfTask<'_>,
    next: impl Fn(Option<i64>, i64) -> Option<i64>,
) -> Result<bool, AdminError> {
    let id = &one.schedule.id;
    for _ in 0..ATTEMPTS {
        let seen_s = store.run(LastFired { ids: vec![id.clone()] }).await?.pop().flatten();
        let now_s = store.run(ReadTime).await?.div_euclid(1000);
        let Some(last_s) = next(seen_s, now_s) else { return Ok(false) };
        // Only if no scheduler was faster: then its occurrence is not forgotten.
        if store.run(Fire { id: id.clone(), seen_s, last_s, job: None }).await? != Fired::No {
            return Ok(true);
        }
    }
    Err(AdminError::Changed { what: format!("schedule {id}") })
}

/// Enqueues its job now, in addition to its occurrences and also if it is stopped. The job is scheduled for the present
/// second.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn run(store: &Store<Admin>, OfTask { task, schedule }: OfTask<'_>) -> Result<ScheduleRun, AdminError> {
    let now_s = store.run(ReadTime).await?.div_euclid(1000);
    let job = Enqueue {
        queue: schedule.queue.clone(),
        payload: schedule.payload(&task.name, now_s),
        front: false,
        admissions: Chain::of(task).admissions(&schedule.queue, &schedule.args),
    };
    Ok(match store.run(EnqueueBatch { jobs: vec![job] }).await?.pop() {
        Some(Enqueued::Refused { plugin }) => ScheduleRun::Refused { refused_by: plugin.to_owned() },
        Some(Enqueued::Yes) | None => ScheduleRun::Enqueued,
    })
}
