//! Looking and correcting by command: the shapes of the answers, what is asked before, how it ends.

use serde_json::{Value, json};
use windlass::job::Failure;
use windlass::store::queueing::Enqueue;

use crate::place::Place;
use crate::support::verbs::Verbs as _;

/// Puts these bytes on a queue as they are.
pub(crate) fn push(place: &Place, queue: &str, payloads: &[&str]) {
    let job = |payload: &&str| Enqueue {
        queue: windlass::job::QueueName::as_stored(queue),
        payload: bytes::Bytes::copy_from_slice(payload.as_bytes()),
        front: false,
        admissions: Vec::new(),
    };
    let jobs: Vec<_> = payloads.iter().map(job).collect();
    let store = place.store();
    tokio::runtime::Runtime::new().unwrap().block_on(store.enqueue(&jobs)).unwrap();
}

fn args(place: &Place, queue: &str) -> Vec<String> {
    let shown = place.run(&["queues", "show", queue, "--json"]).json();
    shown["jobs"].as_array().unwrap().iter().map(|job| job["args"].to_string()).collect()
}

#[test]
fn jobs_in_other_spellings_are_counted_in_the_order_in_which_they_stand() {
    let place = Place::new();
    let [ruby, go, spaced] =
        [r#"{"class":"add","args":[1.0]}"#, r#"{"args":[1],"class":"add"}"#, r#"{"class": "add", "args": [1]}"#];
    let other = r#"{"class":"add","args":[2]}"#;
    let delete = |count: &str| {
        place.run(&["jobs", "delete", "add", "--queue", "math", "--args", "[1]", "--count", count, "--json"]).json()
    };
    push(&place, "math", &[spaced, ruby, other, go, ruby]);
    assert_eq!(delete("2"), json!({"deleted": 2, "other_spellings": 2}));
    assert_eq!(args(&place, "math"), ["[2]", "[1]", "[1.0]"], "the first two");
    assert_eq!(delete("-1"), json!({"deleted": 1, "other_spellings": 1}));
    assert_eq!(args(&place, "math"), ["[2]", "[1]"], "the last one");
    assert_eq!(delete("0"), json!({"deleted": 1, "other_spellings": 1}));
    assert_eq!(delete("0"), json!({"deleted": 0, "other_spellings": 0}));
}

#[test]
fn all_jobs_of_a_class_are_deleted_however_many_there_are() {
    let place = Place::new();
    let mut payloads: Vec<String> =
        (0..1203).map(|n| format!(r#"{{"class":"add","queue":"math","args":[{n}]}}"#)).collect();
    payloads.insert(600, r#"{"class":"other","args":["middle"]}"#.to_owned());
    payloads.insert(0, r#"{"class":"other","args":["first"]}"#.to_owned());
    payloads.push("{bad".to_owned());
    push(&place, "math", &payloads.iter().map(String::as_str).collect::<Vec<_>>());
    let some = ["jobs", "delete", "add", "--any-args", "--start", "-3", "--stop", "-1", "--yes"];
    assert_eq!(place.run(&some).done(), "deleted 2 jobs of add from math\n");
    let all = place.run(&["jobs", "delete", "add", "--queue", "math", "--any-args", "--json", "--yes"]).json();
    assert_eq!(all, json!({"deleted": 1201, "other_spellings": 0}));
    assert_eq!(args(&place, "math"), [r#"["first"]"#, r#"["middle"]"#, "null"]);
}

/// The same without the ages of the oldest jobs, which the clock decides.
fn without_waits(mut document: Value) -> Value {
    for queue in document["queues"].as_array_mut().unwrap() {
        let queue = queue.as_object_mut().unwrap();
        let (least, most) = (queue.remove("oldest_ms"), queue.remove("oldest_most_ms"));
        assert_eq!(least.is_some(), queue["length"] != 0, "SQLite knows it: {queue:?}");
        assert_eq!(least, most, "exactly");
    }
    document
}

#[test]
fn the_whole_is_told_in_one_document() {
    let place = Place::new();
    place.run(&["enqueue", "add", "--args", "[1]"]).done();
    let mut details = without_waits(place.run(&["details", "--json"]).json());
    // The release of this build, and that of the system, if it has one.
    let zones = details.as_object_mut().and_then(|members| members.remove("time_zones"));
    assert!(zones.is_some_and(|zones| zones["built_in"].is_string()));
    assert_eq!(
        details,
        json!({
            "queues": [{"queue": "math", "length": 1}],
            "workers": [],
            "failed": 0,
            "stats": {"processed": 0, "failed": 0, "workers": []},
            "leader": null,
            "duties": null,
            "unreadable": [],
        })
    );
    assert!(place.run(&["details"]).done().contains("math"));
}

#[test]
fn of_many_names_the_first_are_shown_and_that_there_are_more_is_told() {
    let place = Place::new();
    for queue in ["c", "b", "e", "a"] {
        push(&place, queue, &["{}", "{}"]);
    }
    // Paused queues need not exist.
    for queue in ["d", "b"] {
        place.run(&["queues", "pause", queue, "--new"]).done();
    }
    let list = |limit: &str| without_waits(place.run(&["queues", "list", "--limit", limit, "--json"]).json());
    let queue = |name: &str| json!({"queue": name, "length": 2});
    let paused = |name: &str, length: u32| json!({"queue": name, "length": length, "paused": true});
    let all = [queue("a"), paused("b", 2), queue("c"), paused("d", 0), queue("e")];
    for limit in 1..=5 {
        let shown = json!({"queues": &all[..limit], "more": limit < 5});
        assert_eq!(list(&limit.to_string()), shown);
    }
    assert_eq!(list("1000"), json!({"queues": all, "more": false}));
    let text = place.run(&["queues", "list", "--limit", "2"]).done();
    assert!(text.ends_with("there are more: use queues list --limit N\n") && text.contains("paused"), "{text}");
    push(&place, "mailing", &["{}"]);
    assert!(place.run(&["queues", "show", "mailings"]).stderr.contains("did you mean"));

    let (runtime, store) = (tokio::runtime::Runtime::new().unwrap(), place.store());
    let record = crate::cli::record();
    let workers = [3, 1, 2].map(|number| record.worker(number));
    runtime.block_on(store.join(&record)).unwrap();
    runtime.block_on(store.register(&record.id, &workers)).unwrap();
    let workers = place.run(&["workers", "list", "--limit", "2", "--json"]).json();
    let names: Vec<_> = workers["workers"].as_array().unwrap().iter().map(|worker| worker["name"].clone()).collect();
    assert_eq!((names.len(), &workers["more"]), (2, &json!(true)), "{workers}");
    assert!(names[0].as_str() < names[1].as_str(), "{names:?}");
    let text = place.run(&["workers", "list", "--limit", "2"]).done();
    assert!(text.contains("there are more: use workers list --limit N"), "{text}");
    assert_eq!(place.run(&["workers", "list", "--json"]).json()["more"], json!(false));
}

#[test]
fn what_is_not_there_is_told_plainly() {
    let place = Place::new();
    let nothing = json!({"retried": 0, "refused": [], "not_retriable": [], "gone": 0});
    assert_eq!(place.run(&["failed", "retry-stuck", "--json"]).json(), nothing);
    assert_eq!(place.run(&["workers", "clean", "--older-than", "1h", "--json"]).json(), json!({"cleaned": []}));
    assert_eq!(place.run(&["workers", "clean", "--older-than", "soon"]).code, 64);
    assert_eq!(place.run(&["workers", "clean"]).code, 64);
    let id = windlass::admin::failed::id(&Failure::new("Error", "x").record("w", "q", b"{}", 0));
    for verb in ["show", "remove", "retry"] {
        let answer = place.run(&["failed", verb, &id]);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("This job is not in failed queue"), "{answer:?}");
    }
}

/// Jobs of other tasks that are due before do not count towards the limit.
#[test]
fn a_plan_of_one_task_shows_its_jobs_behind_those_of_others() {
    let place = Place::new();
    for n in 0..3 {
        place.run(&["enqueue", "add", "--arg", &n.to_string(), "--at", "@1900000000"]).done();
    }
    place.run(&["enqueue", "sendMail", "--args", r#"{"to":"ann"}"#, "--at", "@1900000000"]).done();
    let hours = "87600";
    let plan = place.run(&["plan", "--task", "sendMail", "--hours", hours, "--limit", "1", "--json"]).json();
    assert_eq!(plan["plan"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!((&plan["plan"][0]["args"], &plan["more"]), (&json!([{"to": "ann"}]), &json!(false)));
    let gone = place.run(&["plan", "--task", "sendMial"]);
    assert!(gone.code == 1 && gone.stderr.contains("did you mean \"sendMail\"?"), "{gone:?}");
}
