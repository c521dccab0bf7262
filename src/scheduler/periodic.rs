//! Periodic tasks: seeded once, restored when their job is nowhere, withdrawn when nobody declares
//! them any more. Their ticks themselves are written where a run ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use crate::event::Event;
use crate::job::payload::encode;
use crate::job::{Args, TaskName, WorkerName};
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::effect::HALTED_S;
use crate::store::instance::InstanceState;
use crate::store::periodic::{Periodic, PeriodicEntry, Purpose, Reconcile, Reconciled, Withdraw};
use crate::store::workers::RegisteredWorkers;
use crate::task::{Cadence, TaskDefinition};

/// How long past due a job is not yet searched for.
const GRACE_S: u64 = 3;
/// How long a task may go undeclared before it is withdrawn.
const UNDECLARED: Duration = Duration::from_secs(600);

/// Looks after the periodic tasks that this instance declares. `boot` when it starts.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn reconcile(context: &Context, boot: bool) -> Result<Vec<PeriodicEntry>, StoreError> {
    let Context { store, clock, bus, .. } = context;
    let registry = context.registry();
    let tasks: Vec<_> = registry.periodic().collect();
    let job_lock = |task: &Arc<TaskDefinition>| Chain::of(task).job_lock(&task.queue, &Args::periodic());
    let locks: Vec<_> = tasks.iter().map(|task| job_lock(task).map(|(key, _)| key)).collect();
    let asked: Vec<_> = locks.iter().flatten().cloned().collect();
    let (entries, held) = store.run(Periodic { job_locks: asked }).await?;
    let mut held = held.into_iter();
    let now_s = clock.now_ms() / 1000;
    let mut workers = None;
    for (task, job_lock) in tasks.into_iter().zip(locks) {
        let is_held = job_lock.is_some() && held.next().unwrap_or(false);
        let entry = entries.iter().find(|entry| entry.task == task.name);
        // The store judges by its own time; this only spares it the question, so it errs early.
        let overdue = entry.is_none_or(|entry| entry.due_s + 1 < now_s);
        if !(boot || overdue || is_held) || entry.is_some_and(|entry| entry.stopped) {
            continue;
        }
        let chain = Chain::of(task);
        let Some(tick) = chain.tick(clock.now_ms()) else { continue };
        if workers.is_none() {
            let registered = store.run(RegisteredWorkers).await?;
            workers = Some(registered.into_iter().map(|registered| registered.worker).collect::<Vec<_>>());
        }
        let reconcile = Reconcile {
            queue_lock: chain.queue_lock(&tick.queue, &Args::periodic()),
            job_lock,
            forms: chain.periodic_forms(),
            grace_s: GRACE_S + task.jitter_s,
            workers: workers.clone().unwrap_or_default(),
            purpose: if boot { Purpose::Boot } else { Purpose::Look },
            stale_due_s: entry.filter(|entry| boot && is_stale(task, entry, now_s)).map(|entry| entry.due_s),
            tick,
        };
        let why = match store.run(reconcile).await? {
            Reconciled::Fine | Reconciled::Started | Reconciled::Waits | Reconciled::Runs => continue,
            Reconciled::Moved => {
                let text = format!("the next run of {} was moved, for its definition says another time now", task.name);
                bus.emit(Event::Notice { text });
                continue;
            }
            Reconciled::Seeded if matches!(task.cadence, Some(Cadence::Calendar(_))) => continue,
            Reconciled::Seeded => "first run",
            Reconciled::Restored => "it was overdue and nowhere to be found",
            Reconciled::Unlocked => {
                let text = format!("freed the JobLock of {}, which nobody that works holds", task.name);
                bus.emit(Event::Warning { text });
                continue;
            }
        };
        bus.emit(Event::SchedulerEnqueue { task: task.name.clone(), queue: task.queue.clone(), why });
    }
    Ok(entries)
}

/// Was this entry written by a cadence that its task no longer has? A tick that a calendar does not name, or that
/// lies further ahead than a period, would run at a time that nobody expects any more.
fn is_stale(task: &TaskDefinition, entry: &PeriodicEntry, now_s: i64) -> bool {
    match &task.cadence {
        _ if entry.due_s == HALTED_S => false,
        Some(Cadence::Calendar(calendar)) => calendar.after(entry.due_s - 1) != Some(entry.due_s),
        Some(Cadence::Every(every)) => {
            let every_s = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
            entry.due_s > now_s.saturating_add(every_s)
        }
        None => false,
    }
}

/// Since when tasks with an entry are declared by nobody.
#[derive(Debug, Default)]
pub struct Undeclared(HashMap<TaskName, Instant>);

impl Undeclared {
    /// Withdraws what nobody has declared for `UNDECLARED`. What is stopped stays, or it would
    /// run again when it comes back.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn withdraw(
        &mut self,
        context: &Context,
        entries: &[PeriodicEntry],
        instances: &[InstanceState],
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let registry = context.registry();
        let declared = |task: &TaskName| {
            registry.get(task.as_str()).is_some_and(|task| task.cadence.is_some())
                || instances.iter().any(|state| state.record.declares(task))
        };
        self.0.retain(|task, _| entries.iter().any(|entry| entry.task == *task) && !declared(task));
        for entry in entries.iter().filter(|entry| !entry.stopped && !declared(&entry.task)) {
            let since = *self.0.entry(entry.task.clone()).or_insert(now);
            if now.duration_since(since) < UNDECLARED || has_foreigners(context, instances).await? {
                continue;
            }
            let forms = ["[{}]", "[null]", "[]"].into_iter().filter_map(|args| Args::from_json(args).ok());
            let forms: Vec<_> = forms.map(|args| encode(entry.task.as_str(), entry.queue.as_str(), &args)).collect();
            context.store.run(Withdraw { task: entry.task.clone(), queue: entry.queue.clone(), forms }).await?;
            self.0.remove(&entry.task);
            let text = format!("withdrew periodic task {}, which no instance has declared for 10 minutes", entry.task);
            context.bus.emit(Event::Notice { text });
        }
        Ok(())
    }
}

/// Do workers of other programs work here? A periodic task may be theirs, and then it is not ours to withdraw.
async fn has_foreigners(context: &Context, instances: &[InstanceState]) -> Result<bool, StoreError> {
    let ours = |worker: &WorkerName| instances.iter().any(|state| worker.name().starts_with(&state.record.name));
    Ok(context.store.run(RegisteredWorkers).await?.iter().any(|registered| !ours(&registered.worker)))
}
