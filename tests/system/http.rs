//! Jobs that are requests, with the real binary against a server of the test's own.
//!
//! Longer than 400 lines because every way a request can end is a behaviour of its own.

pub(crate) mod server;

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};

use self::server::{Answer, Server, answer, certified};
use crate::daemon::{Daemon, Folder, eventually, signal};

const HANDLERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/handlers.md");

/// A folder with the task `job`, which posts to this address.
fn folder(url: &str, run: &str, keys: &str) -> Folder {
    let folder = Folder::new("sqlite:windlass.db", "");
    let task = format!("name = \"job\"\n{keys}\n[run]\nhttp = \"{url}\"\n{run}\n");
    fs::write(folder.path("tasks.d/job.toml"), task).expect("the task must be written");
    folder
}

#[track_caller]
fn enqueue(folder: &Folder, args: &str) {
    let (code, said) = folder.windlass(&["enqueue", "job", "--args", args]);
    assert_eq!(code, Some(0), "{said}");
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    let output = folder.command(&[&["--json"], args].concat()).output().expect("the binary must run");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The record of the only job that failed, once it has.
#[track_caller]
fn failed(folder: &Folder) -> Value {
    eventually("one has failed", || json(folder, &["failed", "count"])["count"] == 1);
    json(folder, &["failed", "list"])["failed"][0].clone()
}

#[track_caller]
fn succeeded(daemon: &Daemon, times: usize) {
    eventually("they have succeeded", || daemon.log().matches("job success").count() == times);
}

/// Runs one job through a daemon, and returns its failure.
fn failure_of(url: &str, run: &str, keys: &str) -> Value {
    let folder = folder(url, run, keys);
    let daemon = folder.daemon();
    enqueue(&folder, "[]");
    let failed = failed(&folder);
    daemon.stop();
    failed
}

/// Answers that wait until the test lets them go.
fn gated() -> (impl Fn() + Send + Sync, Sender<()>) {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let wait = move || {
        // Who lets go of the other end opens it for all.
        let _ = gate.lock().unwrap().recv();
    };
    (wait, open)
}

#[test]
fn a_job_is_posted_with_its_identity_and_the_answer_is_its_result() {
    let server = Server::start(|_, _| answer("200 OK", "42 sent"));
    let folder = folder(&server.url(), "result = \"body\"\nheaders = { x-from = \"us\" }", "");
    let performed = json(&folder, &["perform", "job", "--args", r#"{"to":"ada"}"#]);
    assert_eq!((&performed["outcome"], &performed["result"]), (&json!("success"), &json!("42 sent")));
    let daemon = folder.daemon();
    enqueue(&folder, r#"[{"to":"ada"}, 1.5]"#);
    daemon.wait_log("job success");
    assert!(daemon.log().contains("42 sent"), "{}", daemon.log());
    let seen = server.seen.all();
    let (request, job) = (&seen[1], seen[1].job());
    assert_eq!(request.line, "POST /jobs HTTP/1.1");
    assert_eq!((request.header("x-from"), request.header("content-type")), ("us", "application/json"));
    assert!(
        String::from_utf8_lossy(&request.body).contains(r#""args":[{"to":"ada"},1.5],"attempt":1,"redelivered":0"#)
    );
    for (header, key) in [("windlass-job-id", "id"), ("windlass-claim", "claim"), ("windlass-task", "task")] {
        assert!(job[key].as_str().is_some_and(|value| !value.is_empty()), "{job}");
        assert_eq!(job[key], request.header(header), "{header}");
    }
    assert!(daemon.log().contains(request.header("windlass-job-id")), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn any_other_status_fails_with_the_beginning_of_the_answer() {
    for (head, body) in [("404 Not Found", "no such customer\nlook it up"), ("500 Oh No", "boom")] {
        let server = Server::start(move |_, _| answer(head, body));
        let failed = failure_of(&server.url(), "", "");
        let status = head.split(' ').next().unwrap();
        assert_eq!(failed["exception"], "HttpStatus", "{failed}");
        assert!(failed["error"].as_str().unwrap().contains(&format!("answered {status}")), "{failed}");
        assert_eq!(failed["backtrace"], json!(body.lines().collect::<Vec<_>>()), "{failed}");
        assert_eq!(server.seen.all().len(), 1);
    }
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let server = Server::start(|_, _| answer("302 Found\r\nlocation: https://elsewhere.test/?a=1", ""));
    let failed = failure_of(&server.url(), "", "");
    let told = "answered 302, a redirect, to https://elsewhere.test/?a=1: redirects are not followed";
    assert!(failed["error"].as_str().unwrap().ends_with(told), "{failed}");
    assert_eq!(server.seen.all().len(), 1);
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_and_not_for_ever() {
    let server = Server::start(|_, before| match before {
        0 => answer("429 Too Many Requests\r\nretry-after: 1", "not now"),
        1 => answer("503 Service Unavailable", "starting"),
        _ => answer("204 No Content", ""),
    });
    let patient = folder(&server.url(), "retry_later = \"100ms\"", "");
    let daemon = patient.daemon();
    enqueue(&patient, "[]");
    succeeded(&daemon, 1);
    let seen = server.seen.all();
    let of = |name| seen.iter().map(|request| request.header(name)).collect::<Vec<_>>();
    let (ids, mut claims) = (of("windlass-job-id"), of("windlass-claim"));
    assert_eq!(ids, [ids[0]; 3], "it is one job");
    claims.dedup();
    assert_eq!(claims.len(), 3, "and three runs");
    daemon.stop();

    let server = Server::start(|_, _| answer("503 Service Unavailable\r\nretry-after: 1", "closed for today"));
    let failed = failure_of(&server.url(), "retry_later_limit = 1", "");
    assert!(failed["error"].as_str().unwrap().ends_with("503 (later) 2 times; retry_later_limit is 1"), "{failed}");
    assert_eq!(failed["backtrace"], json!(["closed for today"]));
    assert_eq!(server.seen.all().len(), 2);
}

#[test]
fn a_job_whose_time_is_over_fails_and_lets_go_of_its_connection() {
    let (wait, open) = gated();
    let server = Server::start(move |_, _| {
        wait();
        answer("200 OK", "")
    });
    let failed = failure_of(&server.url(), "", "timeout = \"300ms\"");
    assert_eq!((&failed["exception"], &failed["error"]), (&json!("Timeout"), &json!("timed out after 300ms")));
    drop(open);
}

#[test]
fn a_server_that_hangs_up_may_have_done_the_job() {
    // Whether it has is not known, and it may be at it still: so it is not sent again, though on_crash says requeue.
    for half in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let server = Server::start(move |_, _| Answer { bytes: half.to_owned(), close: true });
        let failed = failure_of(&server.url(), "", "on_crash = \"requeue\"");
        assert_eq!(failed["exception"], "HttpConnectionLost", "{failed}");
        assert!(failed["error"].as_str().unwrap().ends_with("; the job may have been done"), "{failed}");
        assert_eq!(server.seen.all().len(), 1);
    }
}

#[test]
fn where_nobody_listens_the_job_fails_and_its_plugin_retries_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failed = failure_of(&format!("http://127.0.0.1:{port}/"), "", "");
    assert_eq!(failed["exception"], "HttpConnect", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("refused"), "{failed}");

    let server =
        Server::start(|_, before| Answer { close: before == 0, ..answer(["500 X", "200 X"][before.min(1)], "") });
    let retry = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 2\nretry_delay = \"100ms\"";
    let folder = folder(&server.url(), "", retry);
    let daemon = folder.daemon();
    enqueue(&folder, "[]");
    succeeded(&daemon, 1);
    let seen = server.seen.all();
    assert_eq!(seen[0].header("windlass-job-id"), seen[1].header("windlass-job-id"));
    assert_eq!((seen[0].header("windlass-attempt"), seen[1].header("windlass-attempt")), ("1", "2"));
    daemon.stop();
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_fails_no_job() {
    let server = Server::start(|_, _| Answer { close: true, ..answer("200 OK", "") });
    let folder = folder(&server.url(), "", "");
    let daemon = folder.daemon();
    for done in 1..=10 {
        enqueue(&folder, "[]");
        succeeded(&daemon, done);
    }
    assert_eq!(json(&folder, &["failed", "count"])["count"], 0);
    assert_eq!(server.seen.all().len(), 10);
    daemon.stop();
}

#[test]
fn a_drain_lets_requests_end_and_puts_back_those_that_do_not() {
    let (wait, open) = gated();
    let server = Server::start(move |_, _| {
        wait();
        answer("200 OK", "")
    });
    let folder = folder(&server.url(), "", "");
    let mut daemon = folder.daemon();
    enqueue(&folder, "[1]");
    enqueue(&folder, "[2]");
    eventually("both are asked", || server.seen.all().len() == 2);
    signal(daemon.parent(), Signal::TERM);
    daemon.wait_log("draining");
    open.send(()).unwrap();
    daemon.wait_log("job success");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("drained: everything is settled"), "{}", daemon.log());

    let daemon = folder.daemon_with_log("second");
    eventually("the other is asked again", || server.seen.all().len() == 3);
    drop(open);
    succeeded(&daemon, 1);
    let seen = server.seen.all();
    let again = seen[..2].iter().find(|first| first.header("windlass-job-id") == seen[2].header("windlass-job-id"));
    assert_ne!(again.unwrap().header("windlass-claim"), seen[2].header("windlass-claim"));
    assert_eq!(seen[2].job()["redelivered"], 1);
    daemon.stop();
}

#[test]
fn after_kill_9_the_job_is_sent_again_under_the_same_id() {
    let (wait, open) = gated();
    let server = Server::start(move |_, _| {
        wait();
        answer("200 OK", "")
    });
    let folder = folder(&server.url(), "", "");
    let mut daemon = folder.daemon();
    enqueue(&folder, "[]");
    eventually("it is asked", || server.seen.all().len() == 1);
    signal(daemon.proper(), Signal::KILL);
    daemon.wait();
    drop(open);
    let daemon = folder.daemon_with_log("second");
    succeeded(&daemon, 1);
    let seen = server.seen.all();
    assert_eq!((seen.len(), seen[0].header("windlass-job-id")), (2, seen[1].header("windlass-job-id")));
    assert_ne!(seen[0].header("windlass-claim"), seen[1].header("windlass-claim"));
    assert_eq!(seen[1].job()["redelivered"], 1);
    daemon.stop();
}

/// The function of the documents in this language.
fn documented(language: &str) -> String {
    let docs = fs::read_to_string(HANDLERS).expect("the documents must be readable");
    let fence = format!("```{language}\n");
    let mut blocks = docs.split(&fence).skip(1);
    let block = blocks.find(|block| block.to_lowercase().contains("genuine(")).expect("it must be there");
    block.split("```").next().unwrap().to_owned()
}

const ASK_PYTHON: &str = "
import json, sys
ask = json.load(sys.stdin)
print([is_genuine(one['method'], one['path'], one['headers'], bytes(one['body']), one['secret'].encode()) for one in ask])
";
const ASK_NODE: &str = "
const ask = JSON.parse(require('node:fs').readFileSync(0));
console.log(ask.map((one) => isGenuine(one.method, one.path, one.headers, Buffer.from(one.body), one.secret)));
";

/// What a program says about a list of requests.
fn judged(program: &str, flag: &str, code: &str, requests: &[Value]) -> Vec<bool> {
    let mut child = Command::new(program)
        .args([flag, code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} must be there: {error}"));
    serde_json::to_writer(child.stdin.take().unwrap(), requests).expect("it must read");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
    said.split(|letter: char| !letter.is_alphabetic()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_server_can_tell_our_requests_by_the_code_of_the_documents() {
    const NEW: &str = "s3cret \u{e4} of today";
    const OLD: &str = "s3cret of yesterday";
    let server = Server::start(|_, _| answer("200 OK", ""));
    let url = format!("{}?shard=1", server.url());
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for method in ["POST", "GET", "DELETE"] {
        let run = format!("secrets = [{{ file = \"key\" }}, {OLD:?}]\nmethod = \"{method}\"");
        let folder = folder(&url, &run, "");
        fs::write(folder.path("tasks.d/key"), format!("{NEW}\n")).unwrap();
        let performed = json(&folder, &["perform", "job", "--args", "[\"\u{fc}\"]"]);
        assert_eq!(performed["outcome"], "success", "{performed}");
        let request = server.seen.all().pop().unwrap();
        let mut line = request.line.split(' ');
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let genuine = json!({
            "method": line.next(), "path": line.next(), "headers": headers, "body": request.body, "secret": NEW,
        });
        assert_eq!((&genuine["method"], &genuine["path"]), (&json!(method), &json!("/jobs?shard=1")));
        let with = |key: &str, value: Value| {
            let mut changed = genuine.clone();
            *changed.pointer_mut(key).unwrap_or_else(|| panic!("{key}")) = value;
            changed
        };
        // The second of the signature is a part of what is signed, so one that was recorded cannot be made younger.
        let signature = request.header("windlass-signature");
        let (time, rest) = signature.split_once(',').unwrap();
        let second: i64 = time.trim_start_matches("t=").parse().unwrap();
        for (changed, is_genuine) in [
            (genuine.clone(), true),
            (with("/secret", json!(OLD)), true),
            (with("/secret", json!("something else")), false),
            (with("/method", json!(if method == "DELETE" { "GET" } else { "DELETE" })), false),
            (with("/path", json!("/jobs?shard=2")), false),
            (with("/headers/windlass-job-id", json!("another")), false),
            (with("/headers/windlass-claim", json!("another")), false),
            (with("/body", json!(b"{}")), false),
            (with("/headers/windlass-signature", json!(format!("t={},{rest}", second + 1))), false),
        ] {
            asked.push(changed);
            expected.push(is_genuine);
        }
        // One that somebody recorded is signed, and too old.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, NEW.as_bytes());
        let (id, claim) = (request.header("windlass-job-id"), request.header("windlass-claim"));
        let head = format!("1700000000\n{method}\n/jobs?shard=1\n{id}\n{claim}\n");
        let tag = ring::hmac::sign(&key, &[head.as_bytes(), &request.body].concat());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        asked.push(with("/headers/windlass-signature", json!(format!("t=1700000000,v2={hex}"))));
        expected.push(false);
    }
    let python = documented("python") + ASK_PYTHON;
    assert_eq!(judged("python3", "-c", &python, &asked), expected);
    let node = documented("js") + ASK_NODE;
    assert_eq!(judged("node", "-e", &node, &asked), expected);
}

#[test]
fn a_key_of_signatures_that_can_be_guessed_is_refused() {
    for (run, said) in [
        ("secret = \"fifteen letters\"", "run.secret: expected a secret of at least 16 bytes"),
        (
            "secrets = [\"sixteen letters.\", { file = \"key\" }]",
            "run.secrets.file: expected a secret of at least 16 bytes",
        ),
        ("secrets = []", "run.secrets: expected one secret, or two while it is exchanged"),
        (
            "secret = \"sixteen letters.\"\nsecrets = [\"sixteen letters.\"]",
            "run.secrets: expected one of secret and secrets",
        ),
    ] {
        let folder = folder("http://127.0.0.1:9/", run, "");
        fs::write(folder.path("tasks.d/key"), "short\n").unwrap();
        let (code, text) = folder.windlass(&["check"]);
        assert!(code == Some(64) && text.contains(said), "{said} is not in {text}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_told_before_anything_runs() {
    let folder = folder("http://127.0.0.1:9/", "secret = { file = \"missing\" }", "");
    let (code, said) = folder.windlass(&["check"]);
    assert!(code == Some(64) && said.contains("job.toml:5") && said.contains("secret"), "{code:?} {said}");
    let (code, said) = folder.windlass(&["run"]);
    assert!(code == Some(64) && said.contains("readable file"), "{code:?} {said}");
    let performed = json(&folder, &["perform", "job"]);
    assert_eq!(performed["exception"], "ConfigurationError", "{performed}");
    // Who only enqueues needs no secret.
    enqueue(&folder, "[]");
}

#[test]
fn a_server_with_a_certificate_of_ones_own_is_trusted_where_ca_file_names_its_authority() {
    let (tls, pem) = certified();
    let server = Server::encrypted(tls, |_, _| answer("200 OK", ""));
    let url = format!("https://localhost:{}/", server.port);
    let failed = failure_of(&url, "", "");
    assert_eq!(failed["exception"], "HttpTls", "{failed}");
    assert!(server.seen.all().is_empty(), "who is not trusted is told nothing");
    let folder = folder(&url, "ca_file = \"ca.pem\"", "");
    fs::write(folder.path("tasks.d/ca.pem"), pem).unwrap();
    let daemon = folder.daemon();
    for done in 1..=3 {
        enqueue(&folder, "[]");
        succeeded(&daemon, done);
    }
    assert_eq!(server.seen.all()[0].header("host"), format!("localhost:{}", server.port));
    daemon.stop();
}

#[test]
fn a_reload_takes_over_a_new_address_and_lets_running_requests_end() {
    let (wait, open) = gated();
    let old = Arc::new(Server::start(move |_, _| {
        wait();
        answer("200 OK", "")
    }));
    let new = Server::start(|_, _| answer("200 OK", ""));
    let folder = folder(&old.url(), "", "");
    let daemon = folder.daemon();
    enqueue(&folder, "[1]");
    eventually("the old one is asked", || old.seen.all().len() == 1);
    let task = fs::read_to_string(folder.path("tasks.d/job.toml")).unwrap();
    fs::write(folder.path("tasks.d/job.toml"), task.replace(&old.url(), &new.url())).unwrap();
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reloaded: ");
    enqueue(&folder, "[2]");
    succeeded(&daemon, 1);
    drop(open);
    succeeded(&daemon, 2);
    assert_eq!((old.seen.all().len(), new.seen.all().len()), (1, 1));
    daemon.stop();
}

#[test]
fn a_task_without_a_timeout_does_not_wait_for_ever() {
    for (keys, ms) in [("", 600_000), ("timeout = \"1h\"", 3_600_000)] {
        let folder = folder("http://127.0.0.1:9/", "", keys);
        assert_eq!(json(&folder, &["tasks", "show", "job"])["timeout_ms"], ms);
    }
}
