//! Periodic tasks: show their state; start, stop and run them. ActionHero's `enqueueRecurrentTask` and
//! `stopRecurrentTask`.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use serde::Serialize;

use super::calendar::ZonedView;
use super::delayed::TimeView;
use super::error::AdminError;
use super::runs::{self, PastRunView};
use super::schedules;
use super::waiting_clock::ClockWait;
use super::waiting_tick::{self, WaitingTick, forms};
use crate::client::request::nearest;
use crate::job::{Args, LockKey, PayloadView, QueueName, TaskName};
use crate::plugin::chain::{Chain, waiting_lock};
use crate::store::effect::HALTED_S;
use crate::store::handle::Store;
use crate::store::periodic::{Periodic, PeriodicEntry, Purpose, Reconcile, Reconciled, Stop};
use crate::store::role::Admin;
use crate::store::runs::RunList;
use crate::store::workers::{MOST_REGISTERED, RegisteredWorkers, WorkerNames};
use crate::task::definition::Registry;
use crate::task::definition::TaskDefinition;
use crate::task::schedule::Cadence;

/// A periodic task.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct PeriodicView {
    /// Its name.
    pub task: String,
    /// Where its jobs go.
    pub queue: String,
    /// Its period in milliseconds, if it has one.
    pub frequency_ms: Option<u64>,
    /// Its cron expression, if it has one.
    pub schedule: Option<String>,
    /// The time zone of the expression.
    pub time_zone: Option<String>,
    /// `delayed`, `running`, `due` (on its queue, or about to be), `stopped`, `halted` (it failed and its
    /// `re_enqueue_after_failure` is false), `new` (no scheduler has seen it yet).
    pub state: &'static str,
    /// How many attempts of its present run failed, if it waits for the next one. Left out of JSON if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<u64>,
    /// The error of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Its last run that has ended, if it keeps runs.
    pub last_run: Option<PastRunView>,
    /// What stands in its place and cannot be read.
    #[serde(skip)]
    pub unreadable: Option<String>,
    /// When it is or was due next.
    pub due: Option<TimeView>,
    /// The same in the zone of its expression: RFC 3339. Left out of JSON without an expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_in_zone: Option<String>,
    /// The same for people.
    #[serde(skip)]
    pub zoned: Option<ZonedView>,
    /// Is it defined here? If not, another instance declares it or declared it.
    pub defined: bool,
    /// Why it waits, if a clock was set back; for people.
    #[serde(skip)]
    pub waits: Option<String>,
}

/// The outcome of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StartOutcome {
    /// Its job is on its queue, or, if it has a cron expression, delayed until the next occurrence.
    Started,
    /// Its job was already queued, delayed or running.
    Already,
}

/// The outcome of a request to run a task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunNowOutcome {
    /// Its job is on its queue now.
    Enqueued,
    /// Its job was already on its queue.
    Waits,
    /// It runs already.
    Runs,
}

/// The periodic tasks that are defined here, and at most `most` others that have an entry in the store, each with its last run;
/// and how many more of the others there are.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(
    store: &Store<Admin>,
    registry: &Registry,
    now_ms: i64,
    most: usize,
) -> Result<(Vec<PeriodicView>, usize), AdminError> {
    let (mut views, more) = states(store, registry, now_ms, most, None).await?;
    let lists = views.iter().map(|view| RunList::Task(TaskName::as_stored(&view.task))).collect();
    for (view, (last_run, unreadable)) in views.iter_mut().zip(runs::last(store, lists).await?) {
        (view.last_run, view.unreadable) = (last_run, unreadable);
    }
    Ok((views, more))
}

