//! Foreign workers (node-resque's) that stopped pinging: cleaned away as their own scheduler would,
//! but whole, and with the in-flight record that theirs leaves behind.

use std::time::Duration;

use bytes::Bytes;

use super::Context;
use crate::config::element::on_crash::OnCrash;
use crate::event::Event;
use crate::job::{Args, Failure, FailureView, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::inspection::{Retried, RetryFailed};
use crate::store::instance::InstanceState;
use crate::store::workers::{ForceClean, RegisteredWorkers};

/// Cleans away every foreign worker whose last ping is older than `after`.
///
/// Windlass' own workers follow their leases instead; Ruby's and Go's never ping and are left to
/// their own kind.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn sweep(context: &Context, after: Duration, instances: &[InstanceState]) -> Result<(), StoreError> {
    let Context { store, clock, bus, host, .. } = context;
    let now_ms = clock.now_ms();
    let limit_s = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
    for registered in store.run(RegisteredWorkers).await? {
        let worker = &registered.worker;
        let of_windlass = instances.iter().any(|state| {
            worker.name().strip_prefix(state.record.name.as_str()).is_some_and(|rest| rest.starts_with('+'))
        });
        let Some(pinged_s) = registered.pinged_s.filter(|_| !of_windlass) else { continue };
        let silent_s = now_ms / 1000 - pinged_s;
        if silent_s <= limit_s {
            continue;
        }
        let working = registered.working.as_ref();
        let record = working.map(|record| {
            let queue = record.queue.as_ref().map(|queue| queue.as_str()).unwrap_or_default();
            let payload = record.payload.as_deref().unwrap_or(&record.raw);
            Failure::stuck(&host.hostname, now_ms).record(worker.name(), queue, payload, now_ms)
        });
        let clean =
            ForceClean { worker: worker.clone(), working: working.cloned(), record: record.clone(), free: Vec::new() };
        if store.run(clean).await? {
            let why = format!("it has not pinged for {silent_s} s");
            bus.emit(Event::CleaningWorker { worker: worker.clone(), why });
            if let Some(record) = record.filter(|_| context.retries_stuck_jobs()) {
                retry(context, &record).await?;
            }
        }
    }
    Ok(())
}

/// Failed -> queue, for a job that its worker took along: what `retry_stuck_jobs` asks for. A job that may have been
/// changed on its way through the worker's record stays, as does one whose task says that a crash is a failure, and one
/// that a rule of its task keeps out.
async fn retry(context: &Context, record: &Bytes) -> Result<(), StoreError> {
    let view = FailureView::parse(record);
    let (Some(payload), Some(queue)) = (&view.payload, &view.queue) else { return Ok(()) };
    let (Ok(job), Ok(queue)) = (PayloadView::parse(payload), QueueName::new(queue)) else { return Ok(()) };
    let registry = context.registry();
    let task = registry.get(&job.class);
    if task.is_some_and(|task| task.on_crash == Some(OnCrash::Fail)) {
        return Ok(());
    }
    let admissions = task.zip(Args::of(&job).ok()).map(|(task, args)| Chain::of(task).admissions(&queue, &args));
    let text = if view.is_bent() {
        format!("a stuck job of {} stays failed: its arguments may have been changed by its worker's record", job.class)
    } else {
        let retry = RetryFailed {
            record: record.clone(),
            queue: queue.clone(),
            payload: payload.clone(),
            admissions: admissions.unwrap_or_default(),
        };
        match context.store.run(retry).await? {
            Retried::Yes => format!("the job of {} goes back to queue {queue}: retry_stuck_jobs", job.class),
            Retried::Refused { plugin } => format!("a stuck job of {} stays failed: {plugin} refused", job.class),
            Retried::Gone => return Ok(()),
        }
    };
    context.bus.emit(Event::Warning { text });
    Ok(())
}
