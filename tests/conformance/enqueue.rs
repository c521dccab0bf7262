//! enqueue: nowhere -> queue.

use std::sync::Arc;

use bytes::Bytes;
use windlass::client::delay::OnDuplicate;
use windlass::client::once::{OnceKey, When as Asked};
use windlass::client::{Client, ClientError, Request};
use windlass::job::LockKey;
use windlass::store::faults::{Fault, Faults};
use windlass::store::queueing::{Enqueue, Enqueued, When};
use windlass::task::Registry;

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{NOT_DELAYED, admit, delay, fill, job, jobs, lock, locks, push, queue, queued, refused, take};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_lock_of_any_value_is_judged,
    bytes_and_order_are_kept,
    front_goes_before_everything,
    a_queue_is_known_once_it_was_pushed_to,
    nothing_enqueued_is_nothing_done,
    queue_lock_admits_one,
    queue_lock_is_judged_job_by_job_within_a_call,
    queue_lock_ends_by_the_clock,
    a_lock_value_that_is_no_number_is_held,
    a_verbatim_lock_is_not_a_namespaced_one,
    delay_queue_lock_refuses_while_delayed,
    a_refusal_writes_nothing,
    the_first_refusing_plugin_is_named,
    two_processes_share_one_lock,
    a_client_without_an_answer_is_told_what_is_known,
    a_client_with_a_key_is_told_that_it_may_repeat,
}

async fn a_client_without_an_answer_is_told_what_is_known(f: &Fixture) {
    let mut request = Request::default();
    request.task = "t".to_owned();
    request.queue = Some("q".to_owned());
    request.foreign = true;
    for (arrow, fault) in [("enqueue", Fault::CutAfter), ("schedule", Fault::CutAfter), ("enqueue", Fault::Refused)] {
        let faults = Arc::new(Faults::default());
        let client = Client::new(f.store.layered(Arc::clone(&faults) as _).narrow(), Arc::default());
        faults.next_named(arrow, fault);
        let error = if arrow == "enqueue" {
            client.enqueue(&request, false).await.err()
        } else {
            client.enqueue_in(&request, 1000, OnDuplicate::Refuse).await.err()
        };
        assert!(faults.are_spent(), "{arrow}");
        let error = error.expect("there was no answer");
        // A step on SQLite is undone if it has no answer.
        let unknown = fault == Fault::CutAfter && matches!(f.place, Place::Redis { .. });
        assert_eq!(matches!(error, ClientError::Unknown(_)), unknown, "{arrow}: {error}");
        assert_eq!(error.to_string().contains("not known whether the job was enqueued"), unknown, "{error}");
    }
}

async fn a_client_with_a_key_is_told_that_it_may_repeat(f: &Fixture) {
    let mut request = Request::default();
    request.task = "t".to_owned();
    request.queue = Some("q".to_owned());
    request.foreign = true;
    let key = OnceKey::new("cli", "k").expect("it is a key");
    for arrow in ["read_mark", "enqueue"] {
        let faults = Arc::new(Faults::default());
        let client = Client::new(f.store.layered(Arc::clone(&faults) as _).narrow(), Arc::default());
        faults.next_named(arrow, Fault::CutAfter);
        let once = async || client.enqueue_once(&request, Asked::Now { front: false }, OnDuplicate::Refuse, &key).await;
        let said = once().await.expect_err("there was no answer").to_string();
        // A step on SQLite is undone if it has no answer.
        let unknown = arrow == "enqueue" && matches!(f.place, Place::Redis { .. });
        assert_eq!(said.contains("nothing was enqueued"), !unknown, "{said}");
        assert_eq!(said.contains("Repeat this under the same key"), unknown, "{said}");
    }
    let client = Client::new(f.store.narrow(), Arc::default());
    client.enqueue_once(&request, Asked::Now { front: false }, OnDuplicate::Refuse, &key).await.expect("again");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
}

async fn bytes_and_order_are_kept(f: &Fixture) {
    let mut jobs = jobs(0..300);
    jobs.extend(strange_payloads());
    fill(&f.store, "q", &jobs).await;
    assert_eq!(queued(&f.store, "q").await, jobs);
}

