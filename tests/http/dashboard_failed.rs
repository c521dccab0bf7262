//! Failed jobs on the pages of the dashboard: found, retried, mended and removed.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::daemon::{Folder, eventually};
use crate::dashboard::{form, page, said};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script(
        "fail",
        "case \"$WINDLASS_ARGS\" in *mended*) touch mended;; *) echo \"no $WINDLASS_ARGS <b>\" >&2; exit 3;; esac",
    );
}

/// So many jobs of the task that fails.
fn fail(world: &World, count: usize) {
    let body: String = (0..count).map(|n| format!("{{\"task\":\"fail\",\"args\":[\"<i>{n}\"]}}\n")).collect();
    world.place.json("POST", "/api/v1/jobs/bulk", &body);
    eventually("all have failed", || failed(world) == count);
}

fn failed(world: &World) -> usize {
    world.place.get("/api/v1/failed?limit=1").json()["count"].as_u64().unwrap() as usize
}

/// What the boxes on a page stand for.
fn boxes(page: &Answer) -> Vec<String> {
    page.body.split("name=\"t\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The value of a hidden field.
fn hidden<'p>(page: &'p Answer, name: &str) -> &'p str {
    let rest = page.body.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("{page:?}"));
    rest.split('"').next().unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn failures_are_listed_by_kind_and_one_by_one_and_filtered() {
    World::both("", tasks, |world| {
        fail(world, 60);
        let job = json!({"task": "nobody", "queue": "default", "args": [7], "foreign": true});
        world.place.json("POST", "/api/v1/jobs", &job.to_string());
        let shown = page(&world.place, "/failed", &[]);
        assert_eq!((shown.status, boxes(&shown).len()), (200, 50), "{shown:?}");
        assert!(!shown.body.contains("<i>") && !shown.body.contains("<b>\n") && shown.body.contains("&#60;i&#62;"));
        assert!(shown.body.len() < 256 * 1024, "{}", shown.body.len());
        let next = shown.body.split("<a class=\"button\" href=\"").last().unwrap().split('"').next().unwrap();
        let second = page(&world.place, &next.replace("&#38;", "&"), &[]);
        assert_eq!(boxes(&second).len(), 10, "{next}");
        assert!(boxes(&second).iter().all(|one| !boxes(&shown).contains(one)));
        let kind = shown.body.split("href=\"/failed?q=group%3A").nth(1).unwrap().split('"').next().unwrap();
        let of_kind = page(&world.place, &format!("/failed?q=group%3A{kind}"), &[]);
        assert!(of_kind.body.contains("aria-current=\"true\"") && boxes(&of_kind).len() == 50, "{of_kind:?}");
        let some = page(&world.place, &format!("/failed?q={}", encoded("task:fail args:\"<i>1\"")), &[]);
        assert_eq!(boxes(&some).len(), 11, "1 and 10 to 19");
        let none = page(&world.place, "/failed?q=task:other", &[]);
        assert!(none.status == 200 && none.body.contains("<h2>Nothing matches</h2>"), "{none:?}");
        let wrong = page(&world.place, "/failed?q=tsk:fail", &[]);
        assert!(wrong.status == 200 && wrong.body.contains("role=\"alert\""), "{wrong:?}");
    });
}

#[test]
fn one_is_shown_mended_and_retried() {
    World::both("", tasks, |world| {
        let place = &world.place;
        fail(world, 1);
        let one = place.get("/api/v1/failed").json()["items"][0].clone();
        let link = format!("/failed/{}", one["id"].as_str().unwrap());
        let shown = page(place, &format!("{link}?at=0"), &[]);
        assert!(shown.status == 200 && shown.body.contains("no [&#34;&#60;i&#62;0&#34;] &#60;b&#62;"), "{shown:?}");
        assert!(shown.body.contains(one["job_id"].as_str().unwrap()) && !shown.body.contains("<i>0"));
        let edit = page(place, &format!("{link}/edit?at=0"), &[]);
        assert!(
            edit.body.contains("rows=\"14\"") && edit.body.contains("[&#34;&#60;i&#62;0&#34;]</textarea>"),
            "{edit:?}"
        );
        let body = |args: &str, queue: &str| format!("args={}&queue={}", encoded(args), encoded(queue));
        let wrong = form(place, &format!("{link}/edit?at=0"), &body("[1", "default"), &[]);
        assert!(wrong.status == 200 && wrong.body.contains("role=\"alert\"") && wrong.body.contains(">[1</textarea>"));
        let queue = one["queue"].as_str().unwrap();
        let diff = form(place, &format!("{link}/edit?at=0"), &body("[\"mended\", 12345678901234567890]", queue), &[]);
        assert!(diff.body.contains("<ins>") && diff.body.contains("<del>"), "{diff:?}");
        assert!(diff.body.contains("12345678901234567890"), "no number changes on the way");
        assert_eq!(failed(world), 1, "nothing has changed yet");
        let before = world.all("/api/v1/audit", 50).len();
        let args = hidden(&diff, "args").replace("&#34;", "\"");
        let done = form(place, &format!("{link}/retry?at=0"), &body(&args, hidden(&diff, "queue")), &[]);
        let told = said(place, &done, &[]);
        assert!(told.starts_with("fail is back on queue") && told.contains("with the changes"), "{told}");
        eventually("it ran with what was written", || world.folder.path("mended").exists());
        let audit = world.all("/api/v1/audit", 50);
        assert_eq!(audit.len(), before + 1, "to look at what would change is no change: {audit:?}");
        assert_eq!(audit[0]["result"]["mended"]["args_before"], "[\"<i>0\"]");
        assert_eq!(failed(world), 0);
        assert_eq!(page(place, &format!("{link}?at=0"), &[]).status, 404);
        let again = said(place, &form(place, &format!("{link}/retry?at=0"), "", &[]), &[]);
        assert!(again.starts_with("This job is not in failed queue"), "{again}");
    });
}

