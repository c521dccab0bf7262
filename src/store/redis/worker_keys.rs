//! What the scripts about workers read and write of each.

use bytes::Bytes;

use super::keys::Keys;
use super::script::Call;
use crate::job::WorkerName;
use crate::job::ecma::quote;

/// A number of workers, and what `members.lua` reads of each.
pub(super) fn members(call: &mut Call, keys: &Keys, workers: &[WorkerName]) {
    call.number(workers.len());
    for worker in workers {
        member(call, keys, worker);
    }
}

/// What `members.lua` reads of a worker.
pub(super) fn member(call: &mut Call, keys: &Keys, worker: &WorkerName) {
    let name = worker.name();
    call.key(keys.working(worker)).key(keys.started(worker)).key(keys.ping(name));
    call.key(keys.processed_by(name)).key(keys.failures_of(name));
    call.text(worker.id()).arg(ping_tail(worker));
}

/// A worker's ping from its name on; the script writes the time in front.
pub(super) fn ping_tail(worker: &WorkerName) -> Bytes {
    let queues = worker.queues().unwrap_or_default();
    Bytes::from(format!(",\"name\":{},\"queues\":{}}}", quote(worker.name()), quote(queues)))
}
