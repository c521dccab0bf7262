use super::{bad, good};
use crate::process::confine::{Confines, Limits};
use crate::task::handler_spec::{HandlerSpec, ProcessSettings};

fn place(keys: &str) -> (ProcessSettings, Vec<String>) {
    let (_dir, task, warnings) = good(&format!("name = \"t\"\n[run]\nexec = [\"./work\"]\n{keys}"));
    let HandlerSpec::Exec(exec) = task.handler else { panic!("exec was written") };
    (exec.process, warnings)
}

fn confines(keys: &str) -> Confines {
    place(keys).0.confines.map(|confines| (*confines).clone()).unwrap_or_default()
}

#[test]
fn a_task_that_asks_for_nothing_is_not_confined() {
    let (place, _) = place("");
    assert_eq!((place.confines, place.env_clear), (None, false));
}

#[test]
fn limits_are_read_in_their_units() {
    let keys = "umask = \"027\"\nenv_clear = true\n[run.limits]\nmemory = \"512MB\"\ncpu = \"1500ms\"\nprocesses = 64\n\
                openFiles = 100\nfile_size = 0";
    let (place, _) = place(keys);
    assert!(place.env_clear);
    let confines = place.confines.unwrap();
    assert_eq!(confines.umask, Some(0o27));
    assert_eq!(
        confines.limits,
        Limits {
            memory: Some(512_000_000),
            cpu_s: Some(2),
            processes: Some(64),
            open_files: Some(100),
            file_size: Some(0),
        }
    );
}

#[test]
fn users_and_groups_are_those_of_this_system() {
    let of = |keys: &str| confines(keys).no_new_privs;
    assert!(of("user = \"nobody\"") && of("umask = \"077\"\nno_new_privs = true"));
    assert!(!of("user = \"nobody\"\nno_new_privs = false") && !of("user = \"root\"") && !of("umask = \"077\""));
    let confines = confines("user = \"root\"\ngroup = \"daemon\"");
    assert_eq!(confines.user.unwrap().uid, 0);
    assert_ne!(confines.group.unwrap().gid, 0);
}

#[test]
fn what_cannot_be_is_refused_by_key() {
    for (keys, message) in [
        ("umask = 0o27", "umask: expected a umask in octal digits such as \"027\" (found 0o27)"),
        ("umask = \"089\"", "umask: expected a umask in octal digits such as \"027\" (found \"089\")"),
        ("umask = \"1777\"", "umask: expected a umask in octal digits such as \"027\" (found \"1777\")"),
        ("user = \"no-such-user\"", "user: expected the name of a user of this system (found \"no-such-user\")"),
        ("group = \"\"", "group: expected the name of a group of this system (found \"\")"),
        ("limits = { cpu = \"10ms\" }", "limits.cpu: expected a duration of at least 1s (found \"10ms\")"),
        ("limits = { memory = \"1KB\" }", "limits.memory: expected a size of at least 1MiB (found \"1KB\")"),
        ("limits = { processes = 0 }", "limits.processes: expected a whole number from 1 to 1000000000 (found 0)"),
        ("env_clear = \"yes\"", "env_clear: expected true or false (found \"yes\")"),
    ] {
        let found = bad(&format!("name = \"t\"\n[run]\nexec = [\"./work\"]\n{keys}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!("run.{message}")), "{found:?} is not {message}");
    }
    let found = bad("name = \"t\"\n[run]\nexec = [\"./work\"]\nlimits = { memori = \"1GB\" }");
    assert!(found[0].contains("memori") && found[0].contains("memory"), "{found:?}");
    let found = bad("name = \"t\"\n[run]\nbuiltin = \"noop\"\nuser = \"root\"");
    assert!(found[0].ends_with("run.user: goes with exec and rpc only"), "{found:?}");
    let found = bad("name = \"t\"\nuser = \"root\"\n[run]\nbuiltin = \"noop\"");
    assert!(found[0].ends_with("user: belongs to the handler: write it below [run]"), "{found:?}");
}
