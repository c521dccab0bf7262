//! `windlass queues` tells how long jobs wait that any program enqueued.

use serde_json::Value;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

fn queues(folder: &Folder) -> Value {
    let (code, said) = folder.windlass(&["queues", "--json"]);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("it ended with {code:?}, {error}: {said}"))
}

#[test]
fn the_age_of_a_job_that_another_program_pushed_is_told_while_a_daemon_leads() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo ran >>notes");
    let push = || {
        server.command(&["SADD", "resque:queues", "default"]);
        server.command(&["RPUSH", "resque:queue:default", r#"{"class":"note","queue":"default","args":[]}"#]);
    };
    push();
    let before = queues(&folder);
    assert_eq!(
        (&before["sampled_ago_ms"], &before["queues"][0]["oldest_ms"]),
        (&Value::Null, &Value::Null),
        "{before}"
    );
    assert_eq!(before["queues"][0]["length"], 1);
    let daemon = folder.daemon();
    eventually("the job is run", || folder.read("notes").lines().count() == 1);
    assert_eq!(folder.windlass(&["queues", "pause", "default"]).0, Some(0));
    push();
    eventually("its age is told, with both bounds", || {
        let now = queues(&folder);
        let queue = &now["queues"][0];
        let (least, most) = (queue["oldest_ms"].as_u64(), queue["oldest_most_ms"].as_u64());
        now["sampled_ago_ms"].is_u64() && least.is_some_and(|least| least > 1000) && most >= least
    });
    let text = folder.windlass(&["queues"]).1;
    assert!(text.contains("OLDEST") && text.contains("paused"), "{text}");
    assert_eq!(folder.windlass(&["queues", "resume", "default"]).0, Some(0));
    eventually("both are run", || folder.read("notes").lines().count() == 2);
    eventually("what came and went is told", || queues(&folder)["queues"][0]["counted_out"].as_u64() > Some(0));
    assert_eq!(queues(&folder)["queues"][0]["oldest_ms"], Value::Null, "no job waits");
    daemon.stop();
}
