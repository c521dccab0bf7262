//! Workers of any program: list, show and force-clean them.

use serde::Serialize;

use super::dates::rfc3339;
use super::error::AdminError;
use super::held_back::{HaltedInstance, HeldBack};
use super::job_view::JobView;
use super::lua_locks;
use crate::client::moment::Moment;
use crate::client::request::nearest;
use crate::job::failure::FailedRun;
use crate::job::{Args, Failure, LockKey, PayloadView, WorkerName, date};
use crate::plugin::chain::Chain;
use crate::plugin::kept_run;
use crate::store::handle::Store;
use crate::store::listed::LISTED_BYTES;
use crate::store::role::Admin;
use crate::store::workers::{
    ForceClean, LockValues, PingOf, ReadWorkers, Registered, WorkerLock, WorkerNames, Working,
};
use crate::store::working::WorkingRecord;
use crate::task::definition::Registry;

/// How often a worker is read again that changes between reading and cleaning.
const ATTEMPTS: usize = 3;

/// A registered worker.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WorkerView {
    /// All three parts, as in the set `workers`.
    pub id: String,
    /// The first two parts.
    pub name: String,
    /// The queues it works on, as configured.
    pub queues: Option<String>,
    /// When it started: RFC 3339 with milliseconds, in UTC. `None`: nothing tells.
    pub started: Option<String>,
    /// When it last pinged: RFC 3339 with milliseconds, in UTC; workers of Ruby and Go never ping.
    pub pinged: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub pinged_ms: Option<i64>,
    /// `paused` or `draining`, if its instance claims nothing. Left out of JSON if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// The job it runs; `None` if it is idle.
    pub working: Option<WorkingView>,
}

/// The job that a worker runs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WorkingView {
    /// The queue the job came from.
    pub queue: Option<String>,
    /// The job's class.
    pub class: Option<String>,
    /// Its arguments.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<serde_json::value::RawValue>>,
    /// How long the arguments are, if a listing leaves them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_left_out: Option<String>,
    /// Its id, if a Windlass instance runs it.
    pub id: Option<String>,
    /// When it began: RFC 3339 with milliseconds, in UTC. `None`: nothing tells.
    pub run_at: Option<String>,
    /// The record's bytes, if they are not a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// A worker that was removed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CleanedWorker {
    /// The worker.
    pub worker: String,
    /// Was its job put on the failed list?
    pub failed: bool,
    /// That job's class, if its bytes are a job.
    pub class: Option<String>,
    /// The queue it came from.
    pub queue: Option<String>,
    /// The id of its failure record.
    pub failed_id: Option<String>,
    /// Locks of which one may be that job's. They are left, because the worker's record does not tell which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locks_left: Vec<String>,
}

impl WorkerView {
    pub(super) fn of(
        registered: &Registered,
        halted: &[HaltedInstance],
        view: impl Fn(&WorkingRecord) -> JobView,
    ) -> Self {
        let pinged = registered.pinged_s.map(Moment::of_second);
        Self {
            id: registered.worker.id().to_owned(),
            name: registered.worker.name().to_owned(),
            queues: registered.worker.queues().map(str::to_owned),
            started: rfc3339(registered.started.as_deref()),
            pinged: pinged.map(Moment::rfc3339_ms),
            pinged_ms: pinged.map(Moment::ms),
            state: halted.iter().find(|one| one.has_worker(registered.worker.name())).map(|one| one.state),
            working: registered.working.as_ref().map(|record| WorkingView::of(record, view)),
        }
    }
}

impl WorkingView {
    fn of(record: &WorkingRecord, view: impl Fn(&WorkingRecord) -> JobView) -> Self {
        let job = view(record);
        Self {
            queue: record.queue.as_ref().map(|queue| queue.as_str().to_owned()),
            class: job.class,
            args: job.args,
            args_left_out: job.args_left_out,
            id: record.identity.as_ref().map(|identity| identity.id.to_string()),
            run_at: rfc3339(record.run_at.as_deref()),
            raw: job.raw,
        }
    }
}

