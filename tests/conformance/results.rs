//! What jobs led to: written with the settlement and not before, and jobs that are known by an id from their enqueue on.

use bytes::Bytes;
use windlass::job::{FinishedRun, Identity, QueueName, RunOutcome};
use windlass::store::effect::Verdict;
use windlass::store::queueing::{EnqueueTracked, Enqueued, Schedule, ScheduleBatch, Scheduled, Settlement, When};
use windlass::store::runs::{FindJob, FoundJob, KeepResult, KeepRun, TrackedJob};
use windlass::store::scheduling::{Promote, PromoteTo, Promoted, Promotion};

use crate::fixture::{Fixture, NOW_MS, Place};
use crate::instance::{Claimed, Instance};
use crate::look::{fill, job, jobs, lock, push, queued, take};
use crate::runs::list;
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    a_result_stands_with_the_settlement_and_not_before,
    a_run_after_which_the_job_runs_again_is_no_result,
    a_result_lapses,
    a_lost_claim_leaves_no_result,
    a_tracked_job_has_its_id_when_it_is_claimed_and_keeps_it,
    a_tracked_job_that_is_refused_leaves_nothing,
    a_job_that_nobody_tracks_has_its_id_and_no_record,
    a_delayed_job_has_its_id_when_it_is_claimed,
    equal_jobs_are_interchangeable,
}

fn keeps(claimed: &Claimed, verdict: Verdict, word: RunOutcome, result: Option<&str>) -> Settlement {
    let run = FinishedRun { ms: Some(7), ..FinishedRun::new(word, NOW_MS) };
    let kept = KeepResult { job: "job-7".to_owned(), lasts_s: 60, result: result.map(str::to_owned) };
    let run = Box::new(KeepRun { list: list("clean"), most: 0, lasts_s: 1, run, result: Some(kept) });
    Settlement { run: Some(run), ..claimed.ends(verdict) }
}

async fn found(f: &Fixture, id: &str) -> FoundJob {
    f.handle().await.run(FindJob { id: id.to_owned() }).await.expect("find_job")
}

async fn claim(f: &Fixture) -> (Instance, Claimed) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claimed = instance.claim_one("q").await;
    (instance, claimed)
}

async fn settle(instance: &mut Instance, settlement: Settlement) {
    let exchange = windlass::store::queueing::Exchange { settlements: vec![settlement], ..instance.next() };
    let exchanged = instance.send(&exchange).await;
    assert!(exchanged.undone.is_empty() && exchanged.findings.is_empty(), "{exchanged:?}");
    let again = instance.send(&exchange).await;
    assert_eq!(exchanged.lost, again.lost);
}

fn tracked(n: usize, id: &str) -> EnqueueTracked {
    let known = TrackedJob { queue: "q".to_owned(), class: "add".to_owned(), at_ms: NOW_MS };
    EnqueueTracked { job: push("q", &job(n), &[]), identity: Identity::tracked(id), tracked: Some(known) }
}

async fn a_result_stands_with_the_settlement_and_not_before(f: &Fixture) {
    let (mut instance, claimed) = claim(f).await;
    assert_eq!(found(f, "job-7").await, FoundJob::default());
    settle(&mut instance, keeps(&claimed, Verdict::Done, RunOutcome::Done, Some("7 \"rows\"\n"))).await;
    let kept = found(f, "job-7").await.result.expect("it is kept");
    assert_eq!((kept.run.outcome, kept.run.ms, kept.is_cut), (RunOutcome::Done, Some(7), false));
    assert_eq!(kept.result.as_deref(), Some("7 \"rows\"\n"));
    let runs = f.store.read_runs(&[list("clean")], 9).await.expect("read_runs");
    assert_eq!(runs[0].runs, [], "the task keeps no runs");
}

async fn a_run_after_which_the_job_runs_again_is_no_result(f: &Fixture) {
    let (mut instance, claimed) = claim(f).await;
    settle(&mut instance, keeps(&claimed, claimed.requeued(), RunOutcome::CutOff, None)).await;
    assert_eq!(found(f, "job-7").await, FoundJob::default());
    let again = instance.claim_one("q").await;
    settle(&mut instance, keeps(&again, again.failed(), RunOutcome::Failed, None)).await;
    assert_eq!(found(f, "job-7").await.result.expect("it is kept").run.outcome, RunOutcome::Failed);
}

async fn a_result_lapses(f: &Fixture) {
    let (mut instance, claimed) = claim(f).await;
    settle(&mut instance, keeps(&claimed, Verdict::Done, RunOutcome::Done, None)).await;
    if let Place::Redis { .. } = f.place {
        // The server lets it lapse by a clock of its own.
        let Reply::Int(left) = f.redis_command(&["PTTL".to_owned(), f.key("windlass:result:job-7")]) else {
            panic!("a time")
        };
        assert!((1..=60_000).contains(&left), "{left}");
        return;
    }
    f.pass(59);
    assert!(found(f, "job-7").await.result.is_some());
    f.pass(2);
    assert_eq!(found(f, "job-7").await, FoundJob::default());
}

