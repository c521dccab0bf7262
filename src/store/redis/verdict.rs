//! The parameters of `verdict.lua`, which exchange and recover share.

use bytes::Bytes;

use super::keys::Keys;
use super::runs;
use super::script::Call;
use crate::job::queue_member::with_queue;
use crate::job::{Identity, LockKey, QueueName, RetryKeys, WorkerName};
use crate::store::effect::{Next, Occurrence, Tick, Verdict};
use crate::store::queueing::Settlement;
use crate::store::runs::KeepRun;

/// The keys that `places.lua` reads.
pub(super) fn places(call: &mut Call, keys: &Keys) {
    call.key(keys.schedule()).key(keys.delayed_prefix()).key(keys.identity()).key(keys.periodic());
    call.key(keys.queues()).key(keys.failed()).key(keys.processed()).key(keys.failures());
    call.key(keys.twins_prefix());
}

/// The letter of a claim that is done and not counted in its worker's statistic now.
pub(super) const NOTED: u8 = b'N';

/// The letter of a claim that is done and counted, without locks or a tick.
pub(super) const DONE: u8 = b'D';

/// What `verdict.lua` reads for one claim.
pub(super) struct Ending<'a> {
    pub(super) worker: &'a WorkerName,
    pub(super) queue: &'a QueueName,
    pub(super) payload: &'a Bytes,
    pub(super) verdict: &'a Verdict,
    pub(super) free: &'a [LockKey],
    pub(super) tick: Option<&'a Tick>,
    pub(super) run: Option<&'a KeepRun>,
    /// About when the script runs ([`Connection::about_ms`](super::connection::Connection::about_ms)).
    pub(super) about_ms: i64,
    /// For a job that is done: its worker's statistic, and how much is added to it.
    pub(super) counted: Option<(Bytes, u32)>,
}

/// The bytes under which a job of this queue is delayed, and where their stamps stand.
pub(super) fn put_off(call: &mut Call, keys: &Keys, payload: &Bytes, queue: &QueueName) {
    let payload = with_queue(payload, queue.as_str());
    call.key(keys.timestamps(&payload)).arg(payload);
}

impl<'a> Ending<'a> {
    pub(super) fn of(settlement: &'a Settlement) -> Self {
        let Settlement { worker, claim: _, queue, payload, verdict, free, tick, run } = settlement;
        let (tick, run) = (tick.as_ref(), run.as_deref());
        Self { worker, queue, payload, verdict, free, tick, run, about_ms: 0, counted: None }
    }

    fn has_extras(&self) -> bool {
        !self.free.is_empty() || self.tick.is_some() || self.run.is_some()
    }

    /// The letter of its verdict; lower case if locks, a tick or a run follow.
    pub(super) fn op(&self) -> u8 {
        let letter = match self.verdict {
            Verdict::Done => DONE,
            Verdict::DoneAtLast { .. } => b'C',
            Verdict::Vetoed { .. } => b'V',
            Verdict::Attempted(_) => b'R',
            Verdict::Failed { .. } => b'F',
            Verdict::Delayed { .. } => b'L',
            Verdict::Requeued { .. } => b'Q',
        };
        if self.has_extras() { letter.to_ascii_lowercase() } else { letter }
    }

    fn put_off(&self, call: &mut Call, keys: &Keys) {
        put_off(call, keys, self.payload, self.queue);
    }

