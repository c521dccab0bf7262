//! schedule: nowhere -> delayed, and promote: delayed -> queue.

use std::collections::BTreeMap;

use bytes::Bytes;
use windlass::job::Failure;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Enqueued, Schedule, Scheduled, When};
use windlass::store::scheduling::{Leadership, Promote, PromoteTo, Promoted, Promotion, ReadDue, entry_of};

use crate::enqueue::strange_payloads;
use crate::fixture::{Fixture, NOW_MS, NOW_S};
use crate::instance::Instance;
use crate::look::{
    admit, delay, delayed, delayed_at, failed, fill, job, jobs, lock, promote_all, promotion, queue, queued, refused,
    seconds, take,
};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_job_is_due_at_its_second,
    a_delay_is_rounded_half_up,
    the_same_job_is_delayed_once_a_second,
    twenty_at_once_make_one_entry,
    far_times_lose_nothing,
    strange_payloads_are_delayed_and_promoted_unchanged,
    what_is_not_due_is_only_told,
    due_tells_the_earliest_second_in_order,
    what_is_due_soon_can_be_read_ahead,
    what_is_not_due_is_not_promoted,
    a_batch_is_bounded,
    promotion_tidies_up,
    promotion_vetoes_nothing,
    promotion_takes_a_free_lock,
    neighbours_of_all_kinds_keep_their_order,
    bad_jobs_go_to_failed,
    a_promotion_repeated_moves_nothing_twice,
    what_changed_meanwhile_is_skipped,
    equal_jobs_of_one_second_are_both_moved,
    only_the_leader_promotes,
    two_promoters_lose_and_double_nothing,
    a_delete_takes_every_copy,
    a_delete_during_promotion_loses_nothing_else,
}

async fn a_job_is_due_at_its_second(f: &Fixture) {
    for (n, second) in [(1, NOW_S + 30), (2, NOW_S + 10), (3, NOW_S + 30), (4, NOW_S - 100), (5, 1)] {
        assert_eq!(delay(&f.store, &job(n), When::At(second)).await, Scheduled::At(second));
    }
    assert_eq!(seconds(&f.store).await, [(1, 1), (NOW_S - 100, 1), (NOW_S + 10, 1), (NOW_S + 30, 2)]);
    assert_eq!(delayed_at(&f.store, NOW_S + 30).await, [job(1), job(3)]);
    assert_eq!(f.store.scheduled_at(&job(2)).await.expect("scheduled_at"), [NOW_S + 10]);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [], "a delayed job makes no queue known");
}

async fn a_delay_is_rounded_half_up(f: &Fixture) {
    f.clock.set(NOW_MS + 200);
    let cases =
        [(0, 0), (299, 0), (300, 1), (1299, 1), (1300, 2), (-700, 0), (-701, -1), (-1700, -1), (86_400_000, 86_400)];
    for (n, (ms, second)) in cases.into_iter().enumerate() {
        assert_eq!(delay(&f.store, &job(n), When::In(ms)).await, Scheduled::At(NOW_S + second), "in {ms} ms");
    }
}

async fn the_same_job_is_delayed_once_a_second(f: &Fixture) {
    assert_eq!(delay(&f.store, &job(1), When::At(NOW_S + 10)).await, Scheduled::At(NOW_S + 10));
    assert_eq!(delay(&f.store, &job(1), When::At(NOW_S + 10)).await, Scheduled::Duplicate(NOW_S + 10));
    assert_eq!(delay(&f.store, &job(1), When::In(10_000)).await, Scheduled::Duplicate(NOW_S + 10));
    assert_eq!(delay(&f.store, &job(1), When::At(NOW_S + 11)).await, Scheduled::At(NOW_S + 11));
    assert_eq!(delay(&f.store, &job(2), When::At(NOW_S + 10)).await, Scheduled::At(NOW_S + 10));
    let twice = [4, 4].map(|n| Schedule { payload: job(n), when: When::At(NOW_S + 9) });
    let scheduled = f.store.schedule(&twice).await.expect("schedule");
    assert_eq!(scheduled, [Scheduled::At(NOW_S + 9), Scheduled::Duplicate(NOW_S + 9)], "within one call as well");
    assert_eq!(seconds(&f.store).await, [(NOW_S + 9, 1), (NOW_S + 10, 2), (NOW_S + 11, 1)]);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 10, NOW_S + 11]);
}

