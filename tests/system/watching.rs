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
        assert_eq!(lines.next().unwrap().unwrap(), "begun", "the second run is followed");
        assert_eq!(folder.windlass(&["jobs", "cancel", &id]).0, Some(0));
        assert_eq!(followed.wait().unwrap().code(), Some(1));
        let mut errors = String::new();
        followed.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(errors.contains("its instance did not show how") && errors.contains("(cancelled)"), "{errors}");
        daemon.stop();
    });
}

/// A folder with a task whose attempts each say their number and wait for the exit code that they are to have.
fn attempts(folder: &Folder) {
    folder.script(
        "flaky",
        "n=$(ls attempts 2>/dev/null | wc -l); mkdir -p attempts/$n; echo attempt $n; until [ -s go$n ]; do sleep 0.05; done; exit $(cat go$n)",
    );
    folder.add_keys("flaky", "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 2\nretry_delay = \"2s\"");
}

#[test]
fn a_job_that_is_retried_is_followed_through_its_attempts() {
    on_both(|folder| {
        attempts(folder);
        let daemon = folder.daemon();
        for (last, code) in [("0", 0), ("4", 1)] {
            folder.enqueue(&["flaky", "--arg", last]);
            let id = running(folder);
            let mut followed = follow(folder, &["jobs", "output", &id, "--follow"]);
            let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "attempt 0");
            fs::write(folder.path("go0"), "3").unwrap();
            // While it waits for the next attempt somebody else begins to follow it.
            eventually("it waits", || folder.json(&["delayed"])["jobs"].as_array().map(Vec::len) == Some(1));
            let late = follow(folder, &["jobs", "output", &id, "--follow"]);
            assert_eq!(lines.next().unwrap().unwrap(), "attempt 1");
            fs::write(folder.path("go1"), last).unwrap();
            assert_eq!(lines.map(Result::unwrap).count(), 0);
            assert_eq!(followed.wait().unwrap().code(), Some(code));
            let mut errors = String::new();
            followed.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            for part in ["the run has ended (failed): ", "attempt 2 comes at ", "attempt 2 runs on "] {
                assert!(errors.contains(part), "{part}: {errors}");
            }
            let late = late.wait_with_output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&late.stdout), String::from_utf8_lossy(&late.stderr));
            assert_eq!(late.status.code(), Some(code), "{out} {err}");
            assert!(!out.contains("attempt 0") && err.contains("attempt 2 comes at "), "{out} {err}");
            for name in ["go0", "go1"] {
                fs::remove_file(folder.path(name)).unwrap();
            }
            fs::remove_dir_all(folder.path("attempts")).unwrap();
        }
        daemon.stop();
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

#[test]
fn a_run_tells_how_far_it_is_and_how_much_it_uses() {
    on_both(|folder| {
        folder.script(
            "copies",
            "tell() {{ echo \"$1\" >&$WINDLASS_STATUS_FD; }}; tell nonsense; tell \"{{\\\"percent\\\":40,\\\"message\\\":\\\"copying\\\"}}\"; while [ ! -e go ]; do sleep 0.05; done",
        );
        let path = folder.path("tasks.d/copies.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "progress = true\n").unwrap();
        folder.add_keys("copies", "timeout = \"1h\"");
        let daemon = folder.daemon();
        folder.enqueue(&["copies"]);
        let mut run = serde_json::Value::Null;
        eventually("its progress is known", || {
            run = folder.document(&["jobs", "list"]).1["runs"][0].clone();
            run["progress"]["percent"] == 40.0
        });
        assert_eq!(run["progress"]["message"], "copying");
        let left = run["timeout_left_ms"].as_u64().unwrap();
        assert!(left > 3_000_000 && left <= 3_600_000, "{left}");
        assert!(daemon.log().contains("found \"nonsense\""), "{}", daemon.log());
        let listed = folder.json(&["jobs", "list", "--usage"]);
        assert!(listed["runs"][0]["usage"]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{listed}");
        let (_, said) = folder.windlass(&["jobs", "list"]);
        assert!(said.contains("40 %: copying"), "{said}");
        fs::write(folder.path("go"), "").unwrap();
        daemon.stop();
        assert_eq!(folder.json(&["failed"])["count"], 0);
    });
}

#[test]
fn who_enqueues_and_waits_sees_the_output_and_exits_as_the_job_does() {
    on_both(|folder| {
        folder.script("job", "echo begun; sleep 0.3; echo ended >&2; exit $(echo $WINDLASS_ARGS | tr -dc 0-9)");
        folder.script("asked", "echo the answer");
        let path = folder.path("tasks.d/asked.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "result = \"last_line\"\n").unwrap();
        let daemon = folder.daemon();
        for code in [0, 7] {
            let output =
                folder.command(&["enqueue", "job", "--wait", "--args", &format!("[{code}]")]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            let mut lines: Vec<&str> = said.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["begun", "ended"], "{output:?}");
        }
        let tracked = folder.json(&["enqueue", "asked", "--track"]);
        let id = tracked["id"].as_str().unwrap();
        let (code, said) = folder.windlass(&["jobs", "result", id, "--wait=60s"]);
        assert!(code == Some(0) && said.contains("the answer"), "{said}");
        let result = folder.json(&["jobs", "result", id]);
        assert_eq!((&result["outcome"], &result["result"]), (&"done".into(), &"the answer".into()));
        let (code, said) = folder.windlass(&["jobs", "result", "track-none", "--wait"]);
        assert!(code == Some(2) && said.contains("nothing is known of job track-none"), "{said}");
        daemon.stop();
    });
}

#[test]
fn who_waits_for_a_job_and_is_interrupted_is_told_how_to_look_on() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("long", "echo begun; sleep 600");
    let daemon = folder.daemon();
    let (code, said) = folder.windlass(&["enqueue", "long", "--wait=1s"]);
    assert!(code == Some(124) && said.contains("has not ended in time"), "{said}");
    let mut waiting = follow(&folder, &["enqueue", "long", "--wait", "--args", "[1]"]);
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    signal(waiting.id(), Signal::INT);
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
    let mut errors = String::new();
    waiting.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("the job goes on; look on: windlass jobs output track-"), "{errors}");
    drop(daemon);
}

#[test]
fn a_task_that_keeps_results_keeps_them_under_the_ids_of_its_jobs() {
    on_both(|folder| {
        folder.script("sums", "echo $WINDLASS_JOB_ID >id; echo 42");
        folder.add_keys("sums", "keep_results = \"1h\"");
        let path = folder.path("tasks.d/sums.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + "result = \"last_line\"\n").unwrap();
        let daemon = folder.daemon();
        folder.enqueue(&["sums"]);
        eventually("it has run", || folder.json(&["stats"])["processed"] == 1);
        let id = folder.read("id").trim().to_owned();
        assert_eq!(folder.json(&["jobs", "result", &id])["result"], "42");
        let (code, said) = folder.windlass(&["jobs", "output", &id]);
        assert!(code == Some(0) && said.starts_with("42\n") && said.contains("the job has ended (done)"), "{said}");
        daemon.stop();
    });
}
