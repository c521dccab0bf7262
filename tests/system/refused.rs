//! QueueLock: it ends with its job, and a refusal says what holds it and how to go on.

use std::fs;

use serde_json::{Value, json};

use crate::daemon::Folder;
use crate::place::Place;
use crate::support::redis::{Options, RedisServer};

#[test]
fn a_lock_ends_with_a_deleted_job() {
    delete(&Folder::new("sqlite:store.db", ""));
}

#[test]
fn a_lock_ends_with_a_deleted_job_on_redis() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    delete(&Folder::new(&server.url(), ""));
}

/// A task with QueueLock.
fn task(folder: &Folder, name: &str, options: &str) {
    folder.script(name, "true");
    let path = folder.path(&format!("tasks.d/{name}.toml"));
    let text =
        fs::read_to_string(&path).unwrap().replace("[run]", &format!("plugins = [\"QueueLock\"]\n{options}[run]"));
    fs::write(path, text).unwrap();
}

fn delete(folder: &Folder) {
    task(folder, "mail", "");
    task(folder, "own", "plugin_options.QueueLock = { key = \"resque:lock:mine\" }\n");
    for name in ["mail", "own"] {
        for deletion in [
            &["jobs", "delete", name, "--args", "[]"][..],
            &["jobs", "delete", name, "--any-args", "--yes"],
            &["jobs", "delete", name, "--args", "[]", "--count", "1"],
            &["queues", "delete", "default", "--yes"],
        ] {
            let (code, said) = folder.windlass(&["enqueue", name, "--fail-if-refused"]);
            assert_eq!(code, Some(0), "before {deletion:?}: {said}");
            refused(folder, name);
            let (code, said) = folder.windlass(deletion);
            assert!(code == Some(0) && said.contains("1 job"), "{deletion:?}: {said}");
        }
        // The command that the refusal names.
        assert_eq!(folder.windlass(&["enqueue", name]).0, Some(0));
        let key = if name == "mail" { "lock:mail:default:[]" } else { "resque:lock:mine" };
        assert_eq!(folder.windlass(&["locks", "delete", key]).1, format!("freed {key}\n"));
        assert_eq!(folder.windlass(&["enqueue", name, "--fail-if-refused"]).0, Some(0));
        assert_eq!(folder.windlass(&["queues", "delete", "default", "--yes"]).0, Some(0));
    }
    let jobs: String = (0..1203).map(|n| format!("{{\"task\":\"mail\",\"args\":[{n}]}}\n")).collect();
    fs::write(folder.path("jobs"), jobs).unwrap();
    let jobs = folder.path("jobs").display().to_string();
    let bulk = ["enqueue", "--bulk", &jobs, "--fail-if-refused"];
    assert_eq!(folder.windlass(&bulk).0, Some(0));
    let (code, said) = folder.windlass(&bulk);
    let line = "  line 7: refused by QueueLock: the lock lock:mail:default:[6] is held until 20";
    assert!(code == Some(1) && said.contains("1203 refused") && said.contains(line), "{code:?}: {said}");
    let said = folder.windlass(&["queues", "delete", "default", "--yes"]).1;
    assert_eq!(said, "deleted queue default with 1203 jobs\n");
    assert_eq!(folder.windlass(&["locks"]).1, "no locks are held\n");
}

/// What the refusal of such a job says.
fn refused(folder: &Folder, name: &str) {
    let (code, said) = folder.windlass(&["enqueue", name]);
    assert!(
        code == Some(0) && said.contains(&format!("not enqueued: QueueLock of {name} refused\nthe lock ")),
        "{said}"
    );
    assert!(said.contains(" is held until 20") && said.contains("; to free it: windlass locks delete "), "{said}");
    let (code, said) = folder.windlass(&["enqueue", name, "--fail-if-refused", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let key = if name == "mail" { "lock:mail:default:[]" } else { "resque:lock:mine" };
    assert_eq!((code, &said["refused_by"], &said["lock"]["key"]), (Some(1), &json!("QueueLock"), &json!(key)));
    assert!(said["lock"]["until_ms"].as_i64().is_some_and(|until| until > 1_700_000_000_000), "{said}");
}

#[test]
fn a_lock_stays_while_an_equal_job_waits() {
    let place = Place::new();
    place.run(&["enqueue", "sendMail"]).done();
    // As a promotion or another program puts it there.
    let payload = r#"{"class":"sendMail","queue":"mail","args":[]}"#;
    crate::inspect::push(&place, "mail", &[payload]);
    let count = |count: &str| place.run(&["jobs", "delete", "sendMail", "--args", "[]", "--count", count]).done();
    assert_eq!(count("1"), "deleted 1 job of sendMail from mail\n");
    assert_eq!(place.run(&["enqueue", "sendMail", "--fail-if-refused"]).code, 1);
    assert_eq!(count("-1"), "deleted 1 job of sendMail from mail\n");
    assert_eq!(place.run(&["enqueue", "sendMail", "--fail-if-refused"]).code, 0);
}
