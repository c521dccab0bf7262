//! Jobs that are long for the server or for the path to it: they cost nobody else anything, and nothing is lost.

use std::fs;

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};
use crate::node::{Node, words};
use crate::support::proxy::Proxy;
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

fn server(more: &str) -> Node {
    Node::start(|port, _| words(&format!("--port {port} --bind 127.0.0.1 --save \"\" {more}")))
}

/// A folder with a task for jobs of any length, which tells that it runs and ends when it may.
fn folder(url: &str) -> Folder {
    let folder = Folder::new(url, "");
    let note = "read -r line; echo \"$line\" | wc -c >>lengths; echo \"$line\" | grep -o 'job[0-9]*' >>notes";
    let write = |name: &str, more: &str| {
        let here = folder.path("");
        let text = format!(
            "name = \"{name}\"\n[run]\nexec = [\"sh\", \"-c\", '''cd {}; {note}; {more}''']\nallow_code = true\n",
            here.display()
        );
        fs::write(folder.path(&format!("tasks.d/{name}.toml")), text).expect("the task must be written");
    };
    write("long", "true");
    write("fails", "exit 3");
    write("gated", "until [ -e gate ]; do sleep 0.05; done");
    folder
}

/// A job of about so many bytes.
fn job(task: &str, n: usize, bytes: usize) -> String {
    let padding = "x".repeat(bytes);
    format!("{{\"class\":\"{task}\",\"queue\":\"default\",\"args\":[\"job{n}\",\"{padding}\"]}}")
}

fn push(command: &impl Fn(&[&str]) -> Reply, jobs: impl Iterator<Item = String>) {
    command(&["SADD", "resque:queues", "default"]);
    for job in jobs {
        command(&["RPUSH", "resque:queue:default", &job]);
    }
}

fn runs(folder: &Folder) -> usize {
    folder.read("notes").lines().count()
}

fn all_ran(folder: &Folder, jobs: usize) {
    let mut notes: Vec<String> = folder.read("notes").lines().map(str::to_owned).collect();
    notes.sort();
    notes.dedup();
    assert_eq!(notes.len(), jobs, "{notes:?}");
}

#[test]
fn jobs_that_fit_into_no_reply_are_run_and_recovered() {
    let server = server("--client-output-buffer-limit normal 1mb 1mb 1");
    let folder = folder(&format!("redis://127.0.0.1:{}", server.port));
    folder.reconfigure("max_task_processors = 2", "max_task_processors = 8");
    folder.reconfigure("min_task_processors = 2", "min_task_processors = 8");
    let command = |args: &[&str]| server.command(args);
    push(&command, (0..20).map(|n| job("long", n, 300_000)));
    push(&command, (20..22).map(|n| job("long", n, 6_000_000)));
    push(&command, (22..40).map(|n| job("long", n, 10)));
    let daemon = folder.daemon();
    eventually("all are run", || runs(&folder) >= 40);
    all_ran(&folder, 40);
    // Its daemon dies while such a job runs. The next one takes it over.
    push(&command, [job("gated", 99, 6_000_000)].into_iter());
    eventually("it runs", || runs(&folder) == 41);
    for pid in [daemon.proper(), daemon.parent()] {
        signal(pid, Signal::KILL);
    }
    drop(daemon);
    fs::write(folder.path("gate"), "").expect("the gate must open");
    let daemon = folder.daemon_with_log("second");
    eventually("it runs again", || runs(&folder) == 42);
    let lengths = folder.read("lengths");
    let lengths: Vec<usize> = lengths.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(lengths.iter().filter(|length| **length > 6_000_000).count(), 4, "each was whole");
    eventually("all are settled", || server.text(&["GET", "resque:stat:processed"]) == "41");
    daemon.stop();
    assert_eq!(server.command(&["LLEN", "resque:failed"]), Reply::Int(0));
}

/// Two jobs just below the limit of the server, whose ends are above it; and what stands on the failed list then.
fn ends(limit: &str, task: &str) -> Vec<String> {
    let server = server(&format!("--{limit} 1mb"));
    let folder = folder(&format!("redis://127.0.0.1:{}", server.port));
    let command = |args: &[&str]| server.command(args);
    let jobs: Vec<String> = (0..2).map(|n| job(task, n, 1_048_000)).collect();
    push(&command, jobs.iter().cloned());
    push(&command, (2..32).map(|n| job("long", n, 10)));
    let daemon = folder.daemon();
    eventually("all are run", || runs(&folder) >= 32);
    eventually("the others are settled", || server.text(&["GET", "resque:stat:processed"]) == "30");
    eventually("the two have failed", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(2));
    daemon.stop();
    all_ran(&folder, 32);
    assert_eq!(server.command(&["KEYS", "resque:worker:*:default"]).texts(), [""; 0], "nothing stands under a worker");
    let records = server.command(&["LRANGE", "resque:failed", "0", "-1"]).texts();
    for job in &jobs {
        assert!(records.iter().any(|record| record.contains(&format!("\"payload\":{job},"))), "nothing is cut");
    }
    records
}

#[test]
fn a_job_whose_end_is_longer_than_an_argument_may_be_fails_whole() {
    for record in ends("proto-max-bulk-len", "fails") {
        assert!(record.contains("exited with 3"), "{}", &record[record.len() - 300..]);
    }
}

