//! Records in the store that no program of good will writes: nothing dies of them, and all else goes on.

use std::fs;

use windlass::process::sweep;

use crate::daemon::{Daemon, Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

/// The namespace that nobody configured.
const NS: &str = "resque";

/// Writes records that cannot be read, or that claim what cannot be, wherever Windlass reads.
fn poison(server: &RedisServer, instance: &str, worker: &str) {
    let write = |args: &[&str]| drop(server.command(args));
    let key = |rest: &str| format!("{NS}:{rest}");
    let huge = format!(
        r#"{{"id":"{instance}","name":"h-windlass:1","queues":"*","host":{{"hostname":"h","boot_id":"b","pid_namespace":1,"pid":1,"started_ticks":1}},"processors":10000000000,"lease_ms":15000,"periodic":[],"version":"0"}}"#
    );
    for (id, record) in [(instance, huge.as_str()), ("cut", r#"{"id":"cut","#), ("nul", "\0"), ("list", "[]")] {
        write(&["HSET", &key("windlass:instances"), id, record]);
        write(&["HSET", &key("windlass:leases"), id, "many"]);
    }
    write(&["SADD", &key("workers"), worker, "x:1:*", "x", ":::", ""]);
    for (id, record) in [
        (worker, r#"{"claim":"a","payload":"#),
        ("x:1:*", r#"{"claim":"","payload":"#),
        ("x", r#"{"claim":"a-0-1-0","attempt":99999999999,"payload":""#),
        (":::", "["),
    ] {
        write(&["SET", &key(&format!("worker:{id}")), record]);
        write(&["SET", &key(&format!("worker:{id}:started")), "\u{1}"]);
    }
    write(&["SET", &key("worker:ping:x:1"), r#"{"time":9223372036854775807,"name":7,"queues":[]}"#]);
    for (task, entry) in
        [("note", "9223372036854775807 1 0 default"), ("b", "junk"), ("c", "1 99999999999999999999 1 q")]
    {
        write(&["HSET", &key("windlass:periodic"), task, entry]);
    }
    write(&["HSET", &key("windlass:identity"), "default\n{}", "junk\n1 2 3"]);
    write(&["HSET", &key("windlass:schedules"), "note/x", "soon"]);
    for record in ["", "{", "null", r#"{"backtrace":[1,"queue#forceCleanWorker"],"payload":7,"payload_hex":"zz"}"#] {
        write(&["RPUSH", &key("failed"), record]);
    }
    for stat in ["stat:processed", "stat:failed", "stat:processed:x:1"] {
        write(&["SET", &key(stat), "9223372036854775808"]);
    }
    write(&["SADD", &key("queues"), "bad", "text"]);
    write(&["SET", &key("queue:bad"), "no list"]);
    write(&["RPUSH", &key("queue:text"), "", "[", "\0"]);
    write(&["SET", &key("lock:x"), "\u{7f}"]);
}

#[test]
fn nothing_dies_of_records_that_cannot_be_read() {
    let server = RedisServer::start(Options::default());
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo done >>done");
    poison(&server, "feed", "x:2:*");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    // The records of workers that are alive, too.
    poison(&server, "f00d", "y:3:*");
    for command in [
        &["workers"][..],
        &["workers", "show", "x:1:*"],
        &["details"],
        &["stats"],
        &["queues"],
        &["queues", "show", "text"],
        &["queues", "show", "bad"],
        &["failed"],
        &["failed", "count"],
        &["failed", "retry-stuck"],
        &["delayed"],
        &["delayed", "timestamps"],
        &["periodic"],
        &["locks"],
        &["leader"],
        &["plan"],
        &["workers", "clean", "--older-than", "1h", "--yes"],
    ] {
        let (code, out) = folder.windlass(command);
        assert!(matches!(code, Some(0 | 1)), "{command:?} ended with {code:?}: {out}");
    }
    assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    eventually("a job is run", || fs::read_to_string(folder.path("done")).is_ok_and(|done| done == "done\n"));
    // Counted and named: as an operator looks, and in the log once for each count.
    let details = folder.windlass(&["--json", "details"]).1;
    assert!(details.contains(r#"{"kind":"registrations of instances","count":5}"#), "{details}");
    assert!(details.contains(r#"{"kind":"working records","count":"#), "{details}");
    assert!(folder.windlass(&["details"]).1.contains("5 registrations of instances"));
    daemon.wait_log("5 registrations of instances in resque:windlass:instances cannot be read and are passed over");
    for line in ["5 registrations of instances in", "4 registrations of instances in"] {
        assert!(daemon.log().matches(line).count() <= 1, "{}", daemon.log());
    }
    daemon.stop();
    let again = folder.daemon_with_log("again");
    again.wait_log("[ worker ] started");
    again.stop();
}

#[test]
fn a_queue_whose_key_the_server_refuses_stands_alone() {
    let server = RedisServer::start(Options::default());
    let user = ["on", ">p", "+@all", "~resque:[^q]*", "~resque:queues", "~resque:queue:default"];
    server.command(&[&["ACL", "SETUSER", "poor"], &user[..]].concat());
    let folder = Folder::new(&server.url().replace("redis+unix://", "redis+unix://poor:p@"), "");
    folder.reconfigure("queues = [\"default\"]", "queues = [\"*\"]");
    folder.script("note", "echo $WINDLASS_QUEUE >>notes");
    let enqueue = |queue: &str| {
        server.command(&["SADD", "resque:queues", queue]);
        let job = format!(r#"{{"class":"note","queue":"{queue}","args":[]}}"#);
        server.command(&["RPUSH", &format!("resque:queue:{queue}"), &job]);
    };
    // The one that is refused comes first.
    enqueue("bad");
    enqueue("default");
    let second = r#"{"class":"note","queue":"bad","args":[1]}"#;
    server.command(&["RPUSH", "resque:delayed:1", second]);
    server.command(&["ZADD", "resque:delayed_queue_schedule", "1", "1"]);
    let daemon = folder.daemon();
    let notes = || fs::read_to_string(folder.path("notes")).unwrap_or_default();
    eventually("the job of the other queue is run", || notes() == "default\n");
    for _ in 0..5 {
        enqueue("default");
    }
    eventually("and so are the next ones", || notes().lines().count() == 6);
    assert_eq!(folder.windlass(&["enqueue", "note", "--in", "1s"]).0, Some(0));
    eventually("and a delayed one behind one that cannot be moved", || notes().lines().count() == 7);
    assert_eq!(server.command(&["LLEN", "resque:queue:bad"]), Reply::Int(1));
    let told = daemon.log().lines().filter(|line| line.contains("queue bad is passed over")).count();
    assert_eq!(told, 1, "{}", daemon.log());
    daemon.stop();
}

/// A name that ends the line, forges one and colours what follows, in two sets of control characters and backwards.
const FORGED: &str = "x\n2026-01-01T00:00:00.000Z - info: FORGED\u{1b}[31m\u{9b}31m\u{202e}\u{2028}";

/// Nothing in it moves a cursor, ends a line or turns the direction of writing, and no line is forged.
fn assert_clean(what: &str, text: &str) {
    let raw = text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{61c}')
    });
    assert_eq!(raw, None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{what}: {text:?}");
}

#[test]
fn names_of_strangers_forge_no_line_and_reach_no_terminal_raw() {
    let server = RedisServer::start(Options::default());
    let folder = Folder::new(&server.url(), "unknown = \"fail\"");
    folder.reconfigure("queues = [\"default\"]", "queues = [\"*\"]");
    let job = serde_json::json!({ "class": FORGED, "queue": FORGED, "args": [FORGED], "windlass": { "id": FORGED } });
    server.command(&["SADD", "resque:queues", FORGED]);
    server.command(&["RPUSH", &format!("resque:queue:{FORGED}"), &job.to_string()]);
    server.command(&["SADD", "resque:workers", &format!("host:1:{FORGED}"), &format!("{FORGED}:2:*")]);
    server.command(&["SET", &format!("resque:worker:host:1:{FORGED}"), &job.to_string()]);
    server.command(&["SET", &format!("resque:lock:{FORGED}"), FORGED]);
    let record = serde_json::json!({ "worker": FORGED, "queue": FORGED, "payload": job, "exception": FORGED,
        "error": FORGED, "backtrace": [FORGED], "failed_at": FORGED });
    server.command(&["RPUSH", "resque:failed", &record.to_string()]);
    let daemon = folder.daemon();
    daemon.wait_log("job failure");
    server.command(&["RPUSH", &format!("resque:queue:{FORGED}"), &job.to_string()]);
    for command in [
        &["queues"][..],
        &["queues", "show", FORGED],
        &["queues", "pause", FORGED],
        &["workers"],
        &["details"],
        &["stats"],
        &["locks"],
        &["failed"],
        &["failed", "show", "0"],
        &["failed", "retry", "0"],
        &["failed", "show", FORGED],
        &["tasks", "show", FORGED],
        &["enqueue", FORGED],
        &["enqueue", "x", "--queue", FORGED],
        &["enqueue", "x", FORGED, FORGED],
        &["enqueue", "x", "--args", FORGED],
        &["enqueue", "x", "--at", FORGED],
        &["delayed", FORGED],
        &[FORGED],
        &["--store", FORGED, "stats"],
        &["--config", FORGED, "check"],
    ] {
        for json in [&[][..], &["--json"]] {
            let line = [json, command].concat();
            let (_, out) = folder.windlass(&line);
            assert!(!out.is_empty(), "{line:?} said nothing");
            assert_clean(&format!("{line:?}"), &out);
        }
    }
    daemon.stop();
    let log = fs::read_to_string(folder.path("log")).expect("there must be a log");
    assert_clean("the log", &log);
}

/// A daemon in a folder of its own whose job runs, with the pid of the job's program and when that started.
fn busy(store: &str) -> (Folder, Daemon, (u32, u64)) {
    let folder = Folder::new(store, "");
    folder.script("long", "echo $$ >pid; exec sleep 1000");
    let daemon = folder.daemon();
    folder.enqueue(&["long"]);
    eventually("the job runs", || folder.read("pid").ends_with('\n'));
    let pid = folder.read("pid").trim().parse().expect("a pid");
    let ticks = sweep::start_ticks(pid).expect("it runs");
    (folder, daemon, (pid, ticks))
}

#[test]
fn a_daemon_on_a_copy_of_a_store_ends_nothing_of_the_original() {
    let (folder, daemon, (pid, ticks)) = busy("sqlite:store.db");
    let copied = Folder::new("sqlite:copy.db", "");
    copied.script("long", "echo again >>ran");
    let file = rusqlite::Connection::open(folder.path("store.db")).expect("the store must be there");
    file.execute("VACUUM INTO ?1", [copied.path("copy.db").display().to_string()]).expect("a copy must be made");
    drop(file);
    let other = copied.daemon();
    // The registration that was copied stands still, so that its instance is taken for dead.
    other.wait_log("is dead; 1 job recovered");
    eventually("the copied job is run", || copied.read("ran") == "again\n");
    assert!(sweep::is_alive(pid, ticks), "{}", other.log());
    assert!(!other.log().contains("are killed before"), "{}", other.log());
    other.stop();
    assert!(sweep::is_alive(pid, ticks), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_record_in_one_store_ends_nothing_of_a_daemon_on_another() {
    let (first, second) = (RedisServer::start(Options::default()), RedisServer::start(Options::default()));
    let (_folder, daemon, (pid, ticks)) = busy(&first.url());
    let key = format!("{NS}:windlass:instances");
    let texts = first.command(&["HGETALL", &key]).texts();
    let mut record: serde_json::Value = serde_json::from_str(&texts[1]).expect("a record");
    let victims = Folder::new(&second.url(), "");
    // Once with a daemon that never was, and once as it is, with a lease that nobody extends.
    for number in [999_999_999_u32, daemon.proper()] {
        record["host"]["pid"] = number.into();
        second.command(&["HSET", &key, &texts[0], &record.to_string()]);
        second.command(&["HSET", &format!("{NS}:windlass:leases"), &texts[0], "1"]);
        let other = victims.daemon();
        other.wait_log(&format!("instance {} on", texts[0]));
        other.stop();
        assert!(sweep::is_alive(pid, ticks), "{number}: {}", victims.read("log"));
        fs::write(victims.path("log"), "").expect("the log must be emptied");
    }
    daemon.stop();
}
