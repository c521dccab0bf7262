//! `failed` as people look for what failed: the newest first, what their programs said, by what the jobs match.

use serde_json::{Value, json};

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

/// Three jobs that failed, of two tasks.
fn folder() -> Folder {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("bad", "echo 'going on' >&2; echo 'no space left' >&2; exit 3");
    folder.script("worse", "exit 4");
    let daemon = folder.daemon();
    for (number, task) in [(1, "bad"), (2, "worse"), (3, "bad")] {
        assert_eq!(folder.windlass(&["enqueue", task, "--arg", &number.to_string()]).0, Some(0));
        eventually("it failed", || folder.windlass(&["failed", "count"]).1 == format!("{number}\n"));
    }
    daemon.stop();
    folder
}

fn args_of(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let (code, said) = folder.windlass(&[&["failed", "--json"], more].concat());
    assert_eq!(code, Some(0), "{said}");
    let page: Value = serde_json::from_str(&said).unwrap();
    page["failed"].as_array().unwrap().iter().map(|one| one["args"][0].clone()).collect()
}

#[test]
fn the_newest_come_first_and_filters_narrow_them_down() {
    let folder = folder();
    let (_, text) = folder.windlass(&["failed"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("POS") && lines[0].ends_with("LAST LINE OF STDERR"), "{text}");
    assert!(lines[1].contains("bad    [3]") && lines[1].ends_with("no space left"), "{text}");
    assert_eq!(lines[4], "3 failed jobs in all", "{text}");
    assert_eq!(args_of(&folder, &[]), [json!(3), json!(2), json!(1)]);
    assert_eq!(args_of(&folder, &["--start", "0"]), [json!(1), json!(2), json!(3)], "by position the oldest is first");
    assert_eq!(args_of(&folder, &["--task", "bad"]), [json!(3), json!(1)]);
    assert_eq!(args_of(&folder, &["--error", "NO SPACE"]), [json!(3), json!(1)]);
    assert_eq!(args_of(&folder, &["--error", "exited with 4", "--queue", "default", "--since", "1h"]), [json!(2)]);
    assert_eq!(args_of(&folder, &["--filter", "task:bad -args.0:1 error:\"no space\" after:-1h"]), [json!(3)]);
    assert_eq!(args_of(&folder, &["--filter", "-task:bad", "--since", "1h"]), [json!(2)]);
    let (code, said) = folder.windlass(&["failed", "--filter", "task:bad eror:x"]);
    assert!(
        code == Some(64) && said.contains("character 10 of the filter") && said.contains("did you mean error:?"),
        "{said}"
    );
    assert!(args_of(&folder, &["--since", "2036-01-01T00:00:00Z"]).is_empty());
    let (_, said) = folder.windlass(&["failed", "--limit", "1"]);
    assert!(said.ends_with("3 failed jobs in all; there are more of these: use --limit N\n"), "{said}");
    assert_eq!(folder.windlass(&["failed", "--limit", "0"]).0, Some(64));
    let (code, said) = folder.windlass(&["failed", "--task", "bda"]);
    assert!(code == Some(1) && said.contains("did you mean \"bad\"?"), "{said}");
    let (_, said) = folder.windlass(&["failed", "--json"]);
    let page: Value = serde_json::from_str(&said).unwrap();
    let at = page["failed"][0]["failed_at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && &at[19..20] == ".", "RFC 3339 with milliseconds, in UTC: {at}");
}

#[test]
fn the_last_line_of_stderr_is_seen_on_a_terminal_of_eighty_columns() {
    let folder = folder();
    let config = folder.path("tasks.toml");
    let line =
        format!("stty cols 80 rows 50; exec {} --config {} failed", env!("CARGO_BIN_EXE_windlass"), config.display());
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1").stdin(std::process::Stdio::null());
    let output = terminal.output().expect("script must be there");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert_eq!(text.lines().filter(|line| *line == "    no space left").count(), 2, "{text}");
    assert!(text.lines().filter(|line| line.contains("  ")).all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains("left out: last line"), "{text}");
}

#[test]
fn several_are_removed_by_their_ids_or_by_what_they_match() {
    let folder = folder();
    let (code, said) = folder.windlass(&["failed", "remove", "--task", "bad"]);
    assert!(code == Some(64) && said.contains("Remove 2 failed jobs?") && said.contains("--yes"), "{said}");
    // Positions are those before the first was removed.
    let (code, said) = folder.windlass(&["failed", "remove", "0", "1"]);
    assert!(code == Some(0) && said.lines().count() == 2, "{said}");
    assert_eq!(args_of(&folder, &[]), [json!(3)]);
    let (code, said) = folder.windlass(&["failed", "remove", "0", "7"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(args_of(&folder, &[]), [json!(3)], "one of them is not there: nothing is removed");
    let (code, said) = folder.windlass(&["failed", "remove", "--filter", "task:bad", "--yes"]);
    assert_eq!((code, said.as_str()), (Some(0), "removed 1 failed job\n"));
}

#[test]
fn all_that_match_are_counted_before_they_are_retried() {
    let folder = folder();
    let (code, said) = folder.windlass(&["failed", "retry", "--filter", "task:bad", "--dry-run"]);
    assert_eq!((code, said.as_str()), (Some(0), "2 failed jobs would be retried\n"));
    let (code, said) = folder.windlass(&["failed", "remove", "--task", "bad", "--dry-run", "--json"]);
    assert_eq!((code, said.as_str()), (Some(0), "{\"count\":2}\n"));
    for how in [&["--filter", "task:bad"][..], &["--task", "bad"], &["--all"], &["--unknown"]] {
        let (code, said) = folder.windlass(&[&["failed", "retry"], how].concat());
        assert!(code == Some(64) && said.contains("repeat the command with --yes"), "{how:?}: {said}");
    }
    let (code, said) = folder.windlass(&["failed", "retry", "--filter", "task:bad"]);
    assert!(code == Some(64) && said.contains("Retry 2 failed jobs?") && said.contains("--yes"), "{said}");
    let (code, said) = folder.windlass(&["failed", "retry", "--filter", "task:bad", "--expect", "7", "--yes"]);
    assert!(code == Some(1) && said.contains("2 jobs match, and 7 were expected"), "{said}");
    assert_eq!(folder.windlass(&["failed", "count"]).1, "3\n", "nothing was changed");
    assert_eq!(folder.windlass(&["failed", "count", "--filter", "-task:bad"]).1, "1\n");
    let (code, said) = folder.windlass(&["failed", "remove", "--filter", "", "--yes"]);
    assert!(code == Some(64) && said.contains("every job would match"), "{said}");
    let retry = ["failed", "retry", "--filter", "task:bad", "--expect", "2", "--yes"];
    assert_eq!(folder.windlass(&retry), (Some(0), "retried 2 jobs\n".to_owned()));
    let (_, queue) = folder.windlass(&["queues", "show", "default", "--json"]);
    assert!(queue.find("[1]") < queue.find("[3]") && !queue.contains("[2]"), "oldest first: {queue}");
}

#[test]
fn a_job_goes_back_with_other_arguments_and_to_another_queue() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("bad", "exit 3");
    let task = folder.read("tasks.d/bad.toml").replace("[run]", "[inputs.to]\nrequired = true\n[run]");
    std::fs::write(folder.path("tasks.d/bad.toml"), task).unwrap();
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "bad", "--args", r#"{"to":"ad@a"}"#]).0, Some(0));
    eventually("it failed", || folder.windlass(&["failed", "count"]).1 == "1\n");
    daemon.stop();
    let (code, said) = folder.windlass(&["failed", "retry", "0", "--args", r#"{"too":1}"#]);
    assert!(code == Some(64) && said.contains("to"), "{said}");
    let (code, said) = folder.windlass(&["failed", "retry", "--all", "--args", "[]"]);
    assert!(code == Some(64) && said.contains("one job"), "{said}");
    std::fs::write(folder.path("args.json"), r#"[{"to": "ada@a"}]"#).unwrap();
    let file = format!("@{}", folder.path("args.json").display());
    let (code, said) = folder.windlass(&["failed", "retry", "0", "--args", &file, "--queue", "slow", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let mended = json!({"args_before": r#"[{"to":"ad@a"}]"#, "args": r#"[{"to":"ada@a"}]"#, "queue_before": "default"});
    assert_eq!((&told["queue"], &told["mended"]), (&json!("slow"), &mended), "{told}");
    let (_, queue) = folder.windlass(&["queues", "show", "slow", "--json"]);
    assert!(queue.contains(r#"[{"to":"ada@a"}]"#) && queue.contains(r#""queue":"slow""#), "{queue}");
    let (_, audit) = folder.windlass(&["audit", "--json"]);
    let page: Value = serde_json::from_str(&audit).unwrap();
    let entries = page["audit"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "what changed nothing is not there: {audit}");
    assert_eq!((&entries[0]["what"], &entries[0]["outcome"]), (&json!("failed retry"), &json!("done")), "{audit}");
    assert_eq!(entries[0]["result"]["mended"], mended, "the arguments as they were: {audit}");
}

#[test]
fn failures_of_one_kind_are_counted_together_and_acted_on() {
    let folder = folder();
    let (_, said) = folder.windlass(&["failed", "groups", "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    let counts: Vec<_> = found["groups"].as_array().unwrap().iter().map(|one| (&one["class"], &one["count"])).collect();
    assert_eq!(counts, [(&json!("bad"), &json!(2)), (&json!("worse"), &json!(1))], "{said}");
    assert_eq!((&found["scanned"], &found["complete"]), (&json!(3), &json!(true)));
    let (_, text) = folder.windlass(&["failed", "list", "--group", "--limit", "1"]);
    assert!(text.contains("bad") && !text.contains("worse") && text.contains("1 are in other groups"), "{text}");
    let group = format!("group:{}", &found["groups"][0]["id"].as_str().unwrap()[..8]);
    assert_eq!(args_of(&folder, &["--filter", &group]), [json!(3), json!(1)]);
    let (code, said) = folder.windlass(&["failed", "export", "--filter", &group]);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(code == Some(0) && lines.len() == 2 && lines[0]["args"] == json!([3]), "{said}");
    std::fs::write(folder.path("failed.ndjson"), &said).unwrap();
    let file = folder.path("failed.ndjson").display().to_string();
    assert_eq!(folder.windlass(&["failed", "remove", "--filter", &group, "--yes"]).0, Some(0));
    assert_eq!(folder.windlass(&["failed", "import", &file]), (Some(0), "imported 2 failed jobs\n".to_owned()));
    let (_, again) = folder.windlass(&["failed", "export", "--filter", &group]);
    let ids = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["job_id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&said), "in the same order, with their ids");
    let twice = folder.windlass(&["failed", "import", &file]);
    assert_eq!(twice, (Some(0), "imported 0 failed jobs\n2 were on the list already\n".to_owned()));
    std::fs::write(folder.path("bad.ndjson"), said.replacen("\\\"class\\\"", "\\\"Class\\\"", 1) + "{}\n").unwrap();
    let (code, bad) = folder.windlass(&["failed", "import", &folder.path("bad.ndjson").display().to_string()]);
    assert!(
        code == Some(64) && bad.contains("line 1: ") && bad.contains("line 3: ") && bad.contains("it was changed"),
        "{bad}"
    );
    assert_eq!(folder.windlass(&["failed", "remove", "--filter", &group, "--yes"]).0, Some(0));
    let (_, audit) = folder.windlass(&["audit"]);
    for part in ["failed remove", "failed import", &group, "removed 2 failed jobs"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    assert!(!audit.contains("{\"removed"), "{audit}");
}

#[test]
fn a_periodic_job_is_retried_while_its_next_run_waits() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("backup", "test -e mended || exit 3; sleep 300");
    let task = folder.read("tasks.d/backup.toml").replace("[run]", "schedule = \"0 3 1 1 *\"\n[run]");
    std::fs::write(folder.path("tasks.d/backup.toml"), task).unwrap();
    let daemon = folder.daemon();
    eventually("its first run waits", || folder.windlass(&["periodic"]).1.contains("delayed"));
    for count in ["1\n", "2\n"] {
        // It is delayed first and run next; the failed one is not in the way of the second.
        eventually("it runs", || folder.windlass(&["periodic", "run", "backup"]).1.contains("enqueued backup"));
        eventually("it failed", || folder.windlass(&["failed", "count"]).1 == count);
        eventually("its next run waits", || folder.windlass(&["periodic"]).1.contains("delayed"));
    }
    std::fs::write(folder.path("mended"), "").unwrap();
    let (code, said) = folder.windlass(&["failed", "retry", "0"]);
    assert!(code == Some(0) && said.contains("retried"), "{said}");
    eventually("it runs", || folder.windlass(&["workers"]).1.contains("backup"));
    assert!(folder.windlass(&["delayed"]).1.contains("backup"), "its next run stays");
    let (code, said) = folder.windlass(&["failed", "retry", "--all", "--yes"]);
    assert!(code == Some(0) && said.contains("retried 1 job"), "{said}");
    eventually("an equal job runs already", || folder.windlass(&["queues"]).1.contains('0'));
    assert_eq!(folder.windlass(&["workers"]).1.matches("backup").count(), 1);
    drop(daemon);
}

#[test]
fn a_refused_retry_ends_with_1_and_says_what_to_type() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("bad", "exit 3");
    let task = folder.read("tasks.d/bad.toml").replace("[run]", "plugins = [\"QueueLock\", \"DelayQueueLock\"]\n[run]");
    std::fs::write(folder.path("tasks.d/bad.toml"), task).unwrap();
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "bad", "--arg", "\"a b\""]).0, Some(0));
    eventually("it failed", || folder.windlass(&["failed", "count"]).1 == "1\n");
    daemon.stop();
    assert_eq!(folder.windlass(&["enqueue", "bad", "--arg", "\"a b\"", "--in", "1h"]).0, Some(0));
    for how in [&["0"][..], &["--all", "--yes"]] {
        let (code, said) = folder.windlass(&[&["failed", "retry"], how].concat());
        let typed = r#"DelayQueueLock refused; an equal job is delayed; to run that one now: windlass delayed run --args '["a b"]' --queue default bad"#;
        assert!(code == Some(1) && said.contains(typed), "{code:?} {said}");
    }
    let (code, said) = folder.windlass(&["failed", "retry", "0", "--json"]);
    assert!(code == Some(1) && said.contains(r#""refused_by":"DelayQueueLock""#), "{said}");
    assert_eq!(folder.windlass(&["delayed", "delete", "bad", "--arg", "\"a b\""]).0, Some(0));
    assert_eq!(folder.windlass(&["enqueue", "bad", "--arg", "\"a b\""]).0, Some(0));
    let (code, said) = folder.windlass(&["failed", "retry", "0"]);
    let key = said.split("windlass locks delete ").nth(1).expect(&said).trim();
    assert!(code == Some(1) && key.starts_with('\''), "it is quoted: {said}");
    assert_eq!(folder.windlass(&["locks", "delete", key.trim_matches('\'')]).0, Some(0));
    assert_eq!(folder.windlass(&["failed", "retry", "0"]).0, Some(0));
}

#[test]
fn where_failures_cannot_be_recorded_good_jobs_go_on_and_nothing_is_lost() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    server.command(&["SET", "resque:failed", "x"]);
    let folder = Folder::new(&server.url(), "");
    folder.script("bad", "echo $WINDLASS_JOB_ID >>bads; exit 3");
    folder.script("good", "echo >>goods");
    let daemon = folder.daemon();
    let enqueue = |task: &str| assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
    (0..6).for_each(|_| enqueue("bad"));
    (0..6).for_each(|_| enqueue("good"));
    let lines = |name: &str| folder.read(name).lines().count();
    eventually("good jobs pass those that wait for their ends", || lines("goods") == 6);
    daemon.wait_log("its end could not be recorded");
    assert_eq!(lines("bads"), 6);
    server.command(&["DEL", "resque:failed"]);
    eventually("all ends are recorded", || folder.windlass(&["failed", "count"]).1 == "6\n");
    // Those that waited leave; two processors go on.
    eventually("as many processors are left as there were", || {
        server.command(&["SCARD", "resque:workers"]) == Reply::Int(2)
    });
    enqueue("good");
    eventually("they work", || lines("goods") == 7);
    assert_eq!(lines("bads"), 6, "each ran once: {}", folder.read("bads"));
    daemon.stop();
}

#[test]
fn the_id_of_a_job_names_its_failure_and_several_are_retried_at_once() {
    let folder = folder();
    let (_, said) = folder.windlass(&["failed", "--json"]);
    let page: Value = serde_json::from_str(&said).unwrap();
    let jobs: Vec<&str> = (0..3).map(|at| page["failed"][at]["job_id"].as_str().unwrap()).collect();
    assert!(folder.windlass(&["failed"]).1.contains(jobs[0]), "the list shows it");
    let (_, shown) = folder.windlass(&["failed", "show", jobs[0], "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["args"], json!([3]));
    for (verb, name) in [("show", "zzzz"), ("retry", "99"), ("retry", "zzzz"), ("remove", "zzzz"), ("remove", "99")] {
        let (code, said) = folder.windlass(&["failed", verb, name]);
        assert!(code == Some(1) && said.contains("windlass failed"), "{verb} {name}: {code:?}: {said}");
    }
    let (code, said) = folder.windlass(&["failed", "retry", jobs[0], "0", "zzzz"]);
    assert_eq!((code, args_of(&folder, &[]).len()), (Some(1), 3), "one of them is not there: {said}");
    let (code, said) = folder.windlass(&["failed", "retry", jobs[0], "0"]);
    assert_eq!((code, said.as_str()), (Some(0), "retried 2 jobs\n"));
    assert_eq!(args_of(&folder, &[]), [json!(2)]);
    assert_eq!(folder.windlass(&["failed", "remove", jobs[1]]).0, Some(0));
}
