//! Moves everything that waits from one store to another, in batches, each item exactly once.
//!
//! The first store is emptied, so that no job can run in both. If a call is interrupted, the next call with the same
//! two stores continues where it stopped.

use serde::Serialize;

use super::error::AdminError;
use crate::job::{Args, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::handle::Store;
use crate::store::instance::Instances;
use crate::store::moving::{Batch, LetGo, SetAside, TakeIn, TakeInTarget, Waiting};
use crate::store::role::Mover;
use crate::store::workers::RegisteredWorkers;
use crate::task::Registry;

/// The largest number of items that one step moves. It bounds how long a step blocks either store.
const BATCH: usize = 250;

/// How many items were moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Copied {
    /// Jobs that were on queues.
    pub queued: u64,
    /// Delayed jobs.
    pub delayed: u64,
    /// Failed jobs.
    pub failed: u64,
    /// Periodic tasks.
    pub periodic: u64,
}

/// Moves everything that waits in `from` to `to`, and calls `progress` after each batch. The tasks of
/// `registry` tell which locks move with a queued job, and which jobs are ticks of a periodic task: of those one copy is
/// enough.
///
/// # Errors
/// Refuses while an instance or a worker uses `from`. Fails when a store fails; what was moved stays moved, and the next
/// call continues.
pub async fn copy(
    from: &Store<Mover>,
    to: &Store<Mover>,
    registry: &Registry,
    mut progress: impl FnMut(&Copied),
) -> Result<Copied, AdminError> {
    let busy = |what: String| AdminError::Busy { what };
    if let Some(state) = from.run(Instances).await?.first() {
        return Err(busy(format!(
            "the instance {} is registered on the store to be emptied: stop it; if it crashed, start a daemon there \
             once, which recovers its jobs, and stop that",
            state.record.name
        )));
    }
    if let Some(working) =
        from.run(RegisteredWorkers).await?.into_iter().find(|registered| registered.working.is_some())
    {
        let worker = working.worker;
        return Err(busy(format!(
            "the worker {worker} has a job of the store to be emptied: let it end, or workers force-clean it"
        )));
    }
    let mut copied = Copied::default();
    while let Some(batch) = from.run(SetAside { limit: BATCH }).await? {
        let targets: Vec<TakeInTarget> = batch.items.iter().map(|item| target(item, registry)).collect();
        // The batch is in `to` now, whether this call or an interrupted one put it there. `from` may forget it.
        to.run(TakeIn { batch: batch.clone(), targets }).await?;
        from.run(LetGo { number: batch.number }).await?;
        copied.count(&batch);
        progress(&copied);
    }
    Ok(copied)
}

/// How an item is taken in.
fn target(item: &Waiting, registry: &Registry) -> TakeInTarget {
    let (payload, queue) = match item {
        Waiting::Queued { payload, queue, .. } => (payload, Some(queue)),
        Waiting::Delayed { payload, .. } => (payload, None),
        Waiting::Failed { .. } | Waiting::Periodic(_) | Waiting::Fired { .. } | Waiting::Counted { .. } => {
            return TakeInTarget::default();
        }
    };
    let Ok(view) = PayloadView::parse(payload) else { return TakeInTarget::default() };
    let Some(task) = registry.get(&view.class) else { return TakeInTarget::default() };
    let chain = Chain::of(task);
    let lock = |queue: &QueueName| chain.queue_lock(queue, &Args::of(&view).ok()?);
    TakeInTarget { lock: queue.and_then(lock), once: chain.is_tick(&view) }
}

impl Copied {
    fn count(&mut self, batch: &Batch) {
        for item in &batch.items {
            match item {
                Waiting::Queued { .. } => self.queued += 1,
                Waiting::Delayed { .. } => self.delayed += 1,
                Waiting::Failed { .. } => self.failed += 1,
                Waiting::Periodic(_) => self.periodic += 1,
                Waiting::Fired { .. } | Waiting::Counted { .. } => {}
            }
        }
    }
}
