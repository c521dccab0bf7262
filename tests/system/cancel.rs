//! `jobs list` and `jobs cancel`: what runs is seen, and ends when a person says so.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;
use crate::support::redis::{Options, RedisServer};

/// The ids of the jobs of a task that run.
fn running(folder: &Folder, task: &str) -> Vec<String> {
    let runs = folder.json(&["jobs", "list", "--task", task])["runs"].clone();
    let runs = runs.as_array().expect("a list").iter();
    runs.map(|run| run["id"].as_str().expect("it is ours").to_owned()).collect()
}

fn failed(folder: &Folder) -> Vec<Value> {
    folder.json(&["failed"])["failed"].as_array().expect("a list").clone()
}

#[test]
fn a_run_is_cancelled_and_its_job_is_not_run_again() {
    on_both(|folder| {
        folder.script("long", "echo last words; echo $0 >>runs; exec sleep 600");
        folder.add_keys("long", "plugins = [\"Retry\"]");
        folder.script("short", "echo done >>done");
        let daemon = folder.daemon();
        folder.enqueue(&["long", "--args", "[1]"]);
        folder.enqueue(&["long", "--args", "[2]"]);
        eventually("both run", || folder.read("runs").lines().count() == 2);
        let ids = running(folder, "long");
        assert_eq!(ids.len(), 2);
        let (code, said) = folder.windlass(&["jobs", "cancel", &ids[0]]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("cancelled long {}", ids[0])), "{said}");
        let failed = failed(folder);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(
            (&failed[0]["exception"], &failed[0]["job_id"]),
            (&Value::from("Cancelled"), &Value::from(&*ids[0]))
        );
        assert!(failed[0]["error"].as_str().is_some_and(|error| error.starts_with("cancelled by ")), "{failed:?}");
        assert_eq!(running(folder, "long"), ids[1..], "the other one goes on");
        assert_eq!(folder.json(&["delayed"])["jobs"].as_array().map(Vec::len), Some(0), "no retry is planned");
        folder.enqueue(&["short"]);
        eventually("its processor goes on", || folder.path("done").exists());
        assert_eq!(folder.read("runs").lines().count(), 2);
        let (code, said) = folder.windlass(&["jobs", "cancel", &ids[0]]);
        assert!(code == Some(1) && said.contains("no run has the id"), "{said}");
        daemon.stop();
    });
}

#[test]
fn a_run_that_ignores_the_wish_is_killed_after_the_grace() {
    on_both(|folder| {
        folder.script("deaf", "trap '' TERM; echo begun >>runs; while :; do sleep 0.1; done");
        let daemon = folder.daemon();
        folder.enqueue(&["deaf"]);
        eventually("it runs", || folder.path("runs").exists());
        let (code, said) = folder.windlass(&["jobs", "cancel", &running(folder, "deaf")[0]]);
        assert!(code == Some(0) && said.contains("cancelled deaf"), "{said}");
        daemon.stop();
        assert_eq!(folder.read("runs").lines().count(), 1);
    });
}

