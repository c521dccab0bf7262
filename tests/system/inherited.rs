//! Files that were open when the daemon was started: no program of a job gets them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::daemon::{Folder, eventually};

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
