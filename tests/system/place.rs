//! A folder of its own for a test, with a configuration, tasks and a SQLite store.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use windlass::clock::SystemClock;
use windlass::store::Store;
use windlass::store::role::Whole;
use windlass::store::sqlite::SqliteStore;

const CONFIG: &str = "queues = [\"mail\", \"*\"]\n";

const TASKS: &str = r#"
[[task]]
name = "sendMail"
description = "sends a mail"
queue = "mail"
plugins = ["QueueLock"]
[task.run]
exec = ["./send", "{to}"]

[[task]]
name = "add"
queue = "math"
[task.run]
builtin = "noop"

[[task]]
name = "hourly"
frequency = "1h"
[task.run]
builtin = "noop"
"#;

const SEND: &str = "#!/bin/sh\necho \"sending to $1\"\necho \"a warning\" >&2\ntest \"$1\" != nobody || exit 3\n";

/// The folder.
pub(crate) struct Place {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The answer, which must be one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
    }
}

impl Place {
    /// With a store, because commands that look make none.
    pub(crate) fn new() -> Self {
        let place = Self::without_store();
        drop(place.store());
        place
    }

    pub(crate) fn without_store() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("config/tasks.toml", CONFIG);
        place.write("tasks.d/tasks.toml", TASKS);
        place.write("tasks.d/send", SEND);
        let send = place.path().join("tasks.d/send");
        std::fs::set_permissions(send, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The binary, in this folder and with nothing of the environment that it would heed.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WINDLASS_") || name == "STATE_DIRECTORY" {
                command.env_remove(name);
            }
        }
        command
    }

    /// A line of a shell on a terminal, in this folder.
    pub(crate) fn terminal(&self, line: &str) -> Command {
        let mut command = self.command(&[]);
        let mut script = Command::new("script");
        script.args(["-qec", line, "/dev/null"]).current_dir(self.path()).stdin(Stdio::null());
        for (name, value) in command.env("TZ", "UTC").get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A command that does not read its stdin may be gone already.
        let _ = pipe.write_all(stdin.as_bytes());
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The store of this folder, for what no command does.
    pub(crate) fn store(&self) -> Store<Whole> {
        SqliteStore::open(&self.path().join("windlass.db"), Arc::new(SystemClock)).unwrap().into()
    }
}
