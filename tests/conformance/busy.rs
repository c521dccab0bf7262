//! A file that another process has locked: no instance can write to it, so none can take over the lease of another.

use windlass::store::Store;
use windlass::store::instance::{InstanceState, ReadSuspicion, Suspect, Suspicion};
use windlass::store::role::Whole;

use crate::fixture::{Fixture, SOON, until};
use crate::instance::Instance;
use crate::support::verbs::Verbs as _;

async fn suspicion(instance: &Instance) -> Suspicion {
    let instance_id = instance.record.id.clone();
    instance.store.run(ReadSuspicion { instance: instance_id }).await.expect("suspicion")
}

async fn suspect(store: &Store<Whole>, state: &InstanceState) -> bool {
    store.run(Suspect { state: state.clone() }).await.expect("suspect")
}

#[tokio::test]
async fn an_instance_sees_on_a_locked_file_that_it_is_not_suspected() {
    let f = Fixture::sqlite().await;
    let instance = Instance::join(&f.store, "a", 1).await;
    let other = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    other.busy_timeout(SOON).expect("a timeout must be accepted");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock must be had");
    assert_eq!(suspicion(&instance).await, Suspicion::Trusted);
    other.execute_batch("ROLLBACK").expect("the lock must be given back");
}

#[tokio::test]
async fn a_suspected_instance_learns_of_it_half_a_lease_before_it_counts_as_dead() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    instance.record.lease_ms = 1000;
    instance.extend().await;
    let other = f.handle().await;
    let state = instance.state().await.expect("state");
    assert!(!suspect(&other, &state).await, "it is only marked");
    assert_eq!(suspicion(&instance).await, Suspicion::Suspected);
    instance.extend().await;
    assert_eq!(suspicion(&instance).await, Suspicion::Trusted, "a sign of life ends it");
    assert!(!suspect(&other, &state).await);
    let state = instance.state().await.expect("state");
    until("half a lease", async || suspect(&other, &state).await).await;
    assert_eq!(suspicion(&instance).await, Suspicion::Suspected);
    assert!(other.bury(&state).await.expect("bury"));
    assert_eq!(suspicion(&instance).await, Suspicion::Suspected, "a removed instance is not trusted either");
}

#[tokio::test]
async fn on_redis_the_lease_alone_decides() {
    let f = Fixture::redis().await;
    let instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(suspicion(&instance).await, Suspicion::Unknown);
    assert!(suspect(&f.store, &instance.state().await.expect("state")).await);
}