#[test]
fn the_beginning_of_an_id_is_enough_unless_it_means_several_jobs() {
    on_both(|folder| {
        folder.script("long", "echo begun >>runs; exec sleep 600");
        let daemon = folder.daemon();
        folder.enqueue(&["long", "--args", "[1]"]);
        folder.enqueue(&["long", "--args", "[2]"]);
        eventually("both run", || folder.read("runs").lines().count() == 2);
        let ids = running(folder, "long");
        let (instance, _) = ids[0].split_once('-').expect("an id has parts");
        for command in [&["jobs", "cancel"][..], &["jobs", "output"], &["jobs", "result"], &["explain", "job"]] {
            let (code, said) = folder.windlass(&[command, &[instance]].concat());
            assert!(code == Some(1) && ids.iter().all(|id| said.contains(id)), "{command:?}: {said}");
        }
        assert_eq!(running(folder, "long").len(), 2, "nothing was cancelled");
        let (code, said) = folder.windlass(&["jobs", "cancel", &instance[..7]]);
        assert!(code == Some(1) && said.contains("no run has the id"), "{said}");
        // The last part is the slot: without it the rest still tells one from the other.
        let begun = ids[0].trim_end_matches(|last: char| last.is_ascii_digit());
        let others = ids.iter().filter(|id| id.starts_with(begun)).count();
        let named = if others == 1 { begun } else { &ids[0] };
        let (code, said) = folder.windlass(&["jobs", "cancel", named]);
        assert!(code == Some(0) && said.contains(&format!("cancelled long {}", ids[0])), "{said}");
        assert_eq!(running(folder, "long"), ids[1..]);
        let (code, said) = folder.windlass(&["failed", "show", begun]);
        assert!(code == Some(0) && said.contains(&ids[0]), "{said}");
        let other = if others == 1 { &ids[1][..ids[1].len() - 1] } else { &ids[1] };
        let (_, said) = folder.windlass(&["explain", "job", other]);
        assert!(said.contains("it runs on"), "{said}");
        daemon.stop();
    });
}

#[test]
fn who_does_not_wait_for_the_end_is_told_what_was_asked() {
    on_both(|folder| {
        folder.reconfigure("timeout = \"4s\"\nkill_grace = \"1s\"", "timeout = \"90s\"\nkill_grace = \"60s\"");
        folder
            .script("deaf", "trap 'echo asked >asked' TERM; echo begun >>runs; until [ -e gate ]; do sleep 0.1; done");
        let daemon = folder.daemon();
        folder.enqueue(&["deaf"]);
        eventually("it runs", || folder.path("runs").exists());
        let id = running(folder, "deaf")[0].clone();
        let mut cancel = folder.command(&["jobs", "cancel", &id]);
        let cancel = cancel.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary must start");
        eventually("it is asked", || folder.path("asked").exists());
        signal(cancel.id(), Signal::INT);
        let ended = cancel.wait_with_output().expect("it is ours");
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert_eq!(ended.status.code(), Some(130), "{said}");
        assert!(
            said.contains(&format!("deaf {id} is asked to end\n")) && said.contains("windlass jobs list"),
            "{said}"
        );
        std::fs::write(folder.path("gate"), "").expect("the gate must open");
        eventually("it ends", || running(folder, "deaf").is_empty());
        daemon.stop();
    });
}

#[test]
fn a_run_that_succeeds_all_the_same_has_done_its_job() {
    on_both(|folder| {
        folder
            .script("polite", "trap 'echo saved >saved; exit 0' TERM; echo begun >begun; while :; do sleep 0.05; done");
        let daemon = folder.daemon();
        folder.enqueue(&["polite"]);
        eventually("it runs", || folder.path("begun").exists());
        let (code, said) = folder.windlass(&["jobs", "cancel", &running(folder, "polite")[0]]);
        assert!(code == Some(0) && said.contains("had ended before it could be cancelled"), "{said}");
        assert!(folder.path("saved").exists());
        assert_eq!(failed(folder), Vec::<Value>::new());
        daemon.stop();
    });
}

#[test]
fn a_wish_is_heeded_by_those_who_recover_the_job_of_a_dead_instance() {
    on_both(|folder| {
        folder.script("long", "echo begun >>runs; exec sleep 600");
        let mut daemon = folder.daemon();
        folder.enqueue(&["long"]);
        eventually("it runs", || folder.path("runs").exists());
        let id = running(folder, "long")[0].clone();
        let (parent, proper) = (daemon.parent(), daemon.proper());
        signal(parent, Signal::KILL);
        signal(proper, Signal::KILL);
        daemon.wait();
        let (code, said) = folder.windlass(&["jobs", "cancel", &id, "--no-wait"]);
        assert!(code == Some(0) && said.contains("is asked to end"), "{said}");
        let daemon = folder.daemon_with_log("second");
        eventually("it has failed", || failed(folder).len() == 1);
        assert_eq!(failed(folder)[0]["exception"], "Cancelled");
        daemon.stop();
        assert_eq!(folder.read("runs").lines().count(), 1, "it was not run again");
    });
}

