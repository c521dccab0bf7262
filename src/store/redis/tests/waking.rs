//! The waker hears of every change after its look, no matter who makes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::server::{NOW_MS, Server, beat, instance, job, queue};
use crate::config::element::queues::QueuePatterns;
use crate::store::handle::Store;
use crate::store::role::Whole;
use crate::store::scheduling::Leadership;
use crate::store::verbs::Verbs as _;
use crate::store::wake::Watch;

const SOON: Duration = Duration::from_secs(5);
/// For tests with tens of thousands of names, which take their time on a busy machine.
const MANY: Duration = Duration::from_secs(60);

fn all() -> Watch {
    Watch {
        queues: vec![queue("math"), queue("other")],
        patterns: Some(Arc::new(QueuePatterns::all())),
        names: false,
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

/// How often the names of queues were read.
fn readings(server: &Server) -> Option<String> {
    let stats = server.cli(&["INFO", "commandstats"]);
    stats.lines().find_map(|line| line.strip_prefix("cmdstat_sscan:").map(|line| line.to_owned()))
}

#[tokio::test]
async fn of_too_many_queues_those_with_jobs_are_worked_on() {
    let server = Server::start();
    let store = server.store().await;
    let names = "for i = 1, 30000 do redis.call('SADD', 'resque:queues', string.format('a%05d', i)) end";
    server.cli(&["EVAL", names, "0"]);
    for name in ["z", "a29999"] {
        server.cli(&["SADD", "resque:queues", name]);
        server.cli(&["RPUSH", &format!("resque:queue:{name}"), "{}"]);
    }
    let waker = store.waker().await.unwrap();
    let watch = Watch { patterns: Some(Arc::new(QueuePatterns::all())), ..Watch::default() };
    let resolved = waker.arm(&watch).await.unwrap().resolved.unwrap();
    assert_eq!((resolved.queues.len(), resolved.left_out), (10_000, 20_001));
    assert_eq!(resolved.queues[9997..], ["a09998", "a29999", "z"].map(queue));
    // One that was left out gets a job.
    server.cli(&["RPUSH", "resque:queue:a20000", "{}"]);
    let is_found = async {
        while !waker.arm(&watch).await.unwrap().resolved.unwrap().queues.contains(&queue("a20000")) {
            // The listener may begin only now: the next job tells of it.
            server.cli(&["RPUSH", "resque:queue:a20000", "{}"]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(MANY, is_found).await.expect("it is worked on");
}

#[tokio::test]
async fn a_new_queue_among_very_many_is_watched_without_reading_all_names() {
    let server = Server::start();
    let store = server.store().await;
    let names = "for i = 1, 30000 do redis.call('SADD', 'resque:queues', 'tenant' .. i) end";
    server.cli(&["EVAL", names, "0"]);
    let waker = store.waker().await.unwrap();
    let watch = Watch { patterns: Some(Arc::new(QueuePatterns::all())), ..Watch::default() };
    let resolved = waker.arm(&watch).await.unwrap().resolved.unwrap();
    assert_eq!((resolved.queues.len(), resolved.left_out), (10_000, 20_000));
    // On a machine that stands still all names may be read meanwhile, which finds it as well: then another queue is tried.
    for attempt in 0..20 {
        let (name, before) = (format!("new{attempt}"), readings(&server));
        let key = format!("resque:queue:{name}");
        // One that would not be worked on is not asked for.
        server.cli(&["EVAL", "for i = 1, 5 do redis.call('RPUSH', 'resque:queue:zzz' .. i, '{}') end", "0"]);
        server.cli(&["RPUSH", &key, "{}"]);
        server.cli(&["SADD", "resque:queues", &name]);
        let is_found = async {
            loop {
                let seen = waker.arm(&watch).await.unwrap();
                if seen.resolved.unwrap().queues.contains(&queue(&name)) {
                    return;
                }
                waker.woken().await;
            }
        };
        timeout(MANY, is_found).await.expect("a new queue must be found");
        if readings(&server) == before {
            return;
        }
    }
    panic!("all names were read for each new queue");
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

/// How often keys were asked whether they exist.
fn looked_for(server: &Server) -> Option<String> {
    let stats = server.cli(&["INFO", "commandstats"]);
    stats.lines().find_map(|line| line.strip_prefix("cmdstat_exists:").map(|line| line.to_owned()))
}

/// A heartbeat, and the read behind it.
async fn extend(server: &Server, store: &Store<Whole>) {
    let before = looked_for(server);
    store.extend(&beat()).await.unwrap();
    let is_read_again = async {
        while looked_for(server) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, is_read_again).await.expect("one waker of the process reads again what the beat has written");
}

#[tokio::test]
async fn a_server_that_forgets_what_it_is_to_tell_is_found_out_by_the_next_beat() {
    let server = Server::start();
    let store = server.store().await;
    store.join(&instance("00ff")).await.unwrap();
    let wakers = [store.waker().await.unwrap(), store.waker().await.unwrap()];
    // How many beats the server tells of before it forgets.
    for told in [0, 1, 2, 0, 3] {
        for waker in &wakers {
            waker.arm(&all()).await.unwrap();
        }
        for _ in 0..told {
            extend(&server, &store).await;
        }
        for waker in &wakers {
            assert!(waker.check().await.unwrap());
            assert!(timeout(Duration::from_millis(50), waker.woken()).await.is_err(), "nothing happened");
        }
        // Another program empties another database, and takes the memory of what is told with it.
        server.cli(&["-n", "9", "FLUSHDB"]);
        server.cli(&["RPUSH", "resque:queue:math", "{}"]);
        extend(&server, &store).await;
        for waker in &wakers {
            timeout(SOON, waker.woken()).await.expect("all wakers of the process look");
            assert!(waker.arm(&all()).await.unwrap().ready);
        }
        server.cli(&["DEL", "resque:queue:math"]);
        for waker in &wakers {
            timeout(SOON, waker.woken()).await.expect("it tells again");
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_between_a_beat_and_the_read_behind_it_shows_at_the_next_one() {
    let server = Server::start();
    let store = server.store().await;
    store.join(&instance("00ff")).await.unwrap();
    let waker = store.waker().await.unwrap();
    waker.arm(&all()).await.unwrap();
    // The beat writes the key, and before anybody can read it again everything is forgotten.
    let beat_and_flush =
        "redis.call('SET', 'resque:windlass:beat:00ff:0', '') redis.call('SELECT', 9) redis.call('FLUSHDB')";
    server.cli(&["EVAL", beat_and_flush, "0"]);
    server.cli(&["RPUSH", "resque:queue:math", "{}"]);
    extend(&server, &store).await;
    assert!(timeout(Duration::from_millis(50), waker.woken()).await.is_err(), "the server told of a beat");
    extend(&server, &store).await;
    timeout(SOON, waker.woken()).await.expect("it looks");
    assert!(waker.arm(&all()).await.unwrap().ready);
}

#[tokio::test]
async fn an_emptied_store_makes_all_wakers_look() {
    let server = Server::start();
    let store = server.store().await;
    store.join(&instance("00ff")).await.unwrap();
    let waker = store.waker().await.unwrap();
    waker.arm(&all()).await.unwrap();
    server.cli(&["FLUSHALL"]);
    server.cli(&["RPUSH", "resque:queue:math", "{}"]);
    assert!(store.extend(&beat()).await.unwrap().dead);
    timeout(SOON, waker.woken()).await.expect("it looks");
    assert!(waker.arm(&all()).await.unwrap().ready);
}

#[tokio::test]
async fn keys_that_beats_write_go_with_their_instance() {
    let server = Server::start();
    let store = server.store().await;
    let record = instance("00ff");
    let _listening = store.waker().await.unwrap();
    for buried in [false, true] {
        store.join(&record).await.unwrap();
        for _ in 0..2 {
            store.extend(&beat()).await.unwrap();
        }
        assert_eq!(server.cli(&["KEYS", "resque:windlass:beat:*"]).lines().count(), 2);
        if buried {
            let states = store.instances().await.unwrap();
            assert!(store.bury(&states[0]).await.unwrap());
        } else {
            store.leave(&record).await.unwrap();
        }
        assert_eq!(server.cli(&["KEYS", "resque:windlass:beat:*"]), "");
    }
}

#[tokio::test]
async fn keys_that_the_server_lets_fall_for_want_of_room_are_told() {
    let server = Server::start();
    let store = server.store().await;
    let waker = store.waker().await.unwrap();
    waker.arm(&all()).await.unwrap();
    server.cli(&["CONFIG", "SET", "tracking-table-max-keys", "1"]);
    timeout(SOON, waker.woken()).await.expect("the caller looks again");
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
