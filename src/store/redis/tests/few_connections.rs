//! A server that takes fewer connections than an instance wants.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::server::{Server, claiming, job, lane_of, queue};
use crate::clock::Clock;
use crate::store::backend::TimeSource;
use crate::store::handle::Store;
use crate::store::redis::RedisStore;
use crate::store::role::Whole;
use crate::store::verbs::Verbs as _;
use crate::store::wake::Watch;

/// Another client, which stays.
struct Other(UnixStream);

impl Other {
    fn ask(&mut self, command: &str) {
        self.0.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut reply = [0; 5];
        self.0.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"+OK\r\n", "{command}");
    }
}

#[tokio::test]
async fn an_instance_works_over_one_connection_and_takes_its_own_when_there_is_room() {
    let server = Server::start();
    let time = TimeSource::Clock(Arc::clone(&server.clock) as Arc<dyn Clock>);
    let store = RedisStore::connect(&server.url(), "resque", time).await.unwrap();
    store.connection.origin.sharing.ask_again_after(Duration::from_millis(20));
    let store: Store<Whole> = store.into();
    let mut other = Other(UnixStream::connect(server.socket()).unwrap());
    other.ask("CONFIG SET maxclients 2");
    let waker = store.waker().await.expect("it looks over the store's connection");
    let mut lane = lane_of(&store, "00ff", 0).await.expect("it claims over the store's connection");
    let watch = Watch { queues: vec![queue("math")], poll: Some(Duration::from_millis(10)), ..Watch::default() };
    assert!(waker.arm(&watch).await.unwrap().polled, "nobody tells it of changes");
    store.enqueue(&[job("math", b"{\"n\":1}"), job("math", b"{\"n\":2}")]).await.unwrap();
    waker.woken().await;
    assert!(waker.arm(&watch).await.unwrap().ready);
    assert_eq!(lane.exchange(&claiming(1, 1)).await.unwrap().claims.len(), 1);
    other.ask("CONFIG SET maxclients 100");
    let mut sequence = 1;
    let all = async {
        while server.cli(&["CLIENT", "LIST"]).lines().count() < 5 {
            waker.arm(&watch).await.unwrap();
            sequence += 1;
            lane.exchange(&claiming(sequence, 0)).await.unwrap();
        }
    };
    timeout(Duration::from_secs(30), all).await.expect("both ask for their own");
    let tells = async { while waker.arm(&watch).await.unwrap().polled {} };
    timeout(Duration::from_secs(30), tells).await.expect("the server tells it of changes now");
    let mut claiming = claiming(sequence + 1, 2);
    claiming.idle.remove(0);
    assert_eq!(lane.exchange(&claiming).await.unwrap().claims.len(), 1, "the lane goes on where it was");
}
