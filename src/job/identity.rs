//! The identity of a job across runs, and the number of the run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// From which redelivery on a job may be poison.
const POISON_FROM: u32 = 3;
/// How long a job waits that crashed so often.
const CRASH_WAIT: Duration = Duration::from_secs(5);
/// How long it waits at most.
const LONGEST_CRASH_WAIT: Duration = Duration::from_secs(300);

/// How the id of a job begins that is tracked. Nothing else tells it, so that who runs the job need not look anywhere.
const TRACKED: &str = "track-";

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 255;

/// The fencing token of one claim: `<instance>-<lane>-<sequence>-<slot>`, new each time a job is claimed. The working
/// record begins with it, and every write for a claim compares it first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClaimToken(Arc<str>);

impl ClaimToken {
    /// The token of the claim that slot `index` of exchange `sequence` on `lane` receives.
    #[must_use]
    pub fn new(instance: &str, lane: u8, sequence: u64, index: usize) -> Self {
        Self(Arc::from(format!("{instance}-{lane}-{sequence}-{index}")))
    }

    /// A token as read from a record.
    #[must_use]
    pub fn as_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The order among the claims of a lane: (sequence, slot). Later claims compare greater.
    #[must_use]
    pub fn order(&self) -> (u64, usize) {
        let mut parts = self.0.rsplit('-');
        let index = parts.next().and_then(|index| index.parse().ok()).unwrap_or(0);
        (parts.next().and_then(|sequence| sequence.parse().ok()).unwrap_or(0), index)
    }

    /// The id of the instance that made the claim.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The data that a job keeps from run to run.
///
/// The bytes of a job belong to its producer, so the identity is stored beside them, under (queue, bytes). A job
/// without a stored identity is on its first run; its id is then the token of its first claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable over all runs: the idempotency key for handlers.
    pub id: Arc<str>,
    /// 1 on the first attempt; one more after each failure that was retried.
    pub attempt: u32,
    /// How often the job was taken from a crashed or interrupted run.
    pub redelivered: u32,
    /// How often its handler postponed it ("later").
    pub later: u32,
}

impl Identity {
    /// The identity of a job that was never run before.
    #[must_use]
    pub fn first(claim: &ClaimToken) -> Self {
        Self { id: Arc::from(claim.as_str()), attempt: 1, redelivered: 0, later: 0 }
    }

    /// An id for a job that is tracked from its enqueue on; `random` makes it unique.
    #[must_use]
    pub fn tracked(random: &str) -> Self {
        Self { id: Arc::from(format!("{TRACKED}{random}")), attempt: 1, redelivered: 0, later: 0 }
    }

    /// An id for a job that was never run, and that nobody tracks; `random` makes it unique.
    #[must_use]
    pub fn unrun(random: &str) -> Self {
        Self { id: Arc::from(random), attempt: 1, redelivered: 0, later: 0 }
    }

    /// Does somebody track the job? Then its end is kept.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.id.starts_with(TRACKED)
    }

    /// Is this its first run, as far as the store knows?
    #[must_use]
    pub fn is_first_run(&self) -> bool {
        self.attempt == 1 && self.redelivered == 0 && self.later == 0
    }

    /// The same job on its next attempt, after one that failed.
    #[must_use]
    pub fn next_attempt(&self) -> Self {
        Self { attempt: self.attempt.saturating_add(1), ..self.clone() }
    }

    /// The same job after one more redelivery.
    #[must_use]
    pub fn redelivered(&self) -> Self {
        Self { redelivered: self.redelivered.saturating_add(1), ..self.clone() }
    }

    /// Was it cut off so often that it may be poison, which ends its daemon each time? Such a job runs beside
    /// no other of its kind.
    #[must_use]
    pub fn may_be_poison(&self) -> bool {
        self.redelivered >= POISON_FROM
    }

    /// How long a job waits whose own process died, and took no daemon with it: from the third time on, twice as long each time.
    #[must_use]
    pub fn crash_wait(&self) -> Option<Duration> {
        let more = self.redelivered.checked_sub(POISON_FROM)?;
        Some(CRASH_WAIT.saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX)).min(LONGEST_CRASH_WAIT))
    }

    /// The same job after its handler asked for a later run.
    #[must_use]
    pub fn put_off(&self) -> Self {
        Self { later: self.later.saturating_add(1), ..self.clone() }
    }

    /// The same job after a retry by hand: one more attempt; the counts of redeliveries and "later" begin at 0.
    #[must_use]
    pub fn retried_by_hand(&self) -> Self {
        Self { redelivered: 0, later: 0, ..self.next_attempt() }
    }

    /// The identity in a failure record; `None` if the id is invalid.
    #[must_use]
    pub fn from_record(id: &str, attempt: u32, redelivered: u32) -> Option<Self> {
        /// Our own ids have some 40 characters.
        const MAX_RECORD_ID_BYTES: usize = 200;
        let lawful =
            !id.is_empty() && id.len() <= MAX_RECORD_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        lawful.then(|| Self { id: Arc::from(id), attempt: attempt.max(1), redelivered, later: 0 })
    }

    /// The stored form, `<id> <attempt> <redelivered> <later>`, without blanks in any part.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{} {} {} {}", self.id, self.attempt, self.redelivered, self.later)
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let id = parts.next()?;
        let mut number = || parts.next()?.parse().ok();
        let identity = Self::stored(id, number()?, number()?, number()?)?;
        parts.next().is_none().then_some(identity)
    }

    /// An identity as read from a store; `None` if a part is out of its bounds. The id must be short and printable,
    /// because it is passed in the environment and logged.
    #[must_use]
    pub fn stored(id: &str, attempt: u32, redelivered: u32, later: u32) -> Option<Self> {
        let sound = !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        (sound && attempt > 0).then(|| Self { id: Arc::from(id), attempt, redelivered, later })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_stored_form() {
        let identity = Identity::first(&ClaimToken::new("00ff", 1, 77, 3)).redelivered().put_off();
        assert_eq!(identity.encode(), "00ff-1-77-3 1 1 1");
        assert_eq!(Identity::decode(&identity.encode()), Some(identity));
        for bad in
            ["", "x", "x 1 2", "x 1 2 y", "x 1 2 3 4", " 1 2 3", "x 0 0 0", "x 4294967296 0 0", "\u{1b}[31m 1 0 0"]
        {
            assert_eq!(Identity::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_claim_names_its_instance() {
        assert_eq!(ClaimToken::new("00ff", 0, 1, 2).instance(), "00ff");
        assert!(ClaimToken::new("00ff", 0, 10, 2).order() > ClaimToken::new("00ff", 1, 9, 30).order());
    }
}
