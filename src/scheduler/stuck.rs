//! Foreign workers (node-resque's) that stopped pinging are removed, as node-resque's scheduler would do, but
//! completely: it leaves the record of the running job behind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::SchedulerContext;
use super::failures::Bulkheads;
use crate::config::element::crash_policy::OnCrash;
use crate::event::Event;
use crate::event::figures::Whose;
use crate::job::{Args, Failure, FailureView, LockKey, PayloadView, QueueName, RunEnd, WorkerName, date};
use crate::plugin::chain::Chain;
use crate::plugin::cut_off::job_of;
use crate::plugin::kept_run;
use crate::store::StoreError;
use crate::store::inspection::{FailedJob, Retried, RetryFailed};
use crate::store::instance::InstanceState;
use crate::store::scheduling::ReadTime;
use crate::store::workers::{ForceClean, LockValues, Registered, RegisteredWorkers, WorkerLock, Working};
use crate::text::clean::named;

/// Removes every foreign worker whose last ping is older than `after`, each on its own: the failure of one does not
/// stop the others.
///
/// Windlass' own workers have leases instead. The workers of Ruby and Go never ping and are left alone. Returns whether
/// there is any worker that pings and is not Windlass'.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn sweep(
    context: &SchedulerContext,
    bulkheads: &mut Bulkheads,
    after: Duration,
    instances: &[InstanceState],
) -> Result<bool, StoreError> {
    let SchedulerContext { store, bus, .. } = context;
    let limit_s = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
    let of_windlass = |worker: &WorkerName| {
        let is_of = |name: &str| worker.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('+'));
        instances.iter().any(|state| is_of(&state.record.name))
    };
    let mut registered = store.run(RegisteredWorkers).await?;
    registered.retain(|one| one.pinged_s.is_some() && !of_windlass(&one.worker));
    if registered.is_empty() {
        return Ok(false);
    }
    let now_s = store.run(ReadTime).await? / 1000;
    let silent_s =
        |one: &Registered| one.pinged_s.map(|pinged_s| now_s - pinged_s).filter(|silent_s| *silent_s > limit_s);
    let stuck: Vec<_> = registered.iter().filter_map(|one| silent_s(one).map(|silent_s| (one, silent_s))).collect();
    if stuck.is_empty() {
        return Ok(true);
    }
    let is_long = |one: &Registered| one.working.as_ref().is_some_and(|record| record.left_out > 0);
    let (long, stuck): (Vec<_>, Vec<_>) = stuck.into_iter().partition(|(one, _)| is_long(one));
    let locks = dead_locks(context, &stuck).await?;
    for ((one, silent_s), lock) in stuck.into_iter().zip(locks) {
        let what = format!("cleaning of worker {}", named(&one.worker));
        if bulkheads.may_try(&what) {
            let result = clean(context, one, silent_s, lock.as_slice()).await;
            bulkheads.note(bus, &what, result)?;
        }
    }
    for (one, silent_s) in long {
        let what = format!("cleaning of worker {}", named(&one.worker));
        if bulkheads.may_try(&what) {
            let result = clean_long(context, one, silent_s).await;
            bulkheads.note(bus, &what, result)?;
        }
    }
    Ok(true)
}

/// The same for a worker whose record is long: all of it is read when it is its turn, so that few are held.
async fn clean_long(context: &SchedulerContext, stuck: &Registered, silent_s: i64) -> Result<(), StoreError> {
    let workers = vec![stuck.worker.clone()];
    let whole = context.store.run(Working { workers }).await?.into_iter().next().flatten();
    // What changed meanwhile is the job of a worker that lives.
    let listed = stuck.working.as_ref();
    let Some(whole) = whole.filter(|whole| listed.is_some_and(|listed| whole.continues(listed))) else {
        return Ok(());
    };
    let one = Registered { working: Some(whole), ..stuck.clone() };
    let lock = dead_locks(context, &[(&one, silent_s)]).await?.pop().flatten();
    clean(context, &one, silent_s, lock.as_slice()).await
}

