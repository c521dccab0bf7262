//! node-resque, driven over the standard streams of `node/peer.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// How long an answer or an event may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A node-resque process. It ends with its standard input, and so with this value.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    events: Vec<Value>,
    calls: u64,
}

impl Peer {
    /// Starts one on this Redis, knowing these jobs.
    pub(crate) fn connect(socket: &Path, definitions: &str) -> Self {
        let mut peer = Self::launch("peer.mjs");
        let socket = socket.display();
        peer.call("connect", &format!(r#"{{"socket":"{socket}","namespace":"resque","definitions":{definitions}}}"#))
            .expect("node-resque must connect");
        peer
    }

    /// Starts an ActionHero server on this Redis, with options as `actionhero.mjs` takes them (a JSON object).
    pub(crate) fn actionhero(socket: &Path, options: &str) -> Self {
        let mut peer = Self::launch("actionhero.mjs");
        let options = options.strip_prefix('{').expect("options must be an object");
        peer.call("start", &format!(r#"{{"socket":"{}",{options}"#, socket.display())).expect("ActionHero must start");
        peer
    }

    /// A function of ActionHero's `task` module.
    #[track_caller]
    pub(crate) fn task(&mut self, method: &str, args: &str) -> Value {
        self.try_task(method, args).unwrap_or_else(|error| panic!("{method}({args}): {error}"))
    }

    /// A function of ActionHero's `task` module that may throw.
    pub(crate) fn try_task(&mut self, method: &str, args: &str) -> Result<Value, String> {
        self.call("task", &format!(r#"{{"method":"{method}","args":{args}}}"#))
    }

    /// Stops an ActionHero server as an operator does.
    pub(crate) fn stop(&mut self) {
        self.call("stop", "{}").expect("ActionHero must stop");
    }

    fn launch(script: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/node");
        assert!(
            folder.join("node_modules/actionhero").is_dir(),
            "node-resque and ActionHero are not installed: run scripts/test, or `npm ci` in {}",
            folder.display()
        );
        let mut child = Command::new("node")
            .arg(folder.join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node must be installed");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout must be piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines, events: Vec::new(), calls: 0 }
    }

    /// A method of the Queue, with its arguments as a JSON array.
    #[track_caller]
    pub(crate) fn queue(&mut self, method: &str, args: &str) -> Value {
        self.try_queue(method, args).unwrap_or_else(|error| panic!("{method}({args}): {error}"))
    }

    /// A method of the Queue that may throw.
    pub(crate) fn try_queue(&mut self, method: &str, args: &str) -> Result<Value, String> {
        self.call("queue", &format!(r#"{{"method":"{method}","args":{args}}}"#))
    }

    /// A method of the Queue on the failed job at a position, as node-resque reads it.
    pub(crate) fn with_failed(&mut self, method: &str, index: usize) -> Result<Value, String> {
        self.call("withFailed", &format!(r#"{{"method":"{method}","index":{index}}}"#))
    }

    /// Starts a Worker of this name on these queues (a JSON array, or `"*"` in quotes).
    pub(crate) fn start_worker(&mut self, name: &str, queues: &str) {
        self.call("startWorker", &format!(r#"{{"name":"{name}","queues":{queues}}}"#)).expect("a worker must start");
    }

    /// Ends a Worker.
    pub(crate) fn stop_worker(&mut self, name: &str) {
        self.call("stopWorker", &format!(r#"{{"name":"{name}"}}"#)).expect("a worker must end");
    }

    /// Starts a Scheduler of this name, with further options (`"timeout":100,...`).
    pub(crate) fn start_scheduler(&mut self, name: &str, options: &str) {
        let comma = if options.is_empty() { "" } else { "," };
        self.call("startScheduler", &format!(r#"{{"name":"{name}"{comma}{options}}}"#))
            .expect("a scheduler must start");
    }

    /// Ends a Scheduler.
    pub(crate) fn stop_scheduler(&mut self, name: &str) {
        self.call("stopScheduler", &format!(r#"{{"name":"{name}"}}"#)).expect("a scheduler must end");
    }

    /// Lets its jobs that wait go on; tells how many there were.
    pub(crate) fn release(&mut self) -> u64 {
        let released = self.call("release", "{}").expect("release cannot fail");
        released.as_u64().expect("release must tell a number")
    }

    /// Waits for an event, or finds it among those that came.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut looked = 0;
        loop {
            while let Some(event) = self.events.get(looked) {
                if wanted(event) {
                    return event.clone();
                }
                looked += 1;
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(event) => self.events.push(event),
                Err(error) => panic!("waited in vain for {what} ({error}); there came: {:#?}", self.events),
            }
        }
    }

    /// Waits until one of its jobs of this class ran.
    #[track_caller]
    pub(crate) fn wait_ran(&mut self, class: &str) -> Value {
        self.wait_for(class, |event| event["event"] == "ran" && event["class"] == class)
    }

    /// Every event of this name that came so far.
    pub(crate) fn events(&mut self, name: &str) -> Vec<Value> {
        self.events.extend(self.lines.try_iter());
        self.events.iter().filter(|event| event["event"] == name).cloned().collect()
    }

    /// Forgets the events that came so far.
    pub(crate) fn forget_events(&mut self) {
        self.events.extend(self.lines.try_iter());
        self.events.clear();
    }

    /// Kills it, so that it cleans up nothing.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child that was not waited for can be killed");
    }

    /// One request and its answer; events that come before it are kept.
    fn call(&mut self, op: &str, fields: &str) -> Result<Value, String> {
        self.calls += 1;
        let id = self.calls;
        let fields = fields.strip_prefix('{').expect("fields must be an object");
        let comma = if fields == "}" { "" } else { "," };
        let stdin = self.stdin.as_mut().expect("stdin must be open until the end");
        writeln!(stdin, r#"{{"id":{id},"op":"{op}"{comma}{fields}"#).expect("the peer must be reading");
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(answer) if answer["id"] == id => {
                    return match answer.get("error").and_then(Value::as_str) {
                        Some(error) => Err(error.to_owned()),
                        None => Ok(answer["ok"].clone()),
                    };
                }
                Ok(event) => self.events.push(event),
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {op} {fields} in {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the peer ended during {op} {fields}"),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends with its input; but a test that failed should not wait for it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
