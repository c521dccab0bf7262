//! What `explain` tells when not all can be read.

use windlass::admin::explain::{self, Cause, Here};
use windlass::store::role::Admin;
use windlass::task::Registry;

use crate::fixture::Fixture;
use crate::instance::Instance;
use crate::look::{fill, jobs};

/// The findings of bare `explain`: the cause, and what is said.
async fn attention(f: &Fixture) -> Vec<(Cause, String)> {
    let registry = Registry::default();
    let told = explain::attention(&f.store.narrow::<Admin>(), Here::of(&registry)).await.expect("attention");
    told.findings.into_iter().map(|one| (one.cause, one.text)).collect()
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
