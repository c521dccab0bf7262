//! `[notify]` and `ping`: people and servers that are told what became of jobs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::daemon::{Folder, eventually};
use crate::http::server::{Request, Server, answer};

fn folder(more: &str) -> Folder {
    let folder = Folder::new("sqlite:store/jobs.db", "");
    fs::create_dir(folder.path("store")).expect("a folder must be made");
    let config = folder.read("tasks.toml") + more;
    fs::write(folder.path("tasks.toml"), config).expect("the configuration must be written");
    folder
}

/// Refuses each job, with a secret in its words.
const REFUSES: &str = "#!/usr/bin/env python3
import json, sys
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get('method') == 'perform':
        error = {'code': 1, 'message': 'refused {\"password\":\"hunter2\"}'}
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'error': error}), flush=True)
";

fn bodies(server: &Server) -> Vec<Value> {
    server.seen.all().iter().map(Request::job).collect()
}

#[test]
fn a_server_is_told_once_of_each_task_and_error_and_of_the_rest_by_its_number() {
    let server = Server::start(|_, _| answer("200 OK", "ok"));
    let folder = folder(&format!("[notify]\nurl = \"{}\"\n[log]\nredact = [\"password\"]\n", server.url()));
    folder.worker("fails", REFUSES);
    folder.script("dies", "kill -9 $$");
    let daemon = folder.daemon();
    for task in ["fails", "fails", "fails", "dies"] {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
    }
    eventually("both are told", || bodies(&server).len() >= 2);
    eventually("all have failed", || folder.windlass(&["--json", "stats"]).1.contains("\"failed\":4"));
    let told = bodies(&server);
    assert_eq!(told.len(), 2, "{told:?}");
    let of = |task: &str| told.iter().find(|body| body["task"] == task).expect("it is told").clone();
    let (fails, dies) = (of("fails"), of("dies"));
    assert_eq!(dies["exception"], "Signal", "{dies}");
    assert_eq!((&fails["event"], &fails["count"]), (&Value::from("failure"), &Value::from(1)));
    assert_eq!(fails["command"], "windlass failed list --task fails");
    let text = fails["text"].as_str().expect("there is one");
    assert!(text.starts_with("task fails failed: ") && text.contains("refused"), "{text}");
    assert!(text.contains("[redacted]") && !fails.to_string().contains("hunter2"), "{fails}");
    daemon.stop();
}

#[test]
fn a_program_gets_the_message_and_its_own_failure_is_told_once() {
    let folder = folder("[notify]\nexec = [\"./tell\"]\ntimeout = \"5s\"\n");
    let program = folder.path("tell");
    fs::write(&program, format!("#!/bin/sh\ncat >>{}\n", folder.path("told").display())).expect("it must be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
    for task in ["one", "two", "three"] {
        folder.script(task, "exit 1");
    }
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "one"]).0, Some(0));
    let mut told = Value::Null;
    eventually("it is told", || {
        told = serde_json::from_str(&folder.read("told")).unwrap_or_default();
        told.is_object()
    });
    assert_eq!((&told["task"], &told["count"]), (&Value::from("one"), &Value::from(1)));
    fs::write(&program, "#!/bin/sh\necho no such chat >&2\nexit 4\n").expect("it must be written");
    for task in ["two", "three"] {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
    }
    daemon.wait_log("[notify] exec failed");
    eventually("all have failed", || folder.windlass(&["--json", "stats"]).1.contains("\"failed\":3"));
    assert!(daemon.log().contains("exited with 4: no such chat"), "{}", daemon.log());
    daemon.stop();
    assert_eq!(fs::read_to_string(folder.path("log")).unwrap().matches("[notify] exec failed").count(), 1);
}

#[test]
fn a_check_is_pinged_at_begin_success_and_failure_and_a_dead_one_delays_no_run() {
    let server = Server::start(|_, _| answer("200 OK", "OK"));
    let folder = folder("");
    folder.script("beats", "echo beat >>beats; echo tail of it >&2; [ ! -e broken ]");
    folder.script("alone", "echo beat >>alone");
    let ping = |task: &str, ping: &str| {
        let path = folder.path(&format!("tasks.d/{task}.toml"));
        let text = fs::read_to_string(&path).expect("the task must be readable");
        let head = format!("frequency = \"1s\"\nping = {ping}\n[run]");
        fs::write(&path, text.replace("[run]", &head)).expect("the task must be written");
    };
    ping("beats", &format!("{{ url = \"http://127.0.0.1:{}/uuid\", start = true }}", server.port));
    // Nobody listens there.
    ping("alone", "\"http://127.0.0.1:1/uuid\"");
    let daemon = folder.daemon();
    let lines = || server.seen.all().into_iter().map(|request| request.line).collect::<Vec<_>>();
    eventually("two successes are told", || {
        lines().iter().filter(|line| line.starts_with("POST /uuid HTTP")).count() >= 2
    });
    assert!(lines()[0].starts_with("POST /uuid/start HTTP"), "{:?}", lines());
    fs::write(folder.path("broken"), "").expect("a file must be written");
    eventually("a failure is told", || lines().iter().any(|line| line.starts_with("POST /uuid/fail HTTP")));
    let failed = server.seen.all().into_iter().find(|request| request.line.contains("/fail")).expect("just seen");
    let body = String::from_utf8_lossy(&failed.body).into_owned();
    assert!(body.contains("ExitStatus: exited with 1") && body.contains("tail of it"), "{body}");
    eventually("the other one runs on", || folder.read("alone").lines().count() >= 3);
    assert_eq!(daemon.log().matches("ping of task alone failed").count(), 1, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn what_nobody_could_be_told_is_a_mistake() {
    for (lines, said) in [
        ("[notify]\n", "expected exec = "),
        ("[notify]\nurl = \"ftp://host\"\n", "notify.url: expected an address that begins with"),
        ("[notify]\nurl = { file = \"none\" }\n", "expected a readable file that holds the address"),
        ("[notify]\nexec = []\n", "expected a program and its arguments"),
    ] {
        let folder = folder(lines);
        folder.script("fails", "exit 1");
        let (code, text) = folder.windlass(&["check"]);
        assert!(code == Some(64) && text.contains(said), "{lines}: {text}");
    }
    let folder = folder("");
    folder.script("fails", "exit 1");
    let path = folder.path("tasks.d/fails.toml");
    let text = fs::read_to_string(&path).expect("the task must be readable");
    fs::write(&path, text.replace("[run]", "ping = \"https://hc-ping.com/x\"\n[run]")).expect("it must be written");
    let (code, text) = folder.windlass(&["check"]);
    assert!(code == Some(64) && text.contains("ping: goes with frequency"), "{text}");
}
