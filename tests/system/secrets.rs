//! Secrets of the daemon, and the jobs that run beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};

/// The user and group `nobody`, on most systems.
const NOBODY: u32 = 65534;
const HOOK: &str = "name = \"hook\"\n[run]\nhttp = \"http://127.0.0.1:9/\"\nsecret = { env = \"HOOK_SECRET\" }\n";

#[test]
fn no_job_finds_a_secret_of_the_daemon() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("look", "env >env; cat /proc/$PPID/environ >theirs 2>&1; cat /proc/$PPID/mem >memory 2>&1; : >done");
    fs::write(folder.path("tasks.d/hook.toml"), HOOK).unwrap();
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let store = format!("sqlite:{}", folder.path("windlass.db").display());
    let secrets = [
        ("HOOK_SECRET", "s3cr3t-of-the-hook"),
        ("WINDLASS_HTTP_TOKEN", "s3cr3t-token"),
        ("WINDLASS_STORE_URL", store.as_str()),
    ];
    let mut command = folder.command(&["run"]);
    command.envs(secrets).env("HARMLESS", "known to jobs");
    let is_root = windlass::process::confine::is_root();
    if is_root {
        // Root may read everything, so the daemon and its jobs are another user, the same for both.
        std::os::unix::fs::chown(folder.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let daemon = folder.start(command, "log");
    daemon.wait_log("[ worker ] started");
    let mut enqueue = folder.command(&["enqueue", "look"]);
    if is_root {
        enqueue.uid(NOBODY).gid(NOBODY);
    }
    assert!(enqueue.env("HOOK_SECRET", "x").status().unwrap().success());
    eventually("the job has looked", || folder.path("done").exists());
    let read = |name: &str| String::from_utf8_lossy(&fs::read(folder.path(name)).unwrap()).into_owned();
    let env = read("env");
    assert!(env.contains("HARMLESS=known to jobs"), "{env}");
    for (name, value) in secrets {
        assert!(!env.contains(name) && !env.contains(value), "{name}: {env}");
    }
    for name in ["theirs", "memory"] {
        assert!(read(name).contains("Permission denied"), "{name}: {}", read(name));
    }
    if is_root {
        // What the system shows to those who may see it holds none either.
        for pid in [daemon.parent(), daemon.proper()] {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            assert!(environ.contains("HARMLESS=known to jobs"), "{environ}");
            assert!(
                secrets.iter().all(|(name, value)| !environ.contains(name) && !environ.contains(value)),
                "{environ}"
            );
        }
    }
    // The daemon still knows them, also when it reads its files again.
    folder.reconfigure("min_task_processors = 2", "min_task_processors = 1");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reloaded");
    daemon.stop();
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_about() {
    let folder = Folder::new("redis://:pw@127.0.0.1:1/0", "");
    let hook = "name = \"hook\"\n[run]\nhttp = \"http://127.0.0.1:9/\"\nsecret = \"a literal of a task\"\n\
                headers = { Authorization = { file = \"token\" }, Accept = \"text/plain\" }\n";
    fs::write(folder.path("tasks.d/hook.toml"), hook).unwrap();
    fs::write(folder.path("tasks.d/token"), "t0ken\n").unwrap();
    let files = ["tasks.toml", "tasks.d/hook.toml", "tasks.d/token"];
    let protect = |mode: u32| {
        for file in files {
            fs::set_permissions(folder.path(file), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    protect(0o644);
    let (code, said) = folder.windlass(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    for file in files {
        let needle =
            format!("everybody on this machine can read this secret; chmod o-r {}", folder.path(file).display());
        assert_eq!(said.matches(&needle).count(), 1, "{needle}: {said}");
    }
    protect(0o640);
    let (_, said) = folder.windlass(&["check"]);
    assert!(!said.contains("everybody on this machine"), "{said}");
}
