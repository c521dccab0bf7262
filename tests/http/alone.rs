//! The server without a daemon, beside a fleet that knows nothing of Windlass.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::client::Place;
use crate::daemon::{eventually, listening_at};
use crate::support::redis::{Options, RedisServer};

/// A running `windlass dashboard`, and where it writes.
struct Alone {
    child: Child,
    log: PathBuf,
    folder: tempfile::TempDir,
}

impl Alone {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("dashboard")
            .args(args)
            .current_dir(folder.path())
            .env_remove("WINDLASS_CONFIG")
            .env_remove("WINDLASS_STORE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log, folder }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn place(&mut self) -> Place {
        let mut found = None;
        eventually("it listens", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{}", self.text());
            found = listening_at(&self.text());
            found.is_some()
        });
        Place::Tcp(found.unwrap())
    }

    fn end(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.text());
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_foreign_fleet_is_looked_at_and_corrected_without_a_daemon() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    server.command(&["SADD", "resque:queues", "mail", "images"]);
    for n in 0..3 {
        server.command(&["RPUSH", "resque:queue:mail", &format!("{{\"class\":\"Mail\",\"args\":[{n}]}}")]);
    }
    server.command(&["SADD", "resque:workers", "web-1:4711:mail"]);
    let mut alone = Alone::start(&["--store", &server.url(), "--listen", "127.0.0.1:0"]);
    let place = alone.place();
    assert_eq!(place.get("/health/ready").status, 200);
    let queues = place.get("/api/v1/queues").json();
    assert_eq!((&queues["items"][1]["queue"], &queues["items"][1]["length"]), (&json!("mail"), &json!(3)));
    assert_eq!(place.get("/api/v1/workers").json()["items"][0]["id"], "web-1:4711:mail");
    assert_eq!(place.get("/api/v1/instances").json()["items"], json!([]), "it is none itself");
    // Nobody leads, so it samples by itself while somebody asks.
    eventually("ages are known", || {
        let mail = &place.get("/api/v1/queues").json()["items"][1];
        mail["oldest_ms"].is_u64()
    });
    assert_eq!(place.get("/api/v1/overview").json()["jobs"], 3);
    assert!(place.get("/metrics").body.contains("windlass_queue_jobs{queue=\"mail\"} 3"));
    let attention = place.get("/api/v1/attention").json();
    assert_eq!(attention["state"], "runs", "another program works on its queue: {attention}");
    let foreign = place.json("POST", "/api/v1/jobs", r#"{"task":"Mail","queue":"mail","args":[3],"foreign":true}"#);
    assert_eq!(foreign.status, 201);
    assert_eq!(place.send("POST", "/api/v1/queues/mail/pause", &[], b"").json()["paused"], true);
    assert_eq!(place.get("/api/v1/queues/mail").json()["length"], 4, "nothing works here");
    let index = place.get("/").json();
    assert!(index["name"] == "windlass" && index["routes"].as_array().unwrap().len() > 30, "{index}");
    let page = place.send("GET", "/", &[("accept", "text/html,*/*")], b"");
    assert!(page.body.contains("No instance of Windlass is registered here"), "{page:?}");
    alone.end();
}

#[test]
fn what_others_reach_needs_a_token_and_read_only_changes_nothing() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let mut open = Alone::start(&["--store", &server.url(), "--listen", "0.0.0.0:0"]);
    let status = open.child.wait().unwrap();
    assert!(status.code() == Some(64) && open.text().contains("other machines reach 0.0.0.0:0"), "{}", open.text());
    let mut alone = Alone::start(&["--store", &server.url(), "--listen", "unix:http.sock", "--read-only"]);
    let place = Place::Unix(alone.folder.path().join("http.sock"));
    eventually("it listens", || place.connect().is_ok());
    assert_eq!(place.send("POST", "/api/v1/pause", &[], b"").problem(), "read-only");
    assert_eq!(place.get("/api/v1/overview").json()["instances"], 0);
    alone.end();
}
