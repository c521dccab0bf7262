//! Another program removes or overwrites one of the keys that hold what is known of an instance.

use windlass::store::effect::Verdict;
use windlass::store::instance::{Extend, InstanceRecord, InstanceState, Joined};
use windlass::store::workers::{Recovered, Recovery};

use crate::fixture::Fixture;
use crate::instance::{Claimed, Instance, record};
use crate::look::{fill, job, jobs, queue, queued};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    a_record_that_was_overwritten_is_written_again,
}

/// An extension that looks.
async fn looks(instance: &Instance) {
    let extend = Extend { census: true, ..instance.extension() };
    assert!(!instance.store.extend(&extend).await.expect("extend").dead);
}

async fn a_record_that_was_overwritten_is_written_again(f: &Fixture) {
    let instance = Instance::join(&f.store, "a", 2).await;
    for other in [r#"{"id":"a","processors":99999999999}"#, "", "{"] {
        f.plant_record("a", other);
        assert_eq!(instance.state().await, None);
        looks(&instance).await;
        assert_eq!(instance.state().await.expect("it can be read again").record, instance.record);
    }
    // A record of another one, and leases within which nobody extends.
    let others = serde_json::to_string(&record("b", 2)).expect("a record must be written");
    let own = serde_json::to_string(&instance.record).expect("a record must be written");
    for other in [others, own.replace("15000", "100")] {
        f.plant_record("a", &other);
        assert_eq!(f.store.instances().await.expect("instances"), []);
        looks(&instance).await;
    }
    let longer = InstanceRecord { lease_ms: 31_557_600_000, ..instance.record.clone() };
    f.plant_record("a", &serde_json::to_string(&longer).expect("a record must be written"));
    looks(&instance).await;
    assert_eq!(instance.state().await.expect("it stands").record, instance.record);
}

#[tokio::test]
async fn a_record_that_was_removed_is_written_again() {
    let f = Fixture::redis().await;
    let (instance, instances) = (Instance::join(&f.store, "a", 2).await, f.key("windlass:instances"));
    for way in [&["HDEL", &instances, "a"][..], &["DEL", &instances], &["SET", &instances, "x"]] {
        f.redis_command(way);
        if way[0] == "SET" {
            looks(&instance).await;
            f.redis_command(&["DEL", &instances]);
        }
        looks(&instance).await;
        assert_eq!(instance.state().await.expect("it is registered").record, instance.record, "{way:?}");
    }
}

async fn recovered(f: &Fixture, claim: &Claimed, counter: u64) -> Recovered {
    let record = f.store.working(std::slice::from_ref(&claim.worker)).await.expect("working").remove(0);
    let Some(record) = record else { return Recovered::No };
    let recovery = Recovery {
        instance: Some(("a".to_owned(), counter)),
        record,
        queue: queue("q"),
        payload: claim.claim.payload.clone(),
        verdict: claim.requeued(),
        free: Vec::new(),
        tick: None,
        run: None,
    };
    f.store.recover(&recovery).await.expect("recover")
}