/// Bytes that are not a job, or barely one.
pub(crate) fn strange_payloads() -> Vec<Bytes> {
    let deep = format!(r#"{{"class":"x","args":{}{}}}"#, "[".repeat(1100), "]".repeat(1100));
    let large = format!(r#"{{"class":"x","args":["{}"]}}"#, "é".repeat(512 * 1024));
    let mut all: Vec<Bytes> = [
        &b"{bad"[..],
        b"null",
        b"\"str\"",
        b"[1,2]",
        b"",
        b" ",
        b"{}",
        b"{",
        b"}",
        b"\"",
        b"\\",
        b"\\u0041\\n\\\"",
        b"\0\x01\x1f\x7f\r\n",
        b"{\0}",
        b"\xff\xfe\x80",
        b"{\"class\":\"\xff\",\"args\":[]}",
        b"{\"class\":\"x\",\"payload\":{\"payload\":1},\"args\":[\",\\\"payload\\\":\"]}",
        b",\"payload\":{}",
        br#"{"class":"x","args":["\ud83d",1.0,1700000000000123,[],{}],"extra":{"b":1,"2":2}}"#,
        br#" {"class":"x","args":[]} "#,
        "{\"class\":\"x\",\"args\":[\"\u{2028}ü😀\"]}".as_bytes(),
        b"%s %d {0} ${x} ' -- ;",
    ]
    .iter()
    .map(|bytes| Bytes::copy_from_slice(bytes))
    .collect();
    all.extend([Bytes::from(deep), Bytes::from(large)]);
    all
}

async fn front_goes_before_everything(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..2)).await;
    let front = |n| Enqueue { front: true, ..push("q", &job(n), &[]) };
    f.store.enqueue(&[front(2), front(3), push("q", &job(4), &[])]).await.expect("enqueue");
    assert_eq!(queued(&f.store, "q").await, [job(3), job(2), job(0), job(1), job(4)]);
}

async fn a_queue_is_known_once_it_was_pushed_to(f: &Fixture) {
    assert_eq!(f.store.queue_names().await.expect("queue_names"), []);
    for name in ["math", "Zed", "über:1", "alpha"] {
        fill(&f.store, name, &jobs(0..1)).await;
    }
    let names = ["Zed", "alpha", "math", "über:1"].map(queue);
    assert_eq!(f.handle().await.queue_names().await.expect("queue_names"), names);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    instance.claim_one("math").await;
    assert_eq!(f.store.queue_names().await.expect("queue_names"), names, "an emptied queue stays known");
}

async fn nothing_enqueued_is_nothing_done(f: &Fixture) {
    assert_eq!(f.store.enqueue(&[]).await.expect("enqueue"), []);
    assert_eq!(f.store.schedule(&[]).await.expect("schedule"), []);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), []);
}

async fn queue_lock_admits_one(f: &Fixture) {
    let lock = take(&lock(1), 60);
    assert_eq!(admit(&f.store, "q", &job(1), std::slice::from_ref(&lock)).await, Enqueued::Yes);
    assert_eq!(admit(&f.store, "q", &job(1), &[lock]).await, refused("QueueLock"));
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
    let held = f.store.locks().await.expect("locks").locks;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].key, "lock:add:q:[1]");
    assert_eq!(held[0].value, (NOW_S + 61).to_string(), "the second at which it ends, plus one");
    assert!(held[0].ttl_ms.is_some_and(|ttl| ttl > 50_000 && ttl <= 61_000), "{:?}", held[0].ttl_ms);
}

async fn queue_lock_is_judged_job_by_job_within_a_call(f: &Fixture) {
    let jobs = [(1, 1), (1, 2), (2, 3)].map(|(n, id)| push("q", &job(id), &[take(&lock(n), 60)]));
    let enqueued = f.store.enqueue(&jobs).await.expect("enqueue");
    assert_eq!(enqueued, [Enqueued::Yes, refused("QueueLock"), Enqueued::Yes]);
    assert_eq!(queued(&f.store, "q").await, [job(1), job(3)]);
}

async fn queue_lock_ends_by_the_clock(f: &Fixture) {
    let lock = [take(&lock(1), 60)];
    assert_eq!(admit(&f.store, "q", &job(1), &lock).await, Enqueued::Yes);
    f.pass(55);
    assert_eq!(admit(&f.store, "q", &job(1), &lock).await, refused("QueueLock"));
    f.pass(7);
    assert_eq!(admit(&f.store, "q", &job(1), &lock).await, Enqueued::Yes, "a value that has passed is overwritten");
    assert_eq!(f.store.locks().await.expect("locks").locks[0].value, (NOW_S + 62 + 61).to_string());
    assert_eq!(admit(&f.store, "q", &job(1), &lock).await, refused("QueueLock"));
}

async fn a_lock_value_that_is_no_number_is_held(f: &Fixture) {
    for (n, value) in ["true", "", "x12", "-"].into_iter().enumerate() {
        f.plant_lock(&lock(n), value);
        assert_eq!(admit(&f.store, "q", &job(n), &[take(&lock(n), 60)]).await, refused("QueueLock"), "{value:?}");
    }
    f.plant_lock(&lock(9), "12");
    assert_eq!(admit(&f.store, "q", &job(9), &[take(&lock(9), 60)]).await, Enqueued::Yes);
    assert_eq!(queued(&f.store, "q").await, [job(9)]);
}

