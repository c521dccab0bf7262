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
fn a_request_that_may_be_read_in_two_ways_is_refused_and_hides_no_second_one() {
    let world = World::sqlite("", |_| {});
    let hidden = "POST /api/v1/queues/default/pause HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = "POST /api/v1/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let long = "x".repeat(2000);
    for (lines, body, told) in [
        (
            "content-length: 6\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
            "both Content-Length and Transfer-Encoding",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
            "0\r\n\r\n",
            "both Content-Length and Transfer-Encoding",
        ),
        ("content-length: 0\r\ncontent-length: 0\r\n", "", "more than one Content-Length"),
        ("x: a\r\n content-length: 3\r\n", "", "on a second line"),
        ("content-length : 3\r\n", "", "its colon"),
        ("content-length: 0\n", "", "carriage return"),
        ("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n", "expected chunked"),
    ] {
        let answer = world.place.raw(format!("{head}{lines}\r\n{body}{hidden}").as_bytes());
        assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 ").count(), 1, "{lines:?}: {answer:?}");
        let answer = Answer::parse(&answer);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{lines:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{lines:?}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{lines:?}");
    }
    let chunked = "transfer-encoding: chunked\r\n";
    for body in [
        format!("2;{long}\r\n{{}}\r\n0\r\n\r\n"),
        "2\n{}\r\n0\r\n\r\n".to_owned(),
        "2\r\n{}\r\n0 \r\n\r\n".to_owned(),
        "2;a=\"b\r\n{}\r\n0\r\n\r\n".to_owned(),
        "2\r\n{}\r\n0\r\ncontent-length: 3\r\n\r\n".to_owned(),
    ] {
        let answer = world.place.raw(format!("{head}{chunked}\r\n{body}{hidden}").as_bytes());
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            text.is_empty() || text.matches("HTTP/1.1 ").count() == 1 && Answer::parse(&answer).status >= 400,
            "{text}"
        );
    }
    let paused = world.place.get("/api/v1/queues").body;
    assert!(!paused.contains("\"paused\":true"), "no hidden request was done: {paused}");
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
fn strangers_who_read_nothing_and_bodies_byte_by_byte_keep_nobody_from_health() {
    let world = World::sqlite("", |_| {});
    let open = |text: &str| {
        let mut stream = world.place.connect().unwrap();
        // The server may have turned it away already.
        let _ = stream.write_all(text.as_bytes());
        stream
    };
    let unread = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 192.0.2.1\r\n\r\n".repeat(20);
    let strangers: Vec<_> = (0..300).map(|_| open(&unread)).collect();
    assert_eq!(world.place.get("/health/live").status, 200);
    assert_eq!(world.place.get("/api/v1/tasks").status, 200, "they give way");
    drop(strangers);
    // Programs of this machine have rights, and their requests go on.
    let slow = "POST /api/v1/jobs/bulk HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n2\r\n{\"\r\n";
    let slow: Vec<_> = (0..400).map(|_| open(slow)).collect();
    for path in ["/health/live", "/health/ready", "/health/live"] {
        assert_eq!(world.place.get(path).status, 200, "{path}");
    }
    drop(slow);
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

#[test]
fn who_may_only_enqueue_makes_no_queue_beyond_those_that_are_allowed() {
    const SHOP: &str = "a-token-that-only-enqueues";
    const BOSS: &str = "a-token-that-operates";
    let http = format!(
        "max_queues = 3\ntokens = [{{ name = \"shop\", role = \"enqueue\", token = \"{SHOP}\" }}, \
         {{ name = \"boss\", role = \"operate\", token = \"{BOSS}\" }}]"
    );
    World::both(
        &http,
        |folder| folder.script("note", "true"),
        |world| {
            let send = |token: &str, path: &str, body: &str| {
                let bearer = format!("Bearer {token}");
                let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
                world.place.send("POST", path, &headers, body.as_bytes())
            };
            let to =
                |token: &str, queue: &str| send(token, &format!("/api/v1/tasks/note/jobs?queue={queue}&in=1h"), "[]");
            let now = |token: &str, queue: &str| send(token, &format!("/api/v1/tasks/note/jobs?queue={queue}"), "[]");
            assert_eq!(to(SHOP, "made-1").status, 201, "its job is delayed, so that the store does not know it yet");
            assert_eq!(now(SHOP, "made-2").status, 201);
            assert_eq!(now(SHOP, "made-3").status, 201);
            let refused = now(SHOP, "made-4");
            assert_eq!((refused.status, refused.problem().as_str()), (422, "too-many-queues"));
            let problem = refused.json();
            assert!(problem["detail"].as_str().unwrap().contains("max_queues under [http]"), "{problem}");
            assert_eq!(problem["errors"][0]["pointer"], "?queue");
            let body = r#"{"task":"note","queue":"made-5"}"#;
            assert_eq!(send(SHOP, "/api/v1/jobs", body).json()["errors"][0]["pointer"], "/queue");
            let lines = "{\"task\":\"note\",\"queue\":\"made-6\"}\n{\"task\":\"note\",\"queue\":\"made-2\"}\n";
            let bulk = send(SHOP, "/api/v1/jobs/bulk", lines).body;
            let views: Vec<serde_json::Value> = bulk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(views[0]["problem"]["type"], "urn:windlass:problem:too-many-queues", "{bulk}");
            assert_eq!((&views[1]["enqueued"], &views[2]["enqueued"]), (&true.into(), &1.into()), "{bulk}");
            assert_eq!(now(SHOP, "default").status, 201, "a task declares it");
            assert_eq!(now(BOSS, "made-7").status, 201, "who operates is not bound");
            assert_eq!(now(SHOP, "made-7").status, 201, "now it is known");
            assert_eq!(now(SHOP, "made-8").problem(), "too-many-queues");
        },
    );
}
