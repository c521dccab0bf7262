use bytes::Bytes;
use proptest::prelude::*;

use super::{Filter, FilterError, Group, quoted};
use crate::job::{Failure, FailureView, Identity, PayloadView};

const NOW_MS: i64 = 1_795_490_778_000;

fn record(class: &str, args: &str, error: &str) -> Bytes {
    let payload = format!("{{\"class\":\"{class}\",\"queue\":\"img\",\"args\":{args}}}");
    Failure::new("Net::Timeout", error).record("web-3:7-0", "img_large", payload.as_bytes(), NOW_MS - 3_600_000)
}

fn matches(filter: &str, record: &[u8]) -> bool {
    Filter::parse(filter, NOW_MS).unwrap().matches(record, &FailureView::parse(record))
}

fn wrong(filter: &str) -> (usize, String) {
    let FilterError { place, what } = Filter::parse(filter, NOW_MS).unwrap_err();
    (place, what)
}

#[test]
fn each_key_asks_for_its_part() {
    let record = record("resize", r#"[{"to":{"city":"Berlin"},"sizes":[1,20]}]"#, "No space left on device");
    for filter in [
        "",
        "  ",
        "task:resize",
        "class:re*ze",
        "queue:img*",
        "error:\"no space\"",
        "error:net::time",
        "exception:Net::Timeout exception:*Timeout",
        "args:berlin",
        "args.to.city:Berlin",
        "args.0.to.city:B*",
        "args.sizes:20",
        "worker:web-3*",
        "after:-2h before:-30m",
        "after:\"-1day 2h\"",
        "after:2h since:-2h before:30m",
        "after:0 before:1795490778000",
        "since:2026-11-24 after:2026-11-24T00:00:00Z",
        "-task:shrink -is:unknown -job:*",
        "berlin SPACE \"left on\"",
        "text:device",
        "task:resize queue:img_large space",
    ] {
        assert!(matches(filter, &record), "{filter}");
    }
    for filter in [
        "task:resiz",
        "-task:resize",
        "queue:img",
        "error:\"no*space\"",
        "error:no*space",
        "args.to.city:berlin",
        "args.to:x",
        "after:-30m",
        "before:-2h",
        "before:@1",
        "is:stuck",
        "-berlin",
        "task:resize nowhere",
        "id:0",
    ] {
        let filter =
            if filter == "id:0" && super::super::failed::id(&record).starts_with('0') { "id:1" } else { filter };
        assert!(!matches(filter, &record), "{filter}");
    }
}

#[test]
fn a_job_is_found_by_its_ids() {
    let identity = Identity::from_record("a-1-2", 1, 0).unwrap();
    let run = crate::job::failure::FailedRun { identity: &identity, ms: None, cancelled: true };
    let record = Failure::new("E", "e 5").record_of(run, "w", "q", b"{\"class\":\"x\",\"args\":[]}", NOW_MS);
    let view = FailureView::parse(&record);
    let payload = view.payload.clone().unwrap();
    let group = Group::of(&view, PayloadView::parse(&payload).ok().as_ref());
    let id = super::super::failed::id(&record);
    for filter in [
        "job:a-1-2",
        "is:cancelled",
        &format!("id:{}", &id[..9]),
        &format!("id:{}", id.to_uppercase()),
        &format!("group:{}", group.id),
    ] {
        assert!(matches(filter, &record), "{filter}");
    }
    assert!(!matches("job:a-1", &record));
}

#[test]
fn a_record_that_is_no_job_has_no_task_and_is_found_by_its_text() {
    assert!(matches("junk -task:* -error:x -after:@0 -args.x:*", b"Junk \xff"));
    assert!(!matches("before:-0s", b"junk"), "it has no time");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (filter, place, words) in [
        ("queue:a tsk:resize", 9, "there is no key \"tsk\"; did you mean task:?"),
        ("https://x", 1, "in quotes"),
        ("arg.x:1 args..x:1", 14, "args.to.city"),
        ("parms:1", 1, "there is no key \"parms\""),
        ("task.x:1", 1, "there is no key \"task.x\""),
        ("task:", 6, "task:\"\""),
        ("a -", 3, "behind the minus"),
        ("error:\"no", 7, "not closed"),
        ("error:\"a\\n\"", 9, "write \\\\"),
        ("after:soon", 7, "is no time"),
        ("x before:-2", 10, "\"-2\" has no unit: for how long ago write 2h,"),
        ("-after:5", 8, "has no unit"),
        ("since:1795490778", 7, "@seconds"),
        ("after:-2M", 7, "months"),
        ("is:stuk", 4, "did you mean stuck?"),
        ("id:xyz", 4, "hexadecimal"),
        ("a error:\"\"", 9, "empty text"),
        ("\"\"", 1, "empty text"),
        ("\u{fc}\u{fc} tsk:\u{fc}", 4, "tsk"),
    ] {
        let (at, what) = wrong(filter);
        assert_eq!(at, place, "{filter}: {what}");
        assert!(what.contains(words), "{filter}: {what}");
    }
    assert_eq!(wrong(&"x".repeat(5000)).0, 4097);
    assert!(wrong(&"x ".repeat(33)).1.contains("at most 32"));
    assert!(Filter::parse(&"x ".repeat(32), NOW_MS).is_ok());
}

proptest! {
    #[test]
    fn every_text_is_read_or_told_where_it_is_wrong(filter in "([a-z]{0,6}[:.*\"\\\\ -]|\\PC){0,24}") {
        if let Err(error) = Filter::parse(&filter, NOW_MS) {
            prop_assert!((1..=filter.chars().count() + 1).contains(&error.place), "{:?}", error);
        }
    }

    #[test]
    fn a_quoted_text_is_searched_for_as_it_is(text in "\\PC{1,20}", other in "[a-z]{0,5}") {
        let record = record("x", "[]", &format!("{other}{text}{other}"));
        let searched = format!("error:{}", quoted(&text));
        prop_assert!(matches(&searched, &record));
        let class = record_of_class(&text);
        let asked = format!("task:{}", quoted(&text));
        prop_assert!(matches(&asked, &class));
        let is_not = format!("-{asked}");
        prop_assert!(!matches(&is_not, &class));
    }

    #[test]
    fn a_minus_turns_every_term_round(term in "(task|queue|worker|exception|error|args|text):[a-z*]{1,3}", error in "[a-z ]{0,6}") {
        let record = record("abc", "[\"b\"]", &error);
        let turned = format!("-{term}");
        prop_assert_ne!(matches(&term, &record), matches(&turned, &record));
    }
}

fn record_of_class(class: &str) -> Bytes {
    let payload = serde_json::json!({ "class": class, "args": [] }).to_string();
    Failure::new("E", "e").record("w", "q", payload.as_bytes(), NOW_MS)
}