async fn twenty_at_once_make_one_entry(f: &Fixture) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = f.handle().await;
        tasks.spawn(async move { delay(&store, &job(1), When::At(NOW_S + 10)).await });
    }
    let scheduled = tasks.join_all().await;
    let fresh = scheduled.iter().filter(|one| **one == Scheduled::At(NOW_S + 10)).count();
    assert_eq!((fresh, scheduled.len()), (1, 20));
    assert_eq!(delayed_at(&f.store, NOW_S + 10).await, [job(1)]);
}

/// Extreme times: a job is accepted or refused, and an accepted one is found again.
async fn far_times_lose_nothing(f: &Fixture) {
    let far = [When::At(253_402_300_800), When::At(1 << 53), When::At((1 << 53) + 1), When::At(i64::MAX)];
    let near = [When::In(i64::MAX), When::In(i64::MIN), When::At(i64::MIN), When::At(-1), When::At(0)];
    for (n, when) in far.into_iter().chain(near).enumerate() {
        let schedule = Schedule { payload: job(n), when };
        if let Ok(scheduled) = f.store.schedule(&[schedule]).await {
            let Scheduled::At(second) = scheduled[0] else { panic!("{when:?} is no duplicate") };
            assert_eq!(f.store.scheduled_at(&job(n)).await.expect("scheduled_at"), [second], "{when:?}");
            assert_eq!(f.store.delete_delayed(&job(n)).await.expect("delete_delayed"), [second], "{when:?}");
        }
        assert_eq!(seconds(&f.store).await, [], "{when:?}");
    }
}

async fn strange_payloads_are_delayed_and_promoted_unchanged(f: &Fixture) {
    let strange = strange_payloads();
    for payload in &strange {
        assert_eq!(delay(&f.store, payload, When::At(NOW_S)).await, Scheduled::At(NOW_S));
        assert_eq!(delay(&f.store, payload, When::At(NOW_S)).await, Scheduled::Duplicate(NOW_S));
        assert_eq!(f.store.scheduled_at(payload).await.expect("scheduled_at"), [NOW_S]);
    }
    assert_eq!(delayed_at(&f.store, NOW_S).await, strange);
    assert_eq!(promote_all(&f.store, "q", 5).await, strange.len());
    assert_eq!(queued(&f.store, "q").await, strange);
    for payload in &strange {
        assert_eq!(f.store.scheduled_at(payload).await.expect("scheduled_at"), [0_i64; 0]);
    }
}

async fn what_is_not_due_is_only_told(f: &Fixture) {
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.now_ms, due.second, due.is_due()), (NOW_MS, None, false));
    delay(&f.store, &job(1), When::At(NOW_S + 1)).await;
    f.clock.advance(999);
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.now_ms, due.second, due.is_due(), due.jobs.len()), (NOW_MS + 999, Some(NOW_S + 1), false, 0));
    f.clock.advance(1);
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.is_due(), due.jobs), (true, vec![job(1)]), "never early, and at once when due");
}

async fn due_tells_the_earliest_second_in_order(f: &Fixture) {
    for (n, second) in [(1, NOW_S - 1), (2, NOW_S - 5), (3, NOW_S - 5), (4, NOW_S - 5), (5, 999_999_999)] {
        delay(&f.store, &job(n), When::At(second)).await;
    }
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.second, due.jobs), (Some(999_999_999), vec![job(5)]), "by number, not by text");
    f.store.delete_delayed(&job(5)).await.expect("delete_delayed");
    let due = f.store.due(2, &[]).await.expect("due");
    assert_eq!((due.second, due.jobs), (Some(NOW_S - 5), jobs(2..4)));
    assert_eq!(promote_all(&f.store, "q", 250).await, 4);
    assert_eq!(queued(&f.store, "q").await, [job(2), job(3), job(4), job(1)]);
}

