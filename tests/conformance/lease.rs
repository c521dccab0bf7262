//! The lease of an instance: join, register, extend, leave, and what other instances see.
//!
//! Longer than 400 lines because each way in which a lease ends has its test.

use std::time::Duration;

use windlass::job::LockKey;
use windlass::store::effect::Verdict;
use windlass::store::instance::{
    Extend, Extended, InstanceRecord, Joined, LockRenewal, Oversee, Overseen, Removed, RemovedState,
};
use windlass::store::queueing::Entered;
use windlass::store::wake::Watch;

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::{Instance, payloads, record};
use crate::look::{counters, fill, gate, job, job_lock, jobs, locks, queue};
use crate::support::verbs::Verbs as _;

behaviours! {
    joining_registers_once,
    a_name_is_held_by_one,
    registering_shows_the_workers,
    registering_tells_of_leftovers,
    extending_moves_the_counter_and_pings,
    a_worker_that_is_only_pinged_is_looked_after_later,
    an_extension_of_idle_workers_wakes_nobody_until_it_finds_its_instance_dead,
    an_overseer_that_is_alone_sees_its_lease_and_who_comes,
    extending_renews_the_record,
    an_extension_after_death_writes_nothing,
    a_force_cleaned_worker_is_told_and_registered_anew,
    what_a_removed_worker_claims_before_it_is_known_is_not_lost,
    locks_are_renewed_for_their_owner_alone,
    a_renewed_lock_outlives_its_first_term,
    unregistering_leaves_the_busy,
    leaving_takes_everything_along,
    leaving_with_work_leaves_it_to_recovery,
    workers_of_former_queues_are_of_the_instance_too,
    an_instance_that_left_may_come_back,
    two_instances_do_not_meet,
}

/// What an extension of the first instance of a store tells if all is well.
fn nothing_found() -> Extended {
    Extended { birth: Some("a".to_owned()), ..Extended::default() }
}

async fn joining_registers_once(f: &Fixture) {
    assert_eq!(f.store.instances().await.expect("instances"), []);
    let mine = InstanceRecord { periodic: vec!["clean".to_owned(), "über \"x\"".to_owned()], ..record("a", 3) };
    assert_eq!(f.store.join(&mine).await.expect("join"), Joined::Yes);
    let before = f.store.instances().await.expect("instances");
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].record, mine);
    assert_eq!(f.store.join(&mine).await.expect("join"), Joined::Yes, "repeating it is harmless");
    let after = f.handle().await.instances().await.expect("instances");
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].record, mine);
    assert!(after[0].counter >= before[0].counter, "and never turns the lease back");
}

async fn a_name_is_held_by_one(f: &Fixture) {
    let first = record("a", 1);
    assert_eq!(f.store.join(&first).await.expect("join"), Joined::Yes);
    let second = InstanceRecord { id: "b".to_owned(), ..first.clone() };
    assert_eq!(f.store.join(&second).await.expect("join"), Joined::NameTaken(Box::new(first)));
    assert_eq!(f.store.instances().await.expect("instances").len(), 1);
}

async fn registering_shows_the_workers(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    let mut registered = f.handle().await.registered().await.expect("registered");
    registered.sort_by(|one, two| one.worker.cmp(&two.worker));
    let workers: Vec<_> = registered.iter().map(|one| one.worker.clone()).collect();
    assert_eq!(workers, instance.record.workers());
    for one in &registered {
        assert_eq!((one.pinged_s, one.working.as_ref()), (Some(NOW_S), None));
        assert!(one.started.is_some());
        let ping = f.store.ping_of(one.worker.name()).await.expect("ping_of");
        assert_eq!(ping, Some((NOW_S, one.worker.clone())));
    }
    assert_eq!(f.store.ping_of("host-windlass:nobody").await.expect("ping_of"), None);
}

async fn registering_tells_of_leftovers(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    let standing = instance.working().await;
    // An instance of another id comes to the same workers.
    assert_eq!(f.store.join(&record("b", 1)).await.expect("join"), Joined::Yes);
    let leftovers = f.store.register("b", &instance.record.workers()).await.expect("register");
    assert_eq!(leftovers, standing);
    assert_eq!(instance.working().await, standing, "they are left standing");
    assert_eq!(leftovers[0].claim.as_ref(), Some(&claim.claim.token));
}

async fn extending_moves_the_counter_and_pings(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    let mut counter = instance.state().await.expect("state").counter;
    for round in 1..4 {
        f.pass(5);
        assert_eq!(instance.extend().await, Extended::default());
        let now = instance.state().await.expect("state").counter;
        assert!(now > counter, "round {round}: {now} is no more than {counter}");
        counter = now;
        for one in f.store.registered().await.expect("registered") {
            assert_eq!(one.pinged_s, Some(NOW_S + 5 * round));
        }
    }
}

