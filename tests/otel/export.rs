//! How spans are sent, and what becomes of jobs where they are not taken.

use std::time::Duration;

use crate::collector::Collector;
use crate::daemon::eventually;
use crate::server::answer;
use crate::{enqueue, folder};

#[test]
fn spans_that_are_not_taken_now_are_sent_again() {
    let collector =
        Collector::answering(
            |_, before| {
                if before == 0 { answer("503 Service Unavailable", "") } else { answer("200 OK", "") }
            },
        );
    let folder = folder("sqlite:store.db", &collector.section(""));
    folder.script("job", "true");
    let daemon = folder.daemon();
    enqueue(&folder, &[("OTEL_SDK_DISABLED", "true")], &["job"]);
    eventually("the second request came", || collector.0.seen.all().len() == 2);
    daemon.wait_log("spans are taken again");
    daemon.stop();
    let requests = collector.0.seen.all();
    assert_eq!(requests[0].body, requests[1].body);
}

#[test]
fn spans_that_nobody_takes_hold_up_neither_jobs_nor_the_end() {
    // It takes requests, and never answers.
    let collector = Collector::answering(|_, _| {
        std::thread::sleep(Duration::from_secs(60));
        answer("200 OK", "")
    });
    let folder = folder("sqlite:store.db", &collector.section("timeout = \"1s\""));
    folder.script("job", "true");
    let daemon = folder.daemon();
    for _ in 0..3 {
        enqueue(&folder, &[("OTEL_SDK_DISABLED", "true")], &["job"]);
    }
    eventually("all have run", || daemon.log().matches("job success").count() == 3);
    daemon.wait_log("spans are not taken by http://127.0.0.1:");
    let log = folder.path("log");
    daemon.stop();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("the end came before all spans were sent") && log.contains("drained:"), "{log}");
    assert_eq!(log.matches("spans are not taken by").count(), 1, "{log}");

    let output = folder.command(&["enqueue", "job"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "the job is on its queue: {said}");
    assert!(said.contains("the span of this enqueue was not sent"), "{said}");
}

#[test]
fn a_wrong_address_is_told_where_it_stands() {
    let folder = folder("sqlite:store.db", "[otel]\nendpoint = \"ftp://collector\"\n");
    let (code, said) = folder.windlass(&["check"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("tasks.toml:") && said.contains("otel.endpoint: expected an address"), "{said}");
    let (code, said) = folder.windlass(&["run"]);
    assert!(code == Some(64) && said.contains("otel.endpoint: expected an address"), "{said}");
}

#[test]
fn a_reload_begins_and_ends_to_trace() {
    let collector = Collector::start();
    let folder = folder("sqlite:store.db", "");
    folder.script("job", "true");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let untraced = folder.read("tasks.toml");
    let mut reloads = 0;
    let mut reload = |text: &str| {
        std::fs::write(folder.path("tasks.toml"), text).unwrap();
        crate::daemon::signal(daemon.parent(), rustix::process::Signal::HUP);
        reloads += 1;
        eventually("it is reloaded", || daemon.log().matches("reloaded: changed keys otel").count() == reloads);
        enqueue(&folder, &[("OTEL_SDK_DISABLED", "true")], &["job"]);
        eventually("it has run", || daemon.log().matches("job success").count() == reloads);
    };
    reload(&format!("{untraced}\n{}", collector.section("")));
    collector.span("process default");
    reload(&untraced);
    daemon.stop();
    assert_eq!(collector.spans().len(), 1);
}