async fn a_batch_is_bounded(f: &Fixture) {
    for n in 0..5 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let due = f.store.due(3, &[]).await.expect("due");
    assert_eq!(due.jobs, jobs(0..3));
    let promoted = f.store.promote(&promotion("q", NOW_S, &due.jobs)).await.expect("promote");
    assert_eq!(promoted, Promoted::Moved(3));
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    assert_eq!(delayed_at(&f.store, NOW_S).await, jobs(3..5), "the rest stays, in order");
    assert_eq!(seconds(&f.store).await, [(NOW_S, 2)]);
}

async fn promotion_tidies_up(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    delay(&f.store, &job(1), When::At(NOW_S + 10)).await;
    assert_eq!(promote_all(&f.store, "fresh", 250).await, 1);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("fresh")]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 10, 1)]);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 10]);
    assert_eq!(delay(&f.store, &job(1), When::At(NOW_S)).await, Scheduled::At(NOW_S), "it may be delayed anew");
}

fn to_queue(n: usize, lock: Option<(windlass::job::LockKey, u64)>) -> Promote {
    Promote { payload: job(n), long: None, to: PromoteTo::Queue { queue: queue("q"), lock } }
}

async fn what_is_due_soon_can_be_read_ahead(f: &Fixture) {
    f.clock.advance(1);
    for n in 0..3 {
        delay(&f.store, &job(n), When::At(NOW_S + 2)).await;
    }
    delay(&f.store, &job(9), When::At(NOW_S + 3)).await;
    let read = async |limit, ahead_ms, passed: &[i64]| {
        let passed = passed.iter().map(|second| entry_of(*second)).collect();
        f.store.run(ReadDue { limit, passed, ahead_ms, begun: false }).await.expect("due")
    };
    let due = read(10, 1998, &[]).await;
    assert_eq!((due.second, due.jobs.len(), due.is_ahead()), (Some(NOW_S + 2), 0, false));
    let due = read(10, 1999, &[]).await;
    assert_eq!((due.second, due.due_s, due.now_ms), (Some(NOW_S + 2), Some(NOW_S + 2), NOW_MS + 1));
    assert_eq!((due.is_due(), due.is_ahead(), due.jobs), (false, true, jobs(0..3)));
    assert_eq!(read(2, 60_000, &[]).await.jobs, jobs(0..2), "a batch is bounded");
    assert_eq!(read(10, 60_000, &[NOW_S + 2]).await.jobs, [job(9)]);
    f.clock.set((NOW_S + 2) * 1000);
    let due = read(10, 1999, &[]).await;
    assert_eq!((due.is_due(), due.is_ahead(), due.jobs), (true, false, jobs(0..3)));
}

async fn what_is_not_due_is_not_promoted(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 1)).await;
    let promotion =
        Promotion { leader: None, ruby: None, second: NOW_S + 1, jobs: vec![to_queue(1, Some((lock(1), 60)))] };
    for ms in [0, 999] {
        f.clock.set(NOW_MS + ms);
        let early = Promoted::Early { now_ms: NOW_MS + ms };
        assert_eq!(f.store.promote(&promotion).await.expect("promote"), early);
    }
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(1)]);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 1]);
    assert_eq!((queued(&f.store, "q").await.len(), f.store.locks().await.expect("locks").locks.len()), (0, 0));
    f.clock.set(NOW_MS + 1000);
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(1), "it is sent again as it is");
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
}

async fn promotion_vetoes_nothing(f: &Fixture) {
    f.plant_lock(&lock(1), "true");
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    let promotion = Promotion { leader: None, ruby: None, second: NOW_S, jobs: vec![to_queue(1, Some((lock(1), 60)))] };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(1));
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
    let held = f.store.locks().await.expect("locks").locks;
    assert_eq!(held[0].value, "true", "a lock that is held stays as it is");
}

async fn promotion_takes_a_free_lock(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    let promotion = Promotion { leader: None, ruby: None, second: NOW_S, jobs: vec![to_queue(1, Some((lock(1), 60)))] };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(1));
    let held = f.store.locks().await.expect("locks").locks;
    assert_eq!((held[0].key.as_str(), held[0].value.clone()), (lock(1).as_str(), (NOW_S + 61).to_string()));
    assert_eq!(admit(&f.store, "q", &job(1), &[take(&lock(1), 60)]).await, refused("QueueLock"));
}

