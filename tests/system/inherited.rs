//! What a daemon inherits from the one who starts it, open files and signals: no program of a job gets it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};

/// Writes down which files it has open, for each job.
const CHILD: &str = "#!/usr/bin/env python3
import json, os, sys
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get('method') == 'perform':
        with open('new', 'w') as f: f.write(' '.join(fds))
        os.rename('new', 'child')
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': None}), flush=True)
";

/// Runs a command of windlass by a shell that has opened a secret by these numbers.
fn with_open_files(folder: &Folder, args: &[&str]) -> Command {
    let plain = folder.command(args);
    let mut command = Command::new("sh");
    command.arg("-c").arg("exec \"$0\" \"$@\" 5<secret 9<secret").arg(plain.get_program()).args(plain.get_args());
    command.current_dir(folder.path(""));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn no_program_inherits_a_file_that_was_open_before() {
    let folder = Folder::new("sqlite:w.db", "");
    fs::write(folder.path("secret"), "s3cret").unwrap();
    folder.script("list", "ls /proc/self/fd >new; mv new job");
    fs::write(folder.path("tasks.d/child"), CHILD.replace("for line", "fds = os.listdir('/proc/self/fd')\nfor line"))
        .unwrap();
    fs::set_permissions(folder.path("tasks.d/child"), Permissions::from_mode(0o755)).unwrap();
    let task = |more: &str| format!("name = \"child\"\n[run]\nrpc = [\"./child\"]\n{more}cwd = \"..\"\n");
    fs::write(folder.path("tasks.d/child.toml"), task("")).unwrap();
    let umask = "name = \"by-shim\"\n[run]\nexec = [\"sh\", \"-c\", \"ls /proc/self/fd >new; mv new shim\"]\n\
                 umask = \"022\"\ncwd = \"..\"\n";
    fs::write(folder.path("tasks.d/by-shim.toml"), umask).unwrap();
    // The fourth is the folder that is being listed.
    let opened = |name: &str| {
        eventually(name, || folder.path(name).exists());
        let mut all: Vec<String> =
            fs::read_to_string(folder.path(name)).unwrap().split_whitespace().map(str::to_owned).collect();
        all.sort_unstable();
        assert_eq!(all, ["0", "1", "2", "3"], "{name}");
        fs::remove_file(folder.path(name)).unwrap();
    };
    let daemon = folder.start(with_open_files(&folder, &["run"]), "log");
    daemon.wait_log("[ worker ] started");
    for (task, file) in [("list", "job"), ("by-shim", "shim"), ("child", "child")] {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
        opened(file);
    }
    // The daemon itself keeps them: a lock on one lasts as long as it does.
    let kept = |pid: u32| fs::read_link(format!("/proc/{pid}/fd/9")).unwrap();
    assert!([daemon.parent(), daemon.proper()].map(kept).iter().all(|path| path.ends_with("secret")));
    daemon.stop();
    let output = with_open_files(&folder, &["perform", "list"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    opened("job");
}

#[test]
fn signals_that_the_parent_blocked_or_ignored_reach_the_daemon_and_no_program_inherits_that() {
    let folder = Folder::new("sqlite:store/jobs.db", "");
    fs::create_dir(folder.path("store")).expect("a folder must be made");
    folder.script("look", "[ -e look ] && exit; cat /proc/self/status >look; sleep 60");
    let mut command = Command::new("env");
    let ours = folder.command(&["run"]);
    command.args(["--block-signal=TERM,INT,HUP,USR1,USR2,CHLD", "--ignore-signal=PIPE,ALRM,XFSZ,QUIT,CHLD"]);
    command.arg(ours.get_program()).args(ours.get_args()).stdin(Stdio::null());
    let daemon = folder.start(command, "log");
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["enqueue", "look"]).0, Some(0));
    let mask = |name: &str| {
        let status = folder.read("look");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        line.and_then(|mask| u64::from_str_radix(mask, 16).ok())
    };
    eventually("the job has begun", || mask("SigIgn:").is_some());
    // The first 31 are those of programs; the next ones are of the C library itself.
    let ignored = mask("SigIgn:").map(|mask| mask & 0x7fff_ffff);
    assert_eq!((mask("SigBlk:"), ignored), (Some(0), Some(0)), "{}", folder.read("look"));
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reload");
    // The job does not end by itself: it hears the TERM of this one, and is run again.
    signal(daemon.parent(), Signal::USR1);
    daemon.wait_log("job success");
    daemon.stop();
}
