//! The leader's last sample of the store, as one JSON document that everybody reads: command line, server, metrics.
//!
//! It is bounded. Of more queues than [`MOST_QUEUES`] those that hold jobs come first, the others are only counted.

use serde::{Deserialize, Serialize};

use crate::curve::{Age, Flow, WAIT_BOUNDS_MS};

/// How many queues a snapshot tells at most.
pub const MOST_QUEUES: usize = 1000;

/// The version that this program writes and reads.
const VERSION: u32 = 1;

/// How late the next one may be.
const LATE_MS: i64 = 5_000;

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    /// When the queues were sampled, by the store's time, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By when the leader meant to publish the next one.
    pub next_ms: i64,
    /// Who sampled: the name of the instance.
    pub leader: String,
    /// All jobs that succeeded so far.
    pub processed: u64,
    /// All jobs that failed so far.
    pub failures: u64,
    /// Numbers of the store, which are read less often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<TotalsGauge>,
    /// The queues, those that hold jobs first.
    pub queues: Vec<QueueGauge>,
    /// How many queues are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u64,
    /// How many jobs they hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_jobs: u64,
}

/// Numbers of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsGauge {
    /// When they were read.
    pub at_ms: i64,
    /// The length of the failed list.
    pub failed: u64,
    /// The seconds for which jobs are delayed.
    pub delayed_seconds: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_delayed_s: Option<i64>,
    /// All queues are paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_paused: bool,
    /// The registered instances.
    pub instances: u64,
    /// Who holds the leadership of promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoter: Option<String>,
    /// How many keys the server removed because its memory was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted: Option<u64>,
    /// The memory that the store uses, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The memory that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_most: Option<u64>,
}

/// What is known of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueGauge {
    /// Its name.
    pub queue: String,
    /// Its jobs.
    pub jobs: u64,
    /// At least so old is the oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// At most so old, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_most_ms: Option<u64>,
    /// The age is for how long the same bytes stood at the head: equal jobs behind each other make it too high.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stood: bool,
    /// How many jobs came in the last minute.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub arrived_per_minute: Option<u64>,
    /// How many went in the last minute.
    #[serde(default, rename = "out", skip_serializing_if = "Option::is_none")]
    pub departed_per_minute: Option<u64>,
    /// What was counted, as long as a minute is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// When it is empty if that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_in_ms: Option<u64>,
    /// How many jobs came since they are counted.
    pub arrived: i64,
    /// How many went.
    pub departed: i64,
    /// It was paused when the totals were read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// How many of the jobs that went waited for at most each of [`WAIT_BOUNDS_MS`] and not for the one before, then the rest;
    /// since this leader began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<u64>,
    /// How long they waited together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waits_ms: u64,
}

/// What came and went in less than a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// In how long.
    pub over_ms: u64,
    /// How many jobs came.
    #[serde(rename = "in")]
    pub arrived: u64,
    /// How many went.
    #[serde(rename = "out")]
    pub departed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a snapshot cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableSnapshot {
    /// It is no snapshot.
    #[error("the snapshot of the queues is none: {0}")]
    Malformed(String),
    /// Another version wrote it.
    #[error("the snapshot of the queues has version {0}, and this program reads version {VERSION}")]
    OtherVersion(u32),
}

impl Snapshot {
    /// A snapshot of this moment without queues.
    #[must_use]
    pub fn new(at_ms: i64, next_ms: i64, leader: String) -> Self {
        Self { version: VERSION, at_ms, next_ms, leader, ..Self::default() }
    }

    /// The bytes that [`read`](Self::read) reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a snapshot, which any program may have written.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, UnreadableSnapshot> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |error: serde_json::Error| UnreadableSnapshot::Malformed(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(UnreadableSnapshot::OtherVersion(version));
        }
        let mut read: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        read.queues.truncate(MOST_QUEUES);
        read.queues.iter_mut().for_each(|queue| queue.waits.truncate(WAIT_BOUNDS_MS.len() + 1));
        Ok(read)
    }

    /// How old it is. None of the future: a clock was set back.
    #[must_use]
    pub fn age_ms(&self, now_ms: i64) -> Option<u64> {
        u64::try_from(now_ms.checked_sub(self.at_ms)?).ok()
    }

    /// Does it tell of the present? If not, nobody leads, or the leader cannot sample.
    #[must_use]
    pub fn is_fresh(&self, now_ms: i64) -> bool {
        self.age_ms(now_ms).is_some() && now_ms.saturating_sub(self.next_ms) <= LATE_MS
    }
}

