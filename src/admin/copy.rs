//! Moves everything that waits from one store to another, in batches, each item exactly once.
//!
//! The first store is emptied, so that no job can run in both. If a call is interrupted, the next call with the same
//! two stores continues where it stopped, or [`undo`] puts back what it left set aside.

use serde::Serialize;

use super::error::AdminError;
use crate::job::{Args, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::handle::Store;
use crate::store::inspection::{Pause, ReadPaused, Resume};
use crate::store::instance::{InstanceRecord, Instances};
use crate::store::moving::{
    Aside, Batch, Decline, Identify, LastAside, LetGo, PutBack, ReadAside, RenewSource, SetAside, TakeIn, TakeInTarget,
    TakenIn, Target, Waiting,
};
use crate::store::role::{May, Mover};
use crate::store::workers::RegisteredWorkers;
use crate::task::Registry;
use crate::text::clean::named;
use crate::text::shell::command;

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
    /// Pauses of queues, and of all queues. Left out of JSON if there were none.
    #[serde(skip_serializing_if = "is_zero")]
    pub pauses: u64,
    /// The source had fallen back to an older state, from which items had been moved already: at most so many of those
    /// moved now may be in the target twice. Left out of JSON if it had not.
    #[serde(skip_serializing_if = "is_zero")]
    pub may_be_twice: u64,
}

/// What an undo did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Undone {
    /// Items that were put back to their places in the source.
    pub put_back: u64,
    /// Items that the target had taken in before. They stay there.
    pub moved_before: u64,
    /// The source had fallen back to an older state: so many of the items that were put back may be in the target as well.
    /// Left out of JSON if it had not.
    #[serde(skip_serializing_if = "is_zero")]
    pub may_be_twice: u64,
}

/// What a store holds that is set aside for another one.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct AsideView {
    /// How many items.
    pub items: u64,
    /// The store for which they are set aside, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The command that finishes the move.
    pub finish: String,
    /// The command that puts them back.
    pub undo: String,
    /// All of it for people, or why it cannot be told.
    #[serde(skip)]
    pub text: String,
}

/// What is set aside in a store.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn aside<R: May<ReadAside>>(store: &Store<R>) -> Result<Option<AsideView>, AdminError> {
    let from = store.describe();
    let (aside, text) = match store.run(ReadAside).await {
        Ok(None) => return Ok(None),
        Ok(Some(aside)) => (aside.clone(), aside.text(from)),
        Err(error) if error.is_transient() => return Err(error.into()),
        // Foreign content in the records of moves keeps nobody from looking at the rest.
        Err(error) => (Aside { items: 0, target: None }, format!("failed to {error}, to look for items set aside")),
    };
    let (finish, undo) = aside.commands(from);
    Ok(Some(AsideView { items: aside.items, target: aside.target.map(|target| target.address), finish, undo, text }))
}

/// Moves everything that waits in `from` to `to`, and calls `progress` after each batch, and when it finds that `from` fell
/// back. `address` is how the command line
/// names `to`. The tasks of `registry` tell which locks move with a queued job, and which jobs are ticks of a periodic
/// task: of those one copy is enough.
///
/// # Errors
/// Refuses while an instance or a worker uses `from`, if both are the same store, while something is set aside for another
/// store, and while a copy the other way goes on. Fails when a store fails; what was moved stays moved, and the next call
/// continues.
pub async fn copy(
    from: &Store<Mover>,
    to: &Store<Mover>,
    address: &str,
    registry: &Registry,
    mut progress: impl FnMut(&Copied),
) -> Result<Copied, AdminError> {
    let (target, other_way) = identified(from, to, address).await?;
    refuse_while_used(from).await?;
    let paused = from.run(ReadPaused).await?;
    // Here nobody has seen anything of this copy, so that it is the one to end.
    other_way.refuse_if_under_way(from, to).await?;
    // Pauses go first, so that nothing runs there before somebody resumes it.
    let pauses: Vec<_> = paused.queues.into_iter().map(Some).chain(paused.all.then_some(None)).collect();
    for queue in &pauses {
        to.run(Pause { queue: queue.clone() }).await?;
    }
    let mut copied = Copied { pauses: pauses.len() as u64, ..Copied::default() };
    let mut may_be_twice = 0_u64;
    let (mut let_go, mut offered) = (None, None);
    loop {
        // Both may have begun together, and only one may end, or nobody would move anything.
        if other_way.here > target.id {
            other_way.refuse_if_under_way(from, to).await?;
        }
        let Some(batch) = from.run(SetAside { limit: BATCH, target: target.clone() }).await? else { break };
        refuse_another(from, &batch, &target)?;
        if let_go.as_ref() == Some(&batch.id) {
            return Err(AdminError::Changed { what: format!("what is set aside in {}", from.describe()) });
        }
        let targets = targets(&batch, registry);
        match to.run(TakeIn { batch: batch.clone(), targets: targets.clone() }).await? {
            // It is in `to` now, whether this call or an interrupted one put it there. `from` may forget it.
            TakenIn::Yes | TakenIn::Before => {
                from.run(LetGo { id: batch.id.clone() }).await?;
                copied.count(&batch);
                copied.may_be_twice = may_be_twice.min(copied.total());
                progress(&copied);
                let_go = Some(batch.id);
            }
            // An undo was interrupted. The items are offered again, as a new batch.
            TakenIn::Declined => {
                from.run(PutBack { batch, targets }).await?;
            }
            TakenIn::Conflict { last } => {
                // Another copy may have moved it and gone on meanwhile. If it still stands, the source fell back.
                if offered.as_ref() != Some(&batch.id) {
                    offered = Some(batch.id);
                    continue;
                }
                let batches = last.saturating_sub(batch.id.number).saturating_add(1);
                may_be_twice = may_be_twice.saturating_add(batches.saturating_mul(BATCH as u64));
                // It is told first: after this step nobody can know it any more.
                progress(&Copied { may_be_twice, ..copied });
                from.run(RenewSource { id: batch.id, fresh: InstanceRecord::new_id() }).await?;
            }
        }
    }
    for queue in pauses {
        from.run(Resume { queue }).await?;
    }
    Ok(copied)
}

