//! Settlements of which the store refuses an extra for good: they are recorded without it, because a claim that stands for
//! ever holds its slot for ever.

use crate::job::Failure;
use crate::store::StoreError;
use crate::store::effect::Verdict;
use crate::store::queueing::{Extra, Part, RefusedPart, Settlement};

/// What became of a settlement without its refused extras.
pub(super) enum Eased {
    /// It is as it was: what is refused is the end of the claim itself.
    Not,
    /// It can be recorded without this.
    Without(String),
    /// Its job has nowhere to go but to the failed list.
    Fails(Failure),
}

/// The failure of a job that was refused at its gates.
pub(super) fn of_enter(refused: &[RefusedPart], index: usize) -> Option<Failure> {
    let refused = refused.iter().find(|refused| refused.part == Part::Enter(index))?;
    Some(Failure::new("Error", format!("the job could not begin: failed to {}", refused.error)))
}

/// What is refused of a settlement, and why.
pub(super) fn of_settlement(refused: &[RefusedPart], index: usize) -> Option<(&StoreError, &[Extra])> {
    refused.iter().find_map(|refused| match &refused.part {
        Part::Settlement { index: at, extras } if *at == index => Some((&refused.error, &extras[..])),
        _ => None,
    })
}

/// Takes the refused extras out of a settlement. What it says of the run stays true.
pub(super) fn ease(settlement: &mut Settlement, error: &StoreError, extras: &[Extra]) -> Eased {
    let mut without = Vec::new();
    for extra in extras {
        match extra {
            Extra::Lock(lock) => {
                settlement.free.retain(|held| held != lock);
                without.push(format!("freeing the lock {}, which ends by its own time", lock.as_str()));
            }
            Extra::Tick => {
                settlement.tick = None;
                without.push("the next run of its task, which the scheduler restores".to_owned());
            }
            Extra::Run => {
                settlement.run = None;
                without.push("keeping the run".to_owned());
            }
            Extra::Retry => {
                settlement.verdict = match &settlement.verdict {
                    Verdict::DoneAtLast { .. } => Verdict::Done,
                    Verdict::Vetoed { .. } => Verdict::Vetoed { retry: None },
                    Verdict::Attempted(attempted) => match &attempted.last {
                        Some(record) => Verdict::Failed { record: record.clone() },
                        None => Verdict::Done,
                    },
                    other => other.clone(),
                };
                without.push("the state of Retry, so that it is not tried again".to_owned());
            }
            Extra::Place => {
                return Eased::Fails(Failure::new(
                    "Error",
                    format!("the job could not be put off or back: failed to {error}"),
                ));
            }
        }
    }
    if without.is_empty() {
        return Eased::Not;
    }
    Eased::Without(format!("{}: failed to {error}", without.join(", and without ")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::job::{ClaimToken, Identity, LockKey, QueueName, RetryKeys, WorkerName};
    use crate::store::effect::Retry;

    fn settlement(verdict: Verdict) -> Settlement {
        Settlement {
            worker: WorkerName::parse("h:1:*"),
            claim: ClaimToken::new("00ff", 0, 1, 0),
            queue: QueueName::as_stored("q"),
            payload: Bytes::from_static(b"{}"),
            verdict,
            free: ["a", "b"].map(|key| LockKey::Namespaced(key.to_owned())).into(),
            tick: None,
            run: None,
        }
    }

    #[test]
    fn what_is_refused_is_left_out_and_the_outcome_of_the_run_stays() {
        let error = StoreError::Barred { place: "r:a".to_owned(), reason: "no right".to_owned() };
        let lock = |key: &str| Extra::Lock(LockKey::Namespaced(key.to_owned()));
        let mut done = settlement(Verdict::Done);
        assert!(matches!(ease(&mut done, &error, &[]), Eased::Not));
        let Eased::Without(what) = ease(&mut done, &error, &[lock("a")]) else { panic!("a lock") };
        assert!(what.contains("freeing the lock a"), "{what}");
        assert_eq!((done.free.len(), &done.verdict), (1, &Verdict::Done), "the other lock is freed");

        let keys = RetryKeys { counter: "c".to_owned(), failure: "f".to_owned() };
        let identity = Identity::first(&done.claim);
        let record = Bytes::from_static(b"{\"error\":\"its own\"}");
        let attempted = |last: Option<&Bytes>| {
            Verdict::Attempted(Box::new(Retry {
                keys: keys.clone(),
                last_error: Bytes::new(),
                attempts: 3,
                delays_ms: vec![1],
                identity: identity.clone(),
                last: last.cloned(),
            }))
        };
        for (verdict, eased) in [
            (Verdict::DoneAtLast { keys: keys.clone() }, Verdict::Done),
            (Verdict::Vetoed { retry: Some(keys.clone()) }, Verdict::Vetoed { retry: None }),
            (attempted(Some(&record)), Verdict::Failed { record: record.clone() }),
            (attempted(None), Verdict::Done),
        ] {
            let mut one = settlement(verdict);
            assert!(matches!(ease(&mut one, &error, &[Extra::Retry]), Eased::Without(_)));
            assert_eq!(one.verdict, eased);
        }
        let mut later = settlement(Verdict::Delayed { delay_ms: 1, identity });
        let Eased::Fails(failure) = ease(&mut later, &error, &[Extra::Place]) else { panic!("nowhere to go") };
        assert!(failure.error.contains("r:a") && failure.error.contains("no right"), "{}", failure.error);
    }
}