async fn a_worker_that_is_only_pinged_is_looked_after_later(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    let pinging = Extend {
        ran: Vec::new(),
        pinged: instance.record.workers(),
        record: instance.record.clone(),
        publish: false,
        census: false,
        workers: Vec::new(),
        locks: Vec::new(),
        done: Vec::new(),
        progress: Vec::new(),
        long: Vec::new(),
    };
    for round in 1..3 {
        f.pass(5);
        assert_eq!(f.store.extend(&pinging).await.expect("extend"), Extended::default(), "nothing is looked at");
        for one in f.store.registered().await.expect("registered") {
            assert_eq!(one.pinged_s, Some(NOW_S + 5 * round));
        }
    }
    assert!(f.store.force_clean(&instance.worker(1), None, None, &[]).await.expect("force_clean"));
    assert_eq!(f.store.extend(&pinging).await.expect("extend"), Extended::default());
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
    assert_eq!(instance.extend().await.removed, [idle(0)]);
    assert_eq!(f.store.registered().await.expect("registered").len(), 2);
}

async fn an_extension_of_idle_workers_wakes_nobody_until_it_finds_its_instance_dead(f: &Fixture) {
    let (instance, waker) = (Instance::join(&f.store, "a", 1).await, f.store.waker().await.expect("waker"));
    let watch = Watch {
        queues: vec![queue("q")],
        patterns: Some(std::sync::Arc::new(windlass::config::element::queues::QueuePatterns::all())),
        ..Watch::default()
    };
    waker.arm(&watch).await.expect("arm");
    let pinging = Extend { pinged: instance.record.workers(), workers: Vec::new(), ..instance.extension() };
    let counter = instance.state().await.expect("state").counter;
    f.pass(5);
    assert_eq!(f.store.extend(&pinging).await.expect("extend"), Extended::default());
    assert_eq!(instance.state().await.expect("state").counter, counter + 1);
    assert_eq!(f.store.registered().await.expect("registered")[0].pinged_s, Some(NOW_S + 5));
    let woken = tokio::time::timeout(Duration::from_millis(100), waker.woken()).await;
    assert!(woken.is_err(), "what it writes wakes nobody");
    let state = instance.state().await.expect("state");
    assert!(f.store.bury(&state).await.expect("bury"));
    assert!(f.store.extend(&pinging).await.expect("extend").dead);
    assert_eq!(f.store.instances().await.expect("instances"), []);
    assert_eq!(f.store.ping_of(instance.worker(1).name()).await.expect("ping_of"), None);
}

async fn an_overseer_that_is_alone_sees_its_lease_and_who_comes(f: &Fixture) {
    let one = Instance::join(&f.store, "a", 1).await;
    let oversee = Oversee { owner: "a".to_owned(), ttl_ms: 15_000, alone: Some(one.record.clone()), also: None };
    let overseen = async || {
        let Overseen { leads, instances, .. } = f.store.run(oversee.clone()).await.expect("oversee");
        (leads, instances)
    };
    for _ in 0..2 {
        one.extend().await;
        let state = one.state().await.expect("state");
        assert_eq!(overseen().await, (true, vec![state]));
    }
    let two = Instance::join(&f.store, "b", 1).await;
    let states = vec![one.state().await.expect("state"), two.state().await.expect("state")];
    assert_eq!(overseen().await, (true, states));
    assert!(f.store.bury(&one.state().await.expect("state")).await.expect("bury"));
    let state = two.state().await.expect("state");
    assert_eq!(overseen().await, (true, vec![state]), "it is not the one that was known");
}

async fn extending_renews_the_record(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    instance.record.periodic.push("clean".to_owned());
    instance.record.processors = 4;
    assert_eq!(f.store.register("a", &[instance.worker(4)]).await.expect("register"), []);
    let extend = Extend {
        ran: Vec::new(),
        record: instance.record.clone(),
        publish: true,
        census: true,
        workers: vec![instance.worker(1), instance.worker(4)],
        pinged: Vec::new(),
        locks: Vec::new(),
        done: Vec::new(),
        progress: Vec::new(),
        long: Vec::new(),
    };
    let counted = Extended { birth: Some("a".to_owned()), instances: Some(1), ..Extended::default() };
    assert_eq!(f.store.extend(&extend).await.expect("extend"), counted);
    assert_eq!(instance.state().await.expect("state").record, instance.record);
}

