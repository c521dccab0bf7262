//! Foreign workers (node-resque's) that stopped pinging: cleaned away as their own scheduler would,
//! but whole, and with the in-flight record that theirs leaves behind.

use std::time::Duration;

use super::Context;
use crate::event::Event;
use crate::job::Failure;
use crate::store::StoreError;
use crate::store::instance::InstanceState;

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
    for registered in store.registered().await? {
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
        if store.force_clean(worker, working, record.as_ref(), &[]).await? {
            let why = format!("it has not pinged for {silent_s} s");
            bus.emit(Event::CleaningWorker { worker: worker.clone(), why });
        }
    }
    Ok(())
}