    pub(super) fn write(&self, call: &mut Call, keys: &Keys) {
        let extras = self.has_extras();
        if extras {
            call.number(self.free.len());
            for lock in self.free {
                call.key(keys.lock(lock)).key(keys.lock_shadow(lock));
            }
        }
        match self.verdict {
            Verdict::Done => {
                let (stat, count) = self.counted.clone().unwrap_or_else(|| (keys.processed_by(self.worker.name()), 1));
                call.key(stat).number(count);
            }
            Verdict::DoneAtLast { keys: retry } => {
                call.key(keys.processed_by(self.worker.name()));
                call.key(keys.named(&retry.counter)).key(keys.named(&retry.failure));
            }
            Verdict::Vetoed { retry } => retry_keys(call, keys, retry.as_ref()),
            Verdict::Attempted(retry) => {
                let name = self.worker.name();
                call.key(keys.processed_by(name)).key(keys.failures_of(name));
                call.key(keys.named(&retry.keys.counter)).key(keys.named(&retry.keys.failure));
                self.put_off(call, keys);
                call.text(self.queue.as_str()).arg(encoded(&retry.identity)).arg(retry.last_error.clone());
                call.number(retry.attempts).number(retry.kept_s()).number(retry.delays_ms.len());
                for delay in &retry.delays_ms {
                    call.number(delay);
                }
                call.flag(retry.last.is_some());
                if let Some(record) = &retry.last {
                    call.arg(record.clone());
                }
            }
            Verdict::Failed { record } => {
                call.key(keys.failures_of(self.worker.name())).arg(record.clone());
            }
            Verdict::Delayed { delay_ms, identity } => {
                self.put_off(call, keys);
                call.number(delay_ms);
                call.text(self.queue.as_str()).arg(encoded(identity));
            }
            Verdict::Requeued { identity } => {
                call.key(keys.queue(self.queue)).arg(self.payload.clone());
                call.text(self.queue.as_str()).arg(encoded(identity));
            }
        }
        if extras {
            call.literal(match (self.tick, self.run) {
                (None, None) => "",
                (Some(_), None) => "T",
                (None, Some(_)) => "R",
                (Some(_), Some(_)) => "TR",
            });
            if let Some(tick) = self.tick {
                the_tick(call, keys, tick, self.about_ms);
            }
            if let Some(run) = self.run {
                runs::keep(call, keys, run);
            }
        }
    }
}

/// Whether keys of Retry follow, and the keys.
pub(super) fn retry_keys(call: &mut Call, keys: &Keys, retry: Option<&RetryKeys>) {
    call.flag(retry.is_some());
    if let Some(RetryKeys { counter, failure }) = retry {
        call.key(keys.named(counter)).key(keys.named(failure));
    }
}

/// A number of locks and their keys.
pub(super) fn locks(call: &mut Call, keys: &Keys, locks: &[LockKey]) {
    call.number(locks.len());
    for lock in locks {
        call.key(keys.lock(lock));
    }
}

/// Whether a tick follows, and the tick.
pub(super) fn tick(call: &mut Call, keys: &Keys, tick: Option<&Tick>, about_ms: i64) {
    call.flag(tick.is_some());
    if let Some(tick) = tick {
        the_tick(call, keys, tick, about_ms);
    }
}

/// The tick.
pub(super) fn the_tick(call: &mut Call, keys: &Keys, tick: &Tick, about_ms: i64) {
    call.key(keys.timestamps(&tick.payload)).text(tick.task.as_str());
    cadence(call, &tick.next, about_ms);
    call.text(tick.queue.as_str()).arg(tick.payload.clone()).flag(tick.halt).flag(tick.beside);
    call.key(keys.queue(&tick.queue)).flag(tick.lock.is_some());
    if let Some((lock, ttl_s)) = &tick.lock {
        call.key(keys.lock(lock)).number(ttl_s);
    }
}

/// What `cadence.lua` reads. It cannot compute occurrences, and gets those around the time at which it runs.
pub(super) fn cadence(call: &mut Call, next: &Next, about_ms: i64) {
    match next {
        Next::Every { seconds } => {
            call.number((*seconds).max(1));
        }
        Next::At { calendar } => {
            let occurrences = calendar.around(about_ms);
            call.literal("0").number(occurrences.len());
            for Occurrence { due_s, second } in occurrences {
                call.number(due_s).number(second);
            }
        }
    }
}

/// Do scripts need occurrences of these ticks, and so the time?
pub(super) fn asks_calendars<'a>(mut ticks: impl Iterator<Item = &'a Tick>) -> bool {
    ticks.any(|tick| matches!(tick.next, Next::At { .. }))
}

pub(super) fn encoded(identity: &Identity) -> Bytes {
    Bytes::from(identity.encode())
}
