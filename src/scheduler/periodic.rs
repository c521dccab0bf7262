//! Periodic tasks: seeded once, restored when their job is lost, withdrawn when no instance declares
//! them any more. Each next tick is written by the step that ends a run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SchedulerContext;
use super::cron::waiting_text;
use super::failures::Bulkheads;
use super::set_back::Judgement;
use crate::event::Event;
use crate::job::payload::encode;
use crate::job::{Args, LockKey, RetryKeys, TaskName, WorkerName};
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::effect::{HALTED_S, Next};
use crate::store::instance::InstanceState;
use crate::store::periodic::{Periodic, PeriodicEntry, Purpose, Reconcile, Reconciled, Withdraw};
use crate::store::scheduling::ReadTime;
use crate::store::workers::{Registered, RegisteredWorkers, WorkerNames};
use crate::task::schedule::scheduled_at;
use crate::task::{Cadence, TaskDefinition};

/// How long after its due time a job is not yet searched.
const GRACE_S: u64 = 3;
/// A pinging foreign worker that was silent for longer does not count as running its job.
const MAX_SILENCE_S: i64 = 180;
/// How long before it is due a tick is moved that comes again because a clock was set back: longer than the time between two
/// looks of any instance.
const SOON_S: i64 = 75;
/// Among how many workers those of other programs are looked for.
const LOOKED_AT: usize = 50_000;
/// How long a task may go undeclared before it is withdrawn.
const UNDECLARED_AFTER: Duration = Duration::from_secs(600);

/// The periodic tasks that were reconciled since the start. The others are reconciled with the purpose of a start.
#[derive(Debug, Default)]
pub struct CheckedTasks(HashSet<TaskName>);

/// Reconciles the periodic tasks that this instance declares, each on its own: the failure of one does not stop others.
///
/// # Errors
/// Fails when the store cannot be reached, or cannot read its periodic entries.
pub async fn reconcile(
    context: &SchedulerContext,
    bulkheads: &mut Bulkheads,
    checked: &mut CheckedTasks,
) -> Result<Vec<PeriodicEntry>, StoreError> {
    let SchedulerContext { store, bus, .. } = context;
    let registry = context.registry();
    let tasks: Vec<_> = registry.periodic().collect();
    let job_lock = |task: &Arc<TaskDefinition>| Chain::of(task).job_lock(&task.queue, &Args::periodic());
    let locks: Vec<_> = tasks.iter().map(|task| job_lock(task).map(|(key, _)| key)).collect();
    let asked: Vec<_> = locks.iter().flatten().cloned().collect();
    let names = tasks.iter().map(|task| task.name.clone()).collect();
    let (entries, held) = store.run(Periodic { job_locks: asked, tasks: names }).await?;
    if tasks.is_empty() {
        return Ok(entries);
    }
    // Ticks are written by the store's time, so they are judged by it too.
    let now_ms = store.run(ReadTime).await?;
    context.set_back.look(now_ms / 1000);
    let mut held = held.into_iter();
    let mut workers = None;
    for (task, job_lock) in tasks.into_iter().zip(locks) {
        let is_held = job_lock.is_some() && held.next().unwrap_or(false);
        let entry = entries.iter().find(|entry| entry.task == task.name);
        let boot = !checked.0.contains(&task.name);
        // The store decides; this check only saves the call, so it may be true a little early.
        let overdue = entry.is_none_or(|entry| entry.due_s + 1 < now_ms / 1000);
        if entry.is_some_and(|entry| entry.stopped) {
            // The start of a stopped task reconciles it.
            checked.0.insert(task.name.clone());
            continue;
        }
        // Ticks that were written before a clock was set back are moved by whichever look comes first.
        let stale = entry.and_then(|entry| stale(context, task, entry, boot, now_ms / 1000));
        if !(boot || overdue || is_held || stale.is_some()) {
            continue;
        }
        let what = format!("periodic task {}", task.name);
        if !bulkheads.may_try(&what) {
            continue;
        }
        if workers.is_none() {
            workers = Some(Workers::of(store.run(RegisteredWorkers).await?, now_ms / 1000));
        }
        let Some(workers) = &workers else { continue };
        let stale_due_s = stale.map(|stale| stale.due_s);
        let purpose = if boot { Purpose::Boot } else { Purpose::Look };
        let Some(reconcile) = reconcile_request(task, job_lock, stale, purpose, workers) else {
            continue;
        };
        if let Some(result) = bulkheads.note(bus, &what, store.run(reconcile).await)? {
            checked.0.insert(task.name.clone());
            match stale_due_s.filter(|_| result == Reconciled::Moved && !boot) {
                Some(due_s) => tell_set_back(context, task, due_s, now_ms / 1000),
                None => tell(context, task, result),
            }
        }
    }
    Ok(entries)
}

