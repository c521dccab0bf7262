//! Names of keys: built here and nowhere else.
//!
//! The shared ones are node-resque's, byte for byte; private ones stand under `<ns>:windlass:`, so
//! that no other program's scan meets them. Lock keys and `timestamps:` keys hold raw bytes.
//!
//! Longer than 400 lines because every key that there is has its line here, so that no other file spells one.

use bytes::{BufMut, Bytes, BytesMut};

use crate::job::{ClaimToken, LockKey, QueueName, WorkerName};
use crate::store::history::HistoryStep;
use crate::store::runs::RunList;
use crate::store::scheduling::Leadership;

/// The keys of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    namespace: Box<str>,
}

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into() }
    }

    fn join(&self, parts: &[&[u8]]) -> Bytes {
        let length = self.namespace.len() + parts.iter().map(|part| part.len() + 1).sum::<usize>();
        let mut key = BytesMut::with_capacity(length);
        key.put_slice(self.namespace.as_bytes());
        for part in parts {
            key.put_u8(b':');
            key.put_slice(part);
        }
        key.freeze()
    }

    /// A key by its name within the namespace.
    pub(super) fn named(&self, name: &str) -> Bytes {
        self.join(&[name.as_bytes()])
    }

    /// What was done under a key that the caller of an enqueue chose.
    pub(super) fn mark(&self, key: &str) -> Bytes {
        self.join(&[b"windlass", b"idem", key.as_bytes()])
    }

    pub(super) fn queues(&self) -> Bytes {
        self.join(&[b"queues"])
    }

    pub(super) fn queue(&self, queue: &QueueName) -> Bytes {
        self.join(&[b"queue", queue.as_str().as_bytes()])
    }

    /// The list of a queue of any name.
    pub(super) fn queue_of(&self, name: &[u8]) -> Bytes {
        self.join(&[b"queue", name])
    }

    /// What precedes the name in the key of a queue.
    pub(super) fn queue_prefix(&self) -> Bytes {
        self.join(&[b"queue", b""])
    }

    /// How many bytes of a queue's key precede its name.
    pub(super) fn queue_prefix_len(&self) -> usize {
        self.namespace.len() + ":queue:".len()
    }

    pub(super) fn schedule(&self) -> Bytes {
        self.join(&[b"delayed_queue_schedule"])
    }

    pub(super) fn delayed(&self, second: i64) -> Bytes {
        self.join(&[b"delayed", second.to_string().as_bytes()])
    }

    /// The list of an entry of the schedule, also of one that names no second.
    pub(super) fn delayed_at(&self, entry: &[u8]) -> Bytes {
        self.join(&[b"delayed", entry])
    }

    /// What precedes the second in the key of its list.
    pub(super) fn delayed_prefix(&self) -> Bytes {
        self.join(&[b"delayed", b""])
    }

    pub(super) fn timestamps(&self, payload: &[u8]) -> Bytes {
        self.join(&[b"timestamps", payload])
    }

    pub(super) fn workers(&self) -> Bytes {
        self.join(&[b"workers"])
    }

    pub(super) fn working(&self, worker: &WorkerName) -> Bytes {
        self.join(&[b"worker", worker.id().as_bytes()])
    }

    /// What precedes the worker's id in the key of its working record.
    pub(super) fn working_prefix(&self) -> Bytes {
        self.join(&[b"worker", b""])
    }

    /// Hash: a Ruby worker -> its last heartbeat.
    pub(super) fn heartbeats(&self) -> Bytes {
        self.join(&[b"workers", b"heartbeat"])
    }

    /// The key that node-resque's force-clean takes for that of the working record. It is another.
    pub(super) fn working_by_name(&self, name: &str) -> Bytes {
        self.join(&[b"worker", name.as_bytes()])
    }

    pub(super) fn started(&self, worker: &WorkerName) -> Bytes {
        self.join(&[b"worker", worker.id().as_bytes(), b"started"])
    }

    pub(super) fn ping(&self, name: &str) -> Bytes {
        self.join(&[b"worker", b"ping", name.as_bytes()])
    }

    pub(super) fn processed(&self) -> Bytes {
        self.join(&[b"stat", b"processed"])
    }

    pub(super) fn processed_by(&self, name: &str) -> Bytes {
        self.join(&[b"stat", b"processed", name.as_bytes()])
    }

    pub(super) fn failures(&self) -> Bytes {
        self.join(&[b"stat", b"failed"])
    }

    pub(super) fn failures_of(&self, name: &str) -> Bytes {
        self.join(&[b"stat", b"failed", name.as_bytes()])
    }

    pub(super) fn failed(&self) -> Bytes {
        self.join(&[b"failed"])
    }

    /// The birth mark of the store.
    pub(super) fn birth(&self) -> Bytes {
        self.private(b"birth")
    }

    pub(super) fn leadership(&self, which: Leadership) -> Bytes {
        match which {
            Leadership::Scheduler => self.join(&[b"resque_scheduler_leader_lock"]),
            Leadership::Duties => self.private(b"duties_leader"),
        }
    }

    /// The leader lock of resque-scheduler, which puts the namespace before a key that has it already.
    pub(super) fn ruby_leadership(&self) -> Bytes {
        self.join(&[self.namespace.as_bytes(), b"resque_scheduler_master_lock"])
    }

    /// node-resque prefixes the lock keys it computes, and uses a key that a task chose as it stands.
    pub(super) fn lock(&self, key: &LockKey) -> Bytes {
        match key {
            LockKey::Namespaced(key) => self.join(&[key.as_bytes()]),
            LockKey::Verbatim(key) => Bytes::copy_from_slice(key.as_bytes()),
        }
    }

    /// What says that a JobLock is held, also after the lock lapsed (`locks.lua`).
    pub(super) fn lock_shadow(&self, key: &LockKey) -> Bytes {
        self.join(&[b"windlass:held", &self.lock(key)])
    }

    /// What precedes the name within a key.
    pub(super) fn prefix(&self) -> Bytes {
        self.join(&[b""])
    }

    /// What every key begins with, as text.
    pub(super) fn namespace_prefix(&self) -> String {
        format!("{}:", self.namespace)
    }

    fn private(&self, name: &[u8]) -> Bytes {
        self.join(&[b"windlass", name])
    }

    /// Hash: queue and raw bytes -> who the job is. It has a second key (`identity.lua`).
    pub(super) fn identity(&self) -> Bytes {
        self.private(b"identity")
    }

    /// Hash: periodic task -> its entry.
    pub(super) fn periodic(&self) -> Bytes {
        self.private(b"periodic")
    }

    /// Hash: queue -> how many jobs left it. It has a second key (`departed.lua`).
    pub(super) fn departed(&self) -> Bytes {
        self.private(b"departed")
    }

    /// Hash: queue -> its curve, for the next leader.
    pub(super) fn arrivals(&self) -> Bytes {
        self.private(b"arrivals")
    }

    /// The leader's last sample.
    pub(super) fn snapshot(&self) -> Bytes {
        self.private(b"snapshot")
    }

    /// Stands for a while after somebody looked at the samples.
    pub(super) fn watched(&self) -> Bytes {
        self.private(b"watched")
    }

    /// Set: queues that are paused.
    pub(super) fn paused(&self) -> Bytes {
        self.private(b"paused")
    }

    /// Ruby's switch: `true` pauses every worker.
    pub(super) fn pause_all(&self) -> Bytes {
        self.join(&[b"pause-all-workers"])
    }

    /// Hash: schedule -> its last occurrence.
    pub(super) fn schedules(&self) -> Bytes {
        self.private(b"schedules")
    }

    /// List: the last finished runs of a task, or of a `[[schedule]]`.
    pub(super) fn runs(&self, list: &RunList) -> Bytes {
        self.runs_called(list, list.name())
    }

    /// String: what a job led to.
    pub(super) fn result(&self, job: &str) -> Bytes {
        self.join(&[b"windlass", b"result", job.as_bytes()])
    }

    /// String: what is known of a job that is tracked.
    pub(super) fn tracked(&self, job: &str) -> Bytes {
        self.join(&[b"windlass", b"track", job.as_bytes()])
    }

    /// What precedes the name in [`runs`](Self::runs).
    pub(super) fn runs_prefix(&self, list: &RunList) -> Bytes {
        self.runs_called(list, "")
    }

    fn runs_called(&self, list: &RunList, name: &str) -> Bytes {
        let kind: &[u8] = match list {
            RunList::Task(_) => b"runs",
            RunList::Schedule(_) => b"schedule_runs",
        };
        self.join(&[b"windlass", kind, name.as_bytes()])
    }

    /// This key never exists: scripts delete it to test whether they may delete.
    pub(super) fn nothing(&self) -> Bytes {
        self.private(b"nothing")
    }

    /// A key to test commands on.
    pub(super) fn probe(&self) -> Bytes {
        self.private(b"probe")
    }

    /// List: what is set aside for a move to another store, four members an item.
    pub(super) fn outbox(&self) -> Bytes {
        self.private(b"outbox")
    }

    /// Hash: who this store is in moves, and the number of its last batch.
    pub(super) fn moving(&self) -> Bytes {
        self.private(b"moving")
    }

    /// Hash: store -> the last batch taken in from it.
    pub(super) fn moved(&self) -> Bytes {
        self.private(b"moved")
    }

    /// Hash: instance -> its registration.
    pub(super) fn instances(&self) -> Bytes {
        self.private(b"instances")
    }

    /// Hash: instance -> its lease counter.
    pub(super) fn leases(&self) -> Bytes {
        self.private(b"leases")
    }

    /// Hash: claim of this instance -> what people wish of its run.
    pub(super) fn wishes(&self, instance: &str) -> Bytes {
        self.join(&[b"windlass", b"wishes", instance.as_bytes()])
    }

    /// Hash: claim of this instance -> how far its run is.
    pub(super) fn progress(&self, instance: &str) -> Bytes {
        self.join(&[b"windlass", b"progress", instance.as_bytes()])
    }

    /// Strings that heartbeats of the instance write in turns; what they hold means nothing.
    pub(super) fn beats(&self, instance: &str) -> [Bytes; 2] {
        [b"0", b"1"].map(|which| self.join(&[b"windlass", b"beat", instance.as_bytes(), which]))
    }

    /// String: what is shown of this claim's run while somebody watches it.
    pub(super) fn tail(&self, claim: &ClaimToken) -> Bytes {
        self.join(&[b"windlass", b"tail", claim.as_str().as_bytes()])
    }

    /// String: how far an operation on many failed jobs is.
    pub(super) fn operation(&self, id: &str) -> Bytes {
        self.join(&[b"windlass", b"op", id.as_bytes()])
    }

    /// List: what people changed, the newest first.
    pub(super) fn audit(&self) -> Bytes {
        self.private(b"audit")
    }

    /// Hash: an instance's name -> the instance that holds it.
    pub(super) fn names(&self) -> Bytes {
        self.private(b"names")
    }

    /// Set: jobs that stand more than once in a delayed second.
    pub(super) fn twins(&self, second: i64) -> Bytes {
        self.join(&[b"windlass", b"twins", second.to_string().as_bytes()])
    }

    /// What precedes the second in [`twins`](Self::twins).
    pub(super) fn twins_prefix(&self) -> Bytes {
        self.join(&[b"windlass", b"twins", b""])
    }

    /// What precedes the step and the minute in the key of a bucket of history.
    pub(super) fn history(&self) -> Bytes {
        self.private(b"h")
    }

    /// Hash: task -> what ran in a minute, ten minutes or an hour (`history.lua`).
    pub(super) fn history_bucket(&self, step: HistoryStep, minute: i64) -> Bytes {
        let name = match step {
            HistoryStep::Minute => format!("h:{minute}"),
            HistoryStep::TenMinutes => format!("h10:{minute}"),
            HistoryStep::Hour => format!("h60:{minute}"),
        };
        self.private(name.as_bytes())
    }

    /// Hash: lane -> last sequence and its small reply; `ran` -> the last counts taken.
    pub(super) fn lane(&self, instance: &str) -> Bytes {
        self.join(&[b"windlass", b"lane", instance.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::own_keys::is_own;

    #[test]
    fn keys_are_spelt_as_node_resque_spells_them() {
        let keys = Keys::new("resque");
        let worker = WorkerName::parse("vm-windlass:7+1:math,other");
        assert_eq!(keys.queue(&QueueName::as_stored("a:b")), "resque:queue:a:b");
        assert_eq!(keys.delayed(-1), "resque:delayed:-1");
        assert_eq!(keys.timestamps(b"{\xff}"), &b"resque:timestamps:{\xff}"[..]);
        assert_eq!(keys.working(&worker), "resque:worker:vm-windlass:7+1:math,other");
        assert_eq!(keys.started(&worker), "resque:worker:vm-windlass:7+1:math,other:started");
        assert_eq!(keys.ping(worker.name()), "resque:worker:ping:vm-windlass:7+1");
        assert_eq!(keys.processed_by(worker.name()), "resque:stat:processed:vm-windlass:7+1");
        assert_eq!(keys.lock(&LockKey::queue_lock("add", "math", "[1,2]")), "resque:lock:add:math:[1,2]");
        assert_eq!(keys.lock(&LockKey::Verbatim("mine".into())), "mine");
        assert_eq!(keys.ruby_leadership(), "resque:resque:resque_scheduler_master_lock");
        assert_eq!(keys.lane("00ff"), "resque:windlass:lane:00ff");
        assert_eq!(keys.beats("00ff"), ["resque:windlass:beat:00ff:0", "resque:windlass:beat:00ff:1"]);
    }

    #[test]
    fn what_the_engine_keeps_is_never_taken_for_a_lock() {
        let keys = Keys::new("resque");
        let worker = WorkerName::parse("vm-windlass:7+1:math,other");
        let retry = crate::job::RetryKeys::of_job(br#"{"class":"c","args":[1]}"#).expect("it is a job");
        let known =
            [keys.queues(), keys.schedule(), keys.workers(), keys.heartbeats(), keys.failed(), keys.pause_all()];
        let named =
            [keys.queue(&QueueName::as_stored("a")), keys.delayed(7), keys.timestamps(b"{}"), keys.working(&worker)];
        let counts = [keys.processed(), keys.failures_of(worker.name()), keys.ping(worker.name()), keys.birth()];
        let leaders =
            [keys.leadership(Leadership::Scheduler), keys.leadership(Leadership::Duties), keys.ruby_leadership()];
        let shadow = keys.lock_shadow(&LockKey::queue_lock("add", "math", "[1,2]"));
        let others = [shadow, keys.named(&retry.counter), keys.named(&retry.failure)];
        for own in known.iter().chain(&named).chain(&counts).chain(&leaders).chain(&others) {
            let name = std::str::from_utf8(&own["resque:".len()..]).expect("it is a text");
            assert!(is_own(name, "resque"), "{name}");
        }
        for free in ["lock:add:math:[1,2]", "workerslock:add:math:[1,2]", "mine", "failed-imports", "queues2"] {
            assert!(!is_own(free, "resque"), "{free}");
        }
    }
}
