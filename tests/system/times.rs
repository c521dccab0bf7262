//! Times and arguments as people say them: `enqueue --at`, `--zone`, `--args @FILE`.

use crate::place::Place;

#[test]
fn a_time_is_read_from_the_clocks_of_a_zone_and_told_in_it_and_here() {
    let place = Place::new();
    let mut command = place.command(&["enqueue", "add", "--at", "2035-12-24 08:00", "--zone", "Europe/Berlin"]);
    let output = command.env("TZ", "America/New_York").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let told = "enqueued add on math at 2035-12-24T07:00:00Z (2082092400000 ms): 2035-12-24 08:00:00 CET in Europe/Berlin, \
                2035-12-24 02:00:00 EST here\n";
    assert_eq!(said, told);
    let here = |args: &[&str]| {
        let output = place.command(args).env("TZ", "Asia/Tokyo").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let json = here(&["enqueue", "add", "--at", "2036-01-02T10:00", "--json"]);
    assert_eq!((&json["at"], &json["zone"]), (&"2036-01-02T01:00:00Z".into(), &"here".into()));
    assert_eq!(json["at_in_zone"], "2036-01-02T10:00:00+09:00");
    // No clocks were meant.
    let json = here(&["enqueue", "add", "--at", "2036-01-03T10:00:00Z", "--json"]);
    assert_eq!(json.get("zone"), None);
    let due = here(&["delayed", "--at", "2036-01-02 02:00", "--zone", "Europe/Berlin", "--json"]);
    assert_eq!(due["jobs"].as_array().unwrap().len(), 1, "{due}");
}

#[test]
fn what_clocks_skip_or_show_twice_is_told() {
    let place = Place::new();
    let at =
        |time: &str| place.run(&["enqueue", "add", "--at", time, "--zone", "Europe/Berlin", "--suppress-duplicate"]);
    let spring = at("2035-03-25 02:30");
    assert_eq!(spring.code, 0, "{spring:?}");
    let said = "clocks skip \"2035-03-25 02:30\" in Europe/Berlin: it counts as the first moment after the gap, \
                2035-03-25 03:00:00 CEST";
    assert!(spring.stderr.contains(said) && spring.stdout.contains("at 2035-03-25T01:00:00Z"), "{spring:?}");
    let autumn = at("2035-10-28 02:30");
    let said = "clocks show \"2035-10-28 02:30\" twice in Europe/Berlin: the first time counts, 2035-10-28 02:30:00 CEST; \
                for the second write 2035-10-28T01:30:00Z";
    assert!(autumn.stderr.contains(said) && autumn.stdout.contains("at 2035-10-28T00:30:00Z"), "{autumn:?}");
    let typo = place.run(&["enqueue", "add", "--at", "10:00", "--zone", "Europe/Berln"]);
    assert!(typo.code == 64 && typo.stderr.contains("did you mean Europe/Berlin?"), "{typo:?}");
}

#[test]
fn arguments_are_read_from_a_file_or_from_stdin() {
    let place = Place::new();
    place.write("rows.json", "\u{feff}[1,\n 2]\n");
    let json = place.run(&["enqueue", "add", "--args", "@rows.json", "--json"]).json();
    assert_eq!(json["args"], serde_json::json!([1, 2]));
    let json = place.run_with(&["enqueue", "add", "--args", "@-", "--json"], "{\"a\":1}").json();
    assert_eq!(json["args"], serde_json::json!([{"a": 1}]));
    let deleted = place.run_with(&["jobs", "delete", "add", "--args", "@-", "--json"], "{\"a\":1}").json();
    assert_eq!(deleted["deleted"], 1);
    place.write("bad.json", "{\"a\":\n }");
    for (file, said) in [
        ("@bad.json", "bad.json: not valid JSON: expected value at line 2 column 2"),
        ("@none.json", "failed to read none.json: "),
        ("@config", "failed to read config: it is a directory"),
        ("@/dev/zero", "failed to read /dev/zero: it holds more than 64 MiB"),
    ] {
        let ended = place.run(&["enqueue", "add", "--args", file]);
        assert!(ended.code == 64 && ended.stderr.contains(said), "{ended:?}");
    }
    let ended = place.run_with(&["enqueue", "add", "--args", "@-"], "[");
    assert!(ended.code == 64 && ended.stderr.contains("stdin: not valid JSON: "), "{ended:?}");
    let done = place.run_with(&["enqueue", "--bulk", "-"], "\u{feff}{\"task\":\"add\",\"args\":[3]}\n").done();
    assert_eq!(done, "1 enqueued, 0 delayed\n");
}

#[test]
fn clocks_that_nothing_knows_are_not_taken_for_those_of_greenwich() {
    let place = Place::new();
    let at = |tz: &str, time: &str| {
        let output = place.command(&["enqueue", "add", "--at", time]).env("TZ", tz).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for tz in ["CET-1CEST", "Nonsense/Zone"] {
        let (code, said) = at(tz, "2035-07-01 10:00");
        assert!(code == Some(64) && said.contains(&format!("TZ={tz:?} is no zone")), "{said}");
        assert_eq!(
            at(tz, "2035-07-01T10:00:00Z").0,
            Some(if tz == "CET-1CEST" { 0 } else { 1 }),
            "no clocks are meant"
        );
    }
    let (code, said) = at("CET-1CEST,M3.5.0,M10.5.0/3", "2035-07-02 10:00");
    assert!(code == Some(0) && said.contains("at 2035-07-02T08:00:00Z"), "{said}");
}

#[test]
fn a_time_is_understood_as_a_listing_shows_it() {
    let place = Place::new();
    place.run(&["enqueue", "add", "--at", "2036-01-02T10:00:00Z"]).done();
    let in_berlin = |args: &[&str]| {
        let output = place.command(args).env("TZ", "Europe/Berlin").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let utc = in_berlin(&["delayed", "--utc"]);
    let utc = utc.lines().nth(1).unwrap().split("  ").next().unwrap();
    assert_eq!(utc, "2036-01-02 10:00:00 UTC");
    for shown in [utc, "2036-01-02 11:00:00 CET", "2036-01-02 11:00:00", "2036-01-02 11:00:00 +01:00"] {
        assert!(in_berlin(&["delayed", "--at", shown]).contains("add"), "{shown}");
    }
    for shown in ["2m 5s ago", "2026-11-24 03:26:18 UTC", "2026-11-24 04:26:18 CET", "today 00:00", "-2h"] {
        assert_eq!(in_berlin(&["failed", "--since", shown]), "no failed jobs\n");
        assert_eq!(in_berlin(&["failed", "--filter", &format!("after:\"{shown}\"")]), "no failed jobs\n");
    }
    let wrong = place.run(&["delayed", "--at", "2036-07-02 11:00:00 CET", "--zone", "Europe/Berlin"]);
    assert!(wrong.code == 64 && wrong.stderr.contains("call that time CEST"), "{wrong:?}");
    let bulk = "{\"task\":\"add\",\"at\":1795490778}\n";
    let refused = place.run_with(&["enqueue", "--bulk", "-"], bulk);
    assert!(refused.code == 64 && refused.stderr.contains("for seconds write @1795490778"), "{refused:?}");
}

#[test]
fn a_time_that_has_passed_is_told() {
    let place = Place::new();
    let past = place.run(&["enqueue", "add", "--at", "2020-01-01T00:00:00Z"]);
    assert!(past.code == 0 && past.stderr.contains("2020-01-01T00:00:00Z has passed"), "{past:?}");
    let moved = place.run(&["delayed", "move", "add", "--args", "[]", "--to", "2021-01-01T00:00:00Z", "--yes"]);
    assert!(moved.code == 0 && moved.stderr.contains("has passed"), "{moved:?}");
    assert!(!place.run(&["enqueue", "add", "--at", "2036-01-01T00:00:00Z"]).stderr.contains("passed"));
    assert_eq!(place.run(&["enqueue", "add", "--in", "10m", "--zone", "UTC"]).code, 64);
    let none = place.run(&["delayed", "--limit", "1"]).done();
    assert!(none.ends_with("there are more: use --limit N\n") && !none.contains("no delayed"), "{none}");
}