async fn a_lost_claim_leaves_no_result(f: &Fixture) {
    let (mut instance, claimed) = claim(f).await;
    instance.settle_one(&claimed, claimed.requeued()).await;
    let exchange = windlass::store::queueing::Exchange {
        settlements: vec![keeps(&claimed, Verdict::Done, RunOutcome::Done, Some("x"))],
        ..instance.next()
    };
    assert_eq!(instance.send(&exchange).await.lost, [0]);
    assert_eq!(found(f, "job-7").await, FoundJob::default());
}

async fn a_tracked_job_has_its_id_when_it_is_claimed_and_keeps_it(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let enqueue = tracked(0, "x");
    assert_eq!(f.store.run(enqueue.clone()).await.expect("enqueue_tracked"), Enqueued::Yes);
    let id = enqueue.identity.id.to_string();
    assert_eq!(found(f, &id).await, FoundJob { tracked: enqueue.tracked, result: None });
    let claimed = instance.claim_one("q").await;
    assert_eq!((&claimed.claim.payload, &claimed.claim.identity), (&job(0), &enqueue.identity));
    assert!(claimed.claim.identity.is_tracked());
    let later = claimed.claim.identity.redelivered();
    instance.settle_one(&claimed, Verdict::Requeued { identity: later.clone() }).await;
    let again = instance.claim_one("q").await;
    assert_eq!(again.claim.identity, later);
    instance.settle_one(&again, Verdict::Done).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let next = instance.claim_one("q").await;
    assert!(!next.claim.identity.is_tracked(), "the id went with the job: {:?}", next.claim.identity);
}

async fn a_job_that_nobody_tracks_has_its_id_and_no_record(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let identity = Identity::unrun("5c0b9a1e77aa01ff");
    let enqueue = EnqueueTracked { job: push("q", &job(0), &[]), identity: identity.clone(), tracked: None };
    assert_eq!(f.store.run(enqueue).await.expect("enqueue_tracked"), Enqueued::Yes);
    assert_eq!(found(f, "5c0b9a1e77aa01ff").await, FoundJob::default());
    assert_eq!(instance.claim_one("q").await.claim.identity, identity);
}

async fn a_delayed_job_has_its_id_when_it_is_claimed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let (now_s, payload) = (NOW_MS / 1000, Bytes::from_static(br#"{"class":"add","args":[7],"queue":"q"}"#));
    let known = |name: &str| Identity::unrun(name);
    let schedule = |name: &str, when, mark: Option<&str>| {
        let jobs = vec![Schedule { payload: payload.clone(), when }];
        let known = Some((QueueName::as_stored("q"), known(name)));
        f.store.run(ScheduleBatch { jobs, mark: mark.map(crate::marks::mark), known })
    };
    let (soon, later) = (now_s + 2, now_s + 5);
    assert_eq!(schedule("first", When::At(soon), None).await.expect("schedule"), [Scheduled::At(soon)]);
    // Nothing is left of those that are not delayed.
    assert_eq!(schedule("twin", When::At(soon), Some("m")).await.expect("schedule"), [Scheduled::Duplicate(soon)]);
    assert_eq!(schedule("second", When::In(5000), Some("m")).await.expect("schedule"), [Scheduled::At(later)]);
    assert_eq!(schedule("third", When::In(9000), Some("m")).await.expect("schedule"), [Scheduled::Marked]);
    for (name, second) in [("first", soon), ("second", later)] {
        f.pass(3);
        let to = PromoteTo::Queue { queue: QueueName::as_stored("q"), lock: None };
        let jobs = vec![Promote { payload: payload.clone(), long: None, to }];
        let promotion = Promotion { leader: None, ruby: None, second, jobs };
        assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(1));
        let claimed = instance.claim_one("q").await;
        assert_eq!((&claimed.claim.payload, claimed.claim.identity.clone()), (&payload, known(name)));
        instance.settle_one(&claimed, Verdict::Done).await;
    }
    fill(&f.store, "q", std::slice::from_ref(&payload)).await;
    let next = instance.claim_one("q").await;
    assert!(next.claim.identity.id.starts_with(next.claim.token.as_str()), "{:?}", next.claim.identity);
}

async fn a_tracked_job_that_is_refused_leaves_nothing(f: &Fixture) {
    let locked = |id: &str| {
        let enqueue = tracked(0, id);
        EnqueueTracked { job: push("q", &job(0), &[take(&lock(1), 60)]), ..enqueue }
    };
    assert_eq!(f.store.run(locked("x")).await.expect("enqueue_tracked"), Enqueued::Yes);
    let refused = f.store.run(locked("y")).await.expect("enqueue_tracked");
    assert!(matches!(refused, Enqueued::Refused { .. }), "{refused:?}");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    assert_eq!(found(f, "track-y").await, FoundJob::default());
}

async fn equal_jobs_are_interchangeable(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    assert_eq!(f.store.run(tracked(0, "x")).await.expect("enqueue_tracked"), Enqueued::Yes);
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let ids = claims.iter().filter(|claimed| claimed.claim.identity.is_tracked()).count();
    assert_eq!((claims.len(), ids), (2, 1), "one of them has the id");
}
