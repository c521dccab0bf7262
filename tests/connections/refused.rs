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
    assert_eq!(log.matches("error: failed to read resque:failed").count(), 1, "{log}");
    server.command(&["DEL", "resque:failed"]);
    eventually("it is recorded", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(1));
    let record = server.command(&["LINDEX", "resque:failed", "0"]).texts().concat();
    assert!(record.contains("\"exception\":\"ExitStatus\"") && record.contains("it broke"), "{record}");
    daemon.stop();
    assert_eq!(runs(&folder), ["a1"]);
}

/// Every command that changes something.
const CHANGES: [&[&str]; 13] = [
    &["enqueue", "note", "--arg", "1"],
    &["enqueue", "note", "--arg", "1", "--in", "1h"],
    &["jobs", "delete", "note", "--arg", "1"],
    &["queues", "pause", "default"],
    &["queues", "resume", "default"],
    &["queues", "delete", "default", "--yes"],
    &["delayed", "delete", "note", "--arg", "7"],
    &["failed", "remove", "0", "--yes"],
    &["failed", "remove", "--all", "--yes"],
    &["failed", "retry", "0"],
    &["failed", "retry", "--all", "--yes"],
    &["locks", "delete", "lock:x"],
    &["workers", "force-clean", "gone:1+1:default", "--yes"],
];

#[test]
fn a_replica_refuses_every_change_with_certainty() {
    let server = server("");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    folder.script("note", "true");
    for args in [&["enqueue", "note", "--arg", "7", "--in", "1h"][..], &["enqueue", "note", "--arg", "8"]] {
        assert_eq!(folder.windlass(args).0, Some(0));
    }
    let failure = "{\"payload\":{\"class\":\"note\",\"queue\":\"default\",\"args\":[]},\"queue\":\"default\"}";
    server.command(&["RPUSH", "resque:failed", failure]);
    server.command(&["SET", "resque:lock:x", "9999999999"]);
    server.command(&["SADD", "resque:workers", "gone:1+1:default"]);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    for args in CHANGES {
        let (code, said) = folder.windlass(args);
        assert_eq!(code, Some(69), "{args:?}: {said}");
        assert!(said.contains("it is a replica") && said.contains("connect to its master"), "{args:?}: {said}");
        assert!(!said.contains("not known"), "{args:?}: {said}");
        let certain = if args[0] == "enqueue" { "nothing was enqueued" } else { "this step changed nothing" };
        assert!(said.contains(certain), "{args:?}: {said}");
    }
    fs::write(folder.path("bulk"), "{\"task\":\"note\"}\n").expect("a file");
    let (code, said) = folder.windlass(&["enqueue", "--bulk", folder.path("bulk").to_str().expect("a path")]);
    assert!(code == Some(69) && said.contains("lines 1 to 1 and later ones were not enqueued"), "{said}");
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    let (code, said) = folder.windlass(CHANGES[0]);
    assert!(code == Some(69) && said.contains("it is a replica that has lost its master"), "{said}");
}

#[test]
fn what_the_duties_cannot_read_is_told_under_one_name() {
    let server = server("");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    folder.script("note", "true");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    // An instance that is alone seldom reads the registrations.
    server.command(&["HSET", "resque:windlass:leases", "another", "1"]);
    server.command(&["RENAME", "resque:windlass:instances", "elsewhere"]);
    server.command(&["SET", "resque:windlass:instances", "x"]);
    daemon.wait_log("duties: failed to read resque:windlass:instances");
    // Some rounds more: that nothing is told again is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let log = daemon.log();
    assert_eq!(log.matches("duties: failed to read resque:windlass:instances").count(), 1, "{log}");
    assert!(log.contains("it is a string and must be a hash"), "{log}");
    assert!(log.contains(" RENAMENX resque:windlass:instances resque:windlass:instances.aside"), "{log}");
    server.command(&["RENAME", "elsewhere", "resque:windlass:instances"]);
    daemon.stop();
}

/// Tasks with a lock and with attempts, beside one without either.
fn with_plugins(folder: &Folder) {
    folder.script("note", "echo {0} >>notes");
    for (name, script, more) in [
        ("locked", "echo {0} >>notes", "plugins = [\"JobLock\"]"),
        (
            "tried",
            "echo {0} >>notes; echo it broke >&2; exit 3",
            "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = \"100ms\"",
        ),
    ] {
        folder.script(name, script);
        let file = folder.path(&format!("tasks.d/{name}.toml"));
        let text = fs::read_to_string(&file).expect("the task").replacen("[run]", "{plugins}\n[run]", 1);
        let (plugins, options) = more.split_once('\n').unwrap_or((more, ""));
        fs::write(&file, text.replacen("{plugins}", plugins, 1) + options).expect("the task must be written");
    }
}