#[tokio::test]
async fn a_living_instance_whose_counter_was_lost_goes_on_and_is_seen_to_live() {
    let f = Fixture::redis().await;
    let leases = f.key("windlass:leases");
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    let mut seen = Vec::new();
    for way in [&["HDEL", &leases, "a"][..], &["DEL", &leases], &["SET", &leases, "x"], &["HSET", &leases, "a", "junk"]]
    {
        f.redis_command(way);
        if way[0] == "SET" {
            assert!(f.store.extend(&instance.extension()).await.is_err(), "it is not dead, but cannot extend");
            f.redis_command(&["DEL", &leases]);
        }
        f.pass(1);
        assert!(!instance.extend().await.dead, "{way:?}");
        let state = instance.state().await.expect("it is registered");
        assert!(!seen.contains(&state.counter), "anyone who watches it sees that it lives: {way:?} {seen:?}");
        seen.push(state.counter);
        assert_eq!(recovered(&f, &claim, 0).await, Recovered::No, "it lives");
    }
    instance.settle_one(&claim, Verdict::Done).await;
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

#[tokio::test]
async fn a_dead_instance_without_a_counter_is_recovered_and_buried_once() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.redis_command(&["DEL", &f.key("windlass:leases")]);
    let dead = instance.state().await.expect("it is registered");
    assert_eq!(dead.counter, 0);
    assert!(!f.store.bury(&dead).await.expect("bury"), "it has a job");
    assert_eq!(recovered(&f, &claim, 0).await, Recovered::Yes);
    assert_eq!(recovered(&f, &claim, 0).await, Recovered::No);
    assert_eq!(queued(&f.store, "q").await, [job(0)]);
    assert!(f.store.bury(&dead).await.expect("bury"));
    // Another one comes to its name, and anyone who saw it dead as well must not take that one's workers.
    let second = InstanceRecord { id: "b".to_owned(), ..instance.record.clone() };
    assert_eq!(f.store.join(&second).await.expect("join"), Joined::Yes);
    assert_eq!(f.store.register("b", &second.workers()).await.expect("register"), []);
    assert!(!f.store.bury(&dead).await.expect("bury"));
    assert_eq!(f.store.registered().await.expect("registered").len(), 2);
    assert!(instance.extend().await.dead, "who was buried has lost its lease");
    assert_eq!(f.redis_command(&["HEXISTS", &f.key("windlass:leases"), "a"]), Reply::Int(0));
}

#[tokio::test]
async fn a_name_is_held_although_the_names_were_lost() {
    let f = Fixture::redis().await;
    let instance = Instance::join(&f.store, "a", 1).await;
    let second = InstanceRecord { id: "b".to_owned(), ..instance.record.clone() };
    f.redis_command(&["DEL", &f.key("windlass:names")]);
    let held = Joined::NameTaken(Box::new(instance.record.clone()));
    assert_eq!(f.store.join(&second).await.expect("join"), held);
    assert_eq!(f.store.join(&record("c", 1)).await.expect("join"), Joined::Yes, "another name is free");
    let dead = instance.state().await.expect("it is registered");
    assert!(f.store.bury(&dead).await.expect("bury"));
    assert_eq!(f.store.join(&second).await.expect("join"), Joined::Yes);
}

#[tokio::test]
async fn workers_of_a_name_that_another_took_stay_when_its_first_holder_is_buried() {
    let f = Fixture::redis().await;
    let instance = Instance::join(&f.store, "a", 1).await;
    let dead: InstanceState = instance.state().await.expect("it is registered");
    f.redis_command(&["HSET", &f.key("windlass:names"), &instance.record.name, "b"]);
    assert!(f.store.bury(&dead).await.expect("bury"));
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
}

/// The lane is removed with a registration: without it nobody knows what was applied.
#[tokio::test]
async fn without_its_lane_an_instance_is_dead_and_its_job_is_left_to_recovery() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.redis_command(&["DEL", &f.key("windlass:lane:a")]);
    let exchange = instance.next_claim(&["q"], &[2]);
    assert!(instance.send(&exchange).await.dead);
    let dead = instance.state().await.expect("it is registered");
    assert_eq!(recovered(&f, &claim, dead.counter).await, Recovered::Yes);
    assert!(f.store.bury(&dead).await.expect("bury"));
    assert_eq!(queued(&f.store, "q").await, [job(0)]);
}

/// A row is all that a file knows of an instance. A living one comes back under a new id and finds its record.
#[tokio::test]
async fn in_a_file_a_removed_row_leaves_the_job_to_who_comes_to_the_name() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    f.remove_registration("a");
    assert!(instance.extend().await.dead);
    let second = InstanceRecord { id: "b".to_owned(), ..instance.record.clone() };
    assert_eq!(f.store.join(&second).await.expect("join"), Joined::Yes);
    let left = f.store.register("b", &second.workers()).await.expect("register");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].claim.as_ref(), Some(&claim.claim.token));
}
