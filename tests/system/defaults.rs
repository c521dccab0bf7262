//! `[defaults]` of the configuration, as those who write it see it.

use std::fs;

use crate::daemon::{Folder, eventually};
use crate::place::Place;
use crate::support::redis::{Options, RedisServer};

const DEFAULTS: &str =
    "[defaults]\ntimeout = \"5m\"\nplugins = [\"Retry\"]\n[defaults.env]\nGREETING = \"hello\"\nNAME = \"world\"\n";

fn place() -> Place {
    let place = Place::new();
    place.write("config/tasks.toml", DEFAULTS);
    place.write("tasks.d/greet.toml", "name = \"greet\"\n[run]\nexec = [\"./greet\"]\nenv = { NAME = \"ada\" }\n");
    place.write("tasks.d/greet", "#!/bin/sh\necho \"$GREETING $NAME\"\n");
    let greet = place.path().join("tasks.d/greet");
    std::fs::set_permissions(greet, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place
}

#[test]
fn tasks_show_tells_what_comes_from_the_defaults_and_the_run_has_it() {
    let place = place();
    let shown = place.run(&["tasks", "show", "greet"]).done();
    let of_config = place.path().join("config/tasks.toml");
    assert!(shown.contains("timeout:         5 minutes"), "{shown}");
    assert!(shown.contains(&format!("from [defaults]: timeout ({}:2)", of_config.display())), "{shown}");
    assert!(shown.contains(&format!("from [defaults]: env.GREETING ({}:5)", of_config.display())), "{shown}");
    assert!(!shown.contains("env.NAME"), "{shown}");
    let task = place.run(&["tasks", "show", "greet", "--json"]).json();
    assert_eq!(task["from_defaults"]["plugins"], format!("{}:3:11", of_config.display()));
    let performed = place.run(&["perform", "greet"]);
    assert!(performed.code == 0 && performed.stderr.contains("hello ada"), "{performed:?}");
    assert_eq!(place.run(&["check"]).code, 0);
}

#[test]
fn a_mistake_in_the_defaults_is_told_with_what_is_expected() {
    let place = place();
    place.write("config/tasks.toml", "[defaults]\ntimout = \"5m\"\n");
    let checked = place.run(&["check"]);
    assert_eq!(checked.code, 64, "{checked:?}");
    let said = "config/tasks.toml:2:1: defaults.timout: unknown key (expected queue, timeout, plugins,";
    assert!(checked.stdout.contains(said) && checked.stdout.contains("did you mean \"timeout\"?"), "{checked:?}");
}

#[test]
fn the_defaults_of_inputs_also_hold_for_a_job_that_another_program_pushed() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    let note = folder.path("note.sh");
    fs::write(&note, format!("echo \"$1 $2\" >>{}\n", folder.path("notes").display())).unwrap();
    let text = format!(
        "name = \"greet\"\n[inputs.to]\nrequired = true\n[inputs.lang]\ndefault = \"en\"\n[run]\n\
         exec = [\"sh\", {:?}, \"{{lang}}\", \"{{to}}\"]\nallow_dash = true\n",
        note.display().to_string()
    );
    fs::write(folder.path("tasks.d/greet.toml"), text).unwrap();
    let daemon = folder.daemon();
    let pushed = r#"{"class":"greet","queue":"default","args":[{"to":"ann"}]}"#;
    server.command(&["SADD", "resque:queues", "default"]);
    server.command(&["RPUSH", "resque:queue:default", pushed]);
    eventually("it ran", || folder.read("notes") == "en ann\n");
    assert_eq!(folder.windlass(&["perform", "greet", "--args", r#"{"to":"bob"}"#]).0, Some(0));
    assert_eq!(folder.read("notes"), "en ann\nen bob\n", "perform does what a run does");
    daemon.stop();
}
