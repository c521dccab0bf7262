//! Numbers in the store that no program of good will writes: what hangs on them goes on.

use windlass::store::effect::Verdict;
use windlass::store::scheduling::{Fire, Fired};
use windlass::store::workers::{Recovered, Recovery};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{fill, jobs, queued};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_dead_instance_is_recovered_and_removed_whatever_its_counter_is,
    a_living_instance_goes_on_whatever_its_counter_is,
    a_schedule_goes_on_whatever_its_last_occurrence_is,
}

/// Numbers out of all bounds, and what is no number.
const STRANGE: [&str; 12] = [
    "-5",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
    "1e300",
    "-9223372036854775808",
    "12 ",
    "nan",
    "many",
    "",
];

async fn a_dead_instance_is_recovered_and_removed_whatever_its_counter_is(f: &Fixture) {
    for (n, counter) in STRANGE.iter().enumerate() {
        let mut dead = Instance::join(&f.store, &format!("dead{n}"), 1).await;
        fill(&f.store, "q", &jobs(n..n + 1)).await;
        dead.claim_one("q").await;
        f.plant_counter(&dead.record.id, counter);
        let state = dead.state().await.expect("it is registered");
        assert_eq!(dead.state().await, Some(state.clone()), "it stands still");
        let record = dead.working().await.remove(0);
        let recovery = Recovery {
            instance: Some((state.record.id.clone(), state.counter)),
            queue: record.queue.clone().expect("our record tells the queue"),
            payload: record.payload.clone().expect("our record tells the job"),
            verdict: Verdict::Requeued { identity: record.identity.clone().expect("identity").redelivered() },
            record,
            free: Vec::new(),
            tick: None,
            run: None,
        };
        assert_eq!(f.store.recover(&recovery).await.expect("recover"), Recovered::Yes, "{counter:?}");
        assert!(f.store.bury(&state).await.expect("bury"), "{counter:?}");
        assert_eq!(queued(&f.store, "q").await, jobs(n..n + 1), "{counter:?}");
        f.store.delete_queue(&crate::look::queue("q")).await.expect("delete_queue");
    }
}

async fn a_living_instance_goes_on_whatever_its_counter_is(f: &Fixture) {
    for (n, counter) in STRANGE.iter().enumerate() {
        let instance = Instance::join(&f.store, &format!("alive{n}"), 1).await;
        f.plant_counter(&instance.record.id, counter);
        let mut seen = vec![instance.state().await.expect("it is registered").counter];
        for _ in 0..3 {
            assert!(!instance.extend().await.dead, "{counter:?}");
            seen.push(instance.state().await.expect("it is registered").counter);
        }
        // An observer sees it move with every extension.
        assert!(seen.windows(2).all(|two| two[0] != two[1]), "{counter:?}: {seen:?}");
    }
}

async fn a_schedule_goes_on_whatever_its_last_occurrence_is(f: &Fixture) {
    for (n, last) in STRANGE.iter().chain(&["8640000000001", "-8640000000001", "007"]).enumerate() {
        let id = format!("report/{n}");
        f.plant_occurrence(&id, last);
        let read = async || f.store.last_fired(std::slice::from_ref(&id)).await.expect("last_fired")[0];
        let seen_s = read().await;
        assert!(seen_s.is_none_or(|seen_s| seen_s.abs() <= 8_640_000_000_000), "{last:?}: {seen_s:?}");
        let fire = Fire { id: id.clone(), seen_s, last_s: NOW_S, job: None };
        assert!(matches!(f.store.fire(&fire).await.expect("fire"), Fired::Yes(_)), "{last:?}");
        assert_eq!(read().await, Some(NOW_S), "{last:?}");
        assert_eq!(f.store.fire(&fire).await.expect("fire"), Fired::No, "once: {last:?}");
    }
}
