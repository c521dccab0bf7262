//! Health: from the first moment to the last, whatever else is busy or away.

use rustix::process::Signal;

use crate::client::Place;
use crate::daemon::{Folder, eventually, signal};
use crate::support::redis::{Options, RedisServer};
use crate::world::{World, configure, listens};

fn ready(place: &Place) -> (u16, String) {
    let answer = place.get("/health/ready");
    (answer.status, answer.body)
}

#[test]
fn it_is_ready_when_it_works_and_drains_when_it_is_told_to_end() {
    let world = World::sqlite("", |folder| folder.script("long", "touch begun; exec sleep 3"));
    assert_eq!(ready(&world.place), (200, "ready\n".to_owned()));
    assert_eq!(world.place.get("/health/live").body, "live\n");
    assert_eq!(world.folder.windlass(&["enqueue", "long"]).0, Some(0));
    eventually("the job begins", || world.folder.path("begun").exists());
    signal(world.daemon.parent(), Signal::TERM);
    eventually("it drains", || ready(&world.place) == (503, "draining\n".to_owned()));
    assert_eq!(world.place.get("/api/v1/tasks").status, 200, "it answers until all jobs have ended");
    world.daemon.stop();
    assert!(world.place.connect().is_err(), "nobody listens any more");
}

#[test]
fn it_starts_before_its_store_answers_and_says_when_that_is_away() {
    let mut server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    configure(&folder, "listen = \"127.0.0.1:0\"");
    server.stop();
    let daemon = folder.daemon();
    let place = listens(&daemon);
    assert_eq!(ready(&place), (503, "starting\n".to_owned()));
    assert_eq!(place.get("/health/live").status, 200);
    let early = place.get("/api/v1/leader");
    assert_eq!((early.status, early.problem().as_str()), (503, "starting"));
    assert!(early.header("retry-after").is_some());
    server.restart();
    eventually("it is ready", || ready(&place) == (200, "ready\n".to_owned()));
    server.stop();
    eventually("it says that the store is away", || ready(&place) == (503, "store\n".to_owned()));
    let away = place.get("/api/v1/leader");
    assert_eq!((away.status, away.problem().as_str()), (503, "store-away"));
    assert_eq!(away.header("retry-after"), Some("5"));
    assert_eq!(place.get("/health/live").status, 200, "a restart would not help");
    server.restart();
    eventually("it is ready again", || ready(&place) == (200, "ready\n".to_owned()));
    daemon.stop();
}
