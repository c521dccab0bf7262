//! Many jobs in one request, on both stores.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::client::{Answer, Place};
use crate::daemon::Folder;
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
}

const NDJSON: &str = "application/x-ndjson";

fn post(place: &Place, query: &str, body: &[u8]) -> Answer {
    place.send("POST", &format!("/api/v1/jobs/bulk{query}"), &[("content-type", NDJSON)], body)
}

/// The answers to the lines, and the last one.
#[track_caller]
fn lines(answer: &Answer) -> (Vec<Value>, Value) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)), "{answer:?}");
    let mut lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    assert_eq!(end["end"], true, "{end}");
    (lines, end)
}

#[test]
fn each_line_has_its_outcome_and_a_wrong_one_keeps_no_other_out() {
    World::both("", tasks, |world| {
        let body = concat!(
            "\u{feff}{\"task\":\"note\",\"queue\":\"waiting\",\"args\":[1]}\r\n",
            "\n",
            "{\"task\":\"nite\"}\n",
            "{\"task\":\"note\",\"queue\":\"waiting\",\"at\":\"@2000000000\"}\n",
            "{\"task\":\"note\",\"queue\":\"waiting\",\"at\":\"@2000000000\"}\n",
            "{\"task\":\"locked\",\"queue\":\"waiting\"}\n",
            "{\"task\":\"locked\",\"queue\":\"waiting\"}\n",
            "{bad\n",
            "{\"task\":\"note\",\"queue\":\"waiting\",\"args\":[2]}"
        );
        let answer = post(&world.place, "", body.as_bytes());
        let (answers, end) = lines(&answer);
        let brief = |answer: &Value| {
            let kind = answer["problem"]["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
            (answer["line"].as_u64().unwrap(), answer["enqueued"].as_bool(), kind)
        };
        let told: Vec<_> = answers.iter().map(brief).collect();
        let (yes, no) = (Some(true), Some(false));
        let none = String::new;
        assert_eq!(
            told,
            [
                (1, yes, none()),
                (3, no, "unknown-task".to_owned()),
                (4, yes, none()),
                (5, no, none()),
                (6, yes, none()),
                (7, no, none()),
                (8, no, "malformed".to_owned()),
                (9, yes, none())
            ]
        );
        assert_eq!((&answers[1]["problem"]["did_you_mean"], &answers[3]["duplicate"]), (&json!("note"), &json!(true)));
        assert_eq!(
            (&answers[2]["ms"], &answers[5]["refused_by"]),
            (&json!(2_000_000_000_000_i64), &json!("QueueLock"))
        );
        let counts =
            json!({"end": true, "lines": 8, "enqueued": 3, "delayed": 1, "refused": 1, "duplicates": 1, "failed": 2});
        assert_eq!(end, counts);
        let shown = world.cli(&["queues", "show", "waiting"]);
        let args: Vec<_> = shown["jobs"].as_array().unwrap().iter().map(|job| job["args"].to_string()).collect();
        assert_eq!(args, ["[1]", "[]", "[2]"], "in their order");
    });
}

#[test]
fn very_many_lines_stream_through() {
    const MANY: usize = 20_000;
    World::both("", tasks, |world| {
        let body: String =
            (0..MANY).map(|n| format!("{{\"task\":\"Other\",\"queue\":\"waiting\",\"args\":[{n}]}}\n")).collect();
        let (answers, end) = lines(&post(&world.place, "?foreign", body.as_bytes()));
        assert_eq!((answers.len(), &end["enqueued"]), (MANY, &json!(MANY)));
        assert!(answers.iter().enumerate().all(|(at, answer)| answer["line"] == at + 1));
        let queue = world.place.get("/api/v1/queues/waiting").json();
        assert_eq!(queue["length"], MANY);
        let last = world.place.get("/api/v1/queues/waiting/jobs?from=tail&limit=1").json();
        assert_eq!((&last["items"][0]["args"], &last["items"][0]["position"]), (&json!([MANY - 1]), &json!(MANY - 1)));
    });
}

#[test]
fn answers_come_while_the_body_is_still_sent() {
    let world = World::sqlite("", tasks);
    let mut stream = world.place.connect().unwrap();
    let line = b"{\"task\":\"note\",\"queue\":\"waiting\"}\n";
    let head = format!(
        "POST /api/v1/jobs/bulk HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {NDJSON}\r\ncontent-length: {}\r\n\r\n",
        2 * line.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(line).unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("{\"line\":1,\"enqueued\":true}") {
        let mut part = [0; 512];
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&part[..length]);
    }
    stream.write_all(line).unwrap();
    stream.read_to_end(&mut read).unwrap();
    assert_eq!(lines(&Answer::parse(&read)).1["enqueued"], 2);
    world.daemon.stop();
}

#[test]
fn bad_bodies_end_with_their_reason() {
    let world = World::sqlite("", tasks);
    let form = world.place.send("POST", "/api/v1/jobs/bulk", &[("content-type", "text/csv")], b"x");
    assert_eq!(form.problem(), "wrong-media-type");
    assert_eq!(post(&world.place, "?fornt", b"{}").problem(), "malformed");
    let (answers, end) = lines(&post(&world.place, "", b"\xff\xfe\n[1]\n"));
    assert!(answers.len() == 2 && end["failed"] == 2, "{answers:?}");
    assert_eq!(lines(&post(&world.place, "", b"")).1["lines"], 0);
    let long = [b"{\"task\":\"note\",\"queue\":\"waiting\"}\n".as_slice(), &vec![b'x'; (1 << 20) + (1 << 16)]].concat();
    let (answers, end) = lines(&post(&world.place, "", &long));
    assert_eq!((answers.len(), &end["problem"]["type"]), (1, &json!("urn:windlass:problem:too-large")));
    assert_eq!(world.place.get("/api/v1/queues/waiting").json()["length"], 1, "what stood before it is enqueued");
    // A body that is cut: what was whole is enqueued, and nobody is left to be told.
    let Place::Tcp(address) = world.place else { unreachable!("it listens there") };
    let mut cut = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/jobs/bulk HTTP/1.1\r\nhost: localhost\r\ncontent-type: {NDJSON}\r\ncontent-length: 999\r\n\r\n"
    );
    cut.write_all(head.as_bytes()).unwrap();
    cut.write_all(b"{\"task\":\"note\",\"queue\":\"cut\"}\n{\"task\":\"no").unwrap();
    // Anyone who closes a connection that still holds bytes resets it, and the server may lose what it has not read.
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    cut.read_to_end(&mut Vec::new()).unwrap();
    crate::daemon::eventually("what was whole is enqueued", || {
        world.place.get("/api/v1/queues/cut").json()["length"] == 1
    });
    world.daemon.stop();
}