async fn an_extension_after_death_writes_nothing(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    let state = instance.state().await.expect("state");
    assert!(f.store.bury(&state).await.expect("bury"));
    let extended = instance.extend().await;
    assert!(extended.dead);
    assert_eq!(f.store.instances().await.expect("instances"), []);
    assert_eq!(f.store.registered().await.expect("registered"), []);
    assert_eq!(f.store.ping_of(instance.worker(1).name()).await.expect("ping_of"), None);
}

/// A removed worker without a working record.
fn idle(index: usize) -> Removed {
    Removed { index, left: RemovedState::Nothing }
}

async fn a_force_cleaned_worker_is_told_and_registered_anew(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let records = instance.working().await;
    assert!(f.store.force_clean(&claims[1].worker, Some(&records[1]), None, &[]).await.expect("force_clean"));
    assert!(f.store.force_clean(&instance.worker(3), None, None, &[]).await.expect("force_clean"));
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
    assert_eq!(instance.extend().await, Extended { removed: vec![idle(1), idle(2)], ..Extended::default() });
    assert_eq!(f.store.registered().await.expect("registered").len(), 3);
    assert_eq!(instance.extend().await, Extended::default(), "it is told once");
    assert_eq!(instance.working().await, records[..1], "the claim that is not lost is untouched");
    assert_eq!(instance.settle(claims.iter().map(|one| one.ends(Verdict::Done)).collect()).await, [1]);
}

async fn what_a_removed_worker_claims_before_it_is_known_is_not_lost(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert!(f.store.force_clean(&instance.worker(1), None, None, &[]).await.expect("force_clean"));
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut claims = instance.claim(&["q"], &[1, 2]).await;
    let removed = instance.extend().await.removed;
    assert_eq!(removed.iter().map(|removed| removed.index).collect::<Vec<_>>(), [0], "it is registered again");
    assert!(!matches!(removed[0].left, RemovedState::Failed(_)), "nobody failed its job");
    if claims.len() < 2 {
        claims.extend(instance.claim(&["q"], &[1]).await);
    }
    let mut done = payloads(&claims);
    done.sort();
    assert_eq!(done, jobs(0..2));
    assert_eq!(instance.settle(claims.iter().map(|one| one.ends(Verdict::Done)).collect()).await, [0_usize; 0]);
    assert_eq!(instance.extend().await, Extended::default(), "it is told once");
}

fn renewal(claim: &windlass::job::ClaimToken, key: LockKey, ttl_s: u64) -> LockRenewal {
    LockRenewal { key, claim: claim.clone(), ttl_s }
}

async fn locks_are_renewed_for_their_owner_alone(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let (mine, other) = (&claims[0].claim.token, &claims[1].claim.token);
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000), gate(&job_lock(2), 1000)]).await, Entered::Taken);
    f.plant_lock(&job_lock(3), "true");
    f.pass(10);
    let extend = Extend {
        ran: Vec::new(),
        record: instance.record.clone(),
        publish: true,
        census: false,
        workers: instance.record.workers(),
        pinged: Vec::new(),
        locks: vec![
            renewal(mine, job_lock(1), 60),
            renewal(other, job_lock(2), 60),
            renewal(mine, job_lock(3), 60),
            renewal(mine, job_lock(4), 60),
        ],
        done: Vec::new(),
        progress: Vec::new(),
        long: Vec::new(),
    };
    let extended = f.store.extend(&extend).await.expect("extend");
    // SQLite cannot tell a lock that never was from one that was deleted.
    let deleted_locks = if matches!(f.place, Place::Sqlite { .. }) { vec![3] } else { Vec::new() };
    let birth = extended.birth.clone();
    let expected = Extended { birth, lost_locks: vec![1, 2], deleted_locks, ..Extended::default() };
    assert_eq!(extended, expected);
    let mut held: Vec<_> =
        f.store.locks().await.expect("locks").locks.into_iter().map(|lock| (lock.key, lock.value)).collect();
    held.sort();
    let key = |n| job_lock(n).as_str().to_owned();
    let expected = [
        (key(1), format!("{}:{mine}", NOW_S + 70)),
        (key(2), format!("{}:{mine}", NOW_S + 60)),
        (key(3), "true".to_owned()),
    ];
    assert_eq!(held, expected, "a lock that ran out is not taken again behind the job's back");
}

async fn a_renewed_lock_outlives_its_first_term(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    for _ in 0..4 {
        f.pass(40);
        let locks = vec![renewal(&claims[0].claim.token, job_lock(1), 60)];
        let extend = Extend {
            ran: Vec::new(),
            record: instance.record.clone(),
            publish: true,
            census: false,
            workers: instance.record.workers(),
            pinged: Vec::new(),
            locks,
            done: Vec::new(),
            progress: Vec::new(),
            long: Vec::new(),
        };
        assert_eq!(f.store.extend(&extend).await.expect("extend"), nothing_found());
    }
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(1), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    let freeing = claims[0].frees(Verdict::Done, &[job_lock(1)]);
    assert_eq!(instance.settle(vec![freeing]).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [""; 0]);
}

