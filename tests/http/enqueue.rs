//! Jobs that are enqueued over HTTP, on both stores.

use std::fs;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::world::{World, configure, listens};

fn tasks(folder: &Folder) {
    folder.script("note", "printf '%s' \"$WINDLASS_ARGS\" >>ran");
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"true\"]\n";
    fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
    let inputs = "name = \"mail\"\n[inputs.to]\nrequired = true\ntype = \"string\"\n[run]\nexec = [\"true\"]\n";
    fs::write(folder.path("tasks.d/mail.toml"), inputs).unwrap();
}

fn args_of(world: &World, queue: &str) -> Vec<Value> {
    let shown = world.cli(&["queues", "show", queue]);
    shown["jobs"].as_array().unwrap().iter().map(|job| job["args"].clone()).collect()
}

#[test]
fn the_body_is_the_arguments_and_the_job_runs() {
    World::both("", tasks, |world| {
        let body = r#"[{"to":"ada@example.com","n":1.50,"long":12345678901234567890}]"#;
        let answer = world.place.json("POST", "/api/v1/tasks/note/jobs", body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let told = answer.json();
        assert_eq!(
            (&told["enqueued"], &told["task"], &told["queue"]),
            (&json!(true), &json!("note"), &json!("default"))
        );
        eventually("the job has run", || world.folder.read("ran").contains("ada@example.com"));
        // As `enqueue --args` of the command line: what is no list is one argument, and nothing is none.
        for (body, args) in
            [(r#"{"a":1}"#, json!([{"a": 1}])), ("", json!([])), ("null", json!([null])), ("7", json!([7]))]
        {
            let answer = world.place.json("POST", "/api/v1/tasks/note/jobs?queue=waiting", body);
            assert_eq!((answer.status, &answer.json()["args"]), (201, &args), "{body}");
        }
        assert_eq!(args_of(world, "waiting"), [json!([{"a": 1}]), json!([]), json!([null]), json!([7])]);
        let front = world.place.json("POST", "/api/v1/tasks/note/jobs?queue=waiting&front", "[0]");
        assert_eq!((front.status, &args_of(world, "waiting")[0]), (201, &json!([0])));
    });
}

#[test]
fn an_object_names_task_queue_and_time() {
    World::both("", tasks, |world| {
        let post = |body: Value| world.place.json("POST", "/api/v1/jobs", &body.to_string());
        let foreign = post(json!({"task": "Other", "queue": "a/b.c", "args": ["x"], "foreign": true}));
        assert_eq!((foreign.status, &foreign.json()["queue"]), (201, &json!("a/b.c")));
        let shown = world.place.get("/api/v1/queues/a%2Fb.c/jobs").json();
        assert_eq!((&shown["items"][0]["class"], &shown["length"]), (&json!("Other"), &json!(1)));
        let times = [json!("2033-05-18T03:33:20Z"), json!(2_000_000_000_000_i64), json!("@2000000000")];
        for (number, at) in times.into_iter().enumerate() {
            // Equal jobs at one second would be duplicates.
            let queue = format!("q{number}");
            let answer = post(json!({"task": "note", "queue": queue, "at": at}));
            let told = answer.json();
            assert_eq!((answer.status, &told["ms"]), (201, &json!(2_000_000_000_000_i64)), "{answer:?}");
            assert_eq!(told["at"], "2033-05-18T03:33:20Z");
        }
        let delayed = post(json!({"task": "note", "in": "1h"}));
        assert!(delayed.status == 201 && delayed.json()["at"].is_string(), "{delayed:?}");
        // The same job at the same second.
        let twice = json!({"task": "note", "at": "@2100000000"});
        assert_eq!(post(twice.clone()).status, 201);
        let again = post(twice);
        assert_eq!((again.status, again.problem().as_str()), (409, "already-enqueued"));
        let answer = post(json!({"task": "note", "at": "@2100000000", "suppress_duplicate": true}));
        assert_eq!((answer.status, &answer.json()["duplicate"]), (200, &json!(true)));
    });
}

#[test]
fn a_veto_is_an_answer_and_names_the_lock() {
    World::both("", tasks, |world| {
        let post = || world.place.json("POST", "/api/v1/tasks/locked/jobs?queue=waiting", "[1]");
        assert_eq!(post().status, 201);
        let refused = post();
        assert_eq!(refused.status, 200, "{refused:?}");
        let told = refused.json();
        assert_eq!((&told["enqueued"], &told["refused_by"]), (&json!(false), &json!("QueueLock")));
        assert!(
            told["lock"]["key"].as_str().unwrap().contains("locked") && told["lock"]["until"].is_string(),
            "{told}"
        );
        assert_eq!(args_of(world, "waiting").len(), 1);
    });
}

/// What is wrong with an answer: its status, its type, the first pointer.
fn wrong(answer: &Answer) -> (u16, String, Value) {
    (answer.status, answer.problem(), answer.json()["errors"][0]["pointer"].clone())
}

#[test]
fn bad_input_is_told_with_its_place_and_enqueues_nothing() {
    let world = World::sqlite("", tasks);
    let of_task = |path: &str, body: &str| wrong(&world.place.json("POST", path, body));
    let object = |body: &str| wrong(&world.place.json("POST", "/api/v1/jobs", body));
    let told = |status: u16, kind: &str, pointer: Value| (status, kind.to_owned(), pointer);
    assert_eq!(of_task("/api/v1/tasks/note/jobs", "[1"), told(400, "malformed", json!("")));
    assert_eq!(of_task("/api/v1/tasks/note/jobs", &"[".repeat(500)), told(400, "malformed", json!("")));
    assert_eq!(of_task("/api/v1/tasks/nite/jobs", "[]"), told(404, "unknown-task", json!(null)));
    assert_eq!(of_task("/api/v1/tasks/note/jobs?at=noon", "[]"), told(400, "malformed", json!("?at")));
    assert_eq!(of_task("/api/v1/tasks/note/jobs?in=1h&at=@5", "[]"), told(400, "malformed", json!("?in")));
    assert_eq!(of_task("/api/v1/tasks/note/jobs?in=1h&front", "[]"), told(400, "malformed", json!("?in")));
    assert_eq!(of_task("/api/v1/tasks/note/jobs?tarck", "[]"), told(400, "malformed", json!("?tarck")));
    assert_eq!(of_task("/api/v1/tasks/note/jobs?queue=%20", "[]"), told(422, "invalid-inputs", json!("?queue")));
    assert_eq!(of_task("/api/v1/tasks/mail/jobs", "[]"), told(422, "invalid-inputs", json!("/0/to")));
    assert_eq!(of_task("/api/v1/tasks/mail/jobs", r#"[{"to":5}]"#), told(422, "invalid-inputs", json!("/0/to")));
    assert_eq!(of_task("/api/v1/tasks/mail/jobs", r#"{"to":5}"#), told(422, "invalid-inputs", json!("/to")));
    assert_eq!(object(r#"{"task":"mail","args":{"to":5}}"#), told(422, "invalid-inputs", json!("/args/to")));
    assert_eq!(object(r#"{"task":"mail","args":[{"to":5}]}"#), told(422, "invalid-inputs", json!("/args/0/to")));
    assert_eq!(object("[1]"), told(400, "malformed", json!("")));
    assert_eq!(object(""), told(400, "malformed", json!("")));
    assert_eq!(object("{"), told(400, "malformed", json!("")));
    assert_eq!(object("{}"), told(400, "malformed", json!("/task")));
    assert_eq!(object(r#"{"task":5}"#), told(400, "malformed", json!("/task")));
    assert_eq!(object(r#"{"task":"note","arg":[]}"#), told(400, "malformed", json!("/arg")));
    assert_eq!(object(r#"{"task":"note","at":true}"#), told(400, "malformed", json!("/at")));
    assert_eq!(object(r#"{"task":"note","in":"soon"}"#), told(400, "malformed", json!("/in")));
    assert_eq!(object(r#"{"task":"Other","foreign":true}"#), told(422, "invalid-inputs", json!("/queue")));
    let raw = |body: &[u8], kind: &str| {
        let answer = world.place.send("POST", "/api/v1/jobs", &[("content-type", kind)], body);
        (answer.status, answer.problem())
    };
    assert_eq!(raw(b"{\"task\":\"n\xffte\"}", "application/json"), (400, "malformed".to_owned()));
    assert_eq!(raw(b"task=note", "application/x-www-form-urlencoded"), (415, "wrong-media-type".to_owned()));
    assert_eq!(raw(&vec![b' '; (1 << 20) + 1], "application/json"), (413, "too-large".to_owned()));
    let chunked = [
        b"POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                     transfer-encoding: chunked\r\n\r\n110000\r\n"
            .as_slice(),
        &vec![b' '; 0x11_0000],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let answer = world.place.raw(&chunked);
    // It is refused before it is read, so that the answer may be lost with the connection.
    assert!(answer.is_empty() || Answer::parse(&answer).problem() == "too-large");
    assert_eq!(world.cli(&["stats"])["processed"], 0);
    assert_eq!(world.place.get("/api/v1/queues").json()["items"], json!([]));
    world.daemon.stop();
}

#[test]
fn what_the_log_hides_is_hidden_in_answers() {
    let folder = Folder::new("sqlite:store.db", "");
    tasks(&folder);
    folder.reconfigure("[store]", "[log]\nredact = [\"password\"]\n[store]");
    configure(&folder, "listen = \"127.0.0.1:0\"");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let place = listens(&daemon);
    let secret = r#"{"password":"hunter2","to":"ada"}"#;
    let answer = place.json("POST", "/api/v1/tasks/note/jobs?queue=waiting", secret);
    let shown = place.get("/api/v1/queues/waiting/jobs");
    for answer in [&answer, &shown] {
        assert!(
            !answer.body.contains("hunter2") && answer.body.contains("[redacted]") && answer.body.contains("ada"),
            "{answer:?}"
        );
    }
    assert!(folder.windlass(&["--json", "queues", "show", "waiting"]).1.contains("hunter2"), "the job itself has it");
    daemon.stop();
}

/// Words of plugins, errors that quote arguments, and streams pass the same gate as arguments.
#[test]
fn no_secret_leaves_in_any_answer() {
    let folder = Folder::new("sqlite:store.db", "");
    tasks(&folder);
    let refuse = r#"printf '{"allow":false,"reason":"no: {\\"password\\":\\"hunter2\\"}"}\n'"#;
    fs::write(folder.path("tasks.d/refuse"), format!("#!/bin/sh\nread -r call\n{refuse}\n")).unwrap();
    fs::set_permissions(folder.path("tasks.d/refuse"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let guarded = "name = \"guarded\"\nplugins = [{ exec = [\"./refuse\"], hooks = [\"before_enqueue\"] }]\n[run]\nexec = [\"true\"]\n";
    fs::write(folder.path("tasks.d/guarded.toml"), guarded).unwrap();
    folder.script("fail", "printf '{{\"password\":\"hunter2\"}}' >&2; exit 1");
    folder.reconfigure("[store]", "[log]\nredact = [\"password\"]\n[store]");
    configure(&folder, "listen = \"127.0.0.1:0\"");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let place = listens(&daemon);
    assert_eq!(place.json("POST", "/api/v1/tasks/fail/jobs", "[]").status, 201);
    eventually("it has failed", || place.get("/api/v1/failed").json()["count"] == 1);
    let line = "{\"task\":\"guarded\",\"args\":[1]}\n{\"task\":\"guarded\",\"args\":[2]}\n";
    let bulk = place.send("POST", "/api/v1/jobs/bulk", &[("content-type", "application/x-ndjson")], line.as_bytes());
    for answer in [place.json("POST", "/api/v1/tasks/guarded/jobs", "[]"), bulk, place.get("/api/v1/failed")] {
        assert!(!answer.body.contains("hunter2") && answer.body.contains("[redacted]"), "{answer:?}");
    }
    daemon.stop();
}

#[test]
fn while_the_store_is_away_nothing_is_enqueued_and_the_client_is_told_when_to_come_again() {
    let mut server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    tasks(&folder);
    configure(&folder, "listen = \"127.0.0.1:0\"");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let place = listens(&daemon);
    server.kill();
    let post = || place.json("POST", "/api/v1/tasks/note/jobs?queue=waiting", "[1]");
    eventually("it is certain that nothing is enqueued", || {
        let answer = post();
        assert_eq!(answer.status, 503, "{answer:?}");
        // The first may have been on its way.
        answer.problem() == "store-away" && answer.header("retry-after") == Some("5")
    });
    assert_eq!(place.get("/api/v1/queues").problem(), "store-away");
    server.restart();
    eventually("it is enqueued when the store is back", || post().status == 201);
    daemon.stop();
}
