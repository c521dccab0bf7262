//! Jobs that are requests, with the real binary against a server of the test's own.

pub(crate) mod server;
mod signatures;

use std::fs;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};

use self::server::{Answer, Server, answer, certified};
use crate::daemon::{Daemon, Folder, eventually, signal};

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
