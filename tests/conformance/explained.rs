//! What `explain` tells when not all can be read.

use windlass::admin::explain::{self, Cause, Finding, Here, State};
use windlass::admin::locks;
use windlass::store::role::Admin;
use windlass::task::Registry;

use crate::fixture::Fixture;
use crate::instance::Instance;
use crate::look::{fill, gate, job, job_lock, jobs};
use crate::support::verbs::Verbs as _;

/// The findings of bare `explain`.
pub(crate) async fn findings(f: &Fixture) -> Vec<Finding> {
    let registry = Registry::default();
    explain::attention(&f.store.narrow::<Admin>(), Here::of(&registry)).await.expect("attention").findings
}

/// The same: the cause, and what is said.
async fn attention(f: &Fixture) -> Vec<(Cause, String)> {
    findings(f).await.into_iter().map(|one| (one.cause, one.text)).collect()
}

/// The words of a command, none of which is quoted.
pub(crate) fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

/// A lock that nobody frees is told with the command that frees it, and one that a run has is not.
async fn locks_are_told(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claim = instance.claim_one("q").await;
    instance.enter(&claim, &[gate(&job_lock(0), 1000)]).await;
    let held = async || findings(f).await.into_iter().filter(|one| one.cause == Cause::LockHeld).collect::<Vec<_>>();
    f.store.delete_queue(&crate::look::queue("q")).await.expect("delete_queue");
    fill(&f.store, "q", &jobs(0..2)).await;
    assert_eq!(held().await.len(), 0, "a run has it");
    f.store.delete_queue(&crate::look::queue("q")).await.expect("delete_queue");
    fill(&f.store, "q", &[job(1)]).await;
    for value in ["true".to_owned(), format!("{}:00ee-0-1-2", crate::fixture::NOW_S + 3000)] {
        f.plant_lock(&job_lock(1), &value);
        let told = held().await;
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(told.blocks && told.text.contains("workerslock:add:q:[1] is held"), "{told:?}");
        let (registry, store) = (Registry::default(), f.store.narrow::<Admin>());
        let of_queue = explain::queue(&store, Here::of(&registry), "q").await.expect("it can be read");
        let of_task = explain::task(&store, Here::of(&registry), "add").await.expect("it can be read");
        for told in [of_queue, of_task] {
            assert!(told.state == State::Blocked && told.findings.iter().any(|one| one.cause == Cause::LockHeld));
        }
        let command = told.command.as_deref().unwrap_or_default();
        let key = command.strip_prefix("windlass locks delete '").and_then(|rest| rest.strip_suffix('\''));
        locks::delete(&store, &registry, key.expect(command)).await.expect("the command that was printed");
        assert_eq!(held().await.len(), 0, "it is free");
    }
}

#[tokio::test]
async fn a_lock_that_nobody_frees_is_told_on_redis() {
    locks_are_told(&Fixture::redis().await).await;
}

#[tokio::test]
async fn a_lock_that_nobody_frees_is_told_on_sqlite() {
    locks_are_told(&Fixture::sqlite().await).await;
}

#[tokio::test]
async fn a_queue_whose_key_is_no_list_is_told_and_the_command_moves_it_away() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..1)).await;
    f.redis_command(&["SADD", &f.key("queues"), "mail"]);
    f.redis_command(&["SET", &f.key("queue:mail"), "x"]);
    let (registry, store) = (Registry::default(), f.store.narrow::<Admin>());
    let of_queue = async || explain::queue(&store, Here::of(&registry), "mail").await.expect("it can be read");
    assert_eq!(of_queue().await.state, State::Blocked);
    let is_told = |one: &Finding| one.cause == Cause::PartlyRead && one.text.contains(&f.key("queue:mail"));
    assert!(of_queue().await.findings.iter().any(is_told), "{:?}", of_queue().await);
    let told = findings(&f).await.into_iter().find(is_told).expect("it is told");
    let command = told.command.expect("a command");
    let words = words(&command);
    let ["redis-cli", "-s", _, typed @ ..] = &words[..] else { panic!("{command}") };
    f.redis_command(typed);
    assert!(!findings(&f).await.iter().any(is_told) && !of_queue().await.findings.iter().any(is_told));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_the_rest_is_told_too() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let rest = attention(&f).await;
    assert!(rest.iter().any(|(cause, _)| *cause == Cause::NoInstance), "{rest:?}");
    for name in ["failed", "delayed_queue_schedule", "windlass:periodic", "windlass:moving"] {
        f.redis_command(&["SET", &f.key(name), "text"]);
        let told = attention(&f).await;
        assert!(told.iter().any(|(_, text)| text.contains(&f.key(name))), "{name}: {told:?}");
        assert!(rest.iter().all(|one| told.contains(one)), "{name}: {told:?}");
        f.redis_command(&["DEL", &f.key(name)]);
        assert_eq!(attention(&f).await, rest, "{name}");
    }
}

#[tokio::test]
async fn of_those_who_could_not_be_read_nothing_is_said() {
    let f = Fixture::redis().await;
    let _instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    for name in ["workers", "windlass:instances"] {
        let before = f.redis_command(&["DUMP", &f.key(name)]);
        f.redis_command(&["RENAME", &f.key(name), &f.key("kept")]);
        f.redis_command(&["SET", &f.key(name), "text"]);
        let told = attention(&f).await;
        assert!(
            told.iter().any(|(cause, text)| *cause == Cause::PartlyRead && text.contains(&f.key(name))),
            "{told:?}"
        );
        let denies = |cause: &Cause| matches!(cause, Cause::NoInstance | Cause::NoProcessorForQueue);
        assert!(!told.iter().any(|(cause, _)| denies(cause)), "{name}: {told:?}");
        f.redis_command(&["RENAME", &f.key("kept"), &f.key(name)]);
        assert_eq!(f.redis_command(&["DUMP", &f.key(name)]), before);
    }
}
