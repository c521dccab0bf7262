//! `output = "file"`: the whole output of a run, kept on the machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::daemon::{Folder, eventually};

/// A folder with a task whose output is kept; `keys` stand above `[run]`.
fn scene(more: &str, script: &str, keys: &str) -> Folder {
    let folder = Folder::new("sqlite:store/jobs.db", "");
    fs::create_dir(folder.path("store")).expect("a folder must be made");
    let config = folder.read("tasks.toml") + more;
    fs::write(folder.path("tasks.toml"), config).expect("the configuration must be written");
    folder.script("says", script);
    let path = folder.path("tasks.d/says.toml");
    let task =
        fs::read_to_string(&path).expect("the task must be readable").replace("[run]", &format!("{keys}\n[run]"));
    fs::write(&path, task + "output = \"file\"\n").expect("the task must be written");
    folder
}

fn failure(folder: &Folder) -> Value {
    let mut found = Value::Null;
    eventually("the job has failed", || {
        let (_, said) = folder.windlass(&["--json", "failed", "list"]);
        found = serde_json::from_str::<Value>(said.trim()).unwrap_or_default()["failed"][0].clone();
        found.is_object()
    });
    found
}

const KEPT: &str = "[output]\nfolder = \"kept\"\nrun = \"64KiB\"\n";

#[test]
fn a_failure_names_the_file_that_has_all_that_its_run_wrote() {
    let script = "seq 1 2000; echo oops >&2; printf \"\\033[2Jodd\\n\"; exit 3";
    let folder = scene(KEPT, script, "");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "says"]).0, Some(0));
    let failed = failure(&folder);
    let id = failed["job_id"].as_str().expect("the record has the id").to_owned();
    let (code, shown) = folder.windlass(&["failed", "show", failed["id"].as_str().expect("its address")]);
    assert!(code == Some(0) && shown.contains(&format!("windlass jobs output {id}")), "{shown}");
    let path = shown.split_whitespace().find(|word| word.contains("/kept/")).expect("the file is named");
    assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o777, 0o600);
    let (code, said) = folder.windlass(&["jobs", "output", &id]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2002, "{said}");
    assert!(lines.contains(&"oops") && lines.contains(&"2000") && lines.contains(&"\\u001b[2Jodd"), "{said}");
    let listed: Value = serde_json::from_str(&folder.windlass(&["--json", "jobs", "output"]).1).expect("JSON");
    assert_eq!((listed["runs"][0]["id"].as_str(), listed["runs"].as_array().map(Vec::len)), (Some(&*id), Some(1)));
    assert_eq!(
        (&listed["runs"][0]["task"], &listed["runs"][0]["state"]),
        (&"says".into(), &"failed".into()),
        "{listed}"
    );
    // By every id that it is known under; who follows it is told how it has ended.
    let (failure, claim) = (failed["id"].as_str().expect("its address"), listed["runs"][0]["claim"].as_str());
    for known in [failure, &failure[..12], &id[..16], claim.expect("its claim")] {
        assert_eq!(folder.windlass(&["jobs", "output", known]), (Some(0), said.clone()), "{known}");
        assert_eq!(folder.windlass(&["jobs", "output", known, "--follow"]).0, Some(1), "{known}");
    }
    let json: Value = serde_json::from_str(&folder.windlass(&["--json", "jobs", "output", &id]).1).expect("JSON");
    assert!(json["output"].as_str().is_some_and(|output| output.contains("oops\n")), "{json}");
    let (code, said) = folder.windlass(&["jobs", "output", "../../etc/passwd"]);
    assert!(code == Some(1) && said.contains("no output of ../../etc/passwd is kept"), "{said}");
    assert!(!daemon.log().contains("] 2000"), "what is kept is not logged: {}", daemon.log());
    daemon.stop();
}

