//! What pages are made of keeps to the policy that every answer states: no inline script, no inline style, nothing from
//! elsewhere, and nothing printed that did not pass the gate which hides and escapes.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard").join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(path).expect("it is text"));
    paths.into_iter().map(read).collect()
}

/// What is wrong with a template.
fn wrong(text: &str) -> Vec<String> {
    let small = text.to_lowercase();
    let mut found: Vec<String> = [
        ("style=", "an inline style"),
        ("<style", "an inline style"),
        ("javascript:", "an inline script"),
        ("hx-on", "a script in an attribute"),
        ("hx-vals", "what may be a script in an attribute"),
        ("hx-headers", "what may be a script in an attribute"),
        ("js:", "a script in an attribute"),
        ("|safe", "something printed past the gate"),
        ("| safe", "something printed past the gate"),
        ("escape(\"none\")", "something printed past the gate"),
        ("http://", "something from elsewhere"),
        ("https://", "something from elsewhere"),
        ("<iframe", "a frame"),
    ]
    .into_iter()
    .filter(|(what, _)| small.contains(what))
    .map(|(what, why)| format!("{what}: {why}"))
    .collect();
    for tag in tags(&small) {
        if tag.starts_with("script") && !tag.contains(" src=") {
            found.push(format!("<{tag}>: an inline script"));
        }
        for attribute in tag.split_whitespace().filter(|part| part.starts_with("on") && part.contains('=')) {
            found.push(format!("{attribute}: a script in an attribute"));
        }
        if tag.starts_with("form") && !tag.contains("action=") && !tag.contains("method=\"dialog\"") {
            found.push(format!("<{tag}>: no place to go"));
        }
        for name in ["href=\"", "action=\"", "src=\"", "hx-get=\"", "hx-sse:connect=\"", "formaction=\""] {
            let Some(value) = tag.split(name).nth(1).and_then(|rest| rest.split('"').next()) else { continue };
            let is_below = ["{{ shell.base }}", "{{ base }}", "{{ shell.assets.", "{{ style }}", "{{ icon }}", "#"];
            if !is_below.iter().any(|begin| value.starts_with(begin)) {
                found.push(format!("{name}{value}: not below the base"));
            }
        }
    }
    found
}

/// The tags of a text, without their brackets. Expressions in them may hold brackets, too.
fn tags(text: &str) -> Vec<String> {
    let mut plain = text.to_owned();
    while let Some(begin) = plain.find("{%") {
        let end = plain[begin..].find("%}").map_or(plain.len(), |end| begin + end + 2);
        plain.replace_range(begin..end, " ");
    }
    plain.split('<').skip(1).filter_map(|rest| rest.split('>').next()).map(str::to_owned).collect()
}

#[test]
fn templates_keep_to_the_policy_of_every_answer() {
    let all = files("templates", "html");
    assert!(all.len() > 3, "no templates were found: this test reads nothing");
    let found: Vec<String> =
        all.iter().flat_map(|(name, text)| wrong(text).into_iter().map(move |one| format!("{name}: {one}"))).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_breaks_the_policy_is_seen() {
    for bad in [
        "<p style=\"color:red\">",
        "<a href=\"{{ shell.base }}/\" onclick=\"x()\">",
        "<a href=\"/queues\">",
        "<form method=\"post\">",
        "<script>x()</script>",
        "{{ text|safe }}",
        "<div hx-on:click=\"x()\">",
        "<img src=\"https://evil.example/x.png\">",
    ] {
        assert!(!wrong(bad).is_empty(), "{bad}");
    }
    let good = "<a href=\"{{ shell.base }}{{ link }}\"{% if a > b %} aria-current=\"page\"{% endif %}>{{ text }}</a>";
    assert!(wrong(good).is_empty(), "{:?}", wrong(good));
}

#[test]
fn scripts_and_styles_of_ours_ask_for_nothing_from_elsewhere() {
    let ours = [files("static", "js"), files("static", "css")].concat();
    assert_eq!(ours.len(), 2, "{ours:?}");
    for (name, text) in ours {
        for bad in [
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "document.write",
            "http://",
            "https://",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(bad), "{name}: {bad}");
        }
    }
}