/// The same without their last runs; of one name, if one is wanted.
pub(super) async fn states(
    store: &Store<Admin>,
    registry: &Registry,
    now_ms: i64,
    most: usize,
    wanted: Option<&str>,
) -> Result<(Vec<PeriodicView>, usize), AdminError> {
    let is_wanted = |name: &TaskName| wanted.is_none_or(|wanted| wanted == name.as_str());
    let declared = registry.periodic().map(|task| task.name.clone());
    let tasks = declared.chain(wanted.map(TaskName::as_stored)).collect();
    let (mut entries, _) = store.run(Periodic { tasks, ..Periodic::default() }).await?;
    entries.retain(|entry| is_wanted(&entry.task));
    // There may be very many workers, and without an entry nobody's job matters.
    let working: HashSet<String> = match entries.is_empty() {
        true => HashSet::new(),
        false => store.run(RegisteredWorkers).await?.into_iter().filter_map(class_of).collect(),
    };
    let of_task = |name: &TaskName| registry.get(name.as_str()).filter(|task| task.cadence.is_some());
    let known: HashSet<TaskName> = entries.iter().map(|entry| entry.task.clone()).collect();
    // Anybody may write entries, and each costs a look.
    let (mut others, mut more) = (0, 0);
    entries.retain(|entry| {
        let stays = of_task(&entry.task).is_some() || others < most;
        others += usize::from(of_task(&entry.task).is_none() && stays);
        more += usize::from(!stays);
        stays
    });
    let tasks: Vec<_> = entries.iter().map(|entry| (&entry.task, &entry.queue)).collect();
    let mut views = Vec::new();
    for (entry, waiting) in entries.iter().zip(waiting_tick::of_tasks(store, &tasks).await?) {
        let WaitingTick { seconds, failed_attempts, last_error } = waiting;
        let (task, delayed) = (of_task(&entry.task), seconds.first().copied());
        let state = match delayed {
            _ if entry.stopped => "stopped",
            _ if entry.due_s == HALTED_S => "halted",
            Some(_) => "delayed",
            None if working.contains(entry.task.as_str()) => "running",
            None => "due",
        };
        let mut due = (!entry.stopped && entry.due_s != HALTED_S).then(|| delayed.unwrap_or(entry.due_s));
        let calendar =
            task.and_then(|task| if let Some(Cadence::Calendar(one)) = &task.cadence { Some(one) } else { None });
        let wait = calendar.filter(|_| due.is_some()).zip(ClockWait::of(entry.last_s, now_ms.div_euclid(1000)));
        if let Some((calendar, wait)) = &wait {
            due = calendar.after(wait.until_s);
        }
        let mut view = view(&entry.task, &entry.queue, task.map(|task| &**task), state, due, entry.every_s);
        view.waits = wait.map(|(_, wait)| wait.text());
        if state == "delayed" {
            (view.failed_attempts, view.last_error) = (failed_attempts, last_error);
        }
        views.push(view);
    }
    for task in registry.periodic().filter(|task| is_wanted(&task.name) && !known.contains(&task.name)) {
        let due = match &task.cadence {
            Some(Cadence::Calendar(calendar)) => calendar.after(now_ms.div_euclid(1000)),
            _ => None,
        };
        views.push(view(&task.name, &task.queue, Some(task), "new", due, 0));
    }
    views.sort_by(|one, other| one.task.cmp(&other.task));
    Ok((views, more))
}

fn view(
    name: &TaskName,
    queue: &QueueName,
    task: Option<&TaskDefinition>,
    state: &'static str,
    due_s: Option<i64>,
    every_s: u64,
) -> PeriodicView {
    let (frequency_ms, calendar) = match task.and_then(|task| task.cadence.as_ref()) {
        Some(Cadence::Every(every)) => (u64::try_from(every.as_millis()).ok(), None),
        Some(Cadence::Calendar(calendar)) => (None, Some(calendar)),
        None => ((every_s > 0).then(|| every_s.saturating_mul(1000)), None),
    };
    let zoned = calendar.zip(due_s).and_then(|(calendar, due_s)| ZonedView::of(calendar, due_s));
    PeriodicView {
        task: name.as_str().to_owned(),
        queue: queue.as_str().to_owned(),
        frequency_ms,
        schedule: calendar.map(|calendar| calendar.expression().to_owned()),
        time_zone: calendar.map(|calendar| calendar.zone().to_owned()),
        state,
        failed_attempts: None,
        last_error: None,
        last_run: None,
        unreadable: None,
        due: due_s.map(TimeView::of),
        due_in_zone: zoned.as_ref().map(|zoned| zoned.at_in_zone.clone()),
        zoned,
        defined: task.is_some(),
        waits: None,
    }
}

