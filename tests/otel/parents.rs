//! Who is whose parent, and what spans say.

use crate::client::Place;
use crate::collector::{Collector, Seen, hex};
use crate::daemon::{Daemon, Folder, eventually};
use crate::server::{Server, answer};
use crate::{PARENT, TRACE, both, enqueue};

/// Notes its trace, and the line that it gets.
const NOTES: &str = "echo $TRACEPARENT > trace; cat > line";

fn kind(seen: &Seen) -> &'static str {
    match seen.span.kind {
        1 => "internal",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "other",
    }
}

/// Where the server of a daemon listens.
fn listens(daemon: &Daemon) -> Place {
    let address = daemon.http_address();
    daemon.wait_log("[ worker ] started");
    Place::Tcp(address)
}

#[test]
fn a_job_continues_the_trace_of_who_enqueued_it() {
    let collector = Collector::start();
    let number = std::cell::Cell::new(0);
    let section = || {
        number.set(number.get() + 1);
        collector.section(&format!("service_name = \"jobs-{}\"\nheaders = {{ x-key = \"hidden\" }}", number.get()))
    };
    both(section, |folder| {
        folder.script("note", NOTES);
        let daemon = folder.daemon();
        let mut args = vec!["note", "--args", r#"["an argument"]"#];
        if number.get() == 2 {
            args.push("--track");
        }
        enqueue(folder, &[("TRACEPARENT", PARENT)], &args);
        daemon.wait_log("job success");
        daemon.stop();

        let service = format!("jobs-{}", number.get());
        let spans: Vec<Seen> =
            collector.spans().into_iter().filter(|seen| seen.resource["service.name"] == service).collect();
        let [sent, wait, run] = ["send default", "wait default", "process default"].map(|name| {
            let mut named = spans.iter().filter(|seen| seen.span.name == name);
            let (found, more) = (named.next(), named.next());
            assert!(more.is_none(), "{spans:?}");
            found.unwrap_or_else(|| panic!("no {name} in {spans:?}"))
        });
        assert_eq!(spans.len(), 3, "{spans:?}");
        assert_eq!([sent, wait, run].map(kind), ["producer", "internal", "consumer"]);
        assert_eq!(hex(&sent.span.parent_span_id), "00f067aa0ba902b7");
        assert!(wait.is_child_of(sent) && run.is_child_of(sent), "{spans:?}");
        for seen in &spans {
            assert_eq!(hex(&seen.span.trace_id), TRACE);
            assert_eq!((seen.says("messaging.system"), seen.says("windlass.task")), ("resque", "note"));
            assert_eq!(seen.says("messaging.destination.name"), "default");
            assert!(seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano && seen.error().is_none());
        }
        assert!(sent.span.start_time_unix_nano <= wait.span.start_time_unix_nano);
        assert!(wait.span.end_time_unix_nano <= run.span.start_time_unix_nano, "{spans:?}");
        assert_eq!((run.says("windlass.attempt"), run.says("windlass.outcome")), ("1", "done"));
        assert_eq!(run.says("messaging.operation.type"), "process");
        assert!(run.says("windlass.worker").contains("-windlass:"), "{run:?}");

        // The program continues the run's span; the trace is no part of the job.
        assert_eq!(folder.read("trace").trim(), run.context());
        let line: serde_json::Value = serde_json::from_str(&folder.read("line")).unwrap();
        assert_eq!(line["traceparent"], run.context());
        assert_eq!(line["args"].to_string(), r#"["an argument"]"#);
        assert_eq!(line["id"], run.says("messaging.message.id"));
        let requests = collector.0.seen.all();
        assert!(requests.iter().all(|request| request.line == "POST /v1/traces HTTP/1.1"), "{requests:?}");
        assert!(requests.iter().all(|request| request.header("content-type") == "application/x-protobuf"));
        assert!(requests.iter().all(|request| request.header("x-key") == "hidden"));
        let holds_arguments = |body: &[u8]| body.windows(11).any(|part| part == b"an argument");
        assert!(!requests.iter().any(|request| holds_arguments(&request.body)), "spans never hold arguments");
    });
}

#[test]
fn a_job_that_enqueues_continues_its_trace() {
    let collector = Collector::start();
    let folder = crate::folder("sqlite:store.db", &collector.section(""));
    folder.script("first", &format!("{} enqueue second", crate::daemon::BINARY));
    folder.script("second", NOTES);
    let daemon = folder.daemon();
    enqueue(&folder, &[], &["first"]);
    eventually("both have run", || daemon.log().matches("job success").count() == 2);
    daemon.stop();
    let runs = collector.some("process default", 2);
    let sent = collector.some("send default", 2);
    let of = |all: &[Seen], task: &str| all.iter().find(|seen| seen.says("windlass.task") == task).unwrap().clone();
    let chain = [of(&sent, "first"), of(&runs, "first"), of(&sent, "second"), of(&runs, "second")];
    assert_eq!(chain[0].span.parent_span_id, b"", "nobody gave it a trace, so it begins one");
    for pair in chain.windows(2) {
        assert!(pair[1].is_child_of(&pair[0]), "{chain:?}");
    }
    assert_eq!(folder.read("trace").trim(), chain[3].context());
}

#[test]
fn the_runs_of_a_job_without_a_trace_are_one() {
    let collector = Collector::start();
    both(
        || collector.section(""),
        |folder| {
            let before = collector.spans().len();
            folder.script("twice", "if [ -e ran ]; then printf 'no\\033disk' >&2; exit 3; fi; touch ran; exit 75");
            let task = folder.read("tasks.d/twice.toml");
            std::fs::write(folder.path("tasks.d/twice.toml"), format!("{task}retry_later = \"1ms\"\n")).unwrap();
            let daemon = folder.daemon();
            // As another program enqueues it.
            enqueue(folder, &[("OTEL_SDK_DISABLED", "true")], &["twice"]);
            daemon.wait_log("job failure");
            daemon.stop();
            let spans = &collector.spans()[before..];
            let [first, second] = spans else { panic!("{spans:?}") };
            assert_eq!((first.says("windlass.outcome"), second.says("windlass.outcome")), ("later", "failed"));
            assert!(first.span.parent_span_id.is_empty() && second.is_child_of(first), "{spans:?}");
            assert_eq!((first.error(), second.says("error.type")), (None, "ExitStatus"));
            let error = second.error().unwrap();
            assert!(error.starts_with("ExitStatus: ") && !error.contains('\u{1b}') && error.len() <= 256, "{error:?}");
        },
    );
}

#[test]
fn the_request_of_an_http_job_is_a_span_that_its_server_continues() {
    let collector = Collector::start();
    let server = Server::start(|_, before| if before == 0 { answer("200 OK", "") } else { answer("500 Oops", "") });
    let folder =
        crate::folder("sqlite:store.db", &format!("[http]\nlisten = \"127.0.0.1:0\"\n{}", collector.section("")));
    let task = format!("name = \"job\"\n[run]\nhttp = \"{}\"\n", server.url());
    std::fs::write(folder.path("tasks.d/job.toml"), task).unwrap();
    let daemon = folder.daemon();
    let place = listens(&daemon);
    let post = |trace: &str| {
        let headers = [("content-type", "application/json"), ("traceparent", trace)];
        let answer = place.send("POST", "/api/v1/tasks/job/jobs", &headers, b"[1]");
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    post(PARENT);
    let run = collector.span("process default");
    let (call, sent) = (collector.span("POST"), collector.span("send default"));
    assert_eq!(hex(&sent.span.parent_span_id), "00f067aa0ba902b7");
    assert!(run.is_child_of(&sent) && call.is_child_of(&run), "{run:?} {call:?}");
    assert_eq!((kind(&call), call.says("http.response.status_code"), call.error()), ("client", "200", None));
    assert_eq!(
        (call.says("server.address"), call.says("server.port")),
        ("127.0.0.1", server.port.to_string().as_str())
    );
    let request = &server.seen.all()[0];
    assert_eq!(request.header("traceparent"), call.context());
    assert!(request.job().get("traceparent").is_none(), "one place is enough");

    // What is no trace is left alone: the job is not refused for it.
    post("00-not-a-trace");
    let runs = collector.some("process default", 2);
    assert_ne!(hex(&runs[1].span.trace_id), TRACE);
    assert_eq!(runs[1].says("error.type"), "HttpStatus");
    let calls = collector.some("POST", 2);
    assert_eq!((calls[1].says("error.type"), calls[1].error()), ("500", Some("")));
    daemon.stop();
}

#[test]
fn a_worker_that_stays_gets_the_trace_of_each_job() {
    let collector = Collector::start();
    let folder = crate::folder("sqlite:store.db", &collector.section(""));
    let answers = "#!/bin/sh\necho '{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}'\nwhile read -r line; do\necho \"$line\" >> lines\n\
                   id=${line#*\\\"id\\\":}\necho \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":${id%%,*},\\\"result\\\":null}\"\ndone\n";
    folder.worker("stays", answers);
    let daemon = folder.daemon();
    enqueue(&folder, &[("TRACEPARENT", PARENT)], &["stays"]);
    let run = collector.span("process default");
    daemon.stop();
    assert_eq!(hex(&run.span.trace_id), TRACE);
    assert!(folder.read("tasks.d/lines").contains(&format!("\"traceparent\":\"{}\"", run.context())));
}

#[test]
fn a_delayed_job_waits_from_when_it_is_due() {
    let collector = Collector::start();
    both(
        || collector.section(""),
        |folder| {
            let before = collector.spans().len();
            folder.script("note", NOTES);
            let daemon = folder.daemon();
            enqueue(folder, &[("TRACEPARENT", PARENT)], &["note", "--in", "2s", "--once", "a-key"]);
            daemon.wait_log("job success");
            daemon.stop();
            let spans = &collector.spans()[before..];
            let [sent, wait, run] = spans else { panic!("{spans:?}") };
            assert!(wait.is_child_of(sent) && run.is_child_of(sent), "{spans:?}");
            assert_eq!((hex(&sent.span.trace_id).as_str(), folder.read("trace").trim()), (TRACE, &*run.context()));
            let (sent, due) = (sent.span.start_time_unix_nano, wait.span.start_time_unix_nano);
            assert!(due - sent > 1_000_000_000, "the delay is no wait: {spans:?}");
        },
    );
}

#[test]
fn who_does_not_record_a_trace_decides_for_all_behind() {
    let collector = Collector::start();
    let folder: Folder = crate::folder("sqlite:store.db", &collector.section(""));
    folder.script("note", NOTES);
    let daemon = folder.daemon();
    enqueue(&folder, &[("TRACEPARENT", &PARENT.replace("-01", "-00"))], &["note"]);
    daemon.wait_log("job success");
    let given = folder.read("trace");
    assert!(given.starts_with(&format!("00-{TRACE}-")) && given.trim().ends_with("-00"), "{given}");
    assert!(!given.contains("00f067aa0ba902b7"), "it is the run's own span");
    enqueue(&folder, &[("TRACEPARENT", PARENT), ("OTEL_TRACES_SAMPLER", "always_off")], &["note"]);
    eventually("both have run", || daemon.log().matches("job success").count() == 2);
    daemon.stop();
    assert_eq!(collector.spans().len(), 0, "{:?}", collector.spans());
}