/// How many workers are read together: each may work on a job of any length.
pub(super) const READ: usize = 64;

/// One worker, by its name (two parts) or its id (three).
///
/// # Errors
/// Fails for a worker that is not registered, and for a name that several workers have.
pub async fn show(store: &Store<Admin>, name: &str) -> Result<WorkerView, AdminError> {
    let mut ids = store.run(WorkerNames { limit: usize::MAX }).await?;
    let Some(index) = pick(&ids, name)? else { return Err(not_found(&ids, name)) };
    let workers = vec![ids.swap_remove(index)];
    let mut read = store.run(ReadWorkers { workers: workers.clone(), longest: LISTED_BYTES }).await?;
    // Of the one that was asked for, all of its job is shown.
    if let Some(one) = read.first_mut().filter(|one| one.working.as_ref().is_some_and(|record| record.left_out > 0)) {
        one.working = store.run(Working { workers }).await?.into_iter().next().flatten();
    }
    let held_back = HeldBack::read(store).await?;
    let whole = |record: &WorkingRecord| JobView::of(record.payload.as_ref().unwrap_or(&record.raw));
    let worker = read.first().map(|worker| WorkerView::of(worker, &held_back.halted, whole));
    worker.ok_or_else(|| not_found(&ids, name))
}

/// Removes a worker by its name (two parts) or its id (three), even while it runs a job. Its job, if it has one, goes
/// to the failed list as stuck and counts as failed. The job's locks are freed as far as `registry` knows its task. The
/// queues of a worker that is not registered are taken from its last ping.
///
/// # Errors
/// Fails for a worker that has neither a registration, nor a ping, nor a job.
pub async fn force_clean(
    store: &Store<Admin>,
    registry: &Registry,
    name: &str,
    host: &str,
    now_ms: i64,
) -> Result<CleanedWorker, AdminError> {
    for _ in 0..ATTEMPTS {
        let registered = store.run(WorkerNames { limit: usize::MAX }).await?;
        let (worker, is_known) = match pick(&registered, name)? {
            Some(index) => (registered[index].clone(), true),
            None => match store.run(PingOf { name: WorkerName::parse(name).name().to_owned() }).await? {
                Some((_, pinged)) if pinged.name() == name || pinged.id() == name => (pinged, true),
                // Its job may be all that is left of it.
                _ => (WorkerName::parse(name), false),
            },
        };
        let working = store.run(Working { workers: vec![worker.clone()] }).await?.into_iter().next().flatten();
        if !is_known && working.is_none() {
            return Err(not_found(&registered, name));
        }
        if let Some(cleaned) = clean_unless_changed(store, registry, &worker, working.as_ref(), host, now_ms).await? {
            return Ok(cleaned);
        }
    }
    Err(AdminError::Changed { what: format!("worker {name:?}") })
}

