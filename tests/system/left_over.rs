//! A working record that stands under an idle processor, as after a failover to a replica that was behind.

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

/// Its queue does not take its job back: the record must not stand for ever, and its processor with it.
#[test]
fn a_job_that_cannot_be_given_back_fails_and_its_processor_works_on() {
    let server = RedisServer::start(Options::default());
    let folder = Folder::new(&server.url(), "");
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 1\nmax_task_processors = 1",
    );
    folder.script("note", "echo done >>notes");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let text = |args: &[&str]| server.command(args).texts().concat();
    let (instance, worker) = (text(&["HKEYS", "resque:windlass:instances"]), text(&["SMEMBERS", "resque:workers"]));
    let name = worker.rsplit_once(':').expect("an id has its queues").0;
    let job = r#"{"class":"note","queue":"bad","args":[{}]}"#;
    let record = format!(
        r#"{{"claim":"{instance}-0-9-0","worker":"{name}","run_at":"2026-01-01T00:00:00Z","queue":"bad","payload":{job}}}"#
    );
    server.command(&["SET", "resque:queue:bad", "no list"]);
    server.command(&["SET", &format!("resque:worker:{worker}"), &record]);
    let (code, said) = folder.windlass(&["enqueue", "note"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("the other job runs", || folder.read("notes").lines().count() == 1);
    let failed = server.command(&["LRANGE", "resque:failed", "0", "-1"]).texts();
    assert!(
        failed.len() == 1 && failed[0].contains(job) && failed[0].contains("could not be given back"),
        "{failed:?}"
    );
    assert!(failed[0].contains("resque:queue:bad") && failed[0].contains("RENAMENX"), "{failed:?}");
    let told = daemon.log().matches("stood on record under").count();
    assert_eq!(told, 1, "{}", daemon.log());
    daemon.stop();
    assert_eq!(server.command(&["EXISTS", &format!("resque:worker:{worker}")]), Reply::Int(0));
}