async fn a_verbatim_lock_is_not_a_namespaced_one(f: &Fixture) {
    // The key is the server's, so it must not meet that of another test.
    let text = format!("mine:{}", f.place.unique());
    let keys = [LockKey::Namespaced(text.clone()), LockKey::Verbatim(text)];
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(admit(&f.store, "q", &job(n), &[take(key, 60)]).await, Enqueued::Yes, "{key:?}");
        assert_eq!(admit(&f.store, "q", &job(n), &[take(key, 60)]).await, refused("QueueLock"), "{key:?}");
    }
}

async fn delay_queue_lock_refuses_while_delayed(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 10)).await;
    assert_eq!(admit(&f.store, "q", &job(1), &[NOT_DELAYED]).await, refused("DelayQueueLock"));
    assert_eq!(admit(&f.store, "q", &job(2), &[NOT_DELAYED]).await, Enqueued::Yes, "other bytes are another job");
    f.store.delete_delayed(&job(1)).await.expect("delete_delayed");
    assert_eq!(admit(&f.store, "q", &job(1), &[NOT_DELAYED]).await, Enqueued::Yes);
    assert_eq!(queued(&f.store, "q").await, [job(2), job(1)]);
}

async fn a_refusal_writes_nothing(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 10)).await;
    let admissions = [take(&lock(1), 60), take(&lock(2), 60), NOT_DELAYED];
    assert_eq!(admit(&f.store, "q", &job(1), &admissions).await, refused("DelayQueueLock"));
    assert_eq!(locks(&f.store).await, [""; 0], "no lock is taken before all are judged");
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [], "the queue is not made known");
    assert_eq!(queued(&f.store, "q").await, [""; 0]);
}

async fn the_first_refusing_plugin_is_named(f: &Fixture) {
    delay(&f.store, &job(1), When::At(NOW_S + 10)).await;
    f.plant_lock(&lock(1), "true");
    let both = [NOT_DELAYED, take(&lock(1), 60)];
    assert_eq!(admit(&f.store, "q", &job(1), &both).await, refused("DelayQueueLock"));
    let [first, second] = both;
    assert_eq!(admit(&f.store, "q", &job(1), &[second, first]).await, refused("QueueLock"));
}

async fn two_processes_share_one_lock(f: &Fixture) {
    let other = f.handle().await;
    let mut yes = 0;
    for round in 0..20 {
        let admissions = [take(&lock(round), 60)];
        let job = job(round);
        let (one, two) = tokio::join!(admit(&f.store, "q", &job, &admissions), admit(&other, "q", &job, &admissions));
        yes += [one, two].iter().filter(|enqueued| **enqueued == Enqueued::Yes).count();
    }
    assert_eq!(yes, 20);
    assert_eq!(queued(&f.store, "q").await.len(), 20);
}

async fn a_lock_of_any_value_is_judged(f: &Fixture) {
    let (past, ahead) = ((NOW_S - 1).to_string(), (NOW_S + 1).to_string());
    let free = ["0", "-5", "+7", "007", &past];
    let held = [&ahead, "", " ", "x", "1.5", " 5", "1e3", ":", "5:token", "99999999999999999999999999", "\u{ff11}"];
    for (n, value) in free.iter().chain(&held).enumerate() {
        f.plant_lock(&lock(n), value);
        let enqueued = f.store.enqueue(&[push("q", &job(n), &[take(&lock(n), 60)])]).await.expect("enqueue");
        assert_eq!(enqueued == [Enqueued::Yes], n < free.len(), "{value:?}: {enqueued:?}");
    }
}

#[tokio::test]
async fn lines_that_redis_refuses_for_a_key_are_known_not_to_be_enqueued() {
    let f = Fixture::redis().await;
    f.redis_command(&["RPUSH", &f.key("queues"), "x"]);
    let text: String = (0..3).map(|n| format!("{{\"task\":\"add\",\"args\":[{n}],\"queue\":\"q\"}}\n")).collect();
    let lines = windlass::client::bulk::read(text.as_bytes(), true, &Registry::default()).expect("they are jobs");
    let report = Client::new(f.store.narrow(), Arc::default()).enqueue_bulk(&lines, false).await;
    let failure = report.failure.expect("the names of queues cannot be written");
    assert!(failure.changed_nothing, "{}", failure.error);
    assert!(failure.error.to_string().contains(":queues"), "{}", failure.error);
    assert_eq!(queued(&f.store, "q").await, [""; 0]);
}
