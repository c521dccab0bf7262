//! `[[schedule]]` entries as people see, stop, start and run them, and the zones in which times are told.

use serde_json::json;

use windlass::store::scheduling::Fire;

use crate::daemon::{Folder, eventually};
use crate::place::Place;

const REPORT: &str = "name = \"report\"\nqueue = \"slow\"\n[run]\nbuiltin = \"noop\"\n\
                      [[schedule]]\nid = \"weekly\"\ncron = \"0 9 * * MON\"\ntime_zone = \"Europe/Berlin\"\nargs = { to = \"ann\" }\n";

fn place() -> Place {
    let place = Place::new();
    place.write("tasks.d/report.toml", REPORT);
    place
}

fn the_schedule(place: &Place) -> serde_json::Value {
    place.run(&["periodic", "--json"]).json()["schedules"][0].clone()
}

#[test]
fn a_schedule_is_listed_stopped_started_and_run_like_a_periodic_task() {
    let place = place();
    let new = the_schedule(&place);
    assert_eq!((&new["id"], &new["state"]), (&json!("report/weekly"), &json!("new")));
    assert_eq!((&new["last"], &new["time_zone"]), (&json!(null), &json!("Europe/Berlin")));
    assert!(new["due_in_zone"].as_str().unwrap().contains("T09:00:00+0"), "{new}");
    let text = place.run(&["periodic"]).done();
    assert!(text.contains("report/weekly") && text.contains("0 9 * * MON (Europe/Berlin)"), "{text}");

    // By the name of its task, which has no other one.
    assert!(place.run(&["periodic", "stop", "report"]).done().starts_with("stopped schedule report/weekly;"));
    assert_eq!(place.run(&["periodic", "stop", "report/weekly"]).done(), "schedule report/weekly is stopped already\n");
    let stopped = the_schedule(&place);
    assert_eq!((&stopped["state"], &stopped["due"]), (&json!("stopped"), &json!(null)));
    let plan =
        |place: &Place| place.run(&["plan", "--task", "report", "--hours", "200", "--json"]).json()["plan"].clone();
    assert_eq!(plan(&place), json!([]));
    let text = place.run(&["plan", "--task", "report", "--hours", "200"]).done();
    assert_eq!(
        text,
        "nothing is due within 200 hours\nreport/weekly is stopped: windlass periodic start report/weekly\n"
    );

    let run = place.run(&["periodic", "run", "report", "--json"]).json();
    assert_eq!(run, json!({"schedule": "report/weekly", "outcome": "enqueued"}));
    let queued = place.run(&["queues", "show", "slow", "--json"]).json();
    assert_eq!(queued["jobs"][0]["args"], json!([{"to": "ann"}]));

    assert!(place.run(&["periodic", "start", "report/weekly"]).done().starts_with("started schedule report/weekly"));
    assert_eq!(the_schedule(&place)["state"], json!("scheduled"));
    assert_eq!(place.run(&["periodic", "start", "report"]).done(), "schedule report/weekly is not stopped\n");
    let planned = plan(&place);
    assert_eq!(planned[0]["time_zone"], json!("Europe/Berlin"));
    assert!(planned[0]["at_in_zone"].as_str().unwrap().contains("T09:00:00+0"), "{planned}");
    let text = place.run(&["plan", "--task", "report", "--hours", "200"]).done();
    assert!(text.starts_with("AT") && text.contains("IN ITS ZONE") && text.contains(" 09:00:00 CE"), "{text}");
}

#[test]
fn a_name_that_is_of_several_schedules_or_of_none_is_told() {
    let place = place();
    place.write("tasks.d/report.toml", &format!("{REPORT}[[schedule]]\nid = \"daily\"\ncron = \"@daily\"\n"));
    let several = place.run(&["periodic", "stop", "report"]);
    assert!(several.code == 1 && several.stderr.contains("report/daily, report/weekly"), "{several:?}");
    let typo = place.run(&["periodic", "run", "report/weekli"]);
    assert!(typo.code == 1 && typo.stderr.contains("did you mean \"report/weekly\"?"), "{typo:?}");
}

#[test]
fn a_tick_tells_its_handler_for_when_it_was_due() {
    let folder = Folder::new("sqlite:jobs.db", "");
    // In the environment and in the object on stdin.
    folder.script("ticks", "echo \"$WINDLASS_SCHEDULED_AT $(cat)\" >> told");
    let path = folder.path("tasks.d/ticks.toml");
    let task = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("schedule = \"*/2 * * * * *\"\n{task}")).unwrap();
    let daemon = folder.daemon();
    eventually("three ticks have run", || folder.read("told").lines().count() >= 3);
    daemon.stop();
    let mut before = None;
    for line in folder.read("told").lines() {
        let (told, object) = line.split_once(' ').unwrap();
        let job: serde_json::Value = serde_json::from_str(object).unwrap();
        assert_eq!(job["scheduled_at"], json!(told), "{line}");
        assert_eq!(job["args"], json!([{}]));
        let due = chrono::DateTime::parse_from_rfc3339(told).unwrap().timestamp();
        assert!(due % 2 == 0 && before.is_none_or(|before| due > before), "{}", folder.read("told"));
        before = Some(due);
    }
}

#[test]
fn a_schedule_that_is_stopped_and_started_keeps_its_last_occurrence() {
    let place = place();
    // Once a year, so that no occurrence comes between.
    place.write("tasks.d/report.toml", &REPORT.replace("0 9 * * MON", "0 9 5 1 *"));
    let now_s = chrono::Utc::now().timestamp();
    let last_s = last_january(now_s);
    let fire = Fire { id: "report/weekly".to_owned(), seen_s: None, last_s, job: None };
    let store = place.store();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime must start");
    runtime.block_on(store.run(fire)).expect("fire");
    let last = the_schedule(&place)["last"].clone();
    assert_eq!(last["ms"], json!(last_s * 1000));
    for verb in ["stop", "start", "stop"] {
        place.run(&["periodic", verb, "report"]).done();
        assert_eq!(the_schedule(&place)["last"], last, "{verb}");
    }
}

/// The last fifth of January at 9:00 in Berlin.
fn last_january(now_s: i64) -> i64 {
    use chrono::{Datelike as _, TimeZone as _};
    let now = chrono::DateTime::from_timestamp(now_s, 0).expect("a date");
    let of = |year| chrono::Utc.with_ymd_and_hms(year, 1, 5, 8, 0, 0).single().expect("a time").timestamp();
    if of(now.year()) <= now_s { of(now.year()) } else { of(now.year() - 1) }
}
