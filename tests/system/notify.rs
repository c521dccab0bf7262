//! `[notify]` and `ping`: people and servers that are told what became of jobs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
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
    // In the place of the first one, which a shell may still read.
    let other = folder.path("tell.new");
    fs::write(&other, "#!/bin/sh\necho no such chat >&2\nexit 4\n").expect("it must be written");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
    fs::rename(&other, &program).expect("it must take its place");
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
fn what_waits_is_told_before_a_daemon_ends_and_one_that_hears_nothing_does_not_hold_it() {
    let server = Server::start(|_, _| answer("200 OK", "ok"));
    let folder = folder(&format!("[notify]\nurl = \"{}\"\n", server.url()));
    folder.script("fails", "exit 1");
    let daemon = folder.daemon();
    let enqueue = || assert_eq!(folder.windlass(&["enqueue", "fails"]).0, Some(0));
    enqueue();
    eventually("the first is told", || !bodies(&server).is_empty());
    (0..2).for_each(|_| enqueue());
    eventually("all have failed", || folder.windlass(&["--json", "stats"]).1.contains("\"failed\":3"));
    assert_eq!(bodies(&server).len(), 1, "the others wait for their minute");
    daemon.stop();
    let told = bodies(&server);
    assert_eq!((told.len(), &told[1]["count"]), (2, &Value::from(2)), "{told:?}");
    // Nobody accepts there: the queue of the socket takes the connection, and no answer comes.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port must be free");
    let address = format!("http://{}/", deaf.local_addr().expect("it is bound"));
    folder.reconfigure(&server.url(), &address);
    let config = folder.read("tasks.toml") + "timeout = \"1m\"\n";
    fs::write(folder.path("tasks.toml"), config).expect("the configuration must be written");
    let daemon = folder.daemon_with_log("second");
    enqueue();
    eventually("it has failed", || folder.windlass(&["--json", "stats"]).1.contains("\"failed\":4"));
    daemon.stop();
    assert!(folder.read("second").contains("1 notifications and 0 pings are lost"), "{}", folder.read("second"));
}

