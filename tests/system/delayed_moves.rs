//! `delayed run`, `move` and `delete` of all jobs that match, as people type them.

use serde_json::json;

use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    for n in 1..=3 {
        place.run(&["enqueue", "add", "--arg", &n.to_string(), "--at", "2036-01-01T00:00:00Z"]).done();
    }
    place.run(&["enqueue", "sendMail", "--args", "{\"to\":\"ann\"}", "--at", "2036-01-01T00:00:00Z"]).done();
    place
}

fn due(place: &Place) -> Vec<(String, String)> {
    let page = place.run(&["delayed", "--json"]).json();
    let jobs = page["jobs"].as_array().unwrap().iter();
    jobs.map(|job| (job["at"].as_str().unwrap().to_owned(), job["args"].to_string())).collect()
}

#[test]
fn what_matches_is_counted_asked_about_and_moved() {
    let place = place();
    let asked = place.run(&["delayed", "move", "--task", "add", "--to", "2037-01-01T00:00:00Z"]);
    assert!(asked.code == 64 && asked.stderr.contains("Move 3 delayed jobs to 2037-01-01T00:00:00Z?"), "{asked:?}");
    let moved = place.run(&[
        "delayed",
        "move",
        "--task",
        "add",
        "--to",
        "2037-01-01 01:00",
        "--zone",
        "Europe/Berlin",
        "--yes",
    ]);
    assert!(
        moved.stdout.starts_with("moved to 2037-01-01T00:00:00Z: 2037-01-01 01:00:00 CET in Europe/Berlin"),
        "{moved:?}"
    );
    assert!(moved.stdout.ends_with(": 3 delayed jobs\n"), "{moved:?}");
    let later = "2037-01-01T00:00:00Z".to_owned();
    assert_eq!(due(&place)[1..], [1, 2, 3].map(|n| (later.clone(), format!("[{n}]"))));
    // One job, by its arguments.
    let back = ["delayed", "move", "add", "--arg", "2", "--to", "2035-01-01T00:00:00Z", "--yes", "--json"];
    assert_eq!(
        place.run(&back).json(),
        json!({"jobs": 1, "ticks": 0, "at": "2035-01-01T00:00:00Z", "ms": 2_051_222_400_000_i64})
    );
    assert_eq!(due(&place)[0], ("2035-01-01T00:00:00Z".to_owned(), "[2]".to_owned()));
    let ran = place.run(&["delayed", "run", "--task", "add", "--yes"]).done();
    assert!(ran.starts_with("due now: 3 delayed jobs\nno scheduler leads"), "{ran}");
    let deleted = place.run(&["delayed", "delete", "--at", "2036-01-01T00:00:00Z", "--yes"]).done();
    assert_eq!(deleted, "deleted: 1 delayed job\n");
    assert_eq!(due(&place).len(), 3);
}

#[test]
fn nothing_that_matches_is_told_and_a_name_that_does_not_exist_ends_with_1() {
    let place = place();
    let none = ["delayed", "run", "--task", "add", "--queue", "default", "--yes"];
    assert_eq!(place.run(&none).done(), "no delayed jobs match\n");
    for command in [
        &["delete", "--task", "add", "--queue", "mth", "--yes"][..],
        &["run", "--queue", "mth", "--yes"],
        &["move", "--task", "add", "--queue", "mth", "--to", "2037-01-01T00:00:00Z", "--yes"],
        &["find", "add", "--queue", "mth", "--arg", "1"],
        &["delete", "add", "--queue", "mth", "--arg", "1"],
    ] {
        let typo = place.run(&[&["delayed"], command].concat());
        assert!(typo.code == 1 && typo.stderr.contains("did you mean \"math\"?"), "{command:?}: {typo:?}");
    }
    let typo = place.run(&["delayed", "delete", "--task", "ad", "--yes"]);
    assert!(typo.code == 1 && typo.stderr.contains("did you mean \"add\"?"), "{typo:?}");
    assert_eq!(due(&place).len(), 4);
}

#[test]
fn a_task_without_arguments_may_mean_all_its_jobs_or_those_without_any_so_that_the_line_says_which() {
    let place = place();
    place.run(&["enqueue", "add", "--at", "2036-01-01T00:00:01Z"]).done();
    for verb in [
        &["delayed", "find", "add"][..],
        &["delayed", "run", "add", "--yes"],
        &["delayed", "move", "add", "--to", "2037-01-01T00:00:00Z", "--yes"],
        &["delayed", "delete", "add", "--yes"],
        &["jobs", "delete", "add"],
        &["explain", "job", "--task", "add"],
    ] {
        let refused = place.run(verb);
        let told = |part: &str| refused.stderr.contains(part);
        assert!(refused.code == 64 && told("which jobs of add?") && told("--args '[]' "), "{verb:?}: {refused:?}");
        assert!(told(if verb[0] == "explain" { "explain task add" } else { "--any-args " }), "{verb:?}: {refused:?}");
        assert_eq!(due(&place).len(), 5, "{verb:?}");
    }
    let found = place.run(&["delayed", "find", "add", "--any-args", "--json"]).json();
    let times: Vec<_> = found["times"].as_array().unwrap().iter().map(|time| time["at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2036-01-01T00:00:00Z", "2036-01-01T00:00:01Z"]);
    let help = place.run(&["delayed", "run", "--help"]).done();
    assert!(help.contains("TASK names jobs by their arguments"), "{help}");
    let deleted = place.run(&["delayed", "delete", "add", "--args", "[]", "--json"]).json();
    assert_eq!(deleted["deleted"], json!(1));
    assert_eq!(place.run(&["delayed", "delete", "add", "--any-args", "--yes"]).done(), "deleted: 3 delayed jobs\n");
    assert_eq!(due(&place).len(), 1);
}

#[test]
fn all_jobs_of_a_queue_are_changed_whatever_their_task_is() {
    let place = place();
    let moved = ["delayed", "move", "--queue", "math", "--to", "2037-01-01T00:00:00Z", "--yes"];
    assert!(place.run(&moved).done().ends_with(": 3 delayed jobs\n"));
    assert_eq!(place.run(&["delayed", "delete", "--queue", "math", "--yes"]).done(), "deleted: 3 delayed jobs\n");
    assert_eq!(due(&place).len(), 1);
    let none = place.run(&["delayed", "run", "--yes"]);
    assert!(none.code == 64 && none.stderr.contains("TASK"), "{none:?}");
}
