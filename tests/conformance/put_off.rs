//! A job that is delayed again returns to the queue that it was claimed from, no matter which queue its bytes name and
//! who promotes it.

use bytes::Bytes;
use windlass::job::PayloadView;
use windlass::store::delayed::{DelayedIdentities, DelayedJob};
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::queueing::Entered;
use windlass::store::scheduling::{Promote, PromoteTo, Promoted, Promotion};

use crate::fixture::Fixture;
use crate::instance::{Claimed, Instance};
use crate::look::{delayed, fill, gate, job_lock, queue, queued};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_retry_names_the_queue_of_its_list,
    a_job_for_later_names_the_queue_of_its_list,
    a_job_put_back_by_its_lock_names_the_queue_of_its_list,
    what_goes_back_to_its_queue_keeps_its_bytes,
    twins_of_two_spellings_meet_in_one_second,
    who_was_put_off_is_told_of_the_job_that_stands_there,
}

/// How a payload may name its queue, and its form after it was delayed from queue `math`.
const SPELLINGS: [(&str, &str); 13] = [
    (r#"{"class":"rt","args":["x"]}"#, r#"{"class":"rt","queue":"math","args":["x"]}"#),
    (r#"{"class":"rt"}"#, r#"{"class":"rt","queue":"math"}"#),
    (r#"{"class":"rt","args":null}"#, r#"{"class":"rt","queue":"math","args":null}"#),
    (r#"{"args":[1.0],"class":"rt"}"#, r#"{"args":[1.0],"class":"rt","queue":"math"}"#),
    (r#"{"class":"rt","queue":"math","args":[1.0]}"#, r#"{"class":"rt","queue":"math","args":[1.0]}"#),
    (r#"{"class":"rt","args":[2],"queue":"math"}"#, r#"{"class":"rt","args":[2],"queue":"math"}"#),
    (r#"{"class":"rt","queue":"other","args":[]}"#, r#"{"class":"rt","queue":"math","args":[]}"#),
    (r#"{"class":"rt","queue":null,"args":[]}"#, r#"{"class":"rt","queue":"math","args":[]}"#),
    (r#"{"class":"rt","queue":"","args":[]}"#, r#"{"class":"rt","queue":"math","args":[]}"#),
    (r#"{"class":"rt","queue":7,"args":[]}"#, r#"{"class":"rt","queue":"math","args":[]}"#),
    (r#"{"queue":"a","class":"rt","queue":"b"}"#, r#"{"queue":"math","class":"rt","queue":"math"}"#),
    ("{ \"class\" : \"rt\" ,\n\t\"args\" : [ 3 ] }", "{ \"class\" : \"rt\",\"queue\":\"math\" ,\n\t\"args\" : [ 3 ] }"),
    (
        r#"{"class":"rt","args":[{"queue":"q"}],"scheduled_at":"then","id":"\ud83d"}"#,
        r#"{"class":"rt","queue":"math","args":[{"queue":"q"}],"scheduled_at":"then","id":"\ud83d"}"#,
    ),
];

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Promotes the one job that is due to the queue that its bytes name.
async fn promote_one(f: &Fixture) {
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.is_due(), due.jobs.len()), (true, 1));
    let payload = due.jobs[0].clone();
    let named = PayloadView::parse(&payload).expect("a job").queue.map(|name| queue(&name)).expect("a queue");
    let jobs = vec![Promote { payload, long: None, to: PromoteTo::Queue { queue: named, lock: None } }];
    let promotion = Promotion { leader: None, ruby: None, second: due.second.expect("a second"), jobs };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(1));
}

/// Delays each spelling with `put_off`, and checks that it returns with its identity.
async fn round(f: &Fixture, put_off: impl AsyncFn(&mut Instance, &Claimed)) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (spelling, named) in SPELLINGS {
        fill(&f.store, "math", &[bytes(spelling)]).await;
        let first = instance.claim_one("math").await;
        put_off(&mut instance, &first).await;
        assert_eq!(delayed(&f.store).await, [bytes(named)], "{spelling}");
        let found = f.store.scheduled_at(&bytes(named)).await.expect("scheduled_at");
        assert_eq!(found.len(), 1, "the stamp stands under the new bytes: {spelling}");
        if named != spelling {
            assert_eq!(f.store.scheduled_at(&bytes(spelling)).await.expect("scheduled_at"), [0_i64; 0]);
        }
        f.pass(60);
        promote_one(f).await;
        assert_eq!(f.store.scheduled_at(&bytes(named)).await.expect("scheduled_at"), [0_i64; 0]);
        let again = instance.claim_one("math").await;
        assert_eq!((&again.claim.identity.id, &again.claim.payload), (&first.claim.identity.id, &bytes(named)));
        assert!(again.claim.identity != first.claim.identity, "{spelling}");
        instance.settle_one(&again, Verdict::Done).await;
    }
}

async fn a_retry_names_the_queue_of_its_list(f: &Fixture) {
    round(f, async |instance, one| {
        let retry = Retry {
            keys: RetryKeys { counter: "resque-retry:rt".into(), failure: "failure-resque-retry:rt:".into() },
            last_error: Bytes::from_static(b"{}"),
            attempts: 1000,
            delays_ms: vec![5000],
            identity: one.claim.identity.next_attempt(),
            last: Some(one.failure()),
        };
        instance.settle_one(one, Verdict::Attempted(Box::new(retry))).await;
    })
    .await;
}

async fn a_job_for_later_names_the_queue_of_its_list(f: &Fixture) {
    round(f, async |instance, one| {
        let verdict = Verdict::Delayed { delay_ms: 5000, identity: one.claim.identity.put_off() };
        instance.settle_one(one, verdict).await;
    })
    .await;
}

async fn a_job_put_back_by_its_lock_names_the_queue_of_its_list(f: &Fixture) {
    fill(&f.store, "held", &[bytes(r#"{"class":"rt"}"#)]).await;
    let mut holder = Instance::join(&f.store, "holder", 1).await;
    let held = holder.claim_one("held").await;
    assert_eq!(holder.enter(&held, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (spelling, named) in SPELLINGS {
        f.pass(1);
        fill(&f.store, "math", &[bytes(spelling)]).await;
        let first = instance.claim_one("math").await;
        assert_eq!(instance.enter(&first, &[gate(&job_lock(1), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
        assert_eq!(delayed(&f.store).await, [bytes(named)], "{spelling}");
        f.pass(1);
        promote_one(f).await;
        let again = instance.claim_one("math").await;
        assert_eq!((again.claim.identity.clone(), &again.claim.payload), (first.claim.identity.clone(), &bytes(named)));
        instance.settle_one(&again, Verdict::Done).await;
    }
}

async fn what_goes_back_to_its_queue_keeps_its_bytes(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (spelling, _) in SPELLINGS {
        fill(&f.store, "math", &[bytes(spelling)]).await;
        let first = instance.claim_one("math").await;
        let identity = first.claim.identity.redelivered();
        instance.settle_one(&first, Verdict::Requeued { identity: identity.clone() }).await;
        assert_eq!(queued(&f.store, "math").await, [bytes(spelling)]);
        let again = instance.claim_one("math").await;
        assert_eq!((again.claim.identity.clone(), &again.claim.payload), (identity, &bytes(spelling)));
        instance.settle_one(&again, Verdict::Done).await;
    }
}

/// Two jobs whose bytes differ become equal when they are put off to one second; none is lost.
async fn twins_of_two_spellings_meet_in_one_second(f: &Fixture) {
    let spellings = [r#"{"class":"rt","args":["x"]}"#, r#"{"class":"rt","queue":"no","args":["x"]}"#];
    fill(&f.store, "math", &spellings.map(bytes)).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = instance.claim(&["math"], &[1, 2]).await;
    let later = |one: &Claimed| one.ends(Verdict::Delayed { delay_ms: 5000, identity: one.claim.identity.put_off() });
    assert_eq!(instance.settle(claims.iter().map(later).collect()).await, [0_usize; 0]);
    f.pass(5);
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!(due.jobs.len(), 2);
    let to = |payload: &Bytes| Promote {
        payload: payload.clone(),
        long: None,
        to: PromoteTo::Queue { queue: queue("math"), lock: None },
    };
    let jobs = due.jobs.iter().map(to).collect();
    let promotion = Promotion { leader: None, ruby: None, second: due.second.expect("a second"), jobs };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(2));
    let again = instance.claim(&["math"], &[1, 2]).await;
    let ids = |claims: &[Claimed]| {
        let mut ids: Vec<_> = claims.iter().map(|one| one.claim.identity.id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&again), ids(&claims));
}

/// A job that was put off is known by its second; one that nobody claimed, or that stands elsewhere, is not.
async fn who_was_put_off_is_told_of_the_job_that_stands_there(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let payload = bytes(r#"{"class":"rt","queue":"math","args":["x"]}"#);
    let other = bytes(r#"{"class":"rt","queue":"math","args":["y"]}"#);
    fill(&f.store, "math", std::slice::from_ref(&payload)).await;
    let first = instance.claim_one("math").await;
    let identity = first.claim.identity.put_off();
    instance.settle_one(&first, Verdict::Delayed { delay_ms: 60_000, identity: identity.clone() }).await;
    let second = f.store.scheduled_at(&payload).await.expect("scheduled_at")[0];
    let at = |second, payload: &Bytes| DelayedJob { second, queue: queue("math"), payload: payload.clone() };
    let jobs = vec![at(second, &other), at(second, &payload), at(second + 1, &payload)];
    let told = f.store.run(DelayedIdentities { jobs }).await.expect("identities");
    assert_eq!(told, [None, Some(identity), None]);
}