async fn unregistering_leaves_the_busy(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.store.unregister("a", &instance.record.workers()).await.expect("unregister");
    let registered = f.store.registered().await.expect("registered");
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].worker, claim.worker);
    assert_eq!(f.store.ping_of(instance.worker(2).name()).await.expect("ping_of"), None);
    instance.settle_one(&claim, Verdict::Done).await;
    assert_eq!(f.store.stats().await.expect("stats").workers.len(), 1);
    f.store.unregister("a", &[claim.worker]).await.expect("unregister");
    assert_eq!(f.store.registered().await.expect("registered"), []);
    assert_eq!(f.store.stats().await.expect("stats").workers, [], "the worker's own counters go with it");
    assert_eq!(counters(&f.store).await, (1, 0), "the store's stay");
}

async fn leaving_takes_everything_along(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(f.store.instances().await.expect("instances"), []);
    assert_eq!(f.store.registered().await.expect("registered"), []);
    f.store.leave(&instance.record).await.expect("leaving twice is harmless");
}

async fn leaving_with_work_leaves_it_to_recovery(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.store.leave(&instance.record).await.expect("leave");
    let registered = f.store.registered().await.expect("registered");
    assert_eq!(registered.len(), 1, "only the idle go");
    assert_eq!(registered[0].worker, claim.worker);
    assert_eq!(instance.working().await[0].payload, Some(job(0)));
    assert!(instance.state().await.is_some(), "the registration stays, for recovery to find");
}

/// After a reload some workers have names with the new queues, and a job may still be on record under an old one.
async fn workers_of_former_queues_are_of_the_instance_too(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let old = instance.worker(1);
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.worker, old);
    instance.record.change_queues("q,p".to_owned());
    instance.record.change_queues("p".to_owned());
    assert_eq!(instance.record.workers().len(), 6, "two numbers, three lists");
    let extend = Extend {
        ran: Vec::new(),
        record: instance.record.clone(),
        publish: true,
        census: false,
        workers: vec![old.clone()],
        pinged: Vec::new(),
        locks: Vec::new(),
        done: Vec::new(),
        progress: Vec::new(),
        long: Vec::new(),
    };
    assert_eq!(f.store.extend(&extend).await.expect("extend"), nothing_found());
    f.store.register("a", &[instance.worker(2)]).await.expect("register");
    let dead = instance.state().await.expect("it is registered");
    assert_eq!(dead.record, instance.record);
    assert!(!f.store.bury(&dead).await.expect("bury"), "a job is on record under a former name");
    let found = f.store.working(&dead.record.workers()).await.expect("working").into_iter().flatten();
    assert_eq!(found.map(|record| record.worker).collect::<Vec<_>>(), [old]);
    instance.settle_one(&claim, Verdict::Done).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(f.store.registered().await.expect("registered"), []);
    // A record of an earlier version has no former queues.
    let text = serde_json::to_string(&record("b", 1)).expect("a record must be text");
    assert!(!text.contains("former"), "{text}");
}

async fn an_instance_that_left_may_come_back(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    for n in 0..3 {
        let claim = instance.claim_one("q").await;
        assert_eq!(claim.claim.payload, job(n));
        instance.settle_one(&claim, Verdict::Done).await;
        f.store.leave(&instance.record).await.expect("leave");
        instance = Instance::join(&f.store, "a", 1).await;
    }
    assert_eq!(counters(&f.store).await, (3, 0), "its lanes begin anew");
}

async fn two_instances_do_not_meet(f: &Fixture) {
    // One id is a prefix of the other, as are their names.
    let mut one = Instance::join(&f.store, "a", 2).await;
    let mut two = Instance::join(&f.handle().await, "ab", 2).await;
    fill(&f.store, "q", &jobs(0..4)).await;
    let ours = one.claim(&["q"], &[1, 2]).await;
    let theirs = two.claim(&["q"], &[1, 2]).await;
    assert_eq!(one.settle(vec![ours[0].ends(Verdict::Done)]).await, [0_usize; 0]);
    f.store.leave(&one.record).await.expect("leave");
    assert_eq!(two.extend().await, Extended::default());
    assert_eq!(two.settle(theirs.iter().map(|one| one.ends(Verdict::Done)).collect()).await, [0_usize; 0]);
    assert_eq!(one.working().await.len(), 1);
}
