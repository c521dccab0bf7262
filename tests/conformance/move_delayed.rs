//! move_delayed: delayed -> delayed at another time, or nowhere, for jobs that somebody has chosen.

use windlass::store::delayed::{MoveDelayed, MoveTo, ReadAttempts};
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::queueing::{Schedule, Scheduled, When};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{delay, delayed_at, fill, job, jobs, promote_all, queued, seconds};
use crate::support::verbs::Verbs as _;

behaviours! {
    jobs_move_to_their_new_second_in_order,
    jobs_that_run_now_are_due_at_once,
    what_is_not_there_any_more_is_not_moved,
    equal_jobs_are_as_many_as_before,
    a_moved_job_is_found_and_refuses_duplicates_where_it_is,
    who_a_job_is_moves_with_it,
    a_deleted_job_leaves_nothing_and_its_twin_everything,
}

async fn moved(f: &Fixture, second: i64, which: &[usize], to: MoveTo) -> u64 {
    let jobs = which.iter().map(|n| job(*n)).collect();
    f.store.run(MoveDelayed { second, jobs, to }).await.expect("move_delayed")
}

async fn jobs_move_to_their_new_second_in_order(f: &Fixture) {
    for n in 0..4 {
        delay(&f.store, &job(n), When::At(NOW_S + 5)).await;
    }
    delay(&f.store, &job(9), When::At(NOW_S + 7)).await;
    assert_eq!(moved(f, NOW_S + 5, &[3, 1], MoveTo::Second(NOW_S + 7)).await, 2);
    assert_eq!(delayed_at(&f.store, NOW_S + 5).await, [job(0), job(2)]);
    assert_eq!(delayed_at(&f.store, NOW_S + 7).await, [job(9), job(3), job(1)]);
    assert_eq!(moved(f, NOW_S + 5, &[0, 2], MoveTo::Second(NOW_S + 1)).await, 2);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 1, 2), (NOW_S + 7, 3)], "no empty second stays");
    assert_eq!(moved(f, NOW_S + 7, &[9], MoveTo::Second(NOW_S + 7)).await, 0, "it is there");
}

async fn jobs_that_run_now_are_due_at_once(f: &Fixture) {
    for n in 0..3 {
        delay(&f.store, &job(n), When::At(NOW_S + 500)).await;
    }
    assert_eq!(moved(f, NOW_S + 500, &[0, 2], MoveTo::Now).await, 2);
    assert_eq!(promote_all(&f.store, "q", 5).await, 2);
    assert_eq!(queued(&f.store, "q").await, [job(0), job(2)]);
    assert_eq!(delayed_at(&f.store, NOW_S + 500).await, [job(1)]);
}

async fn what_is_not_there_any_more_is_not_moved(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 5)).await;
    assert_eq!(moved(f, NOW_S + 5, &[0, 1, 1], MoveTo::Second(NOW_S + 6)).await, 1);
    assert_eq!(moved(f, NOW_S + 5, &[1], MoveTo::Nowhere).await, 0);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 6, 1)]);
}

async fn equal_jobs_are_as_many_as_before(f: &Fixture) {
    for second in [5, 6, 7] {
        delay(&f.store, &job(1), When::At(NOW_S + second)).await;
    }
    assert_eq!(moved(f, NOW_S + 5, &[1], MoveTo::Second(NOW_S + 7)).await, 1);
    assert_eq!(moved(f, NOW_S + 6, &[1], MoveTo::Second(NOW_S + 7)).await, 1);
    assert_eq!(delayed_at(&f.store, NOW_S + 7).await, [job(1), job(1), job(1)]);
    assert_eq!(moved(f, NOW_S + 7, &[1], MoveTo::Second(NOW_S + 8)).await, 1);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 7, NOW_S + 8]);
    assert_eq!(moved(f, NOW_S + 7, &[1, 1], MoveTo::Nowhere).await, 2);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 8]);
}

async fn a_moved_job_is_found_and_refuses_duplicates_where_it_is(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 5)).await;
    moved(f, NOW_S + 5, &[1], MoveTo::Second(NOW_S + 9)).await;
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 9]);
    let again = |second| Schedule { payload: job(1), when: When::At(second) };
    let scheduled = f.store.schedule(&[again(NOW_S + 9), again(NOW_S + 5)]).await.expect("schedule");
    assert_eq!(scheduled, [Scheduled::Duplicate(NOW_S + 9), Scheduled::At(NOW_S + 5)]);
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), [NOW_S + 5, NOW_S + 9]);
    assert_eq!(seconds(&f.store).await, []);
}

async fn who_a_job_is_moves_with_it(f: &Fixture) {
    for (name, to) in [("a", MoveTo::Now), ("b", MoveTo::Second(NOW_S + 100))] {
        let mut instance = Instance::join(&f.store, name, 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        let one = instance.claim_one("q").await;
        let identity = one.claim.identity.put_off();
        instance.settle_one(&one, Verdict::Delayed { delay_ms: 500_000, identity: identity.clone() }).await;
        let second = seconds(&f.store).await[0].0;
        let page = f.store.delayed_at(second, 0, 0).await.expect("delayed_at");
        let step = MoveDelayed { second, jobs: page, to };
        assert_eq!(f.store.run(step).await.expect("move_delayed"), 1, "{to:?}");
        // A new equal job is another one, as long as the moved one is not due.
        if to != MoveTo::Now {
            fill(&f.store, "q", &[job(1)]).await;
            let new = instance.claim_one("q").await;
            assert_ne!(new.claim.identity.id, identity.id, "{to:?}");
            instance.settle_one(&new, Verdict::Done).await;
            f.pass(100);
        }
        assert_eq!(promote_all(&f.store, "q", 5).await, 1, "{to:?}");
        let again = instance.claim_one("q").await;
        assert_eq!(again.claim.identity, identity, "{to:?}");
        instance.settle_one(&again, Verdict::Done).await;
    }
}

async fn a_deleted_job_leaves_nothing_and_its_twin_everything(f: &Fixture) {
    let keys = RetryKeys::of_job(&job(1)).expect("it is a job");
    let attempts = || async {
        let read = ReadAttempts { keys: vec![RetryKeys::of_job(&job(1)).expect("it is a job")] };
        f.store.run(read).await.expect("attempts").remove(0).map(|kept| kept.count)
    };
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    let one = instance.claim_one("q").await;
    let retry = Retry {
        keys,
        last_error: "{}".into(),
        attempts: 3,
        delays_ms: vec![50_000],
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    };
    instance.settle_one(&one, Verdict::Attempted(Box::new(retry))).await;
    assert_eq!((seconds(&f.store).await, attempts().await), (vec![(NOW_S + 50, 1)], Some(1)));
    delay(&f.store, &job(1), When::At(NOW_S + 60)).await;
    assert_eq!(moved(f, NOW_S + 60, &[1], MoveTo::Nowhere).await, 1);
    assert_eq!(attempts().await, Some(1), "its twin waits for another attempt");
    assert_eq!(moved(f, NOW_S + 50, &[1], MoveTo::Nowhere).await, 1);
    assert_eq!((seconds(&f.store).await, attempts().await), (vec![], None));
    fill(&f.store, "q", &jobs(1..2)).await;
    let new = instance.claim_one("q").await;
    assert_eq!(new.claim.identity.attempt, 1, "it is a new job");
}
