//! What `generate` writes passes `check`, and runs.

use crate::http::server::{Server, answer};
use crate::place::Place;

#[test]
fn a_generated_task_is_right_and_runs() {
    let place = Place::new();
    for more in
        [&["plain"][..], &["often", "--frequency", "5m", "--queue", "mail"], &["nightly", "--schedule", "30 3 * * *"]]
    {
        let said = place.run(&[&["generate", "task"], more].concat()).done();
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    let checked = place.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let performed = place.run(&["perform", "plain", "--args", r#"{"name":"Ada"}"#]);
    assert!(performed.code == 0 && performed.stderr.contains(r#"arguments [{"name":"Ada"}]"#), "{performed:?}");
    let often = place.run(&["tasks", "show", "often", "--json"]).json();
    assert_eq!((&often["frequency_ms"], &often["queue"]), (&300_000.into(), &"mail".into()));
    assert_eq!(place.run(&["tasks", "show", "nightly", "--json"]).json()["schedule"], "30 3 * * *");
    place.run(&["generate", "task", "many", "--handler", "rpc"]).done();
    assert_eq!(place.run(&["check"]).code, 0);
    let performed = place.run(&["perform", "many", "--args", r#"{"name":"Ada"}"#]);
    let said = "of many, attempt 1, arguments [{'name': 'Ada'}]";
    assert!(performed.code == 0 && performed.stderr.contains(said), "{performed:?}");
    assert_eq!(place.run(&["generate", "task", "post", "--handler", "http"]).done().lines().count(), 1);
    assert_eq!(place.run(&["check"]).code, 0);
    let task = std::fs::read_to_string(place.path().join("tasks.d/post.toml")).unwrap();
    let server = Server::start(|_, _| answer("200 OK", "got it"));
    let here = task.replace("127.0.0.1:8000", &format!("127.0.0.1:{}", server.port));
    assert_ne!(task, here);
    // Every key that stands there as a remark is one.
    let keys =
        ["method = ", "result = ", "connections = ", "connect_timeout = ", "retry_later = ", "retry_later_limit = "];
    let here = keys.iter().fold(here, |text, key| text.replacen(&format!("# {key}"), key, 1));
    place.write("tasks.d/post.toml", &here);
    let performed = place.run(&["perform", "post", "--args", r#"{"name":"Ada"}"#]);
    assert!(performed.code == 0 && performed.stdout.contains("got it"), "{performed:?}");
    let request = server.seen.all().remove(0);
    assert_eq!(
        (request.line.as_str(), &request.job()["args"]),
        ("POST /post HTTP/1.1", &serde_json::json!([{"name": "Ada"}]))
    );
    let again = place.run(&["generate", "task", "plain"]);
    assert!(again.code == 1 && again.stderr.contains("exists already; use --force to replace it"), "{again:?}");
    place.run(&["generate", "task", "plain", "--force"]).done();
    for bad in [&["../up"][..], &["a b"], &["t", "--schedule", "0 0 31 2 *"], &["t", "--frequency", "soon"]] {
        assert_eq!(place.run(&[&["generate", "task"], bad].concat()).code, 64, "{bad:?}");
    }
}

#[test]
fn a_generated_configuration_is_right() {
    let place = Place::new();
    for (file, more) in [("new/config/tasks.toml", &[][..]), ("hero/config/tasks.toml", &["--actionhero"])] {
        place.run(&[&["generate", "config", file], more].concat()).done();
        let checked = place.run(&["--config", file, "check"]);
        assert_eq!(checked.code, 0, "{checked:?}");
    }
    assert_eq!(place.run(&["generate", "config"]).code, 1, "there is one");
}