/// Removes a worker if its working record is still the one that was read; `None` if not.
async fn clean_unless_changed(
    store: &Store<Admin>,
    registry: &Registry,
    worker: &WorkerName,
    working: Option<&WorkingRecord>,
    host: &str,
    now_ms: i64,
) -> Result<Option<CleanedWorker>, AdminError> {
    let stuck = working.map(|working| StuckFailure::of(working, host, now_ms));
    let mut free = Vec::new();
    let mut keys = working.map(|working| locks_of(working, registry)).unwrap_or_default();
    let mut locks_left = Vec::new();
    if let Some(working) = working
        && let Some((prefix, mut candidates)) = lua_locks::candidates(store, working).await?
    {
        keys.retain(|key| !key.as_str().starts_with(&prefix));
        if candidates.len() > 1 {
            locks_left.extend(candidates.drain(..).map(|key| key.as_str().to_owned()));
        }
        keys.append(&mut candidates);
    }
    for key in keys {
        // A lock without a claim was taken by a worker that writes none. It is freed, because the caller says that its
        // worker is dead. A lock with another claim belongs to another run, which continues.
        let value = store.run(LockValues { keys: vec![key.clone()] }).await?.into_iter().next().flatten();
        let value = value.filter(|value| !value.contains(':'));
        free.push(WorkerLock { key, value });
    }
    let clean = ForceClean {
        worker: worker.clone(),
        working: working.cloned(),
        record: stuck.as_ref().map(|stuck| stuck.record.clone()),
        free,
        run: working.and_then(|working| {
            let find = |class: &str| registry.get(class).map(|task| &**task);
            kept_run::of_removed(working, find, &Failure::stuck(host, now_ms), now_ms)
        }),
    };
    if !store.run(clean).await? {
        return Ok(None);
    }
    let worker = worker.id().to_owned();
    Ok(Some(match stuck {
        Some(StuckFailure { record, class, queue }) => CleanedWorker {
            worker,
            failed: true,
            failed_id: Some(super::failed::id(&record)),
            class,
            queue: Some(queue),
            locks_left,
        },
        None => CleanedWorker { worker, failed: false, failed_id: None, class: None, queue: None, locks_left },
    }))
}

/// Removes every worker that has worked on one job for longer than `age_ms`, unless it ended that job meanwhile. It is
/// node-resque's `cleanOldWorkers`, which reads only its own records; this one handles the records of every program. A
/// record without a readable time is left.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn clean_older_than(
    store: &Store<Admin>,
    registry: &Registry,
    host: &str,
    now_ms: i64,
    age_ms: i64,
) -> Result<Vec<CleanedWorker>, AdminError> {
    let mut cleaned = Vec::new();
    for Registered { worker, working, .. } in older_than(store, now_ms, age_ms).await? {
        let working = match working {
            // All of a long record is read when it is its turn. One that changed meanwhile is another job.
            Some(listed) if listed.left_out > 0 => {
                let whole = store.run(Working { workers: vec![worker.clone()] }).await?.into_iter().next().flatten();
                let Some(whole) = whole.filter(|whole| whole.continues(&listed)) else { continue };
                Some(whole)
            }
            short => short,
        };
        cleaned.extend(clean_unless_changed(store, registry, &worker, working.as_ref(), host, now_ms).await?);
    }
    Ok(cleaned)
}

/// The workers that have worked on one job for longer than `age_ms`.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn older_than(store: &Store<Admin>, now_ms: i64, age_ms: i64) -> Result<Vec<Registered>, AdminError> {
    let since = |registered: &Registered| date::parse(registered.working.as_ref()?.run_at.as_deref()?);
    let is_old = |registered: &Registered| since(registered).is_some_and(|since| now_ms.saturating_sub(since) > age_ms);
    let mut old = Vec::new();
    for some in store.run(WorkerNames { limit: usize::MAX }).await?.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec(), longest: LISTED_BYTES }).await?;
        old.extend(read.into_iter().filter(is_old));
    }
    Ok(old)
}

/// The locks that a job may hold while it runs: those of its task's definition, else the one that node-resque would
/// take.
fn locks_of(working: &WorkingRecord, registry: &Registry) -> Vec<LockKey> {
    let held = || {
        let view = PayloadView::parse(working.payload.as_ref()?).ok()?;
        let (queue, args) = (working.queue.as_ref()?, Args::of(&view).ok()?);
        let known = registry.get(&view.class).map(|task| Chain::of(task).held_locks(queue, &args)).unwrap_or_default();
        let mut keys: Vec<_> = known.into_iter().map(|held| held.key).collect();
        if keys.is_empty() {
            keys.push(LockKey::job_lock(&view.class, queue.as_str(), args.as_str()));
        }
        Some(keys)
    };
    held().unwrap_or_default()
}

