//! recover: a dead owner's record -> queue or failed, exactly once; bury; force_clean.

use windlass::job::{Failure, LockKey};
use windlass::store::effect::Verdict;
use windlass::store::instance::InstanceState;
use windlass::store::queueing::Entered;
use windlass::store::workers::{Recovered, Recovery};
use windlass::store::working::WorkingRecord;

use crate::enqueue::strange_payloads;
use crate::fixture::{Fixture, NOW_MS, NOW_S};
use crate::instance::Instance;
use crate::look::{counters, failed, fill, gate, job, job_lock, jobs, lock, locks, queue, queued, seconds};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    a_dead_owners_job_goes_back_to_the_head,
    a_dead_owners_job_fails,
    a_failed_recovery_ticks,
    two_recoverers_recover_once,
    a_living_instance_is_not_recovered,
    a_record_that_changed_is_not_recovered,
    a_job_that_ended_is_not_recovered,
    locks_of_the_dead_are_freed,
    strange_payloads_are_recovered_unchanged,
    the_dead_cannot_settle,
    burying_needs_a_still_counter_and_no_work,
    the_buried_can_do_nothing,
    recovery_and_burial_leave_nothing_behind,
    force_clean_fails_the_job,
    force_clean_needs_the_record_to_stand,
    force_clean_of_an_idle_worker,
    force_clean_happens_once,
}

/// An instance with claims that it will never settle, and what an observer sees of it.
async fn dead(f: &Fixture, jobs: &[bytes::Bytes]) -> (Instance, InstanceState, Vec<WorkingRecord>) {
    let mut instance = Instance::join(&f.handle().await, "dead", jobs.len()).await;
    fill(&f.store, "q", jobs).await;
    let claims = instance.claim(&["q"], &(1..=jobs.len()).collect::<Vec<_>>()).await;
    assert_eq!(claims.len(), jobs.len());
    let state = instance.state().await.expect("state");
    let records = instance.working().await;
    (instance, state, records)
}

fn back(state: &InstanceState, record: &WorkingRecord) -> Recovery {
    let identity = record.identity.as_ref().expect("our record tells who the job is").redelivered();
    Recovery {
        instance: Some((state.record.id.clone(), state.counter)),
        record: record.clone(),
        queue: record.queue.clone().expect("our record tells the queue"),
        payload: record.payload.clone().expect("our record tells the job"),
        verdict: Verdict::Requeued { identity },
        free: Vec::new(),
        tick: None,
        run: None,
    }
}

fn fail(state: &InstanceState, record: &WorkingRecord) -> Recovery {
    let payload = record.payload.clone().expect("our record tells the job");
    let record_of = Failure::stuck("host", NOW_MS).record(record.worker.name(), "q", &payload, NOW_MS);
    Recovery { verdict: Verdict::Failed { record: record_of }, ..back(state, record) }
}

async fn recover(f: &Fixture, recovery: &Recovery) -> bool {
    f.store.recover(recovery).await.expect("recover") == Recovered::Yes
}

async fn a_dead_owners_job_goes_back_to_the_head(f: &Fixture) {
    let (_, state, records) = dead(f, &jobs(0..1)).await;
    fill(&f.store, "q", &jobs(1..2)).await;
    assert!(recover(f, &back(&state, &records[0])).await);
    assert_eq!(queued(&f.store, "q").await, jobs(0..2));
    assert_eq!(f.store.working(&[records[0].worker.clone()]).await.expect("working"), [None]);
    assert_eq!(counters(&f.store).await, (0, 0));
    let mut other = Instance::join(&f.store, "b", 2).await;
    let claims = other.claim(&["q"], &[1, 2]).await;
    assert_eq!(claims[0].claim.identity, records[0].identity.as_ref().expect("identity").redelivered());
    assert_eq!(claims[1].claim.identity.redelivered, 0);
}

async fn a_dead_owners_job_fails(f: &Fixture) {
    let (_, state, records) = dead(f, &jobs(0..2)).await;
    let recovery = fail(&state, &records[1]);
    assert!(recover(f, &recovery).await);
    let Verdict::Failed { record } = recovery.verdict else { panic!("it was to fail") };
    assert_eq!(failed(&f.store).await, [record]);
    assert_eq!(counters(&f.store).await, (0, 1));
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn a_failed_recovery_ticks(f: &Fixture) {
    let (_, state, records) = dead(f, &[tick(30).payload]).await;
    let recovery = Recovery { tick: Some(tick(30)), ..fail(&state, &records[0]) };
    assert!(recover(f, &recovery).await);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1)]);
    assert!(!recover(f, &recovery).await);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1)]);
}

