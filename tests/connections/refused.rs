//! A Redis that refuses a command: a right that is taken away while the daemon runs, a command that is hidden.

use std::fs;

use crate::daemon::{Folder, eventually};
use crate::node::{Node, words};
use crate::support::resp::Reply;

/// How many jobs are put onto the queue, and into a delayed second, of each kind.
const QUEUED: usize = 30;
const DELAYED: usize = 10;

fn server(more: &str) -> Node {
    Node::start(|port, _| words(&format!("--port {port} --bind 127.0.0.1 --save \"\" {more}")))
}

/// A job as any program writes it.
fn job(name: &str, n: usize) -> String {
    format!("{{\"class\":\"note\",\"queue\":\"default\",\"args\":[\"{name}{n}\"]}}")
}

/// Jobs that are waiting, and jobs that are due.
fn give(server: &Node, name: &str) -> Vec<String> {
    for n in 0..QUEUED {
        server.command(&["RPUSH", "resque:queue:default", &job(&format!("{name}-queued-"), n)]);
    }
    let now: u64 = server.command(&["TIME"]).texts()[0].parse().expect("seconds");
    let second = (now - 5).to_string();
    for n in 0..DELAYED {
        let raw = job(&format!("{name}-delayed-"), n);
        server.command(&["RPUSH", &format!("resque:delayed:{second}"), &raw]);
        server.command(&["SADD", &format!("resque:timestamps:{raw}"), &format!("delayed:{second}")]);
    }
    server.command(&["ZADD", "resque:delayed_queue_schedule", &second, &second]);
    let all = |kind: &str, count| (0..count).map(|n| format!("{name}-{kind}-{n}")).collect::<Vec<_>>();
    [all("queued", QUEUED), all("delayed", DELAYED)].concat()
}

/// What was run, sorted.
fn runs(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.path("notes")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_right_that_is_taken_away_stops_the_work_and_costs_no_job() {
    let server = server("");
    server.command(&["ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all"]);
    let folder = Folder::new(&format!("redis://worker:secret@127.0.0.1:{}", server.port), "");
    folder.script("note", "echo {0} >>notes");
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let mut all = Vec::new();
    for right in ["mset", "ltrim", "rpush"] {
        let rule = |sign: char| {
            let reply = server.command(&["ACL", "SETUSER", "worker", &format!("{sign}{right}")]);
            assert_eq!(reply, Reply::Text(b"OK".to_vec()), "{sign}{right}");
        };
        let said = daemon.log().len();
        let told = || daemon.log()[said..].matches(&format!("ACL SETUSER worker +{right}")).count();
        rule('-');
        all.extend(give(&server, right));
        eventually(&format!("{right} is named"), || told() > 0);
        // Some polls and rounds, and more tries than a job has whose own queue is broken: that nothing is told or done
        // again is what is tested.
        std::thread::sleep(std::time::Duration::from_secs(6));
        assert_eq!(told(), 1, "{}", &daemon.log()[said..]);
        rule('+');
        eventually(&format!("all jobs are run that waited for {right}"), || runs(&folder).len() >= all.len());
    }
    daemon.wait_log("no right is missing any more");
    daemon.stop();
    all.sort();
    assert_eq!(runs(&folder), all);
    assert_eq!(server.command(&["LLEN", "resque:failed"]), Reply::Int(0));
}

#[test]
fn a_command_that_is_hidden_is_named_at_the_start() {
    let server = server("--rename-command MSET \"\"");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    folder.script("note", "echo {0} >>notes");
    let (code, said) = folder.windlass(&["run"]);
    assert_eq!(code, Some(69), "{said}");
    assert_eq!(said.matches("the server does not have MSET").count(), 1, "{said}");
    assert!(said.contains("rename-command"), "{said}");
    assert_eq!(server.command(&["KEYS", "*"]).texts(), [""; 0], "{said}");
}
