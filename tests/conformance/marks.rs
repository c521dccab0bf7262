//! Marks of enqueues that are done once: a job and its mark are there together, or neither is.

use windlass::store::effect::Admission;
use windlass::store::marks::{KEPT_S, Mark, ONCE, ReadMark};
use windlass::store::queueing::{Enqueued, Schedule, ScheduleBatch, Scheduled, When};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::look::{admit, delay, delayed, job, lock, queue, queued, refused, take};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

behaviours! {
    a_mark_is_written_with_its_job_and_keeps_a_second_one_out,
    a_delayed_job_leaves_a_mark_with_its_second,
    what_is_refused_leaves_no_mark,
    a_mark_lapses,
    a_job_that_cannot_be_written_leaves_no_mark,
}

/// A mark under this key.
pub(crate) fn mark(key: &str) -> Mark {
    Mark { key: key.to_owned(), before: "{\"at\":".to_owned(), after: ",\"x\":\"ä\"}".to_owned() }
}

fn once(key: &str) -> Admission {
    Admission::Once { mark: mark(key) }
}

async fn read(f: &Fixture, key: &str) -> Option<String> {
    f.handle().await.run(ReadMark { key: key.to_owned() }).await.expect("read_mark")
}

async fn schedule(f: &Fixture, n: usize, when: When, key: &str) -> Scheduled {
    let jobs = vec![Schedule { payload: job(n), when }];
    f.store.run(ScheduleBatch { jobs, mark: Some(mark(key)), known: None }).await.expect("schedule")[0]
}

async fn a_mark_is_written_with_its_job_and_keeps_a_second_one_out(f: &Fixture) {
    assert_eq!(read(f, "k").await, None);
    assert_eq!(admit(&f.store, "q", &job(1), &[once("k"), take(&lock(1), 60)]).await, Enqueued::Yes);
    assert_eq!(read(f, "k").await.as_deref(), Some("{\"at\":null,\"x\":\"ä\"}"));
    // The mark is told, and not the lock of the very job that left it.
    assert_eq!(admit(&f.store, "q", &job(1), &[once("k"), take(&lock(1), 60)]).await, refused(ONCE));
    assert_eq!(admit(&f.store, "q", &job(2), &[once("k")]).await, refused(ONCE));
    assert_eq!(schedule(f, 2, When::In(5000), "k").await, Scheduled::Marked);
    assert_eq!(admit(&f.store, "q", &job(2), &[once("other")]).await, Enqueued::Yes);
    assert_eq!(queued(&f.store, "q").await, [job(1), job(2)]);
    assert!(delayed(&f.store).await.is_empty());
}

async fn a_delayed_job_leaves_a_mark_with_its_second(f: &Fixture) {
    assert_eq!(schedule(f, 1, When::In(2500), "in").await, Scheduled::At(NOW_S + 3));
    assert_eq!(schedule(f, 2, When::At(NOW_S + 9), "at").await, Scheduled::At(NOW_S + 9));
    let told = |second: i64| Some(format!("{{\"at\":{second},\"x\":\"ä\"}}"));
    assert_eq!((read(f, "in").await, read(f, "at").await), (told(NOW_S + 3), told(NOW_S + 9)));
    assert_eq!(schedule(f, 1, When::In(2500), "in").await, Scheduled::Marked);
    assert_eq!(admit(&f.store, "q", &job(3), &[once("at")]).await, refused(ONCE));
    assert_eq!(delayed(&f.store).await, [job(1), job(2)]);
}

async fn what_is_refused_leaves_no_mark(f: &Fixture) {
    assert_eq!(admit(&f.store, "q", &job(1), &[take(&lock(1), 60)]).await, Enqueued::Yes);
    assert_eq!(admit(&f.store, "q", &job(1), &[once("k"), take(&lock(1), 60)]).await, refused("QueueLock"));
    assert_eq!(delay(&f.store, &job(2), When::At(NOW_S + 5)).await, Scheduled::At(NOW_S + 5));
    assert_eq!(schedule(f, 2, When::At(NOW_S + 5), "k").await, Scheduled::Duplicate(NOW_S + 5));
    assert_eq!(read(f, "k").await, None);
    assert_eq!(admit(&f.store, "q", &job(3), &[once("k")]).await, Enqueued::Yes);
}

async fn a_mark_lapses(f: &Fixture) {
    assert_eq!(admit(&f.store, "q", &job(1), &[once("k")]).await, Enqueued::Yes);
    match &f.place {
        Place::Redis { .. } => {
            let Reply::Int(left) = f.redis_command(&["TTL", &f.key("windlass:idem:k")]) else { panic!("no number") };
            assert!((1..=i64::try_from(KEPT_S).expect("a day")).contains(&left), "{left}");
            f.redis_command(&["DEL", &f.key("windlass:idem:k")]);
        }
        Place::Sqlite { .. } => f.pass(i64::try_from(KEPT_S).expect("a day")),
    }
    assert_eq!(read(f, "k").await, None);
    assert_eq!(admit(&f.store, "q", &job(1), &[once("k")]).await, Enqueued::Yes);
    assert_eq!(queued(&f.store, "q").await.len(), 2);
}

async fn a_job_that_cannot_be_written_leaves_no_mark(f: &Fixture) {
    f.plant_barred_queue("q");
    let job_of_q = windlass::store::queueing::Enqueue {
        queue: queue("q"),
        payload: job(1),
        front: false,
        admissions: vec![once("k")],
    };
    f.store.enqueue(&[job_of_q]).await.expect_err("nothing can be pushed there");
    assert_eq!(read(f, "k").await, None);
}