#[test]
fn what_is_ticked_goes_together_and_nothing_else() {
    World::both("", tasks, |world| {
        let place = &world.place;
        fail(world, 6);
        let ticks = boxes(&page(place, "/failed", &[]));
        let body = |ticks: &[String]| {
            let fields: Vec<String> = ticks.iter().map(|one| format!("t={}", encoded(one))).collect();
            format!("back=%2Ffailed&{}", fields.join("&"))
        };
        // One of them is gone by then, and so the others stand elsewhere.
        let gone = ticks[5].split('@').next().unwrap();
        assert_eq!(place.send("DELETE", &format!("/api/v1/failed/{gone}"), &[], b"").status, 200);
        let removed = said(place, &form(place, "/failed/remove", &body(&ticks[3..]), &[]), &[]);
        assert_eq!(removed, "2 jobs are removed. 1 is gone already.");
        let left: Vec<String> = boxes(&page(place, "/failed", &[])).iter().map(|one| one[..16].to_owned()).collect();
        assert_eq!(left, ticks[..3].iter().map(|one| one[..16].to_owned()).collect::<Vec<_>>());
        let retried = said(place, &form(place, "/failed/retry", &body(&ticks[..2]), &[]), &[]);
        assert_eq!(retried, "2 jobs are retried.");
        eventually("they failed again", || failed(world) == 3);
        let nothing = said(place, &form(place, "/failed/retry", "back=%2Ffailed", &[]), &[]);
        assert_eq!(nothing, "nothing is ticked");
        let one = boxes(&page(place, "/failed", &[]))[0].clone();
        let (id, at) = one.split_once('@').unwrap();
        let told = said(place, &form(place, &format!("/failed/{id}/remove?at={at}"), "", &[]), &[]);
        assert_eq!((told.as_str(), failed(world)), ("The failed job is removed.", 2));
    });
}

#[test]
fn all_that_match_are_counted_first_and_then_changed() {
    World::both("", tasks, |world| {
        let place = &world.place;
        fail(world, 12);
        let counted = form(place, "/failed/count", "do=remove&q=args%3A%22%3Ci%3E1%22&back=%2Ffailed", &[]);
        assert_eq!(counted.status, 303);
        let at = counted.header("location").unwrap().to_owned();
        let mut shown = page(place, &at, &[]);
        eventually("it is counted", || {
            shown = page(place, &at, &[]);
            shown.body.contains("name=\"expect\"")
        });
        assert!(shown.body.contains("Remove 3 failed jobs"), "1, 10 and 11: {shown:?}");
        assert_eq!((hidden(&shown, "expect"), failed(world)), ("3", 12));
        let wrong = said(place, &form(place, "/failed/all", "do=remove&q=&expect=3&back=%2Ffailed", &[]), &[]);
        assert!(wrong.contains("12 failed jobs match") && wrong.contains("nothing was changed"), "{wrong}");
        let begun = form(place, "/failed/all", "do=remove&q=args%3A%22%3Ci%3E1%22&expect=3&back=%2Ffailed", &[]);
        assert_eq!(said(place, &begun, &[]), "It has begun.");
        eventually("they are gone", || failed(world) == 9);
        let at = begun.header("location").unwrap().to_owned();
        eventually("it says so", || page(place, &at, &[]).body.contains("<dt>removed</dt><dd>3</dd>"));
        let audit: Vec<Value> = world.all("/api/v1/audit", 50);
        assert!(audit.iter().any(|entry| entry["what"] == "POST /failed/all"), "{audit:?}");
        assert_eq!(page(place, "/operations/none", &[]).status, 404);
    });
}
