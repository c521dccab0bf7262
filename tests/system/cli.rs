//! Every command in both of its forms, its exit codes, and what it says to bad input.
//!
//! Longer than 400 lines because it goes through the whole command line once.

use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use windlass::job::{Failure, QueueName, WorkerName};
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::instance::{HostIdentity, InstanceRecord};
use windlass::store::queueing::{Enqueue, Exchange, Settlement};

use crate::place::Place;
use crate::support::verbs::Verbs as _;
use windlass::store::role::Whole;

const INSTANCE: &str = "00ff00ff00ff00ff";

pub(crate) fn record() -> InstanceRecord {
    InstanceRecord {
        id: INSTANCE.into(),
        name: "there-windlass:7".into(),
        queues: "*".into(),
        former_queues: Vec::new(),
        host: HostIdentity {
            hostname: "there".into(),
            boot_id: "b".into(),
            pid_namespace: 1,
            pid: 7,
            started_ticks: 1,
        },
        processors: 1,
        lease_ms: 15_000,
        periodic: Vec::new(),
        version: "test".into(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}

/// Enqueues these bytes and has a worker claim them; settles them as failed with these records.
async fn work(store: &Store<Whole>, queue: &str, payload: &str, failures: &[&str]) -> WorkerName {
    let (record, queue) = (record(), QueueName::as_stored(queue));
    store.join(&record).await.unwrap();
    let worker = record.worker(1);
    store.register(&record.id, std::slice::from_ref(&worker)).await.unwrap();
    let mut lane = store.lane(&record.id, 0).await.unwrap();
    let mut exchange = Exchange {
        sequence: 0,
        settlements: Vec::new(),
        enters: Vec::new(),
        idle: vec![worker.clone()],
        queues: Arc::from([queue.clone()]),
        share: 1,
        run_at: "2026-11-24T03:26:18.000Z".into(),
    };
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let failures: Vec<_> = failures.iter().map(|record| Bytes::copy_from_slice(record.as_bytes())).collect();
    // One more claim than there are records: it stays in the works if there are none.
    for record in failures.into_iter().map(Some).chain([None]) {
        if record.is_none() && exchange.sequence > 0 {
            break;
        }
        let job = Enqueue { queue: queue.clone(), payload: payload.clone(), front: true, admissions: Vec::new() };
        store.enqueue(&[job]).await.unwrap();
        exchange.sequence += 1;
        exchange.settlements = Vec::new();
        exchange.idle = vec![worker.clone()];
        let claim = lane.exchange(&exchange).await.unwrap().claims.remove(0);
        let Some(record) = record else { break };
        exchange.sequence += 1;
        exchange.idle = Vec::new();
        exchange.settlements = vec![Settlement {
            worker: worker.clone(),
            claim: claim.token,
            queue: queue.clone(),
            payload: payload.clone(),
            verdict: Verdict::Failed { record },
            free: Vec::new(),
            tick: None,
            run: None,
        }];
        assert!(lane.exchange(&exchange).await.unwrap().lost.is_empty());
    }
    worker
}

fn failure(queue: &str, payload: &str) -> String {
    let record = Failure::new("Error", "boom").record("vm:1", queue, payload.as_bytes(), 1_795_490_778_000);
    String::from_utf8(record.to_vec()).unwrap()
}

#[test]
fn an_empty_store_is_told_honestly() {
    let place = Place::new();
    for (args, text, json) in [
        ("queues", "no queues: nothing was enqueued yet\n", json!({"queues": [], "more": false})),
        ("delayed", "no delayed jobs\n", json!({"jobs": [], "more": false})),
        ("delayed timestamps", "no delayed jobs\n", json!({"timestamps": [], "more": false})),
        ("failed", "no failed jobs\n", json!({"count": 0, "failed": [], "more": false})),
        ("failed count", "0\n", json!({"count": 0})),
        ("workers", "no workers are registered\n", json!({"workers": [], "more": false})),
        ("locks", "no locks are held\n", json!({"locks": [], "more": false})),
        ("leader", "nobody leads\n", json!({"leader": null, "duties": null, "here": false})),
        (
            "stats",
            "           PROCESSED  FAILED\nall, ever          0       0\n",
            json!({"processed": 0, "failed": 0, "workers": []}),
        ),
    ] {
        let args: Vec<_> = args.split(' ').collect();
        assert_eq!(place.run(&args).done(), text, "{args:?}");
        assert_eq!(place.run(&[&args[..], &["--json"]].concat()).json(), json, "{args:?}");
    }
}

#[test]
fn a_job_is_enqueued_once_and_a_veto_is_no_error() {
    let place = Place::new();
    let enqueue = ["enqueue", "sendMail", "--args", r#"{"to":"ann","n":1.0}"#];
    assert_eq!(place.run(&enqueue).done(), "enqueued sendMail on mail\n");
    let again = place.run(&[&enqueue[..], &["--json"]].concat());
    let start = r#"{"enqueued":false,"refused_by":"QueueLock","lock":{"key":"lock:sendMail:mail:[{\"to\":\"ann\",\"n\":1}]","until":"20"#;
    let said = again.done();
    assert!(said.starts_with(start), "{said}");
    let said = place.run(&enqueue).done();
    assert!(said.starts_with("not enqueued: QueueLock of sendMail refused\nthe lock lock:sendMail:mail:"), "{said}");
    assert_eq!(
        place.run(&["queues", "show", "mail", "--json"]).done(),
        "{\"queue\":\"mail\",\"length\":1,\"jobs\":[{\"class\":\"sendMail\",\"queue\":\"mail\",\"args\":[{\"to\":\"ann\",\"n\":1}]}]}\n"
    );
    let locks = place.run(&["locks", "--json"]).json();
    let key = locks["locks"][0]["key"].as_str().unwrap().to_owned();
    assert_eq!(key, r#"lock:sendMail:mail:[{"to":"ann","n":1}]"#);
    assert!(place.run(&["locks"]).done().contains(&key));
    assert_eq!(place.run(&["locks", "delete", &key]).done(), format!("freed {key}\n"));
    assert_eq!(place.run(&["locks", "delete", &key]).code, 1);
    assert_eq!(place.run(&enqueue).done(), "enqueued sendMail on mail\n");
}

#[test]
fn arguments_order_and_queue_are_as_asked() {
    let place = Place::new();
    place.run(&["enqueue", "add", "--arg", "1", "--arg", "[2]"]).done();
    place.run(&["enqueue", "add", "--front", "--args", "null"]).done();
    place.run(&["enqueue", "Ruby::Job", "--foreign", "--queue", "ruby"]).done();
    let listed = place.run(&["queues"]).done();
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(lines, [["QUEUE", "JOBS"], ["math", "2"], ["ruby", "1"]], "{listed}");
    assert!(listed.starts_with("QUEUE  JOBS  OLDEST\nmath      2  "), "{listed}");
    assert_eq!(
        place.run(&["queues", "show", "math"]).done(),
        "math: 2 jobs\nCLASS  ARGS\nadd    [null]\nadd    [1,[2]]\n"
    );
    let last = place.run(&["queues", "show", "math", "--start", "-1", "--stop", "-1", "--json"]).json();
    assert_eq!(last["jobs"], json!([{"class": "add", "queue": "math", "args": [1, [2]]}]));
    place.run(&["enqueue", "hourly", "--args", "[]"]).done();
    let hourly = place.run(&["queues", "show", "default", "--json"]).json();
    assert_eq!(hourly["jobs"][0]["args"], json!([{}]));
}

#[test]
fn what_cannot_be_enqueued_is_refused_with_64_and_a_reason() {
    let place = Place::new();
    for (args, reason) in [
        (&["enqueue", "Add", "--foreign"][..], "its queue must be named: say --queue Q"),
        (&["enqueue", "hourly", "--args", "[1]"], "is periodic and takes no arguments"),
        (&["enqueue", "add", "--args", "{\"a\":}"], "not valid JSON: expected value at line 1 column 6"),
        (&["enqueue", "add", "--args", "ann"], "as a JSON string it is '\"ann\"'"),
        (&["enqueue", "add", "--at", "noon"], "is no time: expected RFC 3339"),
        (&["enqueue", "add", "--in", "soon"], "is no duration"),
        (&["enqueue", "add", "--queue", " "], "must not be empty"),
        (&["enqueue"], "enqueue needs a task, or a file of jobs (--bulk FILE)\n  windlass enqueue sendMail "),
        (&["nonsense"], "unrecognized subcommand"),
        (&["--store", "mysql://x", "queues"], "--store: expected sqlite:PATH"),
        (&["--config", "nope.toml", "queues"], "nope.toml: cannot be read"),
    ] {
        let ended = place.run(args);
        assert_eq!(ended.code, 64, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(reason), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    for (args, error) in
        [(&["nonsense", "--json"][..], "unrecognized subcommand"), (&["--json", "enqueue", "a", "--at", "x"], "'x'")]
    {
        let ended = place.run(args);
        let said = serde_json::from_str::<serde_json::Value>(&ended.stdout).expect("one document");
        assert!(ended.code == 64 && said["error"].as_str().is_some_and(|said| said.contains(error)), "{ended:?}");
    }
    let unknown = place.run(&["enqueue", "zebra"]);
    assert!(unknown.stderr.contains("list the tasks: windlass tasks"), "{unknown:?}");
    for args in [&["enqueue", "sendmial"][..], &["perform", "sendmial"], &["tasks", "show", "sendmial"]] {
        let ended = place.run(args);
        assert!(ended.code == 1 && ended.stderr.contains("did you mean \"sendMail\"?"), "{args:?}: {ended:?}");
    }
    let json = place.run(&["enqueue", "sendmial", "--json"]);
    assert!(json.json()["error"].as_str().unwrap().starts_with("no task is called"), "{json:?}");
    assert_eq!(place.run(&["queues", "--json"]).json(), json!({"queues": [], "more": false}));
}

#[test]
fn a_job_is_delayed_once_for_each_second() {
    let place = Place::new();
    let at = |time: &str| place.run(&["enqueue", "add", "--at", time]);
    assert_eq!(at("1999999999500").done(), "enqueued add on math at 2033-05-18T03:33:20Z (2000000000000 ms)\n");
    let twice = at("@2000000000");
    assert_eq!((twice.code, twice.stdout.as_str()), (1, ""));
    assert!(twice.stderr.contains("Job already enqueued at this time with same arguments"), "{twice:?}");
    assert!(twice.stderr.contains("to count that as done: --suppress-duplicate"), "{twice:?}");
    let suppressed = place.run(&["enqueue", "add", "--at", "2033-05-18T03:33:20Z", "--suppress-duplicate", "--json"]);
    assert_eq!(suppressed.code, 0);
    assert_eq!(suppressed.json()["duplicate"], json!(true));
    at("@1999999999").done();
    assert_eq!(
        place.run(&["delayed", "timestamps", "--json"]).json()["timestamps"],
        json!([
            {"at": "2033-05-18T03:33:19Z", "ms": 1_999_999_999_000_i64, "length": 1},
            {"at": "2033-05-18T03:33:20Z", "ms": 2_000_000_000_000_i64, "length": 1},
        ])
    );
    let second = place.run(&["delayed", "--at", "@2000000000", "--json"]).json();
    assert_eq!(
        second["jobs"],
        json!([{"at": "2033-05-18T03:33:20Z", "ms": 2_000_000_000_000_i64, "class": "add", "queue": "math", "args": []}])
    );
    assert_eq!(place.run(&["delayed", "list", "--limit", "1", "--json"]).json()["more"], json!(true));
    assert!(place.run(&["delayed"]).done().contains("2033-05-18T03:33:19Z  1999999999000  math   add"));
    assert_eq!(
        place.run(&["delayed", "find", "add", "--args", "[]", "--json"]).json()["times"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        place.run(&["delayed", "delete", "add", "--queue", "math", "--args", "[]", "--json"]).json()["deleted"],
        json!(2)
    );
    assert_eq!(
        place.run(&["delayed", "delete", "add", "--args", "[]"]).done(),
        "add is not delayed with these arguments\n"
    );
    let within = place.run(&["enqueue", "add", "--in", "1h", "--json"]).json();
    assert!(within["ms"].as_i64().unwrap() > 1_700_000_000_000, "{within}");
    let seconds = place.run(&["enqueue", "add", "--at", "1795490778"]);
    assert!(seconds.code == 64 && seconds.stderr.contains("for seconds write @1795490778"), "{seconds:?}");
}

#[test]
fn a_bulk_file_is_enqueued_whole_or_not_at_all() {
    let place = Place::new();
    let bad = "{\"task\":\"add\"}\n{bad\n{\"task\":\"sendmial\"}\n";
    let refused = place.run_with(&["enqueue", "--bulk", "-", "--json"], bad);
    assert_eq!(refused.code, 64);
    assert!(refused.stderr.contains("line 2: ") && refused.stderr.contains("line 3: "), "{refused:?}");
    let lines: Vec<_> = refused.json()["lines"].as_array().unwrap().iter().map(|line| line["line"].clone()).collect();
    assert_eq!(lines, [json!(2), json!(3)]);
    assert_eq!(place.run(&["queues", "--json"]).json(), json!({"queues": [], "more": false}));

    let mut good: String = (0..1200).map(|n| format!("{{\"task\":\"add\",\"args\":[{n}]}}\n")).collect();
    good += "{\"task\":\"sendMail\"}\n{\"task\":\"sendMail\"}\n{\"task\":\"add\",\"at\":\"@2000000000\"}\n";
    place.write("jobs.jsonl", &good);
    let mut answer = place.run(&["enqueue", "--bulk", "jobs.jsonl", "--json"]).json();
    assert!(answer["refused"][0]["lock"]["until_ms"].take().is_i64());
    assert!(answer["refused"][0]["lock"]["until"].take().is_string());
    let lock = json!({"key": "lock:sendMail:mail:[]", "until": null, "until_ms": null});
    assert_eq!(
        answer,
        json!({
            "lines": 1203, "enqueued": 1201, "delayed": 1,
            "refused": [{"line": 1202, "refused_by": "QueueLock", "lock": lock}], "duplicates": [],
        })
    );
    let jobs = place.run(&["queues", "show", "math", "--start", "0", "--stop", "-1", "--json"]).json();
    let args: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["args"][0].as_u64().unwrap()).collect();
    assert!(args.iter().copied().eq(0..1200), "in the order of the lines");
    let twice = place.run_with(&["enqueue", "--bulk", "-"], "{\"task\":\"add\",\"at\":\"@2000000000\"}\n");
    assert_eq!(twice.code, 1);
    assert!(twice.stdout.contains("line 1: Job already enqueued at this time"), "{twice:?}");
    let missing = place.run(&["enqueue", "--bulk", "none.jsonl"]);
    assert!(missing.code == 64 && missing.stderr.contains("none.jsonl"), "{missing:?}");
}

#[test]
fn what_destroys_needs_yes_where_nobody_can_be_asked() {
    let place = Place::new();
    place.run(&["enqueue", "add"]).done();
    for args in [&["queues", "delete", "math"][..], &["failed", "remove", "--all"], &["workers", "force-clean", "w:1"]]
    {
        let ended = place.run(args);
        assert!(ended.code == 64 && ended.stderr.contains("repeat the command with --yes"), "{args:?}: {ended:?}");
    }
    assert_eq!(place.run(&["queues", "delete", "math", "--yes"]).done(), "deleted queue math with 1 job\n");
    let gone = place.run(&["queues", "delete", "math", "--yes"]);
    assert!(gone.code == 1 && gone.stderr.contains("there is no queue \"math\""), "{gone:?}");
    assert_eq!(place.run(&["failed", "remove", "--all", "--yes", "--json"]).json(), json!({"removed": 0}));
}

#[tokio::test]
async fn a_workers_job_is_shown_and_fails_when_the_worker_is_cleaned_away() {
    let place = Place::new();
    let store = place.store();
    let payload = r#"{"class":"add","queue":"math","args":[1.0]}"#;
    let worker = work(&store, "math", payload, &[]).await;
    assert_eq!(worker.name(), "there-windlass:7+1");

    let workers = place.run(&["workers", "--json"]).json();
    let view = &workers["workers"][0];
    assert_eq!((&view["id"], &view["queues"]), (&json!("there-windlass:7+1:*"), &json!("*")));
    assert_eq!(view["working"]["class"], json!("add"));
    let text = place.run(&["workers"]).done();
    assert!(text.contains("[1.0]") && text.contains("1 of 1 working"), "{text}");
    for name in [worker.name(), worker.id()] {
        let shown = place.run(&["workers", "show", name]).done();
        assert!(shown.contains("working on: add"), "{shown}");
    }
    let typo = place.run(&["workers", "show", "there-windlass:7+2"]);
    assert!(typo.code == 1 && typo.stderr.contains("did you mean \"there-windlass:7+1\""), "{typo:?}");

    let cleaned = place.run(&["workers", "force-clean", worker.name(), "--yes", "--json"]).json();
    assert_eq!(
        (&cleaned["failed"], &cleaned["class"], &cleaned["queue"]),
        (&json!(true), &json!("add"), &json!("math"))
    );
    let id = cleaned["failed_id"].as_str().unwrap();
    let shown = place.run(&["failed", "show", id, "--json"]).json();
    assert_eq!(shown["exception"], json!("Worker Timeout (killed manually)"));
    assert_eq!(shown["backtrace"][1], json!("queue#forceCleanWorker"));
    assert_eq!(place.run(&["workers"]).done(), "no workers are registered\n");
    assert_eq!(place.run(&["workers", "force-clean", worker.name(), "--yes"]).code, 1);
    assert_eq!(place.run(&["stats", "--json"]).json()["failed"], json!(1));
    // The bytes that go back are those that were taken.
    assert_eq!(place.run(&["failed", "retry", id]).code, 0);
    let back = store.queued(&QueueName::as_stored("math"), 0, -1).await.unwrap();
    assert_eq!(back, [Bytes::copy_from_slice(payload.as_bytes())]);
}

#[tokio::test]
async fn failed_jobs_of_every_writer_are_listed_removed_and_retried() {
    let place = Place::new();
    let store = place.store();
    let ours = failure("mail", r#"{"class":"sendMail","queue":"mail","args":[]}"#);
    let ruby = r#"{"failed_at":"2026/11/24 03:28:21 UTC","payload":{"class":"Boom","args":[1.0]},"exception":"ArgumentError","error":"bad","backtrace":["x.rb:7"],"worker":"vm:14321:math","queue":"math","retried_at":"2026/11/24 03:33:03 UTC"}"#;
    let go = r#"{"failed_at":"2026-11-24T03:35:27.9Z","payload":{"class":"Go","args":["\u0026"]},"exception":"Error","error":"e","backtrace":null,"worker":"vm:1-0:q"}"#;
    let broken = failure("mail", "{bad");
    work(&store, "mail", "{}", &[&ours, ruby, go, "junk", &broken, &ours]).await;

    assert_eq!(place.run(&["failed", "count"]).done(), "6\n");
    let page = place.run(&["failed", "--start", "0", "--json"]).json();
    let classes: Vec<_> = page["failed"].as_array().unwrap().iter().map(|view| view["class"].clone()).collect();
    assert_eq!(classes, [json!("sendMail"), json!("Boom"), json!("Go"), Value::Null, Value::Null, json!("sendMail")]);
    let ids: Vec<_> =
        page["failed"].as_array().unwrap().iter().map(|view| view["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids[0], ids[5], "records of equal bytes share an id");
    let text = place.run(&["failed"]).done();
    assert!(text.contains("Boom (retried)") && text.contains("ArgumentError: bad") && !text.contains("{bad"));
    assert!(text.contains(&ids[1][..12]) && text.ends_with("6 failed jobs in all\n"), "{text}");
    let last = place.run(&["failed", "--start", "-2", "--stop", "-1", "--json"]).json();
    assert_eq!((&last["failed"][0]["position"], &last["failed"][1]["position"]), (&json!(4), &json!(5)));

    // By id, by its first digits, by position from either end.
    for address in [&ids[1][..], &ids[1][..8], "1", "-5"] {
        assert_eq!(place.run(&["failed", "show", address, "--json"]).json()["class"], json!("Boom"), "{address}");
    }
    assert!(place.run(&["failed", "show", "1"]).done().contains("backtrace:\n  x.rb:7\n"));
    for (address, code) in [("99", 1), ("-99", 1), ("0123456789abcdef", 1), ("xyz", 1)] {
        assert_eq!(place.run(&["failed", "show", address]).code, code, "{address}");
    }

    // Go's record names no queue, junk holds no job: both stay.
    for (id, reason) in [(&ids[2], "names no queue"), (&ids[3], "holds no job")] {
        let ended = place.run(&["failed", "retry", id]);
        assert!(
            ended.code == 1 && ended.stderr.contains(reason) && ended.stderr.contains("its record stays"),
            "{ended:?}"
        );
    }
    let retried = place.run(&["failed", "retry", &ids[1], "--json"]).json();
    assert_eq!((&retried["outcome"], &retried["queue"]), (&json!("retried"), &json!("math")));
    assert_eq!(store.queued(&QueueName::as_stored("math"), 0, -1).await.unwrap(), [r#"{"class":"Boom","args":[1.0]}"#]);
    assert_eq!(place.run(&["failed", "retry", &ids[1]]).code, 1);

    // The task's own rules hold: the second of two equal jobs is refused and its record stays.
    let retried = place.run(&["failed", "retry", "--task", "sendMail", "--yes", "--json"]);
    assert_eq!(retried.code, 1);
    assert_eq!(retried.json()["retried"], json!(1));
    assert_eq!(retried.json()["refused"][0]["refused_by"], json!("QueueLock"));
    let all = place.run(&["failed", "retry", "--all", "--yes", "--json"]);
    assert_eq!((all.code, &all.json()["retried"]), (1, &json!(1)));
    assert_eq!(all.json()["not_retriable"].as_array().unwrap().len(), 2);
    let mail = store.queued(&QueueName::as_stored("mail"), 0, -1).await.unwrap();
    assert_eq!(mail, [r#"{"class":"sendMail","queue":"mail","args":[]}"#, "{bad"]);

    assert_eq!(place.run(&["failed", "remove", &ids[2], "--json"]).json(), json!({"removed": 1}));
    assert_eq!(place.run(&["failed", "remove", &ids[2]]).code, 1);
    assert_eq!(place.run(&["failed", "remove", "--all", "--yes"]).done(), "removed 2 failed jobs\n");
}

#[test]
fn a_task_is_performed_here_and_now() {
    let place = Place::without_store();
    let ended = place.run(&["perform", "sendMail", "--args", r#"{"to":"ann"}"#]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.starts_with("success in "), "{ended:?}");
    assert!(ended.stderr.contains("sending to ann\n") && ended.stderr.contains("a warning\n"), "{ended:?}");
    let failed = place.run(&["perform", "sendMail", "--args", r#"{"to":"nobody"}"#, "--json"]);
    assert_eq!(failed.code, 1);
    assert_eq!(failed.json()["outcome"], json!("failure"));
    assert_eq!(place.run(&["perform", "sendMail"]).code, 1, "a placeholder without a value fails the job");
    assert_eq!(place.run(&["perform", "hourly"]).code, 0);
    assert_eq!(place.run(&["perform", "nothing"]).code, 1);
    assert!(!place.path().join("windlass.db").exists(), "no store was opened");
}

#[test]
fn tasks_are_shown_as_they_were_understood() {
    let place = Place::new();
    let text = place.run(&["tasks"]).done();
    assert!(text.contains("sendMail  mail") && text.contains("/tasks.d/send {to}"), "{text}");
    let task = place.run(&["tasks", "show", "hourly", "--json"]).json();
    assert_eq!((&task["queue"], &task["frequency_ms"]), (&json!("default"), &json!(3_600_000)));
    let plugins: Vec<_> = task["plugins"].as_array().unwrap().iter().map(|plugin| plugin["name"].clone()).collect();
    assert_eq!(plugins, [json!("JobLock"), json!("QueueLock"), json!("DelayQueueLock")]);
    assert!(place.run(&["tasks", "show", "sendMail"]).done().contains("description: sends a mail"));
    let typo = place.run(&["tasks", "show", "sendmail"]);
    assert!(typo.code == 1 && typo.stderr.contains("did you mean \"sendMail\""), "{typo:?}");
}

#[test]
fn check_tells_what_was_understood_and_every_problem() {
    let place = Place::without_store();
    let well = place.run(&["check"]).done();
    assert!(well.contains("queues:               mail *\n") && well.ends_with("\nno problems\n"), "{well}");
    let json = place.run(&["check", "--json"]).json();
    assert_eq!((&json["ok"], &json["config"]["timeout_ms"]), (&json!(true), &json!(5000)));
    assert_eq!(json["tasks"].as_array().unwrap().len(), 3);
    assert!(!place.path().join("windlass.db").exists(), "no store was opened");

    place.write("tasks.d/bad.toml", "name = \"bad\"\nqueue = 7\n[run]\nbuiltin = \"nope\"\n");
    let bad = place.run(&["check", "--json"]);
    assert_eq!(bad.code, 64);
    let problems = bad.json()["problems"].as_array().unwrap().clone();
    assert!(problems.len() >= 2, "{problems:?}");
    assert!(problems.iter().all(|problem| problem["file"].as_str().unwrap().ends_with("bad.toml")), "{problems:?}");
    assert!(place.run(&["check"]).stdout.contains("bad.toml:2:"));
    place.write("config/tasks.toml", "timeot = 5\ntimeout = \"soon\"\n");
    let text = place.run(&["check"]);
    assert_eq!(text.code, 64);
    assert!(text.stdout.contains("tasks.toml:1:1") && text.stdout.contains("tasks.toml:2:"), "{text:?}");
    assert!(text.stdout.ends_with("4 problems\n"), "those of the tasks, too: {text:?}");
    let looked = place.run(&["queues"]);
    assert!(looked.code == 69 && looked.stderr.contains("there is no database"), "it goes on to the store: {looked:?}");
    assert_eq!(place.run(&["run"]).code, 64);
}

#[test]
fn a_store_that_is_not_there_is_told_with_what_to_check() {
    let place = Place::new();
    let ended = place.run(&["--store", "sqlite:/proc/x.db", "enqueue", "add"]);
    assert!(ended.code == 69 && ended.stderr.contains("/proc/x.db"), "{ended:?}");
    for url in ["redis+unix:///nonexistent/redis.sock", "redis://127.0.0.1:1"] {
        let ended = place.run(&["--store", url, "queues"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 2, "{ended:?}");
        assert!(ended.stderr.ends_with("WINDLASS_STORE_URL or --store\n"), "{ended:?}");
        assert!(ended.stderr.starts_with("windlass: failed to reach the store"), "{ended:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let place = Place::new();
    place.run(&["enqueue", "add"]).done();
    for args in [&["queues"][..], &["queues", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{args:?}");
    }
}

#[tokio::test]
async fn the_leaders_host_can_be_asked_for() {
    let place = Place::new();
    let store = place.store();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let which = windlass::store::scheduling::Leadership::Scheduler;
    assert!(store.lead(which, "elsewhere:1", 60_000).await.unwrap());
    assert_eq!(place.run(&["leader"]).done(), "elsewhere:1\n");
    assert_eq!(place.run(&["leader", "--check"]).code, 1);
    store.resign(which, "elsewhere:1").await.unwrap();
    assert!(store.lead(which, &format!("{host}-windlass:1"), 60_000).await.unwrap());
    assert_eq!(place.run(&["leader", "--check"]).done(), "");
    assert_eq!(place.run(&["leader", "--json"]).json()["here"], json!(true));
}

#[test]
fn what_a_command_has_changed_is_told_where_its_output_cannot_be_written() {
    let place = Place::new();
    place.run(&["enqueue", "add", "--arg", "1"]).done();
    place.run(&["enqueue", "add", "--arg", "1", "--at", "@4000000000"]).done();
    let rows: [(&[&str], &str); 10] = [
        (&["enqueue", "add", "--arg", "2"], "enqueued add on math"),
        (&["enqueue", "add", "--arg", "2", "--json"], "enqueued add on math"),
        (&["enqueue", "add", "--arg", "2", "--in", "1h"], "enqueued add on math at "),
        (&["queues", "pause", "math"], "paused"),
        (&["queues", "resume", "math"], "resumed"),
        (&["delayed", "delete", "add", "--arg", "1"], "deleted"),
        (&["jobs", "delete", "add", "--arg", "1"], "deleted"),
        (&["periodic", "stop", "hourly"], "stopped hourly"),
        (&["failed", "remove", "--all", "--yes"], "removed 0 failed jobs"),
        (&["queues", "delete", "math", "--yes"], "deleted"),
    ];
    for (args, outcome) in rows {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended =
            place.command(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(74), "a script must not repeat it: {args:?}: {said}");
        assert!(said.contains("failed to write the output") && said.contains("was carried out: "), "{args:?}: {said}");
        assert!(said.contains(outcome), "{args:?}: expected {outcome:?} in {said:?}");
        assert_eq!(said.matches("failed to write").count(), 1, "{args:?}: {said}");
    }
    let listed = place.run(&["queues", "--json"]).json();
    assert_eq!(listed["queues"], serde_json::json!([]), "the last one deleted it");
}

#[test]
fn a_hint_can_be_pasted_into_a_shell() {
    let folder = crate::daemon::Folder::new("sqlite:windlass.db", "");
    folder.script("note", "true");
    let inputs = "\n[inputs.to]\nrequired = true\n";
    let path = folder.path("tasks.d/note.toml");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + inputs).unwrap();
    let binary = env!("CARGO_BIN_EXE_windlass");
    for (words, args) in [
        (&["note", r#"{"to":"it's me"}"#][..], r#"[{"to":"it's me"}]"#),
        (&["note", "to=it's me", "n=2"], r#"[{"to":"it's me","n":2}]"#),
        (&["note", "{to:ada,n:2}"], r#"[{"to":"ada","n":2}]"#),
        (&["--queue", "a queue", "note", "{\"to\": 1}"], r#"[{"to":1}]"#),
    ] {
        let (code, said) = folder.windlass(&[&["enqueue"], words].concat());
        assert_eq!(code, Some(64), "{said}");
        let hint = said.split("arguments are JSON: windlass ").nth(1).and_then(|rest| rest.lines().next());
        let line = format!(
            "{binary} {} && {binary} --config '{}' --json queues show {}",
            hint.expect("there is one"),
            folder.path("tasks.toml").display(),
            if words.contains(&"a queue") { "'a queue'" } else { "default" }
        );
        let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(&format!("\"args\":{args}")), "{line}: {output:?}");
    }
    let (code, said) = folder.windlass(&["enqueue", "note", "--args", r#"["{\"to\":\"ada\"}"]"#]);
    assert_eq!(code, Some(64), "{said}");
    let option = said.trim_end().split("is typed so: ").nth(1).expect("there is one").to_owned();
    let line = format!("{binary} --config '{}' enqueue note {option}", folder.path("tasks.toml").display());
    let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("a shell");
    assert!(output.status.success() && option == r#"--args '{"to":"ada"}'"#, "{line}: {output:?}");
}
