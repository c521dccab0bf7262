//! Many callers at once over several handles: no job is lost and none runs twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Enqueued, Entered, Exchange};

use crate::fixture::Fixture;
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{admit, counters, delayed, failed, fill, gate, job, job_lock, jobs, lock, promote_all, queued, take};
use crate::support::verbs::Verbs as _;
use windlass::store::role::Whole;

behaviours! {
    many_claimers_claim_each_job_once,
    claimers_and_enqueuers_at_once_lose_nothing,
    every_arrow_at_once_conserves_the_jobs,
    job_lock_lets_one_run_at_a_time,
    queue_lock_and_claim_race_without_a_leak,
    lanes_of_one_instance_do_not_meet,
}

/// Claims and settles until the queue was empty so many times; returns what it ran, in order.
async fn drain(store: Store<Whole>, id: String, slots: usize) -> Vec<Bytes> {
    let mut instance = Instance::join(&store, &id, slots).await;
    let numbers: Vec<usize> = (1..=slots).collect();
    let (mut ran, mut held): (Vec<Bytes>, Vec<Claimed>) = (Vec::new(), Vec::new());
    loop {
        let settlements = held.iter().map(|one| one.ends(Verdict::Done)).collect();
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &numbers) };
        let exchanged = instance.send(&exchange).await;
        assert_eq!(exchanged.lost, [0_usize; 0]);
        held = claimed(&exchange, &exchanged);
        if held.is_empty() {
            store.leave(&instance.record).await.expect("leave");
            return ran;
        }
        ran.extend(held.iter().map(|one| one.claim.payload.clone()));
    }
}

fn once_each(all: Vec<Bytes>, count: usize) {
    let mut tally: BTreeMap<Bytes, usize> = BTreeMap::new();
    for payload in all {
        *tally.entry(payload).or_default() += 1;
    }
    let twice: Vec<_> = tally.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    assert_eq!(tally.len(), count, "some were lost");
}

async fn many_claimers_claim_each_job_once(f: &Fixture) {
    let count = 2000;
    fill(&f.store, "q", &jobs(0..count)).await;
    let mut tasks = JoinSet::new();
    for n in 0..6 {
        tasks.spawn(drain(f.handle().await, format!("c{n}"), 1 + 3 * n));
    }
    let ran = tasks.join_all().await;
    for one in &ran {
        let mut in_order = one.clone();
        in_order.sort_by_key(jobs_number);
        assert_eq!(*one, in_order, "each claimer sees the queue's order");
    }
    once_each(ran.concat(), count);
    assert_eq!(counters(&f.store).await, (count as u64, 0));
    assert_eq!(f.store.registered().await.expect("registered"), []);
}

fn jobs_number(payload: &Bytes) -> usize {
    let text = std::str::from_utf8(payload).expect("our jobs are text");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("our jobs are numbered")
}

async fn claimers_and_enqueuers_at_once_lose_nothing(f: &Fixture) {
    let (producers, each) = (3, 250);
    let mut pushing = JoinSet::new();
    for p in 0..producers {
        let store = f.handle().await;
        pushing.spawn(async move {
            for n in 0..each {
                fill(&store, "q", &[job(p * each + n)]).await;
            }
        });
    }
    let mut taking = JoinSet::new();
    for n in 0..3 {
        let store = f.handle().await;
        taking.spawn(async move {
            let mut ran = Vec::new();
            for round in 0..12 {
                ran.extend(drain(store.clone(), format!("c{n}r{round}"), 4).await);
            }
            ran
        });
    }
    pushing.join_all().await;
    let mut ran = taking.join_all().await.concat();
    ran.extend(drain(f.handle().await, "last".to_owned(), 8).await);
    once_each(ran, producers * each);
}

/// Instances end their claims in every way, while a promoter and a retrier run. In the end each job was done exactly
/// once.
async fn every_arrow_at_once_conserves_the_jobs(f: &Fixture) {
    let count = 600;
    fill(&f.store, "q", &jobs(0..count)).await;
    let mut tasks = JoinSet::new();
    for i in 0..3_usize {
        let (store, clock) = (f.handle().await, Arc::clone(&f.clock));
        tasks.spawn(async move {
            let mut instance = Instance::join(&store, &format!("i{i}"), 8).await;
            let numbers: Vec<usize> = (1..=8).collect();
            let (mut done, mut held, mut step): (Vec<Bytes>, Vec<Claimed>, usize) = (Vec::new(), Vec::new(), i);
            loop {
                let mut settlements = Vec::new();
                for one in held.iter().rev() {
                    step += 1;
                    let identity = &one.claim.identity;
                    let tries = identity.attempt + identity.redelivered;
                    settlements.push(one.ends(match (step % 5, tries) {
                        (_, 6..) | (0 | 1, _) => {
                            done.push(one.claim.payload.clone());
                            Verdict::Done
                        }
                        (2, _) => one.failed(),
                        (3, _) => one.retried(1000),
                        _ => one.requeued(),
                    }));
                }
                let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &numbers) };
                let exchanged = instance.send(&exchange).await;
                assert_eq!(exchanged.lost, [0_usize; 0]);
                held = claimed(&exchange, &exchanged);
                if held.is_empty() {
                    // What failed is retried, what is delayed is promoted, until nothing is left.
                    for record in failed(&store).await {
                        let payload = windlass::job::FailureView::parse(&record).payload.expect("payload");
                        let queue = crate::look::queue("q");
                        store.retry_failed(&record, &queue, &payload, &[], None).await.expect("retry_failed");
                    }
                    clock.advance(1000);
                    promote_all(&store, "q", 50).await;
                    if queued(&store, "q").await.is_empty() && delayed(&store).await.is_empty() {
                        return done;
                    }
                }
            }
        });
    }
    let done = tasks.join_all().await.concat();
    let rest = queued(&f.store, "q").await.len() + failed(&f.store).await.len() + delayed(&f.store).await.len();
    let mut all = done;
    if rest > 0 {
        // The last instance's last failures, after the others saw nothing left.
        all.extend(queued(&f.store, "q").await);
        all.extend(delayed(&f.store).await);
        for record in failed(&f.store).await {
            all.extend(windlass::job::FailureView::parse(&record).payload);
        }
    }
    once_each(all, count);
    for one in f.store.registered().await.expect("registered") {
        assert_eq!(one.working, None);
    }
}

