//! A lost reply loses nothing: what is repeated applies nothing twice and is answered alike.

use bytes::Bytes;

use super::server::{Server, claiming, job, lane_of, queue, settled, token, worker};
use crate::job::LockKey;
use crate::store::effect::{Busy, Gate, Verdict};
use crate::store::queueing::{Enter, Entered};
use crate::store::verbs::Verbs as _;

#[tokio::test]
async fn a_repeated_exchange_is_answered_as_the_first_time() {
    let server = Server::start();
    let store = server.store().await;
    let payloads: [&[u8]; 4] = [b"{1}", b"not a job", b"{3}", b"{4}"];
    store.enqueue(&payloads.map(|payload| job("math", payload))).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let first = lane.exchange(&claiming(1, 2)).await.unwrap();

    let mut exchange = claiming(2, 2);
    let mut stranger = settled(2, &first.claims[1], Verdict::Done);
    stranger.claim = token("00ff-0-7-7");
    exchange.settlements = vec![
        settled(1, &first.claims[0], Verdict::Requeued { identity: first.claims[0].identity.redelivered() }),
        stranger,
    ];
    exchange.enters = vec![Enter {
        worker: worker(2),
        claim: first.claims[1].token.clone(),
        queue: queue("math"),
        payload: first.claims[1].payload.clone(),
        identity: first.claims[1].identity.clone(),
        gates: vec![Gate::TakeLock {
            plugin: "JobLock",
            key: LockKey::Namespaced("workerslock:x".to_owned()),
            ttl_s: 60,
            busy: Busy::Drop { free: Vec::new(), tick: None, retry: None },
        }],
        run: None,
    }];
    server.cli(&["SET", "resque:workerslock:x", "held"]);
    let applied = lane.exchange(&exchange).await.unwrap();
    assert_eq!(applied.lost, [1]);
    assert_eq!(applied.entered, [Entered::Dropped { plugin: "JobLock" }]);
    // Both workers are free again; the job that was put back to the head comes first, as itself.
    let read = |claims: &[crate::store::queueing::Claim]| format!("{claims:?}");
    assert_eq!(applied.claims.len(), 2);
    assert_eq!(applied.claims[0].identity, first.claims[0].identity.redelivered());
    let before = server.cli(&["DEBUG", "DIGEST"]);

    for _ in 0..2 {
        let repeated = lane.exchange(&exchange).await.unwrap();
        assert_eq!((&repeated.lost, &repeated.entered), (&applied.lost, &applied.entered));
        assert_eq!(read(&repeated.claims), read(&applied.claims));
        // Another connection of the same lane is the same lane.
        lane = lane_of(&store, "00ff", 0).await.unwrap();
    }
    assert_eq!(server.cli(&["DEBUG", "DIGEST"]), before);

    // A copy that was held up in the network and arrives after newer exchanges applies nothing.
    lane.exchange(&claiming(3, 0)).await.unwrap();
    let before = server.cli(&["DEBUG", "DIGEST"]);
    assert!(lane.exchange(&exchange).await.unwrap().dead);
    assert_eq!(server.cli(&["DEBUG", "DIGEST"]), before);
}

#[tokio::test]
async fn a_worker_with_a_record_claims_nothing_and_loses_nothing() {
    let server = Server::start();
    let store = server.store().await;
    server.cli(&["SET", "resque:worker:h-windlass:7+1:math", "{\"left\":1}"]);
    store.enqueue(&[job("math", b"{1}"), job("math", b"{2}")]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claims = lane.exchange(&claiming(1, 2)).await.unwrap().claims;
    assert_eq!((claims.len(), claims[0].index, &claims[0].payload), (1, 1, &Bytes::from_static(b"{1}")));
    assert_eq!(server.cli(&["GET", "resque:worker:h-windlass:7+1:math"]), "{\"left\":1}");
    assert_eq!(server.cli(&["LLEN", "resque:queue:math"]), "1");
}

#[tokio::test]
async fn a_thousand_workers_fit_in_one_exchange() {
    let server = Server::start();
    let store = server.store().await;
    let jobs: Vec<_> = (0..3000).map(|n| job("math", format!("{{{n}}}").as_bytes())).collect();
    store.enqueue(&jobs).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claims = lane.exchange(&claiming(1, 3000)).await.unwrap().claims;
    assert!(claims.iter().zip(&jobs).all(|(claim, job)| claim.payload == job.payload));
    let mut settle = claiming(2, 0);
    settle.settlements = claims.iter().map(|claim| settled(claim.index + 1, claim, Verdict::Done)).collect();
    assert!(lane.exchange(&settle).await.unwrap().lost.is_empty());
    assert_eq!(server.cli(&["GET", "resque:stat:processed"]), "3000");
    assert_eq!(server.cli(&["KEYS", "resque:worker:*"]), "");
}
