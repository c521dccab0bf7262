use super::*;

/// Reads a text and gives back what was wrong.
fn problems(text: &str, read: impl FnOnce(&mut Table<'_>)) -> Vec<String> {
    let document = Document::new(Path::new("f.toml"), text.to_owned());
    if let Some(parsed) = document.parse() {
        let mut table = document.top(&parsed);
        read(&mut table);
        table.finish();
    }
    document.into_problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_has_two_spellings_and_only_one_may_be_used() {
    let read = |table: &mut Table<'_>| {
        assert_eq!(table.take("check_timeout").and_then(|value| value.whole_number(0..=9)), Some(1));
    };
    assert!(problems("check_timeout = 1", read).is_empty());
    assert!(problems("checkTimeout = 1", read).is_empty());
    assert_eq!(
        problems("check_timeout = 1\n  checkTimeout = 2", read),
        ["f.toml:2:3: checkTimeout: `check_timeout` and `checkTimeout` are two spellings of one key; \
          keep one of them"]
    );
}

#[test]
fn unknown_keys_are_told_with_what_was_probably_meant() {
    let read = |table: &mut Table<'_>| {
        let _ = table.take("scheduler");
        if let Some(mut store) = table.take("store").and_then(|value| value.table("a table")) {
            let _ = store.take("url");
            store.finish();
        }
    };
    assert_eq!(
        problems("schedulr = true\n\n[store]\nuri = 1\ncolour = 2", read),
        [
            "f.toml:1:1: schedulr: unknown key; did you mean \"scheduler\"?",
            "f.toml:4:1: store.uri: unknown key; did you mean \"url\"?",
            "f.toml:5:1: store.colour: unknown key",
        ]
    );
}

#[test]
fn a_wrong_kind_says_what_was_expected_and_what_was_found() {
    let read = |table: &mut Table<'_>| {
        let _ = table.take("a").and_then(|value| value.boolean());
        let _ = table.take("b").and_then(|value| value.string());
        let _ = table.take("c").and_then(|value| value.whole_number(0..=10));
        let _ = table.take("d").and_then(|value| value.one_of("red or blue", &[("red", 1), ("blue", 2)]));
        let _ = table.required("e", "a name");
    };
    assert_eq!(
        problems("# é\nb = [1]\na = \"yes\\n\"\nc = -1\nd = \"blu\"", read),
        [
            "f.toml:1:1: e: expected a name (missing)",
            "f.toml:2:5: b: expected a string (found a list)",
            "f.toml:3:5: a: expected true or false (found \"yes\\n\")",
            "f.toml:4:5: c: expected a whole number from 0 to 10 (found -1)",
            "f.toml:5:5: d: expected red or blue (found \"blu\"); did you mean \"blue\"?",
        ]
    );
}

#[test]
fn a_syntax_error_is_a_problem_with_its_place() {
    let told = problems("ok = 1\nbad = = 2", |_| panic!("there is nothing to read"));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("f.toml:2:7: "), "{told:?}");
}

#[test]
fn columns_count_characters() {
    let read = |table: &mut Table<'_>| {
        for item in table.take("a").and_then(|value| value.list("a list")).unwrap_or_default() {
            let _ = item.string();
        }
    };
    assert_eq!(problems("a = [\"éé\", 7]", read), ["f.toml:1:12: a: expected a string (found 7)"]);
}

#[test]
fn an_address_with_a_password_is_never_shown() {
    let read = |table: &mut Table<'_>| {
        let _ = table.take("store").and_then(|value| value.table("a table"));
    };
    assert_eq!(
        problems("store = \"redis://:s3cret@host\"", read),
        ["f.toml:1:9: store: expected a table (found an address)"]
    );
    let document = Document::new(Path::new("f.toml"), "url = \"redis://:s3cret@host\"".to_owned());
    assert!(!format!("{document:?}").contains("s3cret"));
}