async fn job_lock_lets_one_run_at_a_time(f: &Fixture) {
    let count = 40;
    fill(&f.store, "q", &jobs(0..count)).await;
    let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for i in 0..3 {
        let (store, running, clock) = (f.handle().await, Arc::clone(&running), Arc::clone(&f.clock));
        tasks.spawn(async move {
            use std::sync::atomic::Ordering::SeqCst;
            let mut instance = Instance::join(&store, &format!("i{i}"), 1).await;
            let mut ran = Vec::new();
            loop {
                let claims = instance.claim(&["q"], &[1]).await;
                let Some(claim) = claims.first() else {
                    clock.advance(1000);
                    if promote_all(&store, "q", 10).await == 0 && delayed(&store).await.is_empty() {
                        return ran;
                    }
                    continue;
                };
                if instance.enter(claim, &[gate(&job_lock(1), 1000)]).await == Entered::Taken {
                    assert_eq!(running.fetch_add(1, SeqCst), 0, "another runs under the same lock");
                    store.queue_names().await.expect("a while passes");
                    ran.push(claim.claim.payload.clone());
                    running.fetch_sub(1, SeqCst);
                    let freeing = claim.frees(Verdict::Done, &[job_lock(1)]);
                    assert_eq!(instance.settle(vec![freeing]).await, [0_usize; 0]);
                }
            }
        });
    }
    once_each(tasks.join_all().await.concat(), count);
    assert_eq!(crate::look::locks(&f.store).await, [""; 0]);
}

async fn queue_lock_and_claim_race_without_a_leak(f: &Fixture) {
    let rounds = 60;
    let store = f.handle().await;
    let pushing = tokio::spawn(async move {
        let mut pushed = 0;
        for _ in 0..rounds {
            let admissions = [take(&lock(1), 3600)];
            pushed += usize::from(admit(&store, "q", &job(1), &admissions).await == Enqueued::Yes);
        }
        pushed
    });
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let mut ran = 0;
    let mut run = async |instance: &mut Instance| {
        for claim in instance.claim(&["q"], &[1]).await {
            let free = windlass::store::effect::Gate::FreeLock { key: lock(1) };
            assert_eq!(instance.enter(&claim, &[free]).await, Entered::Taken);
            instance.settle_one(&claim, Verdict::Done).await;
            ran += 1;
        }
    };
    while !pushing.is_finished() {
        assert!(queued(&f.store, "q").await.len() <= 1, "the lock keeps it at one");
        run(&mut instance).await;
    }
    run(&mut instance).await;
    assert_eq!(pushing.await.expect("pusher"), ran);
    assert_eq!(crate::look::locks(&f.store).await, [""; 0]);
}

async fn lanes_of_one_instance_do_not_meet(f: &Fixture) {
    let count = 400;
    fill(&f.store, "q", &jobs(0..count)).await;
    let instance = Instance::join(&f.store, "a", 8).await;
    let mut tasks = JoinSet::new();
    for number in 0..2_u8 {
        let mut lane = f.store.lane("a", number + 1).await.expect("lane");
        let idle: Vec<_> = (1..=4).map(|n| instance.worker(usize::from(number) * 4 + n)).collect();
        tasks.spawn(async move {
            let (mut ran, mut held): (Vec<Bytes>, Vec<Claimed>) = (Vec::new(), Vec::new());
            for sequence in 1.. {
                let exchange = Exchange {
                    sequence,
                    settlements: held.iter().map(|one| one.ends(Verdict::Done)).collect(),
                    enters: Vec::new(),
                    idle: idle.clone(),
                    queues: Arc::from([crate::look::queue("q")]),
                    share: 1,
                    run_at: String::new(),
                };
                let exchanged = lane.exchange(&exchange).await.expect("exchange");
                assert_eq!(exchanged.lost, [0_usize; 0]);
                held = claimed(&exchange, &exchanged);
                if held.is_empty() {
                    break;
                }
                ran.extend(held.iter().map(|one| one.claim.payload.clone()));
            }
            ran
        });
    }
    once_each(tasks.join_all().await.concat(), count);
    assert_eq!(instance.working().await, []);
}