#[test]
fn jobs_that_others_put_on_the_failed_list_are_told() {
    let server = Server::start(|_, _| answer("200 OK", "ok"));
    let folder = folder(&format!("[notify]\nurl = \"{}\"\n", server.url()));
    for task in ["cleaned", "crashes"] {
        folder.script(task, &format!("echo >>{task}.begun; sleep 600"));
        let path = folder.path(&format!("tasks.d/{task}.toml"));
        let text = fs::read_to_string(&path).expect("the task must be readable");
        fs::write(&path, text.replace("[run]", "on_crash = \"fail\"\n[run]")).expect("it must be written");
    }
    let begins = |task: &str| {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
        eventually("it runs", || folder.path(&format!("{task}.begun")).exists());
    };
    let of = |task: &str| bodies(&server).into_iter().find(|body| body["task"] == task);
    let mut daemon = folder.daemon();
    begins("cleaned");
    // A person fails it.
    let workers: Value = serde_json::from_str(&folder.windlass(&["--json", "workers"]).1).expect("it is JSON");
    let busy = workers["workers"].as_array().expect("there are some").iter().find(|one| one["working"].is_object());
    let name = busy.expect("one works")["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(folder.windlass(&["workers", "force-clean", &name, "--yes"]).0, Some(0));
    eventually("what a person failed is told", || of("cleaned").is_some());
    let told = of("cleaned").expect("just seen");
    assert_eq!(told["exception"], "Worker Timeout (killed manually)", "{told}");
    // The next instance fails what the dead one ran.
    begins("crashes");
    signal(daemon.proper(), Signal::KILL);
    daemon.wait();
    assert!(of("crashes").is_none());
    let next = folder.daemon_with_log("next");
    eventually("what a dead instance ran is told", || of("crashes").is_some());
    assert_eq!(of("crashes").expect("just seen")["exception"], "Interrupted");
    next.stop();
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
fn a_server_that_hangs_delays_the_pings_of_no_other_task() {
    let server = Server::start(|_, _| answer("200 OK", "OK"));
    // It takes each connection and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port must be free");
    let port = deaf.local_addr().expect("it is bound").port();
    deaf.set_nonblocking(true).expect("it must not wait");
    let folder = folder("");
    for (task, port) in [("hangs", port), ("beats", server.port)] {
        folder.script(task, "true");
        let path = folder.path(&format!("tasks.d/{task}.toml"));
        let text = fs::read_to_string(&path).expect("the task must be readable");
        let head = format!("frequency = \"1s\"\nping = \"http://127.0.0.1:{port}/{task}\"\n[run]");
        fs::write(&path, text.replace("[run]", &head)).expect("the task must be written");
    }
    let daemon = folder.daemon();
    let mut held = Vec::new();
    eventually("the server that answers is told", || {
        held.extend(deaf.accept());
        server.seen.all().len() >= 8
    });
    // In one lane each ping of the one would have waited for ten seconds of the other.
    assert!((1..=4).contains(&held.len()), "{}", held.len());
    drop(held);
    daemon.stop();
}

#[test]
fn what_nobody_could_be_told_is_a_mistake() {
    for (lines, said) in [
        ("[notify]\n", "expected exec = "),
        ("[notify]\nurl = \"ftp://host\"\n", "tasks.toml:14:7: notify.url: expected an address that begins with"),
        ("[notify]\nurl = { file = \"none\" }\n", "expected a readable file that holds the address"),
        ("[notify]\nexec = []\n", "expected a program and its arguments"),
        ("[notify]\nexec = [\"\"]\n", "expected a program (found nothing)"),
        ("[notify]\nexec = [\"./none\", \"x\"]\n", "tasks.toml:14:8: notify.exec: expected a program that exists"),
        ("[notify]\nexec = [\"no-such-program\"]\n", "expected a program in PATH (found \"no-such-program\""),
        ("[notify]\nexec = [\"./tasks.toml\"]\n", "chmod +x makes it so"),
        ("[notify]\nexec = [\"~/tell\"]\n", "found ~, which no shell fills in here"),
        ("[notify]\nexec = [\"$HOME/tell\"]\n", "found $HOME, which no shell fills in here"),
    ] {
        let folder = folder(lines);
        folder.script("fails", "exit 1");
        for command in ["check", "run"] {
            let (code, text) = folder.windlass(&[command]);
            assert!(code == Some(64) && text.contains(said), "{lines}: {text}");
        }
    }
    let folder = folder("");
    folder.script("fails", "exit 1");
    let path = folder.path("tasks.d/fails.toml");
    let text = fs::read_to_string(&path).expect("the task must be readable");
    fs::write(&path, text.replace("[run]", "ping = \"https://hc-ping.com/x\"\n[run]")).expect("it must be written");
    let (code, text) = folder.windlass(&["check"]);
    assert!(code == Some(64) && text.contains("ping: goes with frequency"), "{text}");
}

/// A folder in which this shell script is told, and tasks fail.
fn told_by(script: &str, more: &str) -> Folder {
    let folder = folder(&format!("[notify]\nexec = [\"./tell\"]\ntimeout = \"5m\"\n{more}"));
    program(&folder, "tell", script);
    for task in ["one", "two"] {
        folder.script(task, "exit 1");
    }
    folder
}

fn program(folder: &Folder, name: &str, script: &str) {
    let path = folder.path(name);
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", path.parent().expect("a folder").display()))
        .expect("it must be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
}

fn fail(folder: &Folder, task: &str, times: u64) {
    let failed = || {
        let (_, stats) = folder.windlass(&["--json", "failed", "count"]);
        // The store may not be there yet.
        serde_json::from_str::<Value>(&stats).ok().and_then(|stats| stats["count"].as_u64()).unwrap_or(0)
    };
    let before = failed();
    for _ in 0..times {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
    }
    eventually("they failed", || failed() == before + times);
}

fn counts(folder: &Folder) -> Vec<u64> {
    let read = |line: &str| serde_json::from_str::<Value>(line).expect(line)["count"].as_u64().expect("a number");
    folder.read("told").lines().map(read).collect()
}

#[test]
fn a_drain_tells_what_waits_for_its_minute_and_waits_for_what_is_sent() {
    let folder = told_by("message=$(cat); sleep 1; printf '%s\\n' \"$message\" >>told", "");
    let daemon = folder.daemon();
    fail(&folder, "one", 1);
    eventually("it is told", || counts(&folder) == [1]);
    fail(&folder, "one", 4);
    fail(&folder, "two", 1);
    daemon.stop();
    let mut told = counts(&folder);
    told.sort_unstable();
    assert_eq!(told, [1, 1, 4]);
    let log = folder.read("log");
    assert!(!log.contains("lost") && !log.contains("exec failed"), "{log}");
}

#[test]
fn what_is_not_told_when_the_drain_has_no_time_left_is_counted() {
    let folder = told_by("echo begun >>begun; exec sleep 600", "");
    folder.reconfigure("timeout = \"4s\"\nkill_grace = \"1s\"", "timeout = \"1s\"\nkill_grace = \"100ms\"");
    let daemon = folder.daemon();
    fail(&folder, "one", 1);
    eventually("it is being told", || !folder.read("begun").is_empty());
    fail(&folder, "two", 1);
    fail(&folder, "one", 3);
    daemon.stop();
    let log = folder.read("log");
    assert!(log.contains("the end came before all was told: 3 notifications and 0 pings are lost"), "{log}");
}

#[test]
fn a_reload_mends_what_waits_to_be_told() {
    let folder = told_by("echo begun >>begun; until [ -e go ]; do sleep 0.1; done", "");
    program(&folder, "mended", "cat >>told; echo >>told");
    let daemon = folder.daemon();
    fail(&folder, "one", 1);
    eventually("it is being told", || !folder.read("begun").is_empty());
    fail(&folder, "two", 1);
    folder.reconfigure("./tell", "./mended");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reloaded");
    fs::write(folder.path("go"), "").expect("a file must be written");
    eventually("the other is told by the new program", || counts(&folder) == [1]);
    assert_eq!(folder.read("begun").lines().count(), 1);
    daemon.stop();
}
