//! Programs under limits, as other users, with another umask.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::daemon::{Folder, eventually};

/// A folder with one task, whose `[run]` says more than its script.
fn task(name: &str, script: &str, keys: &str) -> Folder {
    let folder = Folder::new("sqlite:store.db", "");
    folder.script(name, script);
    let path = folder.path(&format!("tasks.d/{name}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + keys).unwrap();
    folder
}

fn perform(folder: &Folder, name: &str) -> Value {
    let (_, answer) = folder.windlass(&["--json", "perform", name]);
    // What the program wrote to stderr comes after the answer.
    serde_json::from_str(answer.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{answer}"))
}

#[test]
fn a_program_has_its_limits_and_its_umask() {
    let keys = "umask = \"077\"\nenv_clear = true\nenv = { COLOUR = \"blue\", PATH = \"/usr/bin:/bin\" }\n\
                [run.limits]\nmemory = \"1GiB\"\nopen_files = 77\nfile_size = \"64KiB\"\nprocesses = 10000\ncpu = \"5s\"\n";
    let folder = task("look", "cat /proc/self/limits >limits; env >env; : >made", keys);
    let answer = perform(&folder, "look");
    assert_eq!(answer["outcome"], "success", "{answer}");
    let limits = fs::read_to_string(folder.path("limits")).unwrap();
    let of = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("Max address space"), "1073741824 1073741824");
    assert_eq!(of("Max open files"), "77 77");
    assert_eq!(of("Max file size"), "65536 65536");
    assert_eq!(of("Max processes"), "10000 10000");
    assert_eq!(of("Max cpu time"), "5 10");
    assert_eq!(fs::metadata(folder.path("made")).unwrap().permissions().mode() & 0o777, 0o600);
    let env = fs::read_to_string(folder.path("env")).unwrap();
    assert!(env.contains("COLOUR=blue\n") && env.contains("WINDLASS_TASK=look\n"), "{env}");
    assert!(!env.contains("HOME="), "nothing is inherited: {env}");
}

#[test]
fn a_program_over_its_limits_fails_and_says_which() {
    let folder = task("spin", "while :; do :; done", "limits = { cpu = \"1s\" }\n");
    let answer = perform(&folder, "spin");
    assert_eq!(answer["error"], "killed by signal 24 (SIGXCPU): its limits.cpu is 1s", "{answer}");
    let folder = task("fill", "exec head -c 100000 /dev/zero >out", "limits = { file_size = \"50KB\" }\n");
    let answer = perform(&folder, "fill");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("SIGXFSZ") && error.contains("limits.file_size is 50KB"), "{answer}");
    assert_eq!(fs::metadata(folder.path("out")).unwrap().len(), 50_000);
}

#[test]
fn what_the_shim_cannot_do_is_told_as_a_start_that_failed() {
    let folder = task("greedy", "true", "limits = { open_files = 999999999 }\n");
    let answer = perform(&folder, "greedy");
    assert_eq!(answer["exception"], "SpawnError", "{answer}");
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("failed to start") && error.contains("limit open_files to 999999999"), "{answer}");
}

#[test]
fn a_program_runs_as_its_user() {
    if !windlass::process::confine::is_root() {
        // Only root may become another; then what is told is that it may not.
        let folder = task("who", "id", "user = \"nobody\"\n");
        let answer = perform(&folder, "who");
        assert!(answer["error"].as_str().unwrap().contains("group"), "{answer}");
        return;
    }
    let folder = task(
        "who",
        "id -un; id -gn; echo $HOME $USER",
        "user = \"nobody\"\ngroup = \"daemon\"\nresult = \"last_line\"\n",
    );
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "who"]).0, Some(0));
    daemon.wait_log("job success");
    eventually("its output is logged", || daemon.log().contains("/nonexistent nobody"));
    let log = daemon.log();
    assert!(log.contains("nobody") && log.contains("daemon"), "{log}");
    daemon.stop();
}
