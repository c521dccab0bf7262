//! A Redis that refuses a command: a right that is taken away while the daemon runs, a command that is hidden.

use std::fs;

use rustix::process::Signal;

use crate::daemon::{Daemon, Folder, eventually, signal};
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

/// A daemon as a user from whom rights can be taken.
fn of_a_user(server: &Node) -> (Folder, Daemon) {
    server.command(&["ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all"]);
    let folder = Folder::new(&format!("redis://worker:secret@127.0.0.1:{}", server.port), "");
    folder.script("note", "echo {0} >>notes");
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    (folder, daemon)
}

#[test]
fn a_right_that_is_taken_away_stops_the_work_and_costs_no_job() {
    let server = server("");
    let (folder, daemon) = of_a_user(&server);
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

/// A daemon with a job that has begun, whose user has lost a right of which it knows.
fn begun_without(server: &Node, right: &str) -> (Folder, Daemon) {
    server.command(&["ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all"]);
    let folder = Folder::new(&format!("redis://worker:secret@127.0.0.1:{}", server.port), "");
    folder.script("gated", "echo {0} >>notes; until [ -e gate ]; do sleep 0.02; done");
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let gated = |arg: &str| format!("{{\"class\":\"gated\",\"queue\":\"default\",\"args\":[\"{arg}\"]}}");
    server.command(&["RPUSH", "resque:queue:default", &gated("first")]);
    eventually("the first job begins", || runs(&folder) == ["first"]);
    server.command(&["ACL", "SETUSER", "worker", &format!("-{right}")]);
    server.command(&["RPUSH", "resque:queue:default", &gated("second")]);
    daemon.wait_log(&format!("ACL SETUSER worker +{right}"));
    (folder, daemon)
}

#[test]
fn what_ends_while_a_right_is_missing_is_settled_and_a_drain_ends() {
    let server = server("");
    let (folder, daemon) = begun_without(&server, "lpop");
    fs::write(folder.path("gate"), "").expect("the gate must open");
    let processed = || server.command(&["GET", "resque:stat:processed"]).texts();
    eventually("it is settled", || processed() == ["1"]);
    daemon.stop();
    server.command(&["ACL", "SETUSER", "worker", "+lpop"]);
    let daemon = folder.daemon();
    eventually("the other one is run", || processed() == ["2"]);
    daemon.stop();
    assert_eq!(runs(&folder), ["first", "second"]);
}

#[test]
fn a_job_runs_on_without_the_right_to_count_the_lease() {
    let server = server("");
    let (folder, daemon) = begun_without(&server, "hincrby");
    // Two leases pass: that they are extended is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(6));
    fs::write(folder.path("gate"), "").expect("the gate must open");
    server.command(&["ACL", "SETUSER", "worker", "+hincrby"]);
    eventually("both are run", || server.command(&["GET", "resque:stat:processed"]).texts() == ["2"]);
    assert_eq!(runs(&folder), ["first", "second"], "each once: {}", daemon.log());
    assert!(!daemon.log().contains("declared dead"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn the_right_to_see_queues_that_is_given_back_wakes() {
    let server = server("");
    let (folder, daemon) = of_a_user(&server);
    server.command(&["ACL", "SETUSER", "worker", "-llen"]);
    // The first one is claimed without it; what comes next is not told by the server.
    server.command(&["RPUSH", "resque:queue:default", &job("a", 1)]);
    daemon.wait_log("ACL SETUSER worker +llen");
    server.command(&["RPUSH", "resque:queue:default", &job("b", 2)]);
    server.command(&["ACL", "SETUSER", "worker", "+llen"]);
    eventually("both are run", || runs(&folder) == ["a1", "b2"]);
    daemon.stop();
}

#[test]
fn a_job_that_cannot_go_back_is_told_to_fail_and_a_refused_step_is_told_once() {
    let server = server("");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    folder.script("gated", "echo {0} >>notes; exec sleep 60");
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    server.command(&["RPUSH", "resque:queue:default", "{\"class\":\"gated\",\"queue\":\"default\",\"args\":[1]}"]);
    eventually("the job begins", || runs(&folder).len() == 1);
    server.command(&["SET", "resque:queue:default", "x"]);
    signal(daemon.parent(), Signal::USR1);
    eventually("it fails", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(1));
    daemon
        .wait_log("goes to the failed list: the job could not be put off or back: failed to read resque:queue:default");
    daemon.wait_log("[ worker ] job failure");
    let log = daemon.log();
    assert!(!log.contains("back to its queue") && !log.contains("its record is kept"), "{log}");

    server.command(&["DEL", "resque:queue:default"]);
    server.command(&["RENAME", "resque:workers", "elsewhere"]);
    server.command(&["SET", "resque:workers", "x"]);
    folder.reconfigure("min_task_processors = 2", "min_task_processors = 1");
    folder.reconfigure("max_task_processors = 2", "max_task_processors = 1");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("unregister processors: failed to read resque:workers");
    // Many tries, and other steps that succeed in between: that nothing is told again is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let log = daemon.log();
    assert_eq!(log.matches("unregister processors: failed").count(), 1, "{log}");
    assert!(!log.contains("answers again"), "{log}");
    server.command(&["RENAME", "elsewhere", "resque:workers"]);
    daemon.wait_log("unregister processors: the store takes it again");
    daemon.stop();
}

#[test]
fn a_failure_that_cannot_be_recorded_is_kept_and_the_job_is_not_run_again() {
    let server = server("");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    folder.script("note", "echo {0} >>notes; echo it broke >&2; exit 3");
    server.command(&["SADD", "resque:queues", "default"]);
    server.command(&["SET", "resque:failed", "x"]);
    let daemon = folder.daemon();
    server.command(&["RPUSH", "resque:queue:default", &job("a", 1)]);
    daemon.wait_log("its end could not be recorded: failed to read resque:failed: WRONGTYPE");
    // Two leases and some attempts: that it is neither run nor told again is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let log = daemon.log();
    assert_eq!(log.matches("could not be recorded").count(), 1, "{log}");
    assert_eq!(log.matches("error: internal error: failed to read resque:failed").count(), 1, "{log}");
    server.command(&["DEL", "resque:failed"]);
    eventually("it is recorded", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(1));
    let record = server.command(&["LINDEX", "resque:failed", "0"]).texts().concat();
    assert!(record.contains("\"exception\":\"ExitStatus\"") && record.contains("it broke"), "{record}");
    daemon.stop();
    assert_eq!(runs(&folder), ["a1"]);
}