/// Removes one worker, and enqueues its job again if the configuration says so.
async fn clean(
    context: &SchedulerContext,
    stuck: &Registered,
    silent_s: i64,
    locks: &[WorkerLock],
) -> Result<(), StoreError> {
    let SchedulerContext { store, clock, bus, host, tally, .. } = context;
    let (worker, now_ms, working) = (&stuck.worker, clock.now_ms(), stuck.working.as_ref());
    let failure = Failure::stuck(&host.hostname, now_ms);
    let record = working.map(|record| {
        let queue = record.queue.as_ref().map(|queue| queue.as_str()).unwrap_or_default();
        let payload = record.payload.as_deref().unwrap_or(&record.raw);
        failure.record(worker.name(), queue, payload, now_ms)
    });
    let registry = context.registry();
    let find = |class: &str| registry.get(class).map(|task| &**task);
    let clean = ForceClean {
        worker: worker.clone(),
        working: working.cloned(),
        record: record.clone(),
        free: locks.to_vec(),
        run: working.and_then(|working| kept_run::of_removed(working, find, &failure, now_ms)),
    };
    if store.run(clean).await? {
        if working.is_some() {
            bus.figures().recovered(Whose::Other);
        }
        let freed = if locks.is_empty() { "" } else { "; the JobLock of its job is freed" };
        let why = format!("it has not pinged for {silent_s} s{freed}");
        bus.emit(Event::CleaningWorker { worker: worker.clone(), why });
        if let Some((record, working)) = record.zip(working) {
            let view = PayloadView::parse(working.payload.as_deref().unwrap_or(&working.raw)).ok();
            let queue = working.queue.clone().unwrap_or_else(|| QueueName::as_stored(""));
            let task = view.as_ref().and_then(|view| registry.get(&view.class)).map(|task| &task.name);
            // It has failed, even if it is enqueued again. How long it ran nobody knows.
            tally.count(task, &queue, RunEnd::Failed, None);
            let retried = if context.retries_stuck_jobs() { retry(context, &record).await } else { Ok(false) };
            if !matches!(retried, Ok(true)) {
                // The job of a foreign worker has no identity.
                let job = job_of(worker, &queue, view.as_ref(), &Arc::from(worker.id()));
                bus.emit(Event::failure(job, &failure, Duration::ZERO));
            }
            if let Err(error) = retried {
                // The worker is gone, so that nobody comes back to this job.
                let text = format!(
                    "the job of worker {worker} was to be enqueued again (retry_stuck_jobs), which may have failed: failed to \
                     {error}; see: windlass failed list; then type: windlass failed retry-stuck",
                    worker = named(&worker)
                );
                bus.emit(Event::Warning { text });
                return if error.is_transient() { Err(error) } else { Ok(()) };
            }
        }
    }
    Ok(())
}

/// For each of these workers the JobLock of its job, if the worker holds it: the lock was taken when the job began, and
/// no other worker runs the same job.
///
/// The locks are read before the workers. If a living worker holds such a lock, it either still runs the job when the
/// workers are read, or has freed the lock since; therefore a lock is freed later only if its value is unchanged.
async fn dead_locks(
    context: &SchedulerContext,
    stuck: &[(&Registered, i64)],
) -> Result<Vec<Option<WorkerLock>>, StoreError> {
    let candidates: Vec<_> = stuck.iter().map(|(one, _)| LockCandidate::of(context, one)).collect();
    let keys: Vec<_> = candidates.iter().flatten().map(|candidate| candidate.key.clone()).collect();
    if keys.is_empty() {
        return Ok(vec![None; stuck.len()]);
    }
    let mut values = context.store.run(LockValues { keys }).await?.into_iter();
    let now = context.store.run(RegisteredWorkers).await?;
    let lock = |candidate: Option<LockCandidate>| {
        let candidate = candidate?;
        let value = values.next().flatten()?;
        let alone = now.iter().all(|other| other.worker == candidate.worker || !candidate.is_of(other));
        (candidate.took(&value) && alone).then_some(WorkerLock { key: candidate.key, value: Some(value) })
    };
    Ok(candidates.into_iter().map(lock).collect())
}

/// The length of node-resque's JobLock, in seconds, unless the task sets it.
const DEFAULT_LOCK_S: u64 = 3600;
/// The longest time between the working record of a job and its lock, in seconds.
const MAX_LOCK_DELAY_S: i64 = 5;

