//! What a configuration with mistakes still says for certain.

use super::*;

fn is_certain(text: &str) -> bool {
    let (_dir, sources) = place(Some(text));
    let reading = read(&sources);
    assert!(!reading.problems.is_empty(), "{text}");
    reading.certain(&[]).is_some()
}

#[test]
fn mistakes_beside_the_store_and_the_tasks_leave_no_doubt_about_them() {
    let store = "[store]\nurl = \"redis://h\"\n";
    for text in [
        "timeuot = \"5s\"",
        "timeout = \"soon\"",
        "[log]\nlevl = \"info\"",
        "[http]\nlisten = 7\n[shutdown]\ntimeout = true",
        &format!("colour = \"red\"\n{store}"),
        &format!("{store}[colours]\nred = 1"),
    ] {
        assert!(is_certain(text), "{text}");
    }
    for text in [
        // It may be a table of the store under another name.
        "colour = \"red\"",
        "[colours]\nred = 1",
        "[stroe]\nurl = \"redis://h\"",
        "[store]\nurll = \"redis://h\"",
        "[store]\nurl = \"gopher://h\"",
        &format!("{store}namespce = \"mine\""),
        &format!("namespace = \"mine\"\n{store}"),
        &format!("[log]\nnamespace = \"mine\"\n{store}"),
        &format!("{store}[http]\ntasks_dir = \"elsewhere\""),
        &format!("tasks_dri = \"elsewhere\"\n{store}"),
        "tasksDir = 7",
        "defaults = 7",
        "[security]\nowner = [\"ada\"]",
        "redis = { host = \"h\" }",
        "timeout = ",
        "timeout = \"5s\"\ntimeout = \"6s\"",
    ] {
        assert!(!is_certain(text), "{text}");
    }
    let (_dir, sources) = place(Some("[output]\nage = 1.5\n"));
    let reading = read(&sources);
    assert!(reading.certain(&["output"]).is_none() && reading.certain(&[]).is_some(), "{reading:?}");
    let (_dir, sources) = place(None);
    let env = [("WINDLASS_LOG".to_owned(), "loud".to_owned())].into();
    assert!(read(&Sources { env, ..sources.clone() }).certain(&[]).is_some());
    let other = Sources { store_url: Some("gopher://h".to_owned()), ..sources };
    assert!(read(&other).certain(&[]).is_none());
}

#[test]
fn all_mistakes_of_the_syntax_are_told_at_once() {
    let problems = bad("timeout = \nqueues = [\"a\"\nscheduler = yes\n[log\n");
    assert!(problems.len() >= 3, "{problems:#?}");
    assert!(problems[0].starts_with("tasks.toml:1:"), "{problems:#?}");
}
