//! Pages and forms of the dashboard, as a browser without a script meets them.

use std::fs;

use serde_json::json;

use crate::client::{Answer, Place};
use crate::daemon::Folder;
use crate::world::{TOKEN, World};

const READER: &str = "a-token-that-only-reads";
const OPERATOR: &str = "a-token-that-operates-it";
/// The largest page.
const LARGEST: usize = 128 * 1024;

fn tasks(folder: &Folder) {
    folder.script("fail", "echo \"no $WINDLASS_ARGS\" >&2; exit 1");
}

fn tokens() -> String {
    let named = |name: &str, token: &str| format!("{{ name = \"{name}\", role = \"{name}\", token = \"{token}\" }}");
    format!(
        "token = {{ file = \"token\" }}\ntokens = [{}, {}]\nloopback = \"token\"",
        named("read", READER),
        named("operate", OPERATOR)
    )
}

fn token_file(folder: &Folder) {
    fs::write(folder.path("token"), format!("{TOKEN}\n")).unwrap();
}

/// A page, as a browser asks for it.
pub(crate) fn page(place: &Place, path: &str, more: &[(&str, &str)]) -> Answer {
    place.send("GET", path, &[&[("accept", "text/html,*/*;q=0.8")], more].concat(), b"")
}

/// A form, as a browser sends it.
pub(crate) fn form(place: &Place, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
    let own = [
        ("accept", "text/html,*/*;q=0.8"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    place.send("POST", path, &[&own, more].concat(), body.as_bytes())
}

/// The cookie of this name that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let set = answer.headers("set-cookie").find(|value| value.starts_with(name))?;
    set.split(';').next().map(str::to_owned)
}

/// What the page says first to which an answer leads.
#[track_caller]
pub(crate) fn said(place: &Place, answer: &Answer, more: &[(&str, &str)]) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    let cookie = cookie(answer, "windlass_said").unwrap_or_else(|| panic!("it says nothing: {answer:?}"));
    let cookies = more.iter().find(|(name, _)| *name == "cookie").map(|(_, value)| format!("{value}; {cookie}"));
    let all: Vec<(&str, &str)> = more.iter().filter(|(name, _)| *name != "cookie").copied().collect();
    let cookies = cookies.unwrap_or(cookie);
    let shown = page(place, answer.header("location").unwrap(), &[&all[..], &[("cookie", &cookies)]].concat());
    assert_eq!(shown.status, 200, "{shown:?}");
    assert!(shown.headers("set-cookie").any(|value| value.contains("Max-Age=0")), "it is said once: {shown:?}");
    let text = shown.body.split("role=\"status\"><p>").nth(1).unwrap_or_else(|| panic!("{shown:?}"));
    text.split("</p>").next().unwrap().to_owned()
}

/// Each page that stands without a name.
const PAGES: [&str; 4] = ["/", "/queues", "/queues?sort=oldest&q=a", "/failed"];

