//! Plugins of one's own, as programs: around enqueue, run and retry, with the real binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::{Value, json};
use windlass::process::sweep;

use crate::daemon::{Daemon, Folder, eventually, signal};

/// A folder whose task `job` notes its runs, with a plugin program of this script that is asked at these points.
fn folder(script: &str, hooks: &str, more: &str) -> Folder {
    let folder = Folder::new("sqlite:windlass.db", "");
    program(&folder, "policy", script);
    program(&folder, "work", "echo \"$WINDLASS_ARGS\" >>runs; case \"$WINDLASS_ARGS\" in *fail*) exit 1;; esac");
    let task = format!(
        "name = \"job\"\nplugins = [{more}{{ exec = [\"./policy\"], hooks = [{hooks}], timeout = \"2s\" }}]\n\
         [plugin_options.policy]\nlimit = 3\n[run]\nexec = [\"./work\"]\n"
    );
    fs::write(folder.path("tasks.d/job.toml"), task).expect("the task must be written");
    folder
}

fn program(folder: &Folder, name: &str, script: &str) {
    let path = folder.path(&format!("tasks.d/{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the program must be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
}

/// What the command answered; what it said on stderr.
#[track_caller]
fn answer(folder: &Folder, args: &[&str], code: i32) -> (Value, String) {
    let output = folder.command(&[&["--json"], args].concat()).output().expect("the binary must run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    (serde_json::from_str(&stdout).unwrap_or(Value::Null), said)
}

fn enqueue(folder: &Folder, args: &str) -> Value {
    answer(folder, &["enqueue", "job", "--args", args], 0).0
}

fn runs(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.path("tasks.d/runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn failed(folder: &Folder) -> Vec<Value> {
    answer(folder, &["failed", "list"], 0).0["failed"].as_array().cloned().unwrap_or_default()
}

const DENY_BAD: &str = "case \"$WINDLASS_ARGS\" in *bad*) echo '{\"allow\":false,\"reason\":\"not a bad one\"}';; esac; echo asked >>asked";

#[test]
fn what_a_plugin_denies_is_not_enqueued_and_that_is_an_answer() {
    let folder = folder(DENY_BAD, "\"before_enqueue\"", "\"QueueLock\", ");
    let refused = enqueue(&folder, "[\"bad\"]");
    assert_eq!(refused, json!({"enqueued": false, "refused_by": "policy", "reason": "not a bad one"}));
    assert_eq!(enqueue(&folder, "[1]")["enqueued"], true);
    let by_rule = enqueue(&folder, "[1]");
    assert_eq!(by_rule["refused_by"], "QueueLock", "rules are judged after all hooks: {by_rule}");
    let asked = fs::read_to_string(folder.path("tasks.d/asked")).expect("it was asked");
    assert_eq!(asked.lines().count(), 3);
    // Nobody is asked about what is only delayed.
    let (delayed, _) = answer(&folder, &["enqueue", "job", "--args", "[\"bad\"]", "--in", "1h"], 0);
    assert_eq!(delayed["enqueued"], true);
    let (_, text) = folder.windlass(&["enqueue", "job", "--args", "[\"bad\"]"]);
    assert_eq!(text.trim(), "not enqueued: policy of job refused: not a bad one");

    fs::write(folder.path("bulk"), "{\"task\":\"job\",\"args\":[2]}\n{\"task\":\"job\",\"args\":[\"bad\"]}\n")
        .expect("the file must be written");
    let bulk = folder.path("bulk");
    let (bulk, _) = answer(&folder, &["enqueue", "--bulk", bulk.to_str().expect("a path in UTF-8")], 0);
    assert_eq!(bulk["enqueued"], 1);
    assert_eq!(bulk["refused"], json!([{"line": 2, "refused_by": "policy", "reason": "not a bad one"}]));
}

#[test]
fn a_plugin_that_cannot_answer_enqueues_nothing_and_one_behind_it_takes_nothing_back() {
    let before = folder("echo why >&2; exit 3", "\"before_enqueue\"", "");
    let (_, said) = answer(&before, &["enqueue", "job"], 1);
    assert!(said.contains("plugin \"policy\" failed in before_enqueue: PluginExitStatus: exited with 3"), "{said}");
    assert!(said.contains("nothing was enqueued"), "{said}");
    fs::write(before.path("bulk"), "{\"task\":\"job\"}\n").expect("the file must be written");
    let bulk = before.path("bulk");
    let (bulk, _) = answer(&before, &["enqueue", "--bulk", bulk.to_str().expect("a path in UTF-8")], 1);
    assert_eq!((&bulk["enqueued"], &bulk["failed"][0]["plugin"]), (&json!(0), &json!("policy")));
    let (_, said) = answer(&before, &["queues", "show", "default"], 1);
    assert!(said.contains("there is no queue \"default\""), "nothing was ever written: {said}");

    let after = folder("echo garbage", "\"after_enqueue\"", "");
    let (enqueued, said) = answer(&after, &["enqueue", "job"], 0);
    assert_eq!(
        (&enqueued["enqueued"], &enqueued["after_enqueue_errors"][0]["plugin"]),
        (&json!(true), &json!("policy"))
    );
    assert!(said.contains("the job is on its queue, but plugin \"policy\" failed in after_enqueue"), "{said}");
    let (queue, _) = answer(&after, &["queues", "show", "default"], 0);
    assert_eq!(queue.to_string().matches("\"job\"").count(), 1, "{queue}");
}

#[test]
fn a_vetoed_job_is_dropped_and_the_pool_goes_on() {
    let folder = folder(DENY_BAD, "\"before_perform\"", "\"JobLock\", ");
    let daemon = folder.daemon();
    enqueue(&folder, "[\"bad\"]");
    enqueue(&folder, "[\"good\"]");
    daemon.wait_log("job success");
    daemon.wait_log("dropped job default");
    assert!(daemon.log().contains(r#"plugin \"policy\": not a bad one"#), "{}", daemon.log());
    assert_eq!(runs(&folder), ["[\"good\"]"]);
    assert_eq!(failed(&folder), Vec::<Value>::new());
    let (stats, _) = answer(&folder, &["stats"], 0);
    assert_eq!((&stats["processed"], &stats["failed"]), (&json!(1), &json!(0)), "{stats}");
    let (locks, _) = answer(&folder, &["locks"], 0);
    assert!(!locks.to_string().contains("job:default"), "{locks}");
    daemon.stop();
}

#[test]
fn whatever_a_plugin_does_wrong_fails_its_job_by_name_and_no_other() {
    let script = "case \"$WINDLASS_ARGS\" in \
        *hang*) echo stuck >&2; sleep 600;; *crash*) kill -SEGV $$;; *garbage*) echo yes;; *exit*) exit 3;; \
        *flood*) head -c 10000000 /dev/zero | tr '\\0' x;; esac";
    let folder = folder(script, "\"before_perform\"", "");
    folder.reconfigure("scheduler = true", "scheduler = true\nunstarted = \"fail\"");
    let daemon = folder.daemon();
    let ways = [
        ("hang", "PluginTimeout"),
        ("crash", "PluginSignal"),
        ("garbage", "PluginAnswer"),
        ("exit", "PluginExitStatus"),
        ("flood", "PluginOutput"),
    ];
    for (way, _) in ways {
        enqueue(&folder, &format!("[\"{way}\"]"));
    }
    enqueue(&folder, "[\"good\"]");
    eventually("all others have failed", || failed(&folder).len() == ways.len());
    daemon.wait_log("job success");
    assert_eq!(runs(&folder), ["[\"good\"]"]);
    let records = failed(&folder);
    for (way, exception) in ways {
        let record = records.iter().find(|record| record["args"][0] == way).expect("it failed");
        assert_eq!(record["exception"], exception, "{record}");
        let error = record["error"].as_str().expect("an error");
        assert!(error.starts_with("plugin \"policy\", before_perform: "), "{record}");
        if way == "hang" {
            assert_eq!(record["backtrace"], json!(["stuck"]), "the end of its stderr");
        }
    }
    // Gone since the tasks were read.
    fs::remove_file(folder.path("tasks.d/policy")).expect("it was there");
    enqueue_unchecked(&folder);
    eventually("it fails too", || failed(&folder).iter().any(|record| record["exception"] == "PluginSpawnError"));
    daemon.stop();
}

/// As another program enqueues, which knows nothing of our task files.
fn enqueue_unchecked(folder: &Folder) {
    let store = windlass::store::sqlite::SqliteStore::open(
        &folder.path("windlass.db"),
        std::sync::Arc::new(windlass::clock::SystemClock),
    );
    let job = windlass::store::queueing::Enqueue {
        queue: windlass::job::QueueName::as_stored("default"),
        payload: bytes::Bytes::from_static(br#"{"class":"job","queue":"default","args":["gone"]}"#),
        front: false,
        admissions: Vec::new(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime must be had");
    let enqueued = runtime.block_on(async {
        let store = windlass::store::Store::from(store.expect("the store must open"));
        store.run(windlass::store::queueing::EnqueueBatch { jobs: vec![job] }).await
    });
    enqueued.expect("the job must be written");
}

#[test]
fn after_a_run_a_plugin_hears_how_it_ended_and_may_clear_a_failure() {
    let script =
        "cat >>told; case \"$WINDLASS_ARGS\" in *fail-clear*) echo '{\"clear\":true}';; *object*) exit 9;; esac";
    let folder = folder(script, "\"after_perform\"", "");
    let daemon = folder.daemon();
    for args in ["[\"good\"]", "[\"fail-clear\"]", "[\"fail\"]", "[\"object\"]"] {
        enqueue(&folder, args);
    }
    eventually("two have failed", || failed(&folder).len() == 2);
    eventually("two are done", || answer(&folder, &["stats"], 0).0["processed"] == 2);
    daemon.wait_log("plugin \"policy\" took the failure of job");
    let error = |way: &str| {
        let records = failed(&folder);
        let record = records.iter().find(|record| record["args"][0] == way).expect("it failed").clone();
        (record["exception"].clone(), record["error"].clone())
    };
    assert_eq!(error("fail"), (json!("ExitStatus"), json!("exited with 1")));
    assert_eq!(error("object").1, "plugin \"policy\", after_perform: exited with 9");
    let told = fs::read_to_string(folder.path("tasks.d/told")).expect("it was told");
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("one JSON line each")).collect();
    let of = |way: &str| told.iter().find(|line| line["args"][0] == way).expect("it was asked").clone();
    assert_eq!((&of("good")["outcome"], &of("good")["options"]), (&json!("success"), &json!({"limit": 3})));
    assert_eq!((&of("fail")["outcome"], &of("fail")["exception"]), (&json!("failure"), &json!("ExitStatus")));
    daemon.stop();
}

#[test]
fn a_retry_from_the_failed_list_asks_as_an_enqueue_does() {
    let folder =
        folder("test ! -e ../closed || echo '{\"allow\":false,\"reason\":\"closed\"}'", "\"before_enqueue\"", "");
    let daemon = folder.daemon();
    enqueue(&folder, "[\"fail\"]");
    eventually("it has failed", || failed(&folder).len() == 1);
    daemon.stop();
    fs::write(folder.path("closed"), "").expect("the folder must be writable");
    let (refused, _) = answer(&folder, &["failed", "retry", "0"], 1);
    assert_eq!((&refused["refused_by"], &refused["reason"]), (&json!("policy"), &json!("closed")));
    let (all, _) = answer(&folder, &["failed", "retry", "--all", "--yes"], 1);
    assert_eq!((&all["retried"], &all["refused"][0]["reason"]), (&json!(0), &json!("closed")));
    fs::remove_file(folder.path("closed")).expect("it was there");
    let (retried, _) = answer(&folder, &["failed", "retry", "0"], 0);
    assert_eq!(retried["outcome"], "retried");
    assert_eq!(failed(&folder).len(), 0);
}

/// A folder with a plugin that hangs before the run, and the daemon in which it does; its process.
fn hanging() -> (Folder, Daemon, u32) {
    let folder = folder("echo $$ >>../asked; exec sleep 600", "\"before_perform\"", "");
    let task = fs::read_to_string(folder.path("tasks.d/job.toml")).expect("it was written");
    fs::write(folder.path("tasks.d/job.toml"), task.replace("2s", "10m")).expect("the task must be written");
    enqueue(&folder, "[1]");
    let daemon = folder.daemon();
    let asked = || fs::read_to_string(folder.path("asked")).ok()?.trim().parse().ok();
    eventually("the plugin is asked", || asked().is_some());
    let plugin = asked().expect("just seen");
    (folder, daemon, plugin)
}

#[test]
fn a_drain_ends_a_plugin_and_gives_its_job_back_unharmed() {
    let (folder, daemon, plugin) = hanging();
    daemon.stop();
    assert!(!sweep::is_alive(plugin, 0));
    assert_eq!(failed(&folder), Vec::<Value>::new());
    program(&folder, "policy", "cat >../question");
    let daemon = folder.daemon();
    daemon.wait_log("job success");
    let question = fs::read_to_string(folder.path("question")).expect("it was asked again");
    assert!(question.contains("\"attempt\":1,\"redelivered\":0"), "{question}");
    daemon.stop();
}

#[test]
fn kill_9_of_the_daemon_takes_a_plugin_along() {
    let (_folder, mut daemon, plugin) = hanging();
    signal(daemon.proper(), Signal::KILL);
    daemon.wait();
    assert!(!sweep::is_alive(plugin, 0), "{}", daemon.log());
}

#[test]
fn perform_and_tasks_show_them_too() {
    let folder = folder(DENY_BAD, "\"before_perform\"", "");
    let (vetoed, _) = answer(&folder, &["perform", "job", "--args", "[\"bad\"]"], 1);
    assert_eq!(
        (&vetoed["outcome"], &vetoed["plugin"], &vetoed["reason"]),
        (&json!("vetoed"), &json!("policy"), &json!("not a bad one"))
    );
    assert_eq!(runs(&folder), Vec::<String>::new());
    let (done, _) = answer(&folder, &["perform", "job", "--args", "[\"good\"]"], 0);
    assert_eq!((&done["outcome"], runs(&folder).len()), (&json!("success"), 1));
    let (task, _) = answer(&folder, &["tasks", "show", "job"], 0);
    let plugin = &task["plugins"][0];
    assert_eq!((&plugin["name"], &plugin["hooks"]), (&json!("policy"), &json!(["before_perform"])));
    assert_eq!((&plugin["timeout_ms"], &plugin["options"]), (&json!(2000), &json!({"limit": 3})));
    let text = folder.windlass(&["tasks", "show", "job"]).1;
    assert!(text.contains("before_perform, timeout 2s, options {\"limit\":3})"), "{text}");
}

#[test]
fn what_a_plugin_may_not_be_is_told_by_check() {
    let folder = folder("exit 0", "\"before_run\"", "");
    fs::set_permissions(folder.path("tasks.d/policy"), fs::Permissions::from_mode(0o757)).expect("one's own file");
    let (answer, _) = answer(&folder, &["check"], 64);
    let problems: Vec<_> =
        answer["problems"].as_array().expect("a list").iter().map(|one| one["text"].to_string()).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("may be written by everybody"), "{problems:?}");
    assert!(
        problems[1].contains("expected before_enqueue, after_enqueue, before_perform or after_perform"),
        "{problems:?}"
    );
}