#[test]
fn a_job_whose_end_is_longer_than_a_request_may_be_fails_whole() {
    for record in ends("client-query-buffer-limit", "fails") {
        assert!(record.contains("exited with 3"), "{}", &record[record.len() - 300..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_take_longer_to_arrive_than_an_answer_is_waited_for_are_run() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = folder(&proxy.url());
    folder.reconfigure("max_task_processors = 2", "max_task_processors = 8");
    folder.reconfigure("min_task_processors = 2", "min_task_processors = 8");
    let command = |args: &[&str]| server.command(args);
    push(&command, (0..8).map(|n| job("long", n, 500_000)));
    push(&command, (8..9).map(|n| job("long", n, 3_000_000)));
    push(&command, (9..30).map(|n| job("long", n, 10)));
    // A second for each of the first jobs, and 6 s for the long one; the lease is 3 s.
    proxy.throttle(500);
    let daemon = folder.daemon();
    eventually("all are run", || runs(&folder) >= 30);
    all_ran(&folder, 30);
    eventually("all are settled", || server.command(&["GET", "resque:stat:processed"]).texts() == ["30"]);
    daemon.stop();
}

/// Delays a job to a second that is long past.
fn delay(command: &impl Fn(&[&str]) -> Reply, second: u64, job: &str) {
    let second = second.to_string();
    command(&["RPUSH", &format!("resque:delayed:{second}"), job]);
    command(&["SADD", &format!("resque:timestamps:{job}"), &format!("delayed:{second}")]);
    command(&["ZADD", "resque:delayed_queue_schedule", &second, &second]);
}

/// The same job as programs in Ruby write it: its queue comes last.
fn in_ruby(job: &str) -> String {
    format!("{},\"queue\":\"default\"}}", job.replace("\"queue\":\"default\",", "").trim_end_matches('}'))
}

#[test]
fn delayed_jobs_that_fit_into_no_reply_are_promoted_moved_and_retried() {
    let server = server("--client-output-buffer-limit normal 1mb 1mb 0");
    let folder = folder(&format!("redis://127.0.0.1:{}", server.port));
    folder.add_keys("gated", "plugins = [\"QueueLock\"]");
    let command = |args: &[&str]| server.command(args);
    delay(&command, 1000, &job("long", 0, 3_000_000));
    delay(&command, 1000, &in_ruby(&job("long", 1, 3_000_000)));
    // The name of its lock has all of its arguments.
    delay(&command, 1001, &job("gated", 2, 3_000_000));
    delay(&command, 1001, &job("fails", 3, 3_000_000));
    delay(&command, 1002, &job("long", 4, 10));
    fs::write(folder.path("gate"), "").expect("the gate must open");
    let daemon = folder.daemon();
    eventually("all are run", || runs(&folder) >= 5);
    all_ran(&folder, 5);
    eventually("one has failed", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(1));
    assert_eq!(server.command(&["KEYS", "resque:timestamps:*"]).texts().len(), 0, "no stamp is left");
    assert_eq!(server.command(&["KEYS", "resque:lock:*"]).texts().len(), 0, "the lock was taken under its whole name");
    daemon.stop();
    delay(&command, 4_000_000_000, &job("long", 5, 3_000_000));
    delay(&command, 4_000_000_001, &job("long", 6, 10));
    for args in [&["failed", "retry", "--all", "--yes"][..], &["delayed", "run", "--task", "long", "--yes"]] {
        let (code, said) = folder.windlass(args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
    }
    assert_eq!(server.command(&["LLEN", "resque:failed"]), Reply::Int(0));
    let daemon = folder.daemon_with_log("second");
    eventually("all are run", || runs(&folder) >= 8);
    all_ran(&folder, 7);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_that_takes_long_to_arrive_holds_up_neither_others_nor_the_lease() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = folder(&proxy.url());
    folder.reconfigure("max_task_processors = 2", "max_task_processors = 8");
    folder.reconfigure("min_task_processors = 2", "min_task_processors = 8");
    let command = |args: &[&str]| server.command(args);
    push(&command, [job("gated", 0, 10)].into_iter());
    // It takes 6 s, and no answer is waited for as long as that.
    proxy.throttle(500);
    // All of such a job is read, for the name of its lock.
    folder.add_keys("fails", "plugins = [\"QueueLock\"]");
    let daemon = folder.daemon();
    eventually("it runs", || runs(&folder) == 1);
    delay(&command, 1000, &job("long", 1, 3_000_000));
    delay(&command, 1001, &job("long", 2, 10));
    let waits = || server.command(&["ZCARD", "resque:delayed_queue_schedule"]) != Reply::Int(0);
    eventually("both are promoted", || !waits());
    assert!(!folder.read("notes").contains("job1"), "the long one was not read for that");
    eventually("both run", || runs(&folder) >= 3);
    delay(&command, 1000, &job("fails", 3, 3_000_000));
    delay(&command, 1001, &job("long", 4, 10));
    eventually("both run", || runs(&folder) >= 5);
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("all are settled", || server.command(&["GET", "resque:stat:processed"]).texts() == ["4"]);
    daemon.stop();
    assert_eq!(runs(&folder), 5, "no run was cut off: {}", folder.read("notes"));
}