#[test]
fn every_page_is_whole_bounded_and_safe_on_both_stores() {
    World::both("", tasks, |world| {
        let hostile = "<script>alert(1)</script>\"'&/..?#é\u{202e}";
        let job = json!({"task": hostile, "queue": hostile, "args": [hostile], "foreign": true});
        assert_eq!(world.place.json("POST", "/api/v1/jobs", &job.to_string()).status, 201);
        let encoded: String = hostile.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let of_queue = format!("/queues/{encoded}");
        for path in PAGES.into_iter().chain([of_queue.as_str()]) {
            let shown = page(&world.place, path, &[]);
            assert_eq!((shown.status, shown.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
            assert!(shown.body.len() < LARGEST && shown.body.ends_with("</html>\n"), "{path}: {}", shown.body.len());
            assert!(!shown.body.contains("<script>alert") && !shown.body.contains("\"'&/"), "{path}: {}", shown.body);
            let policy = shown.header("content-security-policy").unwrap();
            assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(shown.header("cache-control"), Some("no-store"));
        }
        let queue = page(&world.place, &of_queue, &[]);
        assert!(queue.body.contains("&#60;script&#62;alert(1)"), "{}", queue.body);
        let heading = queue.body.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
        assert!(
            heading.contains("\\u202e") && !heading.contains('\u{202e}'),
            "a name passes for no other one: {heading}"
        );
        for (path, status) in [("/queues/none", 404), ("/nothing", 404), ("/queues?sort=", 200), ("/?window=7d", 400)] {
            let shown = page(&world.place, path, &[]);
            assert_eq!(shown.status, status, "{path}");
            assert!(shown.body.contains("</html>"), "{path}: {shown:?}");
        }
        assert_eq!(world.place.get("/queues/none").problem(), "unknown-queue", "for programs as ever");
    });
}

#[test]
fn a_part_is_sent_again_only_if_it_has_changed() {
    let world = World::sqlite("", tasks);
    world.cli(&["queues", "pause", "--new", "mail"]);
    let part = page(&world.place, "/queues", &[("hx-request", "true")]);
    assert!(part.body.trim_start().starts_with("<main id=\"live\"") && !part.body.contains("<nav class=\"rail\""));
    let tag = part.header("etag").unwrap();
    let known = [("hx-request", "true"), ("if-none-match", tag)];
    let same = page(&world.place, "/queues", &known);
    assert_eq!((same.status, same.body.as_str()), (304, ""), "{same:?}");
    world.cli(&["queues", "pause", "--new", "images"]);
    assert_eq!(page(&world.place, "/queues", &known).status, 200);
    assert_eq!(page(&world.place, "/queues", &[("if-none-match", tag)]).status, 200, "a whole page is sent whole");
    world.daemon.stop();
}

#[test]
fn what_a_page_loads_has_one_address_for_good() {
    let world = World::sqlite("", tasks);
    let shown = page(&world.place, "/", &[]);
    let mut seen = 0;
    for rest in shown.body.split("\"/static/").skip(1) {
        let asset = world.place.get(&format!("/static/{}", rest.split('"').next().unwrap()));
        assert_eq!(asset.status, 200, "{asset:?}");
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(asset.header("x-content-type-options"), Some("nosniff"));
        seen += 1;
    }
    assert_eq!(seen, 5, "{}", shown.body);
    assert_eq!(world.place.get("/static/0000000000000000/style.css").status, 404);
    world.daemon.stop();
}

#[test]
fn queues_are_paused_resumed_and_deleted_and_the_audit_tells_it() {
    World::both("", tasks, |world| {
        let place = &world.place;
        for n in 0..3 {
            let job = json!({"task": "Other", "queue": "mail", "args": [n], "foreign": true});
            place.json("POST", "/api/v1/jobs", &job.to_string());
        }
        let paused = |queue: &str| place.get(&format!("/api/v1/queues/{queue}")).json()["paused"] == true;
        let answer = form(place, "/queues/mail/pause", "back=%2Fqueues%3Fsort%3Dlength", &[]);
        assert_eq!(answer.header("location"), Some("/queues?sort=length"));
        assert_eq!(said(place, &answer, &[]), "Queue mail is paused.");
        assert!(paused("mail"));
        assert!(page(place, "/queues", &[]).body.contains("formaction=\"/queues/mail/resume\""));
        said(place, &form(place, "/queues/mail/resume", "", &[]), &[]);
        assert!(!paused("mail"));
        assert_eq!(said(place, &form(place, "/pause", "", &[]), &[]), "All queues are paused.");
        assert!(paused("mail"));
        said(place, &form(place, "/resume", "", &[]), &[]);
        assert!(!paused("mail"));
        // A job is removed by its bytes, wherever it stands by now.
        let shown = page(place, "/queues/mail", &[]);
        let row = shown.body.split("id=\"j-1\"").nth(1).unwrap();
        let key = row.split("name=\"job\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let body = format!("job={key}&at=7&back=%2Fqueues%2Fmail");
        assert_eq!(said(place, &form(place, "/queues/mail/remove", &body, &[]), &[]), "A job of Other is removed.");
        let args = |world: &World| {
            let jobs = world.all("/api/v1/queues/mail/jobs", 50);
            jobs.iter().map(|job| job["args"][0].as_i64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(args(world), [0, 2]);
        let again = said(place, &form(place, "/queues/mail/remove", &body, &[]), &[]);
        assert!(again.starts_with("This job is gone"), "{again}");
        // Nothing is deleted that was not seen.
        let other = said(place, &form(place, "/queues/mail/clear", "expect=3", &[]), &[]);
        assert!(other.contains("holds 2") || other.contains('2'), "{other}");
        assert_eq!(args(world), [0, 2]);
        let unnamed = said(place, &form(place, "/queues/mail/clear", "expect=1000&name=mial", &[]), &[]);
        assert!(unnamed.starts_with("Nothing was deleted"), "{unnamed}");
        let cleared = said(place, &form(place, "/queues/mail/clear", "expect=2", &[]), &[]);
        assert_eq!(cleared, "Queue mail and its 2 jobs are deleted.");
        let audit = world.all("/api/v1/audit", 50);
        let whats: Vec<&str> = audit.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
        for what in
            ["POST /queues/{queue}/pause", "POST /resume", "POST /queues/{queue}/remove", "POST /queues/{queue}/clear"]
        {
            assert!(whats.contains(&what), "{whats:?}");
        }
        assert_eq!(audit[0]["result"]["deleted"], 2, "{}", audit[0]);
    });
}

#[test]
fn a_page_of_very_many_queues_is_bounded() {
    let world = World::sqlite("", tasks);
    let lines: String = (0..600)
        .map(|n| {
            format!("{}\n", json!({"task": "Other", "queue": format!("a-queue-of-a-usual-name-{n}"), "args": [n]}))
        })
        .collect();
    world.place.json("POST", "/api/v1/jobs/bulk?foreign", &lines);
    let shown = page(&world.place, "/queues", &[]);
    assert_eq!(shown.body.matches("data-row").count(), 500);
    assert!(shown.body.len() < 256 * 1024, "{} bytes", shown.body.len());
    assert!(shown.body.contains("500 of 60"), "how many there are is told");
    world.daemon.stop();
}

#[test]
fn jobs_of_a_queue_are_found_from_either_end() {
    World::both("", tasks, |world| {
        let lines: String = (0..120)
            .map(|n| format!("{}\n", json!({"task": "Other", "queue": "many", "args": [format!("n{n:03}")]})))
            .collect();
        world.place.json("POST", "/api/v1/jobs/bulk?foreign", &lines);
        let shown = |path: &str| {
            let body = page(&world.place, path, &[]).body;
            let jobs = body.split("id=\"j-").skip(1).map(|row| row.split('"').next().unwrap().parse::<u32>().unwrap());
            (jobs.collect::<Vec<_>>(), body)
        };
        let (head, body) = shown("/queues/many");
        assert_eq!(head, (0..50).collect::<Vec<_>>());
        assert!(body.contains("href=\"/queues/many?from=head&#38;passed=50\">Further"), "{body}");
        assert_eq!(shown("/queues/many?from=head&passed=100").0, (100..120).collect::<Vec<_>>());
        assert_eq!(shown("/queues/many?from=tail").0, (70..120).rev().collect::<Vec<_>>());
        assert_eq!(shown("/queues/many?q=N11").0, (110..120).collect::<Vec<_>>());
        assert_eq!(shown("/queues/many?q=n11&from=tail").0, (110..120).rev().collect::<Vec<_>>());
        assert_eq!(shown("/queues/many?passed=999").0, Vec::<u32>::new());
    });
}

#[test]
fn below_a_path_every_link_begins_with_it() {
    let world =
        World::sqlite("base = \"/jobs\"\ntrusted_proxies = [\"127.0.0.1\"]\ntoken = { file = \"token\" }", |folder| {
            token_file(folder);
            tasks(folder);
        });
    let place = &world.place;
    world.cli(&["queues", "pause", "--new", "a/b"]);
    for path in ["/jobs/", "/jobs", "/", "/jobs/queues", "/queues", "/jobs/queues/a%2Fb", "/jobs/login"] {
        let shown = page(place, path, &[]);
        assert_eq!(shown.status, 200, "{path}");
        for name in ["href=\"", "action=\"", "src=\"", "hx-get=\"", "hx-sse:connect=\""] {
            for rest in shown.body.split(name).skip(1).filter(|rest| !rest.starts_with('#')) {
                assert!(rest.starts_with("/jobs/"), "{path}: {name}{}", &rest[..rest.len().min(60)]);
            }
        }
        let asset = shown.body.split("href=\"").find(|rest| rest.contains("style.css")).unwrap();
        assert_eq!(place.get(asset.split('"').next().unwrap()).status, 200);
    }
    let answer = form(place, "/jobs/queues/a%2Fb/resume", "back=%2Fqueues", &[]);
    assert_eq!(answer.header("location"), Some("/jobs/queues"));
    assert!(answer.header("set-cookie").unwrap().contains("Path=/jobs;"));
    assert_eq!(place.get("/jobs/api/v1/queues").status, 200, "one place for a proxy to lead to");
    assert_eq!(place.get("/jobsx/api/v1/queues").status, 404);
    // A trusted proxy may show it elsewhere.
    let behind = [("x-forwarded-prefix", "/ops/"), ("authorization", "Bearer a-token-of-an-administrator")];
    let shown = page(place, "/queues", &behind);
    assert!(shown.body.contains("href=\"/ops/queues\"") && !shown.body.contains("\"/jobs/"), "{}", shown.body);
    let bad = page(place, "/queues", &[("x-forwarded-prefix", "//evil.example"), behind[1]]);
    assert!(bad.body.contains("href=\"/jobs/queues\"") && !bad.body.contains("evil.example"), "{}", bad.body);
    world.daemon.stop();
}

#[test]
fn a_session_begins_with_a_token_and_has_its_role() {
    let world = World::sqlite(&tokens(), token_file);
    let place = &world.place;
    world.cli(&["queues", "pause", "--new", "mail"]);
    let nobody = page(place, "/queues?sort=length", &[]);
    assert_eq!((nobody.status, nobody.header("location")), (303, Some("/login?next=%2Fqueues%3Fsort%3Dlength")));
    assert_eq!(page(place, "/queues", &[("hx-request", "true")]).status, 401, "a part is not replaced by another page");
    assert_eq!(place.get("/queues").problem(), "unauthenticated");
    let asked = page(place, "/login?next=%2Fqueues", &[]).body;
    assert!(asked.contains("name=\"next\" value=\"/queues\""), "{asked}");
    assert!(
        !asked.contains("class=\"rail\"") && !asked.contains(env!("CARGO_PKG_VERSION")),
        "nobody learns more: {asked}"
    );
    let wrong = form(place, "/login", "token=a-token-that-is-wrong&next=%2Fqueues", &[]);
    assert!(
        wrong.status == 401
            && wrong.body.contains("this token is not one of")
            && cookie(&wrong, "windlass_session").is_none()
    );
    let log_in = |token: &str, next: &str| {
        let answer = form(place, "/login", &format!("token={token}&next={next}"), &[]);
        assert_eq!(answer.status, 303, "{answer:?}");
        let set = answer.headers("set-cookie").next().unwrap().to_owned();
        assert!(set.contains("; HttpOnly; SameSite=Lax") && set.contains("; Path=/;"), "{set}");
        (cookie(&answer, "windlass_session").unwrap(), answer.header("location").unwrap().to_owned())
    };
    assert_eq!(log_in(READER, "%2F%2Fevil.example").1, "/", "it leads to no other site");
    let (reader, next) = log_in(READER, "%2Fqueues");
    assert_eq!(next, "/queues");
    let with = |cookie: &str| page(place, "/queues", &[("cookie", cookie)]);
    let seen = with(&reader);
    assert!(
        seen.status == 200 && !seen.body.contains("/queues/mail/resume") && seen.body.contains(">read<"),
        "{}",
        seen.body
    );
    let refused = form(place, "/queues/mail/resume", "", &[("cookie", &reader)]);
    assert!(refused.status == 403 && refused.body.contains("the role &#34;operate&#34;"), "{refused:?}");
    let (operator, _) = log_in(OPERATOR, "");
    let seen = with(&operator);
    assert!(seen.body.contains("/queues/mail/resume"), "{}", seen.body);
    let of_queue = |cookie: &str| page(place, "/queues/mail", &[("cookie", cookie)]).body;
    assert!(of_queue(&operator).contains("/queues/mail/resume") && !of_queue(&operator).contains("/queues/mail/clear"));
    let done = form(place, "/queues/mail/resume", "", &[("cookie", &operator)]);
    assert_eq!(said(place, &done, &[("cookie", &operator)]), "Queue mail goes on.");
    let entries = place.send("GET", "/api/v1/audit", &[("cookie", &operator)], b"").json();
    assert_eq!(entries["items"][0]["who"], "token operate", "{entries}");
    said(place, &form(place, "/queues/mail/pause", "", &[("cookie", &operator)]), &[("cookie", &operator)]);
    let (admin, _) = log_in(TOKEN, "");
    let seen = of_queue(&admin);
    assert!(seen.contains("/queues/mail/clear") && seen.contains("by token operate"), "{seen}");
    let stranger = [
        ("cookie", admin.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        place.send("POST", "/queues/mail/pause", &stranger, b"").status,
        403,
        "another site has the cookie sent, too"
    );
    let forged = operator.replace("6f7065726174657c", "x").replace("|operate|", "|admin|");
    assert_eq!(with(&forged).status, 303);
    let out = form(place, "/logout", "", &[("cookie", &operator)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.headers("set-cookie").any(|set| set.starts_with("windlass_session=;") && set.contains("Max-Age=0")));
    let behind = form(place, "/login", &format!("token={READER}"), &[("x-forwarded-proto", "https")]);
    assert!(behind.headers("set-cookie").next().unwrap().ends_with("; Secure"), "{behind:?}");
    for _ in 0..10 {
        form(place, "/login", "token=a-token-that-is-wrong", &[]);
    }
    assert_eq!(form(place, "/login", "token=a-token-that-is-wrong", &[]).status, 429);
    assert_eq!(log_in(READER, "").1, "/", "a right one is never refused");
    world.daemon.stop();
}

#[test]
fn a_server_that_only_shows_has_no_buttons_and_lets_people_log_in() {
    let world = World::sqlite(&format!("{}\nread_only = true", tokens()), token_file);
    let begun = form(&world.place, "/login", &format!("token={TOKEN}"), &[]);
    let session = cookie(&begun, "windlass_session").unwrap();
    let shown = page(&world.place, "/queues", &[("cookie", &session)]);
    assert!(shown.status == 200 && shown.body.contains("read only") && !shown.body.contains("action=\"/pause\""));
    let refused = form(&world.place, "/pause", "", &[("cookie", &session)]);
    assert!(refused.status == 403 && refused.body.contains("read only"), "{refused:?}");
    world.daemon.stop();
}

#[test]
fn no_secret_stands_on_a_page() {
    let world = World::sqlite("", |folder| {
        let text = folder.read("tasks.toml");
        fs::write(folder.path("tasks.toml"), format!("{text}\n[log]\nredact = [\"password\"]\n")).unwrap();
    });
    let job =
        json!({"task": "Other", "queue": "mail", "args": [{"password": "hunter2", "to": "ada"}], "foreign": true});
    world.place.json("POST", "/api/v1/jobs", &job.to_string());
    let shown = page(&world.place, "/queues/mail", &[]);
    assert!(!shown.body.contains("hunter2") && shown.body.contains("ada"), "{}", shown.body);
    world.daemon.stop();
}
