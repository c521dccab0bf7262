//! The examples of programs that use the library, built and run: a daemon with its own handler, plugin and queue operation,
//! and a program that only enqueues.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// An example, which `cargo test` builds beside the tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path = path.join("examples").join(name);
    assert!(
        path.exists(),
        "the example is not built: cargo test builds it, cargo test --test system needs cargo build --examples before"
    );
    path
}

struct Own {
    dir: tempfile::TempDir,
}

impl Own {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/custom-daemon");
        for file in ["config/tasks.toml", "tasks.d/greet.toml"] {
            let to = dir.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(example.join(file), to).unwrap();
        }
        Self { dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(example("custom-daemon"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["WINDLASS_CONFIG", "WINDLASS_STORE_URL", "WINDLASS_LOG", "STATE_DIRECTORY"] {
            command.env_remove(name);
        }
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

#[test]
fn a_program_of_ones_own_has_its_handler_its_plugin_and_its_queue() {
    let own = Own::new();
    for name in ["Ada", "Bob"] {
        own.json(&["enqueue", "greet", "--args", &format!(r#"{{"name":"{name}"}}"#)]);
    }
    own.json(&["enqueue", "greet", "--args", r#"{"name":"Eve","urgent":true}"#]);
    let refused = own.json(&["enqueue", "greet", "--args", r#"{"name":""}"#]);
    assert_eq!(refused, json!({"enqueued": false, "refused_by": "Polite", "reason": "nobody is called that"}));
    own.json(&["enqueue", "greet", "--args", "[5]"]);
    let queued = own.json(&["queues", "show", "default"]);
    assert_eq!(queued["jobs"][0]["args"][0]["name"], "Eve", "the urgent one stands in front: {queued}");
    assert_eq!(queued["length"], 4);

    let mut daemon = own.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stats = Value::Null;
    for _ in 0..2000 {
        stats = own.json(&["stats"]);
        if stats["processed"] == 3 && stats["failed"] == 1 {
            break;
        }
        // Another process counts them and sends no signal here: ask again, a bounded number of times.
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = daemon.wait().unwrap();
    let mut log = String::new();
    std::io::Read::read_to_string(&mut daemon.stderr.take().unwrap(), &mut log).unwrap();
    assert!(ended.success() && stats["processed"] == 3, "{stats}\n{log}");
    let at = |name: &str| log.find(&format!("Hello, {name}!")).unwrap_or_else(|| panic!("{name}: {log}"));
    assert!(at("Eve") < at("Ada") && at("Ada") < at("Bob"), "{log}");
}

#[test]
fn a_program_that_only_enqueues_feeds_the_daemon() {
    let own = Own::new();
    own.json(&["stats"]);
    let store = format!("sqlite:{}", own.dir.path().join("custom.db").display());
    let enqueue = |words: &[&str]| Command::new(example("enqueue")).arg(&store).args(words).output().unwrap();
    let output = enqueue(&["default", "greet", r#"{"name":"Grace"}"#]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "greet is enqueued on default\n", "{output:?}");
    let queued = own.json(&["queues", "show", "default"]);
    assert_eq!(queued["jobs"][0]["args"], json!([{"name": "Grace"}]), "{queued}");
    let refused = enqueue(&["default"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("usage"), "{refused:?}");
}

#[test]
fn an_unknown_override_names_those_that_exist() {
    let own = Own::new();
    std::fs::write(own.dir.path().join("config/tasks.toml"), "[resque_overrides]\nqueue = \"fornt\"\n").unwrap();
    let checked = own.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(64), "{said}");
    assert!(
        said.contains(
            "tasks.toml:2:9: resque_overrides.queue: expected one of front (found \"fornt\"); did you mean \"front\"?"
        ),
        "{said}"
    );
}