async fn two_recoverers_recover_once(f: &Fixture) {
    let count = 30;
    let (_, state, records) = dead(f, &jobs(0..count)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2 {
        let (store, state, records) = (f.handle().await, state.clone(), records.clone());
        tasks.spawn(async move {
            let mut recovered = 0;
            for (at, record) in records.iter().enumerate() {
                // The two do not agree on where the jobs go.
                let recovery = if (at + n) % 2 == 0 { back(&state, record) } else { fail(&state, record) };
                recovered += usize::from(store.recover(&recovery).await.expect("recover") == Recovered::Yes);
            }
            recovered
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), count);
    assert_eq!(queued(&f.store, "q").await.len() + failed(&f.store).await.len(), count);
}

async fn a_living_instance_is_not_recovered(f: &Fixture) {
    let (instance, state, records) = dead(f, &jobs(0..1)).await;
    instance.extend().await;
    assert!(!recover(f, &back(&state, &records[0])).await, "it was only thought to be dead");
    assert!(!recover(f, &fail(&state, &records[0])).await);
    assert_eq!(instance.working().await, records);
    assert_eq!(queued(&f.store, "q").await.len() + failed(&f.store).await.len(), 0);
}

async fn a_record_that_changed_is_not_recovered(f: &Fixture) {
    let (mut instance, state, records) = dead(f, &jobs(0..1)).await;
    // It ended the job and claimed the same bytes again, all within one lease.
    let claim = instance.next_claim(&["q"], &[1]);
    fill(&f.store, "q", &jobs(0..1)).await;
    let settlement = windlass::store::queueing::Settlement {
        worker: records[0].worker.clone(),
        claim: records[0].claim.clone().expect("claim"),
        queue: queue("q"),
        payload: job(0),
        verdict: Verdict::Done,
        free: Vec::new(),
        tick: None,
        run: None,
    };
    let exchange = windlass::store::queueing::Exchange { settlements: vec![settlement], ..claim };
    assert_eq!(instance.send(&exchange).await.claims.len(), 1);
    assert!(!recover(f, &back(&state, &records[0])).await);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(instance.working().await.len(), 1);
    // An unknown one is not either.
    let mut bent = instance.working().await.remove(0);
    bent.raw = bytes::Bytes::from([&bent.raw[..], b" "].concat());
    assert!(!recover(f, &back(&state, &bent)).await);
}

async fn a_job_that_ended_is_not_recovered(f: &Fixture) {
    let (_, state, records) = dead(f, &jobs(0..1)).await;
    assert!(recover(f, &back(&state, &records[0])).await);
    assert!(!recover(f, &back(&state, &records[0])).await);
    assert!(!recover(f, &fail(&state, &records[0])).await);
    assert_eq!(queued(&f.store, "q").await, jobs(0..1));
    assert_eq!(failed(&f.store).await.len(), 0);
}

async fn locks_of_the_dead_are_freed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "dead", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(2), 1000)]).await, Entered::Taken);
    let (state, records) = (instance.state().await.expect("state"), instance.working().await);
    let free: Vec<LockKey> = vec![job_lock(1), job_lock(2), lock(3)];
    f.plant_lock(&lock(3), "true");
    let recovery = Recovery { free, ..back(&state, &records[0]) };
    assert!(recover(f, &recovery).await);
    let mut expected = [job_lock(2).as_str().to_owned(), lock(3).as_str().to_owned()];
    expected.sort();
    assert_eq!(locks(&f.store).await, expected, "its own, and no other");
}

async fn strange_payloads_are_recovered_unchanged(f: &Fixture) {
    let strange = strange_payloads();
    let (_, state, records) = dead(f, &strange).await;
    for record in records.iter().rev() {
        assert!(recover(f, &back(&state, record)).await);
    }
    assert_eq!(queued(&f.store, "q").await, strange);
}

async fn the_dead_cannot_settle(f: &Fixture) {
    let (mut instance, state, records) = dead(f, &jobs(0..1)).await;
    assert!(recover(f, &back(&state, &records[0])).await);
    let settlement = windlass::store::queueing::Settlement {
        worker: records[0].worker.clone(),
        claim: records[0].claim.clone().expect("claim"),
        queue: queue("q"),
        payload: job(0),
        verdict: Verdict::Done,
        free: Vec::new(),
        tick: None,
        run: None,
    };
    assert_eq!(instance.settle(vec![settlement]).await, [0]);
    assert_eq!(counters(&f.store).await, (0, 0));
    assert_eq!(queued(&f.store, "q").await, jobs(0..1));
}

