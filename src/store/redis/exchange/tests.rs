//! Replies of every kind are read.

use super::outcomes::{enter_outcomes, unapplied};
use super::*;
use crate::job::{ClaimToken, Identity, LockKey, QueueName};
use crate::store::effect::{Busy, Gate};
use crate::store::queueing::Enter;

/// An exchange with one job at two gates.
fn exchange() -> Exchange {
    let (worker, claim) = (WorkerName::parse("h-windlass:1+1:q"), ClaimToken::new("00ff", 0, 1, 0));
    let key = LockKey::Verbatim("lock".into());
    let taken = Gate::TakeLock { plugin: "JobLock", key: key.clone(), ttl_s: 1, busy: Busy::PutBack { delay_ms: 1 } };
    let (queue, identity) = (QueueName::as_stored("q"), Identity::first(&claim));
    let gates = vec![Gate::FreeLock { key }, taken];
    let enters = vec![Enter { worker, claim, queue, payload: Bytes::new(), identity, gates, run: None }];
    let (settlements, idle, queues) = (Vec::new(), Vec::new(), Arc::from([]));
    Exchange { sequence: 1, settlements, enters, idle, queues, share: 1, run_at: String::new() }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_readers(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let _ = (unapplied(&raw), enter_outcomes(&exchange(), &raw));
    }

    #[test]
    fn no_text_breaks_the_readers(text in "[TPDL0-9!,:;-]{0,60}") {
        let (lost, undone) = unapplied(text.as_bytes());
        proptest::prop_assert!(lost.is_sorted() && undone.is_sorted());
        proptest::prop_assert_eq!(enter_outcomes(&exchange(), text.as_bytes()).0.len(), 1, "what became of each enter");
    }
}
