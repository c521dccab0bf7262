//! Requests that are too large, too many or too slow, and what is no request at all.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Answer;
use crate::world::World;

#[test]
fn unknown_routes_and_methods_are_problems() {
    let world = World::sqlite("", |_| {});
    for path in
        ["/nowhere", "/api", "/api/v1", "/api/v1/", "/api/v2/tasks", "/api/v1/tasks/", "/health", "/%2e%2e/etc/passwd"]
    {
        let answer = world.place.get(path);
        assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown-route"), "{path}");
    }
    for (method, path) in [
        ("DELETE", "/api/v1/tasks"),
        ("POST", "/health/live"),
        ("PATCH", "/api/v1/leader"),
        ("OPTIONS", "/api/v1/tasks"),
    ] {
        let answer = world.place.send(method, path, &[], b"");
        assert_eq!((answer.status, answer.problem().as_str()), (405, "wrong-method"), "{method} {path}");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{answer:?}");
    }
    assert_eq!(world.place.send("HEAD", "/health/ready", &[], b"").status, 200);
    for (path, parameter) in
        [("/api/v1/tasks?limt=3", "?limt"), ("/api/v1/leader?x", "?x"), ("/api/v1/tasks?limit=0", "?limit")]
    {
        let answer = world.place.get(path);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{path}");
        assert_eq!(answer.json()["errors"][0]["pointer"], parameter);
    }
    let unknown = world.place.get("/api/v1/tasks/n%C3%B6ne");
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown-task"));
    assert_eq!(world.place.get("/api/v1/tasks/%ff").problem(), "malformed");
    world.daemon.stop();
}

#[test]
fn what_is_no_request_ends_its_connection_and_nothing_else() {
    let world = World::sqlite("", |_| {});
    let noise: Vec<u8> = (0..20_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        &noise,
        &[b'A'; 100_000],
    ] {
        let answer = world.place.raw(bytes);
        assert!(answer.is_empty() || Answer::parse(&answer).status >= 400, "{:?}", String::from_utf8_lossy(&answer));
    }
    let long = "x".repeat(17 * 1024);
    assert_eq!(world.place.send("GET", "/health/live", &[("x-long", &long)], b"").status, 431);
    assert_eq!(world.place.get("/health/ready").status, 200);
    world.daemon.stop();
}

#[test]
fn three_hundred_silent_connections_keep_nobody_out() {
    let world = World::sqlite("", |_| {});
    let mut silent: Vec<_> = (0..300).map(|_| world.place.connect().unwrap()).collect();
    assert_eq!(world.place.get("/health/ready").status, 200);
    assert_eq!(world.place.get("/api/v1/tasks").status, 200);
    world.daemon.wait_log("256 connections are open");
    // The first had waited longest, and gave way; the last one may still speak.
    assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0);
    let last = silent.last_mut().unwrap();
    last.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    last.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::parse(&answer).status, 200);
    assert_eq!(world.daemon.log().matches("256 connections are open").count(), 1, "it is told once");
    world.daemon.stop();
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let world = World::sqlite("", |_| {});
    let begun = Instant::now();
    let mut slow = world.place.connect().unwrap();
    slow.write_all(b"GET /health/live HTTP/1.1\r\nhost: loc").unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap_or(0), 0);
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    world.daemon.stop();
}