#[test]
fn all_of_a_task_is_cancelled_whether_it_runs_or_waits() {
    on_both(|folder| {
        folder.script("long", "echo begun >>runs; exec sleep 600");
        folder.script("other", "echo done >>done");
        let daemon = folder.daemon();
        for n in 0..4 {
            folder.enqueue(&["long", "--args", &n.to_string()]);
        }
        folder.enqueue(&["long", "--in", "1h"]);
        folder.enqueue(&["other"]);
        eventually("two run", || folder.read("runs").lines().count() == 2);
        let (code, said) = folder.windlass(&["jobs", "cancel", "--task", "long"]);
        assert!(code == Some(64) && said.contains("--yes"), "it asks first: {said}");
        let (code, said) = folder.windlass(&["jobs", "cancel", "--task", "long", "--yes"]);
        assert!(code == Some(0) && said.contains("deleted 2 queued jobs and 1 delayed job"), "{said}");
        assert_eq!(said.matches("cancelled long").count(), 2, "{said}");
        eventually("others have room", || folder.path("done").exists());
        daemon.stop();
        assert_eq!(folder.read("runs").lines().count(), 2);
        let (code, said) = folder.windlass(&["jobs", "cancel", "--task", "lnog", "--yes"]);
        assert!(code == Some(1) && said.contains("did you mean \"long\""), "{said}");
    });
}

#[test]
fn a_job_of_an_rpc_child_is_cancelled_and_its_neighbours_are_run() {
    on_both(|folder| {
        folder.worker(
            "shared",
            "#!/usr/bin/env python3
import json, sys, threading, time
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
def answer(message):
    with open(sys.argv[0] + '.runs', 'a') as runs:
        print(message['params']['args'][0], file=runs, flush=True)
    time.sleep(message['params']['args'][0])
    print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': None}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get('method') == 'perform':
        threading.Thread(target=answer, args=[message], daemon=True).start()
",
        );
        let daemon = folder.daemon();
        folder.enqueue(&["shared", "--args", "[600]"]);
        let runs = || folder.read("tasks.d/shared.sh.runs");
        eventually("it runs", || runs().contains("600"));
        let id = running(folder, "shared")[0].clone();
        folder.enqueue(&["shared", "--args", "[1]"]);
        let (code, said) = folder.windlass(&["jobs", "cancel", &id]);
        assert!(code == Some(0) && said.contains("cancelled shared"), "{said}");
        eventually("the other one is done", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
        daemon.stop();
        assert_eq!(runs().matches("600").count(), 1);
    });
}

#[test]
fn the_job_of_another_programs_worker_cannot_be_cancelled() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    server.command(&["SADD", "resque:workers", "ruby-host:7:default"]);
    let record = r#"{"queue":"default","run_at":"2026-11-30T08:00:00Z","payload":{"class":"Mail","args":[1]}}"#;
    server.command(&["SET", "resque:worker:ruby-host:7:default", record]);
    let listed = folder.json(&["jobs", "list"]);
    assert_eq!((&listed["runs"][0]["class"], &listed["runs"][0]["id"]), (&Value::from("Mail"), &Value::Null));
    let (code, said) = folder.windlass(&["jobs", "cancel", "--task", "Mail", "--running", "--yes"]);
    assert!(code == Some(1) && said.contains("a worker of another program, which cannot be asked"), "{said}");
    // Where its jobs wait is not known here.
    let (_, said) = folder.windlass(&["jobs", "cancel", "--task", "Mail", "--yes"]);
    assert!(said.contains("for queued ones name their queue: --queue Q"), "{said}");
}