/// The failure record of a job whose worker is removed.
struct StuckFailure {
    record: bytes::Bytes,
    class: Option<String>,
    queue: String,
}

impl StuckFailure {
    fn of(working: &WorkingRecord, host: &str, now_ms: i64) -> Self {
        // A record that holds no job becomes the payload itself, so that nothing is lost.
        let payload = working.payload.as_ref().unwrap_or(&working.raw);
        let job = PayloadView::parse(payload).ok();
        let named = working.queue.as_ref().map(|queue| queue.as_str().to_owned());
        let queue = named.or_else(|| job.as_ref().and_then(|job| job.queue.as_deref().map(str::to_owned)));
        let queue = queue.unwrap_or_default();
        let (failure, worker) = (Failure::stuck(host, now_ms), working.worker.name());
        let record = match &working.identity {
            Some(identity) => {
                failure.record_of(FailedRun { identity, ms: None, cancelled: false }, worker, &queue, payload, now_ms)
            }
            None => failure.record(worker, &queue, payload, now_ms),
        };
        Self { record, class: job.map(|job| job.class.into_owned()), queue }
    }
}

/// The index of the worker with this name (two parts) or id (three).
pub(super) fn pick(workers: &[WorkerName], name: &str) -> Result<Option<usize>, AdminError> {
    if let Some(index) = workers.iter().position(|worker| worker.id() == name) {
        return Ok(Some(index));
    }
    let mut named = workers.iter().enumerate().filter(|(_, worker)| worker.name() == name);
    match (named.next(), named.next()) {
        (Some((index, _)), None) => Ok(Some(index)),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => {
            let candidates = workers.iter().filter(|worker| worker.name() == name);
            let candidates = candidates.map(|worker| worker.id().to_owned()).collect();
            Err(AdminError::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

pub(super) fn not_found(workers: &[WorkerName], name: &str) -> AdminError {
    let suggestion = nearest(name, workers.iter().flat_map(|worker| [worker.name(), worker.id()]));
    AdminError::NotFound { what: "worker", name: name.to_owned(), suggestion }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::job::FailureView;

    #[test]
    fn a_worker_goes_by_its_name_or_its_id() {
        let workers = ["vm:1:a", "vm:2+1:a,b", "vm:2+1:c", "lonely"].map(WorkerName::parse);
        assert_eq!(pick(&workers, "vm:1").unwrap(), Some(0));
        assert_eq!(pick(&workers, "vm:2+1:c").unwrap(), Some(2));
        assert_eq!(pick(&workers, "lonely").unwrap(), Some(3));
        assert_eq!(pick(&workers, "vm:9").unwrap(), None);
        let error = pick(&workers, "vm:2+1").unwrap_err();
        assert_eq!(error.to_string(), r#""vm:2+1" is ambiguous: vm:2+1:a,b, vm:2+1:c"#);
        assert!(not_found(&workers, "vm:3").to_string().contains("did you mean"));
    }

    #[test]
    fn a_cleaned_workers_job_is_put_on_record_as_stuck() {
        let worker = WorkerName::parse("vm:1:math");
        let parse = |raw: &'static str| WorkingRecord::parse(&worker, Bytes::from_static(raw.as_bytes()));
        let job = parse(r#"{"run_at":"x","worker":"vm:1","payload":{"class":"add","args":[1.0]},"queue":"math"}"#);
        let stuck = StuckFailure::of(&job, "here", 0);
        let view = FailureView::parse(&stuck.record);
        assert!(view.is_stuck());
        assert_eq!(view.payload.as_deref(), Some(&br#"{"class":"add","args":[1.0]}"#[..]));
        assert_eq!((view.worker.as_deref(), view.queue.as_deref()), (Some("vm:1"), Some("math")));
        let junk = StuckFailure::of(&parse("junk"), "here", 0);
        assert_eq!(FailureView::parse(&junk.record).payload.as_deref(), Some(&b"junk"[..]));
    }
}