fn push(server: &Node, class: &str, arg: &str) {
    let raw = format!("{{\"class\":\"{class}\",\"queue\":\"default\",\"args\":[\"{arg}\"]}}");
    server.command(&["RPUSH", "resque:queue:default", &raw]);
}

/// No job stands under any worker.
fn nothing_stands(server: &Node) -> bool {
    server
        .command(&["KEYS", "resque:worker:*"])
        .texts()
        .iter()
        .all(|key| key.ends_with(":started") || key.contains(":ping:"))
}

#[test]
fn what_needs_a_refused_key_fails_alone_and_all_else_goes_on() {
    let server = server("");
    // Neither the locks of JobLock nor the counters of Retry.
    let mut rule = vec!["ACL", "SETUSER", "worker", "on", ">secret", "&*", "+@all"];
    rule.extend(["~resque:queue*", "~resque:worker:*", "~resque:workers", "~resque:workers:*", "~resque:stat:*"]);
    rule.extend(["~resque:failed", "~resque:delayed*", "~resque:timestamps:*", "~resque:windlass:*"]);
    rule.extend(["~resque:pause-all-workers", "~resque:resque_scheduler_leader_lock*", "~resque:lock*"]);
    server.command(&rule);
    let folder = Folder::new(&format!("redis://worker:secret@127.0.0.1:{}", server.port), "");
    with_plugins(&folder);
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    for n in 0..10 {
        push(&server, "note", &format!("a{n}"));
        push(&server, if n % 2 == 0 { "locked" } else { "tried" }, &format!("b{n}"));
        push(&server, "note", &format!("c{n}"));
    }
    let failed = || server.command(&["LRANGE", "resque:failed", "0", "-1"]).texts();
    eventually("ten fail", || failed().len() == 10);
    eventually("all others are done", || server.command(&["GET", "resque:stat:processed"]).texts() == ["20"]);
    let mut expected: Vec<String> = (0..10).flat_map(|n| [format!("a{n}"), format!("c{n}")]).collect();
    expected.extend((0..10).filter(|n| n % 2 == 1).map(|n| format!("b{n}")));
    expected.sort();
    assert_eq!(runs(&folder), expected, "each once: {}", daemon.log());
    for record in failed() {
        let said =
            if record.contains("\"locked\"") { "may not touch it: type ACL SETUSER worker ~" } else { "it broke" };
        assert!(record.contains(said), "{record}");
    }
    eventually("nothing stands for ever", || nothing_stands(&server));
    let log = daemon.log();
    assert_eq!(log.matches("without the state of Retry, so that it is not tried again").count(), 5, "{log}");
    assert!(!log.contains("exchange jobs with the store"), "no lane is held up: {log}");
    daemon.stop();
}

#[test]
fn keys_of_another_type_are_named_once_and_cost_no_other_job() {
    let server = server("");
    let folder = Folder::new(&format!("redis://127.0.0.1:{}", server.port), "");
    with_plugins(&folder);
    server.command(&["SADD", "resque:queues", "default"]);
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    push(&server, "note", "first");
    eventually("the first is counted", || server.command(&["EXISTS", "resque:stat:processed"]) == Reply::Int(1));
    assert_eq!(runs(&folder), ["first"]);
    server.command(&["RENAME", "resque:stat:processed", "elsewhere"]);
    for key in ["resque:stat:processed", "resque:stat:failed", "resque:workerslock:locked:default:[\"b\"]"] {
        server.command(&["RPUSH", key, "x"]);
    }
    for key in ["resque:windlass:paused", "resque:windlass:identity", "resque:windlass:periodic"] {
        server.command(&["DEL", key]);
        server.command(&["SET", key, "x"]);
    }
    server.command(&["HSET", "resque:pause-all-workers", "a", "b"]);
    push(&server, "locked", "b");
    push(&server, "tried", "t");
    for n in 0..10 {
        push(&server, "note", &format!("a{n}"));
    }
    eventually("both fail", || server.command(&["LLEN", "resque:failed"]) == Reply::Int(2));
    eventually("nothing stands for ever", || nothing_stands(&server));
    let mut expected: Vec<String> = (0..10).map(|n| format!("a{n}")).collect();
    expected.extend(["first", "t", "t", "t"].map(str::to_owned));
    expected.sort();
    eventually("all are run", || runs(&folder).len() >= expected.len());
    assert_eq!(runs(&folder), expected, "{}", daemon.log());
    let log = daemon.log();
    for key in ["resque:stat:processed", "resque:windlass:identity"] {
        assert_eq!(log.matches(&format!("failed to read {key}:")).count(), 1, "{key}: {log}");
        assert!(log.contains(&format!(" RENAMENX {key} {key}.aside")), "{key}: {log}");
    }
    let records = server.command(&["LRANGE", "resque:failed", "0", "-1"]).texts().concat();
    assert!(records.contains("it is a list and must be a string"), "{records}");
    daemon.stop();
}
