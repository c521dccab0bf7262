//! What `generate` writes passes `check`, and runs.

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
    let again = place.run(&["generate", "task", "plain"]);
    assert!(again.code == 1 && again.stderr.contains("exists; --force writes over it"), "{again:?}");
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
