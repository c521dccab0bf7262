use futures_util::FutureExt;

use super::*;
use bytes::Bytes;
use tokio::time::Instant;

use crate::job::{Identity, QueueName};
use crate::plugin::chain::HeldLock;
use crate::store::instance::HostIdentity;

fn record(queues: &str) -> InstanceRecord {
    let host = HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 7, started_ticks: 1 };
    InstanceRecord {
        id: "00ff".into(),
        name: "h-windlass:7".into(),
        queues: queues.into(),
        former_queues: Vec::new(),
        host,
        processors: 4,
        lease_ms: 30_000,
        periodic: Vec::new(),
        version: "1".into(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}

/// Slots of which these are busy.
fn slots(states: &[bool]) -> Slots {
    let (slots, record) = (Slots::default(), record("*"));
    for (number, &busy) in (1..).zip(states) {
        slots.add(number, record.worker(number), &record);
        if busy {
            let claim = ClaimToken::new("00", 0, 1, number);
            slots.settle(number, &Identity::first(&claim), &claim);
        }
    }
    slots
}

/// A job that holds this lock.
fn job(claim: &ClaimToken, lock: &LockKey) -> Box<Job> {
    Box::new(Job {
        claim: claim.clone(),
        queue: QueueName::as_stored("q"),
        payload: Bytes::new(),
        args: Bytes::new(),
        identity: Identity::first(claim),
        scheduled_at: None,
        known: None,
        held: vec![HeldLock { key: lock.clone(), ttl_s: 60 }],
        info: None,
        began: Instant::now(),
        cancelled_by: None,
        has_begun: false,
        limit: None,
    })
}

fn manager_is_asked(slots: &Slots) -> bool {
    slots.manager_asked().now_or_never().is_some()
}

#[test]
fn an_idle_processor_leaves_before_the_last_started_one_if_that_is_busy() {
    let pool = slots(&[true, false, true]);
    pool.retire(1);
    assert_eq!(pool.take_retired(), [record("*").worker(2)]);
    assert_eq!(pool.free_numbers(2), [2, 4]);
    pool.retire(1);
    assert!(pool.take_retired().is_empty(), "a busy one leaves when its job is settled");
    assert_eq!(pool.census(), (1, 1));
    pool.rest([1].iter());
    assert!(!manager_is_asked(&pool), "the other one stays");
    pool.rest([3].iter());
    assert!(manager_is_asked(&pool));
    assert_eq!(pool.take_retired(), [record("*").worker(3)]);
}

#[test]
fn a_processor_whose_end_cannot_be_recorded_makes_room_for_another_and_leaves_afterwards() {
    let pool = slots(&[true, false]);
    let claim = ClaimToken::new("00", 0, 1, 1);
    assert!(pool.holds(&claim), "its end is not recorded yet");
    assert!(pool.set_aside(1));
    assert_eq!((pool.census(), pool.aside(), pool.free_numbers(1)), ((1, 0), 1, vec![3]), "it keeps its number");
    assert!(pool.claim(0, usize::MAX, |_| false).0.is_empty(), "the record of its job stands under its name");
    assert!(pool.take_retired().is_empty());
    pool.rest([1].iter());
    assert!(manager_is_asked(&pool) && !pool.holds(&claim));
    assert_eq!((pool.take_retired(), pool.aside()), (vec![record("*").worker(1)], 0));
}

#[test]
fn so_many_are_set_aside_and_no_more() {
    let pool = slots(&[true; MOST_ASIDE + 1]);
    assert!((1..=MOST_ASIDE).all(|number| pool.set_aside(number)));
    assert!(pool.set_aside(1), "it is already");
    assert!(!pool.set_aside(MOST_ASIDE + 1));
    pool.rest([1].iter());
    assert!(pool.set_aside(MOST_ASIDE + 1));
}

#[test]
fn a_lane_claims_for_its_idle_slots_and_for_those_it_settles() {
    let pool = slots(&[false, true, true, false, false]);
    assert_eq!(pool.idle(), [2, 1]);
    assert!(!pool.is_quiet(0));
    let (numbers, workers) = pool.claim(0, usize::MAX, |number| number == 5);
    assert_eq!(numbers, [1, 3]);
    assert_eq!(workers, [1, 3].map(|number| record("*").worker(number)));
    assert_eq!(pool.idle(), [1, 1], "a claim is in flight");
    pool.rest(numbers.iter());
    assert!(pool.is_quiet(0) && !pool.is_quiet(1));
}

#[test]
fn a_processor_claims_nothing_before_it_has_the_name_of_a_reload() {
    let pool = slots(&[false, true]);
    let (old, new) = (record("*"), record("mail"));
    pool.compare_names(&new);
    assert!(pool.claim(0, usize::MAX, |_| false).0.is_empty());
    let names: Vec<_> = pool.unname(&new).into_iter().map(|next| (next.number, next.old, next.new)).collect();
    assert_eq!(names, [(1, old.worker(1), new.worker(1))], "the busy one keeps its name");
    assert!(!pool.any(|slot| slot.number() == 1 && slot.is_registered()));
    pool.name(1, &new.worker(1), &new);
    assert_eq!(pool.claim(0, usize::MAX, |_| false).0, [1]);
    pool.rest([2].iter());
    assert!(manager_is_asked(&pool), "it can get its name now");
}

#[test]
fn a_lock_is_lost_once_and_only_by_the_run_that_holds_it() {
    let pool = slots(&[false, false]);
    let (one, two) = (ClaimToken::as_stored("00ff-0-1-0"), ClaimToken::as_stored("00ff-0-1-1"));
    let lock = LockKey::job_lock("t", "q", "[1]");
    assert!(pool.begin(1, job(&one, &lock), |_, _| Started::Running(None)).is_none());
    assert!(!pool.forgo_lock(&two, &lock), "that claim does not run, or not any more");
    assert!(!pool.forgo_lock(&one, &LockKey::job_lock("t", "q", "[2]")));
    assert!(pool.forgo_lock(&one, &lock));
    assert!(!pool.forgo_lock(&one, &lock));
}