impl QueueGauge {
    /// Takes over what the curve tells.
    #[must_use]
    pub fn with(mut self, age: Option<Age>, flow: Option<Flow>) -> Self {
        if let Some(Age { at_least_ms, at_most_ms, stood }) = age {
            (self.age_ms, self.age_most_ms, self.stood) = (Some(at_least_ms), at_most_ms, stood);
        }
        if let Some(flow) = flow {
            (self.arrived_per_minute, self.departed_per_minute) = (flow.in_per_minute(), flow.out_per_minute());
            let Flow { over_ms, arrived, departed } = flow;
            self.counted = (!flow.is_a_minute()).then_some(Counted { over_ms, arrived, departed });
            self.empty_in_ms = flow.empty_in_ms(self.jobs).filter(|_| self.jobs > 0);
        }
        self
    }

    /// The age of the oldest job.
    #[must_use]
    pub fn age(&self) -> Option<Age> {
        let at_most_ms = self.age_most_ms;
        self.age_ms.map(|at_least_ms| Age { at_least_ms, at_most_ms, stood: self.stood })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let flow = Flow { over_ms: 60_000, arrived: 12, departed: 30 };
        let age = Age { at_least_ms: 40_000, at_most_ms: Some(41_000), stood: false };
        let mail =
            QueueGauge { queue: "mail".to_owned(), jobs: 36, arrived: 4711, departed: 4675, ..QueueGauge::default() };
        let mail = mail.with(Some(age), Some(flow));
        Snapshot { queues: vec![mail], ..Snapshot::new(1_800_000_000_000, 1_800_000_001_000, "web-1".to_owned()) }
    }

    #[test]
    fn what_is_written_is_read() {
        let snapshot = snapshot();
        let text = String::from_utf8(snapshot.encode()).unwrap();
        assert!(
            text.contains(r#""queue":"mail","jobs":36,"age_ms":40000,"age_most_ms":41000,"in":12,"out":30,"#),
            "{text}"
        );
        assert!(text.contains(r#""empty_in_ms":120000,"arrived":4711"#), "{text}");
        assert_eq!(Snapshot::read(text.as_bytes()), Ok(snapshot));
    }

    #[test]
    fn what_is_none_is_told() {
        let other = br#"{"version":2,"queues":"otherwise"}"#;
        assert_eq!(Snapshot::read(other), Err(UnreadableSnapshot::OtherVersion(2)));
        for bytes in [&b""[..], b"[]", b"{}", b"\xff", br#"{"version":1}"#] {
            assert!(matches!(Snapshot::read(bytes), Err(UnreadableSnapshot::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_snapshot_is_fresh_until_the_next_is_overdue() {
        let snapshot = snapshot();
        let at = |ms: i64| 1_800_000_000_000 + ms;
        assert!(snapshot.is_fresh(at(0)) && snapshot.is_fresh(at(6000)));
        assert!(!snapshot.is_fresh(at(6001)));
        assert!(!snapshot.is_fresh(at(-1)) && !snapshot.is_fresh(i64::MAX));
        assert!(!Snapshot { at_ms: i64::MIN, next_ms: i64::MIN, ..snapshot }.is_fresh(i64::MAX));
    }

    #[test]
    fn a_full_snapshot_is_small() {
        let mut snapshot = snapshot();
        let gauge = QueueGauge { queue: "a-queue-with-a-name".to_owned(), ..snapshot.queues.remove(0) };
        snapshot.queues = vec![gauge; MOST_QUEUES];
        assert!(snapshot.encode().len() < MOST_QUEUES * 160, "{}", snapshot.encode().len() / MOST_QUEUES);
    }
}