async fn neighbours_of_all_kinds_keep_their_order(f: &Fixture) {
    for n in 0..8 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let other = |n| Promote { payload: job(n), long: None, to: PromoteTo::Queue { queue: queue("p"), lock: None } };
    let record = Bytes::from_static(b"{\"failed\"}");
    let failing = Promote { payload: job(4), long: None, to: PromoteTo::Failed { record: record.clone() } };
    let mut jobs_of_all_kinds =
        vec![to_queue(0, None), to_queue(1, None), other(2), to_queue(3, Some((lock(3), 60))), failing];
    // The last group has a job that is not where it was seen, and stops there.
    jobs_of_all_kinds.extend([to_queue(5, None), to_queue(7, None), to_queue(6, None)]);
    let promotion = Promotion { leader: None, ruby: None, second: NOW_S, jobs: jobs_of_all_kinds };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(6));
    assert_eq!(queued(&f.store, "q").await, [job(0), job(1), job(3), job(5)]);
    assert_eq!(queued(&f.store, "p").await, [job(2)]);
    assert_eq!(failed(&f.store).await, [record]);
    assert_eq!(delayed_at(&f.store, NOW_S).await, jobs(6..8));
    assert_eq!(f.store.locks().await.expect("locks").locks.len(), 1);
    for (n, stamps) in [(0, 0), (2, 0), (4, 0), (5, 0), (6, 1), (7, 1)] {
        assert_eq!(f.store.scheduled_at(&job(n)).await.expect("scheduled_at").len(), stamps, "job {n}");
    }
}

async fn bad_jobs_go_to_failed(f: &Fixture) {
    let bad = Bytes::from_static(b"{bad");
    for payload in [&job(1), &bad, &job(2)] {
        delay(&f.store, payload, When::At(NOW_S)).await;
    }
    let record = Failure::new("Error", "no job").record("windlass", "", &bad, NOW_MS);
    let failing = Promote { payload: bad.clone(), long: None, to: PromoteTo::Failed { record: record.clone() } };
    let jobs = vec![to_queue(1, None), failing, to_queue(2, None)];
    let promotion = Promotion { leader: None, ruby: None, second: NOW_S, jobs };
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(3));
    assert_eq!(queued(&f.store, "q").await, [job(1), job(2)]);
    assert_eq!(failed(&f.store).await, [record]);
    assert_eq!(delayed(&f.store).await, [""; 0]);
    assert_eq!(f.store.scheduled_at(&bad).await.expect("scheduled_at"), [0_i64; 0]);
}

async fn a_promotion_repeated_moves_nothing_twice(f: &Fixture) {
    for n in 0..4 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let promotion = promotion("q", NOW_S, &jobs(0..2));
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(2));
    assert_eq!(f.store.promote(&promotion).await.expect("promote"), Promoted::Moved(0));
    assert_eq!(queued(&f.store, "q").await, jobs(0..2));
    assert_eq!(delayed_at(&f.store, NOW_S).await, jobs(2..4));
}

async fn what_changed_meanwhile_is_skipped(f: &Fixture) {
    for n in 0..4 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let due = f.store.due(10, &[]).await.expect("due");
    f.store.delete_delayed(&job(0)).await.expect("delete_delayed");
    f.store.delete_delayed(&job(2)).await.expect("delete_delayed");
    f.store.promote(&promotion("q", NOW_S, &due.jobs)).await.expect("promote");
    promote_all(&f.store, "q", 250).await;
    assert_eq!(queued(&f.store, "q").await, [job(1), job(3)], "what was deleted is not moved, what stands is");
    assert_eq!(seconds(&f.store).await, []);
}