/// The job of a dead worker, and the JobLock that it may hold.
struct LockCandidate {
    worker: WorkerName,
    class: String,
    queue: QueueName,
    args: String,
    run_at_s: i64,
    key: LockKey,
    ttl_s: u64,
}

impl LockCandidate {
    fn of(context: &SchedulerContext, stuck: &Registered) -> Option<Self> {
        let record = stuck.working.as_ref()?;
        let queue = record.queue.clone()?;
        let view = PayloadView::parse(record.payload.as_ref()?).ok()?;
        let args = Args::of(&view).ok()?;
        let run_at_s = date::parse(record.run_at.as_deref()?)?.div_euclid(1000);
        let registry = context.registry();
        let known = registry.get(&view.class).and_then(|task| Chain::of(task).job_lock(&queue, &args));
        let class = view.class.to_string();
        let (key, ttl_s) =
            known.unwrap_or_else(|| (LockKey::job_lock(&class, queue.as_str(), args.as_str()), DEFAULT_LOCK_S));
        let args = args.as_str().to_owned();
        Some(Self { worker: stuck.worker.clone(), class, queue, args, run_at_s, key, ttl_s })
    }

    /// Was a lock of this value taken when this job began? node-resque writes the second after the one in which the
    /// lock ends. Windlass' locks carry a claim and are freed with it.
    fn took(&self, value: &str) -> bool {
        let ttl_s = i64::try_from(self.ttl_s).unwrap_or(i64::MAX);
        let taken_s = value.parse::<i64>().ok().map(|end_s| end_s.saturating_sub(1).saturating_sub(ttl_s));
        taken_s.is_some_and(|taken_s| (taken_s - self.run_at_s).abs() <= MAX_LOCK_DELAY_S)
    }

    /// Does this worker run the same job? True if its record cannot be read.
    fn is_of(&self, other: &Registered) -> bool {
        let Some(record) = &other.working else { return false };
        let same_queue = record.queue.as_ref().is_none_or(|queue| *queue == self.queue);
        let Some(view) = record.payload.as_ref().and_then(|payload| PayloadView::parse(payload).ok()) else {
            // Of a long one only the beginning is known.
            return same_queue && (record.left_out == 0 || record.class().is_none_or(|class| class == self.class));
        };
        let same_args = Args::of(&view).map_or(true, |args| args.as_str() == self.args);
        *view.class == *self.class && same_queue && same_args
    }
}

/// Failed -> queue, for the job of a vanished worker, as `retry_stuck_jobs` demands. The job stays failed if the
/// worker's record may have changed it, if its task has `on_crash = "fail"`, or if a rule of its task refuses it. Returns
/// whether it is on the failed list no more.
async fn retry(context: &SchedulerContext, record: &Bytes) -> Result<bool, StoreError> {
    let view = FailureView::parse(record);
    let (Some(payload), Some(queue)) = (&view.payload, &view.queue) else { return Ok(false) };
    let (Ok(job), Ok(queue)) = (PayloadView::parse(payload), QueueName::new(queue)) else { return Ok(false) };
    let registry = context.registry();
    let task = registry.get(&job.class);
    if task.is_some_and(|task| task.on_crash == Some(OnCrash::Fail)) {
        return Ok(false);
    }
    let admissions = task.zip(Args::of(&job).ok()).map(|(task, args)| Chain::of(task).retry_admissions(&queue, &args));
    let (text, goes_back) = if view.may_be_distorted() {
        let why = "its arguments may have been changed by its worker's record";
        (format!("a stuck job of {} stays failed: {why}", job.class), false)
    } else {
        let job_again = FailedJob {
            failed: record.into(),
            queue: queue.clone(),
            payload: payload.clone(),
            admissions: admissions.unwrap_or_default(),
            // The job of a foreign worker has no identity.
            identity: None,
            mended: None,
        };
        match context.store.run(RetryFailed { jobs: vec![job_again] }).await?.first() {
            Some(Retried::Yes) => (
                format!("the job of {} goes back to queue {queue}: retry_stuck_jobs", job.class, queue = named(&queue)),
                true,
            ),
            Some(Retried::Refused { plugin }) => {
                (format!("a stuck job of {} stays failed: {plugin} refused", job.class), false)
            }
            Some(Retried::Gone) | None => return Ok(true),
        }
    };
    context.bus.emit(Event::Warning { text });
    Ok(goes_back)
}