/// The class of the job that a worker runs.
fn class_of(registered: crate::store::workers::Registered) -> Option<String> {
    registered.working?.class()
}

/// Stops a task until it is started, removes its delayed and queued copies, and returns how many there were. A task
/// that is not defined here is stopped too if it has an entry in the store.
///
/// # Errors
/// Fails for a task that is neither defined here as periodic nor has an entry in the store.
pub async fn stop(store: &Store<Admin>, registry: &Registry, name: &str) -> Result<u64, AdminError> {
    let (task, queue) = match registry.get(name).filter(|task| task.cadence.is_some()) {
        Some(task) => (task.name.clone(), task.queue.clone()),
        None => {
            let entry = entry_of(store, name).await?;
            let entry = match entry {
                Some(entry) => entry,
                None => return Err(not_periodic(store, registry, name).await?),
            };
            (entry.task, entry.queue)
        }
    };
    let forms = forms(&task, &queue);
    let lock = |form: &Bytes| waiting_lock(registry, &queue, &PayloadView::parse(form).ok()?);
    let locks: BTreeSet<LockKey> = forms.iter().filter_map(lock).collect();
    Ok(store.run(Stop { task, queue, forms, locks: locks.into_iter().collect() }).await?)
}

/// Starts a task that was stopped, and writes its job unless there is one.
///
/// # Errors
/// Fails for a task that is not defined here as periodic, because only its definition tells when it is due.
pub async fn start(store: &Store<Admin>, registry: &Registry, name: &str) -> Result<StartOutcome, AdminError> {
    match look_after(store, registry, name, Purpose::Start).await? {
        Reconciled::Seeded => Ok(StartOutcome::Started),
        _ => Ok(StartOutcome::Already),
    }
}

/// Runs a task now, in addition to its cadence. A stopped task stays stopped.
///
/// # Errors
/// Fails for a task that is not defined here as periodic.
pub async fn run(store: &Store<Admin>, registry: &Registry, name: &str) -> Result<RunNowOutcome, AdminError> {
    Ok(match look_after(store, registry, name, Purpose::Run).await? {
        Reconciled::Waits => RunNowOutcome::Waits,
        Reconciled::Runs => RunNowOutcome::Runs,
        _ => RunNowOutcome::Enqueued,
    })
}

async fn look_after(
    store: &Store<Admin>,
    registry: &Registry,
    name: &str,
    purpose: Purpose,
) -> Result<Reconciled, AdminError> {
    let task = registry.get(name);
    let Some((task, tick)) = task.and_then(|task| Some((task, Chain::of(task).tick()?))) else {
        return Err(not_periodic(store, registry, name).await?);
    };
    let chain = Chain::of(task);
    let workers = store.run(WorkerNames { limit: MOST_REGISTERED }).await?;
    let reconcile = Reconcile {
        forms: chain.periodic_forms(),
        queue_lock: chain.queue_lock(&task.queue, &Args::periodic()),
        job_lock: chain.job_lock(&task.queue, &Args::periodic()).map(|(key, _)| key),
        grace_s: 0,
        workers,
        purpose,
        stale_due_s: None,
        silent: Vec::new(),
        attempts: Vec::new(),
        tick,
    };
    Ok(store.run(reconcile).await?)
}

async fn entry_of(store: &Store<Admin>, name: &str) -> Result<Option<PeriodicEntry>, AdminError> {
    let wanted = Periodic { tasks: vec![TaskName::as_stored(name)], ..Periodic::default() };
    Ok(store.run(wanted).await?.0.into_iter().find(|entry| entry.task.as_str() == name))
}

async fn not_periodic(store: &Store<Admin>, registry: &Registry, name: &str) -> Result<AdminError, AdminError> {
    let (entries, _) = store.run(Periodic::default()).await?;
    let names =
        registry.periodic().map(|task| task.name.as_str()).chain(entries.iter().map(|entry| entry.task.as_str()));
    let suggestion = nearest(name, names).or_else(|| schedules::nearest_id(registry, name));
    Ok(AdminError::NotFound { what: "periodic task", name: name.to_owned(), suggestion })
}