async fn equal_jobs_of_one_second_are_both_moved(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &[job(1), job(1), job(1)]).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let ends = claims.iter().map(|one| one.ends(one.retried(1000))).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    f.pass(1);
    let promoted = f.store.promote(&promotion("q", NOW_S + 1, &[job(1)])).await.expect("promote");
    assert_eq!(promoted, Promoted::Moved(1));
    // Two are left, and must be found by their bytes as well as by their second.
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 1]);
    let scheduled = delay(&f.store, &job(1), When::At(NOW_S + 1)).await;
    assert_eq!(scheduled, Scheduled::Duplicate(NOW_S + 1));
    assert_eq!(promote_all(&f.store, "q", 250).await, 2);
    assert_eq!(queued(&f.store, "q").await, [job(1), job(1), job(1)]);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [0_i64; 0]);
}

async fn only_the_leader_promotes(f: &Fixture) {
    for n in 0..2 {
        delay(&f.store, &job(n), When::At(NOW_S)).await;
    }
    let by = |leader: &str, n| Promotion { leader: Some(leader.to_owned()), ..promotion("q", NOW_S, &[job(n)]) };
    assert!(f.store.lead(Leadership::Scheduler, "one", 60_000).await.expect("lead"));
    assert_eq!(f.store.promote(&by("two", 0)).await.expect("promote"), Promoted::NotLeader);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(f.store.promote(&by("one", 0)).await.expect("promote"), Promoted::Moved(1));
    f.store.resign(Leadership::Scheduler, "one").await.expect("resign");
    assert_eq!(f.store.promote(&by("two", 1)).await.expect("promote"), Promoted::Moved(1), "nobody else leads");
}

async fn two_promoters_lose_and_double_nothing(f: &Fixture) {
    let count = 5000;
    let schedules: Vec<Schedule> =
        (0..count).map(|n| Schedule { payload: job(n), when: When::At(NOW_S - (n % 7) as i64) }).collect();
    for chunk in schedules.chunks(500) {
        f.store.schedule(chunk).await.expect("schedule");
    }
    let (one, two) = (f.handle().await, f.handle().await);
    let (first, second) = tokio::join!(
        tokio::spawn(async move { promote_all(&one, "q", 250).await }),
        tokio::spawn(async move { promote_all(&two, "q", 190).await }),
    );
    assert_eq!(first.expect("promoter") + second.expect("promoter"), count, "each is counted by one of the two");
    let mut tally: BTreeMap<Bytes, usize> = BTreeMap::new();
    for payload in queued(&f.store, "q").await {
        *tally.entry(payload).or_default() += 1;
    }
    assert_eq!(tally.len(), count);
    assert!(tally.values().all(|times| *times == 1));
    assert_eq!(seconds(&f.store).await, []);
}

async fn a_delete_takes_every_copy(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &[job(1), job(1)]).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let ends = claims.iter().map(|one| one.ends(one.retried(5000))).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    delay(&f.store, &job(1), When::At(NOW_S + 3)).await;
    delay(&f.store, &job(2), When::At(NOW_S + 3)).await;
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), [NOW_S + 3, NOW_S + 5]);
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), [0_i64; 0]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 3, 1)], "a second left empty is forgotten");
    assert_eq!(delayed(&f.store).await, [job(2)]);
}

async fn a_delete_during_promotion_loses_nothing_else(f: &Fixture) {
    let count = 400;
    let schedules: Vec<Schedule> = (0..count).map(|n| Schedule { payload: job(n), when: When::At(NOW_S) }).collect();
    f.store.schedule(&schedules).await.expect("schedule");
    let (one, two) = (f.handle().await, f.handle().await);
    let deleting = tokio::spawn(async move {
        let mut deleted = Vec::new();
        for n in (0..count).rev().step_by(3) {
            if !two.delete_delayed(&job(n)).await.expect("delete_delayed").is_empty() {
                deleted.push(job(n));
            }
        }
        deleted
    });
    let moved = tokio::spawn(async move { promote_all(&one, "q", 20).await });
    let (deleted, moved) = (deleting.await.expect("deleter"), moved.await.expect("promoter"));
    let mut all = queued(&f.store, "q").await;
    assert_eq!(all.len(), moved);
    all.extend(deleted);
    all.sort();
    let mut expected = jobs(0..count);
    expected.sort();
    assert_eq!(all, expected, "each job was moved or deleted, once");
    assert_eq!(admit(&f.store, "q", &job(0), &[]).await, Enqueued::Yes);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
}