#[test]
fn json_holds_the_end_of_a_long_output_and_says_what_it_leaves_out() {
    let kept = KEPT.replace("64KiB", "16MiB");
    let folder = scene(&kept, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3", "");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "says"]).0, Some(0));
    let id = failure(&folder)["job_id"].as_str().expect("the record has the id").to_owned();
    let (code, said) = folder.windlass(&["--json", "jobs", "output", &id]);
    let line = said.lines().find(|line| line.starts_with('{')).expect("JSON");
    let json: Value = serde_json::from_str(line).expect("JSON");
    let (output, bytes) = (json["output"].as_str().expect("its end"), json["bytes"].as_u64().expect("its length"));
    assert_eq!((code, output.len()), (Some(0), 4 << 20));
    assert!(bytes > 5_000_000 && output.ends_with("x\nthe end\n"), "{bytes}");
    assert_eq!(json["left_out"].as_u64(), Some(bytes - (4 << 20)));
    daemon.stop();
}

#[test]
fn a_run_that_took_too_long_leaves_the_end_of_both_streams() {
    let folder = scene(KEPT, "echo working; echo waiting >&2; sleep 60", "timeout = \"1s\"");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "says"]).0, Some(0));
    let failed = failure(&folder);
    assert_eq!(failed["exception"], "Timeout", "{failed}");
    let (_, shown) = folder.windlass(&["failed", "show", failed["id"].as_str().expect("an id")]);
    for expected in ["working", "waiting", "its whole output is on"] {
        assert!(shown.contains(expected), "{shown}");
    }
    let (_, list) = folder.windlass(&["failed"]);
    assert!(list.contains("LAST LINE OF STDERR") && list.lines().nth(1).expect(&list).ends_with("waiting"), "{list}");
    let matched = |text: &str| {
        let (_, said) = folder.windlass(&["--json", "failed", "list", "--error", text]);
        serde_json::from_str::<Value>(&said).expect(&said)["failed"].as_array().map(Vec::len)
    };
    assert_eq!((matched("whole output"), matched("working"), matched("waiting")), (Some(0), Some(1), Some(1)));
    daemon.stop();
}

#[test]
fn what_cannot_be_kept_costs_no_job_and_is_told_once() {
    let folder = scene("[output]\nfolder = \"tasks.toml/kept\"\n", "echo hello; echo ran >>runs", "");
    let daemon = folder.daemon();
    for _ in 0..3 {
        assert_eq!(folder.windlass(&["enqueue", "says"]).0, Some(0));
    }
    eventually("all jobs are done", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":3"));
    assert_eq!(daemon.log().matches("the output of jobs is not kept in").count(), 1, "{}", daemon.log());
    assert!(folder.windlass(&["failed"]).1.contains("no failed jobs") || failure_count(&folder) == 0);
    daemon.stop();
}

#[test]
fn check_tells_of_a_folder_that_a_daemon_would_not_write_to() {
    let folder = scene(KEPT, "true", "");
    let warnings = || {
        let (code, output) = folder.document(&["check"]);
        assert_eq!(code, Some(0), "the jobs themselves go on: {output}");
        let told = output["warnings"].as_array().expect("warnings").iter().filter_map(Value::as_str);
        told.filter(|one| one.contains("output.folder")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(warnings(), [""; 0], "it is missing, and will be made");
    assert!(!folder.path("kept").exists(), "check makes nothing");
    fs::create_dir(folder.path("kept")).expect("a folder must be made");
    let (shared, own) = (fs::Permissions::from_mode(0o777), fs::Permissions::from_mode(0o700));
    fs::set_permissions(folder.path("kept"), shared).expect("its rights must change");
    let told = warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    for expected in ["task says", "/kept", "chmod"] {
        assert!(told[0].contains(expected), "{told:?}");
    }
    fs::set_permissions(folder.path("kept"), own).expect("its rights must change");
    assert_eq!(warnings(), [""; 0]);
    fs::rename(folder.path("kept"), folder.path("real")).expect("it must be moved");
    std::os::unix::fs::symlink(folder.path("real"), folder.path("kept")).expect("a link must be made");
    assert!(warnings()[0].contains("it is a link"), "{:?}", warnings());
}

fn failure_count(folder: &Folder) -> u64 {
    let (_, said) = folder.windlass(&["--json", "stats"]);
    serde_json::from_str::<Value>(said.trim()).ok().and_then(|stats| stats["failed"].as_u64()).unwrap_or(u64::MAX)
}

#[test]
fn jobs_of_a_child_that_stays_have_what_it_wrote_while_it_held_them() {
    let folder = scene(KEPT, "true", "");
    let program = "#!/usr/bin/env python3
import json, sys
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get('method') == 'perform':
        print('about', json.dumps(message['params']['args']), file=sys.stderr, flush=True)
        error = {'code': 1, 'message': 'refused'}
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'error': error}), flush=True)
";
    folder.worker("stays", program);
    let path = folder.path("tasks.d/stays.toml");
    let task = fs::read_to_string(&path).expect("the task must be readable");
    fs::write(&path, task + "output = \"file\"\n").expect("the task must be written");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "stays", "--arg", "7"]).0, Some(0));
    let failed = failure(&folder);
    let id = failed["job_id"].as_str().expect("the record has the id").to_owned();
    eventually("its output is kept", || folder.windlass(&["jobs", "output", &id]).1.contains("about [7]"));
    let address = failed["id"].as_str().expect("its address");
    assert!(folder.windlass(&["failed", "show", address]).1.contains("its whole output is on"));
    daemon.stop();
}