/// Puts back what is set aside in `from` by a copy to `to` that was not finished. If `to` has taken it in, it stays there,
/// and `from` forgets it. Without `to` nobody is asked: if it was taken in, it stands in both stores.
///
/// # Errors
/// Refuses if both are the same store, and if it is set aside for another store. Fails when a store fails; may be repeated.
pub async fn undo(from: &Store<Mover>, to: Option<&Store<Mover>>, registry: &Registry) -> Result<Undone, AdminError> {
    let target = match to {
        Some(to) => Some(identified(from, to, to.describe()).await?.0),
        None => None,
    };
    let mut undone = Undone::default();
    if from.run(ReadAside).await?.is_none() {
        return Ok(undone);
    }
    let nobody = || Target { id: String::new(), address: String::new() };
    let aside = SetAside { limit: BATCH, target: target.clone().unwrap_or_else(nobody) };
    let Some(batch) = from.run(aside).await? else { return Ok(undone) };
    let answer = match to.zip(target) {
        Some((to, target)) => {
            refuse_another(from, &batch, &target)?;
            to.run(Decline { id: batch.id.clone() }).await?
        }
        None => TakenIn::Declined,
    };
    let items = batch.items.len() as u64;
    if matches!(answer, TakenIn::Yes | TakenIn::Before) {
        from.run(LetGo { id: batch.id }).await?;
        undone.moved_before = items;
    } else if from.run(PutBack { targets: targets(&batch, registry), batch }).await? {
        undone.put_back = items;
        undone.may_be_twice = if matches!(answer, TakenIn::Conflict { .. }) { items } else { 0 };
    }
    Ok(undone)
}

/// Who the target is, and what it moved back so far. Refuses if it is the source under another address.
async fn identified(from: &Store<Mover>, to: &Store<Mover>, address: &str) -> Result<(Target, OtherWay), AdminError> {
    let fresh = InstanceRecord::new_id;
    loop {
        let mark = Some(fresh());
        from.run(Identify { fresh: fresh(), mark: mark.clone() }).await?;
        let target = to.run(Identify { fresh: fresh(), mark: None }).await?;
        if target.mark == mark {
            return Err(AdminError::SameStore { from: from.describe().to_owned(), to: to.describe().to_owned() });
        }
        // If another command wrote its mark in between, nothing is proven yet.
        let source = from.run(Identify { fresh: fresh(), mark: None }).await?;
        if source.mark == mark {
            let other_way = OtherWay { here: source.id, before: target.last };
            return Ok((Target { id: target.id, address: address.to_owned() }, other_way));
        }
    }
}

/// Copies from the target back to the source. Two that go on at once would move the same jobs round and round.
struct OtherWay {
    /// The id of the source.
    here: String,
    /// The batch that the target had set aside last when this copy began, for whatever store.
    before: Option<LastAside>,
}

impl OtherWay {
    /// Refuses if the target has set aside a batch for the source since this copy began.
    async fn refuse_if_under_way(&self, from: &Store<Mover>, to: &Store<Mover>) -> Result<(), AdminError> {
        let last = to.run(Identify { fresh: InstanceRecord::new_id(), mark: None }).await?.last;
        if last == self.before || last.is_none_or(|last| last.target.id != self.here) {
            return Ok(());
        }
        let (from, to) = (from.describe(), to.describe());
        let (other, this) = (command("store copy", &[to, from]), command("store copy", &[from, to]));
        Err(AdminError::Busy {
            what: format!(
                "another copy moves jobs the other way at this time ({other}), and both together would move them round and \
                 round; this one ends. When the other has ended, look where the jobs are, and if they are to go the other \
                 way: {this}"
            ),
        })
    }
}

async fn refuse_while_used(from: &Store<Mover>) -> Result<(), AdminError> {
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
            "the worker {worker} has a job of the store to be emptied: let it end, or workers force-clean it",
            worker = named(&worker)
        )));
    }
    Ok(())
}

/// Refuses a batch that is set aside for another store, because that may have taken it in.
fn refuse_another(from: &Store<Mover>, batch: &Batch, target: &Target) -> Result<(), AdminError> {
    if batch.target.as_ref().is_none_or(|named| named.id == target.id) {
        return Ok(());
    }
    let aside = Aside { items: batch.items.len() as u64, target: batch.target.clone() };
    let (from, to) = (from.describe(), batch.target.as_ref().map_or("", |named| &named.address));
    let another = if to == target.address {
        "the store at this address is another one now, or was emptied; if the first is lost".to_owned()
    } else {
        format!("another store is named now; if {to} is lost")
    };
    let undo = command("store copy --undo", &[from]);
    Err(AdminError::Busy { what: format!("{}; {another}: {undo}", aside.text(from)) })
}

fn targets(batch: &Batch, registry: &Registry) -> Vec<TakeInTarget> {
    batch.items.iter().map(|item| target(item, registry)).collect()
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Copied {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queued + self.delayed + self.failed + self.periodic
    }

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
