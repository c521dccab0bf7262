//! `jobs output`: what a run prints is seen from anywhere while it goes on, and what is left of it afterwards.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;

/// The id of the only job that runs.
fn running(folder: &Folder) -> String {
    let mut id = String::new();
    eventually("a job runs", || {
        let (_, listed) = folder.document(&["jobs", "list"]);
        id = listed["runs"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    });
    id
}

/// A command that goes on, with its output.
fn follow(folder: &Folder, args: &[&str]) -> Child {
    let mut command = folder.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary must run")
}

#[test]
fn what_a_run_prints_is_followed_until_it_ends() {
    on_both(|folder| {
        folder.script(
            "talks",
            "echo first; echo odd$(printf \"\\033\") >&2; while [ ! -e go ]; do sleep 0.05; done; echo last; exit $(echo $WINDLASS_ARGS | tr -dc 0-9)",
        );
        let daemon = folder.daemon();
        for (status, code) in [("0", 0), ("3", 1)] {
            folder.enqueue(&["talks", "--args", &format!("[{status}]")]);
            let id = running(folder);
            let (code_of_look, said) = folder.windlass(&["jobs", "output", &id]);
            assert!(code_of_look == Some(0) && said.contains("first") && !said.contains("last"), "{said}");
            let mut followed = follow(folder, &["jobs", "output", &id, "--follow"]);
            let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
            let first: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
            assert!(first.contains(&"first".to_owned()) && first.contains(&"odd\\u001b".to_owned()), "{first:?}");
            fs::write(folder.path("go"), "").unwrap();
            assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["last"]);
            assert_eq!(followed.wait().unwrap().code(), Some(code));
            let mut errors = String::new();
            followed.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            assert_eq!(errors.contains("exited with 3"), code == 1, "{errors}");
            fs::remove_file(folder.path("go")).unwrap();
        }
        daemon.stop();
    });
}

#[test]
fn what_is_left_of_a_job_that_has_failed_is_printed_and_what_never_was_is_not() {
    on_both(|folder| {
        folder.script("fails", "echo the disk is full >&2; exit 3");
        folder.script("kept", "echo the result");
        folder.add_keys("kept", "keep_runs = 3");
        let path = folder.path("tasks.d/kept.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "result = \"last_line\"\n").unwrap();
        let daemon = folder.daemon();
        folder.enqueue(&["fails"]);
        folder.enqueue(&["kept"]);
        eventually("both have ended", || {
            folder.json(&["failed"])["count"] == 1
                && folder.json(&["tasks", "runs", "kept"])["runs"].as_array().map(Vec::len) == Some(1)
        });
        let id = |found: &serde_json::Value| found["job_id"].as_str().unwrap().to_owned();
        let failed = id(&folder.json(&["failed"])["failed"][0]);
        let (code, said) = folder.windlass(&["jobs", "output", &failed]);
        assert!(code == Some(0) && said.contains("the disk is full") && said.contains("exited with 3"), "{said}");
        assert_eq!(folder.windlass(&["jobs", "output", &failed, "--follow"]).0, Some(1));
        let kept = id(&folder.json(&["tasks", "runs", "kept"])["runs"][0]);
        let (code, said) = folder.windlass(&["jobs", "output", &kept, "--follow"]);
        assert!(code == Some(0) && said.contains("the result"), "{said}");
        let (code, said) = folder.windlass(&["jobs", "output", "00ff-0-1-1", "--follow"]);
        assert!(code == Some(1) && said.contains("it does not run"), "{said}");
        daemon.stop();
    });
}

#[test]
fn who_follows_a_run_whose_daemon_dies_is_told_so() {
    on_both(|folder| {
        folder.script("long", "echo begun; exec sleep 600");
        let mut daemon = folder.daemon();
        folder.enqueue(&["long"]);
        let id = running(folder);
        let mut followed = follow(folder, &["jobs", "output", &id, "--follow"]);
        let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "begun");
        let (parent, proper) = (daemon.parent(), daemon.proper());
        signal(parent, Signal::KILL);
        signal(proper, Signal::KILL);
        daemon.wait();
        // Another one takes the job back, and runs it again.
        let daemon = folder.daemon_with_log("second");
        assert_eq!(followed.wait().unwrap().code(), Some(1));
        let mut errors = String::new();
        followed.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(errors.contains("its instance did not show how"), "{errors}");
        drop(daemon);
    });
}

#[test]
fn what_a_child_prints_is_shown_of_the_jobs_that_it_holds() {
    on_both(|folder| {
        folder.worker(
            "shared",
            "#!/usr/bin/env python3
import json, os, sys, time
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get('method') == 'perform':
        while not os.path.exists(sys.argv[0] + '.go'):
            print('waiting', file=sys.stderr, flush=True)
            time.sleep(0.1)
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': None}), flush=True)
",
        );
        let daemon = folder.daemon();
        folder.enqueue(&["shared"]);
        let id = running(folder);
        let mut followed = follow(folder, &["jobs", "output", &id, "--follow"]);
        let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "waiting");
        fs::write(folder.path("tasks.d/shared.sh.go"), "").unwrap();
        assert!(lines.map(Result::unwrap).all(|line| line == "waiting"));
        assert_eq!(followed.wait().unwrap().code(), Some(0));
        daemon.stop();
    });
}
