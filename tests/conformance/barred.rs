//! A queue whose key the server refuses to this user: that queue alone is passed over.

use std::sync::Arc;

use windlass::clock::Clock;
use windlass::event::Bus;
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::{Store, TimeSource};

use crate::fixture::{Fixture, Place};
use crate::instance::{Instance, payloads};
use crate::look::{assert_named_once, fill, job, jobs, queued};
use crate::support::redis::{Options, RedisServer};

#[tokio::test]
async fn a_queue_whose_key_is_refused_is_passed_over_and_named_once() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "bad", &jobs(0..2)).await;
    fill(&f.store, "good", &jobs(2..7)).await;
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let but_queues = format!("~{namespace}:[^q]*");
    let allowed = ["queues", "queue:good"].map(|key| format!("~{namespace}:{key}"));
    server.command(&["ACL", "SETUSER", "poor", "on", ">p", "+@all", &but_queues, &allowed[0], &allowed[1]]);
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let url = url.replace("redis+unix://", "redis+unix://poor:p@");
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    let store = RedisStore::connect_with(&url, &Default::default(), namespace, time, Findings::new(bus)).await;
    let store: Store<Whole> = store.expect("it opens").into();

    let mut instance = Instance::join(&store, "a", 2).await;
    for first in [2, 4] {
        let claims = instance.claim(&["bad", "good"], &[1, 2]).await;
        assert_eq!(payloads(&claims), jobs(first..first + 2));
        // What ends rides in the same call as the claim.
        let settlements = claims.iter().map(|claim| claim.ends(Verdict::Done)).collect();
        assert_eq!(instance.settle(settlements).await, [0_usize; 0]);
    }
    assert_eq!(queued(&f.store, "bad").await, jobs(0..2));
    let remedy = format!(
        "queue bad is passed over, because the user poor may not touch its key: type ACL SETUSER poor ~{namespace}:queue:bad"
    );
    assert_named_once(&listeners[0], &[&remedy]);

    server.command(&["ACL", "SETUSER", "poor", &format!("~{namespace}:queue:bad")]);
    let claims = instance.claim(&["bad", "good"], &[1, 2]).await;
    assert_eq!(payloads(&claims), [job(0), job(1)], "it is allowed again");
}
