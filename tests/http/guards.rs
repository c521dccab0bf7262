//! Who may do what, from where, and by which name.

use std::fs;

use crate::client::{Answer, Place};
use crate::daemon::Folder;
use crate::world::{TOKEN, World};

const READER: &str = "a-token-that-only-reads";

fn tokens() -> String {
    format!("token = {{ file = \"token\" }}\ntokens = [{{ name = \"reader\", role = \"read\", token = \"{READER}\" }}]")
}

fn token_file(folder: &Folder) {
    fs::write(folder.path("token"), format!("{TOKEN}\n")).unwrap();
}

fn with(place: &Place, method: &str, headers: &[(&str, &str)]) -> Answer {
    place.send(method, "/api/v1/tasks", headers, b"")
}

#[test]
fn forged_names_are_refused_for_reads_too() {
    let world = World::sqlite("allowed_hosts = [\"jobs.example.org\"]", |_| {});
    for host in ["evil.example", "localhost.evil.example:80", "10.1.2.3", ""] {
        let answer = with(&world.place, "GET", &[("host", host)]);
        assert_eq!((answer.status, answer.problem().as_str()), (421, "unknown-host"), "{host}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("set allowed_hosts = ["), "{answer:?}");
    }
    let rebound = world.place.send("GET", "/health/ready", &[("host", "evil.example")], b"");
    assert_eq!(rebound.status, 421, "health, too");
    for host in ["localhost", "127.0.0.1:7480", "[::1]"] {
        assert_eq!(with(&world.place, "GET", &[("host", host)]).status, 200, "{host}");
    }
    let allowed = with(&world.place, "GET", &[("host", "jobs.example.org")]);
    assert_eq!((allowed.status, allowed.problem().as_str()), (401, "unauthenticated"), "a proxy may be in front");
    let none = Answer::parse(&world.place.raw(b"GET /api/v1/tasks HTTP/1.1\r\nconnection: close\r\n\r\n"));
    assert_eq!((none.status, none.problem().as_str()), (400, "malformed"));
    let line = b"GET http://evil.example/api/v1/tasks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&world.place.raw(line)).status, 421);
    world.daemon.stop();
}

#[test]
fn pages_of_strangers_change_nothing() {
    let world = World::sqlite("", |_| {});
    let post = |headers: &[(&str, &str)]| {
        let answer = world.place.send("POST", "/api/v1/nothing", headers, b"{}");
        (answer.status, answer.problem())
    };
    let json = ("content-type", "application/json");
    for forged in [
        &[("sec-fetch-site", "cross-site"), json][..],
        &[("sec-fetch-site", "same-site"), json],
        &[("origin", "http://evil.example"), json],
        &[("origin", "null"), json],
    ] {
        assert_eq!(post(forged), (403, "cross-origin".to_owned()), "{forged:?}");
    }
    for form in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"] {
        assert_eq!(post(&[("content-type", form)]), (415, "wrong-media-type".to_owned()), "{form}");
    }
    let ours = (404, "unknown-route".to_owned());
    for own in [&[json][..], &[("sec-fetch-site", "same-origin"), json], &[("origin", "http://localhost"), json]] {
        assert_eq!(post(own), ours, "{own:?}");
    }
    world.daemon.stop();
}

#[test]
fn a_token_is_asked_for_where_a_proxy_may_be_and_its_role_counts() {
    let world = World::sqlite(&tokens(), token_file);
    assert_eq!(with(&world.place, "GET", &[]).status, 200, "this machine needs none");
    for trace in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
        let answer = with(&world.place, "GET", &[(trace, "127.0.0.1")]);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthenticated"), "{trace}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"windlass\""));
        assert_eq!(world.place.send("GET", "/health/ready", &[(trace, "127.0.0.1")], b"").status, 200, "{trace}");
    }
    let bearer = |token: &str| format!("Bearer {token}");
    for token in [TOKEN, READER] {
        assert_eq!(with(&world.place, "GET", &[("via", "x"), ("authorization", &bearer(token))]).status, 200);
    }
    let unknown = world.place.send("GET", "/api/v1/nothing", &[("via", "x")], b"");
    assert_eq!(unknown.status, 401, "nobody learns which routes there are");
    for wrong in ["Bearer wrong", "Basic Og==", "Bearer"] {
        assert_eq!(with(&world.place, "GET", &[("authorization", wrong)]).problem(), "unauthenticated", "{wrong}");
    }
    world.daemon.stop();
}

#[test]
fn the_eleventh_wrong_token_of_a_minute_is_too_many_and_a_right_one_is_never_refused_for_it() {
    let world = World::sqlite(&tokens(), token_file);
    for _ in 0..10 {
        assert_eq!(with(&world.place, "GET", &[("authorization", "Bearer wrong")]).status, 401);
    }
    let right = format!("Bearer {TOKEN}");
    let barred = with(&world.place, "GET", &[("authorization", "Bearer wrong")]);
    assert_eq!((barred.status, barred.problem().as_str()), (429, "too-many-tries"));
    assert_eq!(barred.header("connection"), Some("close"));
    assert_eq!(with(&world.place, "GET", &[("authorization", &right)]).status, 200, "others guess from its address");
    let wait: u64 = barred.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(with(&world.place, "GET", &[]).status, 200);
    world.daemon.wait_log("10 wrong tokens came from 127.0.0.1");
    world.daemon.stop();
}

#[test]
fn without_a_token_nobody_comes_in_where_one_is_asked_for() {
    let world = World::sqlite(&format!("{}\nloopback = \"token\"\nread_only = true", tokens()), token_file);
    assert_eq!(with(&world.place, "GET", &[]).status, 401);
    let right = format!("Bearer {TOKEN}");
    assert_eq!(with(&world.place, "GET", &[("authorization", &right)]).status, 200);
    let post = with(&world.place, "POST", &[("authorization", &right)]);
    assert_eq!((post.status, post.problem().as_str()), (403, "read-only"));
    assert!(!world.daemon.log().contains("without a token"));
    world.daemon.stop();
}

#[test]
fn every_answer_has_the_headers_that_keep_browsers_from_harm() {
    let world = World::sqlite("", |_| {});
    for (path, status) in [("/health/live", 200), ("/api/v1/tasks", 200), ("/api/v1/nothing", 404)] {
        let answer = world.place.get(path);
        assert_eq!(answer.status, status);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'") && policy.contains("frame-ancestors 'none'")
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("x-request-id").map(str::len), Some(16));
    }
    world.daemon.stop();
}