async fn burying_needs_a_still_counter_and_no_work(f: &Fixture) {
    let (instance, state, records) = dead(f, &jobs(0..1)).await;
    assert!(!f.store.bury(&state).await.expect("bury"), "a record is left");
    assert!(instance.state().await.is_some());
    assert!(recover(f, &back(&state, &records[0])).await);
    instance.extend().await;
    assert!(!f.store.bury(&state).await.expect("bury"), "the counter moved");
    let state = instance.state().await.expect("state");
    assert!(f.store.bury(&state).await.expect("bury"));
    assert!(!f.store.bury(&state).await.expect("bury"), "there is nobody left");
}

async fn the_buried_can_do_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let state = instance.state().await.expect("state");
    assert!(f.store.bury(&state).await.expect("bury"));
    fill(&f.store, "q", &jobs(0..1)).await;
    let exchange = instance.next_claim(&["q"], &[1]);
    let exchanged = instance.send(&exchange).await;
    assert!(exchanged.dead && exchanged.claims.is_empty(), "{exchanged:?}");
    assert_eq!(queued(&f.store, "q").await, jobs(0..1));
    assert_eq!(f.store.registered().await.expect("registered"), []);
}

async fn recovery_and_burial_leave_nothing_behind(f: &Fixture) {
    let (_, state, records) = dead(f, &jobs(0..3)).await;
    for record in records.iter().rev() {
        assert!(recover(f, &back(&state, record)).await);
    }
    assert!(f.store.bury(&state).await.expect("bury"));
    assert_eq!(f.store.instances().await.expect("instances"), []);
    assert_eq!(f.store.registered().await.expect("registered"), []);
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    assert_eq!(f.store.ping_of(records[0].worker.name()).await.expect("ping_of"), None);
    // Its name is free, and its lanes are forgotten.
    let mut again = Instance::join(&f.store, "dead", 3).await;
    assert_eq!(again.claim(&["q"], &[1, 2, 3]).await.len(), 3);
}

async fn force_clean_fails_the_job(f: &Fixture) {
    let (instance, _, records) = dead(f, &jobs(0..2)).await;
    let record = Failure::stuck("host", NOW_MS).record(records[0].worker.name(), "q", &job(0), NOW_MS);
    assert!(f.store.force_clean(&records[0].worker, Some(&records[0]), Some(&record), &[]).await.expect("force_clean"));
    assert_eq!(failed(&f.store).await, [record]);
    assert_eq!(counters(&f.store).await, (0, 1));
    assert_eq!(instance.working().await, records[1..]);
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
    assert_eq!(f.store.ping_of(records[0].worker.name()).await.expect("ping_of"), None);
}

async fn force_clean_needs_the_record_to_stand(f: &Fixture) {
    let (mut instance, _, records) = dead(f, &jobs(0..1)).await;
    let worker = &records[0].worker;
    assert!(!f.store.force_clean(worker, None, None, &[]).await.expect("force_clean"), "it works by now");
    let bent = WorkingRecord { raw: bytes::Bytes::from_static(b"{}"), ..records[0].clone() };
    assert!(!f.store.force_clean(worker, Some(&bent), Some(&job(9)), &[]).await.expect("force_clean"));
    let exchange = instance.next();
    instance.send(&exchange).await;
    assert_eq!(instance.working().await, records);
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
    assert_eq!(failed(&f.store).await.len(), 0);
    assert_eq!(counters(&f.store).await, (0, 0));
}

async fn force_clean_of_an_idle_worker(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    assert!(f.store.force_clean(&instance.worker(1), None, None, &[]).await.expect("force_clean"));
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
    assert_eq!(counters(&f.store).await, (0, 0), "nothing failed");
    assert_eq!(failed(&f.store).await.len(), 0);
}

async fn force_clean_happens_once(f: &Fixture) {
    let (_, _, records) = dead(f, &jobs(0..20)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, records) = (f.handle().await, records.clone());
        tasks.spawn(async move {
            let mut cleaned = 0;
            for record in &records {
                let failure = record.payload.clone().expect("payload");
                let done =
                    store.force_clean(&record.worker, Some(record), Some(&failure), &[]).await.expect("force_clean");
                cleaned += usize::from(done);
            }
            cleaned
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 20);
    assert_eq!(failed(&f.store).await.len(), 20);
    assert_eq!(counters(&f.store).await, (0, 20));
}
