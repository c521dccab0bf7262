//! What the engine says when the server does not do as it should.

use std::time::Duration;

use tokio::time::timeout;

use super::server::{Server, beat, claiming, instance, job, lane_of, queue};
use crate::config::element::tls_files::ConnectionFiles;
use crate::event::Bus;
use crate::store::backend::TimeSource;
use crate::store::effect::Verdict;
use crate::store::error::StoreError;
use crate::store::findings::Findings;
use crate::store::handle::Store;
use crate::store::instance::Extend;
use crate::store::redis::RedisStore;
use crate::store::role::Whole;
use crate::store::verbs::Verbs as _;

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_given_them_again() {
    let server = Server::start();
    let store = server.store().await;
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    for sequence in 1..=3 {
        store.enqueue(&[job("math", b"{1}")]).await.unwrap();
        let claims = lane.exchange(&claiming(sequence, 3)).await.unwrap().claims;
        assert_eq!(claims.len(), 1);
        server.cli(&["SET", &format!("resque:worker:{}", super::server::worker(claims[0].index + 1)), "x"]);
        server.cli(&["SCRIPT", "FLUSH"]);
    }
    assert_eq!(server.cli(&["LLEN", "resque:queue:math"]), "0");
}

#[tokio::test]
async fn keys_of_another_type_are_named_and_stop_nobody_else() {
    let server = Server::start();
    let store = server.store().await;
    server.cli(&["SET", "resque:queue:odd", "x"]);
    let error = store.enqueue(&[job("odd", b"{1}")]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { place, .. } if place == "resque:queue:odd"), "{error}");
    server.cli(&["SET", "resque:failed", "x"]);
    store.enqueue(&[job("math", b"{1}")]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let mut exchange = claiming(1, 1);
    exchange.queues = [queue("odd"), queue("math")].into();
    let reply = lane.exchange(&exchange).await.unwrap();
    let named = |findings: &[StoreError]| match findings {
        [StoreError::Corrupt { place, .. }] => place.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&reply.findings), "resque:queue:odd");
    let claims = reply.claims;
    assert_eq!(claims[0].queue, queue("math"));
    // The failed list cannot take the record, so the job stays on record instead of being lost.
    let mut settle = claiming(2, 1);
    let verdict = Verdict::Failed { record: bytes::Bytes::from_static(b"{}") };
    settle.settlements = vec![super::server::settled(1, &claims[0], verdict)];
    let reply = lane.exchange(&settle).await.unwrap();
    assert_eq!((&reply.lost[..], &reply.undone[..]), (&[][..], &[0][..]), "the claim is not lost");
    assert_eq!(named(&reply.findings), "resque:failed");
    // A lost reply: it is told alike.
    let again = lane.exchange(&settle).await.unwrap();
    assert_eq!((&again.lost[..], &again.undone[..]), (&[][..], &[0][..]));
    assert_eq!(server.cli(&["EXISTS", "resque:worker:h-windlass:7+1:math"]), "1");
    let lengths = store.queues().await.unwrap().queues;
    assert_eq!(lengths.iter().map(|queue| queue.length).sum::<u64>(), 0);
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_stays_unreadable_while_nobody_looks() {
    let server = Server::start();
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let told = || std::iter::from_fn(|| listeners[0].try_next()).count();
    let (url, files) = (server.url(), ConnectionFiles::default());
    let redis = RedisStore::connect_with(&url, &files, "resque", TimeSource::Store, Findings::new(bus)).await.unwrap();
    let store: Store<Whole> = redis.into();
    store.join(&instance("00ff")).await.unwrap();
    let looks = Extend { census: true, ..beat() };
    let wishes = ["HSET", "resque:windlass:wishes:00ff", &"x".repeat(300), "y"];
    server.cli(&wishes);
    store.extend(&looks).await.unwrap();
    assert_eq!(told(), 1);
    for extend in [&beat(), &beat(), &looks, &beat()] {
        store.extend(extend).await.unwrap();
        assert_eq!(told(), 0, "{extend:?}");
    }
    server.cli(&["DEL", "resque:windlass:wishes:00ff"]);
    store.extend(&looks).await.unwrap();
    assert_eq!(told(), 1, "all can be read again");
}

#[tokio::test]
async fn a_full_server_takes_no_job_and_gives_those_out_that_it_has() {
    let server = Server::start();
    let store = server.store().await;
    store.enqueue(&[job("math", b"{1}")]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(matches!(store.enqueue(&[job("math", b"{2}")]).await, Err(StoreError::Full(_))));
    assert_eq!(server.cli(&["LLEN", "resque:queue:math"]), "1");
    assert_eq!(lane.exchange(&claiming(1, 1)).await.unwrap().claims.len(), 1);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let server = Server::start();
    server.cli(&["ACL", "SETUSER", "poor", "on", ">secret", "~*", "+@all", "-lpop"]);
    let url = server.url().replace("redis+unix://", "redis+unix://poor:secret@");
    let store = Store::from(RedisStore::connect(&url, "resque", TimeSource::Store).await.unwrap());
    assert!(!store.describe().contains("secret"));
    server.cli(&["ACL", "SETUSER", "poor", "-evalsha"]);
    let error = store.enqueue(&[job("math", b"{1}")]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unsupported(text) if text.contains("evalsha")), "{error}");
}

#[tokio::test]
async fn calls_fail_while_the_server_is_gone_and_work_when_it_is_back() {
    let mut server = Server::start();
    let store = server.store().await;
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    server.stop();
    // The first call may be under way when the connection breaks. Once that is known, nothing is sent.
    let unsent = async {
        loop {
            let error = store.enqueue(&[job("math", b"{1}")]).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            if error.changed_nothing() {
                break error;
            }
        }
    };
    let error = timeout(Duration::from_secs(30), unsent).await.unwrap();
    assert!(matches!(error, StoreError::Unreached(_)), "{error}");
    let error = lane.exchange(&claiming(1, 1)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(RedisStore::connect(&server.url(), "resque", TimeSource::Store).await.is_err());
    server.launch();
    let back = async { while store.enqueue(&[job("math", b"{1}")]).await.is_err() {} };
    timeout(Duration::from_secs(10), back).await.unwrap();
    let mut lane_again = lane_of(&store, "00ff", 1).await.unwrap();
    assert_eq!(lane_again.exchange(&claiming(1, 1)).await.unwrap().claims.len(), 1);
}

#[tokio::test]
async fn addresses_that_will_not_do_are_refused_with_the_remedy() {
    let refused = async |url: &str| match RedisStore::connect(url, "resque", TimeSource::Store).await {
        Err(StoreError::Unsupported(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(refused("redis-cluster://127.0.0.1:1").await.contains("\"{resque}\""));
    let nobody = RedisStore::connect("redis://127.0.0.1:1", "resque", TimeSource::Store).await;
    assert!(matches!(nobody, Err(StoreError::Unreached(_))));
}