/// Registered workers: those whose records count as running jobs, and those that stopped pinging.
struct Workers {
    lively: Vec<WorkerName>,
    silent: Vec<WorkerName>,
}

impl Workers {
    /// node-resque's workers ping every few seconds, even while a job runs. Windlass' workers have leases, and the
    /// workers of Ruby and Go never ping.
    fn of(registered: Vec<Registered>, now_s: i64) -> Self {
        let (mut lively, mut silent) = (Vec::new(), Vec::new());
        for one in registered {
            let ours = one.working.as_ref().is_some_and(|record| record.claim.is_some());
            let fell_silent = !ours && one.pinged_s.is_some_and(|pinged_s| now_s - pinged_s > MAX_SILENCE_S);
            if fell_silent { silent.push(one.worker) } else { lively.push(one.worker) }
        }
        Self { lively, silent }
    }
}

fn reconcile_request(
    task: &TaskDefinition,
    job_lock: Option<LockKey>,
    stale: Option<Stale>,
    purpose: Purpose,
    workers: &Workers,
) -> Option<Reconcile> {
    let chain = Chain::of(task);
    let mut tick = chain.tick()?;
    if let (Some(ran_s), Next::At { calendar }) = (stale.and_then(|stale| stale.ran_s), &tick.next) {
        tick.next = Next::At { calendar: calendar.after_all(ran_s) };
    }
    Some(Reconcile {
        queue_lock: chain.queue_lock(&tick.queue, &Args::periodic()),
        job_lock,
        forms: chain.periodic_forms(),
        grace_s: GRACE_S + task.jitter_s,
        workers: workers.lively.clone(),
        silent: workers.silent.clone(),
        attempts: if chain.retry().is_some() { retry_keys(task) } else { Vec::new() },
        purpose,
        stale_due_s: stale.map(|stale| stale.due_s),
        tick,
    })
}

/// Under what Retry keeps the attempts of a task's periodic job.
fn retry_keys(task: &TaskDefinition) -> Vec<RetryKeys> {
    Args::all_periodic().iter().map(|args| RetryKeys::of(task.name.as_str(), args)).collect()
}

fn tell(context: &SchedulerContext, task: &TaskDefinition, result: Reconciled) {
    let bus = &context.bus;
    let why = match result {
        Reconciled::Fine | Reconciled::Started | Reconciled::Waits | Reconciled::Runs => return,
        Reconciled::Moved => {
            let text = format!("the next run of {} was moved because its definition gives another time now", task.name);
            bus.emit(Event::Notice { text });
            return;
        }
        Reconciled::Seeded if matches!(task.cadence, Some(Cadence::Calendar(_))) => return,
        Reconciled::Seeded => "first run",
        Reconciled::Restored => "it was overdue and its job was lost",
        Reconciled::Unlocked => {
            let text = format!("freed the JobLock of {}, which no working worker holds", task.name);
            bus.emit(Event::Warning { text });
            return;
        }
    };
    bus.emit(Event::SchedulerEnqueue { task: task.name.clone(), queue: task.queue.clone(), why });
}

fn tell_set_back(context: &SchedulerContext, task: &TaskDefinition, due_s: i64, now_s: i64) {
    let (due, now) = (scheduled_at(due_s), scheduled_at(now_s));
    let text = format!(
        "the next run of {} was due at {due}, but it is only {now} and its definition gives an earlier time; it was \
         moved, because a clock was set back or another definition wrote it",
        task.name
    );
    context.bus.emit(Event::Warning { text });
}

/// An entry that does not fit the present cadence and time.
#[derive(Debug, Clone, Copy)]
struct Stale {
    due_s: i64,
    /// The last occurrence that does not come again, if it lies ahead.
    ran_s: Option<i64>,
}

