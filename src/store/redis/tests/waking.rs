//! The waker hears of every change after its look, whoever makes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::server::{NOW_MS, Server, job, queue};
use crate::config::element::queues::QueuePatterns;
use crate::store::scheduling::Leadership;
use crate::store::verbs::Verbs as _;
use crate::store::wake::Watch;

const SOON: Duration = Duration::from_secs(5);

fn all() -> Watch {
    Watch {
        queues: vec![queue("math"), queue("other")],
        patterns: Some(Arc::new(QueuePatterns::all())),
        delayed: true,
        leaderships: vec![Leadership::Scheduler],
        wishes_for: None,
        poll: None,
    }
}

#[tokio::test]
async fn each_watched_key_wakes_once_it_changes() {
    let server = Server::start();
    let store = server.store().await;
    let waker = store.waker().await.unwrap();
    let pushes: [&[&str]; 4] = [
        &["RPUSH", "resque:queue:other", "{}"],
        &["SADD", "resque:queues", "new"],
        &["ZADD", "resque:delayed_queue_schedule", "5", "5"],
        &["SET", "resque:resque_scheduler_leader_lock", "x"],
    ];
    for push in pushes {
        waker.arm(&all()).await.unwrap();
        // The change comes before anybody waits: it must not be missed.
        server.cli(push);
        timeout(SOON, waker.woken()).await.expect("a change must wake");
    }
    let seen = waker.arm(&all()).await.unwrap();
    assert!(seen.ready && !seen.leadership_free);
    assert_eq!((seen.next_due_s, seen.now_ms), (Some(5), NOW_MS));
    assert_eq!(seen.resolved.unwrap().queues, [queue("new")]);
    // Nothing changes: nobody is woken.
    assert!(timeout(Duration::from_millis(200), waker.woken()).await.is_err());
    store.enqueue(&[job("math", b"{}")]).await.unwrap();
    timeout(SOON, waker.woken()).await.expect("our own push must wake as well");
}

#[tokio::test]
async fn a_waker_that_was_cut_off_wakes_and_hears_again() {
    let server = Server::start();
    let store = server.store().await;
    let waker = store.waker().await.unwrap();
    waker.arm(&all()).await.unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    timeout(SOON, waker.woken()).await.expect("a reconnect must wake");
    let arm = async { while waker.arm(&all()).await.is_err() {} };
    timeout(SOON, arm).await.unwrap();
    server.cli(&["RPUSH", "resque:queue:math", "{}"]);
    timeout(SOON, waker.woken()).await.expect("a push after the reconnect must wake");
}

#[tokio::test]
async fn a_server_that_will_not_tell_is_asked_instead() {
    let server = Server::start();
    let store = server.store().await;
    let waker = store.waker().await.unwrap();
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    // That time passes before the next look is what is tested.
    let poll = Duration::from_millis(300);
    let watch = Watch { poll: Some(poll), ..all() };
    let begun = Instant::now();
    assert!(waker.arm(&watch).await.unwrap().polled);
    timeout(SOON, waker.woken()).await.expect("without tracking waiting must end by itself");
    assert!(begun.elapsed() >= poll, "{:?}", begun.elapsed());
    server.cli(&["RPUSH", "resque:queue:math", "{}"]);
    assert!(waker.arm(&watch).await.unwrap().ready);
    server.cli(&["DEL", "resque:queue:math"]);
    server.cli(&["ACL", "SETUSER", "default", "+client|tracking"]);
    assert!(!waker.arm(&watch).await.unwrap().polled, "it is asked anew at each look");
    server.cli(&["RPUSH", "resque:queue:math", "{}"]);
    timeout(SOON, waker.woken()).await.expect("it tells again");
}