/// Is this entry due later than the next occurrence of the task's cadence that has not run? Then it was written before a clock
/// was set back, or by another cadence. At a start an entry that is no occurrence of the calendar is stale, too.
fn stale(
    context: &SchedulerContext,
    task: &TaskDefinition,
    entry: &PeriodicEntry,
    boot: bool,
    now_s: i64,
) -> Option<Stale> {
    let due_s = entry.due_s;
    let cadence = task.cadence.as_ref().filter(|_| due_s != HALTED_S)?;
    let is_ahead = cadence.is_ahead(due_s, now_s);
    let Cadence::Calendar(calendar) = cadence else { return is_ahead.then_some(Stale { due_s, ran_s: None }) };
    let what = format!("periodic task {}", task.name);
    let is_odd = boot && calendar.after(due_s - 1) != Some(due_s);
    // Its run ended while the clock was behind, and the next tick is not written yet.
    let has_run = entry.last_s == Some(due_s);
    let Some(ran_s) = entry.last_s.filter(|last_s| *last_s > now_s) else {
        context.set_back.forget(&what);
        return (is_odd || is_ahead || has_run).then_some(Stale { due_s, ran_s: None });
    };
    if !(is_odd || is_ahead || has_run) {
        return None;
    }
    if is_odd || calendar.after(ran_s) != Some(due_s) {
        return Some(Stale { due_s, ran_s: Some(ran_s) });
    }
    // What stands is right if the clock is behind for a moment, and too late if it was ahead.
    match context.set_back.judge(&what, ran_s, now_s) {
        Judgement::Waits(true) => {
            context.bus.emit(Event::Warning { text: waiting_text(&what, ran_s, now_s) });
            None
        }
        Judgement::Waits(false) => None,
        Judgement::GoesOn(_) => {
            // The last one of all does not come again: the next is due in time after it.
            let is_soon = calendar.after(now_s).is_some_and(|next_s| next_s < ran_s && next_s <= now_s + SOON_S);
            is_soon.then_some(Stale { due_s, ran_s: None })
        }
    }
}

/// The tasks with an entry that no instance declares, and since when.
#[derive(Debug, Default)]
pub struct UndeclaredTasks(HashMap<TaskName, Instant>);

impl UndeclaredTasks {
    /// Withdraws the tasks that no instance has declared for `UNDECLARED_AFTER`. A stopped task keeps its entry;
    /// otherwise it would run again when an instance declares it again.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn withdraw(
        &mut self,
        context: &SchedulerContext,
        bulkheads: &mut Bulkheads,
        entries: &[PeriodicEntry],
        instances: &[InstanceState],
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let registry = context.registry();
        let declared = |task: &TaskName| {
            registry.get(task.as_str()).is_some_and(|task| task.cadence.is_some())
                || instances.iter().any(|state| state.record.declares(task))
        };
        let standing: HashSet<&TaskName> = entries.iter().map(|entry| &entry.task).collect();
        self.0.retain(|task, _| standing.contains(task) && !declared(task));
        for entry in entries.iter().filter(|entry| !entry.stopped && !declared(&entry.task)) {
            let since = *self.0.entry(entry.task.clone()).or_insert(now);
            let what = format!("withdrawal of periodic task {}", entry.task);
            if now.duration_since(since) < UNDECLARED_AFTER
                || !bulkheads.may_try(&what)
                || has_foreigners(context, instances).await?
            {
                continue;
            }
            let form = |args: &Args| encode(entry.task.as_str(), entry.queue.as_str(), args);
            let forms = Args::all_periodic().iter().map(form).collect();
            // The locks that node-resque's QueueLock takes: no definition of the task is left that could name others.
            let locks = Args::PERIODIC
                .map(|args| LockKey::queue_lock(entry.task.as_str(), entry.queue.as_str(), args))
                .to_vec();
            let withdraw = Withdraw { task: entry.task.clone(), queue: entry.queue.clone(), forms, locks };
            let withdrawn = context.store.run(withdraw).await;
            if bulkheads.note(&context.bus, &what, withdrawn)?.is_none() {
                continue;
            }
            self.0.remove(&entry.task);
            let text = format!("withdrew periodic task {}, which no instance has declared for 10 minutes", entry.task);
            context.bus.emit(Event::Notice { text });
        }
        Ok(())
    }
}

/// Are workers of other programs registered? Then a periodic task may be theirs and is not withdrawn.
async fn has_foreigners(context: &SchedulerContext, instances: &[InstanceState]) -> Result<bool, StoreError> {
    let ours = |worker: &WorkerName| instances.iter().any(|state| worker.name().starts_with(&state.record.name));
    // Of more than that nobody knows whose they are.
    let workers = context.store.run(WorkerNames { limit: LOOKED_AT }).await?;
    Ok(workers.len() >= LOOKED_AT || workers.iter().any(|worker| !ours(worker)))
}
